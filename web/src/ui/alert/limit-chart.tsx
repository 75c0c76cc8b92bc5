/**
 * The chart of an opened alert: its line over the window, the limit, the time in which it was on, and for an anomaly what was
 * usual. What lies over the lines are elements, placed by share of the plot, so that the chart itself needs to know nothing of
 * alerts.
 */
import { useEffect, useRef } from 'preact/hooks'
import { Chart } from '../../chart/chart'
import type { Frame } from '../../chart/chart'
import { YRange } from '../../chart/scale'
import { columnWidth, thin } from '../../chart/thin'
import type { Unit } from '../../format/number'
import { NO_MARKS } from '../../model/marks'
import type { Severity } from '../../model/alerts'
import type { Page } from '../../page'
import type { Line } from '../line'
import type { SparkLimit } from '../sparkline'
import { SmallCard } from '../small-card'
import type { WindowLine } from '../small-card'

const Y_AXIS = 58

/** A span of time (ms); NaN at an end where there is none. */
export interface Span {
  readonly from: number
  readonly to: number
}

export interface Over {
  readonly limit: SparkLimit | null
  /** What is written at the limit. */
  readonly words: string
  readonly severity: Severity
  readonly spans: readonly Span[]
  /** The ends of what is usual, and since when it is not. */
  readonly band: { readonly lower: number; readonly upper: number; readonly expected: number } | null
}

interface Props {
  readonly page: Page
  readonly line: Line
  readonly unit: Unit
  readonly over: Over
  readonly label: string
}

class LiveLimitChart extends SmallCard {
  private chart: Chart | null = null
  private readonly range: YRange
  private readonly layer: HTMLElement
  private readonly plot: HTMLElement

  constructor(
    page: Page,
    root: HTMLElement,
    line: Line,
    private readonly unit: Unit,
    private over: Over,
  ) {
    super(page, root, line)
    const binary = unit === 'bytes' || unit === 'bytes/s'
    this.range = new YRange(binary, true, null, unit === 'ratio')
    this.plot = part('div', 'plot')
    this.layer = part('div', 'over')
    root.replaceChildren(this.plot, this.layer)
  }

  show(over: Over): void {
    this.over = over
    this.mark()
  }

  /** It is what was opened: before all others. */
  override rank(): number {
    return 0
  }

  override restyle(): void {
    this.forget()
    super.restyle()
  }

  cursorMoved(): void {
    this.chart?.followCursor()
  }

  override destroy(): void {
    super.destroy()
    this.forget()
  }

  protected resized(): void {
    this.chart?.resize(this.width, this.height)
  }

  protected paint(line: WindowLine): void {
    if (line.times.length === 0) return
    const { page, width, height } = this
    const { from, to } = line
    let { times, values } = line
    const column = columnWidth(values.length, to - from, width - Y_AXIS)
    if (column > 0) {
      const fewer = thin(times, [values], column)
      times = fewer.times
      values = fewer.lines[0] ?? values
    }
    const { limit, band } = this.over
    const seen = [...finite(values), ...[limit?.at, band?.lower, band?.upper].filter((one): one is number => one !== undefined && Number.isFinite(one))]
    const frame: Frame = {
      times,
      lines: [values],
      from,
      to,
      range: this.range.update(seen.length === 0 ? NaN : Math.min(...seen), seen.length === 0 ? NaN : Math.max(...seen), to),
      ended: [false],
      marks: NO_MARKS,
    }
    if (this.chart === null) {
      this.chart = new Chart(
        this.plot,
        {
          style: 'lines',
          unit: this.unit,
          stepped: false,
          looks: [{ label: '', slot: 0, thin: false, dashed: false }],
          palette: () => page.palette,
          onCursor: () => undefined,
          pointed: page,
        },
        frame,
        width,
        height,
      )
    } else this.chart.draw(frame)
    this.place(frame)
  }

  private forget(): void {
    this.chart?.destroy()
    this.chart = null
  }

  /** Puts what lies over the lines where it belongs; at most as many elements as there are spans and limits. */
  private place({ from, to, range: { low, high } }: Frame): void {
    const { limit, words, severity, spans, band } = this.over
    const x = (time: number, otherwise: number) => (Number.isNaN(time) ? otherwise : Math.min(1, Math.max(0, (time - from) / (to - from))))
    const y = (value: number) => Math.min(1, Math.max(0, (value - low) / (high - low)))
    const made: HTMLElement[] = []
    if (band !== null && Number.isFinite(band.lower) && Number.isFinite(band.upper)) {
      made.push(placed(part('i', 'band'), { bottom: y(band.lower), height: Math.max(0.005, y(band.upper) - y(band.lower)) }))
    }
    for (const span of spans) {
      const [left, right] = [x(span.from, 0), x(span.to, 1)]
      if (right > left) made.push(placed(part('i', `shade ${severity}`), { left, width: right - left }))
    }
    if (limit !== null && limit.at >= low && limit.at <= high) {
      const line = placed(part('i', `limit ${limit.severity}`), { bottom: y(limit.at) })
      line.textContent = words
      // Near the top its words stand below it.
      line.classList.toggle('low', y(limit.at) > 0.85)
      made.push(line)
    }
    this.layer.replaceChildren(...made)
  }
}

function finite(values: Float64Array): number[] {
  let least = Infinity
  let greatest = -Infinity
  for (const value of values) {
    if (!Number.isFinite(value)) continue
    least = Math.min(least, value)
    greatest = Math.max(greatest, value)
  }
  return least > greatest ? [] : [least, greatest]
}

function part(name: string, className: string): HTMLElement {
  const made = document.createElement(name)
  made.className = className
  return made
}

function placed(element: HTMLElement, shares: Readonly<Record<string, number>>): HTMLElement {
  for (const [name, share] of Object.entries(shares)) element.style.setProperty(name, `${share * 100}%`)
  return element
}

export function LimitChart({ page, line, unit, over, label }: Props) {
  const root = useRef<HTMLDivElement>(null)
  const live = useRef<LiveLimitChart | null>(null)
  useEffect(() => {
    if (root.current === null) return
    const made = new LiveLimitChart(page, root.current, line, unit, over)
    live.current = made
    return () => {
      made.destroy()
      live.current = null
    }
  }, [page, line, unit])
  useEffect(() => {
    live.current?.show(over)
  })
  return <div class="limit-chart body" ref={root} role="img" aria-label={label} />
}
