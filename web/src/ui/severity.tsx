/** The level of an alert: shape, word and colour, so that no one of them has to be seen. */
import type { Severity } from '../model/alerts'

const SHAPES: Readonly<Record<Severity | 'pending', string>> = {
  info: 'M8 1a7 7 0 1 1 0 14A7 7 0 0 1 8 1zm-.8 6v4.6h1.6V7zm0-2.9v1.7h1.6V4.1z',
  warning: 'M8 1.6 15.4 14.4H.6z',
  critical: 'M8 .8 15.2 8 8 15.2.8 8z',
  emergency: 'M4.9.6h6.2l4.3 4.3v6.2l-4.3 4.3H4.9L.6 11.1V4.9zM7 3.8v5h2v-5zm0 6.4v2h2v-2z',
  pending: 'M8 1a7 7 0 1 1 0 14A7 7 0 0 1 8 1zm-.8 3v4.6l3.2 2 .9-1.3-2.5-1.6V4z',
}

export const WORDS: Readonly<Record<Severity, string>> = { info: 'Info', warning: 'Warning', critical: 'Critical', emergency: 'Emergency' }

export function Shape({ of }: { of: Severity | 'pending' }) {
  return (
    <svg viewBox="0 0 16 16" aria-hidden="true">
      <path fill-rule="evenodd" d={SHAPES[of]} />
    </svg>
  )
}

/** @param pending its condition is not true for long enough yet. */
export function Level({ severity, pending = false }: { severity: Severity; pending?: boolean }) {
  return (
    <span class={pending ? 'level pending' : `level ${severity}`} title={pending ? `${WORDS[severity]} once it fires` : undefined}>
      <Shape of={pending ? 'pending' : severity} />
      {pending ? 'Pending' : WORDS[severity]}
    </span>
  )
}
