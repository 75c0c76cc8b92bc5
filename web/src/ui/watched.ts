/** What an alert watches: its line, its unit and its limit, by its rule or by its detector. */
import { format, formatText } from '../format/number'
import type { Unit } from '../format/number'
import { unitOfQuery } from '../format/query-unit'
import { rateUnit, shownUnit, unitOf as unitOfMetric } from '../format/unit'
import type { Alert } from '../model/alerts'
import { isOf } from '../model/alerts'
import type { Anomaly } from '../model/anomalies'
import { selectorOf } from '../model/anomalies'
import { bareName, watchedBy } from '../model/watched'
import type { Labels } from '../model/untrusted'
import type { Page } from '../page'
import type { LineSource } from './line'
import type { SparkLimit } from './sparkline'

export interface WatchedAlert {
  readonly source: LineSource | null
  readonly unit: Unit
  readonly limit: SparkLimit | null
  /** The limit in words; empty without one. */
  readonly words: string
}

/** @param anomaly what the alert is about, where a detector has raised it. */
export function watchedOf(page: Page, alert: Alert, anomaly: Anomaly | null): WatchedAlert {
  if (alert.origin === 'anomaly') {
    if (anomaly === null) return { source: null, unit: 'count', limit: null, words: '' }
    return { source: sourceOf(anomaly), unit: unitOf(page, anomaly), limit: null, words: usual(page, anomaly) }
  }
  if (alert.expression === '') return { source: null, unit: 'count', limit: null, words: '' }
  const watched = watchedBy(alert.expression)
  const unit = unitOfQuery(watched.expression, (name) => unitOfMetric(name, page.store.families.get(name)?.unit ?? ''))
  const name = bareName(watched.expression)
  const is = (labels: Labels) => isOf(alert, labels)
  const own = name !== '' && page.store.families.has(name)
  const source = own ? { family: name, rate: false, query: '', is } : { family: '', rate: false, query: watched.expression, is }
  if (watched.operator === '') return { source, unit, limit: null, words: '' }
  return { source, unit, limit: { at: watched.limit, severity: alert.severity }, words: `limit ${formatText(watched.limit, unit)}` }
}

/** The series that a detector watches, as it sees them. */
export function sourceOf({ metric, labels, observed }: Pick<Anomaly, 'metric' | 'labels' | 'observed'>): LineSource {
  const is = (own: Labels) => Object.entries(labels).every(([name, value]) => own[name] === value)
  const quantile = /^p(\d+(?:\.\d+)?)$/.exec(observed)?.[1]
  if (quantile === undefined) return { family: metric, rate: observed === 'rate', query: '', is }
  const share = Number(quantile) / 100
  return { family: '', rate: false, query: `histogram_quantile(${share}, sum by (le) (rate(${selectorOf(`${metric}_bucket`, labels)}[1m])))`, is: () => true }
}

/** The same of a series that moved with it: a counter by its rate, a histogram by a high quantile. */
export function observedOf(page: Page, metric: string): string {
  const type = page.store.families.get(metric)?.type
  return type === 'histogram' ? 'p95' : type === 'counter' || (type === 'unknown' && metric.endsWith('_total')) ? 'rate' : 'value'
}

export function unitOf(page: Page, { metric, observed }: Pick<Anomaly, 'metric' | 'observed'>): Unit {
  const { type = 'gauge', unit = '' } = page.store.families.get(metric) ?? {}
  const own = shownUnit(metric, unit, type === 'counter' ? 'gauge' : type)
  return observed === 'rate' ? rateUnit(own) : own
}

/** "usual 12 to 28 MiB/s"; empty where nobody knows. */
export function usual(page: Page, anomaly: Anomaly): string {
  const words = range(page, anomaly)
  return words === '' ? '' : `usual ${words}`
}

export function range(page: Page, anomaly: Anomaly): string {
  const { lower, upper, expected } = anomaly
  const unit = unitOf(page, anomaly)
  if (Number.isNaN(lower) || Number.isNaN(upper)) return Number.isNaN(expected) ? '' : formatText(expected, unit)
  const [low, high] = [format(lower, unit), format(upper, unit)]
  return low.unit === high.unit ? `${low.text} to ${formatText(upper, unit)}` : `${formatText(lower, unit)} to ${formatText(upper, unit)}`
}

