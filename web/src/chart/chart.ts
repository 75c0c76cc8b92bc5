/**
 * One uPlot, set up as all charts of the page are: x from the page's window, y on the right, horizontal grid, a dot on
 * the last value, a cursor that is the same on every card. It is given numbers and draws them at once; deciding what and
 * when is the card's.
 */
import uPlot from 'uplot'
import { axisLabels, clock, formatText } from '../format/number'
import type { Unit } from '../format/number'
import type { Palette } from '../theme'
import { withAlpha } from '../theme'
import type { Range } from './scale'
import { bucketPosition, heatSplits } from './heat'
import type { HeatCanvas } from './heat'
import type { Marks } from '../model/marks'
import { Overlay } from './overlay'
import { NO_BINDINGS, Pointer } from './pointer'
import type { Pointed } from './pointer'
import { timeSplits, timeStep, ySplits } from './scale'

/** Height of the x axis and width of the y axis: the same on all cards, so that plots line up. */
const X_AXIS = 22
const Y_AXIS = 58
const TOP = 8
const ROW_HEIGHT = 28
const LEAST_ROW = 24
/** From this height of the plot on there is room for four intervals. */
const TALL = 140
/** Opacity of the areas of a mirrored chart. */
const MIRROR = 0.16
const FONT = '11px Inter, system-ui, -apple-system, "Segoe UI", Roboto, sans-serif'

export type Style = 'lines' | 'stacked' | 'states' | 'heat'

/** How one line looks. `slot` is a series colour, −1 is *other*. */
export interface Look {
  readonly label: string
  readonly slot: number
  readonly thin: boolean
  readonly dashed: boolean
  /** Drawn below zero. */
  readonly below?: boolean
  /** The states a row can be in, where they have names; its numbers say which. */
  readonly states?: readonly string[]
}

export interface Setup {
  readonly style: Style
  /** The state that is trouble, of a chart of states; null where neither is. */
  readonly bad?: 0 | 1 | null
  readonly unit: Unit
  /** Upper bounds of the buckets of a heatmap, ascending. */
  readonly bounds?: readonly number[]
  /** Values are whole: steps, not slopes. */
  readonly stepped: boolean
  readonly looks: readonly Look[]
  readonly palette: () => Palette
  /** The cursor moved to a point of this card's data, or left (null). */
  readonly onCursor: (index: number | null) => void
  /** The cursor of the page, and what the pointer does to it. */
  readonly pointed: Pointed
}

/**
 * What is drawn: one window. Lines are as long as `times`; for `stacked` they are heights, which are piled up here, for
 * `heat` values, which are placed among the buckets here.
 */
export interface Frame {
  readonly times: Float64Array
  readonly lines: readonly Float64Array[]
  readonly from: number
  readonly to: number
  readonly range: Range
  /** Lines that have ended, by index. */
  readonly ended: readonly boolean[]
  /** What lies under the lines of a heatmap; `range` is then in bucket numbers. */
  readonly heat?: HeatCanvas
  readonly marks: Marks
}

/** How many rows of states fit a plot of this height (CSS pixels). */
export function rowsIn(height: number): number {
  return Math.max(1, Math.floor(height / LEAST_ROW))
}

export class Chart {
  private readonly plot: uPlot
  private readonly tag: HTMLElement
  private readonly overlay: Overlay
  private readonly pointer: Pointer
  private frame: Frame
  private gradient: { key: string; fill: CanvasGradient } | null = null

  constructor(
    private readonly parent: HTMLElement,
    private readonly setup: Setup,
    first: Frame,
    width: number,
    height: number,
  ) {
    this.frame = first
    this.plot = new uPlot(this.options(width, height), this.data(first), parent)
    this.tag = document.createElement('div')
    this.tag.className = 'time-tag'
    this.tag.hidden = true
    this.plot.over.append(this.tag)
    const { bounds, style, palette } = setup
    this.overlay = new Overlay(this.plot, palette, style !== 'heat', (value) => (bounds === undefined ? value : bucketPosition(bounds, value)))
    this.pointer = new Pointer(this.plot, setup.pointed)
    this.draw(first)
  }

