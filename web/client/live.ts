/**
 * The client as it is used: `connect`, `Live`, `Subscription`, `Tick`. Around the state machine of `machine.ts` it puts a
 * wire, a clock and the dice; what is delivered goes into a `Model` for each subscription.
 */
import { Machine } from './machine.js'
import type { Effect, Event, State, SubscriptionMessage } from './machine.js'
import type { Message, Points, Selection } from './message.js'
import { Model } from './model.js'
import type { Change, Series } from './model.js'
import { openSse } from './sse.js'
import { canShare, Tabs } from './tabs.js'
import { openWebSocket } from './websocket.js'
import type { Listener, Transport, Wire } from './wire.js'

/** What the client calls itself to the server. */
const NAME = 'gaugecast-client/0.1.0'

/** How to connect. */
export interface ConnectOptions {
  /** Ends everything when it is aborted. */
  readonly signal?: AbortSignal
  /** `auto`, the default: WebSocket, and server-sent events where that does not get through. */
  readonly transport?: 'auto' | Transport
  /** One connection for all tabs of this origin; where the browser cannot, each has its own. Off by default. */
  readonly share?: boolean
  /** The kinds of events that are wanted; by default all that happen, and no readings (`performance`). */
  readonly events?: readonly string[]
  /** A token of the scope `stream`, for a server that asks for one. A function is called before each connection. */
  readonly token?: string | (() => string | undefined)
}

/** How to subscribe, beside `interval`, `limit` and `exact`. */
export interface SubscribeOptions extends Omit<Selection, 'match' | 'query'> {
  /** Ends the subscription when it is aborted. */
  readonly signal?: AbortSignal
  /** No frame came in time (`true`), or frames come again (`false`). */
  readonly onLate?: (late: boolean) => void
  /** The server does not grant it. Without, the error goes to the listeners of `error`. */
  readonly onError?: (error: RefusedError) => void
  /**
   * For those who keep the values in a form of their own: gets the messages that lead to the next state, the last of
   * them a whole `snapshot` or `delta`. `series` then stays empty, and there are no ticks.
   */
  readonly onMessages?: (messages: readonly SubscriptionMessage[]) => void
}

/** How to subscribe to a query. */
export type QueryOptions = Omit<SubscribeOptions, 'derived'>

/** What `on` can listen for. */
export interface Events {
  /** The connection has changed. */
  state: State
  /** Something happened at the server. Kinds that this client does not know are passed on as they are. */
  event: Message<'event'>
  /** Something to know about a selection. */
  notice: Message<'notice'>
  /** A subscription was refused, a frame could not be read, or a listener failed. */
  error: Error
  /** The server greets, on each new connection: its version and its clock. */
  welcome: Message<'welcome'>
}

/** The server did not grant a subscription, or a change of one. */
export class RefusedError extends Error {
  constructor(
    /** For programs: `bad_selector`, `too_many_series`, … (docs/protocol.md, "Errors"). */
    readonly code: string,
    message: string,
    /** The place in a selector, in characters from 1. */
    readonly column: number | null,
  ) {
    super(message)
    this.name = 'RefusedError'
  }
}

/** What is new in a subscription. */
export class Tick {
  constructor(
    /** Time of the frame, Unix milliseconds of the server's clock. */
    readonly time: number,
    /** The server's number of it, in this `epoch`. */
    readonly offset: number,
    /** Names the life of the server. */
    readonly epoch: string,
    /** All values came anew, not only what has changed. */
    readonly snapshot: boolean,
    /** Series with a value from this frame. */
    readonly changed: readonly Series[],
    /** Series that are no more, with their last values. */
    readonly gone: readonly Series[],
    /** All series by key, as they are now. */
    readonly series: ReadonlyMap<string, Series>,
    /** The past of series, with `history`, in a tick that has all values anew. It ends before their values here. */
    readonly history: ReadonlyMap<Series, Points> = new Map(),
  ) {}

  /** The value of a series by its key, `name{label="value"}`; undefined while there is none. */
  value(key: string): number | undefined {
    return this.series.get(key)?.value
  }
}

