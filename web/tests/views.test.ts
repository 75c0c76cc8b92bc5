import { describe, expect, test } from 'vitest'
import { arc, filled } from '../src/ui/card/gauge'
import { correlation, joined } from '../src/model/against'
import { Columns } from '../src/model/columns'
import { lineNumbers, planNumbers } from '../src/model/derive'
import { fitting, misfit } from '../src/model/fit'
import { cardsOf, inwards, joinedName, makeGroup } from '../src/model/group'
import { groupLabels } from '../src/model/lines'
import { makePlan } from '../src/model/plan'
import type { Asked, Plan } from '../src/model/plan'
import { promqlOf, selector } from '../src/model/promql'
import { boardLinkOf, chosen, linkOf } from '../src/model/spec'
import { bucketSpread, valueSpread } from '../src/model/spread'
import { parseRoute } from '../src/route'
import { sparkRange } from '../src/chart/sparkline'
import type { MetricType } from '../client/index'
import type { FamilyInfo } from '../src/model/store'

let nextKey = 0

/** A family whose series have keys of their own, as those of a store have. */
function family(name: string, type: MetricType, labels: readonly Record<string, string>[] = [{}], suffix = ''): FamilyInfo {
  const made: FamilyInfo = { name, type, help: '', unit: '', series: [] }
  for (const one of labels) made.series.push({ key: nextKey++, name: name + suffix, labels: one, family: made })
  return made
}

function finder(...families: readonly FamilyInfo[]): (name: string) => FamilyInfo | undefined {
  return (name) => families.find((one) => one.name === name)
}

/** Rows a second apart, of the series with these keys. */
function columnsOf(values: Readonly<Record<number, readonly number[]>>): Columns {
  const columns = new Columns()
  const keys = Object.keys(values).map(Number)
  for (const key of keys) columns.add(key)
  const rows = Math.max(...Object.values(values).map((column) => column.length))
  for (let row = 0; row < rows; row++) columns.push(1_000_000 + row * 1000, (key) => values[key]?.[row] ?? NaN)
  return columns
}

const keysOf = (one: FamilyInfo) => one.series.map(({ key }) => key)
const many = (count: number, label = 'shard') => Array.from({ length: count }, (_, i) => ({ [label]: `s${i}` }))
const linesOf = (plan: Plan) => ('lines' in plan ? plan.lines : [])
const planOf = (one: FamilyInfo, asked: Asked = {}, size: (key: number) => number = () => 1) => makePlan(one, size, undefined, asked)
const viewOf = (plan: Plan) => ('view' in plan ? plan.view : plan.kind)

describe('a view that is asked for', () => {
  test('is the one there is, and without a wish the type decides', () => {
    const gauge = family('queue', 'gauge', many(3))
    expect(viewOf(planOf(gauge))).toBe('lines')
    for (const view of ['area', 'bars', 'table', 'value', 'histogram'] as const) expect(viewOf(planOf(gauge, { view }))).toBe(view)
    expect(viewOf(planOf(family('many', 'gauge', many(101))))).toBe('bars')
    expect(viewOf(planOf(family('node_cpu_seconds_total', 'counter', [{ mode: 'user' }, { mode: 'idle' }])))).toBe('area')
  })

  test('a table lists up to 200 series, bars 40, a stack the top seven and the rest as one', () => {
    const big = family('stock', 'gauge', many(300))
    expect(linesOf(planOf(big, { view: 'table' })).length).toBe(200)
    expect(linesOf(planOf(big, { view: 'bars' })).length).toBe(40)
    const stack = linesOf(planOf(big, { view: 'area' }))
    expect(stack.length).toBe(8)
    expect(stack[7]).toMatchObject({ label: '293 others', grey: true })
    expect(new Set(stack.flatMap((line) => line.keys)).size).toBe(300)
  })

  test('by a label, series are summed where values add up, else the highest stands for all', () => {
    const series = [{ route: '/a', code: '200' }, { route: '/a', code: '500' }, { route: '/b', code: '200' }]
    const counter = planOf(family('requests_total', 'counter', series), { by: 'route' })
    expect(linesOf(counter).map(({ label, keys, highest }) => [label, keys.length, highest])).toEqual([['/a', 2, undefined], ['/b', 1, undefined]])
    const hot = planOf(family('temp_celsius', 'gauge', series), { by: 'route' })
    expect(linesOf(hot).map(({ highest }) => highest)).toEqual([true, true])
    expect(linesOf(planOf(family('x', 'gauge', [{ a: '1' }, {}]), { by: 'a' })).map(({ label }) => label).sort()).toEqual(['a 1', 'without a'])
  })

  test('a histogram by a label has the 99th percentile of each', () => {
    const les = ['1', '2', '+Inf']
    const one = family('x_seconds', 'histogram', ['/a', '/b'].flatMap((route) => les.map((le) => ({ route, le }))), '_bucket')
    const plan = planOf(one, { by: 'route' })
    if (plan.kind !== 'quantiles') throw new Error('quantiles')
    expect(plan.view).toBe('lines')
    const [a1 = 0, a2 = 0, a3 = 0, b1 = 0, b2 = 0, b3 = 0] = keysOf(one)
    const columns = columnsOf({ [a1]: [0, 100], [a2]: [0, 100], [a3]: [0, 100], [b1]: [0, 0], [b2]: [0, 100], [b3]: [0, 100] })
    const outs = [new Float64Array(1), new Float64Array(1)]
    planNumbers(columns, plan, 1, 2, outs)
    expect(plan.lines.map(({ label }) => label)).toEqual(['/a', '/b'])
    expect(outs[0]?.[0]).toBeCloseTo(0.99)
    expect(outs[1]?.[0]).toBeCloseTo(1.99)
  })

  test('of a native histogram, whose buckets the stream does not have, the rate of observations', () => {
    const native = family('n_seconds', 'histogram', [{}], '_count')
    expect(planOf(native)).toMatchObject({ kind: 'lines', rate: true, unit: 'rate' })
    expect(promqlOf({ family: 'n_seconds' }, [native], planOf(native))).toBe('irate(n_seconds_count[1m])')
  })

  test('the labels to put together by: fewest groups first, without le and quantile', () => {
    expect(groupLabels(family('x', 'histogram', [{ le: '1', a: '1', b: '1' }, { le: '2', a: '1', b: '2' }, { le: '1', a: '2', b: '3' }]).series)).toEqual([{ label: 'a', groups: 2 }, { label: 'b', groups: 3 }])
  })
})

