/** Silences as `/api/v1/admin/silences` tells them, and what a new one is made of. Read without trust. */
import { quoted } from './anomalies'
import { dataOf, list, number, object, text } from './untrusted'
import type { Labels } from './untrusted'

/** Times are milliseconds since 1970. */
export interface Silence {
  readonly id: string
  readonly state: 'pending' | 'active' | 'expired'
  /** Each as it is written: `job="api"`. */
  readonly matchers: readonly string[]
  readonly startsAt: number
  readonly endsAt: number
  readonly createdBy: string
  readonly comment: string
}

/** The newest first. */
export function readSilences(answer: unknown): readonly Silence[] {
  return list(dataOf(answer, 'The server tells no silences.')).map((told) => {
    const one = object(told)
    return {
      id: text(one.id),
      state: one.state === 'active' || one.state === 'pending' ? one.state : 'expired',
      matchers: list(one.matchers).map(matcherText),
      startsAt: number(one.starts_at_ms),
      endsAt: number(one.ends_at_ms),
      createdBy: text(one.created_by),
      comment: text(one.comment),
    }
  })
}

function matcherText(told: unknown): string {
  const { name, value, isEqual, isRegex } = object(told)
  const operator = isRegex === true ? (isEqual === false ? '!~' : '=~') : isEqual === false ? '!=' : '='
  return `${text(name)}${operator}${quoted(text(value))}`
}

/** A matcher for each label, as the form of a silence proposes them; the level may change, so it is not among them. */
export function matchersOf(labels: Labels): readonly string[] {
  return Object.entries(labels)
    .filter(([name]) => name !== 'severity')
    .sort(([a], [b]) => Number(b === 'alertname') - Number(a === 'alertname'))
    .map(([name, value]) => `${name}=${quoted(value)}`)
}

/** The lines of a form. */
export function matchersFrom(written: string): readonly string[] {
  return written
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '')
}
