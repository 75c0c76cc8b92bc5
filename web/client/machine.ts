/**
 * The connection as a state machine: events in, the next state and what to do out. It knows neither socket nor clock nor
 * values; `live.ts` wraps it with them.
 *
 * Phases. *connecting*: the first attempt, nothing was ever shown. *live*: frames come. *recovering*: the connection is
 * lost, for less than two seconds, which a viewer need not be told. *offline*: lost for longer; a page says so.
 * *closed*: ended for good, by us or by a server that says that coming back is of no use.
 *
 * Each subscription is kept over all of it by the epoch and offset of its last whole frame. With them it is asked for on
 * the next connection, and the server sends what has changed since, or everything. A frame is delivered whole or not at
 * all: its schema and its parts wait for the last part, so what was delivered is at every moment a state that the server
 * had. A delta holds values and not differences, so one from an *earlier* offset than ours may be applied (a second
 * subscription of the same channel was resumed on this connection); one from a *later* offset shows a gap, which asks
 * the server to go on from where we are.
 *
 * Transport. A WebSocket is tried first. One that ends before the server's `welcome` is followed at once by one attempt
 * over server-sent events, if WebSockets have never worked or have failed three times in a row. If that works too little
 * to get a `welcome`, the server is not there, and the next attempt is a WebSocket again. What works is kept while it
 * lasts; when it is lost, and ten minutes have passed since the fallback, a WebSocket is tried again.
 */
import { backoff } from './backoff.js'
import type { ClientMessage, Message, Resume, Selection, ServerMessage } from './message.js'
import type { Loss, Transport } from './wire.js'

export type Phase = 'connecting' | 'live' | 'recovering' | 'offline' | 'closed'

/** Lost for longer than this is told to the viewer. */
export const OFFLINE_AFTER_MS = 2_000
/** A connection without `welcome` after this is given up. */
export const OPEN_TIMEOUT_MS = 10_000
/** One on which nothing comes for this long, and for five intervals, is held for dead. */
export const SILENCE_MS = 10_000
/** How long server-sent events are kept to, before a loss is a reason to try a WebSocket again. */
export const FALLBACK_MS = 600_000
/** WebSockets that fail in a row before one that has worked is doubted. */
export const FAILURES = 3
/** No advice of a server to stay away is followed for longer. */
const LONGEST_ADVICE_MS = 600_000
/** When what was refused for now is asked for again. */
const AGAIN_MS = 1_000
/** Gaps without a frame that fits in between, after which the connection is made anew. */
const GAPS = 3
/** A subscription is late when nothing came for so many of its intervals and `LATE_MS`. */
const LATE_INTERVALS = 3
const LATE_MS = 1_000

/** Close codes after which the same attempt would end the same way (docs/protocol.md, "The end"). */
const FOR_GOOD: ReadonlySet<number> = new Set([401, 1002, 1003, 1007, 1008, 1009, 4400, 4401, 4403, 4410, 4413, 4426])

/** The connection as it is shown. Times are of the clock that the machine is given (`performance.now()`). */
export interface State {
  readonly phase: Phase
  /** What it runs over, or is about to be tried over. */
  readonly transport: Transport
  /** When the connection was lost, or first sought; null while live. */
  readonly lostAt: number | null
  /** When the next attempt is due; null while one is under way. */
  readonly retryAt: number | null
  /** Attempts since it was lost. */
  readonly attempt: number
  /** Why it was lost, in the words of whoever ended it; empty where nobody said. */
  readonly reason: string
}

/** What a subscription is told, in the order in which it holds. */
export type SubscriptionMessage = Extract<ServerMessage, { type: 'subscribed' | 'schema' | 'history' | 'snapshot' | 'delta' }>

export type Event =
  | { readonly type: 'start' }
  | { readonly type: 'opened'; readonly over?: Transport | undefined }
  | { readonly type: 'message'; readonly message: ServerMessage }
  /** Something that is no message came. */
  | { readonly type: 'heard' }
  /** A frame that cannot be. */
  | { readonly type: 'bad'; readonly reason: string }
  | ({ readonly type: 'lost' } & Loss)
  | { readonly type: 'subscribe'; readonly sub: string; readonly selection: Selection }
  | { readonly type: 'update'; readonly sub: string; readonly selection: Selection }
  | { readonly type: 'unsubscribe'; readonly sub: string }
  /** Time has passed: see `Machine.wakeAt`. */
  | { readonly type: 'wake' }
  | { readonly type: 'retry' }
  | { readonly type: 'stop' }

