import { describe, expect, test } from 'vitest'
import { backoff, LONGEST_MS, SHORTEST_MS } from '../client/backoff'
import { FALLBACK_MS, Machine, OFFLINE_AFTER_MS, OPEN_TIMEOUT_MS, SILENCE_MS } from '../client/machine'
import type { Effect, Event } from '../client/machine'
import type { ClientMessage, ServerMessage } from '../client/message'
import type { Transport } from '../client/wire'

const SELECTION = { match: ['node_load1'] }
const EMPTY = { ids: new Uint32Array(), values: new Float64Array() }

/** Feeds a machine, keeps what it wants done, holds the clock. */
class Driver {
  readonly machine: Machine
  now = 0
  effects: readonly Effect[] = []

  constructor(transports: readonly Transport[] = ['websocket', 'sse']) {
    this.machine = new Machine({ name: 'test', transports })
    this.feed({ type: 'start' }).feed({ type: 'subscribe', sub: 'a', selection: SELECTION })
    this.effects = []
  }

  feed(event: Event, random = 1): this {
    this.effects = this.machine.feed(event, this.now, random)
    return this
  }

  hear(message: ServerMessage): this {
    return this.feed({ type: 'message', message })
  }

  wait(ms: number): this {
    this.now += ms
    return this.feed({ type: 'wake' })
  }

  /** Goes to when the machine wants to be woken. */
  next(): this {
    return this.wait(Math.max(0, this.machine.wakeAt() - this.now))
  }

  /** Waits for the next attempt. */
  reopen(): this {
    do this.next()
    while (!this.wanted.some((one) => one.startsWith('open')))
    return this
  }

  lose(code = 1006, reason = ''): this {
    return this.feed({ type: 'lost', code, reason })
  }

  greeted(): this {
    return this.feed({ type: 'opened' }).hear(welcome())
  }

  /** Connected, with a snapshot of `a` at offset 10. */
  live(offset = 10): this {
    this.feed({ type: 'opened' })
    const { id } = this.asked()
    return this.hear(welcome()).hear(subscribed(id)).hear(snapshot(offset))
  }

  get state() {
    return this.machine.state
  }

  get sent(): readonly ClientMessage[] {
    return this.effects.flatMap((effect) => (effect.type === 'send' ? [effect.message] : []))
  }

  /** What was asked for in the last step. */
  asked(): Extract<ClientMessage, { type: 'subscribe' | 'update' }> {
    const [message] = this.sent.filter((one) => one.type === 'subscribe' || one.type === 'update')
    if (message?.type !== 'subscribe' && message?.type !== 'update') throw new Error('nothing was asked for')
    return message
  }

  get wanted(): readonly string[] {
    return this.effects.map((effect) => {
      if (effect.type === 'send') return `send ${effect.message.type}`
      return effect.type === 'open' ? `open ${effect.transport}` : effect.type
    })
  }
}

const welcome = (): ServerMessage => ({ type: 'welcome', session: 's', epoch: 'e', serverTime: 0, pingMs: 25_000, version: '', seq: 0 })
const subscribed = (id: number, recovered = false, channel = 3): ServerMessage => ({ type: 'subscribed', sub: 'a', id, channel, intervalMs: 1000, matched: 2, recovered, truncated: false, reason: '' })
const snapshot = (offset: number, part = 1, parts = 1): ServerMessage => ({ type: 'snapshot', channel: 3, epoch: 'e', offset, time: 0, samples: EMPTY, part, parts })
const delta = (prev: number, offset: number, part = 1, parts = 1): ServerMessage => ({ type: 'delta', channel: 3, prev, offset, time: 0, samples: EMPTY, stale: new Uint32Array(), part, parts })
const bye = (reconnect: boolean, retryAfterMs: number | null = null): ServerMessage => ({ type: 'bye', code: '1001', reason: 'going_away', reconnect, retryAfterMs })
const refused = (id: number, code: string, retryable = false): ServerMessage => ({ type: 'error', code, message: 'm', sub: 'a', id, column: 3, retryable })
const event = (seq: number | null, kind = 'hologram'): ServerMessage => ({ type: 'event', seq, kind, time: 0, body: { x: 1 } })

