/** Facts: the labels of a series as chips. */
import type { Plan } from '../../model/plan'
import { element, labelled } from '../dom'
import type { Face } from './face'
import type { Body, Ground } from './ground'
import { paintRows } from './paint'

/** So many labels of a series, and so many series of facts, have room. */
const MOST_CHIPS = 12
const MOST_ROWS = 5

export class ChipsBody implements Body {
  constructor(
    private readonly ground: Ground,
    private readonly face: Face,
    private readonly plan: Extract<Plan, { kind: 'chips' }>,
  ) {}

  draw(): void {
    const { plan, face, ground: { parts } } = this
    if (face.shaped(plan.chips.join('\n'))) return
    // One series may take all lines; of several each has one, cut where it ends.
    const lists = plan.chips.slice(0, MOST_ROWS).map((texts) => {
      const list = element('ul', plan.chips.length === 1 ? 'chips' : 'chips row')
      list.append(...texts.slice(0, MOST_CHIPS).map((text) => labelled('li', 'chip', text)))
      list.title = texts.join('\n')
      return list
    })
    parts.body.replaceChildren(...lists)
    face.header({ text: '', unit: '' }, '')
    const more = plan.chips.length - lists.length
    parts.legend.textContent = more > 0 ? `+${more} series` : plan.total === 1 ? '' : `${plan.total} series`
  }

  paint(context: CanvasRenderingContext2D, width: number, height: number): void {
    paintRows(context, this.ground.page, width, height, this.plan.chips.flat().map((label) => ({ label, value: '' })))
  }
}
