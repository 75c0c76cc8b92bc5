/**
 * Which chart a family gets, from its type, unit, name and labels alone: nobody sets anything up. Who asks for another view,
 * or for series put together by a label, gets that as far as it fits (`fit.ts`).
 *
 * A plan names the lines and the series each is made of; `derive.ts` makes the numbers. It is made when a card is first
 * drawn and again when series come, and then keeps the order of the lines there were, so that nothing moves under the
 * hand. Several families on one card are planned by `group.ts`.
 */
import type { Unit } from '../format/number'
import { rateUnit, unitOf } from '../format/unit'
import { addsUp, isCounter, isMoment, isState, METRIC } from './kinds'
import { asLines, byLabel, chartRoom, distinguishing, MOST_IN_COLOUR, ranked } from './lines'
import type { Line, Room, Size } from './lines'
import { limitOf } from './limit'
import type { Limit } from './limit'
import type { CardSpec, View } from './spec'
import type { FamilyInfo, SeriesInfo } from './store'

export type { Line } from './lines'

/** How the header's number comes from the lines: "last" of one, "first" of them, "sum" or "highest" of several. */
export type Summary = 'last' | 'first' | 'sum' | 'highest'

export interface LinesPlan {
  /** Lines of values, or of rates of counters. */
  readonly kind: 'lines'
  readonly view: View
  readonly rate: boolean
  readonly unit: Unit
  readonly lines: readonly Line[]
  readonly summary: Summary
  /** The small word beside the header's number, in place of the summary's name. */
  readonly word?: string
  /** The series the header's sum is of, where they are not all. */
  readonly headline?: readonly number[]
  /** Values are whole: steps, not slopes. */
  readonly whole: boolean
  readonly total: number
  /** What the values cannot go beyond. */
  readonly limit: Limit | null
  /** Label by which series are put together. */
  readonly by?: string
}

/**
 * Rates of seconds split by what they were spent on, as a share of time; `parts` sets of them make 100 %; `idle`: idle was left
 * out. `whole` are then all series, idle too: what they count together is the time there was, whenever exactly it was read.
 */
export interface SharePlan {
  readonly kind: 'share'
  readonly view: View
  readonly unit: 'ratio'
  readonly lines: readonly Line[]
  readonly parts: number
  readonly by: string
  readonly idle: boolean
  readonly whole: readonly number[]
  readonly total: number
}

/** A quantile; of its own buckets where histograms are put together by a label. */
export interface QuantileLine extends Line {
  readonly q: number
  readonly buckets: Buckets
}

/** `buckets[i]` are the series of `le` = `bounds[i]`. */
export type Buckets = readonly (readonly number[])[]

/** Quantiles of a classic histogram. `bounds` ascend; `buckets` are those of all series together. */
export interface QuantilePlan {
  readonly kind: 'quantiles'
  readonly view: View
  readonly unit: Unit
  readonly bounds: readonly number[]
  readonly buckets: Buckets
  readonly lines: readonly QuantileLine[]
  readonly by?: string
  readonly total: number
}

export type Plan =
  | LinesPlan
  | SharePlan
  | QuantilePlan
  /** One row a series, or a state set. `bad` is the value that is trouble, null where neither is. */
  | { readonly kind: 'states'; readonly view: View; readonly bad: 0 | 1 | null; readonly lines: readonly Line[]; readonly total: number }
  /** A moment, as how long ago it was. */
  | { readonly kind: 'age'; readonly lines: readonly Line[]; readonly total: number }
  /** Facts: label names and values, a list a series. */
  | { readonly kind: 'chips'; readonly chips: readonly (readonly string[])[]; readonly total: number }

/** More series than this are bars of the largest. */
const MOST_AS_LINES = 100
/** The most a view lists; what of it fits is the view's. */
const MOST_BARS = 40
const MOST_ROWS = 200

/** Quantiles drawn, highest first. */
export const QUANTILES = [0.99, 0.5] as const

/** Labels that say what time was spent on. */
const SPLIT_LABELS = ['mode', 'state']
/** Time spent on nothing. */
const IDLE = new Set(['idle'])

/** What somebody asks for. */
export type Asked = Pick<CardSpec, 'view' | 'by'>

