/** The one number of a card, and its small word. */
import { formatText } from '../../format/number'
import type { Unit } from '../../format/number'
import { isRate } from '../../model/derive'
import type { Plan } from '../../model/plan'
import type { Ground, LinePlan } from './ground'

export interface Headline {
  readonly value: number
  readonly word: string
}

/**
 * @param value the number of a line, at the cursor or now.
 * @param row the row that is, for the sum of series without a line.
 */
export function headline(ground: Ground, plan: LinePlan, value: (line: number) => number, row: number): Headline {
  const shown = plan.lines.map((_, i) => value(i)).filter((one) => !Number.isNaN(one))
  const sum = shown.length === 0 ? NaN : shown.reduce((so, one) => so + one, 0)
  switch (plan.kind) {
    case 'quantiles':
      return plan.by === undefined ? { value: value(0), word: 'p99' } : { value: greatest(shown), word: 'highest p99' }
    case 'share':
      return { value: sum, word: plan.idle ? 'not idle' : '' }
    case 'lines': {
      if (plan.summary === 'first') {
        const limit = ground.limit(plan)
        return { value: value(0), word: limit === null ? (plan.word ?? '') : `${plan.word ?? ''} of ${formatText(limit, plan.unit)}` }
      }
      const word = plan.word ?? (plan.summary === 'last' ? '' : plan.summary)
      if (plan.summary !== 'sum') return { value: greatest(shown), word }
      const all = plan.headline === undefined && plan.total <= plan.lines.length
      return { value: all ? sum : ground.at(row, ground.allKeys(plan), isRate(plan)), word }
    }
    default:
      return { value: NaN, word: '' }
  }
}

function greatest(values: readonly number[]): number {
  return values.length === 0 ? NaN : Math.max(...values)
}

export function unitOfPlan(plan: Plan): Unit {
  return 'unit' in plan ? plan.unit : 'count'
}
