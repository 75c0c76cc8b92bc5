/**
 * The series of a family as rows of a table: one a series, or one for each value of a label, and the numbers of each over
 * a window.
 */
import type { Unit } from '../format/number'
import { quantile, quantiles, rates, values } from './derive'
import type { Columns } from './columns'
import { distinguishing } from './lines'
import { makePlan } from './plan'
import type { Plan } from './plan'
import type { FamilyInfo, SeriesInfo } from './store'

export interface Row {
  readonly id: string
  /** A text for each of the table's label columns. */
  readonly labels: readonly string[]
  readonly keys: readonly number[]
  /** Of a histogram: the sums of what was observed. */
  readonly sums: readonly number[]
  /** Of a histogram. */
  readonly plan: Extract<Plan, { kind: 'quantiles' }> | null
}

/** What the columns of numbers are. */
export interface Shape {
  readonly labels: readonly string[]
  readonly rows: readonly Row[]
  readonly rate: boolean
  /** What the numbers are divided by: of a share of time so many parts make the whole. */
  readonly parts: number
  readonly unit: Unit
  readonly stats: readonly Stat[]
}

export type Stat = 'now' | 'min' | 'mean' | 'max' | 'p99' | 'p50' | 'per second'

const OF_VALUES: readonly Stat[] = ['now', 'min', 'mean', 'max']
const OF_HISTOGRAMS: readonly Stat[] = ['p99', 'p50', 'mean', 'per second']

/** @param by the label whose values are the rows; empty for a row a series. */
export function shapeOf(family: FamilyInfo, by: string, value: (key: number) => number): Shape {
  const plan = makePlan(family, value)
  const histogram = plan.kind === 'quantiles'
  const series = family.series.filter(({ name }) => !name.endsWith('_created') || family.name.endsWith('_created'))
  const rate = plan.kind === 'share' || ('rate' in plan && plan.rate)
  // A share is one of time; a single series of it is still seconds a second.
  const unit = 'unit' in plan ? plan.unit : 'count'
  const labels = by !== '' ? [by] : labelsOf(series, histogram)
  const groups = new Map<string, { readonly labels: readonly string[]; readonly series: SeriesInfo[] }>()
  for (const one of series) {
    const own = labels.map((label) => (label === '__name__' ? one.name : (one.labels[label] ?? '')))
    const id = JSON.stringify(own)
    const group = groups.get(id)
    if (group === undefined) groups.set(id, { labels: own, series: [one] })
    else group.series.push(one)
  }
  const rows = [...groups].map(([id, group]): Row => {
    const own = histogram ? makePlan({ ...family, series: group.series }, value) : null
    const sums = histogram ? group.series.filter(({ name }) => name.endsWith('_sum')) : []
    return { id, labels: group.labels, keys: group.series.map(({ key }) => key), sums: sums.map(({ key }) => key), plan: own?.kind === 'quantiles' ? own : null }
  })
  const parts = plan.kind === 'share' && by === plan.by ? plan.parts : 1
  return { labels, rows, rate, parts, unit, stats: histogram ? OF_HISTOGRAMS : OF_VALUES }
}

/** Labels by which rows differ; of what is called differently the name first. */
function labelsOf(series: readonly SeriesInfo[], histogram: boolean): readonly string[] {
  if (histogram) return distinguishing(series).filter((label) => label !== 'le')
  const labels = distinguishing(series)
  const names = new Set(series.map(({ name }) => name))
  // What is alone, and has a name, is called by it.
  return names.size > 1 || (labels.length === 0 && !names.has('')) ? ['__name__', ...labels] : labels
}

/** The line of a row, for its sparkline: of a histogram its p99. */
export function fillRow(columns: Columns, row: Row, { rate, parts }: Shape, from: number, to: number, out: Float64Array): void {
  if (row.plan !== null) quantiles(columns, row.plan, [0.99], from, to, [out])
  else if (rate) rates(columns, row.keys, from, to, out)
  else values(columns, row.keys, from, to, out)
  if (parts > 1) for (let i = 0; i < to - from; i++) out[i] = (out[i] ?? NaN) / parts
}

let scratch = new Float64Array(512)

/** The numbers of a row over the rows of the columns from `from` to `to` (exclusive), one a stat of its shape; NaN where there are none. */
export function statsOf(columns: Columns, row: Row, shape: Shape, from: number, to: number): readonly number[] {
  if (row.plan !== null) return ofHistogram(columns, row.plan, row.sums, from, to)
  const count = to - from
  if (count <= 0) return [NaN, NaN, NaN, NaN]
  if (scratch.length < count) scratch = new Float64Array(count * 2)
  fillRow(columns, row, shape, from, to, scratch)
  let least = Infinity
  let greatest = -Infinity
  let sum = 0
  let n = 0
  for (let i = 0; i < count; i++) {
    const value = scratch[i] ?? NaN
    if (Number.isNaN(value)) continue
    least = Math.min(least, value)
    greatest = Math.max(greatest, value)
    sum += value
    n++
  }
  if (n === 0) return [NaN, NaN, NaN, NaN]
  return [scratch[count - 1] ?? NaN, least, sum / n, greatest]
}

/** p99, p50, mean and how many a second, of all that was observed in these rows. */
function ofHistogram(columns: Columns, plan: Extract<Plan, { kind: 'quantiles' }>, sums: readonly number[], from: number, to: number): readonly number[] {
  const counts = Float64Array.from(plan.buckets, (some) => grown(columns, some, from, to))
  const observed = counts.at(-1) ?? NaN
  const first = columns.times[Math.max(0, from)] ?? NaN
  const seconds = ((columns.times[to - 1] ?? NaN) - first) / 1000
  const sum = sums.length === 0 ? NaN : grown(columns, sums, from, to)
  return [quantile(0.99, plan.bounds, counts), quantile(0.5, plan.bounds, counts), observed > 0 ? sum / observed : NaN, seconds > 0 ? observed / seconds : NaN]
}

/** By how much counters went up. */
function grown(columns: Columns, keys: readonly number[], from: number, to: number): number {
  let sum = 0
  for (const key of keys) {
    const column = columns.column(key)
    if (column === undefined) continue
    let before = NaN
    for (let i = from; i < to; i++) {
      const now = column[i] ?? NaN
      if (Number.isNaN(now)) continue
      if (!Number.isNaN(before)) sum += now >= before ? now - before : now
      before = now
    }
  }
  return sum
}

/** The order of rows by a column: a label's text, or a number, the greatest first. Rows without a number come last. */
export function ordered(rows: readonly Row[], numbers: (row: Row) => number | string, descending: boolean): readonly Row[] {
  const found = rows.map((row) => ({ row, by: numbers(row) }))
  const text = new Intl.Collator('en', { numeric: true })
  found.sort((a, b) => {
    if (typeof a.by === 'string' || typeof b.by === 'string') return text.compare(String(a.by), String(b.by)) * (descending ? -1 : 1)
    const [without, other] = [Number.isNaN(a.by), Number.isNaN(b.by)]
    if (without || other) return Number(without) - Number(other)
    return (a.by - b.by) * (descending ? -1 : 1) || text.compare(a.row.id, b.row.id)
  })
  return found.map(({ row }) => row)
}