  draw(frame: Frame): void {
    this.frame = frame
    const plot = this.plot
    plot.batch(() => {
      plot.setData(this.data(frame), false)
      plot.setScale('x', { min: frame.from, max: frame.to })
      plot.setScale('y', { min: frame.range.low, max: frame.range.high })
    })
    this.pointer.again()
    this.followCursor()
  }

  /** uPlot draws first before the rest is made. */
  private get ready(): boolean {
    return (this.overlay as Overlay | undefined) !== undefined
  }

  resize(width: number, height: number): void {
    if (width > 0 && (width !== this.plot.width || height !== this.plot.height)) this.plot.setSize({ width, height })
  }

  /** Width of the plot itself, in CSS pixels. */
  get plotWidth(): number {
    return this.plot.over.clientWidth
  }

  /** Moves the cursor by points, as the arrow keys do; from the live edge if there is none. */
  moveCursor(by: number): void {
    const { frame: { times }, setup: { pointed } } = this
    const now = this.plot.cursor.idx ?? times.length - 1
    const time = times[Math.max(0, Math.min(times.length - 1, now + by))]
    if (time === undefined) return
    if (pointed.pinned) pointed.pin(time)
    else pointed.point(time)
  }

  /** Puts the cursor where the page has it. */
  followCursor(): void {
    const { frame, plot, setup: { pointed } } = this
    const { cursor } = pointed
    const left = cursor === null || cursor < frame.from || cursor > frame.to ? -10 : plot.valToPos(cursor, 'x')
    if (left !== plot.cursor.left) plot.setCursor({ left, top: left < 0 ? -10 : 10 })
    this.tag.classList.toggle('pinned', pointed.pinned)
  }

  /** The picture as it is. */
  get canvas(): HTMLCanvasElement {
    return this.plot.ctx.canvas
  }

  destroy(): void {
    this.plot.destroy()
    this.parent.replaceChildren()
  }

  private data(frame: Frame): uPlot.AlignedData {
    const { bounds } = this.setup
    if (bounds !== undefined) return [frame.times, ...frame.lines.map((line) => line.map((value) => bucketPosition(bounds, value)))]
    if (this.setup.style !== 'stacked') return [frame.times, ...frame.lines.map((line, i) => (this.setup.looks[i]?.below === true ? line.map((value) => -value) : line))]
    // Piled up from the first line; each is drawn as the area between itself and the one below.
    const piled: Float64Array[] = []
    let below: Float64Array | null = null
    for (const line of frame.lines) {
      const sum: Float64Array = new Float64Array(line.length)
      for (let i = 0; i < line.length; i++) sum[i] = (line[i] ?? NaN) + (below === null ? 0 : (below[i] ?? NaN))
      piled.push(sum)
      below = sum
    }
    return [frame.times, ...piled]
  }

