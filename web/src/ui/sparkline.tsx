/**
 * A live sparkline: `<Sparkline page numbers label />` for what Preact renders, `LiveSparkline` for a canvas made by hand.
 * It shows the page's window and is drawn by the page's queue while it is near the screen, as cards are.
 */
import { useEffect, useRef } from 'preact/hooks'
import { drawSparkline } from '../chart/sparkline'
import type { SparkLook } from '../chart/sparkline'
import { rates, values } from '../model/derive'
import type { SeriesInfo, Store } from '../model/store'
import type { Severity } from '../model/alerts'
import type { Page } from '../page'
import { SmallCard } from './small-card'
import type { Numbers, WindowLine } from './small-card'
import { WindowRows } from './window-rows'

/** The sum of some series of a store, or of their rates. */
export function seriesNumbers(page: Page, store: Store, series: readonly SeriesInfo[], rate: boolean): Numbers {
  const keys = series.map(({ key }) => key)
  return numbersOf(page, store, series, (columns, from, to, out) => {
    if (rate) rates(columns, keys, from, to, out)
    else values(columns, keys, from, to, out)
  })
}

/** Numbers made of some series of a store. */
export function numbersOf(page: Page, store: Store, series: readonly SeriesInfo[], fill: Numbers['fill']): Numbers {
  const rows = new WindowRows(page, store, () => series)
  return {
    columns: () => rows.columns,
    fill,
    stop: () => {
      rows.stop()
    },
  }
}

/** `series`: the first series colour; `other`: grey; a number: that series slot (0 … 7). */
export type SparkColour = 'series' | 'other' | 'critical' | number

/** A value not to be crossed, in the colour of what happens then. */
export interface SparkLimit {
  readonly at: number
  readonly severity: Severity
}

export class LiveSparkline extends SmallCard {
  private readonly context: CanvasRenderingContext2D | null

  constructor(
    page: Page,
    private readonly canvas: HTMLCanvasElement,
    numbers: Numbers,
    private readonly colour: SparkColour = 'series',
    private limit: SparkLimit | null = null,
  ) {
    super(page, canvas, numbers)
    this.context = canvas.getContext('2d')
  }

  /** Other numbers from now on. */
  show(numbers: Numbers, limit: SparkLimit | null = null): void {
    if (numbers !== this.numbers) this.numbers.stop?.()
    this.numbers = numbers
    this.limit = limit
    this.mark()
  }

  protected resized(): void {
    this.canvas.width = Math.round(this.width * devicePixelRatio)
    this.canvas.height = Math.round(this.height * devicePixelRatio)
  }

  protected paint({ times, values: line, from, to }: WindowLine): void {
    if (this.context !== null) drawSparkline(this.context, this.width, this.height, times, line, from, to, this.look())
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
