import { describe, expect, test } from 'vitest'
import { decode } from '../client/decode'
import type { SubscriptionMessage } from '../client/index'
import { Store } from '../src/model/store'

function take(store: Store, ...frames: readonly unknown[]): void {
  for (const frame of frames) {
    const message = decode(JSON.stringify(frame))
    store.take(message as SubscriptionMessage)
  }
}

const begin = (store: Store, epoch: string, t: number, ids: readonly number[] = [1, 2]) => {
  take(
    store,
    { type: 'subscribed', sub: 'all', channel: 3, interval_ms: 1000, matched: 2 },
    {
      type: 'schema',
      channel: 3,
      families: { load: { type: 'gauge', help: 'Load.', unit: '' }, net: { type: 'counter', help: '', unit: '' } },
      series: [
        { id: ids[0], name: 'load', labels: {} },
        { id: ids[1], name: 'net', labels: { device: 'lo' } },
      ],
    },
    { type: 'snapshot', channel: 3, epoch, offset: 1, t, values: [[ids[0], 1], [ids[1], 2]] },
  )
}
const delta = (t: number, values: readonly unknown[], stale: readonly number[] = []) => ({ type: 'delta', channel: 3, offset: 2, prev: 1, t, values, stale })
const make = () => new Store(() => undefined, () => undefined)
const column = (store: Store, family: string) => {
  const key = store.families.get(family)?.series[0]?.key ?? -1
  return [...(store.columns.column(key)?.subarray(0, store.columns.length) ?? [])]
}

describe('the store', () => {
  test('a frame between two ticks makes no row of its own, and its values are in the next', () => {
    const store = make()
    begin(store, 'a', 1000)
    take(store, delta(1005, [[2, 3]]), delta(1400, [[1, 9]]), delta(2000, []), delta(2500, [[1, 8]]))
    expect(column(store, 'load')).toEqual([1, 9, 8])
    expect(column(store, 'net')).toEqual([2, 3, 3])
    expect([...store.columns.times.subarray(0, 3)]).toEqual([1000, 2000, 2500])
  })

  test('a value that did not change is the last one again', () => {
    const store = make()
    begin(store, 'a', 1000)
    take(store, delta(2000, [[1, 5]]), delta(3000, []))
    expect(column(store, 'load')).toEqual([1, 5, 5])
    expect(column(store, 'net')).toEqual([2, 2, 2])
  })

  test('a stale series has no value from then on, until it comes back', () => {
    const store = make()
    begin(store, 'a', 1000)
    const key = store.families.get('load')?.series[0]?.key ?? -1
    take(store, delta(2000, [], [1]), delta(3000, []))
    expect(store.stale(key)).toBe(2000)
    take(store, delta(4000, [[1, 7]]))
    expect(store.stale(key)).toBeNull()
    expect(column(store, 'load')).toEqual([1, NaN, NaN, 7])
  })

  test('a message in parts is one row, when it is complete', () => {
    const store = make()
    begin(store, 'a', 1000)
    take(store, { ...delta(2000, [[1, 5]]), part: 1, parts: 2 })
    expect(column(store, 'load')).toEqual([1])
    take(store, { ...delta(2000, [[2, 6]]), part: 2, parts: 2 })
    expect(column(store, 'load')).toEqual([1, 5])
    expect(column(store, 'net')).toEqual([2, 6])
  })

  test('a family that is told again has changed', () => {
    const store = make()
    begin(store, 'a', 1000)
    take(store, { type: 'schema', channel: 3, families: { load: { type: 'gauge', help: 'Anew.', unit: '' } }, series: [] })
    expect(store.families.get('load')).toMatchObject({ help: 'Anew.', series: [{ name: 'load' }] })
  })

  test('a time without frames is a gap, which is not bridged', () => {
    const store = make()
    begin(store, 'a', 1000)
    take(store, delta(9000, []))
    expect([...store.columns.times.subarray(0, store.columns.length)]).toEqual([1000, 1001, 9000])
    expect(column(store, 'load')).toEqual([1, NaN, 1])
  })

  test('the past of a query comes before its first frame, without a gap between', () => {
    const store = make()
    take(
      store,
      { type: 'subscribed', sub: 'q', channel: 3, interval_ms: 1000, matched: 1 },
      { type: 'schema', channel: 3, families: { load: { type: 'gauge', help: '', unit: '' } }, series: [{ id: 1, name: 'load', labels: {} }] },
      { type: 'history', channel: 3, from: 1000, until: 4000, points: [[1, [[1000, 5], [2000, null], [3000, 6]]], [9, [[1000, 1]]]] },
      { type: 'snapshot', channel: 3, epoch: 'a', offset: 1, t: 4000, values: [[1, 7]] },
    )
    expect(column(store, 'load')).toEqual([5, NaN, 6, 7])
    expect(store.gaps).toEqual([])
  })

  test('a gap says from when to when, and what was taken at a slower pace is one to be fetched', () => {
    const store = make()
    begin(store, 'a', 1000)
    take(store, delta(9000, []))
    expect(store.gaps).toEqual([{ from: 1000, to: 9000 }])
    take(store, delta(10_000, []), delta(11_000, []))
    store.coarse(9000)
    expect(store.gaps.at(-1)).toEqual({ from: 9000, to: 11_000 })
  })

  test('a restart of the server keeps the lines of the same series under new ids and says when it was', () => {
    const store = make()
    begin(store, 'a', 1000)
    begin(store, 'b', 2000, [8, 9])
    take(store, delta(3000, [[8, 4]]))
    expect(store.restarts).toEqual([2000])
    expect(column(store, 'load')).toEqual([1, 1, 4])
    expect(store.seriesCount).toBe(2)
  })

  test('series which the new epoch does not have are forgotten, with their families', () => {
    const store = make()
    begin(store, 'a', 1000)
    take(
      store,
      { type: 'subscribed', sub: 'all', channel: 3, interval_ms: 1000, matched: 1 },
      { type: 'schema', channel: 3, families: { load: { type: 'gauge' } }, series: [{ id: 1, name: 'load', labels: {} }] },
      { type: 'snapshot', channel: 3, epoch: 'b', offset: 1, t: 2000, values: [[1, 3]] },
    )
    expect([...store.families.keys()]).toEqual(['load'])
    expect(store.columns.size).toBe(1)
  })
})