/** What the rim has to do, in this order. */
export type Effect =
  | { readonly type: 'open'; readonly transport: Transport }
  | { readonly type: 'drop' }
  | { readonly type: 'send'; readonly message: ClientMessage }
  /** These messages lead to the next state of the subscription. The last is its `snapshot` or `delta`. */
  | { readonly type: 'deliver'; readonly sub: string; readonly messages: readonly SubscriptionMessage[] }
  /** No frame came in time, or frames come again. */
  | { readonly type: 'late'; readonly sub: string; readonly late: boolean }
  /** Not granted; `ended` if the subscription is over, else it goes on as before. */
  | { readonly type: 'refused'; readonly sub: string; readonly error: Message<'error'>; readonly ended: boolean }
  /** A message that is not for one subscription. */
  | { readonly type: 'tell'; readonly message: Message<'welcome' | 'event' | 'notice' | 'error' | 'bye'> }

interface Entry {
  readonly sub: string
  /** What is asked for, and what the server granted last. */
  selection: Selection
  granted: Selection | null
  /** The server has it, on this connection. */
  held: boolean
  /** The number of the command that is not answered yet; 0 if all are. */
  pending: number
  channel: number | null
  at: Resume | null
  /** What came since the last whole frame. */
  parts: SubscriptionMessage[]
  gaps: number
  againAt: number | null
  intervalMs: number
  heardAt: number
  late: boolean
  /** A frame came on this connection. */
  works: boolean
}

export interface Options {
  /** What the client calls itself to the server. */
  readonly name: string
  /** The kinds of events that are wanted; without, the server's choice. */
  readonly events?: readonly string[] | undefined
  readonly transports: readonly Transport[]
}

export class Machine {
  private now = 0
  private shown: State
  private socket: 'none' | 'opening' | 'open' | 'welcomed' = 'none'
  private since = 0
  private heardAt = 0
  private pingMs = 0
  private commands = 0
  /** The next attempt is this and nothing else. */
  private next: Transport | null = null
  private webSocketWorked = false
  private webSocketFailures = 0
  private fallbackAt: number | null = null
  private effects: Effect[] = []
  private readonly entries = new Map<string, Entry>()
  /** The last event told, or that there was before the first welcome. */
  private lastEvent: { readonly epoch: string; readonly seq: number } | null = null
  private epoch = ''

  constructor(private readonly options: Options) {
    this.shown = { phase: 'connecting', transport: options.transports[0] ?? 'websocket', lostAt: null, retryAt: null, attempt: 0, reason: '' }
  }

  /** Another object whenever something in it has changed. */
  get state(): State {
    return this.shown
  }

  /** One step. `now` is in milliseconds of any clock that does not go back, `random` in 0..1 is the jitter. */
  feed(event: Event, now: number, random: number): readonly Effect[] {
    this.now = now
    this.effects = []
    if (this.shown.phase !== 'closed' || event.type === 'retry') this.step(event, random)
    return this.effects
  }

  /** When `wake` has something to do, if nothing happens before; Infinity for never. */
  wakeAt(): number {
    const { phase, lostAt, retryAt } = this.shown
    if (phase === 'closed') return Infinity
    let at = Infinity
    if (phase !== 'live' && phase !== 'offline' && lostAt !== null) at = lostAt + OFFLINE_AFTER_MS
    if (this.socket === 'none') at = Math.min(at, retryAt ?? Infinity)
    else at = Math.min(at, this.deadline())
    for (const entry of this.entries.values()) at = Math.min(at, entry.againAt ?? Infinity, entry.late ? Infinity : lateAt(entry))
    return at
  }

  private step(event: Event, random: number): void {
    switch (event.type) {
      case 'start':
        this.show({ lostAt: this.now })
        this.open()
        break
      case 'retry':
        if (this.socket !== 'none') break
        this.show({ phase: this.shown.phase === 'closed' ? 'offline' : this.shown.phase, attempt: 0, lostAt: this.shown.lostAt ?? this.now })
        this.open()
        break
      case 'stop':
        this.end('stopped')
        break
      case 'opened':
        if (this.socket !== 'opening') break
        this.socket = 'open'
        this.heardAt = this.now
        if (event.over !== undefined) this.show({ transport: event.over })
        // Nobody waits for the greeting; over plain HTTP it comes with the first subscription.
        this.hello()
        this.askAll()
        break
      case 'heard':
        this.heardAt = this.now
        break
      case 'bad':
        this.fault(event.reason, random)
        break
      case 'lost':
        this.lost(event, random)
        break
      case 'message':
        this.heardAt = this.now
        if (this.socket === 'open' || this.socket === 'welcomed') this.message(event.message, random)
        break
      case 'subscribe':
        // Over plain HTTP nothing is heard while there is nothing to ask for.
        if (this.entries.size === 0) this.since = this.heardAt = this.now
        this.entries.set(event.sub, newEntry(event.sub, event.selection, this.now))
        this.askAll()
        break
      case 'update':
        this.update(event.sub, event.selection)
        break
      case 'unsubscribe': {
        const entry = this.entries.get(event.sub)
        if (entry && (entry.held || entry.pending > 0)) this.send({ type: 'unsubscribe', sub: entry.sub })
        this.entries.delete(event.sub)
        break
      }
      case 'wake':
        this.wake(random)
    }
  }