/**
 * Makes the plan of a family.
 *
 * @param size how large a series is now (rates are not known yet: then its running total); decides order and top.
 * @param before the plan there was, whose order stays.
 * @param find other families, in which the limit of this one may stand.
 */
export function makePlan(family: FamilyInfo, size: Size, before?: Plan, asked: Asked = {}, find: (name: string) => FamilyInfo | undefined = () => undefined): Plan {
  const series = family.series.filter((one) => !one.name.endsWith('_created') || family.name.endsWith('_created'))
  const total = series.length
  const unit = unitOf(family.name, family.unit)
  const kept = linesOf(before)
  if (family.type === 'info' || (METRIC.test(family.name) && family.name.endsWith('_info'))) return { kind: 'chips', chips: chips(series), total }
  if (family.type === 'histogram' || family.type === 'gaugehistogram') {
    const plan = histogram(series, unit, asked)
    if (plan !== null) return plan
    // Of a native histogram the stream has its count and its sum alone.
    const counts = series.filter((one) => one.name.endsWith('_count'))
    if (counts.length > 0) return lines(family, counts, { unit: 'count', rate: true, size, kept, asked, find })
  }
  if (family.type === 'summary') {
    const quantiles = series.filter((one) => 'quantile' in one.labels)
    if (quantiles.length > 0) return { ...lines(family, quantiles, { unit, rate: false, size, kept, asked, find }), summary: 'highest', whole: false }
  }
  if (isMoment(family, series, size)) return { kind: 'age', lines: asLines(series, size, kept, chartRoom(total)), total }
  const state = isState(family, series, size)
  if (state !== undefined && (asked.view === undefined || asked.view === 'states')) {
    return family.type === 'stateset' ? stateSets(family.name, series) : states(series, size, state.bad)
  }
  if (asked.view === 'states' && series.every((one) => [0, 1].includes(size(one.key)) || Number.isNaN(size(one.key)))) return states(series, size, null)
  const rate = isCounter(family)
  if (rate && unit === 'seconds') {
    const split = SPLIT_LABELS.find((label) => series.length > 1 && series.every((one) => label in one.labels))
    if (split !== undefined) {
      if (asked.by === undefined || asked.by === split) return share(series, split, size, kept, asked)
      return lines(family, series.filter((one) => !IDLE.has(one.labels[split] ?? '')), { unit, rate, size, kept, asked, find })
    }
  }
  return lines(family, series, { unit, rate, size, kept, asked, find })
}

export function linesOf(plan: Plan | undefined): readonly Line[] {
  return plan !== undefined && 'lines' in plan ? plan.lines : []
}

interface Lines {
  /** Of the values as exposed. */
  readonly unit: Unit
  readonly rate: boolean
  readonly size: Size
  readonly kept: readonly Line[]
  readonly asked: Asked
  readonly find: (name: string) => FamilyInfo | undefined
}

function lines(family: FamilyInfo, series: readonly SeriesInfo[], { unit, rate, size, kept, asked, find }: Lines): LinesPlan {
  const shown = rate ? rateUnit(unit) : unit
  const { by } = asked
  const highest = !addsUp(shown) && !rate
  const grouped = by === undefined ? null : byLabel(series, by).map((line) => (highest ? { ...line, highest } : line))
  const total = grouped?.length ?? series.length
  const view = asked.view ?? (total > MOST_AS_LINES ? 'bars' : 'lines')
  const room = roomOf(view, total)
  const made = grouped === null ? asLines(series, size, kept, room) : ranked(grouped, size, kept, room)
  return {
    kind: 'lines',
    view,
    rate,
    unit: shown,
    lines: view === 'area' ? withRest(made, grouped?.flatMap((line) => line.keys) ?? series.map((one) => one.key), total) : made,
    summary: total === 1 ? 'last' : (rate && shown !== 'ratio') || view === 'bars' ? 'sum' : 'highest',
    whole: shown === 'count' && series.every((one) => !(size(one.key) % 1 !== 0)),
    total,
    limit: limitOf(family, shown, find),
    ...(by === undefined ? {} : { by }),
  }
}

/** How many lines a view names. */
function roomOf(view: View, total: number): Room {
  switch (view) {
    case 'table':
      return { named: MOST_ROWS, other: 0 }
    case 'bars':
      return { named: MOST_BARS, other: 0 }
    case 'area':
      return { named: total > MOST_IN_COLOUR ? MOST_IN_COLOUR - 1 : total, other: 0 }
    default:
      return chartRoom(total)
  }
}

