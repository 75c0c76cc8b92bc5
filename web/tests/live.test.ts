/**
 * The client as it is used, over a wire of the test: a WebSocket class that says what the test says. What the network
 * does to it is tested against the real server in `tests/web`.
 */
import { readFileSync } from 'node:fs'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { decode } from '../client/decode'
import { connect, RefusedError } from '../client/index'
import type { Live, Tick } from '../client/index'
import { keyOf, Model } from '../client/model'

interface Fixture {
  readonly direction: 'client' | 'server'
  readonly name: string
  readonly message: unknown
}
const FIXTURES = JSON.parse(readFileSync(new URL('../../docs/protocol/messages.json', import.meta.url), 'utf8')) as readonly Fixture[]
const fixture = (name: string): unknown => {
  const found = FIXTURES.find((one) => one.direction === 'server' && one.name === name)
  if (found === undefined) throw new Error(`no fixture ${name}`)
  return found.message
}

/** Stands where the browser's WebSocket stands; the last one made is `Line.last`. */
class Line {
  static last: Line
  readyState = 0
  readonly sent: Record<string, unknown>[] = []
  onopen: (() => void) | null = null
  onmessage: ((event: { data: string }) => void) | null = null
  onclose: ((event: { code: number; reason: string }) => void) | null = null

  constructor(readonly url: string) {
    Line.last = this
  }

  send(text: string): void {
    this.sent.push(JSON.parse(text) as Record<string, unknown>)
  }

  close(): void {
    this.readyState = 3
  }

  open(): void {
    this.readyState = 1
    this.onopen?.()
    this.say({ type: 'welcome', session: 's', epoch: 'e', server_time: 0, ping_ms: 25_000, seq: 0 })
  }

  say(message: unknown): void {
    this.onmessage?.({ data: JSON.stringify(message) })
  }

  /** Grants the subscription asked for last, on channel 1. */
  grant(): void {
    const { sub, id } = this.sent.findLast(({ type }) => type === 'subscribe' || type === 'update') ?? {}
    this.say({ type: 'subscribed', sub, id, channel: 1, interval_ms: 1000, matched: 2, recovered: false })
  }

  /** What `grant` begins with: `a` is 1 and `b{x="y"}` 2, at offset 1. */
  begin(): void {
    this.grant()
    const families = { a: { type: 'gauge', help: 'A.', unit: 'seconds' }, b: { type: 'counter', help: '', unit: '' } }
    this.say({ type: 'schema', channel: 1, families, series: [{ id: 1, name: 'a', labels: {} }, { id: 2, name: 'b', labels: { x: 'y' } }] })
    this.say({ type: 'snapshot', channel: 1, epoch: 'e', offset: 1, t: 1000, values: [[1, 1], [2, 2]] })
  }

  delta(offset: number, values: unknown, stale: readonly number[] = []): void {
    this.say({ type: 'delta', channel: 1, prev: offset - 1, offset, t: offset * 1000, values, stale })
  }
}

let live: Live
beforeEach(() => {
  vi.stubGlobal('WebSocket', Line)
  live = connect('http://host/prefix')
  Line.last.open()
})
afterEach(() => {
  live.close()
  vi.unstubAllGlobals()
})

test.each([
  ['http://host:1', 'ws://host:1/api/v1/stream/ws'],
  ['https://host/live/', 'wss://host/live/api/v1/stream/ws'],
  ['wss://host/live/api/v1/stream/ws', 'wss://host/live/api/v1/stream/ws'],
  ['http://host/api/v1/stream/sse?match[]=up#x', 'ws://host/api/v1/stream/ws'],
])('the address %s is followed at %s', (given, asked) => {
  connect(given).close()
  expect(Line.last.url).toBe(asked)
})

test('what is no address of a server is refused at once', () => {
  expect(() => connect('file:///tmp')).toThrow(TypeError)
  expect(() => connect('//')).toThrow(TypeError)
})

