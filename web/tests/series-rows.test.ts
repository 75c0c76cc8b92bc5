import { describe, expect, test } from 'vitest'
import type { MetricType } from '../client/index'
import { judgedOf, readComparison } from '../src/model/baseline-rows'
import { Columns } from '../src/model/columns'
import { ordered, shapeOf, statsOf } from '../src/model/series-rows'
import type { Row } from '../src/model/series-rows'
import type { FamilyInfo } from '../src/model/store'

/** A family and its columns, from the values of each series, a second apart. */
function made(type: MetricType, name: string, series: readonly (readonly [suffix: string, labels: Record<string, string>, values: readonly number[]])[]) {
  const family: FamilyInfo = { name, type, help: '', unit: '', series: [] }
  const columns = new Columns()
  series.forEach(([suffix, labels], key) => {
    family.series.push({ key, name: name + suffix, labels, family })
    columns.add(key)
  })
  const length = series[0]?.[2].length ?? 0
  for (let i = 0; i < length; i++) columns.push((i + 1) * 1000, (key) => series[key]?.[2][i] ?? NaN)
  const value = (key: number) => series[key]?.[2].at(-1) ?? NaN
  const stats = (by: string) => {
    const shape = shapeOf(family, by, value)
    return { shape, of: Object.fromEntries(shape.rows.map((row) => [row.labels.join(), statsOf(columns, row, shape, 0, length)])) }
  }
  return { family, stats }
}

describe('the series of a family as rows', () => {
  test('a gauge: now, least, mean and greatest of the window, without what is missing', () => {
    const { stats } = made('gauge', 'temp', [['', { room: 'a', house: '1' }, [1, 2, 6]], ['', { room: 'b', house: '1' }, [4, NaN, 4]]])
    const { shape, of } = stats('')
    expect(shape.labels).toEqual(['room'])
    expect(of).toEqual({ a: [6, 1, 3, 6], b: [4, 4, 4, 4] })
  })

  test('a counter: its rate', () => {
    const { stats } = made('counter', 'orders_total', [['', {}, [10, 12, 16]]])
    const { shape, of } = stats('')
    expect(shape).toMatchObject({ labels: ['__name__'], rate: true, unit: 'rate' })
    expect(of.orders_total).toEqual([4, 2, 3, 4])
  })

  test('grouped by a label, rows are sums', () => {
    const { stats } = made('gauge', 'queue', [['', { a: '1', b: 'x' }, [1]], ['', { a: '1', b: 'y' }, [2]], ['', { a: '2', b: 'x' }, [5]]])
    expect(stats('a').of).toEqual({ 1: [3, 3, 3, 3], 2: [5, 5, 5, 5] })
  })

  test('a share of time is one of all its parts', () => {
    const { stats } = made('counter', 'cpu_seconds_total', [
      ['', { cpu: '0', mode: 'user' }, [0, 1]],
      ['', { cpu: '1', mode: 'user' }, [0, 0.5]],
      ['', { cpu: '0', mode: 'idle' }, [0, 0]],
      ['', { cpu: '1', mode: 'idle' }, [0, 0.5]],
    ])
    expect(stats('mode').of.user?.[0]).toBe(0.75)
    expect(stats('cpu').of[1]?.[0]).toBe(1)
  })

  test('a histogram: quantiles, mean and rate of the window, a row a label set without its buckets', () => {
    const of = (route: string, many: number) => [
      ['_bucket', { route, le: '1' }, [0, many, many * 2]],
      ['_bucket', { route, le: '2' }, [0, many, many * 2]],
      ['_bucket', { route, le: '+Inf' }, [0, many, many * 2]],
      ['_count', { route }, [0, many, many * 2]],
      ['_sum', { route }, [0, many / 2, many]],
    ] as const
    const { stats } = made('histogram', 'took_seconds', [...of('/a', 10), ...of('/b', 30)])
    const { shape, of: rows } = stats('')
    expect(shape.labels).toEqual(['route'])
    expect(rows['/a']).toEqual([0.99, 0.5, 0.5, 10])
    expect(rows['/b']?.[3]).toBe(30)
  })

  test('sorts by a label or by a number, with what has none at the end either way', () => {
    const row = (id: string): Row => ({ id, labels: [id], keys: [], sums: [], plan: null })
    const rows = ['b', 'a10', 'a2'].map(row)
    const ids = (some: readonly Row[]) => some.map(({ id }) => id)
    expect(ids(ordered(rows, ({ id }) => id, false))).toEqual(['a2', 'a10', 'b'])
    expect(ids(ordered(rows, ({ id }) => id, true))).toEqual(['b', 'a10', 'a2'])
    const numbers = new Map([['b', 2], ['a10', NaN], ['a2', 5]])
    expect(ids(ordered(rows, ({ id }) => numbers.get(id) ?? NaN, true))).toEqual(['a2', 'b', 'a10'])
    expect(ids(ordered(rows, ({ id }) => numbers.get(id) ?? NaN, false))).toEqual(['b', 'a2', 'a10'])
  })

  test('a row finds what a baseline says of it, and a sum of several does not', () => {
    const judged = readComparison({ status: 'success', data: { series: [
      { series: 'queue{a="1",b="x\\"y"}', verdict: 'worse', change: 0.5 },
      { series: 'queue{a="1",b="z"}', verdict: 'same', change: null },
    ] } })
    const { stats } = made('gauge', 'queue', [['', { a: '1', b: 'x"y' }, [1]], ['', { a: '1', b: 'z' }, [2]]])
    const { shape } = stats('')
    expect(shape.rows.map((row) => judgedOf(judged, row, shape)?.verdict)).toEqual(['worse', 'same'])
    const grouped = stats('a').shape
    expect(grouped.rows.map((row) => judgedOf(judged, row, grouped))).toEqual([undefined])
    expect(() => readComparison({ status: 'error', error: 'there is no baseline "x"' })).toThrow('no baseline')
  })
})