/** The rest as one grey line, so that a stack is as high as the sum. */
function withRest(made: readonly Line[], all: readonly number[], total: number): readonly Line[] {
  if (made.length >= total) return made
  const named = new Set(made.flatMap((line) => line.keys))
  return [...made, { label: `${total - made.length} others`, keys: all.filter((key) => !named.has(key)), other: false, grey: true }]
}

function states(series: readonly SeriesInfo[], size: Size, bad: 0 | 1 | null): Plan {
  return { kind: 'states', view: 'states', bad, lines: failingFirst(series, size, bad).slice(0, MOST_BARS), total: series.length }
}

/** A row a thing that is in one of several states: the label of the family's name says which. */
function stateSets(name: string, series: readonly SeriesInfo[]): Plan {
  const things = new Map<string, { keys: number[]; states: string[] }>()
  const labels = distinguishing(series).filter((label) => label !== name)
  for (const one of series) {
    const thing = labels.map((label) => one.labels[label] ?? '').join(' ')
    const row = things.get(thing) ?? { keys: [], states: [] }
    row.keys.push(one.key)
    row.states.push(one.labels[name] ?? one.name)
    things.set(thing, row)
  }
  const lines = [...things].map(([thing, { keys, states }]): Line => ({ label: thing === '' ? name : thing, keys, other: false, states }))
  return { kind: 'states', view: 'states', bad: null, lines: lines.slice(0, MOST_BARS), total: lines.length }
}

function share(series: readonly SeriesInfo[], by: string, size: Size, kept: readonly Line[], asked: Asked): Plan {
  const parts = new Set(series.map((one) => Object.entries(one.labels).filter(([label]) => label !== by).map(([label, text]) => `${label}=${text}`).sort().join()))
  const busy = byLabel(series.filter((one) => !IDLE.has(one.labels[by] ?? '')), by)
  const made = ranked(busy, size, kept, { named: MOST_IN_COLOUR, other: 0 })
  const idle = series.some((one) => IDLE.has(one.labels[by] ?? ''))
  return { kind: 'share', view: asked.view ?? 'area', unit: 'ratio', lines: made, parts: parts.size, by, idle, whole: idle ? series.map(({ key }) => key) : [], total: series.length }
}

function histogram(series: readonly SeriesInfo[], unit: Unit, { view, by }: Asked): QuantilePlan | null {
  const buckets = series.filter((one) => one.name.endsWith('_bucket') && boundOf(one) !== null)
  const bounds = [...new Set(buckets.map((one) => boundOf(one) ?? NaN))].sort((a, b) => a - b)
  if (bounds.length < 2) return null
  const byBound = new Map<number, number[]>(bounds.map((bound) => [bound, []]))
  for (const one of buckets) byBound.get(boundOf(one) ?? NaN)?.push(one.key)
  const all: Buckets = [...byBound.values()]
  const sets = new Set(series.map((one) => Object.entries(one.labels).filter(([label]) => label !== 'le').join(';')))
  const plan = { kind: 'quantiles', unit, bounds, buckets: all } as const
  if (by === undefined) {
    const lines = QUANTILES.map((q): QuantileLine => ({ label: `p${q * 100}`, keys: [], other: false, q, buckets: all }))
    return { ...plan, view: view ?? 'heatmap', lines, total: sets.size }
  }
  const groups = [...byLabel(buckets, by)].sort((a, b) => (a.label < b.label ? -1 : 1))
  const lines = groups.slice(0, view === 'table' ? MOST_ROWS : MOST_IN_COLOUR).map(({ label, keys }): QuantileLine => {
    const own = new Set(keys)
    return { label, keys: [], other: false, q: QUANTILES[0], buckets: all.map((bucket) => bucket.filter((key) => own.has(key))) }
  })
  return { ...plan, view: view ?? 'lines', lines, by, total: groups.length }
}

function boundOf({ labels: { le } }: SeriesInfo): number | null {
  const bound = le === '+Inf' ? Infinity : Number(le)
  return le === undefined || Number.isNaN(bound) ? null : bound
}

function failingFirst(series: readonly SeriesInfo[], value: Size, bad: 0 | 1 | null): readonly Line[] {
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