  private show(change: Partial<State>): void {
    this.shown = { ...this.shown, ...change }
  }

  private send(message: ClientMessage): void {
    this.effects.push({ type: 'send', message })
  }

  private open(): void {
    const transport = this.choose()
    this.next = null
    this.socket = 'opening'
    this.since = this.now
    this.show({ transport, retryAt: null })
    this.effects.push({ type: 'open', transport })
  }

  private choose(): Transport {
    const [first = 'websocket', second] = this.options.transports
    if (second === undefined) return first
    if (this.next !== null) return this.next
    return this.fallbackAt !== null && this.now - this.fallbackAt < FALLBACK_MS ? second : first
  }

  /** Asks for what was not asked for on this connection. */
  private askAll(): void {
    if (this.socket !== 'open' && this.socket !== 'welcomed') return
    for (const entry of this.entries.values()) if (!entry.held && entry.pending === 0 && entry.againAt === null) this.ask(entry)
  }

  /** Asks for a subscription, or for it to be otherwise, or for it to go on from where it is. */
  private ask(entry: Entry): void {
    const type = entry.held || entry.pending > 0 ? 'update' : 'subscribe'
    entry.pending = ++this.commands
    entry.againAt = null
    const resume = entry.at === null ? {} : { resume: entry.at }
    this.send({ type, sub: entry.sub, id: entry.pending, clamp: true, ...entry.selection, ...resume })
  }

  private update(sub: string, selection: Selection): void {
    const entry = this.entries.get(sub)
    if (entry === undefined) return
    entry.selection = selection
    // Other series: neither what we have nor what still comes is a beginning of them.
    Object.assign(entry, { at: null, channel: null, parts: [], againAt: null })
    if (this.socket === 'welcomed' || this.socket === 'open') this.ask(entry)
  }

  private message(received: ServerMessage, random: number): void {
    switch (received.type) {
      case 'welcome':
        this.welcome(received)
        break
      case 'ping':
        this.send({ type: 'pong' })
        break
      case 'subscribed':
        this.subscribed(received)
        break
      case 'schema':
      case 'history':
      case 'snapshot':
      case 'delta':
        for (const entry of this.entries.values()) if (entry.channel === received.channel) this.frame(entry, received, random)
        break
      case 'error':
        this.refused(received)
        break
      case 'bye':
        this.effects.push({ type: 'tell', message: received })
        if (received.reconnect) this.drop({ code: 1001, reason: received.reason, retryAfterMs: received.retryAfterMs ?? 0 }, random)
        else this.end(received.reason)
        break
      case 'event':
        this.event(received)
        break
      case 'notice':
        this.effects.push({ type: 'tell', message: received })
        break
      case 'unsubscribed':
      case 'ok':
      case 'pong':
    }
    this.liveIfSettled()
  }

  private welcome(welcome: Message<'welcome'>): void {
    this.socket = 'welcomed'
    this.epoch = welcome.epoch
    this.pingMs = welcome.pingMs
    if (this.shown.transport === 'websocket') {
      this.webSocketWorked = true
      this.webSocketFailures = 0
      this.fallbackAt = null
    } else this.fallbackAt ??= this.now
    this.lastEvent ??= { epoch: welcome.epoch, seq: welcome.seq }
    this.effects.push({ type: 'tell', message: welcome })
  }

  private hello(): void {
    const { name, events } = this.options
    this.send({ type: 'hello', client: name, ...(events && { events }), ...(this.lastEvent && { resume: this.lastEvent }) })
  }

  /** Tells an event once: after a reconnect some may come again. A `resync` says anew what holds. */
  private event(event: Message<'event'>): void {
    const { seq, kind } = event
    if (seq !== null) {
      const { lastEvent, epoch } = this
      if (kind !== 'resync' && lastEvent?.epoch === epoch && seq <= lastEvent.seq) return
      this.lastEvent = { epoch, seq }
    }
    this.effects.push({ type: 'tell', message: event })
  }

