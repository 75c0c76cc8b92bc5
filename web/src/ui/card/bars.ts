/** The largest as bars, where there are too many for lines; and who asks for bars. */
import { format, formatText } from '../../format/number'
import type { Scale } from '../../format/number'
import type { Plan } from '../../model/plan'
import { element, labelled, setText } from '../dom'
import type { Face } from './face'
import type { Body, Ground } from './ground'

export class BarsBody implements Body {
  private readonly scale: Scale = { index: -1 }

  constructor(
    private readonly ground: Ground,
    private readonly face: Face,
    private readonly plan: Extract<Plan, { kind: 'bars' }>,
  ) {}

  draw(): void {
    const { plan, face, ground } = this
    if (!face.due() || ground.lastRow < 0) return
    const numbers = plan.lines.map((line) => ground.now(line.keys, plan.rate))
    const all = ground.now(ground.series().map((one) => one.key), plan.rate)
    const largest = Math.max(0, ...numbers.filter(Number.isFinite))
    if (!face.shaped('bars')) {
      const list = element('ul', 'bars')
      for (const line of plan.lines) {
        const item = element('li')
        item.append(labelled('span', 'label', line.label), element('i', 'bar'), element('b'))
        list.append(item)
      }
      ground.parts.body.replaceChildren(list)
    }
    const items = ground.parts.body.querySelectorAll('li')
    numbers.forEach((number, i) => {
      const item = items[i]
      setText(item?.querySelector('b'), formatText(number, plan.unit))
      const bar = item?.querySelector<HTMLElement>('.bar')
      if (bar != null) bar.style.setProperty('--share', String(largest > 0 && number > 0 ? number / largest : 0))
    })
    face.header(format(all, plan.unit, this.scale), face.word(plan, false, 'sum'))
    const others = all - numbers.reduce((sum, one) => sum + (Number.isNaN(one) ? 0 : one), 0)
    ground.parts.legend.textContent = `${plan.total - plan.lines.length} others ${formatText(Math.max(0, others), plan.unit)}`
  }
}
