/**
 * How much a family changes now, against how it was in the minutes before: what a person sees as a step or a bend in one
 * of its lines. The last 15 seconds are one number, the time before is cut into pieces of 15 seconds, a number each; the
 * distance of the last from the mean of those, in standard deviations, is the score. So what always swings scores low.
 */
import type { Columns } from './columns'
import type { SeriesInfo } from './store'

export const PIECE_MS = 15_000
const PIECES = 20
/** Fewer than so many pieces say nothing. */
const FEWEST = 4
/** A score from which a family is one that changes now. */
export const CHANGING = 4
/** A tenth of the mean is the least that counts as its spread, so that a still line is not judged by its last digit. */
const LEAST_SPREAD = 0.1
/** Of larger families so many series are looked at, evenly chosen. */
const MOST_SERIES = 64

/** The score of the series that changes most; 0 while too little is known. */
export function changeOf(columns: Columns, series: readonly SeriesInfo[], counter: boolean, now: number): number {
  const step = Math.max(1, Math.ceil(series.length / MOST_SERIES))
  let greatest = 0
  for (let i = 0; i < series.length; i += step) {
    const column = columns.column(series[i]?.key ?? -1)
    if (column !== undefined) greatest = Math.max(greatest, changeOfColumn(columns, column, counter, now))
  }
  return greatest
}

function changeOfColumn(columns: Columns, column: Float64Array, counter: boolean, now: number): number {
  const last = piece(columns, column, counter, now - PIECE_MS, now)
  if (Number.isNaN(last)) return 0
  let count = 0
  let sum = 0
  let squares = 0
  for (let p = 1; p < PIECES; p++) {
    const value = piece(columns, column, counter, now - (p + 1) * PIECE_MS, now - p * PIECE_MS)
    if (Number.isNaN(value)) continue
    count++
    sum += value
    squares += value * value
  }
  if (count < FEWEST) return 0
  const mean = sum / count
  const spread = Math.sqrt(Math.max(0, squares / count - mean * mean))
  const least = LEAST_SPREAD * Math.max(Math.abs(mean), Math.abs(last) / 10)
  const against = Math.max(spread, least)
  return against === 0 ? 0 : Math.abs(last - mean) / against
}

/** A counter's rate over a piece of time, or the mean of a few values of a gauge; NaN without any. */
function piece(columns: Columns, column: Float64Array, counter: boolean, from: number, to: number): number {
  const first = columns.indexAt(from)
  const end = columns.indexAt(to + 1) - 1
  if (end <= first) return NaN
  if (counter) {
    const seconds = ((columns.times[end] ?? 0) - (columns.times[first] ?? 0)) / 1000
    const moved = (column[end] ?? NaN) - (column[first] ?? NaN)
    // Below zero it was reset; how much it counted since is not worth a search here.
    return seconds > 0 && moved >= 0 ? moved / seconds : NaN
  }
  const stride = Math.max(1, Math.floor((end - first) / 4))
  let sum = 0
  let count = 0
  for (let i = first; i <= end; i += stride) {
    const value = column[i] ?? NaN
    if (Number.isFinite(value)) {
      sum += value
      count++
    }
  }
  return count === 0 ? NaN : sum / count
}