  private options(width: number, height: number): uPlot.Options {
    const { setup } = this
    const palette = setup.palette
    const states = setup.style === 'states'
    const mirrored = setup.looks.some((look) => look.below === true)
    const axis = { font: FONT, stroke: () => palette().text3, ticks: { show: false } }
    return {
      width,
      height,
      ms: 1,
      padding: [TOP, 0, 0, 0],
      legend: { show: false },
      cursor: {
        y: false,
        drag: { x: false, y: false, setScale: false },
        // One cursor for the whole page, and none of uPlot's own: see pointer.ts.
        bind: NO_BINDINGS,
        points: { show: !states, size: 6, width: 0 },
        focus: { prox: -1 },
      },
      scales: {
        x: { time: true, auto: false },
        y: { auto: false },
      },
      axes: [
        {
          ...axis,
          size: X_AXIS,
          gap: 5,
          grid: { show: false },
          border: { show: true, stroke: () => palette().line2, width: 1 },
          splits: (plot, _axis, min, max) => {
            const room = plot.over.clientWidth || width - Y_AXIS
            const step = timeStep(max - min, room)
            // A label too near to the left edge would be cut.
            const half = step % 60_000 === 0 ? 22 : 28
            return timeSplits(min, max, step).filter((t) => ((t - min) / (max - min)) * room > half)
          },
          values: (_plot, splits) => {
            const seconds = splits.some((t) => t % 60_000 !== 0)
            return splits.map((t) => clock(t, seconds))
          },
        },
        {
          ...axis,
          // eslint-disable-next-line @typescript-eslint/no-unsafe-enum-assignment -- Side.Right: a const enum of a declaration file is not there at run time
          side: 1,
          size: Y_AXIS,
          gap: 6,
          grid: { show: !states, stroke: () => palette().grid, width: 1 },
          splits: (plot) => {
            if (setup.bounds !== undefined) return [...heatSplits(setup.bounds, this.frame.range)]
            return states ? [] : [...ySplits(this.frame.range, plot.over.clientHeight < TALL ? 2 : 4)]
          },
          // Between buckets the axis is none of numbers, so each says its unit.
          // Which direction is below zero the legend says; nothing comes in by a negative amount.
          values: (_plot, splits) => (setup.bounds === undefined ? [...axisLabels(mirrored ? splits.map(Math.abs) : splits, setup.unit)] : splits.map((border) => formatText(setup.bounds?.[border - 1] ?? NaN, setup.unit).replace(/\.0+(?!\d)/, ''))),
        },
      ],
      series: [{}, ...setup.looks.map((look, i) => this.series(look, i))],
      bands: setup.style === 'stacked' ? setup.looks.slice(1).map((_, i) => ({ series: [i + 2, i + 1] as [number, number] })) : [],
      hooks: {
        drawClear: [
          (plot) => {
            if (this.ready) this.overlay.drawUnder(this.frame.marks)
            if (this.frame.heat === undefined) return
            this.frame.heat.draw(plot.ctx, plot.bbox, this.frame.from, this.frame.to, this.frame.range)
            this.halos(plot)
          },
        ],
        draw: [
          (plot) => {
            if (states) this.drawStates(plot)
            else this.drawEnds(plot)
            if (this.ready) this.overlay.drawOver(this.frame.marks)
          },
        ],
        setCursor: [
          (plot) => {
            this.cursorMoved(plot)
          },
        ],
      },
    }
  }

  private series(look: Look, index: number): uPlot.Series {
    const { setup } = this
    const colour = () => this.colour(look, index)
    const stacked = setup.style === 'stacked'
    const linear = uPlot.paths.linear?.()
    const stepped = uPlot.paths.stepped?.({ align: 1 })
    const paths = setup.style === 'states' ? () => null : setup.stepped ? stepped : linear
    const mirrored = !look.thin && setup.looks.length <= 2 && setup.looks.some((one) => one.below === true)
    const filled = stacked || mirrored || (setup.looks.length === 1 && setup.style === 'lines')
    return {
      label: look.label,
      stroke: colour,
      width: stacked ? 1 : look.thin ? 1 : 1.5,
      points: { show: false },
      ...(look.dashed ? { dash: [4, 4] } : {}),
      ...(paths === undefined ? {} : { paths }),
      ...(filled ? { fill: (plot: uPlot) => (mirrored ? withAlpha(colour(), MIRROR) : this.fill(plot, colour())) } : {}),
      gaps: (plot, _series, from, to) => this.gaps(plot, index + 1, from, to),
    }
  }

  private colour(look: Look, index: number): string {
    const palette = this.setup.palette()
    if (this.setup.style === 'heat') return palette.text
    if (look.slot < 0 || this.frame.ended[index] === true) return palette.other
    return palette.series[look.slot] ?? palette.other
  }

