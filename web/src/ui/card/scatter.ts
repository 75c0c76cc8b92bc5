/** One series against another: the last minute in colour, what was before grey, and how much the two go together. */
import { Plane } from '../../chart/plane'
import { niceCeil, YRange, ySplits } from '../../chart/scale'
import type { Range } from '../../chart/scale'
import { axisLabels } from '../../format/number'
import type { Unit } from '../../format/number'
import { correlation, joined } from '../../model/against'
import type { Cloud } from '../../model/against'
import type { LiveQuery } from '../../model/live-query'
import { makePlan } from '../../model/plan'
import type { LinesPlan } from '../../model/plan'
import { planNumbers } from '../../model/derive'
import type { Face } from './face'
import type { Body, Ground, LinePlan } from './ground'
import { unitOfPlan } from './headline'

/** What counts as now (ms), and how large a point is. */
const NOW_MS = 60_000
const POINT = 3

export class ScatterBody implements Body {
  private readonly plane: Plane
  private readonly query: LiveQuery
  private readonly ranges: readonly [YRange, YRange]
  cloud: Cloud = { times: new Float64Array(0), xs: new Float64Array(0), ys: new Float64Array(0) }

  constructor(
    private readonly ground: Ground,
    private readonly face: Face,
    private readonly plan: LinePlan,
    private readonly against: string,
  ) {
    this.plane = new Plane(ground.parts.body)
    this.query = ground.page.queries.follow(against, '5m')
    this.ranges = [new YRange(false, true), new YRange(isBinary(unitOfPlan(plan)), true)]
  }

  draw(): void {
    const { ground, query, plan, face } = this
    if (!face.due()) return
    if (query.error !== '') {
      face.stats([[query.error, '']])
      return
    }
    const { columns, from, to, page, width, height } = ground
    const other = this.otherPlan()
    const first = columns.indexAt(from)
    const last = columns.indexAt(to + 1)
    const ys = firstLine(ground.columns, plan, first, last)
    const xColumns = query.store.columns
    const xFirst = xColumns.indexAt(from)
    const xs = firstLine(xColumns, other, xFirst, xColumns.indexAt(to + 1))
    this.cloud = joined(columns.times.subarray(first, last), ys, xColumns, xs, xFirst, Math.max(ground.source.intervalMs, query.store.intervalMs))
    const [x, y] = [rangeOf(this.ranges[0], this.cloud.xs, to), rangeOf(this.ranges[1], this.cloud.ys, to)]
    const context = this.plane.begin(width, height, page.palette, ticks(x, 4, other.unit), ticks(y, 2, unitOfPlan(plan)))
    if (context !== null) this.points(context, x, y)
    const r = correlation(this.cloud.xs, this.cloud.ys)
    face.header({ text: Number.isNaN(r) ? '—' : r.toFixed(2).replace('-', '\u2212'), unit: '' }, face.word(plan, false, 'correlation'))
    face.stats([[`x: ${this.against}`, ''], [`${this.cloud.xs.length} points`, '']])
  }

  restyle(): void {
    this.face.textsDue()
  }

  resize(): void {
    this.face.textsDue()
  }

  destroy(): void {
    this.ground.page.queries.leave(this.query)
  }

  paint(context: CanvasRenderingContext2D, width: number, height: number): void {
    context.drawImage(this.plane.canvas, 0, 0, width, height)
  }

  private otherPlan(): LinesPlan {
    const { store, family } = this.query
    const plan = makePlan(family, (key) => store.value(key), undefined, { view: 'lines' })
    return plan.kind === 'lines' ? plan : { kind: 'lines', view: 'lines', rate: false, unit: 'count', lines: [], summary: 'last', whole: false, total: 0, limit: null }
  }

  private points(context: CanvasRenderingContext2D, x: Range, y: Range): void {
    const { times, xs, ys } = this.cloud
    const { palette } = this.ground.page
    const { left, top, width, height } = this.plane.box
    const now = this.ground.to - NOW_MS
    for (const recent of [false, true]) {
      context.fillStyle = (recent ? palette.series[0] : palette.other) ?? palette.other
      for (let i = 0; i < times.length; i++) {
        if ((times[i] ?? 0) > now !== recent) continue
        const px = left + (((xs[i] ?? 0) - x.low) / (x.high - x.low)) * width
        const py = top + height - (((ys[i] ?? 0) - y.low) / (y.high - y.low)) * height
        context.fillRect(px - POINT / 2, py - POINT / 2, POINT, POINT)
      }
    }
  }
}

function firstLine(columns: Ground['columns'], plan: LinePlan, first: number, last: number): Float64Array {
  const out = new Float64Array(Math.max(0, last - first)).fill(NaN)
  const [line] = plan.lines
  if (line !== undefined) planNumbers(columns, { ...plan, lines: [line] } as LinePlan, first, last, [out])
  return out
}

function rangeOf(range: YRange, values: Float64Array, now: number): Range {
  let least = Infinity
  let greatest = -Infinity
  for (const value of values) {
    if (value < least) least = value
    if (value > greatest) greatest = value
  }
  if (least > greatest) return { low: 0, high: 1 }
  const found = range.update(least, greatest, now)
  return found.high > found.low ? found : { low: 0, high: niceCeil(greatest, false) }
}

function ticks(range: Range, intervals: number, unit: Unit): { at: number; text: string }[] {
  const splits = ySplits(range, intervals)
  const labels = axisLabels(splits, unit)
  return splits.map((split, i) => ({ at: (split - range.low) / (range.high - range.low), text: labels[i] ?? '' }))
}

function isBinary(unit: Unit): boolean {
  return unit === 'bytes' || unit === 'bytes/s'
}
