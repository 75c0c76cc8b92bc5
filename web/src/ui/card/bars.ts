/** The largest as bars, with those that have no room as text. */
import { format, formatText } from '../../format/number'
import type { Scale } from '../../format/number'
import { element, labelled, setText } from '../dom'
import { countOf } from './face'
import type { Face } from './face'
import type { Body, Ground, LinePlan } from './ground'
import { headline, unitOfPlan } from './headline'
import { paintRows } from './paint'

const ROW_HEIGHT = 24
const PADDING = 8

export class BarsBody implements Body {
  private readonly scale: Scale = { index: -1 }
  private items: { readonly bar: HTMLElement; readonly number: HTMLElement }[] = []

  constructor(
    private readonly ground: Ground,
    private readonly face: Face,
    private readonly plan: LinePlan,
  ) {}

  draw(): void {
    const { plan, face, ground } = this
    if (!face.due() || ground.lastRow < 0) return
    const fit = Math.max(1, Math.floor((ground.height - PADDING) / ROW_HEIGHT))
    const lines = plan.lines.slice(0, fit)
    if (!face.shaped(`bars ${lines.length}`)) {
      const list = element('ul', 'bars')
      this.items = lines.map((line) => {
        const item = element('li')
        const bar = element('i', 'bar')
        const number = element('b')
        item.append(labelled('span', 'label', line.label), bar, number)
        list.append(item)
        return { bar, number }
      })
      ground.parts.body.replaceChildren(list)
    }
    const unit = unitOfPlan(plan)
    const latest = ground.latest(plan)
    const largest = this.largest(latest)
    this.items.forEach(({ bar, number }, i) => {
      const value = latest[i] ?? NaN
      setText(number, formatText(value, unit))
      bar.style.setProperty('--share', String(largest > 0 && value > 0 ? value / largest : 0))
    })
    const { value: all, word } = headline(ground, plan, (line) => latest[line] ?? NaN, ground.row)
    face.header(format(all, unit, this.scale), face.word(plan, false, word))
    const rest = countOf(plan) - lines.length
    const sums = rest > 0 && word === 'sum' ? ` ${formatText(Math.max(0, all - latest.slice(0, lines.length).reduce((so, one) => so + (Number.isNaN(one) ? 0 : one), 0)), unit)}` : ''
    face.rest(plan, lines.length, rest > 0 ? `${rest} ${rest === 1 ? 'other' : 'others'}${sums}` : '')
  }

  paint(context: CanvasRenderingContext2D, width: number, height: number): void {
    const { plan, ground } = this
    const latest = ground.latest(plan)
    const largest = this.largest(latest)
    paintRows(context, ground.page, width, height, plan.lines.map(({ label }, i) => ({ label, value: formatText(latest[i] ?? NaN, unitOfPlan(plan)), share: largest > 0 ? (latest[i] ?? 0) / largest : 0 })))
  }

  /** A full bar: the limit if there is one, or the largest. */
  private largest(latest: Float64Array): number {
    const limit = this.plan.kind === 'lines' && 'limit' in this.plan && this.plan.lines.length > 1 && this.plan.unit === 'ratio' ? this.ground.limit(this.plan) : null
    return Math.max(limit ?? 0, ...[...latest].filter(Number.isFinite), 0)
  }
}
