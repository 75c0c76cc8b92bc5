/**
 * A share of a known limit as an arc of 240°, with the range in words and thresholds as a thin outer arc. Without a limit an
 * arc would mean nothing: then it is a plain number.
 */
import { format, formatText } from '../../format/number'
import type { Scale } from '../../format/number'
import { element, setText } from '../dom'
import type { Face } from './face'
import type { Body, Ground, LinePlan } from './ground'
import { headline, unitOfPlan } from './headline'
import { FONT_FAMILY } from './paint'

const SVG = 'http://www.w3.org/2000/svg'
/** The drawing's own units; the arc's middle is at CENTRE, CENTRE. */
const BOX = { width: 200, height: 156 }
const CENTRE = 100
const RADIUS = 80
const OUTER = 92
const START = 150
const SWEEP = 240

/** The path of an arc from one share to another (0..1). */
export function arc(radius: number, from: number, to: number): string {
  const point = (share: number) => {
    const angle = ((START + SWEEP * share) * Math.PI) / 180
    return `${(CENTRE + radius * Math.cos(angle)).toFixed(2)} ${(CENTRE + radius * Math.sin(angle)).toFixed(2)}`
  }
  return `M${point(from)}A${radius} ${radius} 0 ${(to - from) * SWEEP > 180 ? 1 : 0} 1 ${point(to)}`
}

/** The share of an arc that a value fills. */
export function filled(value: number, limit: number): number {
  return Number.isNaN(value) ? 0 : Math.max(0, Math.min(1, value / limit))
}

export class GaugeBody implements Body {
  private readonly scale: Scale = { index: -1 }
  private readonly hand: SVGPathElement
  private readonly number = element('b', 'value')
  private readonly unit = element('span', 'unit')
  private readonly highest = element('span', 'gauge-end')
  private share = 0

  constructor(
    private readonly ground: Ground,
    private readonly face: Face,
    private readonly plan: LinePlan,
  ) {
    const svg = document.createElementNS(SVG, 'svg')
    svg.setAttribute('viewBox', `0 0 ${BOX.width} ${BOX.height}`)
    const path = (className: string, d: string): SVGPathElement => {
      const made = document.createElementNS(SVG, 'path')
      made.setAttribute('class', className)
      made.setAttribute('d', d)
      svg.append(made)
      return made
    }
    const holder = element('div', 'gauge')
    if (ground.limit(plan) !== null) {
      path('track', arc(RADIUS, 0, 1))
      for (const { from, to, severity } of this.marks()) path(`mark ${severity}`, arc(OUTER, from, to))
      this.hand = path('hand', arc(RADIUS, 0, 0))
      const least = element('span', 'gauge-end')
      least.textContent = formatText(0, unitOfPlan(plan))
      const ends = element('p', 'gauge-ends')
      ends.append(least, this.highest)
      holder.append(svg, ends)
    } else this.hand = document.createElementNS(SVG, 'path')
    const middle = element('p', 'gauge-value')
    middle.append(this.number, ' ', this.unit)
    holder.append(middle)
    ground.parts.body.replaceChildren(holder)
  }

  draw(): void {
    const { ground, plan, face } = this
    const latest = ground.latest(plan)
    const { value, word } = headline(ground, plan, (line) => latest[line] ?? NaN, ground.row)
    const limit = ground.limit(plan)
    this.share = limit === null ? 0 : filled(value, limit)
    this.hand.setAttribute('d', this.share === 0 ? '' : arc(RADIUS, 0, this.share))
    if (!face.due()) return
    const unit = unitOfPlan(plan)
    const shown = format(value, unit, this.scale)
    setText(this.number, shown.text)
    setText(this.unit, shown.unit)
    if (limit !== null) setText(this.highest, formatText(limit, unit))
    face.header(shown, face.word(plan, false, word))
    const marks = (ground.spec.thresholds ?? []).map(({ at, severity }): [string, string] => [severity, `from ${formatText(at, unit)}`])
    face.stats(limit === null ? [['no limit is known', '']] : marks.length > 0 ? marks : unit === 'ratio' || unit === 'percent' ? [] : [[`of ${formatText(limit, unit)}`, formatText(value / limit, 'ratio')]])
  }

  paint(context: CanvasRenderingContext2D, width: number, height: number): void {
    const { palette } = this.ground.page
    const scale = Math.min(width / BOX.width, height / BOX.height)
    context.translate((width - BOX.width * scale) / 2, (height - BOX.height * scale) / 2)
    context.scale(scale, scale)
    context.lineWidth = 12
    if (this.ground.limit(this.plan) !== null) {
      context.strokeStyle = palette.line2
      context.stroke(new Path2D(arc(RADIUS, 0, 1)))
      context.strokeStyle = palette.series[0] ?? palette.other
      if (this.share > 0) context.stroke(new Path2D(arc(RADIUS, 0, this.share)))
      context.lineWidth = 4
      for (const { from, to, severity } of this.marks()) {
        context.strokeStyle = palette[severity]
        context.stroke(new Path2D(arc(OUTER, from, to)))
      }
    }
    context.fillStyle = palette.text
    context.textAlign = 'center'
    context.font = `600 30px ${FONT_FAMILY}`
    context.fillText(`${this.number.textContent} ${this.unit.textContent}`, CENTRE, CENTRE + 8)
  }

  /** The parts of the outer arc that mean trouble. */
  private marks(): { from: number; to: number; severity: 'warning' | 'critical' }[] {
    const limit = this.ground.limit(this.plan)
    const marks = [...(this.ground.spec.thresholds ?? [])].sort((a, b) => a.at - b.at)
    if (limit === null) return []
    return marks
      .map(({ at, severity }, i) => ({ from: filled(at, limit), to: filled(marks[i + 1]?.at ?? limit, limit), severity }))
      .filter(({ from, to }) => to > from)
  }
}
