/**
 * Fetches what the live columns do not have: of families from `/api/v1/history`, of queries from `/api/v1/query_range`. At
 * most a few requests at once for the whole page, the cards that are looked at first; ended when nobody needs the answer, and
 * made again when the server is back. A server that keeps no history, or has too many series, is no error: then there is no
 * past.
 */
import type { Points } from '../../client/index'
import { selectorOf, quoted } from './anomalies'
import type { Columns } from './columns'
import { rowsOf } from './rows'
import { overlap } from './span'
import type { Span } from './span'
import type { SeriesInfo, Store } from './store'
import { LEAD_MS, Timeline } from './timeline'
import { dataOf, labels, list, number, object } from './untrusted'

type Fetch = (path: string, signal: AbortSignal) => Promise<Response>

/** Requests at once: a browser has six connections to a server, and others need some. */
const AT_ONCE = 3
/** Points of one request, over all its series; more are fetched farther apart. */
const MOST_POINTS = 20_000
/** But no series has fewer, as far as there are any: about two pixels of a card each. */
const FEWEST_ROWS = 240
/** Points of a series that is evaluated, not only read. */
const MOST_EVALUATED = 600
/** What the server answers at most. */
const MOST_SERIES = 500
/** Histograms are fetched some buckets at a time, in at most so many requests. */
const MOST_PARTS = 4
/** A refused request is not made again before (ms), unless the connection was lost in between. */
const AGAIN_MS = 10_000

/** What a card asks for: the rows of some series in a span. */
interface Ask {
  readonly store: Store
  readonly series: readonly SeriesInfo[]
  /** What selects them, a list a request; none for what a query gives, and where there are too many. */
  readonly selected: readonly (readonly string[])[]
  readonly span: Span
  /** How far apart rows are (ms). */
  readonly step: number
  readonly rank: () => number
  readonly took: (columns: Columns) => void
  readonly failed: () => void
}

export class Past {
  private readonly waiting = new Set<Ask>()
  /** What is on its way, with that which ends the request; one that was taken back is not among them. */
  private readonly asked = new Map<Ask, AbortController>()
  private running = 0
  private starts = false
  /** Counts how often the server came back. */
  era = 0

  constructor(
    private readonly fetch: Fetch,
    readonly now: () => number,
  ) {}

  /** The connection is back: what failed is asked for again. */
  back(): void {
    this.era++
  }

  /** Asks when the turn has come; the returned function takes that back. */
  ask(one: Ask): () => void {
    this.waiting.add(one)
    // What is drawn in the same frame asks for the same span, and is asked for at once.
    if (!this.starts) {
      this.starts = true
      queueMicrotask(() => {
        this.starts = false
        this.start()
      })
    }
    return () => {
      this.waiting.delete(one)
      const ended = this.asked.get(one)
      this.asked.delete(one)
      // Of several in one request all must have gone.
      if (ended !== undefined && ![...this.asked.values()].includes(ended)) ended.abort()
    }
  }

  private start(): void {
    while (this.running < AT_ONCE && this.waiting.size > 0) {
      const together = firstOf([...this.waiting].sort((a, b) => a.rank() - b.rank()))
      for (const one of together) this.waiting.delete(one)
      this.running++
      void this.run(together).finally(() => {
        this.running--
        this.start()
      })
    }
  }

  private async run(asks: readonly Ask[]): Promise<void> {
    const ended = new AbortController()
    for (const one of asks) this.asked.set(one, ended)
    let found: ReadonlyMap<number, Points> | null = null
    try {
      found = await fetched(this.fetch, asks, ended.signal)
    } catch {
      // Each is told below.
    }
    for (const one of asks) {
      // Taken back meanwhile.
      if (!this.asked.delete(one)) continue
      if (found === null) one.failed()
      else one.took(rowsOf(ownOf(found, one), one.step))
    }
  }
}

