/** Who is scraped, in one line each: what is down first, with the time behind it. */
import { formatText } from '../format/number'
import { count } from '../model/alerts'
import { seriesIdentity } from '../model/store'
import type { Target } from '../model/targets'
import { byPool, instance } from '../model/targets'
import { Timeline, useUps } from '../pages/targets'
import type { Page } from '../page'
import { hrefOf } from '../route'
import { useClock } from './hooks'

const MOST = 10

export function TargetRows({ page, targets }: { page: Page; targets: readonly Target[] }) {
  useClock(1_000)
  const ups = useUps(page)
  if (targets.length === 0) return null
  const pools = byPool(targets)
  const sorted = [...pools.flatMap((pool) => pool.targets)].sort((a, b) => Number(b.health === 'down') - Number(a.health === 'down'))
  const up = targets.filter(({ health }) => health === 'up').length
  return (
    <section class="target-rows" aria-label="Targets">
      <h2>
        Targets <span>{up} of {count(targets.length)} up{targets.length > MOST ? ` · ${MOST} of ${count(targets.length)} shown` : ''}</span>
        <a href={hrefOf('targets')}>all about them</a>
      </h2>
      <ul>
        {sorted.slice(0, MOST).map((target) => {
          const name = `${target.pool} · ${instance(target)}`
          return (
            <li key={seriesIdentity(target.url, target.labels)} class={target.health}>
              <span class="name" title={name}>{name}</span>
              <Timeline page={page} ups={ups} target={target} />
              <span class="end" title={target.error}>{target.health === 'down' ? '◆ down' : Number.isNaN(target.took) ? 'waiting' : formatText(target.took, 'seconds')}</span>
            </li>
          )
        })}
      </ul>
    </section>
  )
}
