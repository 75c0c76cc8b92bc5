/**
 * The moving part of a card: takes the family's numbers out of the store when the queue says so, draws the chart and sets
 * the text nodes. Preact made the elements and never sees a value.
 */
import { Chart } from '../chart/chart'
import type { Frame, Look, Style } from '../chart/chart'
import { Crop, HeatCanvas, heatRamp, HeatRing } from '../chart/heat'
import { YRange } from '../chart/scale'
import type { Range } from '../chart/scale'
import { columnWidth, thin } from '../chart/thin'
import { age, clock, format, formatText, MISSING } from '../format/number'
import type { Scale, Shown, Unit } from '../format/number'
import { observations, QUANTILE_SPAN_MS, quantiles, rates, values } from '../model/derive'
import { makePlan, QUANTILES } from '../model/plan'
import type { Plan } from '../model/plan'
import type { FamilyInfo, Store } from '../model/store'
import type { Card, Page } from '../page'

/** Text changes at most so often (ms), however fast the charts. */
const TEXT_MS = 500
/** A picture that would move by less than this (CSS pixels) is not drawn again: an hour's window moves a pixel in 14 s. */
const SMALLEST_MOVE = 0.25
/** So many labels of a series, and so many series of facts, have room. */
const MOST_CHIPS = 12
const MOST_CHIP_ROWS = 5
/** Until so much is collected the legend says how much it is. */
const COLLECTING_MS = 30_000

const STYLES: Readonly<Partial<Record<Plan['kind'], Style>>> = { share: 'stacked', states: 'states', quantiles: 'heat' }

/** The elements of a card that carry data. */
export interface Parts {
  readonly root: HTMLElement
  readonly source: HTMLElement
  readonly value: HTMLElement
  readonly unit: HTMLElement
  readonly word: HTMLElement
  readonly body: HTMLElement
  readonly legend: HTMLElement
}

export class LiveCard implements Card {
  /** Place among the cards, set when they are laid out. */
  place = 0
  private plan: Plan | null = null
  private planned = 0
  private chart: Chart | null = null
  private range: YRange | null = null
  private crop: Crop | null = null
  private heat: HeatCanvas | null = null
  /** The newest row the heatmap has (ms), and the greatest count its colours are for. */
  private heatUntil = 0
  private heatGreatest = 0
  private cropped: Range = { low: 0, high: 1 }
  private slots: readonly number[] = []
  private scratch: Float64Array[] = []
  private near = false
  private width = 0
  private hovered = false
  private cursor: number | null = null
  private frame: Frame | null = null
  /** The newest value of each line, which the header has at once even when the picture need not move yet. */
  private latest = new Float64Array(0)
  private textAt = -Infinity
  private readonly scale: Scale = { index: -1 }
  private legendValues: HTMLElement[] = []
  private legendShape = ''

  constructor(
    private readonly page: Page,
    /** Where the numbers are: the registry's, or those of a query. */
    private readonly source: Store,
    private readonly family: FamilyInfo,
    private readonly parts: Parts,
  ) {
    page.cards.add(this)
    parts.root.addEventListener('pointerenter', () => (this.hovered = true))
    parts.root.addEventListener('pointerleave', () => (this.hovered = false))
    parts.root.addEventListener('focus', () => {
      this.describe()
    })
    parts.root.addEventListener('blur', () => this.chart?.clearCursor())
  }

  rank(): number {
    return this.hovered ? -1 : this.place
  }

  /** The card came near the screen or left it: charts are made on sight and destroyed far away. */
  setNear(near: boolean): void {
    if (near === this.near) return
    this.near = near
    if (near) this.page.queue.mark(this)
    else this.dropChart()
  }

  setWidth(width: number): void {
    if (width === this.width) return
    this.width = width
    this.legendShape = ''
    this.chart?.resize(width)
    this.frame = null
    if (this.near) this.page.queue.mark(this)
  }

  restyle(): void {
    this.frame = null
    this.heat = null
    this.textsDue()
  }

  textsDue(): void {
    this.textAt = -Infinity
  }

  moveCursor(by: number): void {
    this.chart?.moveCursor(by)
    this.describe()
  }

