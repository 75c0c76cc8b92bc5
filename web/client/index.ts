/**
 * A client of gaugecast's live stream, without dependencies: one subscription to PromQL selectors over WebSocket, kept
 * over losses of the connection, decoded and checked.
 */
export { backoff } from './backoff'
export { Connection } from './connection'
export type { Options } from './connection'
export { decode, DecodeError } from './decode'
export { INITIAL, OFFLINE_AFTER_MS, SILENCE_MS, step, subName } from './machine'
export type { Effect, Event, Phase, State, Step } from './machine'
export { SUBPROTOCOL } from './message'
export type { ClientMessage, Family, Message, MetricType, Samples, Series, ServerMessage, Subscription } from './message'
