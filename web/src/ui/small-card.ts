/**
 * What small cards without texts share, a sparkline and the chart of an alert: they show one line of numbers over the
 * page's window, are drawn by the page's queue while they are near the screen, and stop asking for the past when they
 * leave it.
 */
import type { Columns } from '../model/columns'
import type { Card, Page } from '../page'
import { Sight } from './sight'
import { watch } from './watch'
import type { Watched } from './watch'

/** One line of numbers over rows of time. */
export interface Numbers {
  /** The rows of the page's window, with what was before the page was opened. */
  columns(): Columns
  /** Writes the numbers of the rows from `from` to `to` (exclusive) to `out[0 .. to-from)`. */
  fill(columns: Columns, from: number, to: number, out: Float64Array): void
  /** Nobody looks any more. */
  stop?(): void
}

/** The rows that are drawn: those of the window, and one on each side of it. Good until the next is read. */
export interface WindowLine {
  readonly from: number
  readonly to: number
  readonly times: Float64Array
  readonly values: Float64Array
}

export abstract class SmallCard implements Card, Watched {
  protected width = 0
  protected height = 0
  private readonly sight = new Sight()
  private readonly end: () => void
  private scratch = new Float64Array(0)

  constructor(
    protected readonly page: Page,
    root: HTMLElement,
    protected numbers: Numbers,
  ) {
    this.end = watch(root, root, this)
    page.cards.add(this)
  }

  /** Draws it, at `width` × `height`, both above 0. */
  protected abstract paint(line: WindowLine): void

  /** It has another size. */
  protected abstract resized(): void

  rank(): number {
    return Infinity
  }

  restyle(): void {
    this.mark()
  }

  /** It has no text, but the past may have come: what is only near is drawn once more. */
  textsDue(): void {
    this.mark()
  }

  setNear(near: boolean): void {
    this.sight.setNear(near)
    if (near) this.mark()
    else this.numbers.stop?.()
  }

  setSeen(seen: boolean): void {
    this.sight.seen = seen
    if (seen) this.mark()
  }

  setSize(width: number, height: number): void {
    if (width === this.width && height === this.height) return
    this.width = width
    this.height = height
    this.resized()
    this.mark()
  }

  draw(): void {
    if (!this.sight.wanted || this.width <= 0 || this.height <= 0) return
    this.paint(this.read())
    this.sight.drawn()
  }

  destroy(): void {
    this.end()
    this.numbers.stop?.()
    this.page.cards.delete(this)
    this.page.queue.forget(this)
  }

  protected mark(): void {
    this.sight.changed()
    if (this.sight.near) this.page.queue.mark(this)
  }

  private read(): WindowLine {
    const columns = this.numbers.columns()
    const to = this.page.windowEnd
    const from = to - this.page.windowMs
    const first = Math.max(0, columns.indexAt(from) - 1)
    const last = columns.indexAt(to + 1)
    const count = last - first
    if (this.scratch.length < count) this.scratch = new Float64Array(Math.max(256, 2 ** Math.ceil(Math.log2(count))))
    this.numbers.fill(columns, first, last, this.scratch)
    return { from, to, times: columns.times.subarray(first, last), values: this.scratch.subarray(0, count) }
  }
}
