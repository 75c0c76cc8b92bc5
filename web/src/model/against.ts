/** Two series against each other: points of the same time, and how much they go together. */
import type { Columns } from './columns'

export interface Cloud {
  readonly times: Float64Array
  readonly xs: Float64Array
  readonly ys: Float64Array
}

/** Points of `ys` (at `times`) with the value of `x` nearest in time, at most `reachMs` away; others are left out. */
export function joined(times: Float64Array, ys: Float64Array, xTimes: Columns, x: Float64Array, xFirst: number, reachMs: number): Cloud {
  const n = times.length
  const cloud = { times: new Float64Array(n), xs: new Float64Array(n), ys: new Float64Array(n) }
  let count = 0
  let j = 0
  for (let i = 0; i < n; i++) {
    const time = times[i] ?? 0
    const at = (row: number) => xTimes.times[xFirst + row] ?? Infinity
    while (j + 1 < x.length && Math.abs(at(j + 1) - time) <= Math.abs(at(j) - time)) j++
    const y = ys[i] ?? NaN
    const value = x[j] ?? NaN
    if (!Number.isFinite(y) || !Number.isFinite(value) || Math.abs(at(j) - time) > reachMs) continue
    cloud.times[count] = time
    cloud.xs[count] = value
    cloud.ys[count] = y
    count++
  }
  return { times: cloud.times.subarray(0, count), xs: cloud.xs.subarray(0, count), ys: cloud.ys.subarray(0, count) }
}

/** Pearson's correlation, −1 to 1; NaN where one of them does not move, or of fewer than three points. */
export function correlation(xs: Float64Array, ys: Float64Array): number {
  const n = xs.length
  if (n < 3) return NaN
  const mean = (values: Float64Array) => values.reduce((sum, value) => sum + value, 0) / n
  const mx = mean(xs)
  const my = mean(ys)
  let xy = 0
  let xx = 0
  let yy = 0
  for (let i = 0; i < n; i++) {
    const dx = (xs[i] ?? 0) - mx
    const dy = (ys[i] ?? 0) - my
    xy += dx * dy
    xx += dx * dx
    yy += dy * dy
  }
  return xx > 0 && yy > 0 ? xy / Math.sqrt(xx * yy) : NaN
}
