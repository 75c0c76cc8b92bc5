/** All that a chart shows as rows: name, how it went, value. The table alternative of every chart. */
import { formatText } from '../../format/number'
import type { Scale } from '../../format/number'
import { format } from '../../format/number'
import { lineNumbers, planNumbers, isRate } from '../../model/derive'
import { element, labelled, setText } from '../dom'
import { LiveSparkline } from '../sparkline'
import type { Numbers } from '../small-card'
import type { Face } from './face'
import type { Body, Ground, LinePlan } from './ground'
import { headline, unitOfPlan } from './headline'
import { paintRows } from './paint'

/** More rows than this have no line: nobody scrolls through them to see it. */
const MOST_SPARKS = 60

export class TableBody implements Body {
  private readonly scale: Scale = { index: -1 }
  private readonly numbers: HTMLElement[] = []
  private readonly sparks: LiveSparkline[] = []

  constructor(
    private readonly ground: Ground,
    private readonly face: Face,
    private readonly plan: LinePlan,
  ) {
    const table = element('table', 'rows')
    const head = element('thead')
    const names = element('tr')
    for (const [text, className] of [['series', ''], ['window', ''], ['now', 'number']] as const) {
      const cell = element('th', className)
      cell.textContent = text
      cell.setAttribute('scope', 'col')
      names.append(cell)
    }
    head.append(names)
    const body = element('tbody')
    plan.lines.forEach((line, i) => {
      const row = element('tr')
      const name = labelled('th', 'label', line.label)
      name.setAttribute('scope', 'row')
      const spark = element('td')
      if (i < MOST_SPARKS) {
        const canvas = document.createElement('canvas')
        canvas.className = 'spark'
        spark.append(canvas)
        this.sparks.push(new LiveSparkline(ground.page, canvas, this.line(i)))
      }
      const number = element('td', 'number')
      this.numbers.push(number)
      row.append(name, spark, number)
      body.append(row)
    })
    table.append(head, body)
    const scroll = element('div', 'scroll')
    scroll.append(table)
    ground.parts.body.replaceChildren(scroll)
  }

  draw(): void {
    const { ground, plan, face } = this
    if (!face.due()) return
    const unit = unitOfPlan(plan)
    const latest = ground.latest(plan)
    this.numbers.forEach((number, i) => {
      const text = stateOf(plan, i, latest[i] ?? NaN) ?? formatText(latest[i] ?? NaN, unit)
      setText(number, text)
      number.title = exactText(ground, plan, i, latest[i] ?? NaN)
    })
    const { value, word } = headline(ground, plan, (line) => latest[line] ?? NaN, ground.row)
    face.header(plan.kind === 'states' ? { text: String(plan.total), unit: '' } : format(value, unit, this.scale), face.word(plan, false, plan.kind === 'states' ? 'rows' : word))
    face.rest(plan, plan.lines.length, plan.total > plan.lines.length ? '' : `${plan.lines.length} rows`)
  }

  destroy(): void {
    for (const spark of this.sparks) spark.destroy()
  }

  paint(context: CanvasRenderingContext2D, width: number, height: number): void {
    paintRows(context, this.ground.page, width, height, this.plan.lines.map(({ label }, i) => ({ label, value: this.numbers[i]?.textContent ?? '' })))
  }

  private line(i: number): Numbers {
    const { ground, plan } = this
    return {
      columns: () => ground.columns,
      fill: (columns, from, to, out) => {
        const line = plan.lines[i]
        if (line === undefined) return
        if (plan.kind === 'quantiles') planNumbers(columns, { ...plan, lines: plan.lines.slice(i, i + 1) }, from, to, [out])
        else lineNumbers(columns, line, isRate(plan), from, to, out)
      },
    }
  }
}

function stateOf(plan: LinePlan, line: number, value: number): string | null {
  return plan.lines[line]?.states?.[value] ?? null
}

/** The value as it came, for whom three digits are too few. */
function exactText(ground: Ground, plan: LinePlan, line: number, value: number): string {
  const [key, more] = plan.lines[line]?.keys ?? []
  const digits = isRate(plan) || key === undefined || more !== undefined ? null : ground.source.digits(key, ground.to)
  if (digits !== null && Number(digits) === value) return digits
  return Number.isNaN(value) ? '' : String(value)
}