/** The first of them, and with it those that one request can fetch too: of the same span and step, as far as it may grow. */
function firstOf(sorted: readonly Ask[]): readonly Ask[] {
  const [first] = sorted
  if (first === undefined) return []
  const { store, span, step } = first
  const together: Ask[] = [first]
  let series = first.series.length
  if (isAlone(first)) return together
  for (const one of sorted.slice(1)) {
    const same = one.store === store && one.step === step && one.span.from === span.from && one.span.to === span.to
    if (!same || isAlone(one) || (series + one.series.length) * ((span.to - span.from) / step) > MOST_POINTS) continue
    series += one.series.length
    together.push(one)
  }
  return together
}

/** Queries have a route of their own, and what takes several requests shares none. */
function isAlone({ selected }: Ask): boolean {
  return selected.length !== 1
}

function ownOf(found: ReadonlyMap<number, Points>, { store, series }: Ask): ReadonlyMap<number, Points> {
  if (store.expression !== '') return found
  return new Map(series.flatMap(({ key }) => {
    const points = found.get(key)
    return points === undefined ? [] : [[key, points] as const]
  }))
}

/** The past of one card: keeps its window whole for as long as it is on sight. */
export class Filling {
  private readonly timeline: Timeline
  private asked: (Span & { readonly end: () => void }) | null = null
  private failed: { readonly era: number; readonly at: number } | null = null

  /**
   * @param rank who goes first, lower before higher.
   * @param changed something has come: draw again.
   */
  constructor(
    private readonly past: Past,
    private readonly store: Store,
    private readonly series: () => readonly SeriesInfo[],
    private readonly rank: () => number,
    private readonly changed: () => void,
  ) {
    this.timeline = new Timeline(store, () => series().map((one) => one.key))
  }

  /** The rows of the window; what is missing of it is on its way. */
  columns(window: Span): Columns {
    const step = stepFor(window, this.store, this.series())
    const columns = this.timeline.columns(window, step)
    if (this.asked !== null && !overlap(this.asked, window)) this.stop()
    if (this.asked === null && this.mayAsk()) {
      const [hole] = this.timeline.wanted(window)
      if (hole !== undefined) this.ask(hole, step)
    }
    return columns
  }

  /** Spans of the window which nobody has; none are told while more may come. */
  get missing(): readonly Span[] {
    return this.asked === null ? this.timeline.missing : []
  }

  /** Nobody looks any more. */
  stop(): void {
    this.asked?.end()
    this.asked = null
  }

  private mayAsk(): boolean {
    const { failed, past } = this
    return failed?.era !== past.era || past.now() - failed.at > AGAIN_MS
  }

  private ask(missing: Span, step: number): void {
    // With some of what is known before it, or one point on each side of a gap would be all there is, and look whole.
    const hole = { from: missing.from - LEAD_MS, to: missing.to }
    const settled = () => {
      this.asked = null
      this.changed()
    }
    const series = this.series()
    const end = this.past.ask({
      store: this.store,
      series,
      selected: this.store.expression === '' ? selectors(series) : [],
      span: hole,
      step,
      rank: this.rank,
      took: (columns) => {
        this.failed = null
        this.timeline.add({ ...hole, columns, step })
        settled()
      },
      failed: () => {
        this.failed = { era: this.past.era, at: this.past.now() }
        settled()
      },
    })
    this.asked = { ...hole, end }
  }
}

/** How far apart fetched rows of a window are (ms): as they are taken, or farther where there are too many. */
export function stepFor({ from, to }: Span, store: Pick<Store, 'intervalMs' | 'expression'>, series: readonly unknown[]): number {
  const { intervalMs: interval } = store
  const most = Math.max(FEWEST_ROWS, MOST_POINTS / Math.max(1, series.length))
  const rows = store.expression === '' ? most : Math.min(MOST_EVALUATED, most)
  return Math.max(1, Math.ceil((to - from) / rows / interval)) * interval
}

