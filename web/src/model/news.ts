/** What is said aloud of alerts: what began to fire, at once if it is critical or worse, and what is over. */
import type { Alert } from './alerts'
import { fires, ownLabels, placeOf, rank } from './alerts'

export interface News {
  /** To be said at once. */
  readonly urgent: string
  /** To be said when nothing else is. */
  readonly polite: string
}

/** So many alerts are named. */
const MOST = 3

/** The difference of two lists, in words; empty where there is none. */
export function news(before: readonly Alert[], now: readonly Alert[]): News {
  const old = new Map(before.map((alert) => [alert.id, alert]))
  const loud = (alert: Alert) => fires(alert) && placeOf(alert) === 'active'
  const began = now.filter((alert) => {
    const was = old.get(alert.id)
    return loud(alert) && (was === undefined || !fires(was) || rank(alert.severity) > rank(was.severity))
  })
  const over = now.filter((alert) => {
    const was = old.get(alert.id)
    return alert.state === 'resolved' && was !== undefined && fires(was)
  })
  const urgent = began.filter(({ severity }) => rank(severity) >= rank('critical'))
  const others = began.filter((alert) => !urgent.includes(alert))
  return {
    urgent: named(urgent, 'fires', 'fire'),
    polite: [named(others, 'fires', 'fire'), named(over, 'is over', 'are over')].filter((one) => one !== '').join(' '),
  }
}

function named(alerts: readonly Alert[], one: string, several: string): string {
  if (alerts.length === 0) return ''
  if (alerts.length > MOST) return `${alerts.length} alerts ${several}.`
  const words = alerts.map((alert) => {
    const about = alert.annotations.summary ?? ownLabels(alert.labels).map(([, value]) => value).join(' ')
    return `${one === 'fires' ? `${alert.severity}: ` : ''}${alert.name} ${one}${about === '' || one !== 'fires' ? '' : `: ${about}`}.`
  })
  return words.join(' ')
}

/** Keeps what is said politely apart by at least `every` milliseconds; what came meanwhile is said together. */
export class Politely {
  private waiting: string[] = []
  private saidAt = -Infinity

  constructor(private readonly every: number) {}

  /** What to say now, and after how many milliseconds to ask again (null: not). */
  say(text: string, now: number): { readonly said: string; readonly again: number | null } {
    if (text !== '') this.waiting.push(text)
    if (this.waiting.length === 0) return { said: '', again: null }
    const left = this.saidAt + this.every - now
    if (left > 0) return { said: '', again: left }
    this.saidAt = now
    // Of a storm the newest is enough.
    const said = this.waiting.slice(-3).join(' ')
    this.waiting = []
    return { said, again: null }
  }
}