describe('a subscription', () => {
  test('has series with their names, labels, types and units', () => {
    const subscription = live.subscribe(['a', 'b'])
    Line.last.begin()
    expect(subscription.series.get('b{x="y"}')).toMatchObject({ name: 'b', labels: { x: 'y' }, family: 'b', type: 'counter', value: 2, time: 1000 })
    expect(subscription.series.get('a')).toMatchObject({ type: 'gauge', help: 'A.', unit: 'seconds', digits: null })
    expect(subscription.value('a')).toBe(1)
    expect(subscription.value('c')).toBeUndefined()
  })

  test('tells each change by its callback', () => {
    const ticks: Tick[] = []
    live.subscribe('a', (tick) => ticks.push(tick))
    Line.last.begin()
    Line.last.delta(2, [[1, 5]])
    Line.last.delta(3, [], [2])
    expect(ticks.map(({ offset, snapshot, changed, gone }) => [offset, snapshot, changed.map(({ key }) => key), gone.map(({ key }) => key)])).toEqual([
      [1, true, ['a', 'b{x="y"}'], []],
      [2, false, ['a'], []],
      [3, false, [], ['b{x="y"}']],
    ])
    expect([...(ticks[2]?.series.keys() ?? [])]).toEqual(['a'])
  })

  test('to a query asks for it, has keys without a name, and goes on by its channel', () => {
    const subscription = live.query('sum by (job) (rate(x[30s]))', { interval: '5s' })
    expect(Line.last.sent.at(-1)).toMatchObject({ type: 'subscribe', query: 'sum by (job) (rate(x[30s]))', interval: '5s' })
    expect(Line.last.sent.at(-1)).not.toHaveProperty('match')
    Line.last.grant()
    Line.last.say({ ...(fixture('schema of a query') as object), channel: 1 })
    Line.last.say({ type: 'snapshot', channel: 1, epoch: 'e', offset: 1, t: 1000, values: [[1, 12.5], [2, 0.25]] })
    expect(subscription.value('{job="api"}')).toBe(12.5)
    Line.last.delta(9, [[1, 13]])
    expect(Line.last.sent.at(-1)).toMatchObject({ type: 'update', resume: { epoch: 'e', offset: 1, channel: 1 } })
    subscription.update({ match: 'a' })
    expect(Line.last.sent.at(-1)).toMatchObject({ match: ['a'], interval: '5s' })
    expect(Line.last.sent.at(-1)).not.toHaveProperty('query')
  })

  test('with history has the past of its series in the first tick, and another of the channel has none', () => {
    const ticks: Tick[] = []
    live.subscribe('a', { history: '5m', derived: ['rate'] }, (tick) => ticks.push(tick))
    expect(Line.last.sent.at(-1)).toMatchObject({ match: ['a'], history: '5m', derived: ['rate'] })
    Line.last.grant()
    Line.last.say({ type: 'schema', channel: 1, families: {}, series: [{ id: 1, name: 'a', labels: {} }] })
    const past = { type: 'history', channel: 1, from: 1, until: 3000, points: [[1, [[1000, 7], [2000, null]]]] }
    Line.last.say(past)
    Line.last.say({ type: 'snapshot', channel: 1, epoch: 'e', offset: 1, t: 3000, values: [[1, 9]] })
    Line.last.say(past)
    Line.last.delta(2, [[1, 10]])
    const [first, second] = ticks
    expect([...(first?.history ?? [])].map(([series, { times, values }]) => [series.key, [...times], values])).toEqual([['a', [1000, 2000], [7, null]]])
    expect(second?.history.size).toBe(0)
  })

  test('read slowly gives what has changed since in one tick', async () => {
    const loop = live.subscribe('a')[Symbol.asyncIterator]()
    Line.last.begin()
    await loop.next()
    for (let offset = 2; offset < 1000; offset++) Line.last.delta(offset, [[1, offset]])
    Line.last.delta(1000, [], [2])
    const { value: tick } = await loop.next()
    expect(tick).toMatchObject({ offset: 1000, snapshot: false, changed: [{ key: 'a', value: 999 }], gone: [{ key: 'b{x="y"}' }] })
  })

  test('is given whole to a loop that begins later', async () => {
    const subscription = live.subscribe('a', () => undefined)
    Line.last.begin()
    Line.last.delta(2, [[1, 7]])
    const { value } = await subscription[Symbol.asyncIterator]().next()
    expect(value).toMatchObject({ offset: 2, snapshot: true, changed: [{ value: 7 }, { value: 2 }] })
  })

  test('left or aborted is ended at the server, once', async () => {
    const stop = new AbortController()
    const aborted = live.subscribe('a', { signal: stop.signal })
    const next = aborted[Symbol.asyncIterator]().next()
    stop.abort()
    expect((await next).done).toBe(true)
    await live.subscribe('b')[Symbol.asyncIterator]().return?.()
    expect(Line.last.sent.filter(({ type }) => type === 'unsubscribe')).toHaveLength(2)
    live.subscribe('c', { signal: stop.signal })
    expect(Line.last.sent.at(-1)).toMatchObject({ type: 'unsubscribe' })
  })

  test('that is refused says so to its loop, its onError, or the listeners of error', async () => {
    const refuse = () => {
      const { sub, id } = Line.last.sent.at(-1) ?? {}
      Line.last.say({ type: 'error', sub, id, code: 'bad_selector', message: 'column 3', column: 3, retryable: false })
    }
    const next = live.subscribe('a{')[Symbol.asyncIterator]().next()
    refuse()
    await expect(next).rejects.toMatchObject({ name: 'RefusedError', code: 'bad_selector', column: 3 })
    const onError = vi.fn()
    live.subscribe('a{', { onError })
    refuse()
    expect(onError).toHaveBeenCalledWith(expect.any(RefusedError))
    const heard = vi.fn()
    live.on('error', heard)
    live.subscribe('a{', () => undefined)
    refuse()
    expect(heard).toHaveBeenCalledWith(expect.any(RefusedError))
  })

  test('whose callback throws goes on, and the error is heard', () => {
    const heard = vi.fn()
    live.on('error', heard)
    const seen: number[] = []
    live.subscribe('a', ({ offset }) => {
      seen.push(offset)
      throw new Error('mine')
    })
    Line.last.begin()
    Line.last.delta(2, [])
    expect(seen).toEqual([1, 2])
    expect(heard).toHaveBeenCalledTimes(2)
  })

  test('begun anew with another epoch has the same objects under new numbers', () => {
    const subscription = live.subscribe('a')
    Line.last.begin()
    const before = subscription.series.get('a')
    subscription.update({})
    Line.last.grant()
    Line.last.say({ type: 'schema', channel: 1, families: { a: { type: 'gauge' } }, series: [{ id: 2, name: 'a', labels: {} }] })
    Line.last.say({ type: 'snapshot', channel: 1, epoch: 'f', offset: 1, t: 9000, values: [[2, 8]] })
    expect([...subscription.series.keys()]).toEqual(['a'])
    expect(subscription.series.get('a')).toBe(before)
    expect(before?.value).toBe(8)
  })
})

