/**
 * The messages of `gaugecast.v1.json` (docs/protocol.md), one member a message, told apart by `type`.
 *
 * What comes from the wire is `unknown` until `decode` has made one of these of it. Samples do not become objects: a
 * frame's ids and values lie in two arrays of the same length.
 */

/** The subprotocol offered in the opening handshake. */
export const SUBPROTOCOL = 'gaugecast.v1.json'

export type MetricType =
  | 'counter'
  | 'gauge'
  | 'histogram'
  | 'gaugehistogram'
  | 'summary'
  | 'info'
  | 'stateset'
  | 'unknown'

/** A metric family as the schema tells it. `unit` is empty where the exposition names none. */
export interface Family {
  readonly type: MetricType
  readonly help: string
  readonly unit: string
}

/** A series: `id` holds for the epoch only, `family` is the name under which the schema has its family. */
export interface Series {
  readonly id: number
  readonly name: string
  readonly family: string
  readonly labels: Readonly<Record<string, string>>
}

/** Samples of one frame: `values[i]` belongs to `ids[i]`; NaN and the infinities are themselves. */
export interface Samples {
  readonly ids: Uint32Array
  readonly values: Float64Array
  /** Times of those whose source gave one other than the frame's (Unix milliseconds), by id; absent if none has. */
  readonly times?: ReadonlyMap<number, number>
  /** Digits of whole numbers beyond 2⁵³, with `exact`, by id; absent if there are none. */
  readonly digits?: ReadonlyMap<number, string>
}

/** Past points of a series: `values[i]` was taken at `times[i]` (Unix milliseconds); null is where the series had ended. */
export interface Points {
  readonly times: Float64Array
  readonly values: readonly (number | null)[]
}

/** A long message comes in parts, numbered from 1, with the same offset; only the last completes it. */
export interface Part {
  readonly part: number
  readonly parts: number
}

export type ServerMessage =
  | {
      readonly type: 'welcome'
      readonly session: string
      readonly epoch: string
      readonly serverTime: number
      /** After how much silence the server shows that it lives. */
      readonly pingMs: number
      readonly version: string
      /** Number of the last event. */
      readonly seq: number
    }
  | {
      readonly type: 'subscribed'
      readonly sub: string
      /** The number of the command that this answers; null if it had none. */
      readonly id: number | null
      readonly channel: number
      readonly intervalMs: number
      readonly matched: number
      /** It goes on where it was; else a snapshot follows. */
      readonly recovered: boolean
      readonly truncated: boolean
      /** Why it does not go on where it was; empty if that was not asked. */
      readonly reason: string
    }
  | { readonly type: 'unsubscribed'; readonly sub: string }
  | {
      readonly type: 'schema'
      readonly channel: number
      readonly families: ReadonlyMap<string, Family>
      readonly series: readonly Series[]
    }
  | ({
      readonly type: 'history'
      readonly channel: number
      /** The past of series, by id. */
      readonly points: ReadonlyMap<number, Points>
    } & Part)
  | ({
      readonly type: 'snapshot'
      readonly channel: number
      readonly epoch: string
      readonly offset: number
      /** Milliseconds since 1970, the server's clock. */
      readonly time: number
      readonly samples: Samples
    } & Part)
  | ({
      readonly type: 'delta'
      readonly channel: number
      readonly offset: number
      /** The offset this delta starts from; another than ours is a gap. */
      readonly prev: number
      readonly time: number
      readonly samples: Samples
      readonly stale: Uint32Array
    } & Part)
  | {
      readonly type: 'event'
      /** Numbers the events of an epoch; null for a reading that the next one replaces. */
      readonly seq: number | null
      /** What it is; later servers have kinds that this client does not know. */
      readonly kind: string
      /** Unix milliseconds, the server's clock. */
      readonly time: number
      /** All fields as they came. */
      readonly body: Readonly<Record<string, unknown>>
    }
  | { readonly type: 'notice'; readonly channel: number | null; readonly code: string; readonly message: string }
  | {
      readonly type: 'error'
      readonly code: string
      readonly message: string
      readonly sub: string | null
      readonly id: number | null
      /** The place in a selector, in characters from 1. */
      readonly column: number | null
      /** The same may succeed later. */
      readonly retryable: boolean
    }
  | { readonly type: 'ping'; readonly serverTime: number }
  | { readonly type: 'ok' | 'pong' }
  | {
      readonly type: 'bye'
      readonly code: string
      readonly reason: string
      readonly reconnect: boolean
      readonly retryAfterMs: number | null
    }

/** The message of one type: `Message<'delta'>`. */
export type Message<T extends ServerMessage['type']> = Extract<ServerMessage, { type: T }>

/** What a subscription picks, and how often. */
export interface Selection {
  /** PromQL selectors, 1 to 32; a series is chosen when any of them picks it. */
  readonly match?: readonly string[]
  /** A PromQL expression in place of `match`: what it gives is evaluated at the server, once a tick for all. */
  readonly query?: string
  /** Of the series that `match` picks not the values, but `rate`, `max[1m]`, …: docs/protocol.md, "Queries". */
  readonly derived?: readonly string[]
  /** How much of the past comes with the first tick: `"5m"`, or milliseconds; at most 600 points a series. */
  readonly history?: string | number
  /** `"250ms"`, `"5s"`, or milliseconds; the server takes the nearest that it allows. */
  readonly interval?: string | number
  /** Take so many series and say `truncated`, rather than refuse a selection of more. */
  readonly limit?: number
  /** Whole numbers beyond 2⁵³ come with their digits. */
  readonly exact?: boolean
}

/** Where to go on. */
export interface Resume {
  readonly epoch: string
  readonly offset: number
  /** Of a query, whose ids are those of its channel. */
  readonly channel?: number
}

export type ClientMessage =
  | {
      readonly type: 'hello'
      readonly client: string
      /** The kinds of events that are wanted. */
      readonly events?: readonly string[]
      /** The last event had. */
      readonly resume?: { readonly epoch: string; readonly seq: number }
    }
  | ({
      readonly type: 'subscribe' | 'update'
      readonly sub: string
      readonly id: number
      readonly clamp: true
      readonly resume?: Resume
    } & Selection)
  | { readonly type: 'unsubscribe'; readonly sub: string }
  | { readonly type: 'pong' }
