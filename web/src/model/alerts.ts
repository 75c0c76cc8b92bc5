/**
 * Alerts as `/api/v1/admin/performance/alerts` tells them: read without trust, in the order of the page (the worst first, then
 * the oldest), and in one line of words.
 */
import { dataOf, labels, list, number, object, text, texts } from './untrusted'
import type { Labels } from './untrusted'

/** From the least to the worst. */
export const SEVERITIES = ['info', 'warning', 'critical', 'emergency'] as const
export type Severity = (typeof SEVERITIES)[number]

export type AlertState = 'pending' | 'firing' | 'flapping' | 'resolved'

/** Who takes care of an alert. */
export interface Acknowledged {
  readonly by: string
  readonly note: string
  readonly at: number
  /** Until when it holds; NaN: as long as the alert fires. */
  readonly until: number
}

/** The next step of its escalation. */
export interface NextStep {
  readonly receiver: string
  /** The level to which it is raised then; null: it stays as it is. */
  readonly severity: Severity | null
  /** When; NaN while its time does not count. */
  readonly at: number
}

/** Times are milliseconds since 1970, by the server's clock; NaN where there is none. */
export interface Alert {
  /** Its fingerprint, the same after a restart. */
  readonly id: string
  /** The label `alertname`. */
  readonly name: string
  readonly state: AlertState
  readonly severity: Severity
  readonly origin: 'rule' | 'anomaly' | 'meta' | 'external'
  readonly labels: Labels
  readonly annotations: Labels
  /** As last seen. */
  readonly value: number
  /** Since when its condition is true. */
  readonly activeAt: number
  /** Since when it fires; NaN while it is pending. */
  readonly startsAt: number
  readonly endsAt: number
  /** The expression of its rule; empty without one. */
  readonly expression: string
  readonly acknowledged: Acknowledged | null
  readonly silencedBy: readonly string[]
  readonly inhibitedBy: readonly string[]
  /** To whom it is routed. */
  readonly receivers: readonly string[]
  /** Who is told next if nobody takes it; null where nobody is left. */
  readonly next: NextStep | null
}

export function readAlerts(answer: unknown): readonly Alert[] {
  return list(object(dataOf(answer, 'The server tells no alerts.')).alerts).map(readAlert)
}

function readAlert(told: unknown): Alert {
  const alert = object(told)
  const own = labels(alert.labels)
  return {
    id: text(alert.id),
    name: own.alertname ?? '',
    state: stateOf(alert.state),
    severity: severityOf(alert.severity),
    origin: alert.origin === 'anomaly' || alert.origin === 'meta' || alert.origin === 'external' ? alert.origin : 'rule',
    labels: own,
    annotations: labels(alert.annotations),
    value: number(alert.value),
    activeAt: number(alert.active_at_ms),
    startsAt: number(alert.starts_at_ms),
    endsAt: number(alert.ends_at_ms),
    expression: expressionOf(text(alert.generator)),
    acknowledged: readAcknowledged(alert.acknowledged),
    silencedBy: texts(alert.silenced_by),
    inhibitedBy: texts(alert.inhibited_by),
    receivers: texts(alert.receivers),
    next: readNext(alert.next),
  }
}

function readNext(told: unknown): NextStep | null {
  const { receiver, severity, at_ms } = object(told)
  return text(receiver) === '' ? null : { receiver: text(receiver), severity: text(severity) === '' ? null : severityOf(severity), at: number(at_ms) }
}

function readAcknowledged(told: unknown): Acknowledged | null {
  if (typeof told !== 'object' || told === null) return null
  const { by, note, at_ms, until_ms } = object(told)
  return { by: text(by), note: text(note), at: number(at_ms), until: number(until_ms) }
}

export function stateOf(told: unknown): AlertState {
  return told === 'pending' || told === 'flapping' || told === 'resolved' ? told : 'firing'
}

