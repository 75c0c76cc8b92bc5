/**
 * What happened to alerts, as `/api/v1/admin/alerts/history` tells it, and as the spans in which they fired: for the lanes
 * of the last hour, and for the charts that show when an alert was on.
 */
import type { Alert, AlertState, Severity } from './alerts'
import { fires, rank, severityOf, stateOf } from './alerts'
import { dataOf, labels, list, number, object, text } from './untrusted'
import type { Labels } from './untrusted'

/** What became of a notification. */
export interface Delivery {
  readonly receiver: string
  readonly integration: string
  readonly at: number
  /** Why it was given up; empty if it was delivered. */
  readonly error: string
}

/** Times are milliseconds since 1970, by the server's clock. */
export interface Transition {
  readonly seq: number
  readonly at: number
  /** Of which alert. */
  readonly id: string
  readonly change: string
  /** Where it is since then. */
  readonly state: AlertState
  readonly severity: Severity
  readonly labels: Labels
  readonly value: number
  readonly reason: string
  readonly deliveries: readonly Delivery[]
}

/** The newest first. */
export function readTransitions(answer: unknown): readonly Transition[] {
  return list(dataOf(answer, 'The server tells no history of alerts.')).map((told) => {
    const one = object(told)
    return {
      seq: number(one.seq),
      at: number(one.at_ms),
      id: text(one.id),
      change: text(one.change),
      state: stateOf(one.state),
      severity: severityOf(one.severity),
      labels: labels(one.labels),
      value: number(one.value),
      reason: text(one.reason),
      deliveries: list(one.deliveries).map((delivery) => {
        const { receiver, integration, at_ms, error } = object(delivery)
        return { receiver: text(receiver), integration: text(integration), at: number(at_ms), error: text(error) }
      }),
    }
  })
}

/** A span of time in which an alert fired or was pending. */
export interface Episode {
  readonly id: string
  readonly name: string
  readonly labels: Labels
  /** The highest there was. */
  readonly severity: Severity
  readonly pending: boolean
  /** NaN: before the history begins. */
  readonly from: number
  /** NaN while it goes on. */
  readonly to: number
}

const BEGINS = new Set(['firing', 'reopened', 'flapping'])
const ENDS = new Set(['resolved', 'cleared', 'dropped'])

/**
 * The spans in which alerts fired, oldest first, and those in which they are pending now: by the history where it has them, else by
 * the alerts that there are.
 */
export function episodes(transitions: readonly Transition[], alerts: readonly Alert[]): readonly Episode[] {
  const open = new Map<string, Episode>()
  const found: Episode[] = []
  const known = new Set<string>()
  const end = (id: string, to: number) => {
    const one = open.get(id)
    if (one !== undefined) found.push({ ...one, to })
    open.delete(id)
  }
  for (const one of [...transitions].sort((a, b) => a.seq - b.seq)) {
    const { id, at, severity, change } = one
    const before = open.get(id)
    if (ENDS.has(change) || (change === 'steady' && !fires(one))) {
      if (before === undefined && !known.has(id)) open.set(id, begun(one, NaN))
      end(id, at)
    } else if (before !== undefined) {
      if (rank(severity) > rank(before.severity)) open.set(id, { ...before, severity })
    } else if (fires(one) && (BEGINS.has(change) || !known.has(id))) {
      open.set(id, begun(one, BEGINS.has(change) ? at : NaN))
    }
    known.add(id)
  }
  for (const alert of alerts) {
    const { id, name, severity, startsAt, activeAt, endsAt } = alert
    if (alert.state === 'pending') found.push({ id, name, labels: alert.labels, severity, pending: true, from: activeAt, to: NaN })
    else if (alert.state === 'resolved') {
      // It is over, although nobody has told it yet.
      if (open.has(id)) end(id, endsAt)
      else if (!known.has(id)) found.push({ id, name, labels: alert.labels, severity, pending: false, from: startsAt, to: endsAt })
    } else if (!open.has(id)) open.set(id, { id, name, labels: alert.labels, severity, pending: false, from: startsAt, to: NaN })
    else {
      // Where the history begins later than the alert, the alert knows better.
      const so = open.get(id)
      if (so !== undefined && Number.isNaN(so.from)) open.set(id, { ...so, from: startsAt })
    }
  }
  return [...found, ...open.values()].sort((a, b) => (a.from || 0) - (b.from || 0))
}

function begun({ id, labels: own, severity }: Transition, from: number): Episode {
  return { id, name: own.alertname ?? '', labels: own, severity, pending: false, from, to: NaN }
}

/** A bar of a lane; from 0 to 1 of the window. */
export interface Bar {
  readonly id: string
  readonly severity: Severity
  readonly pending: boolean
  readonly left: number
  readonly right: number
  readonly from: number
  readonly to: number
}

/** One alert name, with what of it was on from `start` to `end`. */
export interface Lane {
  readonly name: string
  readonly bars: readonly Bar[]
}

/** A lane a name, the worst first; a bar on top of another is the worse one. */
export function lanes(all: readonly Episode[], start: number, end: number): readonly Lane[] {
  const byName = new Map<string, Bar[]>()
  for (const { id, name, severity, pending, from, to } of all) {
    const [first, last] = [Number.isNaN(from) ? start : from, Number.isNaN(to) ? end : to]
    if (last <= start || first >= end) continue
    const share = (time: number) => Math.min(1, Math.max(0, (time - start) / (end - start)))
    const bar = { id, severity, pending, left: share(first), right: share(last), from, to }
    const bars = byName.get(name)
    if (bars === undefined) byName.set(name, [bar])
    else bars.push(bar)
  }
  const height = ({ pending, severity }: Bar) => (pending ? -1 : rank(severity))
  const made = [...byName].map(([name, bars]) => ({ name, bars: bars.sort((a, b) => height(a) - height(b)) }))
  const highest = (lane: Lane) => Math.max(...lane.bars.map(height))
  return made.sort((a, b) => highest(b) - highest(a) || (a.name < b.name ? -1 : 1))
}
