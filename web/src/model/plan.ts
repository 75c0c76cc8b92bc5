/**
 * Which chart a family gets, from its type, unit, name and labels alone: nobody sets anything up.
 *
 * A plan names the lines and the series each is made of; `derive.ts` makes the numbers. It is made when a card is first
 * drawn and again when series come, and then keeps the order of the lines there were, so that nothing moves under the
 * hand.
 */
import type { Unit } from '../format/number'
import { rateUnit, unitOf } from '../format/unit'
import type { FamilyInfo, SeriesInfo } from './store'

/** A line: what it is called and the series it sums up. */
export interface Line {
  readonly label: string
  readonly keys: readonly number[]
  /** Drawn thin and grey, without a place of its own in the legend. */
  readonly other: boolean
}

/** How the header's number comes from the lines: "last" of one, "sum" or "highest" of several. */
export type Summary = 'last' | 'sum' | 'highest'

export type Plan =
  /** Lines of values, or of rates of counters. */
  | { readonly kind: 'lines'; readonly rate: boolean; readonly unit: Unit; readonly lines: readonly Line[]; readonly summary: Summary; readonly whole: boolean; readonly total: number }
  /** Rates of seconds split by what they were spent on, as a share of time; `parts` sets of them make 100 %; `idle`: idle was left out. */
  | { readonly kind: 'share'; readonly unit: 'ratio'; readonly lines: readonly Line[]; readonly parts: number; readonly by: string; readonly idle: boolean; readonly total: number }
  /** Quantiles of a classic histogram. `bounds` ascend, `buckets[i]` are the series of `le` = `bounds[i]`. */
  | { readonly kind: 'quantiles'; readonly unit: Unit; readonly bounds: readonly number[]; readonly buckets: readonly (readonly number[])[]; readonly lines: readonly Line[]; readonly total: number }
  /** One row a series. `bad` is the value that is trouble, null where neither is. */
  | { readonly kind: 'states'; readonly bad: 0 | 1 | null; readonly lines: readonly Line[]; readonly total: number }
  /** The largest as bars, where there are too many for lines. */
  | { readonly kind: 'bars'; readonly rate: boolean; readonly unit: Unit; readonly lines: readonly Line[]; readonly total: number }
  /** A moment, as how long ago it was. */
  | { readonly kind: 'age'; readonly lines: readonly Line[]; readonly total: number }
  /** Facts: label names and values, a list a series. */
  | { readonly kind: 'chips'; readonly chips: readonly (readonly string[])[]; readonly total: number }

export type PlanKind = Plan['kind']

/** More lines than this and only the top ones are in colour. */
export const MOST_IN_COLOUR = 8
/** How many are in colour then. */
const TOP = 5
/** How many grey ones are drawn behind them; more cost time and show nothing. */
const MOST_OTHER = 15
/** More series than this are bars of the largest. */
const MOST_AS_LINES = 100
const BARS = 6
const ROWS = 5

/** Quantiles drawn, highest first. */
export const QUANTILES = [0.99, 0.5] as const

/** Labels that say what time was spent on. */
const SPLIT_LABELS = ['mode', 'state']
/** Time spent on nothing. */
const IDLE = new Set(['idle'])

/**
 * Makes the plan of a family.
 *
 * @param size how large a series is now (rates are not known yet: then its running total); decides order and top.
 * @param before the plan there was, whose order stays.
 */