test('a frame that cannot be read ends the connection, and is heard', () => {
  const heard = vi.fn()
  live.on('error', heard)
  live.subscribe('a')
  Line.last.begin()
  const line = Line.last
  line.delta(2, [[1, 'much']])
  expect(heard).toHaveBeenCalledTimes(1)
  expect(line.readyState).toBe(3)
  expect(live.state.phase).toBe('recovering')
})

test('closed, it is silent: no timer, no socket, no listener called', () => {
  vi.useFakeTimers()
  const other = connect('http://host')
  other.close()
  expect(vi.getTimerCount()).toBe(0)
  expect(Line.last.readyState).toBe(3)
  vi.useRealTimers()
})

describe('numbers', () => {
  const model = new Model()
  const take = (...messages: readonly unknown[]) => {
    for (const message of messages) {
      const decoded = decode(JSON.stringify(message))
      if (decoded?.type === 'schema' || decoded?.type === 'snapshot' || decoded?.type === 'delta') model.apply([decoded])
    }
  }

  test('of the examples of the protocol are what they say', () => {
    for (const name of ['schema', 'snapshot', 'delta', 'schema of a new series', 'delta with stale', 'delta without changes']) take(fixture(name))
    expect([...model.series.values()].map(({ key, value, time }) => [key, value, time])).toEqual([
      ['node_cpu_seconds_total{cpu="0",mode="user"}', 1235.25, 1700000001500],
      ['node_load1', NaN, 1700000002000],
      ['node_cpu_seconds_total{cpu="0",mode="system"}', 0.5, 1700000003000],
    ])
    expect(model.offset).toBe(5)
  })

  test('that JSON has not are themselves, and whole ones beyond 2⁵³ keep their digits', () => {
    const text = '{"type":"snapshot","channel":1,"epoch":"e","offset":9,"t":0,"values":[[4,"18446744073709551615"],[2,"-Inf"],[1,-0]]}'
    const decoded = decode(text)
    if (decoded?.type !== 'snapshot') throw new Error('a snapshot')
    model.apply([decoded])
    const [exact, infinite, zero] = [...model.series.values()]
    expect([exact?.digits, exact?.value]).toEqual(['18446744073709551615', 2 ** 64])
    expect([infinite?.value, zero?.value]).toEqual([-Infinity, -0])
  })
})

test('a key has its labels in order and escaped', () => {
  expect(keyOf('up', {})).toBe('up')
  expect(keyOf('a', { z: '1', b: 'x"y\\z\n' })).toBe('a{b="x\\"y\\\\z\\n",z="1"}')
})
