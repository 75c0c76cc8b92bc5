import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { decode, DecodeError } from '../client/decode'

const frame = (value: unknown) => decode(JSON.stringify(value))
/** The place a refused frame is refused at. */
const refusedAt = (value: unknown): string => {
  try {
    frame(value)
  } catch (error) {
    if (error instanceof DecodeError) return error.path
    throw error
  }
  return 'not refused'
}

/** One of the messages that define the protocol, which the server's tests read too. */
interface Fixture {
  readonly direction: 'client' | 'server'
  readonly name: string
  readonly message: unknown
}

test('every server message of docs/protocol is decoded', () => {
  const path = new URL('../../docs/protocol/messages.json', import.meta.url)
  const fixtures = JSON.parse(readFileSync(path, 'utf8')) as readonly Fixture[]
  const server = fixtures.filter((fixture) => fixture.direction === 'server')
  expect(server.length).toBeGreaterThan(10)
  for (const { name, message } of server) expect(frame(message), name).not.toBeNull()
})

describe('decode', () => {
  test('a welcome gives session, epoch and the server\'s time', () => {
    expect(frame({ type: 'welcome', session: 's1', epoch: '7f3a', server_time: 5, ping_ms: 25000, limits: {}, features: [] })).toEqual({
      type: 'welcome',
      session: 's1',
      epoch: '7f3a',
      serverTime: 5,
      pingMs: 25000,
      version: '',
      seq: 0,
    })
  })

  test('values become two arrays, and the strings become the numbers JSON has not', () => {
    const delta = frame({ type: 'delta', channel: 3, offset: 840, prev: 812, t: 100, values: [[17, 0.25], [18, 'NaN'], [19, '+Inf'], [20, '-Inf', 99]], stale: [21] })
    if (delta?.type !== 'delta') throw new Error('a delta')
    expect([...delta.samples.ids]).toEqual([17, 18, 19, 20])
    expect([...delta.samples.values]).toEqual([0.25, NaN, Infinity, -Infinity])
    expect([...delta.stale]).toEqual([21])
    expect([delta.prev, delta.offset]).toEqual([812, 840])
  })

  test('past points are times and values by series, and null is where one had ended', () => {
    const past = frame({ type: 'history', channel: 4, from: 1, until: 9, points: [[7, [[1, 0.5], [2, 'NaN'], [3, null]]], [8, []]] })
    if (past?.type !== 'history') throw new Error('a history')
    expect([...(past.points.get(7)?.times ?? [])]).toEqual([1, 2, 3])
    expect(past.points.get(7)?.values).toEqual([0.5, NaN, null])
    expect(past.points.get(8)?.values).toEqual([])
    expect(refusedAt({ type: 'history', channel: 4, points: [[7, [[1]]]] })).toBe('points[0][1]')
  })

  test('a delta without stale series need not name them', () => {
    const delta = frame({ type: 'delta', channel: 3, offset: 2, prev: 1, t: 100, values: [] })
    expect(delta?.type === 'delta' && delta.stale.length).toBe(0)
  })

  test('a schema names family, type and unit, and a series without family is its own', () => {
    const schema = frame({
      type: 'schema',
      channel: 3,
      families: { x_seconds: { type: 'histogram', help: 'h', unit: 'seconds' }, odd: { type: 'hologram', help: '' } },
      series: [
        { id: 1, name: 'x_seconds_bucket', labels: { le: '1' }, family: 'x_seconds' },
        { id: 2, name: 'up', labels: {} },
      ],
    })
    if (schema?.type !== 'schema') throw new Error('a schema')
    expect(schema.families.get('x_seconds')).toEqual({ type: 'histogram', help: 'h', unit: 'seconds' })
    expect(schema.families.get('odd')?.type).toBe('unknown')
    expect(schema.series.map((one) => one.family)).toEqual(['x_seconds', 'up'])
  })

  test('a type of a later protocol is passed over', () => {
    expect(frame({ type: 'hologram', x: 1 })).toBeNull()
  })

  test('a wrong frame is refused with its place', () => {
    expect(refusedAt([])).toBe('frame')
    expect(refusedAt({ type: 7 })).toBe('type')
    expect(refusedAt({ type: 'delta', channel: 3, offset: 2, prev: 1, t: 0, values: [[1, 2], [1]] })).toBe('values[1]')
    expect(refusedAt({ type: 'delta', channel: 3, offset: 2, prev: 1, t: 0, values: [[1, 'much']] })).toBe('values[0][1]')
    expect(refusedAt({ type: 'delta', channel: 3, offset: -1, prev: 1, t: 0, values: [] })).toBe('offset')
    expect(refusedAt({ type: 'schema', channel: 3, families: {}, series: [{ id: 1, name: 'a', labels: { b: 2 } }] })).toBe('series[0].labels.b')
    expect(() => decode('{')).toThrow(DecodeError)
  })

  test('a label called __proto__ is a label', () => {
    const schema = decode('{"type":"schema","channel":1,"families":{},"series":[{"id":1,"name":"a","labels":{"__proto__":"x"}}]}')
    if (schema?.type !== 'schema') throw new Error('a schema')
    expect(Object.entries(schema.series[0]?.labels ?? {})).toEqual([['__proto__', 'x']])
  })
})
