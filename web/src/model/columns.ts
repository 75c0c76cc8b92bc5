/**
 * The samples of one channel: one column of times, one column of values a series, all of one length.
 *
 * A window of a column is a `subarray`, never a copy. Columns are appended to and, when full, moved or thinned in
 * place, rather than kept as rings written twice: it takes half the memory, times may be spaced unevenly, and older
 * points can be thinned where there are too many series for an hour at full pace. Both cost one `memmove` of the
 * columns each few hundred ticks.
 *
 * Values are as exposed (a counter is its running total), so that a rate over thinned points is still the true mean
 * rate. NaN is "no value": before a series began, while it is stale, and at a gap.
 */

/** The longest window, in milliseconds; older points are of no use. */
export const LONGEST_MS = 3_600_000
/** Values kept in all: 500 series of an hour at one a second, 14.4 MB. */
export const BUDGET = 500 * 3600
/** However many series there are, each keeps so many points: four minutes at one a second. */
const FEWEST = 240
/** However few series there are: an hour at four a second. */
const MOST = 4 * 3600
const FIRST = 128

export class Columns {
  /** Milliseconds since 1970, ascending; the first `length` hold. */
  times = new Float64Array(FIRST)
  length = 0
  private readonly columns = new Map<number, Float64Array>()
  private room = FIRST

  /** @param budget values kept in all, over all series. */
  constructor(private readonly budget = BUDGET) {}

  /** How many points each series may keep with as many series as there are now. */
  get limit(): number {
    return Math.max(FEWEST, Math.min(MOST, Math.floor(this.budget / Math.max(1, this.columns.size))))
  }

  get size(): number {
    return this.columns.size
  }

  /** Begins a series, without values so far. Without effect if it is known. */
  add(series: number): void {
    if (!this.columns.has(series)) this.columns.set(series, new Float64Array(this.room).fill(NaN))
  }

  remove(series: number): void {
    this.columns.delete(series)
  }

  /** The column of a series; the first `length` hold. The array is another one after a `push` that grew it. */
  column(series: number): Float64Array | undefined {
    return this.columns.get(series)
  }

  /**
   * Appends a row at `time`, with `value(series)` for each series. Times ascend: rows at or after `time`, as there are
   * when the server's clock was set back, are replaced.
   */
  push(time: number, value: (series: number) => number): void {
    const last = this.times[this.length - 1]
    if (this.length > 0 && last !== undefined && time <= last) this.length = this.indexAt(time)
    if (this.length >= this.room) this.makeRoom(time)
    const i = this.length
    this.times[i] = time
    for (const [series, column] of this.columns) column[i] = value(series)
    this.length = i + 1
  }

  /** The first row at or after `time`; `length` if there is none. */
  indexAt(time: number): number {
    let low = 0
    let high = this.length
    while (low < high) {
      const middle = (low + high) >> 1
      if ((this.times[middle] ?? Infinity) < time) low = middle + 1
      else high = middle
    }
    return low
  }

  /** Does no series have a value in this row? So are the rows that break lines at a gap. */
  empty(row: number): boolean {
    for (const column of this.columns.values()) if (!Number.isNaN(column[row] ?? NaN)) return false
    return true
  }

  private makeRoom(now: number): void {
    const limit = this.limit
    if (this.room < limit) {
      this.resize(Math.min(limit, this.room * 2))
      return
    }
    const old = this.indexAt(now - LONGEST_MS)
    // Moving less than an eighth would soon have to be done again.
    if (old >= this.room / 8) this.keep((i) => i >= old)
    // The newest quarter stays as it is, of the older every second point goes, but none that breaks the lines.
    else this.keep((i) => i >= this.room * 0.75 || i % 2 === 0 || this.empty(i))
    if (this.room > limit) {
      // More series than before share the budget: cut to the newest.
      const cut = Math.max(0, this.length - Math.floor(limit * 0.75))
      this.keep((i) => i >= cut)
      this.resize(limit)
    }
  }

  private keep(wanted: (row: number) => boolean): void {
    const rows: number[] = []
    for (let i = 0; i < this.length; i++) if (wanted(i)) rows.push(i)
    const compact = (column: Float64Array) => {
      for (let i = 0; i < rows.length; i++) column[i] = column[rows[i] ?? 0] ?? NaN
    }
    compact(this.times)
    for (const column of this.columns.values()) compact(column)
    this.length = rows.length
  }

  private resize(room: number): void {
    const moved = (column: Float64Array) => {
      const next = new Float64Array(room).fill(NaN)
      next.set(column.subarray(0, Math.min(this.length, room)))
      return next
    }
    this.times = moved(this.times)
    for (const [series, column] of this.columns) this.columns.set(series, moved(column))
    this.room = room
  }
}
