/** What has an axis of time: lines, areas, states and heatmaps, drawn by one `Chart`. */
import { Chart } from '../../chart/chart'
import type { Frame, Look, Style } from '../../chart/chart'
import { YRange } from '../../chart/scale'
import type { Range } from '../../chart/scale'
import { columnWidth, thin } from '../../chart/thin'
import { age, clock, format, formatText, MISSING } from '../../format/number'
import type { Scale, Unit } from '../../format/number'
import type { Plan } from '../../model/plan'
import type { Entry, Face } from './face'
import { allEnded } from './ground'
import type { Body, Ground, LinePlan } from './ground'
import { HeatFill } from './heat'
import { stateTexts } from './states'

/** A picture that would move by less than this (CSS pixels) is not drawn again: an hour's window moves a pixel in 14 s. */
const SMALLEST_MOVE = 0.25
/** Until so much is collected the legend says how much it is. */
const COLLECTING_MS = 30_000
const Y_AXIS = 58

const STYLES: Readonly<Partial<Record<Plan['kind'], Style>>> = { share: 'stacked', states: 'states', quantiles: 'heat' }

export class LinesBody implements Body {
  private chart: Chart | null = null
  private frame: Frame | null = null
  private range: YRange | null = null
  private readonly heat: HeatFill | null
  private slots: readonly number[] = []
  private scratch: Float64Array[] = []
  private cursor: number | null = null
  /** The newest value of each line, which the header has at once even when the picture need not move yet. */
  private readonly latest: Float64Array
  private readonly scale: Scale = { index: -1 }

  constructor(
    private readonly ground: Ground,
    private readonly face: Face,
    private readonly plan: LinePlan,
  ) {
    this.heat = plan.kind === 'quantiles' ? new HeatFill(ground, plan) : null
    this.latest = new Float64Array(plan.lines.length)
  }

  draw(): void {
    const { ground, plan } = this
    const { columns, from, to } = ground
    this.deriveLatest()
    if (this.frame !== null && this.chart !== null) {
      const windowMs = to - from
      const moved = ((to - this.frame.to) / windowMs) * ground.width
      if (this.frame.to - this.frame.from === windowMs && moved >= 0 && moved < SMALLEST_MOVE) {
        this.textsIfDue()
        return
      }
    }
    const first = Math.max(0, columns.indexAt(from) - 1)
    const last = columns.indexAt(to + 1)
    const count = last - first
    ground.derive(plan, first, last, this.room(plan.lines.length, count))
    let times: Float64Array = columns.times.subarray(first, last)
    let lines: Float64Array[] = this.scratch.slice(0, plan.lines.length).map((line) => line.subarray(0, count))
    this.heat?.update(first, last, ground.width - Y_AXIS)
    const width = columnWidth(count, to - from, ground.width - Y_AXIS)
    if (width > 0) ({ times, lines } = thin(times, lines, width))

    const frame: Frame = {
      times,
      lines,
      from,
      to,
      range: this.rangeOf(lines),
      ended: plan.lines.map((line) => line.keys.length > 0 && line.keys.every((key) => ground.source.stale(key) !== null)),
      ...(this.heat?.canvas == null ? {} : { heat: this.heat.canvas }),
    }
    this.frame = frame
    if (this.chart === null) this.chart = this.make(frame)
    else this.chart.draw(frame)
    this.textsIfDue()
  }

  resize(): void {
    this.chart?.resize(this.ground.width, this.ground.height)
    this.frame = null
  }

  restyle(): void {
    this.frame = null
    this.heat?.forget()
  }

  moveCursor(by: number): void {
    this.chart?.moveCursor(by)
  }

  clearCursor(): void {
    this.chart?.clearCursor()
  }

  destroy(): void {
    this.chart?.destroy()
  }

  private make(frame: Frame): Chart {
    const { ground, plan } = this
    const { page, parts } = ground
    this.slots = page.slots.assign((plan.kind === 'quantiles' ? plan.lines : plan.lines.filter((line) => !line.other)).map((line) => line.label))
    parts.body.replaceChildren()
    return new Chart(
      parts.body,
      {
        style: STYLES[plan.kind] ?? 'lines',
        unit: unitOfPlan(plan),
        ...(plan.kind === 'quantiles' ? { bounds: plan.bounds } : {}),
        bad: plan.kind === 'states' ? plan.bad : null,
        stepped: plan.kind === 'lines' && plan.whole,
        looks: plan.lines.map((line, i): Look => ({
          label: line.label,
          slot: line.other ? -1 : plan.kind === 'quantiles' ? 0 : (this.slots[i] ?? -1),
          thin: line.other,
          dashed: plan.kind === 'quantiles' && i > 0,
        })),
        palette: () => page.palette,
        onCursor: (index) => {
          this.cursor = index
          this.setTexts()
        },
      },
      frame,
      ground.width,
      ground.height,
    )
  }

  private rangeOf(lines: readonly Float64Array[]): Range {
    const { plan, ground } = this
    if (plan.kind === 'states') return { low: 0, high: 1 }
    if (this.heat !== null) return this.heat.range
    const range = this.range ?? (this.range = makeRange(plan))
    const [least, greatest] = extent(lines, plan.kind === 'share')
    return range.update(least, greatest, ground.to)
  }

  private deriveLatest(): void {
    const { latest, plan, ground: { lastRow } } = this
    this.ground.derive(plan, lastRow, lastRow + 1, plan.lines.map((_, i) => latest.subarray(i, i + 1)))
  }

