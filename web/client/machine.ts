/**
 * The connection as a state machine: events in, the next state and what to do out. It knows neither socket nor clock;
 * `connection.ts` wraps it with both.
 *
 * States. *connecting*: the first attempt, nothing was ever shown. *live*: frames come. *recovering*: the connection is
 * lost, for less than two seconds, which a viewer need not be told. *offline*: lost for longer; the page says so.
 * *closed*: ended for good, by us or by a server that says that coming back is of no use.
 *
 * One subscription is kept over all of it. A gap (`prev` is not the offset we have) makes us subscribe anew under the
 * next name, because the old frames may still be on their way and must not be mixed with the new.
 */
import { backoff } from './backoff'
import type { ClientMessage, Message, ServerMessage, Subscription } from './message'

export type Phase = 'connecting' | 'live' | 'recovering' | 'offline' | 'closed'

/** Lost for longer than this is told to the viewer. */
export const OFFLINE_AFTER_MS = 2_000
/** An opening handshake that takes longer is given up. */
export const OPEN_TIMEOUT_MS = 10_000
/** A socket on which nothing comes for this long, and for five intervals, is held for dead. */
export const SILENCE_MS = 10_000

/** Close codes after which the same attempt would end the same way: bad requests, not allowed, no such version. */
const FATAL_CLOSE_CODES: ReadonlySet<number> = new Set([4400, 4401, 4403])

export interface State {
  readonly phase: Phase
  readonly socket: 'none' | 'opening' | 'open'
  /** When the socket reached its present state. */
  readonly since: number
  /** When the connection was lost (or first sought); null while live. */
  readonly lostAt: number | null
  /** When the next attempt is due; null while one is under way. */
  readonly retryAt: number | null
  /** Attempts since the connection was lost. */
  readonly attempt: number
  /** When the last frame came. */
  readonly heardAt: number
  /** Subscriptions made on this socket; numbers their names. */
  readonly subscriptions: number
  readonly channel: number | null
  /** The offset we have; null before the snapshot. */
  readonly offset: number | null
  /** Which part of the message of that offset came last; 0 if it is complete. */
  readonly part: number
  readonly intervalMs: number
  /** Why it is as it is, in words, for closed and offline. */
  readonly reason: string
}

export type Event =
  | { readonly type: 'start' }
  | { readonly type: 'opened' }
  | { readonly type: 'lost'; readonly code: number; readonly reason: string }
  | { readonly type: 'message'; readonly message: ServerMessage }
  | { readonly type: 'tick' }
  | { readonly type: 'retry' }
  | { readonly type: 'stop' }

/** What the rim has to do, in this order. */
export type Effect =
  | { readonly type: 'open' }
  | { readonly type: 'drop' }
  | { readonly type: 'send'; readonly message: ClientMessage }
  /** The message is in sequence and belongs to the present subscription: show it. */
  | { readonly type: 'deliver'; readonly message: ServerMessage }

export interface Step {
  readonly state: State
  readonly effects: readonly Effect[]
}

export const INITIAL: State = {
  phase: 'connecting',
  socket: 'none',
  since: 0,
  lostAt: null,
  retryAt: null,
  attempt: 0,
  heardAt: 0,
  subscriptions: 0,
  channel: null,
  offset: null,
  part: 0,
  intervalMs: 1_000,
  reason: '',
}

/** One step. `now` is in milliseconds of any clock that does not go back, `random` in 0..1 is the jitter. */
export function step(state: State, event: Event, subscription: Subscription, now: number, random: number): Step {
  if (state.phase === 'closed' && event.type !== 'retry') return { state, effects: [] }
  switch (event.type) {
    case 'start':
      return open({ ...state, phase: 'connecting', lostAt: now, attempt: 0 }, now)
    case 'retry':
      if (state.socket !== 'none') return { state, effects: [] }
      return open({ ...state, phase: state.phase === 'closed' ? 'offline' : state.phase, attempt: 0, lostAt: state.lostAt ?? now }, now)
    case 'stop':
      return { state: { ...state, phase: 'closed', socket: 'none', retryAt: null, reason: 'stopped' }, effects: [{ type: 'drop' }] }
    case 'opened':
      if (state.socket !== 'opening') return { state, effects: [] }
      return subscribe({ ...state, socket: 'open', since: now, heardAt: now, subscriptions: 0 }, subscription)
    case 'lost':
      return lost(state, event, now, random)
    case 'tick':
      return tick(state, now, random)
    case 'message':
      return message({ ...state, heardAt: now }, event.message, subscription, now)
  }
}

/** The name of the subscription made as number `n` on its socket. */
export function subName(n: number): string {
  return n <= 1 ? 'all' : `all.${n}`
}

