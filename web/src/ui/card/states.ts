/** The texts of a state timeline: how many are as they should be. */
import { rowsIn } from '../../chart/chart'
import type { Plan } from '../../model/plan'
import type { Face } from './face'
import type { Ground } from './ground'

/** Height of what is not rows. */
const AXES = 30

export function stateTexts(ground: Ground, face: Face, plan: Extract<Plan, { kind: 'states' }>): void {
  const states = ground.series().map((one) => ground.value(one.key))
  const bad = states.filter((state) => state === plan.bad).length
  const shown = plan.bad === null ? states.filter((state) => state === 1).length : states.length - bad
  face.header({ text: String(shown), unit: `of ${states.length}` }, face.word(plan, false, plan.bad === null ? 'at 1' : 'as they should be'))
  const rest = plan.total - Math.min(plan.lines.length, rowsIn(ground.height - AXES))
  const facts = [...(plan.bad === null ? [] : [bad === 0 ? `none at ${plan.bad}` : `${bad} at ${plan.bad}`]), ...(rest > 0 ? [`+${rest} rows`] : [])]
  face.stats([[facts.join(', '), '']])
}