describe('a connection', () => {
  test('opens, subscribes without waiting for the welcome, and is live with the snapshot', () => {
    const driver = new Driver()
    expect(driver.feed({ type: 'opened' }).wanted).toEqual(['send hello', 'send subscribe'])
    const { id } = driver.asked()
    expect(driver.hear(welcome()).wanted).toEqual(['tell'])
    expect(driver.hear(subscribed(id)).state.phase).toBe('connecting')
    expect(driver.hear(snapshot(10)).wanted).toEqual(['deliver'])
    expect(driver.state).toMatchObject({ phase: 'live', transport: 'websocket', lostAt: null })
  })

  test('without subscriptions is live when it is greeted', () => {
    const driver = new Driver().feed({ type: 'unsubscribe', sub: 'a' })
    expect(driver.greeted().state.phase).toBe('live')
  })

  test('lost, it is offline after two seconds and not before', () => {
    const driver = new Driver().live().lose()
    expect(driver.state).toMatchObject({ phase: 'recovering', retryAt: 500 })
    expect(driver.wait(OFFLINE_AFTER_MS - 1).state.phase).toBe('recovering')
    expect(driver.wait(1).state.phase).toBe('offline')
  })

  test('is tried again when the wait is over, and goes on from epoch and offset', () => {
    const driver = new Driver().live().hear(delta(10, 12)).lose()
    expect(driver.wait(499).wanted).toEqual([])
    expect(driver.wait(1).wanted).toEqual(['open websocket'])
    driver.feed({ type: 'opened' })
    expect(driver.asked()).toMatchObject({ type: 'subscribe', sub: 'a', resume: { epoch: 'e', offset: 12 } })
    const { id } = driver.asked()
    driver.hear(welcome()).hear(subscribed(id, true))
    expect(driver.hear(delta(12, 40)).wanted).toEqual(['deliver'])
    expect(driver.state).toMatchObject({ phase: 'live', attempt: 0, lostAt: null })
  })

  test('waits longer after each failure, and "try now" tries now', () => {
    const driver = new Driver(['websocket'])
    const waits: number[] = []
    for (let i = 0; i < 8; i++) {
      driver.lose()
      waits.push((driver.state.retryAt ?? NaN) - driver.now)
      driver.wait(waits.at(-1) ?? 0)
    }
    expect(waits).toEqual([500, 1000, 2000, 4000, 8000, 16000, 20000, 20000])
    expect(driver.lose().feed({ type: 'retry' }).wanted).toEqual(['open websocket'])
  })

  test('that is greeted and lost at once does not begin its waits anew', () => {
    const driver = new Driver(['websocket'])
    for (let i = 0; i < 4; i++) driver.greeted().lose().reopen()
    expect(driver.state.attempt).toBe(4)
  })

  test('on which nothing comes is lost', () => {
    const driver = new Driver().live()
    expect(driver.wait(SILENCE_MS - 1).wanted).toEqual(['late'])
    expect(driver.wait(1).wanted).toEqual(['drop'])
    expect(driver.state).toMatchObject({ phase: 'recovering', reason: 'silence' })
  })

  test('with a slow subscription is not taken for silent before the server would ping', () => {
    const driver = new Driver()
    driver.feed({ type: 'opened' })
    const { id } = driver.asked()
    driver.hear(welcome()).hear({ ...subscribed(id), intervalMs: 60_000 } as ServerMessage).hear(snapshot(10))
    expect(driver.wait(25_000 + SILENCE_MS - 1).wanted).toEqual([])
    expect(driver.wait(1).wanted).toEqual(['drop'])
  })

  test('that is never greeted is given up', () => {
    const driver = new Driver(['websocket']).feed({ type: 'opened' })
    expect(driver.wait(OPEN_TIMEOUT_MS).wanted).toContain('drop')
    expect(driver.state).toMatchObject({ phase: 'offline', reason: 'no answer' })
  })

  test('answers pings', () => {
    expect(new Driver().live().hear({ type: 'ping', serverTime: 1 }).wanted).toEqual(['send pong'])
  })

  test('comes back no sooner than the bye says, or not at all', () => {
    const driver = new Driver().live().hear(bye(true, 3000))
    expect(driver.wanted).toEqual(['tell', 'drop'])
    expect(driver.state.retryAt).toBe(3500)
    const ended = new Driver().live().hear(bye(false))
    expect(ended.state).toMatchObject({ phase: 'closed', reason: 'going_away' })
    expect(ended.machine.wakeAt()).toBe(Infinity)
    expect(ended.wait(60_000).wanted).toEqual([])
    expect(ended.feed({ type: 'retry' }).wanted).toEqual(['open websocket'])
  })

  test('advice to stay away for a year is followed for ten minutes', () => {
    expect(new Driver().live().hear(bye(true, 3e10)).state.retryAt).toBe(600_500)
  })

  test.each([1002, 1003, 1007, 1008, 1009, 4400, 4401, 4403, 4410, 4413, 4426])('closed with %i is closed for good', (code) => {
    expect(new Driver().live().lose(code, 'why').state).toMatchObject({ phase: 'closed', reason: 'why', retryAt: null })
  })

  test.each([1000, 1001, 1006, 1011, 4408, 4409, 4429, 4503])('closed with %i is tried again', (code) => {
    expect(new Driver().live().lose(code).state.retryAt).not.toBeNull()
  })

  test('stopped is dropped and never tried again', () => {
    const driver = new Driver().live().feed({ type: 'stop' })
    expect(driver.wanted).toEqual(['drop'])
    expect(driver.wait(60_000).wanted).toEqual([])
  })
})

