/** Saved baselines, what has changed since one, and trends, as `/api/v1/baselines` and `/api/v1/trend` tell them. */
import type { Unit } from '../format/number'
import { rateUnit, unitOf } from '../format/unit'
import { dataOf, list, number, object, text, texts } from './untrusted'

export interface Baseline {
  readonly name: string
  readonly note: string
  /** ms since 1970. */
  readonly start: number
  readonly end: number
  readonly created: number
  /** How many series. */
  readonly count: number
  readonly bytes: number
  readonly match: readonly string[]
}

/** What a number is of: the values of a gauge, the rate of a counter, what a histogram observed. */
export type Measure = 'value' | 'rate' | 'observations'

export interface Figures {
  readonly count: number
  readonly mean: number
  readonly p50: number
  readonly p95: number
  readonly p99: number
}

export const VERDICTS = ['worse', 'changed', 'better', 'new', 'gone', 'unknown', 'same'] as const
export type Verdict = (typeof VERDICTS)[number]

/** A series in both ranges. */
export interface Change {
  readonly series: string
  /** The family, for its page; empty if the series has no name. */
  readonly name: string
  readonly measure: Measure
  readonly unit: Unit
  readonly verdict: Verdict
  /** Cliff's delta, −1 to 1. */
  readonly effect: number
  readonly magnitude: string
  /** Of the mean, as a share. */
  readonly change: number
  readonly before: Figures | null
  readonly after: Figures | null
}

export interface Comparison {
  readonly before: Range
  readonly after: Range
  readonly counts: Readonly<Record<Verdict, number>>
  readonly changes: readonly Change[]
}

export interface Range {
  readonly start: number
  readonly end: number
}

export interface Trend {
  /** `rising`, `falling`, `steady` or `unknown`. */
  readonly way: string
  /** Of its median over the range, as a share. */
  readonly change: number
}

export function readBaselines(answer: unknown): readonly Baseline[] {
  return list(dataOf(answer, 'The server tells no baselines.')).map((told) => {
    const { name, note, start, end, created, count, bytes, match } = object(told)
    return { name: text(name), note: text(note), start: number(start), end: number(end), created: number(created), count: number(count), bytes: number(bytes), match: texts(match) }
  })
}

export function readComparison(answer: unknown): Comparison {
  const { before, after, series } = object(dataOf(answer, 'The server compares nothing.'))
  const changes = list(series).map(readChange)
  return { before: readRange(before), after: readRange(after), counts: countVerdicts(changes), changes }
}

function readChange(told: unknown): Change {
  const { series, measure, verdict, effect, magnitude, change, before, after } = object(told)
  const id = text(series)
  const name = familyOf(id)
  const what: Measure = measure === 'rate' || measure === 'observations' ? measure : 'value'
  const own = unitOf(name, '')
  return {
    series: id,
    name,
    measure: what,
    unit: what === 'rate' ? rateUnit(own) : own,
    verdict: VERDICTS.find((one) => one === verdict) ?? 'unknown',
    effect: number(effect),
    magnitude: text(magnitude),
    change: number(change),
    before: readFigures(before),
    after: readFigures(after),
  }
}

function readFigures(told: unknown): Figures | null {
  if (typeof told !== 'object' || told === null) return null
  const { count, mean, p50, p95, p99 } = object(told)
  return { count: number(count), mean: number(mean), p50: number(p50), p95: number(p95), p99: number(p99) }
}

function readRange(told: unknown): Range {
  const { start, end } = object(told)
  return { start: number(start), end: number(end) }
}

function countVerdicts(changes: readonly Change[]): Readonly<Record<Verdict, number>> {
  const counts: Record<Verdict, number> = { worse: 0, changed: 0, better: 0, new: 0, gone: 0, unknown: 0, same: 0 }
  for (const { verdict } of changes) counts[verdict]++
  return counts
}

/** The name before the labels: `node_load1` of `node_load1{job="x"}`. */
export function familyOf(series: string): string {
  const brace = series.indexOf('{')
  return brace < 0 ? series : series.slice(0, brace)
}

/** What matters first: worse, then what changed, each by the size of its effect. */
export function byConcern(changes: readonly Change[]): readonly Change[] {
  const place = ({ verdict }: Change) => VERDICTS.indexOf(verdict)
  const size = ({ effect }: Change) => (Number.isNaN(effect) ? 0 : Math.abs(effect))
  return [...changes].sort((a, b) => place(a) - place(b) || size(b) - size(a) || a.series.localeCompare(b.series))
}

/** Trends by series and measure, as a change has them. */
export function readTrends(answer: unknown): ReadonlyMap<string, Trend> {
  const { series } = object(dataOf(answer, 'The server tells no trends.'))
  return new Map(
    list(series).map((told) => {
      const { series: id, trend, change } = object(told)
      return [text(id), { way: text(trend), change: number(change) }]
    }),
  )
}

/**
 * A range as the API takes it: the last so much (`5m`), or from and to as a field of a form has them
 * (`2026-11-21T14:10`). Throws a text for people.
 */
export function rangeQuery(last: string, from: string, to: string, zone: (local: string) => number): readonly (readonly [string, string])[] {
  if (from === '' && to === '') return [['last', last]]
  const start = zone(from)
  const end = to === '' ? NaN : zone(to)
  if (Number.isNaN(start)) throw new Error('The range needs a beginning.')
  if (to !== '' && !(end > start)) throw new Error('The range must end after it begins.')
  return [['start', String(start / 1000)], ...(to === '' ? [] : [['end', String(end / 1000)] as const])]
}