describe('a view that does not suit says why', () => {
  const why = (one: FamilyInfo, view: Exclude<Asked['view'], undefined>, size?: (key: number) => number) => misfit(planOf(one, { view }, size), { family: one.name, view })

  test('a heatmap of what has no buckets, a timeline of what is no state, a stack of what does not add up', () => {
    expect(why(family('queue', 'gauge'), 'heatmap')?.why).toMatch(/no buckets/)
    expect(why(family('queue', 'gauge'), 'states', () => 37)?.why).toMatch(/0 and 1/)
    expect(why(family('flag', 'gauge'), 'states', () => 1)).toBeNull()
    expect(why(family('temp_celsius', 'gauge', many(2)), 'area')?.why).toMatch(/do not add up/)
    expect(why(family('a_info', 'gauge'), 'lines')?.fits).toEqual([])
    expect(why(family('boot_timestamp_seconds', 'gauge'), 'lines', () => 1.7e9)?.why).toMatch(/moment/)
  })

  test('a scatter plot asks against what, and what would suit is offered', () => {
    expect(why(family('queue', 'gauge'), 'scatter')?.why).toMatch(/[Aa]gainst which/)
    expect(misfit(planOf(family('queue', 'gauge'), { view: 'scatter' }), { view: 'scatter', against: 'x' })).toBeNull()
    expect(why(family('queue', 'gauge'), 'heatmap')?.fits).toEqual(['lines', 'area', 'bars'])
  })

  test('a gauge is offered where the limit is known alone', () => {
    expect(fitting(planOf(family('disk_used_ratio', 'gauge')))).toContain('gauge')
    expect(fitting(planOf(family('queue', 'gauge')))).not.toContain('gauge')
    const used = family('process_open_fds', 'gauge')
    const most = family('process_max_fds', 'gauge')
    const plan = makePlan(used, () => 1, undefined, {}, finder(used, most))
    expect(plan.kind === 'lines' && plan.limit).toEqual({ keys: keysOf(most) })
    // Of several limits none is known to be the one.
    expect(planOf(family('fs_used_bytes', 'gauge', many(2)))).toMatchObject({ limit: null })
  })
})

