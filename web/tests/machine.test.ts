import { describe, expect, test } from 'vitest'
import { backoff, INITIAL, OFFLINE_AFTER_MS, SILENCE_MS, step } from '../client'
import type { Effect, Event, ServerMessage, State } from '../client'
import { LONGEST_MS, SHORTEST_MS } from '../client/backoff'

const SUBSCRIPTION = { match: ['{__name__!=""}'], interval: '1s' }
const EMPTY = { ids: new Uint32Array(), values: new Float64Array() }

/** Feeds a machine, keeps what it wants done, holds the clock. */
class Driver {
  state: State = INITIAL
  now = 0
  effects: readonly Effect[] = []

  feed(event: Event, random = 1): this {
    const after = step(this.state, event, SUBSCRIPTION, this.now, random)
    this.state = after.state
    this.effects = after.effects
    return this
  }

  hear(message: ServerMessage): this {
    return this.feed({ type: 'message', message })
  }

  wait(ms: number): this {
    this.now += ms
    return this.feed({ type: 'tick' })
  }

  live(channel = 3, offset = 10): this {
    return this.feed({ type: 'opened' }).hear(subscribed('all', channel)).hear(snapshot(channel, offset))
  }

  get wanted(): readonly string[] {
    return this.effects.map((effect) => (effect.type === 'send' ? `send ${effect.message.type}` : effect.type))
  }
}

const subscribed = (sub: string, channel: number): ServerMessage => ({ type: 'subscribed', sub, channel, intervalMs: 1000, matched: 2, recovered: false, truncated: false })
const snapshot = (channel: number, offset: number): ServerMessage => ({ type: 'snapshot', channel, epoch: 'e', offset, time: 0, samples: EMPTY, part: 1, parts: 1 })
const delta = (channel: number, prev: number, offset: number, part = 1, parts = 1): ServerMessage => ({ type: 'delta', channel, prev, offset, time: 0, samples: EMPTY, stale: new Uint32Array(), part, parts })
const lost: Event = { type: 'lost', code: 1006, reason: '' }