  private fill(plot: uPlot, colour: string): CanvasGradient | string {
    const palette = this.setup.palette()
    if (this.setup.style === 'stacked') return withAlpha(colour, palette.stack)
    // Only a zero baseline is filled: from elsewhere the area would say nothing.
    if (this.frame.range.low !== 0) return 'transparent'
    const { top, height } = plot.bbox
    const key = `${colour} ${top} ${height} ${palette.fill}`
    if (this.gradient?.key !== key) {
      const fill = plot.ctx.createLinearGradient(0, top, 0, top + height)
      fill.addColorStop(0, withAlpha(colour, palette.fill))
      fill.addColorStop(1, withAlpha(colour, 0.02))
      this.gradient = { key, fill }
    }
    return this.gradient.fill
  }

  /** A rim of card colour under each line, or it would be lost in the heat. */
  private halos(plot: uPlot): void {
    const { ctx } = plot
    const { left, top, width, height } = plot.bbox
    const times = plot.data[0]
    ctx.save()
    ctx.beginPath()
    ctx.rect(left, top, width, height)
    ctx.clip()
    ctx.beginPath()
    for (const values of plot.data.slice(1)) {
      let begun = false
      for (let i = 0; i < times.length; i++) {
        const value = values[i]
        if (value === undefined || value === null || Number.isNaN(value)) {
          begun = false
          continue
        }
        const x = plot.valToPos(times[i] ?? 0, 'x', true)
        const y = plot.valToPos(value, 'y', true)
        if (begun) ctx.lineTo(x, y)
        else ctx.moveTo(x, y)
        begun = true
      }
    }
    ctx.lineWidth = 4 * devicePixelRatio
    ctx.lineJoin = 'round'
    ctx.strokeStyle = this.setup.palette().card
    ctx.stroke()
    ctx.restore()
  }

  /** uPlot bridges NaN in typed arrays; these are the runs it must not. */
  private gaps(plot: uPlot, series: number, from: number, to: number): [number, number][] {
    const values = plot.data[series]
    const times = plot.data[0]
    const found: [number, number][] = []
    if (values === undefined) return found
    for (let i = from; i <= to; i++) {
      if (!Number.isNaN(values[i])) continue
      const start = i
      while (i < to && Number.isNaN(values[i + 1])) i++
      const left = plot.valToPos(times[Math.max(from, start - 1)] ?? 0, 'x', true)
      const right = plot.valToPos(times[Math.min(to, i + 1)] ?? 0, 'x', true)
      if (right > left) found.push([left, right])
    }
    return found
  }

  /** A dot on the last value; a hollow one and hatching where a series has ended. */
  private drawEnds(plot: uPlot): void {
    const { ctx } = plot
    const palette = this.setup.palette()
    const ratio = devicePixelRatio
    ctx.save()
    let lastEnd = 0
    for (let s = 0; s < this.setup.looks.length; s++) {
      const look = this.setup.looks[s]
      const values = plot.data[s + 1]
      if (look === undefined || values === undefined || look.thin) continue
      let i = values.length - 1
      while (i >= 0 && Number.isNaN(values[i])) i--
      const value = values[i]
      const time = plot.data[0][i]
      if (value === undefined || value === null || time === undefined || !Number.isFinite(value)) continue
      const x = plot.valToPos(time, 'x', true)
      const y = plot.valToPos(value, 'y', true)
      const ended = this.frame.ended[s] === true
      lastEnd = Math.max(lastEnd, x)
      ctx.beginPath()
      ctx.arc(x, y, 2.5 * ratio, 0, 2 * Math.PI)
      ctx.fillStyle = ended ? palette.card : this.colour(look, s)
      ctx.fill()
      if (ended) {
        ctx.lineWidth = 1.5 * ratio
        ctx.strokeStyle = palette.other
        ctx.stroke()
      }
    }
    if (this.frame.ended.length > 0 && this.frame.ended.every(Boolean)) this.hatch(plot, lastEnd)
    ctx.restore()
  }