describe('the transport', () => {
  test('is server-sent events at once where a WebSocket cannot be opened, and stays that while it lasts', () => {
    const driver = new Driver()
    expect(driver.lose().wanted).toEqual(['open sse'])
    driver.live().wait(OFFLINE_AFTER_MS)
    expect(driver.lose().next().wanted).toEqual(['open sse'])
  })

  test('is a WebSocket again at the first loss ten minutes after the fallback', () => {
    const driver = new Driver().lose().live()
    driver.now += FALLBACK_MS
    driver.hear(delta(10, 11))
    expect(driver.lose().next().wanted).toEqual(['open websocket'])
  })

  test('falls back also where a WebSocket opens and nothing comes through', () => {
    const driver = new Driver().feed({ type: 'opened' }).wait(OPEN_TIMEOUT_MS)
    expect(driver.wanted.slice(0, 2)).toEqual(['drop', 'open sse'])
  })

  test('is a WebSocket again after the wait where neither gets through', () => {
    const driver = new Driver().lose().lose()
    expect(driver.wanted).toEqual([])
    expect(driver.next().wanted).toEqual(['open websocket'])
    expect(driver.lose().wanted).toEqual(['open sse'])
  })

  test('is not changed for one failure of a WebSocket that has worked, but for three in a row', () => {
    const driver = new Driver().live().lose().reopen()
    expect(driver.lose().wanted).toEqual([])
    expect(driver.reopen().lose().wanted).toEqual([])
    expect(driver.reopen().lose().wanted).toEqual(['open sse'])
  })

  test('that was chosen by name is kept to', () => {
    const driver = new Driver(['sse'])
    expect(driver.lose().wanted).toEqual([])
    expect(driver.next().wanted).toEqual(['open sse'])
  })

  test('over plain HTTP silence is no loss while nothing is subscribed to', () => {
    const driver = new Driver(['sse']).live().feed({ type: 'unsubscribe', sub: 'a' })
    expect(driver.machine.wakeAt()).toBe(Infinity)
    driver.now += 3_600_000
    expect(driver.feed({ type: 'subscribe', sub: 'b', selection: SELECTION }).wanted).toEqual(['send subscribe'])
    expect(driver.wait(0).wanted).toEqual([])
  })
})