function open(state: State, now: number): Step {
  return {
    state: { ...state, socket: 'opening', since: now, retryAt: null, channel: null, offset: null, part: 0 },
    effects: [{ type: 'open' }],
  }
}

function subscribe(state: State, subscription: Subscription): Step {
  const effects: Effect[] = []
  if (state.subscriptions > 0) {
    effects.push({ type: 'send', message: { type: 'unsubscribe', sub: subName(state.subscriptions) } })
  }
  const n = state.subscriptions + 1
  effects.push({ type: 'send', message: { type: 'subscribe', sub: subName(n), ...subscription } })
  return { state: { ...state, subscriptions: n, channel: null, offset: null, part: 0 }, effects }
}

function lost(state: State, why: { code: number; reason: string }, now: number, random: number): Step {
  if (state.socket === 'none') return { state, effects: [] }
  const lostAt = state.lostAt ?? now
  const base: State = { ...state, socket: 'none', since: now, lostAt, channel: null, offset: null, part: 0, reason: why.reason }
  if (FATAL_CLOSE_CODES.has(why.code)) return { state: { ...base, phase: 'closed', retryAt: null }, effects: [] }
  const phase = now - lostAt >= OFFLINE_AFTER_MS ? 'offline' : state.phase === 'live' ? 'recovering' : state.phase
  // A `bye` may already have said when to come back.
  const retryAt = state.retryAt ?? now + backoff(state.attempt, random)
  return { state: { ...base, phase, retryAt, attempt: state.attempt + 1 }, effects: [] }
}

function tick(state: State, now: number, random: number): Step {
  if (state.socket === 'opening' && now - state.since >= OPEN_TIMEOUT_MS) {
    const after = lost(state, { code: 1006, reason: 'no answer' }, now, random)
    return { state: after.state, effects: [{ type: 'drop' }, ...after.effects] }
  }
  if (state.socket === 'open' && now - state.heardAt >= Math.max(SILENCE_MS, 5 * state.intervalMs)) {
    const after = lost(state, { code: 1006, reason: 'silence' }, now, random)
    return { state: after.state, effects: [{ type: 'drop' }, ...after.effects] }
  }
  let next = state
  if (next.phase !== 'live' && next.phase !== 'offline' && next.lostAt !== null && now - next.lostAt >= OFFLINE_AFTER_MS) {
    next = { ...next, phase: 'offline' }
  }
  if (next.socket === 'none' && next.retryAt !== null && now >= next.retryAt) return open(next, now)
  return { state: next, effects: [] }
}

function message(state: State, received: ServerMessage, subscription: Subscription, now: number): Step {
  if (state.socket !== 'open') return { state, effects: [] }
  const deliver: Effect = { type: 'deliver', message: received }
  switch (received.type) {
    case 'ping':
      return { state, effects: [{ type: 'send', message: { type: 'pong' } }] }
    case 'bye': {
      if (!received.reconnect) {
        const closed: State = { ...state, phase: 'closed', socket: 'none', retryAt: null, lostAt: now, reason: received.reason }
        return { state: closed, effects: [{ type: 'drop' }, deliver] }
      }
      const retryAt = received.retryAfterMs === null ? null : now + received.retryAfterMs
      return { state: { ...state, retryAt, reason: received.reason }, effects: [deliver] }
    }
    case 'subscribed':
      if (received.sub !== subName(state.subscriptions)) return { state, effects: [] }
      return { state: { ...state, channel: received.channel, intervalMs: received.intervalMs }, effects: [deliver] }
    case 'schema':
      return { state, effects: received.channel === state.channel ? [deliver] : [] }
    case 'snapshot':
      if (received.channel !== state.channel) return { state, effects: [] }
      return { state: live(state, received, now), effects: [deliver] }
    case 'delta':
      // While a new subscription is on its way there is no channel, and what still comes of the old is left out.
      if (received.channel !== state.channel) return { state, effects: [] }
      if (!follows(state, received)) return subscribe(state, subscription)
      return { state: live(state, received, now), effects: [deliver] }
    default:
      return { state, effects: [deliver] }
  }
}

/** Whether a delta begins where we are, or goes on with the one that has begun. */
function follows(state: State, delta: Message<'delta'>): boolean {
  if (delta.part > 1) return delta.offset === state.offset && delta.part === state.part + 1
  return delta.prev === state.offset && state.part === 0
}

function live(state: State, received: Message<'snapshot'> | Message<'delta'>, now: number): State {
  const { offset } = received
  const part = received.part < received.parts ? received.part : 0
  if (state.phase === 'live') return { ...state, offset, part }
  return { ...state, phase: 'live', offset, part, since: now, lostAt: null, retryAt: null, attempt: 0, reason: '' }
}
