/** How values are spread: counts a bucket of a histogram, or of plain values, now and usually. */
import type { Columns } from './columns'
import { observations } from './derive'
import type { QuantilePlan } from './plan'

/** Counts a slot. `bounds[i]` is the upper end of slot i; the lower is `bounds[i - 1]`, or `low`. */
export interface Spread {
  readonly low: number
  readonly bounds: readonly number[]
  readonly now: Float64Array
  /** The whole window, scaled to as many as now. */
  readonly usual: Float64Array
}

/** What counts as now (ms). */
export const NOW_MS = 60_000
const SLOTS = 20

/** Observations of a histogram, cropped to the buckets in use. */
export function bucketSpread(columns: Columns, plan: Pick<QuantilePlan, 'bounds' | 'buckets'>, first: number, last: number, nowFrom: number): Spread {
  const now = new Float64Array(plan.bounds.length)
  const all = new Float64Array(plan.bounds.length)
  observations(columns, plan, first, last, (row, bucket, count) => {
    all[bucket] = (all[bucket] ?? 0) + count
    if ((columns.times[row] ?? 0) > nowFrom) now[bucket] = (now[bucket] ?? 0) + count
  })
  let from = all.findIndex((count) => count > 0)
  let to = all.findLastIndex((count) => count > 0)
  if (from < 0) [from, to] = [0, plan.bounds.length - 1]
  else [from, to] = [Math.max(0, from - 1), Math.min(plan.bounds.length - 1, to + 1)]
  const lowest = plan.bounds[from - 1] ?? Math.min(0, plan.bounds[0] ?? 0)
  return scaled(lowest, plan.bounds.slice(from, to + 1), now.slice(from, to + 1), all.slice(from, to + 1))
}

/** Values in equal slots of a round width. */
export function valueSpread(lines: readonly Float64Array[], times: Float64Array, nowFrom: number): Spread {
  let least = Infinity
  let greatest = -Infinity
  for (const line of lines) {
    for (const value of line) {
      if (!Number.isFinite(value)) continue
      if (value < least) least = value
      if (value > greatest) greatest = value
    }
  }
  if (least > greatest) return { low: 0, bounds: [1], now: new Float64Array(1), usual: new Float64Array(1) }
  const width = roundWidth(greatest === least ? Math.abs(least) || 1 : (greatest - least) / SLOTS)
  const low = Math.floor(least / width) * width
  const slots = Math.max(1, Math.floor((greatest - low) / width) + 1)
  const bounds = Array.from({ length: slots }, (_, i) => Number((low + (i + 1) * width).toPrecision(12)))
  const now = new Float64Array(slots)
  const all = new Float64Array(slots)
  for (const line of lines) {
    line.forEach((value, row) => {
      if (!Number.isFinite(value)) return
      const slot = Math.min(slots - 1, Math.floor((value - low) / width))
      all[slot] = (all[slot] ?? 0) + 1
      if ((times[row] ?? 0) > nowFrom) now[slot] = (now[slot] ?? 0) + 1
    })
  }
  return scaled(low, bounds, now, all)
}

function scaled(low: number, bounds: readonly number[], now: Float64Array, all: Float64Array): Spread {
  const sum = (counts: Float64Array) => counts.reduce((so, one) => so + one, 0)
  const total = sum(all)
  const share = total > 0 ? sum(now) / total : 0
  return { low, bounds, now, usual: all.map((count) => count * share) }
}

/** The next 1, 2 or 5 × 10ⁿ. */
function roundWidth(width: number): number {
  const unit = 10 ** Math.floor(Math.log10(width))
  return ([1, 2, 5].find((step) => step * unit >= width * (1 - 1e-9)) ?? 10) * unit
}