describe('a subscription', () => {
  test('with a gap shows nothing of it and goes on from where it was', () => {
    const driver = new Driver().live()
    expect(driver.hear(delta(11, 12)).wanted).toEqual(['send update'])
    expect(driver.asked()).toMatchObject({ sub: 'a', resume: { epoch: 'e', offset: 10 } })
    const { id } = driver.asked()
    expect(driver.hear(delta(12, 13)).wanted).toEqual([])
    expect(driver.hear(subscribed(id, true, 3)).wanted).toEqual([])
    expect(driver.hear(delta(10, 13)).wanted).toEqual(['deliver'])
  })

  test('whose gaps do not end is made anew over another connection', () => {
    const driver = new Driver().live()
    for (let i = 0; i < 3; i++) {
      driver.hear(delta(99, 100))
      driver.hear(subscribed(driver.asked().id, true))
    }
    expect(driver.hear(delta(99, 100)).wanted).toEqual(['drop'])
    expect(driver.next().feed({ type: 'opened' }).asked()).not.toHaveProperty('resume')
  })

  test('passes over a snapshot of the tick that it has, which is for another of its channel', () => {
    const driver = new Driver().live()
    expect(driver.hear(snapshot(10, 1, 2)).hear(snapshot(10, 2, 2)).wanted).toEqual([])
    expect(driver.hear(snapshot(11)).wanted).toEqual(['deliver'])
  })

  test('takes a delta from before its offset, as another subscription of the channel may cause', () => {
    const driver = new Driver().live()
    expect(driver.hear(delta(7, 11)).wanted).toEqual(['deliver'])
    expect(driver.hear(delta(7, 10)).wanted).toEqual([])
    expect(driver.hear(delta(11, 12)).wanted).toEqual(['deliver'])
  })

  test('gets a message in parts whole, and a part that is missing is a gap', () => {
    const driver = new Driver().live()
    expect(driver.hear(delta(10, 11, 1, 2)).wanted).toEqual([])
    expect(driver.hear(delta(10, 11, 2, 2)).effects).toMatchObject([{ type: 'deliver', messages: [{ part: 1 }, { part: 2 }] }])
    expect(driver.hear(delta(11, 12, 1, 3)).wanted).toEqual([])
    expect(driver.hear(delta(11, 12, 3, 3)).wanted).toEqual(['send update'])
    expect(driver.asked().resume).toEqual({ epoch: 'e', offset: 11 })
  })

  test('cut within a snapshot goes on from before it', () => {
    const driver = new Driver().live().hear(snapshot(20, 1, 2)).lose()
    expect(driver.next().feed({ type: 'opened' }).asked().resume).toEqual({ epoch: 'e', offset: 10 })
  })

  test('refused for good is over, refused for now is asked for again', () => {
    const driver = new Driver().feed({ type: 'opened' })
    const { id } = driver.asked()
    driver.hear(welcome()).hear(refused(id, 'internal', true))
    expect(driver.wait(999).wanted).toEqual([])
    expect(driver.wait(1).wanted).toEqual(['send subscribe'])
    expect(driver.hear(refused(driver.asked().id, 'bad_selector')).effects).toMatchObject([{ type: 'refused', ended: true, error: { column: 3 } }])
    expect(driver.state.phase).toBe('live')
  })

  test('one of many that the server would not read for their number is asked for again', () => {
    const driver = new Driver().feed({ type: 'opened' }).hear(welcome())
    driver.hear({ type: 'error', code: 'rate_limited', message: 'm', sub: null, id: null, column: null, retryable: true })
    expect(driver.wait(1000).wanted).toEqual(['send subscribe'])
  })

  test('updated begins anew with the new selection, and what still comes of the old is left out', () => {
    const driver = new Driver().live().feed({ type: 'update', sub: 'a', selection: { match: ['up'] } })
    expect(driver.asked()).toMatchObject({ type: 'update', sub: 'a', match: ['up'] })
    expect(driver.asked()).not.toHaveProperty('resume')
    const { id } = driver.asked()
    expect(driver.hear(delta(10, 11)).wanted).toEqual([])
    expect(driver.hear(subscribed(id, false, 4)).hear({ ...snapshot(11), channel: 4 } as ServerMessage).wanted).toEqual(['deliver'])
  })

  test('whose update is refused goes on as before', () => {
    const driver = new Driver().live().feed({ type: 'update', sub: 'a', selection: { match: ['{'] } })
    driver.hear(refused(driver.asked().id, 'bad_selector'))
    expect(driver.effects).toMatchObject([{ type: 'send', message: { type: 'update', match: ['node_load1'] } }, { type: 'refused', ended: false }])
  })

  test('is late when nothing came for three intervals and a second, and not any more with the next frame', () => {
    const driver = new Driver().live()
    expect(driver.wait(3999).wanted).toEqual([])
    expect(driver.wait(1).effects).toEqual([{ type: 'late', sub: 'a', late: true }])
    expect(driver.hear(delta(10, 11)).effects).toMatchObject([{ type: 'late', late: false }, { type: 'deliver' }])
  })

  test('ended hears no more', () => {
    const driver = new Driver().live()
    expect(driver.feed({ type: 'unsubscribe', sub: 'a' }).sent).toEqual([{ type: 'unsubscribe', sub: 'a' }])
    expect(driver.hear(delta(10, 11)).wanted).toEqual([])
  })
})

