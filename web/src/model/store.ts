/**
 * What the page knows: families, their series, and the values of each. Fed with the messages of the stream; tells what
 * changed by the two callbacks and draws nothing.
 *
 * Ids of the wire hold for an epoch. The store gives each series, known by its name and labels, a number of its own for
 * as long as the page is open, so that a restart of the server leaves a gap in the lines and not an empty page.
 */
import type { Family, Message, Points, Samples, SubscriptionMessage } from '../../client/index'
import { Columns, LONGEST_MS } from './columns'
import { GAP_INTERVALS, ROW_INTERVALS, rowsOf } from './rows'
import type { Span } from './span'

export interface SeriesInfo {
  /** Number within this page; the key of its column. */
  readonly key: number
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly family: FamilyInfo
}

export interface FamilyInfo extends Family {
  readonly name: string
  readonly series: SeriesInfo[]
}

/** So many exact values are kept of a series: an hour at one a second, and some more. */
const MOST_DIGITS = 4096

export class Store {
  readonly columns: Columns
  readonly families = new Map<string, FamilyInfo>()
  /** The last value of each series; NaN where there is none. */
  private current = new Float64Array(256).fill(NaN)
  /** Since when a series is stale (server's clock, ms); 0 if it is not. */
  private staleSince = new Float64Array(256)
  /** The digits of whole numbers beyond 2⁵³, which a double cannot hold, as they came. */
  private readonly exact = new Map<number, { times: number[]; digits: string[] }>()
  private readonly known = new Map<string, SeriesInfo>()
  private readonly wire = new Map<number, number>()
  private nextKey = 0
  private shownEpoch: string | null = null

  /** The PromQL whose result this is; empty for the registry itself. */
  expression = ''
  /** Times at which the server was found restarted (its clock, ms). */
  readonly restarts: number[] = []
  /** Times in which no frame came, oldest first: the connection or the server was gone. */
  readonly gaps: Span[] = []
  /** Time of the last frame (server's clock, ms); 0 before the first. */
  lastTime = 0
  intervalMs = 1_000
  /** Series the server sends. */
  matched = 0
  /** Whether there are more than it sends. */
  truncated = false

  /**
   * @param onFrame a frame was taken in: everything shown is out of date.
   * @param onFamilies families or series came or went: the structure is out of date.
   */
  constructor(
    private readonly onFrame: () => void,
    private readonly onFamilies: () => void,
    columns = new Columns(),
  ) {
    this.columns = columns
  }

  take(message: SubscriptionMessage): void {
    switch (message.type) {
      case 'subscribed':
        this.intervalMs = message.intervalMs
        this.matched = message.matched
        this.truncated = message.truncated
        // What goes on where it was goes on with the same ids.
        if (!message.recovered) this.wire.clear()
        break
      case 'schema':
        this.schema(message)
        break
      case 'history':
        this.past(message)
        break
      case 'snapshot':
        this.snapshot(message)
        break
      case 'delta':
        this.apply(message.samples, message.time)
        for (const id of message.stale) this.markStale(id, message.time)
        if (message.part === message.parts && !this.tooNear(message.time)) this.row(message.time)
    }
  }

  /** From `since` to now rows were fewer than they could be: to be fetched as if there were none. */
  coarse(since: number): void {
    if (this.lastTime > since) this.gaps.push({ from: since, to: this.lastTime })
  }

  /** Last value of a series; NaN if it has none or is stale. */
  value(key: number): number {
    return this.current[key] ?? NaN
  }

  /** Since when a series is stale (server's clock, ms), or null. */
  stale(key: number): number | null {
    const since = this.staleSince[key] ?? 0
    return since === 0 ? null : since
  }

  /** The digits of the value at a time (ms), where the wire gave more than a number can hold; else null. */
  digits(key: number, time: number): string | null {
    const kept = this.exact.get(key)
    return kept?.digits[kept.times.findLastIndex((at) => at <= time)] ?? null
  }

  /** The series of this name and these labels, if it is known. */
  keyOf(name: string, labels: Readonly<Record<string, string>>): number | undefined {
    return this.known.get(seriesIdentity(name, labels))?.key
  }

  /** The series that have these keys. */
  seriesWith(keys: Iterable<number>): readonly SeriesInfo[] {
    const wanted = new Set(keys)
    return [...this.known.values()].filter(({ key }) => wanted.has(key))
  }

  get seriesCount(): number {
    return this.known.size
  }

  private schema(message: Message<'schema'>): void {
    for (const [name, described] of message.families) {
      const family = this.families.get(name)
      // Told again, it is told anew: type, help or unit have changed.
      if (family !== undefined) Object.assign(family, described)
    }
    for (const series of message.series) {
      const identity = seriesIdentity(series.name, series.labels)
      let info = this.known.get(identity)
      if (info === undefined) {
        const family = this.family(series.family, message.families.get(series.family))
        info = { key: this.nextKey++, name: series.name, labels: series.labels, family }
        family.series.push(info)
        this.known.set(identity, info)
        this.columns.add(info.key)
        this.grow(info.key)
      }
      this.wire.set(series.id, info.key)
    }
    this.onFamilies()
  }