  /** Room for `count` numbers of each of `lines` lines, kept from draw to draw. */
  private room(lines: number, count: number): Float64Array[] {
    if (this.scratch.length < lines || (this.scratch[0]?.length ?? 0) < count) {
      const room = Math.max(256, 2 ** Math.ceil(Math.log2(count + 1)))
      this.scratch = Array.from({ length: Math.max(lines, this.scratch.length) }, () => new Float64Array(room))
    }
    return this.scratch
  }

  private textsIfDue(): void {
    if (this.face.due(this.cursor !== null)) this.setTexts()
  }

  private setTexts(): void {
    const { frame, plan, face, cursor } = this
    if (frame === null) return
    if (plan.kind === 'states') {
      stateTexts(this.ground, face, plan)
      return
    }
    const value = (line: number) => (cursor === null ? this.latest[line] : frame.lines[line]?.[cursor]) ?? NaN
    const ended = allEnded(frame) && cursor === null
    const unit = unitOfPlan(plan)
    const { header, word } = this.summary(frame, value)
    face.header(ended ? { text: MISSING, unit: '' } : format(header, unit, this.scale), face.word(plan, ended, word, cursor !== null))
    if (plan.lines.length > 1) face.legend(this.entries(), plan.kind === 'quantiles' || plan.kind === 'share' ? plan.lines.length : plan.total, unit, value)
    else this.setSummary(frame, unit, ended)
  }

  /** The header's number, and its one small word. */
  private summary(frame: Frame, value: (line: number) => number): { header: number; word: string } {
    const { plan } = this
    const shown = plan.lines.map((_, i) => value(i)).filter((one) => !Number.isNaN(one))
    const sum = shown.reduce((so, one) => so + one, 0)
    switch (plan.kind) {
      case 'quantiles':
        return { header: value(0), word: 'p99' }
      case 'share':
        return { header: sum, word: plan.idle ? 'busy' : '' }
      case 'lines':
        if (plan.summary === 'sum') return { header: plan.total > plan.lines.length ? this.sumOfAll(plan.rate, frame) : shown.length === 0 ? NaN : sum, word: 'sum' }
        return { header: shown.length === 0 ? NaN : Math.max(...shown), word: plan.summary === 'last' ? '' : plan.summary }
      default:
        return { header: NaN, word: '' }
    }
  }

  /** The sum of all series at the cursor or now, where not every one has a line. */
  private sumOfAll(rate: boolean, frame: Frame): number {
    const { ground } = this
    const time = this.cursor === null ? ground.to : (frame.times[this.cursor] ?? NaN)
    const keys = ground.series().filter((one) => !one.name.endsWith('_created')).map((one) => one.key)
    return ground.at(ground.columns.indexAt(time + 1) - 1, keys, rate)
  }

  private entries(): readonly Entry[] {
    const { plan } = this
    if (plan.kind === 'quantiles') return plan.lines.map(({ label }, i) => ({ label, slot: null, dashed: i > 0 }))
    return plan.lines.filter((line) => !line.other).map(({ label }, i) => ({ label, slot: this.slots[i] ?? 0, dashed: false }))
  }

  /** One series: least, mean and greatest of the window; or how much there is, that nothing moved, or its last value. */
  private setSummary(frame: Frame, unit: Unit, ended: boolean): void {
    const { face, ground: { page } } = this
    const line = frame.lines[0]
    if (line === undefined) return
    let least = Infinity
    let greatest = -Infinity
    let sum = 0
    let count = 0
    let last = 0
    for (let i = 0; i < line.length; i++) {
      const value = line[i] ?? NaN
      if (!Number.isFinite(value)) continue
      last = i
      least = Math.min(least, value)
      greatest = Math.max(greatest, value)
      sum += value
      count++
    }
    const collected = page.store.lastTime - page.firstTime
    const stat = (name: string, value: number): [string, string] => [name, formatText(value, unit)]
    if (count === 0) face.stats([['no values yet', '']])
    else if (ended) face.stats([stat('last', line[last] ?? NaN), ['at', clock(frame.times[last] ?? NaN, true)]])
    else if (collected < COLLECTING_MS) face.stats([[`${age(collected / 1000)} collected`, '']])
    else if (least === greatest) face.stats([[`unchanged for ${age(Math.min(collected, page.windowMs) / 1000)}`, '']])
    else face.stats([stat('min', least), stat('mean', sum / count), stat('max', greatest)])
  }
}

export function unitOfPlan(plan: Plan): Unit {
  return 'unit' in plan ? plan.unit : 'count'
}

function makeRange(plan: Plan): YRange {
  const unit = unitOfPlan(plan)
  const free = plan.kind === 'lines' && !plan.rate
  const fixed = plan.kind === 'share' || (free && unit === 'ratio') ? 1 : null
  return new YRange(unit === 'bytes' || unit === 'bytes/s', free, fixed, unit === 'ratio')
}

/** Least and greatest of all lines; of their pile if they are stacked. NaN without values. */
function extent(lines: readonly Float64Array[], stacked: boolean): [number, number] {
  let least = Infinity
  let greatest = -Infinity
  const n = lines[0]?.length ?? 0
  for (let i = 0; i < n; i++) {
    let pile = 0
    for (const line of lines) {
      const value = line[i] ?? NaN
      if (!Number.isFinite(value)) continue
      pile += value
      const seen = stacked ? pile : value
      if (seen < least) least = seen
      if (seen > greatest) greatest = seen
    }
  }
  return least > greatest ? [NaN, NaN] : [least, greatest]
}
