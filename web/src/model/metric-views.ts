/** The views that the page of a metric offers, and the card that each of them is. */
import { fitting } from './fit'
import { printMatchers, parseMatchers } from './matchers'
import { makePlan } from './plan'
import { makeGroup } from './group'
import { selector } from './promql'
import { VIEW_NAMES, VIEWS } from './spec'
import type { CardSpec } from './spec'
import type { FamilyInfo } from './store'

export interface Offered {
  /** A view of cards, or `rate` and `mean` of a histogram, which are queries. */
  readonly view: string
  readonly label: string
}

/** How far back the rates of those two look; as the card's own quantiles do. */
const SPAN = '[15s]'

/** The one that is shown without a choice comes first. */
export function shownViews(family: FamilyInfo, companions: readonly FamilyInfo[], value: (key: number) => number, find: (name: string) => FamilyInfo | undefined): readonly Offered[] {
  const plan = companions.length === 0 ? makePlan(family, value, undefined, {}, find) : makeGroup([family, ...companions], value, undefined, {})
  // The table is below anyway, and a scatter plot needs another metric first.
  const views = fitting(plan).filter((view) => view !== 'table')
  const offered = views.map((view): Offered => ({ view, label: plan.kind === 'quantiles' && view === 'lines' ? 'Quantiles' : VIEW_NAMES[view] }))
  if (plan.kind !== 'quantiles') return offered
  const at = offered.findIndex(({ view }) => view === 'lines') + 1
  return [...offered.slice(0, at), { view: 'rate', label: 'Rate' }, { view: 'mean', label: 'Mean' }, ...offered.slice(at)]
}

interface Chosen {
  readonly families: readonly FamilyInfo[]
  /** Empty for the family's own. */
  readonly view: string
  readonly by: string
  /** A label filter, with its braces. */
  readonly where: string
  readonly against: string
}

export function specOf({ families, view, by, where, against }: Chosen): CardSpec {
  const [first] = families
  const name = first?.name ?? ''
  const grouped = by === '' ? {} : { by }
  if (view === 'rate' || view === 'mean') {
    const matchers = printMatchers(parseMatchers(where)).slice(1, -1)
    const per = (suffix: string) => `sum${by === '' ? '' : ` by (${by})`} (rate(${selector(name + suffix, matchers)}${SPAN}))`
    return { query: view === 'rate' ? per('_count') : `${per('_sum')} / ${per('_count')}`, title: view === 'rate' ? 'Observations' : 'Mean' }
  }
  const known = VIEWS.find((one) => one === view)
  return {
    ...(families.length > 1 ? { families: families.map((family) => family.name) } : { family: name }),
    ...(known === undefined ? {} : { view: known }),
    ...grouped,
    ...(against === '' ? {} : { against }),
  }
}