/** What is none of ours is a warning, as the server has it. */
export function severityOf(told: unknown): Severity {
  return SEVERITIES.find((one) => one === told) ?? 'warning'
}

/** The page of a rule names its expression: `/#query?expr=…`. */
function expressionOf(generator: string): string {
  const at = generator.indexOf('?')
  return at < 0 ? '' : (new URLSearchParams(generator.slice(at + 1)).get('expr') ?? '')
}

/** Where an alert stands for people: a silence takes it away from what is active, until it is over. */
export type Place = 'active' | 'silenced' | 'resolved'

export function placeOf(alert: Alert): Place {
  if (alert.state === 'resolved') return 'resolved'
  return alert.silencedBy.length > 0 ? 'silenced' : 'active'
}

/** Does it fire, or come and go? */
export function fires({ state }: Pick<Alert, 'state'>): boolean {
  return state === 'firing' || state === 'flapping'
}

/** Those that fire and that nobody has silenced. */
export function firing(alerts: readonly Alert[]): readonly Alert[] {
  return alerts.filter((alert) => fires(alert) && placeOf(alert) === 'active')
}

/** The worst of them; null without any. */
export function worst(alerts: readonly Pick<Alert, 'severity'>[]): Severity | null {
  return alerts.reduce<Severity | null>((found, { severity }) => (found === null || rank(severity) > rank(found) ? severity : found), null)
}

export function rank(severity: Severity): number {
  return SEVERITIES.indexOf(severity)
}

/** Since when: it fires, or its condition is true. */
export function since(alert: Alert): number {
  return Number.isNaN(alert.startsAt) ? alert.activeAt : alert.startsAt
}

/** What fires before what is pending; by severity, then age; of those that are over the last first. */
export function inOrder(alerts: readonly Alert[]): readonly Alert[] {
  const over = (alert: Alert) => (alert.state === 'resolved' ? 2 : fires(alert) ? 0 : 1)
  const time = (alert: Alert) => (alert.state === 'resolved' ? -(alert.endsAt || 0) : since(alert) || 0)
  return [...alerts].sort((a, b) => over(a) - over(b) || rank(b.severity) - rank(a.severity) || time(a) - time(b) || (a.id < b.id ? -1 : 1))
}

/** The one that was over last. */
export function lastResolved(alerts: readonly Alert[]): Alert | null {
  return alerts.reduce<Alert | null>((last, alert) => (alert.state === 'resolved' && !(alert.endsAt <= (last?.endsAt ?? 0)) ? alert : last), null)
}

/** What the page says first. */
export function headline(alerts: readonly Alert[]): string {
  const { length } = firing(alerts)
  return length === 0 ? 'All quiet' : `${count(length)} ${length === 1 ? 'alert' : 'alerts'} firing`
}

/** What the page of alerts says first: "3 firing, 1 pending". */
export function summary(alerts: readonly Alert[]): string {
  const fire = firing(alerts).length
  const pending = alerts.filter((alert) => alert.state === 'pending' && placeOf(alert) === 'active').length
  const parts = [...(fire > 0 ? [`${count(fire)} firing`] : []), ...(pending > 0 ? [`${count(pending)} pending`] : [])]
  return parts.length === 0 ? 'All quiet' : parts.join(', ')
}

/** With a thin space between thousands. */
export function count(n: number): string {
  return String(n).replace(/\B(?=(\d{3})+$)/g, '\u202f')
}

/** Labels that tell one alert from others of its name. */
export function ownLabels(all: Labels): readonly (readonly [string, string])[] {
  return Object.entries(all).filter(([name]) => name !== 'alertname' && name !== 'severity')
}

/** Does a series with these labels belong to the alert? Labels that a rule adds are on the alert alone. */
export function isOf(alert: Pick<Alert, 'labels'>, series: Labels): boolean {
  return Object.entries(series).every(([name, value]) => name === '__name__' || name === 'le' || alert.labels[name] === value)
}
