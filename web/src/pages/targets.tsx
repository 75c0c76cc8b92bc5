/** Who is scraped: for each job its targets, what is down first, with the time behind them and the error in full. */
import { useEffect, useMemo } from 'preact/hooks'
import { age, clock, format, formatText } from '../format/number'
import { matches, words } from '../model/search'
import { seriesIdentity } from '../model/store'
import type { Pool, Stretch, Target } from '../model/targets'
import { byPool, haystack, instance, readTargets, stretches } from '../model/targets'
import type { Page } from '../page'
import { useAnswer } from '../ui/answer'
import { useClock, useTopics } from '../ui/hooks'
import type { PageProps } from '../ui/pages'
import { WindowRows } from '../ui/window-rows'

/** How often the list is asked for while it is looked at: the last scrape is told to the second. */
const ASK_MS = 2_000

export function Targets({ page }: PageProps) {
  useTopics(page, 'view', 'structure')
  useClock(1_000)
  const ups = useUps(page)
  const answer = useAnswer(page, 'api/v1/targets?state=active', readTargets, { every: ASK_MS, on: ['target'] })
  if (answer === null) return <main class="targets"><h1>Targets</h1></main>
  if ('refused' in answer) {
    return (
      <main class="targets">
        <h1>Targets</h1>
        <p class="refused" role="alert">The targets could not be read: {answer.refused}</p>
      </main>
    )
  }
  const wanted = words(page.query)
  const found = answer.told.filter((target) => matches(haystack(target), wanted))
  const up = found.filter((target) => target.health === 'up').length
  return (
    <main class="targets">
      <div class="headline">
        <h1>Targets</h1>
        {found.length > 0 && <p>{up === found.length ? `all ${found.length} up` : `${up} of ${found.length} up`}</p>}
      </div>
      {answer.told.length === 0 && <Empty />}
      {answer.told.length > 0 && found.length === 0 && <p class="nothing">No target matches “{page.query}”.</p>}
      {byPool(found).map((pool) => <Job key={pool.name} page={page} ups={ups} pool={pool} />)}
    </main>
  )
}

function Empty() {
  return (
    <div class="nothing">
      <p>No other target is scraped. One flag makes any exporter live here:</p>
      <pre tabIndex={0}>gaugecast --scrape http://localhost:9100/metrics</pre>
      <p>For more, scrape_configs in the configuration file are Prometheus’ own.</p>
    </div>
  )
}

function Job({ page, ups, pool }: { page: Page; ups: WindowRows; pool: Pool }) {
  const { length } = pool.targets
  return (
    <section class="pool" aria-label={pool.name}>
      <h2>
        {pool.name}
        <span>{pool.down === 0 ? `${length} ${length === 1 ? 'target' : 'targets'}` : `${pool.down} of ${length} down`}</span>
      </h2>
      <ul>
        {pool.targets.map((target) => (
          <Row key={seriesIdentity('', target.labels)} page={page} ups={ups} target={target} />
        ))}
      </ul>
    </section>
  )
}

function Row({ page, ups, target }: { page: Page; ups: WindowRows; target: Target }) {
  const others = Object.entries(target.labels).filter(([name]) => name !== 'instance' && name !== 'job')
  const since = (page.store.lastTime - target.scrapedAt) / 1000
  const samples = valueOf(page, 'scrape_samples_scraped', target)
  const facts = [
    Number.isNaN(target.scrapedAt) ? 'not scraped yet' : `${age(Math.max(0, since))} ago`,
    ...(Number.isNaN(target.took) ? [] : [`took ${formatText(target.took, 'seconds')}`]),
    ...(Number.isNaN(samples) ? [] : [`${format(samples, 'count').text} samples`]),
    `every ${target.interval.replace(/(\d)([a-z])/g, '$1\u202f$2')}`,
  ]
  return (
    <li class={`target ${target.health}`}>
      <div class="who">
        <span class="state">{target.health === 'down' ? '◆ Down' : target.health === 'up' ? 'Up' : 'Waiting'}</span>
        <span class="names">
          <b>{instance(target)}</b>
          <a class="source" href={target.url} rel="noreferrer noopener" target="_blank">{target.url}</a>
        </span>
      </div>
      <Timeline page={page} ups={ups} target={target} />
      <p class="facts">{facts.join(' · ')}</p>
      {others.length > 0 && (
        <p class="chips">
          {others.map(([name, value]) => (
            <span key={name} class="chip">{name}="{value}"</span>
          ))}
        </p>
      )}
      {target.error !== '' && <p class="error">{target.error}</p>}
    </li>
  )
}

/** Who was up in the window of the page, also before that was opened: asked for once for all timelines of a list. */
export function useUps(page: Page): WindowRows {
  const ups = useMemo(() => new WindowRows(page, page.store, () => page.store.families.get('up')?.series ?? []), [page])
  useEffect(() => () => { ups.stop() }, [ups])
  return ups
}

/** The window of the page: grey where it was up, filled where it was down, nothing where nothing is known. */
export function Timeline({ page, ups, target }: { page: Page; ups: WindowRows; target: Target }) {
  const end = page.windowEnd
  const start = end - page.windowMs
  const found = upsOf(page, ups, target, start, end)
  const downs = found.filter((stretch) => !stretch.up)
  const said = downs.length === 0 ? 'never down' : `down since or at ${downs.map(({ from }) => clock(start + from * (end - start), true)).join(', ')}`
  return (
    <div class="timeline" role="img" aria-label={`${said} in this window`}>
      {found.map(({ from, to, up }) => (
        <i key={from} class={up ? 'up' : 'down'} style={{ left: `${from * 100}%`, width: `${(to - from) * 100}%` }}>
          {!up && to - from > 0.12 ? 'down' : ''}
        </i>
      ))}
    </div>
  )
}

function upsOf(page: Page, ups: WindowRows, target: Target, start: number, end: number): readonly Stretch[] {
  const key = keyOf(page, 'up', target)
  if (key === undefined) return []
  const { columns } = ups
  const column = columns.column(key)
  return column === undefined ? [] : stretches(columns.times, column, columns.length, start, end)
}

function keyOf(page: Page, metric: string, target: Target): number | undefined {
  const wanted = seriesIdentity(metric, target.labels)
  const { series } = page.store.families.get(metric) ?? { series: [] }
  return series.find((one) => seriesIdentity(one.name, one.labels) === wanted)?.key
}

function valueOf(page: Page, metric: string, target: Target): number {
  const key = keyOf(page, metric, target)
  return key === undefined ? NaN : page.store.value(key)
}
