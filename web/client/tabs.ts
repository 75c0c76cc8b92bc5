/**
 * One connection for all tabs of an origin that follow the same server.
 *
 * The tab that holds the Web Lock of the server's address *leads*: it has the connection, and passes on by
 * `BroadcastChannel` what comes from it and what the others say. Each tab keeps its own state machine, whose
 * subscriptions have names that no other tab uses, so that passing on needs no book-keeping: everybody hears everything
 * and takes what is its own.
 *
 * When the leader's tab goes, however it goes, the browser gives the lock to the next tab, which tells the others; all go
 * on where they were over its connection. When another tab goes, the leader notices by the lock that each tab holds of
 * its own, and ends its subscriptions. A tab that gets no answer from a leader (one that hangs) connects by itself.
 */
import type { ClientMessage, Message, ServerMessage } from './message.js'
import type { Listener, Loss, OpenWire, Transport, Wire } from './wire.js'

/** A leader answers within this, or is taken for hanging. */
const ANSWER_MS = 3_000

/** What tabs say to each other. `from` is the tab that says it. */
type Word =
  /** A tab wants to be connected. */
  | { readonly word: 'hello'; readonly from: string }
  /** The leader is there, and is connecting. */
  | { readonly word: 'wait'; readonly to: string }
  /** The leader is connected; `to` is one tab, or empty for all. `welcome` is null where the server is yet to greet. */
  | { readonly word: 'opened'; readonly to: string; readonly over: Transport; readonly welcome: Message<'welcome'> | null }
  /** There is a new leader. */
  | { readonly word: 'leads' }
  | { readonly word: 'say'; readonly from: string; readonly message: ClientMessage }
  | { readonly word: 'message'; readonly message: ServerMessage }
  | { readonly word: 'heard' }
  | { readonly word: 'lost'; readonly loss: Loss }

/** Can tabs share here? Web Locks need `https:` or this machine. */
export function canShare(): boolean {
  return typeof BroadcastChannel === 'function' && typeof navigator === 'object' && 'locks' in navigator
}

/** One tab's part in the sharing. */
export class Tabs {
  /** Names this tab to the others, and begins the names of its subscriptions. */
  readonly id = Math.random().toString(36).slice(2, 10)
  private readonly channel: BroadcastChannel
  private readonly gone = new AbortController()
  private leads = false
  /** We hold our own lock. A leader that hears of us before takes us for gone. */
  private here = false
  /** The leader's connection, or one of our own beside a leader that does not answer. */
  private wire: Wire | null = null
  private welcome: Message<'welcome'> | null = null
  /** What the real connection runs over, once it is there. */
  private over: Transport | null = null
  /** What our own machine waits for or has; null between two attempts. */
  private mine: { readonly over: Transport; readonly open: OpenWire; readonly listener: Listener; told: boolean } | null = null
  private timer: ReturnType<typeof setTimeout> | undefined
  /** Which subscriptions each other tab has over us. */
  private readonly others = new Map<string, Set<string>>()

  constructor(private readonly name: string) {
    this.channel = new BroadcastChannel(name)
    this.channel.onmessage = ({ data }: MessageEvent<Word>) => {
      if (this.leads) this.hearAsLeader(data)
      else this.hear(data)
    }
    this.hold(this.lockOf(this.id), () => {
      this.here = true
      this.hello()
    })
    this.hold(`${name}:leader`, () => {
      this.leads = true
      clearTimeout(this.timer)
      this.say({ word: 'leads' })
      const { mine } = this
      if (mine === null || this.wire !== null) return
      if (mine.told) {
        this.drop()
        mine.listener.lost({ code: 1006, reason: 'the tab with the connection was closed' })
      } else this.openReal(mine.over, mine.open, mine.listener)
    })
  }

  /** Opens a wire: a real one in the leading tab, one to that tab elsewhere. */
  open(over: Transport, openReal: OpenWire, listener: Listener): Wire {
    this.mine = { over, open: openReal, listener, told: false }
    if (this.leads) this.openReal(over, openReal, listener)
    else {
      this.hello()
      this.timer = setTimeout(() => {
        this.openReal(over, openReal, listener)
      }, ANSWER_MS)
    }
    return {
      send: (message) => {
        if (this.wire !== null) this.wire.send(message)
        else this.say({ word: 'say', from: this.id, message })
      },
      close: () => {
        this.tell({ word: 'lost', loss: { code: 1006, reason: 'the connection is made anew' } })
        this.drop()
      },
    }
  }