describe('several families on a card', () => {
  const labels = [{ device: 'eth0' }, { device: 'lo' }]
  const out = family('node_network_transmit_bytes_total', 'counter', labels)
  const into = family('node_network_receive_bytes_total', 'counter', labels)

  test('names have a direction, as a word of their own', () => {
    expect(inwards('node_network_transmit_bytes_total')?.name).toBe('node_network_receive_bytes_total')
    expect(inwards('node_disk_written_bytes_total')).toEqual({ name: 'node_disk_read_bytes_total', words: ['written', 'read'] })
    expect(inwards('node_netstat_IpExt_OutOctets')?.name).toBe('node_netstat_IpExt_InOctets')
    expect(inwards('shop_outage_total')).toBeNull()
  })

  test('what goes out and what comes in is one card where the first of them stood', () => {
    const load = family('node_load1', 'gauge')
    expect(cardsOf([load, into, out], finder(load, into, out))).toEqual([{ family: 'node_load1' }, { families: [out.name, into.name] }])
    expect(cardsOf([into], finder(into))).toEqual([{ family: into.name }])
    const other = family('node_network_receive_bytes_total', 'gauge', labels)
    expect(cardsOf([other, out], finder(other, out))).toEqual([{ family: other.name }, { family: out.name }])
    expect(joinedName([out.name, into.name])).toBe('node_network_{transmit,receive}_bytes_total')
  })

  test('in is below zero, told without a minus, and the header is what goes out of the host', () => {
    const plan = makeGroup([out, into], (key) => (keysOf(out)[0] === key ? 9 : 1), undefined, {})
    if (plan.kind !== 'lines') throw new Error('lines')
    expect(plan.lines.map(({ label, below = false }) => [label, below])).toEqual([['eth0 out', false], ['eth0 in', true], ['lo out', false], ['lo in', true]])
    expect(plan).toMatchObject({ unit: 'bytes/s', word: 'out', headline: keysOf(out).slice(0, 1) })
    const key = plan.lines[1]?.keys[0] ?? -1
    const numbers = new Float64Array(1)
    lineNumbers(columnsOf({ [key]: [100, 350] }), plan.lines[1] ?? { label: '', keys: [], other: false }, true, 1, 2, numbers)
    expect(numbers[0]).toBe(250)
  })

  test('memory is stacked to its total, what is cached is grey', () => {
    const parts = ['MemTotal', 'MemFree', 'Buffers', 'Cached'].map((part) => family(`node_memory_${part}_bytes`, 'gauge'))
    expect(cardsOf(parts, finder(...parts))).toEqual([{ families: parts.map(({ name }) => name) }])
    expect(joinedName(parts.map(({ name }) => name))).toBe('node_memory_*_bytes')
    const plan = makeGroup(parts, () => 1, undefined, {})
    if (plan.kind !== 'lines') throw new Error('lines')
    expect(plan.view).toBe('area')
    expect(plan.lines.map(({ label, grey = false }) => [label, grey])).toEqual([['used', false], ['cached', true], ['buffers', true]])
    const [total = 0, free = 0, buffers = 0, cached = 0] = parts.flatMap(keysOf)
    const outs = [new Float64Array(1), new Float64Array(1), new Float64Array(1)]
    planNumbers(columnsOf({ [total]: [16], [free]: [4], [buffers]: [1], [cached]: [5] }), plan, 0, 1, outs)
    expect(outs.map((one) => one[0])).toEqual([6, 5, 1])
  })
})

describe('the PromQL of a card', () => {
  const promql = (one: FamilyInfo, asked: Asked = {}, size?: (key: number) => number) => promqlOf({ family: one.name, ...asked }, [one], planOf(one, asked, size))

  test('says what the chart shows', () => {
    expect(promql(family('node_load1', 'gauge'))).toBe('node_load1')
    expect(promql(family('requests_total', 'counter', many(3)))).toBe('irate(requests_total[1m])')
    expect(promql(family('requests_total', 'counter', many(3)), { by: 'shard' })).toBe('sum by (shard) (irate(requests_total[1m]))')
    expect(promql(family('temp_celsius', 'gauge', many(3)), { by: 'shard' })).toBe('max by (shard) (temp_celsius)')
    expect(promql(family('stock', 'gauge', many(101)))).toBe('topk(40, stock)')
    expect(promql(family('x_seconds', 'histogram', [{ le: '1' }, { le: '+Inf' }], '_bucket'))).toBe('histogram_quantile(0.99, sum by (le) (rate(x_seconds_bucket[15s])))')
    expect(promql(family('node_cpu_seconds_total', 'counter', ['0', '1'].flatMap((cpu) => ['user', 'idle'].map((mode) => ({ cpu, mode })))))).toBe('sum by (mode) (irate(node_cpu_seconds_total{mode!="idle"}[1m])) / 2')
    expect(promql(family('boot_timestamp_seconds', 'gauge'), {}, () => 1.7e9)).toBe('time() - boot_timestamp_seconds')
    expect(promqlOf({ query: 'sum(up)' }, [], null)).toBe('sum(up)')
  })

  test('two directions are kept apart by a label', () => {
    const pair = [family('a_transmit_bytes_total', 'counter'), family('a_receive_bytes_total', 'counter')]
    expect(promqlOf({}, pair, makeGroup(pair, () => 1, undefined, {}))).toBe('label_replace(irate(a_transmit_bytes_total[1m]), "of", "a_transmit_bytes_total", "", "") or label_replace(-irate(a_receive_bytes_total[1m]), "of", "a_receive_bytes_total", "", "")')
  })

  test('names that are no words are matched', () => {
    expect(selector('a.b')).toBe('{__name__="a.b"}')
    expect(selector('a"b', 'c!="d"')).toBe('{__name__="a\\"b",c!="d"}')
  })
})