describe('the connection', () => {
  test('opens, subscribes and is live with the snapshot', () => {
    const driver = new Driver().feed({ type: 'start' })
    expect(driver.wanted).toEqual(['open'])
    expect(driver.feed({ type: 'opened' }).wanted).toEqual(['send subscribe'])
    driver.hear(subscribed('all', 3))
    expect(driver.state.phase).toBe('connecting')
    expect(driver.hear(snapshot(3, 10)).state).toMatchObject({ phase: 'live', offset: 10, lostAt: null })
  })

  test('delivers deltas in sequence and keeps their offset', () => {
    const driver = new Driver().feed({ type: 'start' }).live()
    expect(driver.hear(delta(3, 10, 11)).wanted).toEqual(['deliver'])
    expect(driver.state.offset).toBe(11)
  })

  test('a gap is not shown: it subscribes anew, and frames of the old channel are left out', () => {
    const driver = new Driver().feed({ type: 'start' }).live()
    expect(driver.hear(delta(3, 11, 12)).wanted).toEqual(['send unsubscribe', 'send subscribe'])
    expect(driver.hear(delta(3, 12, 13)).wanted).toEqual([])
    expect(driver.hear(subscribed('all', 3)).wanted).toEqual([])
    driver.hear(subscribed('all.2', 4)).hear(snapshot(4, 20))
    expect(driver.hear(delta(4, 20, 21)).wanted).toEqual(['deliver'])
    expect(driver.state.phase).toBe('live')
  })

  test('the parts of a long delta are one step, and a part that is missing is a gap', () => {
    const driver = new Driver().feed({ type: 'start' }).live()
    for (const part of [1, 2, 3]) expect(driver.hear(delta(3, 10, 11, part, 3)).wanted).toEqual(['deliver'])
    expect(driver.hear(delta(3, 11, 12, 1, 3)).wanted).toEqual(['deliver'])
    expect(driver.hear(delta(3, 11, 12, 3, 3)).wanted).toEqual(['send unsubscribe', 'send subscribe'])
  })

  test('a loss is offline after two seconds and not before', () => {
    const driver = new Driver().feed({ type: 'start' }).live()
    driver.feed(lost)
    expect(driver.state).toMatchObject({ phase: 'recovering', retryAt: 500 })
    driver.wait(OFFLINE_AFTER_MS - 1)
    expect(driver.state.phase).toBe('recovering')
    driver.wait(1)
    expect(driver.state.phase).toBe('offline')
  })

  test('it is tried again when the wait is over, and live again without being told of the outage', () => {
    const driver = new Driver().feed({ type: 'start' }).live()
    driver.feed(lost)
    expect(driver.wait(499).wanted).toEqual([])
    expect(driver.wait(1).wanted).toEqual(['open'])
    expect(driver.live().state).toMatchObject({ phase: 'live', attempt: 0, lostAt: null })
  })

  test('waits grow with each failure, and "try now" tries now', () => {
    const driver = new Driver().feed({ type: 'start' })
    const waits: number[] = []
    for (let i = 0; i < 8; i++) {
      driver.feed(lost)
      waits.push((driver.state.retryAt ?? NaN) - driver.now)
      driver.wait(waits.at(-1) ?? 0)
    }
    expect(waits).toEqual([500, 1000, 2000, 4000, 8000, 16000, 20000, 20000])
    driver.feed(lost)
    expect(driver.feed({ type: 'retry' }).wanted).toEqual(['open'])
  })

  test('silence of a socket that is still open is a loss', () => {
    const driver = new Driver().feed({ type: 'start' }).live()
    expect(driver.wait(SILENCE_MS - 1).wanted).toEqual([])
    expect(driver.wait(1).wanted).toEqual(['drop'])
    expect(driver.state).toMatchObject({ phase: 'recovering', socket: 'none', reason: 'silence' })
  })

  test('a handshake without an answer is given up', () => {
    const driver = new Driver().feed({ type: 'start' })
    expect(driver.wait(10_000).wanted).toEqual(['drop'])
    expect(driver.state.phase).toBe('offline')
  })

  test('a ping is answered', () => {
    const driver = new Driver().feed({ type: 'start' }).live()
    expect(driver.hear({ type: 'ping', serverTime: 1 }).wanted).toEqual(['send pong'])
  })

  test('a bye says when to come back, or that it is of no use', () => {
    const bye = (reconnect: boolean): ServerMessage => ({ type: 'bye', code: 'shutdown', reason: 'restart', reconnect, retryAfterMs: 3000 })
    const driver = new Driver().feed({ type: 'start' }).live()
    driver.hear(bye(true)).feed(lost)
    expect(driver.state.retryAt).toBe(3000)
    const ended = new Driver().feed({ type: 'start' }).live().hear(bye(false))
    expect(ended.state).toMatchObject({ phase: 'closed', reason: 'restart' })
    expect(ended.wait(60_000).wanted).toEqual([])
    expect(ended.feed({ type: 'retry' }).wanted).toEqual(['open'])
  })

  test('a close code that would come again ends it', () => {
    const driver = new Driver().feed({ type: 'start' }).live()
    driver.feed({ type: 'lost', code: 4401, reason: 'unauthorized' })
    expect(driver.state).toMatchObject({ phase: 'closed', reason: 'unauthorized' })
  })
})

describe('backoff', () => {
  test('is within its bounds for every attempt and every throw of the dice', () => {
    for (let attempt = 0; attempt < 2000; attempt++) {
      for (const random of [0, 0.25, 0.5, 0.999]) {
        const wait = backoff(attempt, random)
        expect(wait).toBeGreaterThanOrEqual(SHORTEST_MS)
        expect(wait).toBeLessThanOrEqual(LONGEST_MS)
      }
    }
  })
})
