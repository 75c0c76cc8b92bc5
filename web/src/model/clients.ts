/** Who is connected to the streams, as `/api/v1/admin/clients` tells it, and how each fares. */
import { dataOf, list, number, object, text } from './untrusted'

export interface Client {
  readonly id: string
  readonly remote: string
  readonly transport: string
  readonly agent: string
  /** Name of its token; empty without. */
  readonly token: string
  /** For how long it is connected, in seconds. */
  readonly age: number
  readonly subscriptions: number
  readonly frames: number
  readonly bytes: number
  readonly errors: number
  /** Seconds; NaN if it was not measured yet. */
  readonly roundTrip: number
  /** How old the oldest missed frame was when it last fell behind, in seconds; 0 is never. */
  readonly lag: number
  /** How often it was sent one delta for several, and how often all anew. */
  readonly conflated: number
  readonly resyncs: number
  readonly catchUps: number
}

/** How a client keeps up: slow by what has happened since the answer before. */
export type Pace = 'slow' | 'was slow' | 'keeps up'

export interface Sums {
  readonly clients: number
  readonly subscriptions: number
  readonly bytes: number
  readonly slow: number
}

export function readClients(answer: unknown): readonly Client[] {
  const { clients } = object(dataOf(answer, 'The server tells no clients.'))
  return list(clients).map((told) => {
    const one = object(told)
    return {
      id: text(one.id),
      remote: text(one.remote),
      transport: text(one.transport),
      agent: text(one.agent),
      token: text(one.token),
      age: number(one.age_seconds),
      subscriptions: number(one.subscriptions),
      frames: number(one.frames),
      bytes: number(one.bytes),
      errors: number(one.errors),
      roundTrip: number(one.rtt_ms ?? NaN) / 1000,
      lag: number(one.lag_ms) / 1000,
      conflated: number(one.conflated),
      resyncs: number(one.resyncs),
      catchUps: number(one.catch_ups),
    }
  })
}

/** @param before the same client in the answer before, if it was there. */
export function pace(client: Client, before: Client | undefined): Pace {
  const trouble = ({ conflated, resyncs }: Client) => (conflated || 0) + (resyncs || 0)
  if (before !== undefined && trouble(client) > trouble(before)) return 'slow'
  return trouble(client) > 0 ? 'was slow' : 'keeps up'
}

export function sums(clients: readonly Client[], paces: readonly Pace[]): Sums {
  const sum = (of: (client: Client) => number) => clients.reduce((all, client) => all + (of(client) || 0), 0)
  return {
    clients: clients.length,
    subscriptions: sum((client) => client.subscriptions),
    bytes: sum((client) => client.bytes),
    slow: paces.filter((one) => one === 'slow').length,
  }
}

/** All that can be found of a client, in lower case. */
export function clientText({ id, remote, transport, agent, token }: Client): string {
  return [id, remote, transport, agent, token].join('\n').toLowerCase()
}
