/** Rules by group, as `/api/v1/rules` tells them (the shape is Prometheus'). Read without trust. */
import { dataOf, labels, list, number, object, text } from './untrusted'
import type { Labels } from './untrusted'

export interface Rule {
  readonly name: string
  readonly recording: boolean
  readonly expression: string
  readonly state: 'inactive' | 'pending' | 'firing'
  /** The last evaluation failed, or there was none yet. */
  readonly health: 'ok' | 'err' | 'unknown'
  /** In full; empty if there was none. */
  readonly error: string
  /** `for`, in seconds. */
  readonly hold: number
  readonly labels: Labels
  /** How many alerts it has. */
  readonly alerts: number
  /** Milliseconds since 1970; NaN if never. */
  readonly evaluatedAt: number
  /** In seconds. */
  readonly took: number
}

export interface Group {
  readonly name: string
  readonly file: string
  /** In seconds. */
  readonly interval: number
  readonly took: number
  readonly evaluatedAt: number
  readonly rules: readonly Rule[]
}

export function readRules(answer: unknown): readonly Group[] {
  return list(object(dataOf(answer, 'The server tells no rules.')).groups).map((told) => {
    const { name, file, interval, evaluationTime, lastEvaluation, rules } = object(told)
    return { name: text(name), file: text(file), interval: number(interval), took: number(evaluationTime), evaluatedAt: moment(lastEvaluation), rules: list(rules).map(readRule) }
  })
}

function readRule(told: unknown): Rule {
  const one = object(told)
  return {
    name: text(one.name),
    recording: one.type === 'recording',
    expression: text(one.query),
    state: one.state === 'firing' || one.state === 'pending' ? one.state : 'inactive',
    health: one.health === 'ok' || one.health === 'err' ? one.health : 'unknown',
    error: text(one.lastError),
    hold: number(one.duration) || 0,
    labels: labels(one.labels),
    alerts: list(one.alerts).length,
    evaluatedAt: moment(one.lastEvaluation),
    took: number(one.evaluationTime),
  }
}

/** "Never" is the year 1. */
function moment(told: unknown): number {
  const at = Date.parse(text(told))
  return at > 0 ? at : NaN
}

/** What is wrong first: rules that fail, that fire, that wait; groups by their worst rule; else as they stand in the files. */
export function troubleFirst(groups: readonly Group[]): readonly Group[] {
  const trouble = (rule: Rule) => (rule.health === 'err' ? 3 : rule.state === 'firing' ? 2 : rule.state === 'pending' ? 1 : 0)
  const most = (group: Group) => Math.max(0, ...group.rules.map(trouble))
  return groups.map((group) => ({ ...group, rules: [...group.rules].sort((a, b) => trouble(b) - trouble(a)) })).sort((a, b) => most(b) - most(a))
}

export function rulesIn(groups: readonly Group[]): number {
  return groups.reduce((sum, { rules }) => sum + rules.length, 0)
}
