/** A figure under its name, in a list (`dl.facts-row`). */
import type { ComponentChildren } from 'preact'

export function Fact({ name, value, more = '' }: { name: string; value: ComponentChildren; more?: string }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>
        {value}
        {more !== '' && <small> {more}</small>}
      </dd>
    </div>
  )
}
