/**
 * The numbers of a plan's lines over rows of the columns: rates, shares and quantiles, into arrays the caller keeps.
 *
 * Rows run from `from` to `to` (exclusive). Each function fills `out[0 .. to-from)`.
 */
import type { Columns } from './columns'
import type { Line } from './lines'
import type { Plan, QuantilePlan, SharePlan } from './plan'

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

/** The highest of the values of `keys`, or of their rates; NaN where none has one. */
function highest(columns: Columns, keys: readonly number[], rate: boolean, from: number, to: number, out: Float64Array): void {
  out.fill(NaN, 0, to - from)
  const one = new Float64Array(to - from)
  for (const key of keys) {
    sums(columns, [key], rate, from, to, one)
    for (let i = 0; i < one.length; i++) {
      const value = one[i] ?? NaN
      if (!Number.isNaN(value) && !(value <= (out[i] ?? NaN))) out[i] = value
    }
  }
}

function sums(columns: Columns, keys: readonly number[], rate: boolean, from: number, to: number, out: Float64Array): void {
  if (rate) rates(columns, keys, from, to, out)
  else values(columns, keys, from, to, out)
}

/** The numbers of one line, of values or of rates. What lies below zero is told without a minus. */
export function lineNumbers(columns: Columns, line: Line, rate: boolean, from: number, to: number, out: Float64Array): void {
  if (line.states !== undefined) whichState(columns, line.keys, from, to, out)
  else if (line.highest === true) highest(columns, line.keys, rate, from, to, out)
  else sums(columns, line.keys, rate, from, to, out)
  if (line.minus === undefined) return
  const less = new Float64Array(to - from)
  sums(columns, line.minus, rate, from, to, less)
  for (let i = 0; i < less.length; i++) out[i] = (out[i] ?? NaN) - (less[i] ?? NaN)
}

/** The place of the series that is 1; NaN where none is. */
function whichState(columns: Columns, keys: readonly number[], from: number, to: number, out: Float64Array): void {
  out.fill(NaN, 0, to - from)
  keys.forEach((key, state) => {
    const column = columns.column(key)
    for (let i = from; i < to; i++) if (column?.[i] === 1) out[i - from] = state
  })
}

/** Whether the lines of a plan are rates of what its series count. */
export function isRate(plan: Plan): boolean {
  return plan.kind === 'share' || (plan.kind === 'lines' && plan.rate)
}

/** The numbers of all lines of a plan, an `out` each. */
export function planNumbers(columns: Columns, plan: Extract<Plan, { lines: readonly Line[] }>, from: number, to: number, outs: readonly Float64Array[]): void {
  if (plan.kind === 'quantiles') {
    if (plan.by === undefined) {
      quantiles(columns, plan, plan.lines.map((line) => line.q), from, to, outs)
      return
    }
    plan.lines.forEach(({ q, buckets }, i) => {
      const out = outs[i]
      if (out !== undefined) quantiles(columns, { bounds: plan.bounds, buckets }, [q], from, to, [out])
    })
    return
  }
  const rate = isRate(plan)
  plan.lines.forEach((line, i) => {
    const out = outs[i]
    if (out === undefined) return
    lineNumbers(columns, line, rate, from, to, out)
  })
  if (plan.kind === 'share') shares(columns, plan, from, to, outs)
}

/** Makes seconds a second to shares: of the time that all modes have together, else of the time between two rows. */
function shares(columns: Columns, { whole, parts }: SharePlan, from: number, to: number, outs: readonly Float64Array[]): void {
  const all = new Float64Array(to - from).fill(parts)
  if (whole.length > 0) rates(columns, whole, from, to, all)
  for (const out of outs) for (let r = 0; r < to - from; r++) out[r] = (out[r] ?? NaN) / ((all[r] ?? NaN) > 0 ? (all[r] ?? NaN) : parts)
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
  plan: Pick<QuantilePlan, 'bounds' | 'buckets'>,
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
  plan: Pick<QuantilePlan, 'bounds' | 'buckets'>,
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
