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
}

/** A long message comes in parts, numbered from 1, with the same offset; only the last completes it. */
export interface Part {
  readonly part: number
  readonly parts: number
}

export type ServerMessage =
  | { readonly type: 'welcome'; readonly session: string; readonly epoch: string; readonly serverTime: number; readonly pingMs: number }
  | {
      readonly type: 'subscribed'
      readonly sub: string
      readonly channel: number
      readonly intervalMs: number
      readonly matched: number
      readonly recovered: boolean
      readonly truncated: boolean
    }
  | { readonly type: 'unsubscribed'; readonly sub: string }
  | {
      readonly type: 'schema'
      readonly channel: number
      readonly families: ReadonlyMap<string, Family>
      readonly series: readonly Series[]
    }
  | ({
      readonly type: 'snapshot'
      readonly channel: number
      readonly epoch: string | null
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
  | { readonly type: 'event'; readonly body: Readonly<Record<string, unknown>> }
  | { readonly type: 'notice'; readonly message: string }
  | { readonly type: 'error'; readonly code: string; readonly message: string; readonly sub: string | null }
  | { readonly type: 'ping'; readonly serverTime: number }
  | { readonly type: 'pong' }
  | {
      readonly type: 'bye'
      readonly code: string
      readonly reason: string
      readonly reconnect: boolean
      readonly retryAfterMs: number | null
    }

/** The message of one type: `Message<'delta'>`. */
export type Message<T extends ServerMessage['type']> = Extract<ServerMessage, { type: T }>

/** A subscription as the client asks for it. */
export interface Subscription {
  readonly match: readonly string[]
  readonly interval: string
  /** Take so many series and say `truncated`, rather than refuse a selection of more. */
  readonly limit?: number
}

export type ClientMessage =
  | ({ readonly type: 'subscribe'; readonly sub: string } & Subscription)
  | { readonly type: 'unsubscribe'; readonly sub: string }
  | { readonly type: 'pong' }
