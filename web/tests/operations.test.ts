import { describe, expect, test } from 'vitest'
import { pace, readClients, sums } from '../src/model/clients'
import { Columns } from '../src/model/columns'
import { kindRows, operationRow, operationSeries, readPerformance, readRuns } from '../src/model/operations'
import type { FamilyInfo, SeriesInfo } from '../src/model/store'
import { inOrder, orderText, parseOrder } from '../src/model/table'

/** A store of series with their values, a row a second from 0. */
function store(series: readonly (readonly [string, Readonly<Record<string, string>>, readonly number[]])[], restarts: number[] = []) {
  const columns = new Columns()
  const families = new Map<string, FamilyInfo>()
  series.forEach(([name, labels], key) => {
    const id = name.replace(/_bucket$/, '')
    const family: FamilyInfo = families.get(id) ?? { name: id, type: 'counter', help: '', unit: '', series: [] }
    families.set(id, family)
    const info: SeriesInfo = { key, name, labels, family }
    family.series.push(info)
    columns.add(key)
  })
  const rows = series[0]?.[2].length ?? 0
  for (let i = 0; i < rows; i++) columns.push((i + 1) * 1000, (key) => series[key]?.[2][i] ?? NaN)
  return { families, columns, restarts, value: (key: number) => series[key]?.[2].at(-1) ?? NaN }
}

const send = { operation: 'send' }

describe('operations', () => {
  const told = store([
    ['gaugecast_operations_total', send, [100, 110, 120]],
    ['gaugecast_operation_errors_total', { ...send, kind: 'full' }, [1, 2, 5]],
    ['gaugecast_operation_errors_total', { ...send, kind: 'never' }, [0, 0, 0]],
    ['gaugecast_operations_in_flight', send, [0, 1, 2]],
    ['gaugecast_operation_duration_seconds_bucket', { ...send, le: '0.01' }, [50, 60, 60]],
    ['gaugecast_operation_duration_seconds_bucket', { ...send, le: '0.1' }, [100, 110, 120]],
    ['gaugecast_operation_duration_seconds_bucket', { ...send, le: '+Inf' }, [100, 110, 120]],
    ['gaugecast_operations_total', { operation: 'send', instance: 'other:80', job: 'shop' }, [7, 9, 1]],
  ])

  test('a row is of the window: rates, the share that failed, percentiles of what came in it', () => {
    const [own] = operationSeries(told)
    if (own === undefined) throw new Error('there is one')
    const row = operationRow(told, own, 0, 3000)
    expect([row.name, row.of, row.rate, row.errorRate, row.failed, row.inFlight, row.total]).toEqual(['send', '', 10, 2, 0.2, 2, 120])
    expect(row.p50).toBeCloseTo(0.01)
    expect(row.p99).toBeCloseTo(0.0982)
    expect(operationRow(told, own, 1500, 2500).rate, 'one row is no rate').toBeNaN()
  })

  test('those of a target are another row, and its restart takes nothing away', () => {
    const foreign = operationSeries(told)[1]
    if (foreign === undefined) throw new Error('there is one')
    const row = operationRow(told, foreign, 0, 3000)
    expect([row.of, row.rate, row.failed]).toEqual(['instance="other:80" job="shop"', 1.5, 0])
    expect([row.p50, row.inFlight]).toEqual([NaN, NaN])
  })

  test('errors are told by kind, and kinds that never came are not', () => {
    expect(kindRows(told, operationSeries(told), 0, 3000)).toEqual([{ operation: 'send', kind: 'full', count: 4, total: 5 }])
  })

  test('what the admin API does not say is empty, and what it refuses is said in its words', () => {
    const nothing = readPerformance({ status: 'success', data: {} })
    expect([nothing.verdicts, nothing.lastErrors, nothing.security.last, nothing.allocations]).toEqual([[], [], [], null])
    expect(readPerformance({ status: 'success', data: { verdicts: [{ criterion: 'leak', ok: null, reasons: ['no scope', 7] }] } }).verdicts).toEqual([{ criterion: 'leak', ok: null, reasons: ['no scope'] }])
    expect(readRuns({ status: 'success', data: { runs: [{ at_ms: 5, duration_ms: 2, error: null }, 'x'] } })).toEqual([{ at: 5, took: 0.002, error: '' }, { at: NaN, took: NaN, error: '' }])
    expect(() => readRuns({ status: 'error', error: 'there is no operation "x"' })).toThrow('there is no operation "x"')
    expect(() => readPerformance(null)).toThrow('The server tells nothing of operations.')
  })
})

describe('clients', () => {
  const [one, bare] = readClients({ status: 'success', data: { clients: [{ id: 'a', remote: '127.0.0.1:9', rtt_ms: 2, lag_ms: 500, conflated: 3, resyncs: 1, bytes: 10, subscriptions: 2 }, {}] } })
  if (one === undefined || bare === undefined) throw new Error('there are two')

  test('a client is slow while it falls behind, was slow once it did, and what is not told is none', () => {
    expect([one.roundTrip, one.lag, bare.roundTrip]).toEqual([0.002, 0.5, NaN])
    expect(pace(one, { ...one, conflated: 2 })).toBe('slow')
    expect(pace(one, one)).toBe('was slow')
    expect(pace(one, undefined)).toBe('was slow')
    expect(pace(bare, bare)).toBe('keeps up')
    expect(sums([one, bare], ['slow', 'keeps up'])).toEqual({ clients: 2, subscriptions: 2, bytes: 10, slow: 1 })
  })
})

describe('tables', () => {
  test('numbers go by size with what has none last either way, names as people order them', () => {
    const rows = [{ n: 2 }, { n: NaN }, { n: 10 }, { n: 1 }]
    expect(inOrder(rows, ({ n }) => n, false).map(({ n }) => n)).toEqual([1, 2, 10, NaN])
    expect(inOrder(rows, ({ n }) => n, true).map(({ n }) => n)).toEqual([10, 2, 1, NaN])
    expect(inOrder(['load15', 'Load5', 'load1'], (name) => name, false)).toEqual(['load1', 'Load5', 'load15'])
  })

  test('rows that are alike keep their order', () => {
    expect(inOrder(['b1', 'a1', 'c1'], () => 1, true)).toEqual(['b1', 'a1', 'c1'])
  })

  test('an order stands in the address, and one that is none is passed over', () => {
    const otherwise = { by: 'rate', descending: true }
    expect(parseOrder('-p99', ['p99'], otherwise)).toEqual({ by: 'p99', descending: true })
    expect(parseOrder('constructor', ['p99'], otherwise)).toBe(otherwise)
    expect(orderText(parseOrder('p99', ['p99'], otherwise))).toBe('p99')
  })
})
