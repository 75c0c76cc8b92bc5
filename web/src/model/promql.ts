/** The PromQL of what a card shows, for Prometheus, Grafana, or the page of queries. */
import { keyOf } from '../../client/model'
import type { Plan } from './plan'
import type { CardSpec } from './spec'
import type { FamilyInfo } from './store'

/** The chart's rate is that between the last two samples, wherever those are within a minute. */
const SPAN = '[1m]'
/** As `QUANTILE_SPAN_MS`. */
const QUANTILE_SPAN = '[15s]'

/** A name PromQL takes bare; another is a matcher of `__name__`. */
const BARE = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/

/** The selector of all series of a name; `matchers` as text. */
export function selector(name: string, matchers = ''): string {
  if (BARE.test(name)) return matchers === '' ? name : `${name}{${matchers}}`
  const named = keyOf('', { __name__: name })
  return matchers === '' ? named : `${named.slice(0, -1)},${matchers}}`
}

/** A label as `by` has it. */
function label(name: string): string {
  return /^[a-zA-Z_][a-zA-Z0-9_]*$/.test(name) ? name : JSON.stringify(name)
}

export function promqlOf(spec: CardSpec, families: readonly FamilyInfo[], plan: Plan | null): string {
  const { query } = spec
  const expressions = query === undefined ? families.map((family) => ofFamily(family, plan)) : [put(plan, query)]
  const [only = ''] = expressions
  if (expressions.length === 1) return only
  // The rates of two families have the same labels; another label keeps them apart.
  return families.map((family, i) => `label_replace(${plan?.kind === 'lines' && plan.lines.some((line) => line.below === true) && i > 0 ? '-' : ''}${expressions[i] ?? ''}, "of", "${family.name}", "", "")`).join(' or ')
}

function ofFamily(family: FamilyInfo, plan: Plan | null): string {
  const { name } = family
  switch (plan?.kind) {
    case 'quantiles': {
      const [first] = plan.lines
      const by = plan.by === undefined ? 'le' : `le, ${label(plan.by)}`
      return `histogram_quantile(${first?.q ?? 0.99}, sum by (${by}) (rate(${selector(`${name}_bucket`)}${QUANTILE_SPAN})))`
    }
    case 'share': {
      const busy = selector(name, plan.idle ? `${label(plan.by)}!="idle"` : '')
      return `sum by (${label(plan.by)}) (irate(${busy}${SPAN}))${plan.parts === 1 ? '' : ` / ${plan.parts}`}`
    }
    case 'age':
      return `time() - ${selector(name)}`
    case 'lines': {
      // A line that is made of a part of a family is of series of another name: `_count` of a native histogram.
      const of = selector(family.series[0]?.name.startsWith(`${name}_`) === true && family.type === 'histogram' ? `${name}_count` : name)
      return put(plan, plan.rate ? `irate(${of}${SPAN})` : of)
    }
    default:
      return selector(name)
  }
}

/** Put together by a label, and only the top where there are too many. */
function put(plan: Plan | null, expression: string): string {
  if (plan?.kind !== 'lines') return expression
  const how = plan.lines.some((line) => line.highest === true) ? 'max' : 'sum'
  const grouped = plan.by === undefined ? expression : `${how} by (${label(plan.by)}) (${expression})`
  return plan.view === 'bars' && plan.total > plan.lines.length ? `topk(${plan.lines.length}, ${grouped})` : grouped
}
