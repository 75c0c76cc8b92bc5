/**
 * A live sparkline: `<Sparkline page numbers label />` for what Preact renders, `LiveSparkline` for a canvas made by hand.
 * It shows the page's window and is drawn by the page's queue while it is near the screen, as cards are.
 */
import { useEffect, useRef } from 'preact/hooks'
import { drawSparkline } from '../chart/sparkline'
import type { SparkLook } from '../chart/sparkline'
import type { Columns } from '../model/columns'
import { rates, values } from '../model/derive'
import { Filling } from '../model/past'
import type { Span } from '../model/span'
import type { SeriesInfo, Store } from '../model/store'
import type { Severity } from '../model/alerts'
import type { Card, Page } from '../page'
import { watch } from './watch'
import type { Watched } from './watch'

/** One line of numbers over rows of time. */
export interface Numbers {
  /** Where the times are. */
  columns(): Columns
  /** Writes the numbers of the rows from `from` to `to` (exclusive) to `out[0 .. to-from)`. */
  fill(from: number, to: number, out: Float64Array): void
}

/** The sum of some series of the columns, or of their rates. */
export function seriesNumbers(columns: () => Columns, keys: readonly number[], rate: boolean): Numbers {
  return {
    columns,
    fill: (from, to, out) => {
      if (rate) rates(columns(), keys, from, to, out)
      else values(columns(), keys, from, to, out)
    },
  }
}

/** The past of a small line: fetched when the cards, which are looked at first, have theirs. */
export function pastOf(page: Page, store: Store, series: () => readonly SeriesInfo[]): Filling {
  return new Filling(page.past, store, series, () => Infinity, () => {
    page.markAll()
  })
}

export function windowOf({ windowEnd, windowMs }: Page): Span {
  return { from: windowEnd - windowMs, to: windowEnd }
}

/** `series`: the first series colour; `other`: grey; a number: that series slot (0 … 7). */
export type SparkColour = 'series' | 'other' | 'critical' | number

/** A value not to be crossed, in the colour of what happens then. */
export interface SparkLimit {
  readonly at: number
  readonly severity: Severity
}

export class LiveSparkline implements Card, Watched {
  private near = false
  private width = 0
  private height = 0
  private scratch = new Float64Array(0)
  private readonly context: CanvasRenderingContext2D | null
  private readonly end: () => void

  constructor(
    private readonly page: Page,
    private readonly canvas: HTMLCanvasElement,
    private numbers: Numbers,
    private readonly colour: SparkColour = 'series',
    private limit: SparkLimit | null = null,
  ) {
    this.context = canvas.getContext('2d')
    this.end = watch(canvas, canvas, this)
    page.cards.add(this)
  }

  /** Other numbers from now on. */
  show(numbers: Numbers, limit: SparkLimit | null = null): void {
    this.numbers = numbers
    this.limit = limit
    this.mark()
  }

  rank(): number {
    return Infinity
  }

  setNear(near: boolean): void {
    this.near = near
    if (near) this.mark()
  }

  setSize(width: number, height: number): void {
    if (width === this.width && height === this.height) return
    this.width = width
    this.height = height
    this.canvas.width = Math.round(width * devicePixelRatio)
    this.canvas.height = Math.round(height * devicePixelRatio)
    this.mark()
  }

  restyle(): void {
    this.mark()
  }

  textsDue(): void {
    // It has no text.
  }

  draw(): void {
    const { page, context, width, height } = this
    if (!this.near || context === null || width <= 0 || height <= 0) return
    const columns = this.numbers.columns()
    const to = page.windowEnd
    const from = to - page.windowMs
    const first = Math.max(0, columns.indexAt(from) - 1)
    const last = columns.indexAt(to + 1)
    const count = last - first
    if (this.scratch.length < count) this.scratch = new Float64Array(Math.max(256, 2 ** Math.ceil(Math.log2(count))))
    this.numbers.fill(first, last, this.scratch)
    drawSparkline(context, width, height, columns.times.subarray(first, last), this.scratch.subarray(0, count), from, to, this.look())
  }

  destroy(): void {
    this.end()
    this.page.cards.delete(this)
    this.page.queue.forget(this)
  }

  private mark(): void {
    if (this.near) this.page.queue.mark(this)
  }

  private look(): SparkLook {
    const { limit, page: { palette } } = this
    const look = { colour: this.inked(), fill: palette.fill }
    return limit === null ? look : { ...look, limit: { at: limit.at, colour: palette.severity[limit.severity] } }
  }

  private inked(): string {
    const { palette } = this.page
    if (this.colour === 'other' || this.colour === 'critical') return palette[this.colour]
    return palette.series[this.colour === 'series' ? 0 : this.colour] ?? palette.other
  }
}

interface Props {
  readonly page: Page
  /** The same object as long as it is the same line. */
  readonly numbers: Numbers
  /** What it shows, for those who do not see it. */
  readonly label: string
  readonly colour?: SparkColour
  readonly limit?: SparkLimit | null
}

/** As large as its class `spark` says: 96 × 28 where the page says nothing else. */
export function Sparkline({ page, numbers, label, colour = 'series', limit = null }: Props) {
  const canvas = useRef<HTMLCanvasElement>(null)
  const live = useRef<LiveSparkline | null>(null)
  useEffect(() => {
    if (canvas.current === null) return
    const made = new LiveSparkline(page, canvas.current, numbers, colour, limit)
    live.current = made
    return () => {
      made.destroy()
    }
  }, [page, colour])
  useEffect(() => {
    live.current?.show(numbers, limit)
  }, [numbers, limit?.at, limit?.severity])
  return <canvas class="spark" ref={canvas} role="img" aria-label={label} />
}