describe('links', () => {
  test('carry what is shown and how', () => {
    expect(linkOf({ family: 'node_load1', view: 'table' })).toBe('#metric/node_load1?view=table')
    expect(linkOf({ query: 'rate(a[1m])' })).toBe('#query?expr=rate%28a%5B1m%5D%29')
    expect(linkOf({ families: ['a', 'b'] })).toBe('#metric/a?with=b')
    const spec = { query: 'a{b="é&="}', view: 'gauge', thresholds: [{ at: 1, severity: 'critical' }] } as const
    expect(JSON.parse(parseRoute(boardLinkOf(spec)).params.get('add') ?? '')).toEqual(spec)
  })

  test('a choice is taken back by null', () => {
    expect(chosen({ family: 'a', view: 'table' }, { view: null, by: 'b' })).toEqual({ family: 'a', by: 'b' })
  })
})

describe('distributions', () => {
  test('of a histogram: what came in the last minute, and the window scaled to as many', () => {
    const columns = columnsOf({ 1: [0, 10, 20], 2: [0, 10, 40], 3: [0, 10, 40] })
    const plan = { bounds: [1, 2, Infinity], buckets: [[1], [2], [3]] }
    const { bounds, now, usual } = bucketSpread(columns, plan, 0, 3, 1_001_500)
    expect(bounds).toEqual([1, 2, Infinity])
    expect([...now]).toEqual([10, 20, 0])
    expect([...usual]).toEqual([15, 15, 0])
  })

  test('of values: equal slots of a round width', () => {
    const { low, bounds, now } = valueSpread([Float64Array.of(0, 1, 2, 3, 4, NaN, 20)], Float64Array.of(0, 1, 2, 3, 4, 5, 6), 3)
    expect(low).toBe(0)
    expect(bounds).toHaveLength(21)
    expect([now[4], now[20], now[0]]).toEqual([1, 1, 0])
    expect(valueSpread([Float64Array.of(NaN)], Float64Array.of(0), 0).bounds).toEqual([1])
    expect(valueSpread([Float64Array.of(7, 7)], Float64Array.of(0, 1), -1).now.reduce((a, b) => a + b)).toBe(2)
  })
})

describe('two series against each other', () => {
  test('points of the same time are joined, others are left out', () => {
    const xs = new Columns()
    xs.add(0)
    for (const time of [900, 2100, 9000]) xs.push(time, () => time)
    const cloud = joined(Float64Array.of(1000, 2000, 5000), Float64Array.of(1, 2, 5), xs, xs.column(0)?.subarray(0, 3) ?? new Float64Array(), 0, 500)
    expect([...cloud.xs]).toEqual([900, 2100])
    expect([...cloud.ys]).toEqual([1, 2])
  })

  test('correlation is 1, −1, or unknown where nothing moves', () => {
    expect(correlation(Float64Array.of(1, 2, 3), Float64Array.of(2, 4, 6))).toBeCloseTo(1)
    expect(correlation(Float64Array.of(1, 2, 3), Float64Array.of(3, 2, 1))).toBeCloseTo(-1)
    expect(correlation(Float64Array.of(1, 2, 3), Float64Array.of(5, 5, 5))).toBeNaN()
  })
})

describe('states', () => {
  test('of a state set, a row a thing, its number the state it is in', () => {
    const one = family('job_state', 'stateset', ['idle', 'busy'].map((state) => ({ job_state: state })))
    const plan = planOf(one)
    expect(linesOf(plan)).toMatchObject([{ label: 'job_state', states: ['idle', 'busy'] }])
    const [idle = 0, busy = 0] = keysOf(one)
    const out = new Float64Array(3)
    planNumbers(columnsOf({ [idle]: [1, 0, NaN], [busy]: [0, 1, NaN] }), plan as Extract<Plan, { lines: readonly never[] }>, 0, 3, [out])
    expect([...out]).toEqual([0, 1, NaN])
  })
})

describe('drawings', () => {
  test('an arc begins at the lower left, and a value fills its share', () => {
    expect(arc(80, 0, 1)).toBe('M30.72 140.00A80 80 0 1 1 169.28 140.00')
    expect([filled(5, 10), filled(20, 10), filled(-1, 10), filled(NaN, 10)]).toEqual([0.5, 1, 0, 0])
  })

  test('a sparkline stands on zero unless it moves in its upper half', () => {
    expect(sparkRange([1, 4])).toEqual({ low: 0, high: 4 })
    expect(sparkRange([90, 100])).toEqual({ low: 90, high: 100 })
    expect(sparkRange([5, 5])).toEqual({ low: 0, high: 10 })
    expect(sparkRange([-4, 2])).toEqual({ low: -4, high: 2 })
    expect(sparkRange([NaN])).toEqual({ low: 0, high: 1 })
  })
})
