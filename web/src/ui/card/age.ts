/** Moments: how long ago, and when. */
import { age, clock, day, MISSING } from '../../format/number'
import type { Plan } from '../../model/plan'
import { element } from '../dom'
import type { Face } from './face'
import type { Body, Ground } from './ground'
import { paintRows } from './paint'

const MOST_ROWS = 5

export class AgeBody implements Body {
  constructor(
    private readonly ground: Ground,
    private readonly face: Face,
    private readonly plan: Extract<Plan, { kind: 'age' }>,
  ) {}

  draw(): void {
    const { plan, face, ground } = this
    const moments = plan.lines.map((line) => ground.value(line.keys[0] ?? -1) * 1000)
    const seconds = (ground.time - Math.max(...moments)) / 1000
    face.header({ text: age(Math.abs(seconds)), unit: '' }, face.word(plan, moments.every(Number.isNaN), seconds < 0 ? 'from now' : 'ago'))
    if (face.shaped(`age ${moments.join()}`)) return
    const list = element('dl', 'moments')
    plan.lines.slice(0, MOST_ROWS).forEach((line, i) => {
      const moment = moments[i] ?? NaN
      const label = element('dt')
      label.textContent = plan.lines.length === 1 ? 'at' : line.label
      const time = element('dd')
      time.textContent = Number.isFinite(moment) ? (moment === 0 ? 'never' : `${day(moment)} ${clock(moment, true)}`) : MISSING
      list.append(label, time)
    })
    ground.parts.body.replaceChildren(list)
    ground.parts.legend.textContent = plan.total > MOST_ROWS ? `+${plan.total - MOST_ROWS}` : ''
  }

  paint(context: CanvasRenderingContext2D, width: number, height: number): void {
    const { ground, plan } = this
    const rows = plan.lines.map(({ label, keys }) => {
      const moment = ground.value(keys[0] ?? -1) * 1000
      return { label, value: Number.isFinite(moment) ? `${day(moment)} ${clock(moment, true)}` : MISSING }
    })
    paintRows(context, ground.page, width, height, rows)
  }
}