  destroy(): void {
    this.page.cards.delete(this)
    this.page.queue.forget(this)
    this.dropChart()
  }

  draw(): void {
    if (!this.near || this.width <= 0 || this.source.lastTime === 0) return
    const plan = this.currentPlan()
    switch (plan.kind) {
      case 'chips':
        this.drawChips(plan)
        return
      case 'age':
        this.drawAge(plan)
        return
      case 'bars':
        this.drawBars(plan)
        return
      default:
        this.drawChart(plan)
    }
  }

  private currentPlan(): Plan {
    const { family } = this
    const { source: store } = this
    if (this.plan === null || this.planned !== family.series.length) {
      this.plan = makePlan(family, (key) => store.value(key), this.plan ?? undefined)
      this.planned = family.series.length
      this.dropChart()
      this.range = null
      this.crop = null
      this.parts.source.textContent = sourceLine(family.name, this.plan)
      this.parts.root.dataset.kind = this.plan.kind
    }
    return this.plan
  }

  private dropChart(): void {
    this.chart?.destroy()
    this.chart = null
    this.heat = null
    this.frame = null
    this.cursor = null
    this.legendShape = ''
  }

  private drawChart(plan: Extract<Plan, { lines: readonly unknown[] }>): void {
    const { windowEnd, windowMs } = this.page
    const { columns } = this.source
    const from = windowEnd - windowMs
    this.deriveLatest(plan)
    if (this.frame !== null && this.chart !== null) {
      const moved = ((windowEnd - this.frame.to) / windowMs) * this.width
      const same = this.frame.to - this.frame.from === windowMs && moved >= 0 && moved < SMALLEST_MOVE
      if (same) {
        this.textsIfDue()
        return
      }
    }
    const first = Math.max(0, columns.indexAt(from) - 1)
    const last = columns.indexAt(windowEnd + 1)
    const count = last - first
    this.derive(plan, first, last, this.room(plan.lines.length, count))
    let times: Float64Array = columns.times.subarray(first, last)
    let lines: Float64Array[] = this.scratch.slice(0, plan.lines.length).map((line) => line.subarray(0, count))
    if (plan.kind === 'quantiles') this.fillHeat(plan, first, last)
    const width = columnWidth(count, windowMs, this.width - 58)
    if (width > 0) ({ times, lines } = thin(times, lines, width))

    const frame: Frame = {
      times,
      lines,
      from,
      to: windowEnd,
      range: this.rangeOf(plan, lines),
      ended: plan.lines.map((line) => line.keys.length > 0 && line.keys.every((key) => this.source.stale(key) !== null)),
      ...(plan.kind === 'quantiles' && this.heat !== null ? { heat: this.heat } : {}),
    }
    this.frame = frame
    if (this.chart === null) {
      this.slots = this.page.slots.assign(plan.kind === 'quantiles' ? plan.lines.map((line) => line.label) : plan.lines.filter((line) => !line.other).map((line) => line.label))
      this.parts.body.replaceChildren()
      this.chart = new Chart(
        this.parts.body,
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
          palette: () => this.page.palette,
          onCursor: (index) => {
            this.cursor = index
            this.setTexts()
          },
        },
        frame,
        this.width,
      )
    } else {
      this.chart.draw(frame)
    }
    this.textsIfDue()
  }

  /** Brings the heatmap up to the rows from `first` to `last`; all of it where window, width or theme are new. */
  private fillHeat(plan: Extract<Plan, { kind: 'quantiles' }>, first: number, last: number): void {
    const { page } = this
    const { columns, intervalMs } = this.source
    const columnMs = Math.max(intervalMs, Math.ceil(page.windowMs / (this.width - 58)))
    const size = Math.ceil(page.windowMs / columnMs) + 2
    const heat = this.heat?.columnMs === columnMs && this.heat.ring.columns === size ? this.heat : null
    const { ring } = (this.heat = heat ?? new HeatCanvas(new HeatRing(size, plan.bounds.length), columnMs))
    const column = (row: number) => Math.floor((columns.times[row] ?? 0) / columnMs)
    let from = first
    // The column of the last row is counted anew: it may have got more. Paused elsewhere, all is.
    if (heat !== null && this.heatUntil >= (columns.times[first] ?? 0) && this.heatUntil <= (columns.times[last - 1] ?? 0)) {
      from = columns.indexAt(Math.floor(this.heatUntil / columnMs) * columnMs)
    }
    const begin = column(from)
    const end = column(last - 1)
    for (let c = begin; c <= end; c++) ring.begin(c)
    observations(columns, plan, from, last, (row, bucket, count) => {
      ring.add(column(row), bucket, count)
    })
    this.heatUntil = columns.times[last - 1] ?? 0
    const { greatest, low, high } = ring.extent(column(first), end)
    // Colours change in steps of two, or every new greatest would be a new picture.
    const until = 2 ** Math.ceil(Math.log2(Math.max(1, greatest)))
    const all = heat === null || until !== this.heatGreatest
    this.heatGreatest = until
    const ramp = heatRamp(page.palette.heat)
    for (let c = all ? Math.max(column(first), end - size + 1) : begin; c <= end; c++) this.heat.paint(c, until, ramp)
    this.crop ??= new Crop(plan.bounds.length)
    this.cropped = this.crop.update(low, high, page.windowEnd)
  }

  private rangeOf(plan: Plan, lines: readonly Float64Array[]): Range {
    if (plan.kind === 'states') return { low: 0, high: 1 }
    if (plan.kind === 'quantiles') return this.cropped
    const range = this.range ?? (this.range = this.makeRange(plan))
    const [least, greatest] = extent(lines, plan.kind === 'share')
    return range.update(least, greatest, this.page.windowEnd)
  }

  private textsIfDue(): void {
    const now = performance.now()
    if (now - this.textAt < TEXT_MS - 20 && this.cursor === null) return
    this.textAt = now
    this.setTexts()
  }

  private deriveLatest(plan: Extract<Plan, { lines: readonly unknown[] }>): void {
    const row = this.source.columns.indexAt(this.page.windowEnd + 1) - 1
    if (this.latest.length !== plan.lines.length) this.latest = new Float64Array(plan.lines.length)
    const { latest } = this
    this.derive(
      plan,
      row,
      row + 1,
      plan.lines.map((_, i) => latest.subarray(i, i + 1)),
    )
  }

  /** Room for `count` numbers of each of `lines` lines, kept from draw to draw. */
  private room(lines: number, count: number): Float64Array[] {
    if (this.scratch.length < lines || (this.scratch[0]?.length ?? 0) < count) {
      const room = Math.max(256, 2 ** Math.ceil(Math.log2(count + 1)))
      this.scratch = Array.from({ length: Math.max(lines, this.scratch.length) }, () => new Float64Array(room))
    }
    return this.scratch
  }

  /** The numbers of all lines for these rows. */
  private derive(plan: Extract<Plan, { lines: readonly unknown[] }>, first: number, last: number, outs: readonly Float64Array[]): void {
    const { columns } = this.source
    const count = last - first
    if (plan.kind === 'quantiles') {
      quantiles(columns, plan, QUANTILES, first, last, outs)
      return
    }
    const rate = plan.kind === 'share' || ((plan.kind === 'lines' || plan.kind === 'bars') && plan.rate)
    plan.lines.forEach((line, i) => {
      const out = outs[i]
      if (out === undefined) return
      if (rate) rates(columns, line.keys, first, last, out)
      else values(columns, line.keys, first, last, out)
      if (plan.kind === 'share') for (let r = 0; r < count; r++) out[r] = (out[r] ?? NaN) / plan.parts
    })
  }

  private makeRange(plan: Plan): YRange {
    const unit = unitOfPlan(plan)
    const binary = unit === 'bytes' || unit === 'bytes/s'
    const free = plan.kind === 'lines' && !plan.rate
    const fixed = plan.kind === 'share' || (plan.kind === 'lines' && !plan.rate && unit === 'ratio') ? 1 : null
    return new YRange(binary, free, fixed, unit === 'ratio')
  }

  private setTexts(): void {
    const { frame, plan } = this
    if (frame === null || plan === null || !('lines' in plan)) return
    const at = this.cursor
    const value = (line: number) => (at === null ? this.latest[line] : frame.lines[line]?.[at]) ?? NaN
    const ended = frame.ended.length > 0 && frame.ended.every(Boolean) && this.cursor === null
    if (plan.kind === 'states') {
      this.stateTexts(plan)
      return
    }
    const unit = unitOfPlan(plan)
    let header = NaN
    let word = ''
    if (plan.kind === 'quantiles') {
      header = value(0)
      word = 'p99'
    } else if (plan.kind === 'share') {
      header = plan.lines.reduce((sum, _, i) => sum + zero(value(i)), 0)
      word = plan.idle ? 'busy' : ''
    } else if (plan.kind === 'lines') {
      const shown = plan.lines.map((_, i) => value(i)).filter((one) => !Number.isNaN(one))
      if (plan.summary === 'sum') header = plan.total > plan.lines.length ? this.sumOfAll(plan, frame) : shown.length === 0 ? NaN : shown.reduce((sum, one) => sum + one, 0)
      else header = shown.length === 0 ? NaN : Math.max(...shown)
      word = plan.summary === 'last' ? '' : plan.summary
    }
    this.setHeader(ended ? { text: MISSING, unit: '' } : format(header, unit, this.scale), this.stateWord(plan, ended, word))
    if (plan.lines.length > 1) this.setLegend(plan, unit, value)
    else this.setSummary(frame, unit, ended)
  }

  /** The sum of all series at the cursor or now, where not every one has a line. */
  private sumOfAll(plan: Extract<Plan, { kind: 'lines' }>, frame: Frame): number {
    const { columns } = this.source
    const time = this.cursor === null ? this.page.windowEnd : (frame.times[this.cursor] ?? NaN)
    const row = columns.indexAt(time + 1) - 1
    if (row < 0) return NaN
    const out = new Float64Array(1)
    const keys = this.family.series.filter((one) => !one.name.endsWith('_created')).map((one) => one.key)
    if (plan.rate) rates(columns, keys, row, row + 1, out)
    else values(columns, keys, row, row + 1, out)
    return out[0] ?? NaN
  }

  private stateWord(plan: Plan, ended: boolean, word: string): string {
    const { source: store, page: { connected } } = this
    if (!connected && this.cursor === null) return `${age(this.page.silenceMs / 1000)} ago`
    if (!ended || !('lines' in plan)) return word
    const since = plan.lines.flatMap((line) => line.keys.map((key) => store.stale(key) ?? 0))
    return `stale ${age((store.lastTime - Math.max(...since)) / 1000)}`
  }

  private setHeader(shown: Shown, word: string): void {
    setText(this.parts.value, shown.text)
    setText(this.parts.unit, shown.unit)
    setText(this.parts.word, word)
  }

  private setLegend(plan: Extract<Plan, { lines: readonly unknown[] }>, unit: Unit, value: (line: number) => number): void {
    const named = plan.lines.filter((line) => !line.other)
    const shown = fitting(named.map((line) => line.label), this.width - 24)
    const shape = `${shown} ${plan.total}`
    if (shape !== this.legendShape) {
      this.legendShape = shape
      this.legendValues = []
      const items: Node[] = []
      for (let i = 0; i < shown; i++) {
        const line = named[i]
        if (line === undefined) break
        const item = element('span', 'key')
        const swatch = element('i', plan.kind === 'quantiles' ? `swatch ink${i > 0 ? ' dashed' : ''}` : `swatch s${(this.slots[i] ?? 0) + 1}`)
        const label = element('span', 'label')
        label.textContent = line.label
        label.title = line.label
        const number = element('b')
        this.legendValues.push(number)
        item.append(swatch, label, number)
        items.push(item)
      }
      const rest = plan.kind === 'quantiles' || plan.kind === 'share' ? plan.lines.length - shown : plan.total - shown
      if (rest > 0) {
        const more = element('span', 'more')
        more.textContent = `+${rest}`
        more.title = `${rest} more`
        items.push(more)
      }
      this.parts.legend.replaceChildren(...items)
    }
    this.legendValues.forEach((number, i) => {
      setText(number, formatText(value(i), unit))
    })
  }

  /** One series: least, mean and greatest of the window; or how much there is, that nothing moved, or its last value. */
  private setSummary(frame: Frame, unit: Unit, ended: boolean): void {
    const { page } = this
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
    if (count === 0) this.setStats([['no values yet', '']])
    else if (ended) this.setStats([stat('last', line[last] ?? NaN), ['at', clock(frame.times[last] ?? NaN, true)]])
    else if (collected < COLLECTING_MS) this.setStats([[`${age(collected / 1000)} collected`, '']])
    else if (least === greatest) this.setStats([[`unchanged for ${age(Math.min(collected, page.windowMs) / 1000)}`, '']])
    else this.setStats([stat('min', least), stat('mean', sum / count), stat('max', greatest)])
  }

  private setStats(stats: readonly (readonly [string, string])[]): void {
    const shape = `stats ${stats.map(([name, value]) => (value === '' ? '' : name)).join()}`
    if (shape !== this.legendShape) {
      this.legendShape = shape
      this.legendValues = []
      this.parts.legend.replaceChildren(
        ...stats.map(([, value]) => {
          const item = element('span', 'key')
          const label = element('span', 'label')
          this.legendValues.push(label)
          item.append(label)
          if (value !== '') {
            const number = element('b')
            this.legendValues.push(number)
            item.append(number)
          }
          return item
        }),
      )
    }
    let i = 0
    for (const [name, value] of stats) {
      setText(this.legendValues[i++], name)
      if (value !== '') setText(this.legendValues[i++], value)
    }
  }

  private stateTexts(plan: Extract<Plan, { kind: 'states' }>): void {
    const { source: store } = this
    const states = this.family.series.map((one) => store.value(one.key))
    const bad = states.filter((state) => state === plan.bad).length
    const shown = plan.bad === null ? states.filter((state) => state === 1).length : states.length - bad
    this.setHeader({ text: String(shown), unit: `of ${states.length}` }, this.stateWord(plan, false, plan.bad === null ? 'at 1' : 'as they should be'))
    const rest = plan.total - plan.lines.length
    const facts = [...(plan.bad === null ? [] : [bad === 0 ? `none at ${plan.bad}` : `${bad} at ${plan.bad}`]), ...(rest > 0 ? [`+${rest} rows`] : [])]
    this.setStats([[facts.join(', '), '']])
  }

  private drawChips(plan: Extract<Plan, { kind: 'chips' }>): void {
    const shape = plan.chips.join('\n')
    if (shape === this.legendShape) return
    this.legendShape = shape
    // One series may take all lines; of several each has one, cut where it ends.
    const lists = plan.chips.slice(0, MOST_CHIP_ROWS).map((texts) => {
      const list = element('ul', plan.chips.length === 1 ? 'chips' : 'chips row')
      for (const text of texts.slice(0, MOST_CHIPS)) {
        const chip = element('li', 'chip')
        chip.textContent = text
        chip.title = text
        list.append(chip)
      }
      list.title = texts.join('\n')
      return list
    })
    this.parts.body.replaceChildren(...lists)
    this.setHeader({ text: '', unit: '' }, '')
    const more = plan.chips.length - lists.length
    this.parts.legend.textContent = more > 0 ? `+${more} series` : plan.total === 1 ? '' : `${plan.total} series`
  }

  private drawAge(plan: Extract<Plan, { kind: 'age' }>): void {
    const { source: store, page: { windowEnd } } = this
    const moments = plan.lines.map((line) => store.value(line.keys[0] ?? -1) * 1000)
    const latest = Math.max(...moments)
    const seconds = (windowEnd - latest) / 1000
    const word = this.stateWord(plan, moments.every(Number.isNaN), seconds < 0 ? 'from now' : 'ago')
    this.setHeader({ text: age(Math.abs(seconds)), unit: '' }, word)
    const shape = `age ${moments.join()}`
    if (shape === this.legendShape) return
    this.legendShape = shape
    const list = element('dl', 'moments')
    plan.lines.slice(0, 5).forEach((line, i) => {
      const moment = moments[i] ?? NaN
      const label = element('dt')
      label.textContent = plan.lines.length === 1 ? 'at' : line.label
      const time = element('dd')
      time.textContent = Number.isFinite(moment) ? moment === 0 ? 'never' : `${day(moment)} ${clock(moment, true)}` : MISSING
      list.append(label, time)
    })
    this.parts.body.replaceChildren(list)
    this.parts.legend.textContent = plan.total > 5 ? `+${plan.total - 5}` : ''
  }

  private drawBars(plan: Extract<Plan, { kind: 'bars' }>): void {
    const now = performance.now()
    if (now - this.textAt < TEXT_MS - 20) return
    this.textAt = now
    const { columns } = this.source
    const row = columns.indexAt(this.page.windowEnd + 1) - 1
    if (row < 0) return
    const out = new Float64Array(1)
    const value = (keys: readonly number[]) => {
      if (plan.rate) rates(columns, keys, row, row + 1, out)
      else values(columns, keys, row, row + 1, out)
      return out[0] ?? NaN
    }
    const numbers = plan.lines.map((line) => value(line.keys))
    const all = value(this.family.series.map((one) => one.key))
    const largest = Math.max(0, ...numbers.filter(Number.isFinite))
    if (this.legendShape !== 'bars') {
      this.legendShape = 'bars'
      const list = element('ul', 'bars')
      for (const line of plan.lines) {
        const item = element('li')
        const label = element('span', 'label')
        label.textContent = line.label
        label.title = line.label
        item.append(label, element('i', 'bar'), element('b'))
        list.append(item)
      }
      this.parts.body.replaceChildren(list)
    }
    const items = this.parts.body.querySelectorAll('li')
    numbers.forEach((number, i) => {
      const item = items[i]
      setText(item?.querySelector('b'), formatText(number, plan.unit))
      const bar = item?.querySelector<HTMLElement>('.bar')
      if (bar != null) bar.style.setProperty('--share', String(largest > 0 && number > 0 ? number / largest : 0))
    })
    this.setHeader(format(all, plan.unit, this.scale), this.stateWord(plan, false, 'sum'))
    const others = all - numbers.reduce((sum, one) => sum + zero(one), 0)
    this.parts.legend.textContent = `${plan.total - plan.lines.length} others ${formatText(Math.max(0, others), plan.unit)}`
  }

  /** What a screen reader is told, renewed on focus and not per tick. */
  private describe(): void {
    const { parts } = this
    const number = [parts.value.textContent, parts.unit.textContent, parts.word.textContent].filter(Boolean).join(' ')
    parts.body.setAttribute('aria-label', `${parts.root.dataset.title ?? ''} ${number}, ${parts.legend.textContent}`)
  }
}

