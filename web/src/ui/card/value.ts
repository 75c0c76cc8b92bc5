/** One number, large, over the line that led to it. */
import { age, format, formatText } from '../../format/number'
import type { Scale } from '../../format/number'
import { element, setText } from '../dom'
import { LiveSparkline } from '../sparkline'
import type { Face } from './face'
import type { Body, Ground, LinePlan } from './ground'
import { headline, unitOfPlan } from './headline'
import { FONT_FAMILY } from './paint'

export class ValueBody implements Body {
  private readonly scale: Scale = { index: -1 }
  private readonly number = element('b', 'value')
  private readonly unit = element('span', 'unit')
  private readonly canvas = document.createElement('canvas')
  private readonly line: LiveSparkline

  constructor(
    private readonly ground: Ground,
    private readonly face: Face,
    private readonly plan: LinePlan,
  ) {
    const text = element('p', 'big')
    text.append(this.number, ' ', this.unit)
    this.canvas.className = 'spark wide'
    const holder = element('div', 'single')
    holder.append(text, this.canvas)
    ground.parts.body.replaceChildren(holder)
    this.line = new LiveSparkline(ground.page, this.canvas, {
      columns: () => ground.columns,
      fill: (_, from, to, out) => {
        headlines(ground, plan, from, to, out)
      },
    })
  }

  draw(): void {
    const { ground, plan, face } = this
    if (!face.due()) return
    const latest = ground.latest(plan)
    const { value, word } = headline(ground, plan, (line) => latest[line] ?? NaN, ground.row)
    const unit = unitOfPlan(plan)
    const shown = format(value, unit, this.scale)
    setText(this.number, shown.text)
    setText(this.unit, shown.unit)
    face.header(shown, face.word(plan, false, word))
    const { columns, from, lastRow } = ground
    const first = columns.indexAt(from)
    const all = new Float64Array(Math.max(0, lastRow + 1 - first))
    headlines(ground, plan, first, lastRow + 1, all)
    const known = all.filter(Number.isFinite)
    if (known.length < 2) face.stats([['no values yet', '']])
    else {
      const least = known.reduce((a, b) => Math.min(a, b))
      const greatest = known.reduce((a, b) => Math.max(a, b))
      if (least === greatest) face.stats([[`unchanged for ${age(((columns.times[lastRow] ?? 0) - (columns.times[first] ?? 0)) / 1000)}`, '']])
      else face.stats([['min', formatText(least, unit)], ['max', formatText(greatest, unit)]])
    }
  }

  destroy(): void {
    this.line.destroy()
  }

  paint(context: CanvasRenderingContext2D, width: number, height: number): void {
    context.fillStyle = this.ground.page.palette.text
    context.font = `600 44px ${FONT_FAMILY}`
    context.fillText(`${this.number.textContent} ${this.unit.textContent}`, 12, 48)
    context.drawImage(this.canvas, 0, 64, width, height - 64)
  }
}

/** The headline of each row. */
function headlines(ground: Ground, plan: LinePlan, from: number, to: number, out: Float64Array): void {
  const lines = plan.lines.map(() => new Float64Array(to - from))
  ground.derive(plan, from, to, lines)
  for (let i = 0; i < to - from; i++) out[i] = headline(ground, plan, (line) => lines[line]?.[i] ?? NaN, from + i).value
}
