/** What asks for attention, by metric: alerts on it, and how unusual it is. */
import { metricsOf } from '../promql/context'
import { lex } from '../promql/lex'
import type { FamilyInfo, Store } from './store'

export interface AlertOn {
  readonly name: string
  readonly state: 'pending' | 'firing'
  readonly severity: string
  /** How many alerts of this rule. */
  readonly count: number
}

/** Watched series say how unusual they are in this family, by the label `metric`; 1 is the threshold. */
const SCORES = 'gaugecast_anomaly_score'
/** From here on a series is unusual. */
export const UNUSUAL = 1

/**
 * The alerts there are, by the metrics that their rules name.
 *
 * @param answer of `/api/v1/rules`. What is not of its form is left out.
 */
export function alertsByMetric(answer: unknown): ReadonlyMap<string, readonly AlertOn[]> {
  const found = new Map<string, AlertOn[]>()
  for (const group of list(field(field(answer, 'data'), 'groups'))) {
    for (const rule of list(field(group, 'rules'))) {
      const alerts = list(field(rule, 'alerts'))
      const name = field(rule, 'name')
      const query = field(rule, 'query')
      if (alerts.length === 0 || typeof name !== 'string' || typeof query !== 'string') continue
      const severity = field(field(alerts[0], 'labels'), 'severity')
      const state = alerts.some((alert) => field(alert, 'state') === 'firing') ? 'firing' : 'pending'
      const one: AlertOn = { name, state, severity: typeof severity === 'string' ? severity : '', count: alerts.length }
      for (const metric of metricsOf(lex(query))) found.set(metric, [...(found.get(metric) ?? []), one])
    }
  }
  return found
}

/** What a histogram's series have behind the family's name, and counters in the text formats. */
const SUFFIXES = ['_bucket', '_sum', '_count', '_total']

/** The alerts on a family, by its name or that of its series. */
export function alertsOn(alerts: ReadonlyMap<string, readonly AlertOn[]>, family: string): readonly AlertOn[] {
  return [...new Set(['', ...SUFFIXES].flatMap((suffix) => alerts.get(family + suffix) ?? []))]
}

/** The greatest score of each watched metric, now. */
export function scores(store: Pick<Store, 'families' | 'value'>): ReadonlyMap<string, number> {
  const found = new Map<string, number>()
  for (const { key, labels } of store.families.get(SCORES)?.series ?? []) {
    const { metric } = labels
    const score = store.value(key)
    if (metric !== undefined && score > (found.get(metric) ?? 0)) found.set(metric, score)
  }
  return found
}

export function scoreOf(found: ReadonlyMap<string, number>, family: string): number {
  return Math.max(...['', ...SUFFIXES].map((suffix) => found.get(family + suffix) ?? 0))
}

/** Whether any series of the family has ended. */
export function hasStale(store: Pick<Store, 'stale'>, { series }: FamilyInfo): boolean {
  return series.some(({ key }) => store.stale(key) !== null)
}

function field(of: unknown, name: string): unknown {
  return typeof of === 'object' && of !== null ? (of as Readonly<Record<string, unknown>>)[name] : undefined
}

function list(of: unknown): readonly unknown[] {
  return Array.isArray(of) ? of : []
}