  private subscribed(subscribed: Message<'subscribed'>): void {
    const entry = this.entries.get(subscribed.sub)
    if (entry?.pending !== subscribed.id) return
    entry.pending = 0
    entry.held = true
    entry.granted = entry.selection
    entry.channel = subscribed.channel
    entry.intervalMs = subscribed.intervalMs
    if (!subscribed.recovered) entry.at = null
    entry.parts = [subscribed]
  }

  private frame(entry: Entry, frame: Message<'schema' | 'history' | 'snapshot' | 'delta'>, random: number): void {
    if (frame.type === 'schema' || frame.type === 'history') {
      // The past is for who begins, not for another subscription of the channel.
      if (frame.type === 'schema' || entry.parts[0]?.type === 'subscribed') entry.parts.push(frame)
      return
    }
    // A snapshot for another subscription of the channel, of the tick that we have.
    if (frame.type === 'snapshot' && entry.at?.epoch === frame.epoch && entry.at.offset >= frame.offset) return
    const last = entry.parts.at(-1)
    if (frame.part > 1) {
      const follows = last?.type === frame.type && last.offset === frame.offset && last.part === frame.part - 1
      if (!follows) {
        this.gap(entry, random)
        return
      }
    } else if (frame.type === 'delta') {
      if (entry.at === null || frame.prev > entry.at.offset) {
        this.gap(entry, random)
        return
      }
      if (frame.offset < entry.at.offset) return
    }
    // What began before and did not end is void; what describes series holds.
    if (frame.part === 1) entry.parts = entry.parts.filter(({ type }) => type !== 'snapshot' && type !== 'delta')
    const { parts } = entry
    parts.push(frame)
    if (frame.part < frame.parts) return
    entry.at = {
      epoch: frame.type === 'snapshot' ? frame.epoch : (entry.at?.epoch ?? this.epoch),
      offset: frame.offset,
      // Over server-sent events the channel is a number of our own.
      ...((entry.selection.query ?? entry.selection.derived) !== undefined && this.shown.transport === 'websocket' && { channel: frame.channel }),
    }
    entry.parts = []
    entry.gaps = 0
    entry.works = true
    entry.heardAt = this.now
    if (entry.late) {
      entry.late = false
      this.effects.push({ type: 'late', sub: entry.sub, late: false })
    }
    this.effects.push({ type: 'deliver', sub: entry.sub, messages: parts })
  }

  /** Something was missed: nothing of what came since is shown, and the server is asked to go on from where we are. */
  private gap(entry: Entry, random: number): void {
    // While the answer is on its way, what comes still has the gap.
    if (entry.pending > 0) return
    entry.parts = []
    entry.channel = null
    entry.gaps++
    if (entry.gaps > GAPS) this.fault('frames do not follow each other', random)
    else this.ask(entry)
  }

  private refused(error: Message<'error'>): void {
    const entry = error.sub === null ? this.firstPending(error) : this.entries.get(error.sub)
    if (entry === undefined) {
      // With a name it is of a subscription that has ended here, or is another tab's.
      if (error.sub === null) this.effects.push({ type: 'tell', message: error })
      return
    }
    if (error.id !== null && error.id !== entry.pending) return
    entry.pending = 0
    const misjudged = error.code === (entry.held ? 'unknown_subscription' : 'already_subscribed')
    if (misjudged) {
      // An earlier command was not carried out, or was after all.
      entry.held = !entry.held
      this.ask(entry)
    } else if (error.retryable) {
      entry.againAt = this.now + AGAIN_MS
    } else if (entry.held && entry.granted !== null && entry.granted !== entry.selection) {
      // The server goes on with the former selection, of which some frames were passed over.
      entry.selection = entry.granted
      this.ask(entry)
      this.effects.push({ type: 'refused', sub: entry.sub, error, ended: false })
    } else {
      if (entry.held) this.send({ type: 'unsubscribe', sub: entry.sub })
      this.entries.delete(entry.sub)
      this.effects.push({ type: 'refused', sub: entry.sub, error, ended: true })
    }
  }

  /** Commands are answered in order, so one that was refused unread is the first that has no answer. */
  private firstPending(error: Message<'error'>): Entry | undefined {
    if (error.code !== 'rate_limited') return undefined
    let first: Entry | undefined
    for (const entry of this.entries.values()) {
      if (entry.pending > 0 && (first === undefined || entry.pending < first.pending)) first = entry
    }
    return first
  }

