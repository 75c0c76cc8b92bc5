/**
 * The window of one card, whole: the live columns of its source where those have it, and what was fetched from the server's
 * history where they do not (before the page was opened, while it was offline, while it looks further back).
 *
 * As long as the live columns have the window, they are it, and nothing is kept. Else the pieces are put together into columns
 * of the card's own, once, and each new live row is added to them. What is missing even then is a gap: it is never bridged, and
 * `missing` says from when to when.
 */
import { Columns } from './columns'
import { GAP_INTERVALS, ROW_INTERVALS, spacing } from './rows'
import { holes, overlap } from './span'
import type { Span } from './span'

/** Where the live rows are. */
export interface Live {
  readonly columns: Columns
  /** Times in which no row came, oldest first. */
  readonly gaps: readonly Span[]
  readonly lastTime: number
  readonly intervalMs: number
}

/** What was fetched: the rows of a span, some or none. */
export interface Piece extends Span {
  readonly columns: Columns
  /** How far apart its rows are (ms). */
  readonly step: number
}

/** A piece whose rows are so many times farther apart than they could be is fetched anew. */
const COARSE = 4

/** So many rows tell how far apart rows are. */
const SAMPLE = 30
/** So far before the window rows are of use: a quantile is that of the last 15 s, a rate that since the row before. */
export const LEAD_MS = 20_000

export class Timeline {
  /** What is missing in the window, oldest first: nobody has it, or it is not here yet. */
  missing: readonly Span[] = []
  private pieces: readonly Piece[] = []
  /** Pieces and live rows together; null while the live rows are enough. */
  private joined: Columns | null = null
  private joinedKeys = 0
  private joinedFrom = 0
  private joinedTo = 0
  /** The newest live row that is in `joined`. */
  private liveUntil = 0
  /** How far apart the rows are that were added last. */
  private apart = 0

  constructor(
    private readonly live: Live,
    /** The series that are of use. */
    private readonly keys: () => readonly number[],
  ) {}

  /**
   * The rows of a window, as far as they are known.
   *
   * @param step how far apart rows of this window are when they are fetched.
   */
  columns(window: Span, step: number): Columns {
    const wanted = { from: window.from - LEAD_MS, to: window.to }
    const kept = this.pieces.filter((piece) => overlap(piece, wanted) && piece.step <= COARSE * step)
    if (kept.length !== this.pieces.length) this.setPieces(kept)
    if (this.pieces.length === 0) {
      this.missing = this.live.gaps.some((gap) => overlap(gap, window)) ? gapsOf(this.live.columns, window) : []
      return this.live.columns
    }
    // Far more than the window is thrown away, sometimes.
    const span = wanted.to - wanted.from
    if (this.joined !== null && (wanted.from < this.joinedFrom || wanted.from > this.joinedFrom + 2 * span || wanted.to > this.joinedTo)) this.joined = null
    if (this.joinedKeys !== this.keys().length) this.joined = null
    if (this.joined === null) {
      this.joinedFrom = wanted.from
      // Paused, live rows need not be added; live, they are as they come.
      this.joinedTo = Math.max(wanted.to, window.to >= this.live.lastTime ? Infinity : wanted.to)
      this.joined = this.join()
    }
    this.addLive(this.joined)
    this.missing = gapsOf(this.joined, window)
    return this.joined
  }

  /** What of the window would have to be fetched, the newest first: that is looked at first. */
  wanted(window: Span): readonly Span[] {
    const { live } = this
    const first = live.columns.times[0]
    const covered: Span[] = [...this.pieces]
    if (live.columns.length > 0 && first !== undefined) covered.push(...holes(live.gaps, { from: first, to: Infinity }))
    return holes(covered, { from: window.from - LEAD_MS, to: Math.min(window.to, live.lastTime) }, GAP_INTERVALS * live.intervalMs).toReversed()
  }

  /** Adds what was fetched. */
  add(piece: Piece): void {
    this.setPieces([...this.pieces, piece].sort((a, b) => a.from - b.from))
  }

  private setPieces(pieces: readonly Piece[]): void {
    this.pieces = pieces
    this.joined = null
  }

  private join(): Columns {
    const joined = new Columns(Infinity)
    const keys = this.keys()
    this.apart = this.live.intervalMs
    for (const key of keys) joined.add(key)
    this.joinedKeys = keys.length
    this.liveUntil = this.joinedFrom
    for (const piece of this.pieces) {
      this.addLive(joined, piece.from)
      this.append(joined, piece.columns, { from: this.joinedFrom, to: Math.min(this.endOf(piece), this.joinedTo) })
      // What a piece does not have of its last moment, the live rows do.
      this.liveUntil = Math.max(this.liveUntil, piece.to - 1)
    }
    return joined
  }

  /**
   * Where a piece ends. The history has what was scraped under the time at which that began, the live rows as it came: the
   * last values of a piece can be newer than those of the live row after it, and a counter would seem to have been reset.
   */
  private endOf({ to }: Piece): number {
    const { columns, intervalMs } = this.live
    const next = columns.times[columns.indexAt(to)] ?? Infinity
    return next - to < intervalMs ? next - intervalMs : to
  }

  /** Adds the live rows that are not there yet, up to `to`. */
  private addLive(joined: Columns, to = this.joinedTo): void {
    const { columns, lastTime } = this.live
    if (lastTime <= this.liveUntil) return
    this.append(joined, columns, { from: this.liveUntil + 1, to })
    this.liveUntil = Math.max(this.liveUntil, Math.min(to, lastTime))
  }

  /** Appends rows of a span that are newer than the last; a row without values is between where they are too far apart. */
  private append(target: Columns, source: Columns, span: Span): void {
    const last = target.times[target.length - 1] ?? -Infinity
    // Where two sources meet, as where they have rows of their own: none so near to the last.
    const first = source.indexAt(Math.max(span.from, last + Math.max(1, ROW_INTERVALS * this.live.intervalMs)))
    const end = source.indexAt(span.to + 1)
    if (first >= end) return
    const apart = Math.max(this.live.intervalMs, spacing(source.times.subarray(first, Math.min(end, first + SAMPLE))))
    const next = source.times[first] ?? 0
    if (target.length > 0 && next - last > GAP_INTERVALS * Math.max(apart, this.apart)) target.push(last + 1, () => NaN)
    for (let row = first; row < end; row++) target.push(source.times[row] ?? 0, (key) => source.column(key)?.[row] ?? NaN)
    this.apart = apart
  }
}

/** Where rows are without any value: from the last row before that has one to the next. */
function gapsOf(columns: Columns, window: Span): readonly Span[] {
  const found: Span[] = []
  const end = columns.indexAt(window.to + 1)
  for (let row = Math.max(1, columns.indexAt(window.from)); row < end - 1; row++) {
    if (!columns.empty(row) || columns.empty(row - 1)) continue
    const from = columns.times[row - 1] ?? 0
    while (row < end - 1 && columns.empty(row + 1)) row++
    if (row + 1 < end) found.push({ from, to: columns.times[row + 1] ?? 0 })
  }
  return found
}
