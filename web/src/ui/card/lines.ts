/** What has an axis of time: lines, areas, states and heatmaps, drawn by one `Chart`. */
import { Chart } from '../../chart/chart'
import type { Frame, Look, Style } from '../../chart/chart'
import { niceCeil, YRange } from '../../chart/scale'
import type { Range } from '../../chart/scale'
import { columnWidth, thin } from '../../chart/thin'
import { age, clock, format, formatText, MISSING } from '../../format/number'
import type { Scale, Unit } from '../../format/number'
import { marksOf } from '../../model/marks'
import type { Marks } from '../../model/marks'
import type { Plan } from '../../model/plan'
import type { View } from '../../model/spec'
import type { Page } from '../../page'
import type { Entry, Face } from './face'
import { allEnded } from './ground'
import type { Body, Ground, LinePlan } from './ground'
import { headline, unitOfPlan } from './headline'
import { HeatFill } from './heat'
import { stateTexts } from './states'

/** A picture that would move by less than this (CSS pixels) is not drawn again: an hour's window moves a pixel in 14 s. */
const SMALLEST_MOVE = 0.25
/** Until so much is collected the legend says how much it is. */
const COLLECTING_MS = 30_000
const Y_AXIS = 58

const STYLES: Readonly<Partial<Record<View, Style>>> = { area: 'stacked', states: 'states', heatmap: 'heat' }