type Listeners = { [K in keyof Events]: Set<(value: Events[K]) => void> }

/**
 * Follows a gaugecast server. Connects at once, and again whenever the connection is lost.
 *
 * @param url where the server is, `https://host/prefix/`. By default where this module was loaded from.
 * @throws TypeError if that is no `http:`, `https:`, `ws:` or `wss:` address.
 */
export function connect(url?: string | URL, options: ConnectOptions = {}): Live {
  return new Live(baseOf(url), options)
}

/** The address under which the server's paths are, as `http:` or `https:` with a slash at its end. */
function baseOf(url: string | URL | undefined): URL {
  const from = url === undefined || typeof document === 'undefined' ? import.meta.url : document.baseURI
  const base = new URL(url ?? '.', from)
  base.protocol = base.protocol.replace(/^ws/, 'http')
  if (!base.protocol.startsWith('http')) throw new TypeError(`no address of a gaugecast server: ${base.href}`)
  base.pathname = base.pathname.replace(/(\/api\/v1\/stream\/(ws|sse))?\/*$/, '/')
  base.search = base.hash = ''
  return base
}

/** A connection, with any number of subscriptions. */
export class Live {
  private readonly machine: Machine
  private readonly listeners: Listeners = { state: new Set(), event: new Set(), notice: new Set(), error: new Set(), welcome: new Set() }
  private readonly subscriptions = new Map<string, Subscription>()
  private readonly tabs: Tabs | null
  private readonly events: readonly string[] | undefined
  private readonly token: ConnectOptions['token']
  private readonly ended = new AbortController()
  private wire: Wire | null = null
  private timer: ReturnType<typeof setTimeout> | undefined
  private names = 0

  /** @internal */
  constructor(
    private readonly base: URL,
    { signal, transport = 'auto', share = false, events, token }: ConnectOptions,
  ) {
    const auto: readonly Transport[] = typeof WebSocket === 'function' ? ['websocket', 'sse'] : ['sse']
    this.machine = new Machine({ name: NAME, events, transports: transport === 'auto' ? auto : [transport] })
    this.events = events
    this.token = token
    this.tabs = share && canShare() ? new Tabs(`gaugecast:${base.href}:${transport}`) : null
    if (signal?.aborted === true) {
      this.close()
      return
    }
    const until = { signal: this.ended.signal }
    signal?.addEventListener('abort', () => { this.close() }, until)
    if (typeof window !== 'undefined') {
      addEventListener('online', () => { this.retry() }, until)
    }
    this.feed({ type: 'start' })
  }

  /** The connection as it is now. */
  get state(): State {
    return this.machine.state
  }

  /**
   * Subscribes to all series that any of the selectors picks.
   *
   *     for await (const tick of live.subscribe('node_load1')) …
   *     live.subscribe(['up', 'node_load1'], { interval: '5s' }, (tick) => { … })
   */
  subscribe(match: string | readonly string[], onTick?: (tick: Tick) => void): Subscription
  subscribe(match: string | readonly string[], options: SubscribeOptions, onTick?: (tick: Tick) => void): Subscription
  subscribe(match: string | readonly string[], a: SubscribeOptions | ((tick: Tick) => void) = {}, b?: (tick: Tick) => void): Subscription {
    const [options, onTick] = typeof a === 'function' ? [{}, a] : [a, b]
    return this.follow({ match: typeof match === 'string' ? [match] : [...match] }, options, onTick)
  }

  /**
   * Subscribes to what a PromQL expression gives, evaluated at the server at each tick. The series have ids and keys of
   * their own: most expressions drop the name, `{job="api"}`.
   *
   *     live.query('sum by (job) (rate(http_requests_total[30s]))', { history: '5m' }, (tick) => { … })
   */
  query(query: string, onTick?: (tick: Tick) => void): Subscription
  query(query: string, options: QueryOptions, onTick?: (tick: Tick) => void): Subscription
  query(query: string, a: QueryOptions | ((tick: Tick) => void) = {}, b?: (tick: Tick) => void): Subscription {
    const [options, onTick] = typeof a === 'function' ? [{}, a] : [a, b]
    return this.follow({ query }, options, onTick)
  }

  private follow(what: Selection, options: SubscribeOptions, onTick: ((tick: Tick) => void) | undefined): Subscription {
    const sub = `${this.tabs?.id ?? 's'}.${++this.names}`
    const selection = selectionOf({ ...what, ...said(options) })
    const end = (error?: RefusedError) => {
      if (this.subscriptions.delete(sub) && error === undefined) this.feed({ type: 'unsubscribe', sub })
    }
    const subscription = new Subscription(selection, options, onTick, end, (changed) => {
      this.feed({ type: 'update', sub, selection: changed })
    })
    if (this.ended.signal.aborted || options.signal?.aborted === true) {
      subscription.unsubscribe()
      return subscription
    }
    options.signal?.addEventListener('abort', () => { subscription.unsubscribe() }, { once: true })
    this.subscriptions.set(sub, subscription)
    this.feed({ type: 'subscribe', sub, selection })
    return subscription
  }

  /** Listens; the listening ends with what is returned, or with the signal. */
  on<K extends keyof Events>(type: K, listener: (value: Events[K]) => void, { signal }: { readonly signal?: AbortSignal } = {}): () => void {
    const set = this.listeners[type]
    const off = () => {
      set.delete(listener)
    }
    if (signal?.aborted !== true) set.add(listener)
    signal?.addEventListener('abort', off, { once: true })
    return off
  }

  /** Tries now rather than when the wait is over. Also after the server has ended the connection for good. */
  retry(): void {
    if (!this.ended.signal.aborted) this.feed({ type: 'retry' })
  }

  /** Ends the connection and all subscriptions. */
  close(): void {
    if (this.ended.signal.aborted) return
    this.ended.abort()
    this.feed({ type: 'stop' })
    this.tabs?.close()
    for (const subscription of [...this.subscriptions.values()]) subscription.unsubscribe()
  }

  private feed(event: Event): void {
    const before = this.machine.state
    // Effects may feed again; what they cause comes after them.
    const effects = this.machine.feed(event, performance.now(), Math.random())
    for (const effect of effects) this.carryOut(effect)
    clearTimeout(this.timer)
    const wait = this.machine.wakeAt() - performance.now()
    if (wait < Infinity) this.timer = setTimeout(() => { this.feed({ type: 'wake' }) }, Math.max(0, Math.ceil(wait)))
    if (this.machine.state !== before) this.tell('state', this.machine.state)
  }

  private carryOut(effect: Effect): void {
    switch (effect.type) {
      case 'open':
        this.open(effect.transport)
        break
      case 'drop':
        this.wire?.close()
        this.wire = null
        break
      case 'send':
        this.wire?.send(effect.message)
        break
      case 'deliver':
        this.deliver(effect.sub, effect.messages)
        break
      case 'late': {
        const subscription = this.subscriptions.get(effect.sub)
        if (subscription !== undefined) this.guard(() => { subscription.setLate(effect.late) })
        break
      }
      case 'refused': {
        const { code, message, column } = effect.error
        const error = new RefusedError(code, message, column)
        const subscription = this.subscriptions.get(effect.sub)
        if (effect.ended) this.subscriptions.delete(effect.sub)
        this.guard(() => {
          if (subscription?.refuse(error, effect.ended) !== true) this.tell('error', error)
        })
        break
      }
      case 'tell': {
        const { message } = effect
        if (message.type === 'welcome') this.tell('welcome', message)
        else if (message.type === 'event') this.tell('event', message)
        else if (message.type === 'notice') this.tell('notice', message)
        else if (message.type === 'error') this.tell('error', new RefusedError(message.code, message.message, message.column))
      }
    }
  }

  private deliver(sub: string, messages: readonly SubscriptionMessage[]): void {
    const subscription = this.subscriptions.get(sub)
    if (subscription === undefined) return
    let tell: () => void
    try {
      tell = subscription.take(messages)
    } catch (error) {
      this.tell('error', error as Error)
      this.feed({ type: 'bad', reason: (error as Error).message })
      return
    }
    this.guard(tell)
  }

  private open(transport: Transport): void {
    this.wire?.close()
    const listener: Listener = {
      opened: (over) => { this.feed({ type: 'opened', over }) },
      message: (message) => { this.feed({ type: 'message', message }) },
      heard: () => { this.feed({ type: 'heard' }) },
      bad: (error) => {
        this.tell('error', error)
        this.feed({ type: 'bad', reason: error.message })
      },
      lost: (loss) => {
        this.wire = null
        this.feed({ type: 'lost', ...loss })
      },
    }
    const real = (to: Listener) => {
      const token = typeof this.token === 'function' ? this.token() : this.token
      return transport === 'sse' ? openSse(this.base, to, this.events, token) : openWebSocket(this.base, to, token)
    }
    try {
      this.wire = this.tabs === null ? real(listener) : this.tabs.open(transport, real, listener)
    } catch (error) {
      // A page of https: may not open ws:, and is told so by the constructor.
      queueMicrotask(() => { listener.lost({ code: 1006, reason: (error as Error).message }) })
    }
  }

  private tell<K extends keyof Events>(type: K, value: Events[K]): void {
    const set = this.listeners[type]
    // An error that nobody hears of would be a page that stays empty without a word.
    if (type === 'error' && set.size === 0) console.error('gaugecast:', value)
    for (const listener of set) {
      if (type === 'error') listener(value)
      else this.guard(() => { listener(value) })
    }
  }

  /** Calls what is the user's: that it fails must not stop the stream. */
  private guard(call: () => void): void {
    try {
      call()
    } catch (error) {
      this.tell('error', error as Error)
    }
  }
}

/** What a selection says of these; the rest is not the server's. */
function said({ derived, history, interval, limit, exact }: Selection): Selection {
  return JSON.parse(JSON.stringify({ derived, history, interval, limit, exact })) as Selection
}

function selectionOf({ match, query, ...rest }: Selection): Selection {
  return { ...(match && { match }), ...(query !== undefined && { query }), ...said(rest) }
}

/** What is to be changed of a subscription. `query` in place of `match`, or the other way round, changes that too. */
export interface Update extends Omit<Selection, 'match'> {
  readonly match?: string | readonly string[]
}

/** A subscription: the newest values by `series` and `value`, ticks by its callback or by `for await`. */
export class Subscription implements AsyncIterable<Tick> {
  private readonly model = new Model()
  private readonly readers = new Set<Reader>()
  private isLate = false
  private ending: { readonly error: RefusedError | undefined } | null = null

  /** @internal */
  constructor(
    private selection: Selection,
    private readonly options: SubscribeOptions,
    private readonly onTick: ((tick: Tick) => void) | undefined,
    private readonly end: (error?: RefusedError) => void,
    private readonly change: (selection: Selection) => void,
  ) {}

  /** All series that have a value, by key. */
  get series(): ReadonlyMap<string, Series> {
    return this.model.series
  }

  /** The value of a series by its key, `name{label="value"}`; undefined while there is none. */
  value(key: string): number | undefined {
    return this.series.get(key)?.value
  }

  /** No frame came in time: what is here may be old. */
  get late(): boolean {
    return this.isLate
  }

  /** The interval that the server granted, in milliseconds; 0 before it did. */
  get intervalMs(): number {
    return this.model.intervalMs
  }

  /** More series match than are sent. */
  get truncated(): boolean {
    return this.model.truncated
  }

  /** Changes what is subscribed to; what is not named stays. The next tick has all values. */
  update({ match, ...rest }: Update): void {
    if (this.ending !== null) return
    const what = match !== undefined ? { match: typeof match === 'string' ? [match] : match } : {}
    const { derived } = this.selection
    // Another question replaces the former whole.
    const before = rest.query !== undefined ? {} : match === undefined ? this.selection : { ...(derived && { derived }) }
    const { history, interval, limit, exact } = said(this.selection)
    this.selection = selectionOf({ ...said({ history, interval, limit, exact } as Selection), ...before, ...what, ...rest })
    this.change(this.selection)
  }

  /** Ends it: loops over it end too. */
  unsubscribe(): void {
    this.finish(undefined)
  }

  /**
   * Ticks from now on, the first with all that is there. Who takes long gets what has changed since in one tick, and
   * never a queue. Leaving the loop ends the subscription, unless it has a callback or another loop.
   */
  [Symbol.asyncIterator](): AsyncIterator<Tick, undefined> {
    const reader = new Reader(() => {
      this.readers.delete(reader)
      if (this.readers.size === 0 && this.onTick === undefined) this.unsubscribe()
    })
    if (this.ending !== null) reader.finish(this.ending.error)
    else {
      this.readers.add(reader)
      if (this.model.time > 0) reader.take({ snapshot: true, changed: new Set(this.series.values()), gone: new Set(), history: new Map() }, this.tick)
    }
    return reader
  }

  /** @internal Takes messages in; what it returns tells the user. */
  take(messages: readonly SubscriptionMessage[]): () => void {
    const { onMessages } = this.options
    if (onMessages !== undefined) return () => { onMessages(messages) }
    const change = this.model.apply(messages)
    return () => {
      for (const reader of this.readers) reader.take(change, this.tick)
      this.onTick?.(this.tick(change))
    }
  }

  /** @internal */
  setLate(late: boolean): void {
    this.isLate = late
    this.options.onLate?.(late)
  }

  /** @internal Says whether somebody hears of it. */
  refuse(error: RefusedError, ended: boolean): boolean {
    const { onError } = this.options
    const heard = onError !== undefined || (ended && this.readers.size > 0)
    if (ended) this.finish(error)
    onError?.(error)
    return heard
  }

  private finish(error: RefusedError | undefined): void {
    if (this.ending !== null) return
    this.ending = { error }
    for (const reader of this.readers) reader.finish(error)
    this.readers.clear()
    this.end(error)
  }

  private readonly tick = ({ snapshot, changed, gone, history }: Change): Tick => {
    const { time, offset, epoch, series } = this.model
    return new Tick(time, offset, epoch, snapshot, [...changed], [...gone], series, history)
  }
}

/** One loop over a subscription. Between two turns it keeps what has changed, not each frame. */
class Reader implements AsyncIterator<Tick, undefined> {
  private waiting: { resolve(result: IteratorResult<Tick, undefined>): void; reject(error: Error): void } | null = null
  private change: Change | null = null
  private tick: ((change: Change) => Tick) | null = null
  private ended = false
  private error: Error | undefined

  constructor(private readonly left: () => void) {}

  take(change: Change, tick: (change: Change) => Tick): void {
    this.tick = tick
    const { change: before } = this
    if (before === null) this.change = { ...change, changed: new Set(change.changed), gone: new Set(change.gone) }
    else {
      before.snapshot ||= change.snapshot
      for (const [series, points] of change.history) before.history.set(series, points)
      for (const series of change.changed) {
        before.gone.delete(series)
        before.changed.add(series)
      }
      for (const series of change.gone) {
        before.changed.delete(series)
        before.gone.add(series)
      }
    }
    this.serve()
  }

  finish(error: Error | undefined): void {
    this.ended = true
    this.error = error
    this.change = null
    this.serve()
  }

  next(): Promise<IteratorResult<Tick, undefined>> {
    return new Promise((resolve, reject) => {
      this.waiting = { resolve, reject }
      this.serve()
    })
  }

  return(): Promise<IteratorResult<Tick, undefined>> {
    this.ended = true
    this.left()
    return Promise.resolve({ done: true, value: undefined })
  }

  private serve(): void {
    const { waiting, change, tick } = this
    if (waiting === null) return
    if (change !== null && tick !== null) {
      this.change = null
      this.waiting = null
      waiting.resolve({ done: false, value: tick(change) })
    } else if (this.ended) {
      this.waiting = null
      const { error } = this
      this.error = undefined
      if (error === undefined) waiting.resolve({ done: true, value: undefined })
      else waiting.reject(error)
    }
  }
}
