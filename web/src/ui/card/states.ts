/** The texts of a state timeline: how many are as they should be. */
import type { Plan } from '../../model/plan'
import type { Face } from './face'
import type { Ground } from './ground'

export function stateTexts({ source, series }: Ground, face: Face, plan: Extract<Plan, { kind: 'states' }>): void {
  const states = series().map((one) => source.value(one.key))
  const bad = states.filter((state) => state === plan.bad).length
  const shown = plan.bad === null ? states.filter((state) => state === 1).length : states.length - bad
  face.header({ text: String(shown), unit: `of ${states.length}` }, face.word(plan, false, plan.bad === null ? 'at 1' : 'as they should be'))
  const rest = plan.total - plan.lines.length
  const facts = [...(plan.bad === null ? [] : [bad === 0 ? `none at ${plan.bad}` : `${bad} at ${plan.bad}`]), ...(rest > 0 ? [`+${rest} rows`] : [])]
  face.stats([[facts.join(', '), '']])
}
