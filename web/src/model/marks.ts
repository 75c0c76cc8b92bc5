/**
 * What is drawn over the lines of a family: when its alerts fired, the limits of its rules, when it was unusual. What concerns
 * a family is told by the expression of the rule, which names its metrics, and by the labels of the alert.
 */
import type { Episode } from './alert-history'
import type { Severity } from './alerts'
import { rank, severityOf } from './alerts'
import type { Anomaly } from './anomalies'
import type { Span } from './span'
import type { SeriesInfo } from './store'
import { dataOf, labels, list, object, text } from './untrusted'
import type { Labels } from './untrusted'
import { watchedBy } from './watched'

/** Something with words that lead to an alert; without an id to none. */
export interface Mark {
  /** Fingerprint of the alert. */
  readonly id: string
  readonly words: string
  readonly title: string
  readonly severity: Severity
}

export interface Marks {
  readonly unusual: readonly Span[]
  readonly alerts: readonly (Span & Mark)[]
  /** The same as spans side by side, of the worst that fired in each. */
  readonly fired: readonly (Span & { readonly severity: Severity })[]
  readonly limits: readonly (Mark & { readonly value: number })[]
  readonly gaps: readonly (Span & { readonly words: string })[]
}

export const NO_MARKS: Marks = { unusual: [], alerts: [], fired: [], limits: [], gaps: [] }

export interface Rule {
  readonly name: string
  readonly severity: Severity
  readonly expression: string
  /** The names that stand in the expression. */
  readonly names: ReadonlySet<string>
  readonly limit: Limit | null
}

/** What an expression compares with a number, where it is something that a chart shows. */
export interface Limit {
  readonly metric: string
  readonly of: 'value' | 'rate' | 'quantile'
  readonly value: number
  /** As the rule has it: `> 250`. */
  readonly sign: string
}

/** Rules of alerts, of `/api/v1/rules`. */
export function readRules(answer: unknown): readonly Rule[] {
  return list(object(dataOf(answer, 'The server tells no rules.')).groups)
    .flatMap((group) => list(object(group).rules).map(object))
    .filter((rule) => rule.type === 'alerting')
    .map((rule) => {
      const expression = text(rule.query)
      return { name: text(rule.name), severity: severityOf(labels(rule.labels).severity), expression, names: namesIn(expression), limit: limitOf(expression) }
    })
}

/** The words of an expression outside of quotes; which of them are metrics is seen by whom they are compared with. */
export function namesIn(expression: string): ReadonlySet<string> {
  return new Set(expression.replace(/"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|\[[^\]]*\]/g, ' ').match(/[a-zA-Z_:][a-zA-Z0-9_:]*/g) ?? [])
}

const SELECTOR = '([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\\{[^{}]*\\})?'
const SHAPES: readonly (readonly [Limit['of'], RegExp])[] = [
  ['value', new RegExp(`^${SELECTOR}$`)],
  ['value', new RegExp(`^(?:max|min|avg)(?:_over_time)?\\s*(?:(?:by|without)\\s*\\([^()]*\\))?\\s*\\(\\s*${SELECTOR}(?:\\[[^\\]]*\\])?\\s*\\)$`)],
  ['rate', new RegExp(`^i?rate\\s*\\(\\s*${SELECTOR}\\[[^\\]]*\\]\\s*\\)$`)],
  ['quantile', new RegExp(`^histogram_quantile\\s*\\(\\s*[\\d.]+\\s*,.*?\\b([a-zA-Z_:][a-zA-Z0-9_:]*_bucket)(?:\\{[^{}]*\\})?\\[.*\\)$`, 's')],
]

/** The limit of `metric > 5` and the like; null where the left side is of another kind than what a chart shows. */
export function limitOf(expression: string): Limit | null {
  const { expression: left, operator: sign, limit: value } = watchedBy(expression)
  if (sign === '' || sign === '==' || sign === '!=') return null
  for (const [of, shape] of SHAPES) {
    const metric = shape.exec(left)?.[1]
    if (metric !== undefined) return { metric, of, value, sign }
  }
  return null
}

export interface Happened {
  readonly rules: readonly Rule[]
  readonly episodes: readonly Episode[]
  readonly anomalies: readonly Anomaly[]
}

/** How a chart shows a family. */
export interface Shown {
  readonly of: Limit['of'] | 'other'
  /** A limit in the words of the axis. */
  readonly say: (value: number) => string
}

/** What happened to the series of a family, whenever; what is not over yet ends nowhere. */
export function marksOf(series: readonly SeriesInfo[], { rules, episodes, anomalies }: Happened, { of, say }: Shown): Marks {
  const names = new Set(series.flatMap((one) => [one.name, one.family.name]))
  const mine = rules.filter((rule) => [...names].some((name) => rule.names.has(name)))
  const during = (from: number, to: number): Span => ({ from: Number.isNaN(from) ? -Infinity : from, to: Number.isNaN(to) ? Infinity : to })
  const about = (episode: Episode) => {
    const { metric } = episode.labels
    if (episode.name === 'Anomaly' && metric !== undefined) return names.has(metric) && hasSeries(series, episode.labels)
    return mine.some((rule) => rule.name === episode.name && rule.severity === episode.severity) && hasSeries(series, episode.labels)
  }
  const alerts = episodes
    .filter((episode) => !episode.pending && about(episode))
    .map(({ id, name, severity, labels: own, from, to }) => ({ id, severity, words: name, title: titleOf(name, own), ...during(from, to) }))
  const limits = mine.flatMap(({ name, severity, limit, expression }) => {
    if (limit?.of !== of || !names.has(limit.metric)) return []
    const id = episodes.findLast((episode) => episode.name === name && episode.severity === severity && about(episode))?.id ?? ''
    return [{ id, severity, value: limit.value, words: `limit ${say(limit.value)}`, title: `${name}: ${expression}` }]
  })
  const unusual = anomalies
    .filter((one) => names.has(one.metric) && hasSeries(series, one.labels))
    .map(({ since, until }) => during(since, until))
  return { unusual, alerts, fired: worstOf(alerts), limits, gaps: [] }
}

/** Spans that overlap as spans side by side, each of the worst there. */
export function worstOf(spans: readonly (Span & { readonly severity: Severity })[]): Marks['fired'] {
  const borders = [...new Set(spans.flatMap(({ from, to }) => [from, to]))].sort((a, b) => a - b)
  const found: (Span & { severity: Severity })[] = []
  borders.slice(1).forEach((to, i) => {
    const from = borders[i] ?? to
    const there = spans.filter((span) => span.from <= from && span.to >= to)
    if (there.length === 0) return
    const { severity } = there.reduce((worst, one) => (rank(one.severity) > rank(worst.severity) ? one : worst))
    const last = found.at(-1)
    if (last?.to === from && last.severity === severity) found[found.length - 1] = { ...last, to }
    else found.push({ from, to, severity })
  })
  return found
}

/** Is there a series of the family that has the labels it shares with these? */
function hasSeries(series: readonly SeriesInfo[], own: Labels): boolean {
  return series.some((one) => Object.entries(one.labels).every(([name, value]) => name === 'le' || own[name] === undefined || own[name] === value))
}

function titleOf(name: string, own: Labels): string {
  const rest = Object.entries(own).filter(([label]) => label !== 'alertname')
  return [name, ...rest.map(([label, value]) => `${label}="${value}"`)].join(' ')
}