  private family(name: string, described: Family | undefined): FamilyInfo {
    let family = this.families.get(name)
    if (family === undefined) {
      family = { name, type: described?.type ?? 'unknown', help: described?.help ?? '', unit: described?.unit ?? '', series: [] }
      this.families.set(name, family)
    }
    return family
  }

  /** What a query gave before its first frame. Of one that begins again, the rows it has are as good. */
  private past({ points }: Message<'history'>): void {
    const series = new Map<number, Points>()
    for (const [id, told] of points) {
      const key = this.wire.get(id)
      if (key !== undefined) series.set(key, told)
    }
    const { columns } = this
    const rows = rowsOf(series, this.intervalMs)
    for (let row = columns.length === 0 ? 0 : rows.indexAt(this.lastTime + 1); row < rows.length; row++) {
      const time = rows.times[row] ?? 0
      this.breakBefore(time)
      columns.push(time, (key) => rows.column(key)?.[row] ?? NaN)
      this.lastTime = time
    }
  }

  private snapshot(message: Message<'snapshot'>): void {
    if (message.part === 1) this.startAnew(message)
    this.apply(message.samples, message.time)
    if (message.part === message.parts) this.row(message.time)
  }

  private startAnew(message: Message<'snapshot'>): void {
    const { epoch } = message
    if (this.shownEpoch !== null && epoch !== this.shownEpoch) {
      this.restarts.push(message.time)
      this.forgetUnnamed()
    }
    this.shownEpoch = epoch
    // What the snapshot does not name has no value now.
    this.current.fill(NaN)
    this.staleSince.fill(0)
  }

  /** Series of an earlier epoch which the new one does not have. */
  private forgetUnnamed(): void {
    const named = new Set(this.wire.values())
    for (const [identity, info] of this.known) {
      if (named.has(info.key)) continue
      this.known.delete(identity)
      this.columns.remove(info.key)
      this.exact.delete(info.key)
      const siblings = info.family.series
      siblings.splice(siblings.indexOf(info), 1)
      if (siblings.length === 0) this.families.delete(info.family.name)
    }
    this.onFamilies()
  }

  private apply(samples: Samples, time: number): void {
    for (let i = 0; i < samples.ids.length; i++) {
      const key = this.wire.get(samples.ids[i] ?? -1)
      if (key === undefined) continue
      this.current[key] = samples.values[i] ?? NaN
      this.staleSince[key] = 0
      const digits = samples.digits?.get(samples.ids[i] ?? -1)
      if (digits !== undefined) this.keep(key, time, digits)
    }
  }

  private keep(key: number, time: number, digits: string): void {
    const kept = this.exact.get(key) ?? { times: [], digits: [] }
    this.exact.set(key, kept)
    kept.times.push(time)
    kept.digits.push(digits)
    if (kept.times.length <= MOST_DIGITS) return
    kept.times.splice(0, MOST_DIGITS / 2)
    kept.digits.splice(0, MOST_DIGITS / 2)
  }

  private markStale(id: number, time: number): void {
    const key = this.wire.get(id)
    if (key === undefined) return
    this.current[key] = NaN
    this.staleSince[key] = time
  }

  private tooNear(time: number): boolean {
    const since = time - this.lastTime
    return since >= 0 && since < ROW_INTERVALS * this.intervalMs
  }

  private row(time: number): void {
    this.breakBefore(time)
    this.columns.push(time, (key) => this.current[key] ?? NaN)
    this.lastTime = time
    this.onFrame()
  }

  /** Breaks the lines where no row came for too long. */
  private breakBefore(time: number): void {
    const { lastTime, gaps } = this
    if (lastTime === 0 || time - lastTime <= GAP_INTERVALS * this.intervalMs) return
    this.columns.push(lastTime + 1, () => NaN)
    gaps.push({ from: lastTime, to: time })
    while ((gaps[0]?.to ?? time) < time - LONGEST_MS) gaps.shift()
  }

  private grow(key: number): void {
    if (key < this.current.length) {
      this.current[key] = NaN
      return
    }
    const room = this.current.length * 2
    const current = new Float64Array(room).fill(NaN)
    current.set(this.current)
    this.current = current
    const stale = new Float64Array(room)
    stale.set(this.staleSince)
    this.staleSince = stale
  }
}

/** Name and labels as one text, labels in order. */
export function seriesIdentity(name: string, labels: Readonly<Record<string, string>>): string {
  const parts = Object.keys(labels)
    .sort()
    .map((label) => `${label}=${JSON.stringify(labels[label])}`)
  return `${name}{${parts.join(',')}}`
}
