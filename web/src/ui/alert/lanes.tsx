/** The last hour, a lane an alert name: bars where one fired, hatched where one is pending. */
import { clock } from '../../format/number'
import { count } from '../../model/alerts'
import type { Bar, Episode } from '../../model/alert-history'
import { lanes } from '../../model/alert-history'
import type { Page } from '../../page'
import { hrefOf } from '../../route'
import { serverNow } from '../alert-feed'
import { useClock } from '../hooks'
import { WORDS } from '../severity'

const SPAN_MS = 3_600_000
const MOST = 24
/** Labels of time under the lanes. */
const TICK_MS = 600_000

export function Lanes({ page, episodes }: { page: Page; episodes: readonly Episode[] }) {
  useClock(5_000)
  const end = serverNow(page)
  const start = end - SPAN_MS
  const all = lanes(episodes, start, end)
  if (all.length === 0) return null
  const ticks: number[] = []
  for (let time = Math.ceil(start / TICK_MS) * TICK_MS; time < end; time += TICK_MS) ticks.push(time)
  return (
    <section class="lanes" aria-label="Last hour">
      <h2>
        Last hour <span>each bar one alert; hatched while pending{all.length > MOST ? ` · ${MOST} of ${count(all.length)} shown` : ''}</span>
      </h2>
      <ul>
        {all.slice(0, MOST).map(({ name, bars }) => (
          <li key={name}>
            <span class="name" title={name}>{name}</span>
            <span class="lane">
              {bars.slice(-MOST).map((bar) => (
                <a
                  key={`${bar.id} ${bar.from}`}
                  class={bar.pending ? 'bar pending' : `bar ${bar.severity}`}
                  href={hrefOf('alerts', bar.id)}
                  title={said(name, bar)}
                  aria-label={said(name, bar)}
                  style={{ left: `${bar.left * 100}%`, width: `${(bar.right - bar.left) * 100}%` }}
                />
              ))}
            </span>
          </li>
        ))}
      </ul>
      <p class="ticks" aria-hidden="true">
        <span class="name" />
        <span class="lane">
          {ticks.map((time) => (
            <i key={time} style={{ left: `${((time - start) / SPAN_MS) * 100}%` }}>{clock(time, false)}</i>
          ))}
          <i class="now">now</i>
        </span>
      </p>
    </section>
  )
}

function said(name: string, { severity, pending, from, to }: Bar): string {
  const begin = Number.isNaN(from) ? 'before' : clock(from, true)
  const end = Number.isNaN(to) ? 'now' : clock(to, true)
  return `${name}, ${pending ? 'pending' : WORDS[severity].toLowerCase()}, ${begin} to ${end}`
}
