/**
 * Points of series as the history has them, each with times of its own, made the rows of a `Columns`: as the store makes them
 * of the stream, so that past and present are of one kind.
 */
import type { Points } from '../../client/index'
import { Columns } from './columns'

/** A time without points wider than this many intervals is a gap and never bridged. */
export const GAP_INTERVALS = 2.5
/**
 * Points nearer to the last row than this many intervals make no row: a scrape makes the server tick between two ticks
 * of its timer, and a rate over a few milliseconds is noise as high as a tower. Their values are in the next row.
 */
export const ROW_INTERVALS = 0.5

/** How a series is gone through: where one is, and how long its last value holds. */
interface Reading {
  readonly points: Points
  readonly hold: number
  at: number
}

/** @param interval how far apart rows are where nothing is missing (ms), at least. */
export function rowsOf(series: ReadonlyMap<number, Points>, interval: number): Columns {
  const columns = new Columns(Infinity)
  const times = allTimes(series)
  // Sources that are collected less often than others have fewer points.
  const usual = Math.max(interval, spacing(times))
  const readings = new Map<number, Reading>()
  for (const [key, points] of series) {
    columns.add(key)
    readings.set(key, { points, hold: GAP_INTERVALS * Math.max(usual, spacing(points.times)), at: -1 })
  }
  let last = -Infinity
  for (const time of times) {
    if (time - last < ROW_INTERVALS * interval) continue
    if (last !== -Infinity && time - last > GAP_INTERVALS * usual) columns.push(last + 1, () => NaN)
    columns.push(time, (key) => valueAt(readings.get(key), time))
    last = time
  }
  return columns
}

/** The last value at or before `time`, if it still holds; NaN without one. */
function valueAt(reading: Reading | undefined, time: number): number {
  if (reading === undefined) return NaN
  const { times, values } = reading.points
  while (reading.at + 1 < times.length && (times[reading.at + 1] ?? Infinity) <= time) reading.at++
  if (reading.at < 0 || time - (times[reading.at] ?? 0) > reading.hold) return NaN
  return values[reading.at] ?? NaN
}

function allTimes(series: ReadonlyMap<number, Points>): Float64Array {
  const seen = new Set<number>()
  for (const { times } of series.values()) for (const time of times) seen.add(time)
  return Float64Array.from(seen).sort()
}

/** The distance in the middle between two times; 0 with fewer than two. */
export function spacing(times: Float64Array): number {
  if (times.length < 2) return 0
  const apart = times.slice(1).map((time, i) => time - (times[i] ?? 0)).sort()
  return apart[apart.length >> 1] ?? 0
}