  private liveIfSettled(): void {
    if (this.socket !== 'welcomed') return
    let works = this.entries.size === 0
    for (const entry of this.entries.values()) {
      works ||= entry.works
      if (!entry.works && entry.againAt === null) return
    }
    if (this.shown.phase !== 'live') this.show({ phase: 'live', lostAt: null, retryAt: null, reason: '' })
    if (works && this.shown.attempt > 0) this.show({ attempt: 0 })
  }

  /** When silence is the end of the connection. */
  private deadline(): number {
    if (this.shown.transport === 'sse' && this.entries.size === 0) return Infinity
    if (this.socket !== 'welcomed') return this.since + OPEN_TIMEOUT_MS
    let shortest = Infinity
    for (const entry of this.entries.values()) if (entry.channel !== null) shortest = Math.min(shortest, entry.intervalMs)
    return this.heardAt + Math.min(this.pingMs + SILENCE_MS, Math.max(SILENCE_MS, 5 * shortest))
  }

  private wake(random: number): void {
    const { now } = this
    if (this.socket !== 'none' && now >= this.deadline()) {
      this.drop({ code: 1006, reason: this.socket === 'welcomed' ? 'silence' : 'no answer' }, random)
    }
    const { phase, lostAt, retryAt } = this.shown
    if (phase !== 'live' && phase !== 'offline' && lostAt !== null && now >= lostAt + OFFLINE_AFTER_MS) this.show({ phase: 'offline' })
    if (this.socket === 'none' && retryAt !== null && now >= retryAt) this.open()
    for (const entry of this.entries.values()) {
      if (!entry.late && now >= lateAt(entry)) {
        entry.late = true
        this.effects.push({ type: 'late', sub: entry.sub, late: true })
      }
      if (entry.againAt !== null && now >= entry.againAt) {
        entry.againAt = null
        if (entry.held && (this.socket === 'open' || this.socket === 'welcomed')) this.ask(entry)
      }
    }
    this.askAll()
  }

  /** What cannot be came: everything is asked for anew, on another connection. */
  private fault(reason: string, random: number): void {
    for (const entry of this.entries.values()) entry.at = null
    this.drop({ code: 1006, reason }, random)
  }

  /** Ends the connection from here. */
  private drop(loss: Loss, random: number): void {
    if (this.socket === 'none') return
    this.effects.push({ type: 'drop' })
    this.lost(loss, random)
  }

  private end(reason: string): void {
    this.effects.push({ type: 'drop' })
    this.forget()
    this.show({ phase: 'closed', retryAt: null, lostAt: this.shown.lostAt ?? this.now, reason })
  }

  private forget(): void {
    this.socket = 'none'
    for (const entry of this.entries.values()) Object.assign(entry, { held: false, pending: 0, channel: null, parts: [], gaps: 0, works: false })
  }

  private lost(loss: Loss, random: number): void {
    if (this.socket === 'none') return
    const { now } = this
    const welcomed = this.socket === 'welcomed'
    this.forget()
    const lostAt = this.shown.lostAt ?? now
    if (FOR_GOOD.has(loss.code)) {
      this.show({ phase: 'closed', retryAt: null, lostAt, reason: loss.reason })
      return
    }
    const phase = now - lostAt >= OFFLINE_AFTER_MS ? 'offline' : this.shown.phase === 'live' ? 'recovering' : this.shown.phase
    this.show({ phase, lostAt, reason: loss.reason })
    if (!welcomed && this.fallsBack()) {
      this.open()
      return
    }
    const advice = Math.min(loss.retryAfterMs ?? 0, LONGEST_ADVICE_MS)
    this.show({ retryAt: now + advice + backoff(this.shown.attempt, random), attempt: this.shown.attempt + 1 })
  }

  /** An attempt failed before it was greeted: is the other transport tried at once? */
  private fallsBack(): boolean {
    if (this.options.transports.length < 2) return false
    if (this.shown.transport === 'sse') {
      this.fallbackAt = null
      return false
    }
    this.webSocketFailures++
    if (this.webSocketWorked && this.webSocketFailures < FAILURES) return false
    this.next = 'sse'
    return true
  }
}

function newEntry(sub: string, selection: Selection, now: number): Entry {
  return {
    sub,
    selection,
    granted: null,
    held: false,
    pending: 0,
    channel: null,
    at: null,
    parts: [],
    gaps: 0,
    againAt: null,
    intervalMs: 1_000,
    heardAt: now,
    late: false,
    works: false,
  }
}

function lateAt(entry: Entry): number {
  return entry.heardAt + LATE_INTERVALS * entry.intervalMs + LATE_MS
}