  private hatch(plot: uPlot, from: number): void {
    const { ctx } = plot
    const { left, top, width, height } = plot.bbox
    const start = Math.max(left, from)
    if (start >= left + width) return
    ctx.beginPath()
    ctx.rect(start, top, left + width - start, height)
    ctx.clip()
    ctx.beginPath()
    const step = 6 * devicePixelRatio
    for (let x = start - height; x < left + width; x += step) {
      ctx.moveTo(x, top + height)
      ctx.lineTo(x + height, top)
    }
    ctx.lineWidth = devicePixelRatio
    ctx.strokeStyle = this.setup.palette().grid
    ctx.stroke()
  }

  /** A row a series: thin and grey while as it should be, full and in the colour of trouble while not; else full while 1. */
  private drawStates(plot: uPlot): void {
    const { ctx } = plot
    const palette = this.setup.palette()
    const ratio = devicePixelRatio
    const { left, top, width, height } = plot.bbox
    const rows = Math.min(this.setup.looks.length, rowsIn(height / ratio))
    const rowHeight = Math.min(ROW_HEIGHT * ratio, height / rows)
    const times = plot.data[0]
    ctx.save()
    ctx.beginPath()
    ctx.rect(left, top, width, height)
    ctx.clip()
    ctx.font = FONT.replace('11px', `${11 * ratio}px`)
    ctx.textBaseline = 'middle'
    for (let s = 0; s < rows; s++) {
      const values = plot.data[s + 1]
      if (values === undefined) continue
      const y = top + s * rowHeight
      const label = this.setup.looks[s]?.label ?? ''
      const names = this.setup.looks[s]?.states
      const bar = rowHeight * 0.28
      for (let i = 0; i < values.length; ) {
        const state = values[i]
        let end = i + 1
        while (end < values.length && values[end] === state) end++
        const x = Math.max(left, plot.valToPos(times[i] ?? 0, 'x', true))
        const right = plot.valToPos(times[Math.min(end, values.length - 1)] ?? 0, 'x', true)
        if (names !== undefined && typeof state === 'number' && state >= 0) {
          const y0 = y + rowHeight - bar * 1.6 - 3 * ratio
          ctx.fillStyle = palette.series[state % palette.series.length] ?? palette.other
          ctx.fillRect(x, y0, Math.max(ratio, right - x), bar * 1.6)
          const word = names[state] ?? ''
          ctx.fillStyle = palette.card
          if (ctx.measureText(word).width + 8 * ratio < right - x) ctx.fillText(word, x + 4 * ratio, y0 + bar * 0.85)
        } else if (state === 1 || state === 0) {
          const { bad = null } = this.setup
          const plain = bad === null ? state === 0 : state !== bad
          const height = plain ? bar / 3 : bar
          ctx.fillStyle = plain ? palette.line2 : bad === null ? (palette.series[0] ?? palette.other) : palette.critical
          ctx.fillRect(x, y + rowHeight - height - 3 * ratio, Math.max(ratio, right - x), height)
        }
        i = end
      }
      ctx.fillStyle = palette.text3
      ctx.fillText(label, left + 12 * ratio, y + (rowHeight - bar * (names === undefined ? 1 : 1.6)) / 2, width - 24 * ratio)
    }
    ctx.restore()
  }

  private cursorMoved(plot: uPlot): void {
    const { idx, left } = plot.cursor
    const time = idx === null || idx === undefined || left === undefined || left < 0 ? undefined : plot.data[0][idx]
    if (time === undefined || left === undefined) {
      this.tag.hidden = true
      this.setup.onCursor(null)
      return
    }
    this.tag.hidden = false
    this.tag.textContent = clock(time, true)
    const room = plot.over.clientWidth
    this.tag.style.transform = `translateX(${Math.round(Math.max(28, Math.min(room - 28, left)))}px) translateX(-50%)`
    this.setup.onCursor(idx ?? null)
  }
}