export function makePlan(family: FamilyInfo, size: (key: number) => number, before?: Plan): Plan {
  const series = family.series.filter((one) => !one.name.endsWith('_created') || family.name.endsWith('_created'))
  const total = series.length
  const unit = unitOf(family.name, family.unit)
  if (family.type === 'info' || (METRIC.test(family.name) && family.name.endsWith('_info'))) return { kind: 'chips', chips: chips(series), total }
  if (family.type === 'histogram') {
    const plan = histogram(family, series, unit)
    if (plan !== null) return plan
  }
  if (family.type === 'summary') {
    const quantiles = series.filter((one) => 'quantile' in one.labels)
    if (quantiles.length > 0) {
      return { kind: 'lines', rate: false, unit, lines: asLines(quantiles, size, before), summary: 'highest', whole: false, total }
    }
  }
  if (isMoment(family, series, size)) return { kind: 'age', lines: asLines(series, size, before), total }
  const state = isState(family, series, size)
  if (state !== undefined) {
    return { kind: 'states', bad: state.bad, lines: failingFirst(series, size, state.bad).slice(0, ROWS), total }
  }
  const rate = isCounter(family)
  if (rate && unit === 'seconds') {
    const by = SPLIT_LABELS.find((label) => series.length > 1 && series.every((one) => label in one.labels))
    if (by !== undefined) return share(series, by, size, before)
  }
  const shown = rate ? rateUnit(unit) : unit
  if (total > MOST_AS_LINES) {
    return { kind: 'bars', rate, unit: shown, lines: asLines(series, size, undefined).slice(0, BARS), total }
  }
  return {
    kind: 'lines',
    rate,
    unit: shown,
    lines: asLines(series, size, before),
    summary: total === 1 ? 'last' : rate && shown !== 'ratio' ? 'sum' : 'highest',
    whole: shown === 'count' && series.every((one) => !(size(one.key) % 1 !== 0)),
    total,
  }
}

function named(label: string, value: string): string {
  return /^\d+$/.test(value) ? `${label} ${value}` : value
}

/** The labels by which the series of a family differ, in order. */
export function distinguishing(series: readonly SeriesInfo[]): readonly string[] {
  const seen = new Map<string, Set<string>>()
  for (const one of series) {
    for (const [label, value] of Object.entries(one.labels)) {
      const values = seen.get(label)
      if (values === undefined) seen.set(label, new Set([value]))
      else values.add(value)
    }
  }
  return [...seen]
    .filter(([label, values]) => values.size > 1 || !series.every((one) => label in one.labels))
    .map(([label]) => label)
    .sort()
}

function asLines(series: readonly SeriesInfo[], size: (key: number) => number, before: Plan | undefined): readonly Line[] {
  const labels = distinguishing(series)
  const suffixes = new Set(series.map((one) => one.name)).size > 1
  const made = series.map((one) => {
    // A bare number says nothing: "cpu 0".
    const values = labels.filter((label) => (one.labels[label] ?? '') !== '').map((label) => named(label, one.labels[label] ?? ''))
    if (suffixes) values.unshift(one.name.slice(one.family.name.length + 1))
    return { label: values.join(' ') || one.name, keys: [one.key] }
  })
  return ranked(made, size, before)
}

/** Largest first, but those there were keep their places; beyond the top they are *other*. */
function ranked(
  lines: readonly { label: string; keys: readonly number[] }[],
  size: (key: number) => number,
  before: Plan | undefined,
): readonly Line[] {
  const places = new Map<string, number>()
  if (before !== undefined && 'lines' in before) {
    before.lines.forEach((line, i) => {
      if (!line.other) places.set(line.label, i)
    })
  }
  const sized = lines.map((line) => ({
    line,
    place: places.get(line.label) ?? Infinity,
    size: line.keys.reduce((sum, key) => sum + (Number.isFinite(size(key)) ? size(key) : 0), 0),
  }))
  sized.sort((a, b) => {
    if (a.place !== b.place) return a.place < b.place ? -1 : 1
    return b.size - a.size || (a.line.label < b.line.label ? -1 : 1)
  })
  const coloured = lines.length > MOST_IN_COLOUR ? TOP : lines.length
  return sized.slice(0, coloured + MOST_OTHER).map(({ line }, i) => ({ ...line, other: i >= coloured }))
}

function share(series: readonly SeriesInfo[], by: string, size: (key: number) => number, before: Plan | undefined): Plan {
  const groups = new Map<string, number[]>()
  const parts = new Set<string>()
  for (const one of series) {
    const value = one.labels[by] ?? ''
    parts.add(Object.entries(one.labels).filter(([label]) => label !== by).map(([label, text]) => `${label}=${text}`).sort().join())
    if (IDLE.has(value)) continue
    const keys = groups.get(value)
    if (keys === undefined) groups.set(value, [one.key])
    else keys.push(one.key)
  }
  const lines = ranked([...groups].map(([label, keys]) => ({ label, keys })), size, before).slice(0, MOST_IN_COLOUR)
  return { kind: 'share', unit: 'ratio', lines: lines.map((line) => ({ ...line, other: false })), parts: parts.size, by, idle: series.some((one) => IDLE.has(one.labels[by] ?? '')), total: series.length }
}

