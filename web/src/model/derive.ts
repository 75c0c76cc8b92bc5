/**
 * The numbers of a plan's lines over rows of the columns: rates, shares and quantiles, into arrays the caller keeps.
 *
 * Rows run from `from` to `to` (exclusive). Each function fills `out[0 .. to-from)`.
 */
import type { Columns } from './columns'
import type { Plan } from './plan'

/**
 * A quantile is that of the observations of the last so many milliseconds: in one second there are often too few to
 * have a 99th percentile.
 */
export const QUANTILE_SPAN_MS = 15_000

/** Sum of the values of `keys`; NaN where none has one. */
export function values(columns: Columns, keys: readonly number[], from: number, to: number, out: Float64Array): void {
  out.fill(NaN, 0, to - from)
  for (const key of keys) {
    const column = columns.column(key)
    if (column === undefined) continue
    for (let i = from; i < to; i++) {
      const value = column[i] ?? NaN
      if (!Number.isNaN(value)) add(out, i - from, value)
    }
  }
}

/**
 * Sum of the rates per second of `keys` between each row and the one before. A counter that went down was reset: what
 * it shows now is what it has counted since, so a rate is never negative.
 */
export function rates(columns: Columns, keys: readonly number[], from: number, to: number, out: Float64Array): void {
  out.fill(NaN, 0, to - from)
  const times = columns.times
  for (const key of keys) {
    const column = columns.column(key)
    if (column === undefined) continue
    for (let i = Math.max(1, from); i < to; i++) {
      const value = column[i] ?? NaN
      const before = column[i - 1] ?? NaN
      const seconds = ((times[i] ?? 0) - (times[i - 1] ?? 0)) / 1000
      if (Number.isNaN(value) || Number.isNaN(before) || seconds <= 0) continue
      add(out, i - from, (value >= before ? value - before : value) / seconds)
    }
  }
}

/** The quantile `q` (0..1) of the observations between two cumulative counts a bucket, by linear interpolation inside
 * the bucket, as `histogram_quantile` has it: the lowest bucket begins at 0, the highest bound stands for +Inf. NaN
 * without observations. */
export function quantile(q: number, bounds: readonly number[], counts: Float64Array): number {
  const n = bounds.length
  const total = counts[n - 1] ?? 0
  if (!(total > 0)) return NaN
  const rank = q * total
  let i = 0
  while (i < n - 1 && (counts[i] ?? 0) < rank) i++
  const upper = bounds[i] ?? NaN
  if (upper === Infinity) return bounds[n - 2] ?? NaN
  const lower = i === 0 ? Math.min(0, upper) : (bounds[i - 1] ?? 0)
  const below = i === 0 ? 0 : (counts[i - 1] ?? 0)
  const inside = (counts[i] ?? 0) - below
  return inside <= 0 ? upper : lower + ((upper - lower) * (rank - below)) / inside
}

/**
 * Gives, for each row, how many observations fell into each bucket since the row before: `each(row, bucket, count)`, where
 * there are any. Buckets are cumulative; what lies between two bounds is their difference.
 */
export function observations(
  columns: Columns,
  plan: Extract<Plan, { kind: 'quantiles' }>,
  from: number,
  to: number,
  each: (row: number, bucket: number, count: number) => void,
): void {
  const columnsOf = plan.buckets.map((keys) => keys.map((key) => columns.column(key)))
  for (let i = Math.max(1, from); i < to; i++) {
    let below = 0
    for (let b = 0; b < columnsOf.length; b++) {
      let sum = 0
      for (const column of columnsOf[b] ?? []) {
        const now = column?.[i] ?? NaN
        const before = column?.[i - 1] ?? NaN
        if (Number.isNaN(now) || Number.isNaN(before)) continue
        sum += now >= before ? now - before : now
      }
      // A scrape between two buckets can leave the higher with fewer.
      if (sum > below) each(i, b, sum - below)
      below = Math.max(below, sum)
    }
  }
}

/** Quantiles of a histogram plan, one `out` a quantile of `qs`. */
export function quantiles(
  columns: Columns,
  plan: Extract<Plan, { kind: 'quantiles' }>,
  qs: readonly number[],
  from: number,
  to: number,
  outs: readonly Float64Array[],
): void {
  const { bounds, buckets } = plan
  const counts = new Float64Array(bounds.length)
  const columnsOf = buckets.map((keys) => keys.map((key) => columns.column(key)))
  for (let i = from; i < to; i++) {
    const start = Math.max(0, Math.min(i - 1, columns.indexAt((columns.times[i] ?? 0) - QUANTILE_SPAN_MS)))
    for (let b = 0; b < counts.length; b++) {
      let sum = 0
      for (const column of columnsOf[b] ?? []) {
        if (column === undefined) continue
        const now = column[i] ?? NaN
        // A series that began within the span has counted from nothing.
        const before = column[start] ?? NaN
        if (Number.isNaN(now)) continue
        sum += Number.isNaN(before) ? 0 : now >= before ? now - before : now
      }
      counts[b] = sum
    }
    qs.forEach((q, k) => {
      const out = outs[k]
      if (out !== undefined) out[i - from] = quantile(q, bounds, counts)
    })
  }
}

function add(out: Float64Array, i: number, value: number): void {
  const so = out[i] ?? NaN
  out[i] = Number.isNaN(so) ? value : so + value
}
