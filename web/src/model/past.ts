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

interface Job {
  readonly rank: () => number
  readonly run: () => Promise<void>
}

export class Past {
  private readonly waiting = new Set<Job>()
  private running = 0
  /** Counts how often the server came back. */
  era = 0

  constructor(
    readonly fetch: Fetch,
    readonly now: () => number,
  ) {}

  /** The connection is back: what failed is asked for again. */
  back(): void {
    this.era++
  }

  /** Runs a job when its turn has come; the returned function takes it back if that is not so yet. */
  queue(job: Job): () => void {
    this.waiting.add(job)
    this.start()
    return () => this.waiting.delete(job)
  }

  private start(): void {
    while (this.running < AT_ONCE && this.waiting.size > 0) {
      const [next] = [...this.waiting].sort((a, b) => a.rank() - b.rank())
      if (next === undefined) return
      this.waiting.delete(next)
      this.running++
      void next.run().finally(() => {
        this.running--
        this.start()
      })
    }
  }
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
    const ended = new AbortController()
    const run = async () => {
      try {
        const columns = await fetchRows(this.past.fetch, this.store, this.series(), hole, step, ended.signal)
        if (ended.signal.aborted) return
        this.failed = null
        this.timeline.add({ ...hole, columns, step })
      } catch {
        if (ended.signal.aborted) return
        this.failed = { era: this.past.era, at: this.past.now() }
      }
      this.asked = null
      this.changed()
    }
    const unqueue = this.past.queue({ rank: this.rank, run })
    this.asked = {
      ...hole,
      end: () => {
        unqueue()
        ended.abort()
      },
    }
  }
}

/** How far apart fetched rows of a window are (ms): as they are taken, or farther where there are too many. */
export function stepFor({ from, to }: Span, store: Pick<Store, 'intervalMs' | 'expression'>, series: readonly unknown[]): number {
  const { intervalMs: interval } = store
  const most = Math.max(FEWEST_ROWS, MOST_POINTS / Math.max(1, series.length))
  const rows = store.expression === '' ? most : Math.min(MOST_EVALUATED, most)
  return Math.max(1, Math.ceil((to - from) / rows / interval)) * interval
}

async function fetchRows(fetch: Fetch, store: Store, wanted: readonly SeriesInfo[], span: Span, step: number, signal: AbortSignal): Promise<Columns> {
  const series = new Map<number, Points>()
  for (const path of store.expression === '' ? historyPaths(wanted, span, step === store.intervalMs ? 0 : step) : [rangePath(store.expression, span, step)]) {
    const response = await fetch(path, signal)
    // Without a history there is no past, and of too many series none either. To come too often is another matter.
    if ([400, 403, 404, 422].includes(response.status)) continue
    if (!response.ok) throw new Error(`HTTP status ${response.status}`)
    for (const [identity, points] of readSeries(await response.json())) {
      const key = store.keyOf(identity.name, identity.labels)
      if (key !== undefined) series.set(key, points)
    }
  }
  return rowsOf(series, step)
}

/** @param step 0: points as they are. */
export function historyPaths(series: readonly SeriesInfo[], { from, to }: Span, step: number): readonly string[] {
  const range = `start=${from / 1000}&end=${to / 1000}${step === 0 ? '' : `&step=${step}ms&agg=last`}`
  return selectors(series).map((matches) => `api/v1/history?${matches.map((match) => `match[]=${encodeURIComponent(match)}`).join('&')}&${range}`)
}

/** What selects these series, of one family, a list a request; none where there are too many. */
function selectors(series: readonly SeriesInfo[]): readonly (readonly string[])[] {
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
