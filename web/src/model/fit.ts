/** Which views suit a plan, and why another does not. */
import { addsUp } from './kinds'
import type { Plan } from './plan'
import type { CardSpec, View } from './spec'

export interface Misfit {
  readonly why: string
  /** What would suit. */
  readonly fits: readonly View[]
}

/** The views that suit, the family's own first. */
export function fitting(plan: Plan): readonly View[] {
  switch (plan.kind) {
    case 'chips':
    case 'age':
      return []
    case 'quantiles':
      return ['heatmap', 'lines', 'histogram', 'table', 'value', 'scatter']
    case 'states':
      return ['states', 'lines', 'table', 'value']
    case 'share':
      return ['area', 'lines', 'bars', 'gauge', 'histogram', 'table', 'value', 'scatter']
    case 'lines': {
      const views: View[] = ['lines', 'area', 'bars', 'gauge', 'histogram', 'table', 'value', 'scatter']
      return views.filter((view) => (view !== 'area' || stackable(plan)) && (view !== 'gauge' || plan.limit !== null))
    }
  }
}

/** Why the view asked for would say something wrong, or nothing; null where it suits. */
export function misfit(plan: Plan, spec: CardSpec): Misfit | null {
  const { view } = spec
  if (view === undefined) return null
  const fits = fitting(plan)
  // They are tables as they are.
  if ((plan.kind === 'chips' || plan.kind === 'age') && view === 'table') return null
  // Without a known limit a gauge is a plain number, and says so itself.
  if (view === 'gauge' && plan.kind === 'lines') return null
  if (view === 'scatter' && fits.includes(view) && spec.against === undefined) return { why: 'A scatter plot sets two series against each other. Against which?', fits: [] }
  if (fits.includes(view)) return null
  return { why: reason(plan, view), fits: fits.filter((one) => one !== 'scatter').slice(0, 3) }
}

function reason(plan: Plan, view: View): string {
  if (plan.kind === 'chips') return 'These are facts: labels without a number that could be drawn.'
  if (plan.kind === 'age') return 'This is a moment. How long ago it was is all there is to show.'
  switch (view) {
    case 'heatmap':
      return 'A heatmap shows how the buckets of a histogram fill. There are no buckets here.'
    case 'states':
      return 'A state timeline shows 0 and 1. Here are other values.'
    case 'area':
      return plan.kind === 'quantiles' ? 'Quantiles do not add up, so they cannot be stacked.' : 'These values do not add up, so a stack of them would show a sum that is none.'
    case 'gauge':
      return 'A gauge needs a limit that is known.'
    default:
      return plan.kind === 'quantiles' ? 'Quantiles are not parts of a whole.' : 'States are not amounts.'
  }
}

function stackable(plan: Extract<Plan, { kind: 'lines' }>): boolean {
  return (plan.lines.length === 1 || addsUp(plan.unit) || (plan.rate && plan.unit === 'ratio')) && !plan.lines.some((line) => line.below === true)
}