function unitOfPlan(plan: Plan): Unit {
  return 'unit' in plan ? plan.unit : 'count'
}

/** The line under the title: the raw name and how the series are shown. */
function sourceLine(source: string, plan: Plan): string {
  const parts = [source]
  switch (plan.kind) {
    case 'share':
      parts.push(`by ${plan.by}`)
      break
    case 'quantiles':
      parts.push(`last ${QUANTILE_SPAN_MS / 1000} s`)
      break
    case 'bars':
      parts.push(`top ${plan.lines.length} of ${plan.total}`)
      break
    case 'lines': {
      const named = plan.lines.filter((line) => !line.other).length
      if (named < plan.total) parts.push(`top ${named} of ${plan.total}`)
      break
    }
    default:
  }
  return parts.join(' · ')
}

/** How many legend entries fit in `width` pixels, by the mean width of a digit and a letter at 12 px. */
function fitting(labels: readonly string[], width: number): number {
  let used = 0
  for (let i = 0; i < labels.length; i++) {
    used += 28 + Math.min(96, (labels[i]?.length ?? 0) * 6.6) + 58
    const room = i === labels.length - 1 ? width : width - 28
    if (used > room + 10) return Math.max(1, i)
  }
  return labels.length
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

function zero(value: number): number {
  return Number.isNaN(value) ? 0 : value
}

function day(ms: number): string {
  const date = new Date(ms)
  const two = (n: number) => String(n).padStart(2, '0')
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`
}

function element(name: string, className = ''): HTMLElement {
  const made = document.createElement(name)
  if (className !== '') made.className = className
  return made
}

/** Sets text only when it is another, so that unchanged cards cost nothing. */
function setText(target: Element | null | undefined, text: string): void {
  if (target != null && target.textContent !== text) target.textContent = text
}