/** The points of all that is asked for, by series. */
async function fetched(fetch: Fetch, asks: readonly Ask[], signal: AbortSignal): Promise<ReadonlyMap<number, Points>> {
  const series = new Map<number, Points>()
  const [{ store, span, step }] = asks as readonly [Ask]
  const paths = store.expression === '' ? historyPaths(asks.map((one) => one.selected), span, step === store.intervalMs ? 0 : step) : [rangePath(store.expression, span, step)]
  for (const path of paths) {
    const response = await fetch(path, signal)
    // Without a history there is no past, and of too many series none either. To come too often is another matter.
    if ([400, 403, 404, 422].includes(response.status)) continue
    if (!response.ok) throw new Error(`HTTP status ${response.status}`)
    for (const [identity, points] of readSeries(await response.json())) {
      const key = store.keyOf(identity.name, identity.labels)
      if (key !== undefined) series.set(key, points)
    }
  }
  return series
}

/** @param selected of each card what selects its series; several only where one request has those of all. @param step 0: points as they are. */
export function historyPaths(selected: readonly (readonly (readonly string[])[])[], { from, to }: Span, step: number): readonly string[] {
  const range = `start=${from / 1000}&end=${to / 1000}${step === 0 ? '' : `&step=${step}ms&agg=last`}`
  const [only, ...others] = selected
  const all = others.length === 0 ? (only ?? []) : [[...new Set([only, ...others].flatMap((paths) => paths?.[0] ?? []))]]
  return all.filter((matches) => matches.length > 0).map((matches) => `api/v1/history?${matches.map((match) => `match[]=${encodeURIComponent(match)}`).join('&')}&${range}`)
}

/** What selects these series, of one family, a list a request; none where there are too many. */
export function selectors(series: readonly SeriesInfo[]): readonly (readonly string[])[] {
  const wanted = series.filter((one) => !one.name.endsWith('_created') || one.family.name.endsWith('_created'))
  const [only] = wanted
  // Of one it need not be told what the others of its name did.
  if (only !== undefined && wanted.length === 1) return [[selectorOf(only.name, only.labels)]]
  const names = [...new Set(wanted.map((one) => one.name))]
  if (wanted.length <= MOST_SERIES) return [names.map((name) => selectorOf(name, {}))]
  const byBucket = new Map<string, number>()
  for (const { labels: { le } } of wanted) if (le !== undefined) byBucket.set(le, (byBucket.get(le) ?? 0) + 1)
  const each = Math.max(0, ...byBucket.values())
  const together = Math.floor(MOST_SERIES / Math.max(1, each))
  if (byBucket.size === 0 || together === 0 || byBucket.size > together * MOST_PARTS) return []
  const [bucket] = wanted.filter((one) => one.labels.le !== undefined).map((one) => one.name)
  const bounds = [...byBucket.keys()]
  return Array.from({ length: Math.ceil(bounds.length / together) }, (_, i) =>
    bounds.slice(i * together, (i + 1) * together).map((le) => `{__name__=${quoted(bucket ?? '')}, le=${quoted(le)}}`),
  )
}

export function rangePath(expression: string, { from, to }: Span, step: number): string {
  // At whole steps, so that what is fetched again is the same again.
  const start = Math.ceil(from / step) * step
  return `api/v1/query_range?query=${encodeURIComponent(expression)}&start=${start / 1000}&end=${Math.max(start, to) / 1000}&step=${step / 1000}`
}

interface Identity {
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
}

/** The series of an answer, of either route. */
export function readSeries(answer: unknown): readonly (readonly [Identity, Points])[] {
  const data = object(dataOf(answer, 'The server tells no history.'))
  const ranged = data.resultType === 'matrix'
  return list(ranged ? data.result : data.series).map((told) => {
    const one = object(told)
    const { __name__: name = '', ...rest } = labels(ranged ? one.metric : one.labels)
    const points = list(ranged ? one.values : one.points).map((point) => list(point))
    return [
      { name, labels: rest },
      {
        times: Float64Array.from(points, ([time]) => (ranged ? Math.round(number(time) * 1000) : number(time))),
        values: points.map(([, value]) => (value === null ? null : number(value))),
      },
    ]
  })
}
