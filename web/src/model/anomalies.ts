/** Anomalies as `/api/v1/anomalies` tells them: what is unusual now, what was, and the words for it. Read without trust. */
import type { Severity } from './alerts'
import { severityOf } from './alerts'
import { dataOf, labels, list, number, object, text } from './untrusted'
import type { Labels } from './untrusted'

/** Another series that moved at that time. */
export interface Moved {
  readonly watch: string
  readonly metric: string
  readonly labels: Labels
  /** Distance from its mean in its own standard deviations; below it negative. */
  readonly sigmas: number
}

export interface Anomaly {
  readonly id: number
  readonly watch: string
  /** Name of the series, or of the family of a histogram. */
  readonly metric: string
  readonly labels: Labels
  /** What is observed of it: `value`, `rate` or a quantile such as `p95`. */
  readonly observed: string
  readonly detector: string
  readonly severity: Severity
  /** When it began, and when it was over: milliseconds since 1970; NaN while it goes on. */
  readonly since: number
  readonly until: number
  readonly value: number
  /** What was expected at the begin, and the ends of what was usual then; NaN where nothing is known. */
  readonly expected: number
  readonly lower: number
  readonly upper: number
  /** The highest so far; 1 is the threshold. */
  readonly score: number
  readonly explanation: string
  readonly together: readonly Moved[]
}

export interface Anomalies {
  readonly watched: number
  readonly skipped: number
  /** The most unusual first. */
  readonly current: readonly Anomaly[]
  /** The last that was over first. */
  readonly recent: readonly Anomaly[]
}

export const NO_ANOMALIES: Anomalies = { watched: 0, skipped: 0, current: [], recent: [] }

export function readAnomalies(answer: unknown): Anomalies {
  const { watched, skipped, current, recent } = object(dataOf(answer, 'The server tells no anomalies.'))
  return {
    watched: number(watched) || 0,
    skipped: number(skipped) || 0,
    current: list(current)
      .map(readAnomaly)
      .sort((a, b) => (b.score || 0) - (a.score || 0) || a.id - b.id),
    recent: list(recent).map(readAnomaly),
  }
}

function readAnomaly(told: unknown): Anomaly {
  const one = object(told)
  return {
    id: number(one.id),
    watch: text(one.watch),
    metric: text(one.metric),
    labels: labels(one.labels),
    observed: text(one.observed),
    detector: text(one.detector),
    severity: severityOf(one.severity),
    since: number(one.since),
    until: number(one.until),
    value: number(one.value),
    expected: number(one.expected),
    lower: number(one.lower),
    upper: number(one.upper),
    score: number(one.score),
    explanation: text(one.explanation),
    together: list(one.together).map((moved) => {
      const { watch, metric, labels: own, sigmas } = object(moved)
      return { watch: text(watch), metric: text(metric), labels: labels(own), sigmas: number(sigmas) }
    }),
  }
}

/** The anomaly that an alert `Anomaly` is about, the one of now before those that are over. */
export function anomalyOf({ current, recent }: Anomalies, alert: { readonly labels: Labels }): Anomaly | null {
  const { metric, watch } = alert.labels
  const about = (one: Anomaly) =>
    one.metric === metric && one.watch === watch && Object.entries(one.labels).every(([name, value]) => (alert.labels[exported(name)] ?? alert.labels[name]) === value)
  return current.find(about) ?? recent.find(about) ?? null
}

/** A label of the series that is called as one of the alert's own has another name there. */
function exported(name: string): string {
  return name === 'metric' || name === 'watch' ? `exported_${name}` : name
}

/** A series as PromQL selects it: `metric{a="b"}`. */
export function selectorOf(metric: string, own: Labels): string {
  const matchers = Object.entries(own).map(([name, value]) => `${name}=${quoted(value)}`)
  const named = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/.test(metric)
  // A name beyond the classic ones is a quoted text among the matchers; so is a label.
  const plain = Object.keys(own).every((name) => /^[a-zA-Z_][a-zA-Z0-9_]*$/.test(name))
  if (named && plain) return matchers.length === 0 ? metric : `${metric}{${matchers.join(', ')}}`
  const all = Object.entries(own).map(([name, value]) => `${quoted(name)}=${quoted(value)}`)
  return `{${[quoted(metric), ...all].join(', ')}}`
}

export function quoted(value: string): string {
  return `"${value.replace(/\\/g, '\\\\').replace(/"/g, '\\"').replace(/\n/g, '\\n')}"`
}