export class LinesBody implements Body {
  private chart: Chart | null = null
  private frame: Frame | null = null
  /** What happened to the family, until something else happens. */
  private known: Marks | null = null
  private range: YRange | null = null
  private readonly style: Style
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
    this.style = STYLES[plan.kind === 'age' ? 'lines' : plan.view] ?? 'lines'
    this.heat = plan.kind === 'quantiles' && this.style === 'heat' ? new HeatFill(ground, plan) : null
    this.latest = new Float64Array(plan.lines.length)
  }

  draw(): void {
    const { ground, plan } = this
    const { columns, from, to } = ground
    this.deriveLatest()
    // Elsewhere in time another axis fits.
    if (this.frame !== null && (this.frame.to - this.frame.from !== to - from || Math.abs(to - this.frame.to) > (to - from) / 2)) {
      this.range = null
      this.heat?.refit()
    }
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
      ended: plan.lines.map((line) => line.keys.length > 0 && line.keys.every((key) => (ground.source.stale(key) ?? Infinity) <= to)),
      ...(this.heat?.canvas == null ? {} : { heat: this.heat.canvas }),
      marks: this.marks(),
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
    this.known = null
    this.heat?.forget()
  }

  moveCursor(by: number): void {
    this.chart?.moveCursor(by)
  }

  followCursor(): void {
    this.chart?.followCursor()
  }

  destroy(): void {
    this.chart?.destroy()
  }

  paint(context: CanvasRenderingContext2D, width: number, height: number): void {
    if (this.chart !== null) context.drawImage(this.chart.canvas, 0, 0, width, height)
  }

  private make(frame: Frame): Chart {
    const { ground, plan } = this
    const { page, parts } = ground
    this.slots = slotsOf(page, plan)
    parts.body.replaceChildren()
    return new Chart(
      parts.body,
      {
        style: this.style,
        unit: unitOfPlan(plan),
        ...(plan.kind === 'quantiles' && this.heat !== null ? { bounds: plan.bounds } : {}),
        bad: plan.kind === 'states' ? plan.bad : null,
        stepped: plan.kind === 'lines' && plan.whole,
        looks: plan.lines.map((line, i): Look => ({
          label: line.label,
          slot: this.heat !== null ? 0 : (this.slots[i] ?? -1),
          thin: line.other,
          dashed: this.heat !== null && i > 0,
          ...(line.below === true ? { below: true } : {}),
          ...(line.states === undefined ? {} : { states: line.states }),
        })),
        palette: () => page.palette,
        pointed: page,
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

  /** What happened meanwhile: alerts, limits, what was unusual, gaps. */
  private marks(): Marks {
    const { plan, ground: { page, past, series } } = this
    const of = plan.kind === 'quantiles' ? 'quantile' : plan.kind === 'lines' ? (plan.rate ? 'rate' : 'value') : 'other'
    this.known ??= marksOf(series(), page.incidents, { of, say: (value) => formatText(value, unitOfPlan(plan)) })
    const { missing } = past
    return missing.length === 0 ? this.known : { ...this.known, gaps: missing.map((gap) => ({ ...gap, words: `no data ${age((gap.to - gap.from) / 1000)}` })) }
  }

  private rangeOf(lines: readonly Float64Array[]): Range {
    const { plan, ground } = this
    if (plan.kind === 'states') return { low: 0, high: 1 }
    if (this.heat !== null) return this.heat.range
    const range = this.range ?? (this.range = makeRange(plan, this.style === 'stacked' ? ground.limit(plan) : null))
    const [least, greatest] = extent(plan, lines, this.style === 'stacked')
    const found = range.update(least, greatest, ground.to)
    if (!plan.lines.some((line) => line.below === true)) return found
    // Each direction has room for its label.
    return { low: Math.min(found.low, -found.high / 4), high: Math.max(found.high, -found.low / 4) }
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
    const time = cursor === null ? this.ground.to : (frame.times[cursor] ?? NaN)
    const { value: header, word } = headline(this.ground, plan, value, this.ground.columns.indexAt(time + 1) - 1)
    face.header(ended ? { text: MISSING, unit: '' } : format(header, unit, this.scale), face.word(plan, ended, word, cursor !== null))
    if (plan.lines.length > 1 || plan.total > 1) face.legend(this.entries(), plan, unit, value)
    else this.setSummary(frame, unit, ended)
  }

  private entries(): readonly Entry[] {
    const { plan } = this
    if (this.style === 'heat') return plan.lines.map(({ label }, i) => ({ label, slot: null, dashed: i > 0 }))
    return plan.lines.map(({ label }, i) => ({ label, slot: this.slots[i] ?? -1, dashed: false })).filter((_, i) => plan.lines[i]?.other === false)
  }

  /** One series: least, mean and greatest of the window; or how much there is, that nothing moved, or its last value. */
  private setSummary(frame: Frame, unit: Unit, ended: boolean): void {
    const { face, ground: { page, past } } = this
    const line = frame.lines[0]
    if (line === undefined) return
    let least = Infinity
    let greatest = -Infinity
    let sum = 0
    let count = 0
    let first = -1
    let last = 0
    for (let i = 0; i < line.length; i++) {
      const value = line[i] ?? NaN
      if (!Number.isFinite(value)) continue
      if (first < 0) first = i
      last = i
      least = Math.min(least, value)
      greatest = Math.max(greatest, value)
      sum += value
      count++
    }
    const collected = frame.to - (frame.times[first] ?? frame.to)
    const gap = past.missing.at(-1)
    const stat = (name: string, value: number): [string, string] => [name, formatText(value, unit)]
    if (count === 0) face.stats([['no values yet', '']])
    else if (ended) face.stats([stat('last', line[last] ?? NaN), ['at', clock(frame.times[last] ?? NaN, true)]])
    else if (gap !== undefined) face.stats([[`no data ${clock(gap.from, true)} to ${clock(gap.to, true)} (${age((gap.to - gap.from) / 1000)})`, '']])
    else if (page.pausedAt === null && collected < COLLECTING_MS) face.stats([[`${age(collected / 1000)} collected`, '']])
    else if (least === greatest) face.stats([[`unchanged for ${age(Math.min(collected, page.windowMs) / 1000)}`, '']])
    else face.stats([stat('min', least), stat('mean', sum / count), stat('max', greatest)])
  }
}

/** The colour of each line: −1 is grey, and those of one line or of one card are not the same. */
function slotsOf(page: Page, plan: LinePlan): readonly number[] {
  const coloured = plan.lines.filter((line) => !line.other && line.grey !== true)
  const given = page.slots.assign(coloured.map((line) => line.label))
  return plan.lines.map((line) => given[coloured.indexOf(line)] ?? -1)
}

/** @param limit where a stack ends, if that is known. */
function makeRange(plan: Plan, limit: number | null): YRange {
  const unit = unitOfPlan(plan)
  const binary = unit === 'bytes' || unit === 'bytes/s'
  const free = plan.kind === 'lines' && !plan.rate
  const share = plan.kind === 'share' || (free && unit === 'ratio')
  return new YRange(binary, free && limit === null, limit === null ? (share ? 1 : null) : niceCeil(limit, binary), unit === 'ratio')
}

/** Least and greatest of all lines; of their pile if they are stacked. NaN without values. */
function extent(plan: LinePlan, lines: readonly Float64Array[], stacked: boolean): [number, number] {
  let least = Infinity
  let greatest = -Infinity
  const n = lines[0]?.length ?? 0
  for (let i = 0; i < n; i++) {
    let pile = 0
    for (let k = 0; k < lines.length; k++) {
      const value = lines[k]?.[i] ?? NaN
      if (!Number.isFinite(value)) continue
      pile += value
      const seen = stacked ? pile : plan.lines[k]?.below === true ? -value : value
      if (seen < least) least = seen
      if (seen > greatest) greatest = seen
    }
  }
  return least > greatest ? [NaN, NaN] : [least, greatest]
}
