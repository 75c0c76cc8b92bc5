/** The distribution of now as bars, the usual one of the window as strokes on the same slots. */
import { Plane } from '../../chart/plane'
import { niceCeil, ySplits } from '../../chart/scale'
import { axisLabels, format, formatText } from '../../format/number'
import { bucketSpread, NOW_MS, valueSpread } from '../../model/spread'
import type { Spread } from '../../model/spread'
import type { Face } from './face'
import type { Body, Ground, LinePlan } from './ground'
import { unitOfPlan } from './headline'

/** Bars take so much of their slot, and are at most so wide. */
const SHARE = 0.82
const WIDEST = 60
/** Labels are so far apart at least. */
const LABEL_WIDTH = 64

export class HistogramBody implements Body {
  private readonly plane: Plane
  private cursor: number | null = null
  /** What is drawn, for the words and for export. */
  spread: Spread = { low: 0, bounds: [], now: new Float64Array(0), usual: new Float64Array(0) }

  constructor(
    private readonly ground: Ground,
    private readonly face: Face,
    private readonly plan: LinePlan,
  ) {
    this.plane = new Plane(ground.parts.body)
    const { canvas } = this.plane
    canvas.addEventListener('pointermove', (event) => {
      const slots = this.spread.bounds.length
      const slot = Math.floor((event.offsetX / this.plane.box.width) * slots)
      this.pointAt(slot >= 0 && slot < slots ? slot : null)
    })
    canvas.addEventListener('pointerleave', () => {
      this.pointAt(null)
    })
  }

  draw(): void {
    const { ground, plan } = this
    const { columns, from, to, width, height, page } = ground
    if (!this.face.due(this.cursor !== null)) return
    const first = columns.indexAt(from)
    const last = columns.indexAt(to + 1)
    if (plan.kind === 'quantiles') this.spread = bucketSpread(columns, plan, first, last, to - NOW_MS)
    else {
      const lines = plan.lines.map(() => new Float64Array(last - first))
      ground.derive(plan, first, last, lines)
      this.spread = valueSpread(lines, columns.times.subarray(first, last), to - NOW_MS)
    }
    const { bounds, now, usual } = this.spread
    const high = niceCeil(Math.max(1, ...now, ...usual), false)
    const ticks = ySplits({ low: 0, high }, 2)
    const labels = axisLabels(ticks, 'count')
    const unit = unitOfPlan(plan)
    const every = Math.max(1, Math.ceil(bounds.length / Math.max(1, Math.floor(width / LABEL_WIDTH))))
    const borders = bounds.map((bound, i) => ({ at: (i + 1) / bounds.length, bound, i })).filter(({ i, bound }) => i < bounds.length - 1 && (i + 1) % every === 0 && Number.isFinite(bound))
    const context = this.plane.begin(
      width,
      height,
      page.palette,
      borders.map(({ at, bound }) => ({ at, text: formatText(bound, unit).replace(/\.0+(?!\d)/, '') })).filter(({ text }, i, all) => text !== all[i - 1]?.text),
      ticks.map((tick, i) => ({ at: tick / high, text: labels[i] ?? '' })),
    )
    if (context !== null) this.bars(context, high)
    this.texts()
  }

  moveCursor(by: number): void {
    const most = this.spread.bounds.length - 1
    this.pointAt(Math.max(0, Math.min(most, (this.cursor ?? (by > 0 ? -1 : most + 1)) + by)))
  }

  clearCursor(): void {
    this.pointAt(null)
  }

  restyle(): void {
    this.face.textsDue()
  }

  resize(): void {
    this.face.textsDue()
  }

  paint(context: CanvasRenderingContext2D, width: number, height: number): void {
    context.drawImage(this.plane.canvas, 0, 0, width, height)
  }

  private pointAt(slot: number | null): void {
    if (slot === this.cursor) return
    this.cursor = slot
    this.face.textsDue()
    this.draw()
  }

  private bars(context: CanvasRenderingContext2D, high: number): void {
    const { palette } = this.ground.page
    const { now, usual, bounds } = this.spread
    const { left, top, width, height } = this.plane.box
    const slot = width / bounds.length
    const bar = Math.min(WIDEST, Math.max(1, slot * SHARE))
    for (let i = 0; i < bounds.length; i++) {
      const x = left + i * slot + (slot - bar) / 2
      const y = (count: number) => top + height - (count / high) * height
      context.fillStyle = (i === this.cursor ? palette.text : palette.series[0]) ?? palette.other
      context.fillRect(x, y(now[i] ?? 0), bar, top + height - y(now[i] ?? 0))
      if ((usual[i] ?? 0) <= 0) continue
      // With a rim, or it would be lost on the bar.
      context.fillStyle = palette.card
      context.fillRect(x - 1, y(usual[i] ?? 0) - 2, bar + 2, 4)
      context.fillStyle = palette.text
      context.fillRect(x - 1, y(usual[i] ?? 0) - 1, bar + 2, 2)
    }
  }

  private texts(): void {
    const { face, plan, cursor } = this
    const { low, bounds, now, usual } = this.spread
    const unit = unitOfPlan(plan)
    const sum = now.reduce((so, one) => so + one, 0)
    const what = plan.kind === 'quantiles' ? 'observed' : 'points'
    if (cursor === null) {
      face.header(format(sum, 'count'), face.word(plan, false, `${what} in ${NOW_MS / 1000} s`))
      face.legend([{ label: 'last 60 s', slot: 0, dashed: false }, { label: 'usual', slot: null, dashed: false }], { ...plan, total: plan.lines.length }, 'count', (i) => (i === 0 ? sum : NaN), false)
      return
    }
    const border = (i: number) => (i < 0 ? low : (bounds[i] ?? NaN))
    face.header(format(now[cursor] ?? 0, 'count'), bounds[cursor] === Infinity ? `over ${formatText(border(cursor - 1), unit)}` : `${formatText(border(cursor - 1), unit)} to ${formatText(border(cursor), unit)}`)
    face.stats([['now', formatText(now[cursor] ?? 0, 'count')], ['usual', formatText(usual[cursor] ?? 0, 'count')]])
  }
}
