/** Keeps the heatmap of a card up to date: a column a tick, all of it where window, width or theme are new. */
import { Crop, HeatCanvas, heatRamp, HeatRing } from '../../chart/heat'
import type { Range } from '../../chart/scale'
import { observations } from '../../model/derive'
import type { Plan } from '../../model/plan'
import type { Ground } from './ground'

export class HeatFill {
  canvas: HeatCanvas | null = null
  /** The buckets shown. */
  range: Range = { low: 0, high: 1 }
  private crop: Crop | null = null
  /** The newest row there is (ms), and the greatest count its colours are for. */
  private until = 0
  private greatest = 0

  constructor(
    private readonly ground: Ground,
    private readonly plan: Extract<Plan, { kind: 'quantiles' }>,
  ) {}

  forget(): void {
    this.canvas = null
  }

  /** Elsewhere in time other buckets are in use. */
  refit(): void {
    this.crop = null
  }

  /** Brings it up to the rows from `first` to `last` (exclusive), for a plot of `width` CSS pixels. */
  update(first: number, last: number, width: number): void {
    const { page, columns, source: { intervalMs } } = this.ground
    const { plan } = this
    const columnMs = Math.max(intervalMs, Math.ceil(page.windowMs / width))
    const size = Math.ceil(page.windowMs / columnMs) + 2
    const kept = this.canvas?.columnMs === columnMs && this.canvas.ring.columns === size ? this.canvas : null
    const { ring } = (this.canvas = kept ?? new HeatCanvas(new HeatRing(size, plan.bounds.length), columnMs))
    const column = (row: number) => Math.floor((columns.times[row] ?? 0) / columnMs)
    let from = first
    // The column of the last row is counted anew: it may have got more. Paused elsewhere, all is.
    if (kept !== null && this.until >= (columns.times[first] ?? 0) && this.until <= (columns.times[last - 1] ?? 0)) {
      from = columns.indexAt(Math.floor(this.until / columnMs) * columnMs)
    }
    const begin = column(from)
    const end = column(last - 1)
    for (let c = begin; c <= end; c++) ring.begin(c)
    observations(columns, plan, from, last, (row, bucket, count) => {
      ring.add(column(row), bucket, count)
    })
    this.until = columns.times[last - 1] ?? 0
    const { greatest, low, high } = ring.extent(column(first), end)
    // Colours change in steps of two, or every new greatest would be a new picture.
    const steps = 2 ** Math.ceil(Math.log2(Math.max(1, greatest)))
    const all = kept === null || steps !== this.greatest
    this.greatest = steps
    const ramp = heatRamp(page.palette.heat)
    for (let c = all ? Math.max(column(first), end - size + 1) : begin; c <= end; c++) this.canvas.paint(c, steps, ramp)
    this.crop ??= new Crop(plan.bounds.length)
    this.range = this.crop.update(low, high, page.windowEnd)
  }
}
