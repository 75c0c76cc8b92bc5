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
/** A tenth of what it is, or was, is the least that counts as its spread, so that a still line is not judged by its last digit. */
const LEAST_SPREAD = 0.1
/** Of larger families so many series are looked at, evenly chosen. */
const MOST_SERIES = 64

/** The pieces of time that end now, as rows of the columns: where each begins and ends (inclusive). The newest is the first. */
export interface Pieces {
  readonly begins: readonly number[]
  readonly ends: readonly number[]
}

export function piecesOf(columns: Columns, now: number): Pieces {
  const begins: number[] = []
  const ends: number[] = []
  for (let p = 0; p < PIECES; p++) {
    begins.push(columns.indexAt(now - (p + 1) * PIECE_MS))
    ends.push(columns.indexAt(now - p * PIECE_MS + 1) - 1)
  }
  return { begins, ends }
}

/** The score of the series that changes most; 0 while too little is known. */
export function changeOf(columns: Columns, pieces: Pieces, series: readonly SeriesInfo[], counter: boolean): number {
  const step = Math.max(1, Math.ceil(series.length / MOST_SERIES))
  let greatest = 0
  for (let i = 0; i < series.length; i += step) {
    const column = columns.column(series[i]?.key ?? -1)
    if (column !== undefined) greatest = Math.max(greatest, changeOfColumn(columns.times, pieces, column, counter))
  }
  return greatest
}

function changeOfColumn(times: Float64Array, { begins, ends }: Pieces, column: Float64Array, counter: boolean): number {
  const piece = (p: number) => (counter ? rateOf : meanOf)(times, column, begins[p] ?? 0, ends[p] ?? -1)
  const last = piece(0)
  if (Number.isNaN(last)) return 0
  let count = 0
  let sum = 0
  let squares = 0
  for (let p = 1; p < PIECES; p++) {
    const value = piece(p)
    if (Number.isNaN(value)) continue
    count++
    sum += value
    squares += value * value
  }
  if (count < FEWEST) return 0
  const mean = sum / count
  const spread = Math.sqrt(Math.max(0, squares / count - mean * mean))
  // Of what was still, a change is measured by its own size.
  const against = Math.max(spread, LEAST_SPREAD * Math.max(Math.abs(mean), Math.abs(last)))
  return against === 0 ? 0 : Math.abs(last - mean) / against
}

/** A counter's rate over a piece. Below zero it was reset; what it counted since is not worth a search here. */
function rateOf(times: Float64Array, column: Float64Array, first: number, last: number): number {
  const seconds = ((times[last] ?? NaN) - (times[first] ?? NaN)) / 1000
  const moved = (column[last] ?? NaN) - (column[first] ?? NaN)
  return seconds > 0 && moved >= 0 ? moved / seconds : NaN
}

/** The mean of a few values of a gauge. */
function meanOf(_: Float64Array, column: Float64Array, first: number, last: number): number {
  if (last < first) return NaN
  const stride = Math.max(1, Math.floor((last - first) / 4))
  let sum = 0
  let count = 0
  for (let i = first; i <= last; i += stride) {
    const value = column[i] ?? NaN
    if (!Number.isFinite(value)) continue
    sum += value
    count++
  }
  return count === 0 ? NaN : sum / count
}