describe('events', () => {
  test('of an unknown kind are told, and those that come again are not', () => {
    const driver = new Driver().live()
    expect(driver.hear(event(1)).effects).toEqual([{ type: 'tell', message: event(1) }])
    driver.lose().next().live()
    expect(driver.hear(event(1)).wanted).toEqual([])
    expect(driver.hear(event(2)).wanted).toEqual(['tell'])
  })

  test('go on after the last one had, which the first hello says', () => {
    const hello = (driver: Driver) => driver.sent.find(({ type }) => type === 'hello')
    const driver = new Driver().feed({ type: 'opened' })
    expect(hello(driver)).toEqual({ type: 'hello', client: 'test' })
    driver.hear({ ...welcome(), seq: 7 } as ServerMessage).lose().reopen().feed({ type: 'opened' })
    expect(hello(driver)).toMatchObject({ resume: { epoch: 'e', seq: 7 } })
    driver.hear(welcome()).hear(event(8)).lose().reopen().feed({ type: 'opened' })
    expect(hello(driver)).toMatchObject({ resume: { epoch: 'e', seq: 8 } })
  })

  test('that say anew what holds are told whatever their number, and readings have none', () => {
    const driver = new Driver().live().hear(event(9))
    expect(driver.hear(event(9, 'resync')).wanted).toEqual(['tell'])
    expect(driver.hear(event(null, 'performance')).wanted).toEqual(['tell'])
    expect(driver.hear(event(9)).wanted).toEqual([])
    expect(driver.hear(event(10)).wanted).toEqual(['tell'])
  })
})

test('a wait is within its bounds for every attempt and every throw of the dice', () => {
  for (let attempt = 0; attempt < 2000; attempt++) {
    for (const random of [0, 0.25, 0.5, 0.999]) {
      const wait = backoff(attempt, random)
      expect(wait).toBeGreaterThanOrEqual(SHORTEST_MS)
      expect(wait).toBeLessThanOrEqual(LONGEST_MS)
    }
  }
})
