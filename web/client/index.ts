/**
 * `gaugecast-client`: live values of a gaugecast server, without dependencies, in browsers and in Node.js.
 *
 *     import { connect } from 'gaugecast-client'
 *
 *     const live = connect('http://127.0.0.1:7171')
 *     for await (const tick of live.subscribe('node_load1')) console.log(tick.value('node_load1'))
 */
export { DecodeError } from './decode.js'
export { connect, Live, RefusedError, Subscription, Tick } from './live.js'
export type { ConnectOptions, Events, QueryOptions, SubscribeOptions, Update } from './live.js'
export type { Phase, State, SubscriptionMessage } from './machine.js'
export type { Family, Message, MetricType, Points, Samples, Selection, ServerMessage } from './message.js'
export type { Series } from './model.js'
export type { Transport } from './wire.js'