function histogram(family: FamilyInfo, series: readonly SeriesInfo[], unit: Unit): Plan | null {
  const byBound = new Map<number, number[]>()
  for (const one of series) {
    if (!one.name.endsWith('_bucket')) continue
    const le = one.labels.le
    const bound = le === '+Inf' ? Infinity : Number(le)
    if (le === undefined || Number.isNaN(bound)) continue
    const keys = byBound.get(bound)
    if (keys === undefined) byBound.set(bound, [one.key])
    else keys.push(one.key)
  }
  if (byBound.size < 2) return null
  const bounds = [...byBound.keys()].sort((a, b) => a - b)
  const buckets = bounds.map((bound) => byBound.get(bound) ?? [])
  const lines = QUANTILES.map((q): Line => ({ label: `p${q * 100}`, keys: [], other: false }))
  const sets = new Set(series.map((one) => Object.entries(one.labels).filter(([label]) => label !== 'le').join(';')))
  return { kind: 'quantiles', unit: family.unit === '' ? unit : unitOf(family.name, family.unit), bounds, buckets, lines, total: sets.size }
}

/** Seconds since 1970 that can be a moment of this century; 0 says "never". */
const EARLIEST = 9e8
const LATEST = 5e9

/** The name of a metric; the result of a query is called by its expression, whose end says nothing of it. */
const METRIC = /^[a-zA-Z_:][\w:]*$/

function isMoment(family: FamilyInfo, series: readonly SeriesInfo[], value: (key: number) => number): boolean {
  if (!METRIC.test(family.name) || family.type === 'counter' || !/(^|_)(timestamp|m?time)_seconds$/.test(family.name)) return false
  if (family.name.endsWith('timestamp_seconds')) return true
  return series.every((one) => {
    const moment = value(one.key)
    return moment === 0 || Number.isNaN(moment) || (moment > EARLIEST && moment < LATEST)
  })
}

/** Counters node_exporter exposes as untyped or as gauges: what the kernel counts up in its tables. */
const COUNTS = /^node_(netstat_(?!.*_(CurrEstab|Forwarding)$)|vmstat_(pg|psw|oom_kill)|nf_conntrack_stat_)/

function isCounter({ name, type }: FamilyInfo): boolean {
  return type === 'counter' || (METRIC.test(name) && ((type === 'unknown' && name.endsWith('_total')) || ((type === 'unknown' || type === 'gauge') && COUNTS.test(name))))
}

/** Names of gauges that are 0 or 1, with the value that is trouble. A device may be down because nobody uses it. */
const STATES: readonly (readonly [RegExp, 0 | 1 | null])[] = [
  [/^node_network_(up|carrier|dormant)$|^node_filesystem_readonly$/, null],
  [/(^|_)(up|success|successful|healthy|online|ready)$/, 0],
  [/_(error|failed|failing)$/, 1],
]

function isState(family: FamilyInfo, series: readonly SeriesInfo[], value: (key: number) => number): { bad: 0 | 1 | null } | undefined {
  if (family.type === 'stateset') return { bad: null }
  if (family.type !== 'gauge' && family.type !== 'unknown') return undefined
  const known = !METRIC.test(family.name) ? undefined : STATES.find(([name]) => name.test(family.name))
  if (known === undefined || !series.every((one) => [0, 1].includes(value(one.key)) || Number.isNaN(value(one.key)))) return undefined
  return { bad: known[1] }
}

function failingFirst(series: readonly SeriesInfo[], value: (key: number) => number, bad: 0 | 1 | null): readonly Line[] {
  const labels = distinguishing(series)
  return series
    .map((one) => ({ label: labels.map((label) => one.labels[label] ?? '').join(' ') || one.family.name, keys: [one.key], other: false, failing: Number(value(one.key) === bad) }))
    .sort((a, b) => b.failing - a.failing || (a.label < b.label ? -1 : 1))
}

/** The facts of each series, those by which they differ first. */
function chips(series: readonly SeriesInfo[]): readonly (readonly string[])[] {
  const own = series.length > 1 ? new Set(distinguishing(series)) : new Set()
  return series.map((one) =>
    Object.entries(one.labels)
      .filter(([, value]) => value !== '')
      .sort(([a], [b]) => Number(own.has(b)) - Number(own.has(a)))
      .map(([label, value]) => `${label}="${value}"`),
  )
}