  /** Leaves; another tab leads from now on. */
  close(): void {
    this.drop()
    this.gone.abort()
    this.channel.close()
  }

  private say(word: Word): void {
    if (!this.gone.signal.aborted) this.channel.postMessage(word)
  }

  /** Asks the leader to be connected, if that is what we wait for. */
  private hello(): void {
    if (this.here && this.mine?.told === false && this.wire === null) this.say({ word: 'hello', from: this.id })
  }

  private lockOf(id: string): string {
    return `${this.name}:${id}`
  }

  /** Holds a lock from when it is free until this tab leaves. */
  private hold(lock: string, held: () => void): void {
    const { signal } = this.gone
    navigator.locks
      .request(lock, { signal }, () => {
        if (signal.aborted) return undefined
        held()
        return new Promise<void>((resolve) => {
          signal.addEventListener('abort', () => {
            resolve()
          })
        })
      })
      .catch(() => undefined)
  }

  private drop(): void {
    clearTimeout(this.timer)
    this.mine = null
    this.over = null
    this.welcome = null
    this.wire?.close()
    this.wire = null
    this.others.clear()
  }

  private openReal(over: Transport, open: OpenWire, listener: Listener): void {
    this.wire = open({
      ...listener,
      opened: () => {
        this.over = over
        this.tell({ word: 'opened', to: '', over, welcome: null })
        listener.opened()
      },
      message: (message) => {
        if (message.type === 'welcome') this.welcome = message
        // A ping is answered here, for all.
        this.tell(message.type === 'ping' ? { word: 'heard' } : { word: 'message', message })
        listener.message(message)
      },
      heard: () => {
        this.tell({ word: 'heard' })
        listener.heard()
      },
      lost: (loss) => {
        this.tell({ word: 'lost', loss })
        this.drop()
        listener.lost(loss)
      },
    })
  }

  /** Tells all tabs, if we lead. */
  private tell(word: Word): void {
    if (this.leads) this.say(word)
  }

  private hear(word: Word): void {
    const { mine } = this
    if (mine === null || this.wire !== null) return
    const { listener } = mine
    switch (word.word) {
      case 'wait':
        if (word.to === this.id) clearTimeout(this.timer)
        break
      case 'opened':
        if (mine.told || (word.to !== this.id && word.to !== '')) break
        clearTimeout(this.timer)
        mine.told = true
        listener.opened(word.over)
        if (word.welcome !== null) listener.message(word.welcome)
        break
      case 'message':
        if (mine.told) listener.message(word.message)
        break
      case 'heard':
        listener.heard()
        break
      case 'leads':
      case 'lost':
        // Who still waits for the leader asks the new one.
        if (!mine.told) {
          if (word.word === 'leads') this.hello()
          break
        }
        this.drop()
        listener.lost(word.word === 'lost' ? word.loss : { code: 1006, reason: 'another tab has the connection now' })
        break
      case 'hello':
      case 'say':
    }
  }

  private hearAsLeader(word: Word): void {
    if (word.word === 'hello') {
      const { from: to } = word
      this.say(this.over === null ? { word: 'wait', to } : { word: 'opened', to, over: this.over, welcome: this.welcome })
    } else if (word.word === 'say') {
      const { from, message } = word
      if (message.type === 'hello' || message.type === 'pong') return
      this.subsOf(from)[message.type === 'unsubscribe' ? 'delete' : 'add'](message.sub)
      this.wire?.send(message)
    }
  }

  /** The subscriptions of another tab, which end when it goes. */
  private subsOf(id: string): Set<string> {
    let subs = this.others.get(id)
    if (subs === undefined) {
      const { wire } = this
      subs = new Set()
      this.others.set(id, subs)
      const mine = subs
      navigator.locks
        .request(this.lockOf(id), { signal: this.gone.signal }, () => {
          if (this.wire !== wire) return
          for (const sub of mine) wire?.send({ type: 'unsubscribe', sub })
          this.others.delete(id)
        })
        .catch(() => undefined)
    }
    return subs
  }
}
