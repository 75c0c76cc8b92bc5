import { describe, expect, test } from 'vitest'
import type { MetricType } from '../client/index'
import { Columns } from '../src/model/columns'
import { planNumbers, quantile, quantiles, rates } from '../src/model/derive'
import { makePlan } from '../src/model/plan'
import { Slots } from '../src/model/slots'
import type { FamilyInfo } from '../src/model/store'
import { titleOf } from '../src/ui/title'

function family(name: string, type: MetricType, labels: readonly Record<string, string>[], suffix = ''): FamilyInfo {
  const made: FamilyInfo = { name, type, help: '', unit: '', series: [] }
  labels.forEach((one, key) => made.series.push({ key, name: name + suffix, labels: one, family: made }))
  return made
}
const size = (sizes: readonly number[]) => (key: number) => sizes[key] ?? 0
const many = (n: number) => Array.from({ length: n }, (_, i) => ({ shard: String(i) }))
const labelsOf = (plan: ReturnType<typeof makePlan>) => ('lines' in plan ? plan.lines.map((line) => line.label) : [])

describe('the chart of a family', () => {
  test('follows from type and name', () => {
    const kind = (one: FamilyInfo, value = 1) => makePlan(one, () => value).kind
    expect(kind(family('node_load1', 'gauge', [{}]))).toBe('lines')
    expect(kind(family('node_uname_info', 'gauge', [{ a: 'b' }]))).toBe('chips')
    expect(kind(family('node_boot_time_seconds', 'gauge', [{}]), 1.7e9)).toBe('age')
    expect(kind(family('scrape_time_seconds', 'gauge', [{}]), 0.3)).toBe('lines')
    expect(kind(family('up', 'gauge', [{ job: 'a' }, { job: 'b' }]))).toBe('states')
    expect(kind(family('queue_up', 'gauge', [{}]), 17)).toBe('lines')
    expect(kind(family('node_cpu_seconds_total', 'counter', [{ cpu: '0', mode: 'user' }, { cpu: '0', mode: 'idle' }]))).toBe('share')
    expect(kind(family('x_seconds', 'histogram', [{ le: '1' }, { le: '+Inf' }], '_bucket'))).toBe('quantiles')
    expect(makePlan(family('stock', 'gauge', many(101)), () => 1)).toMatchObject({ kind: 'lines', view: 'bars', summary: 'sum' })
  })

  test('counters are rates and say the sum, gauges the highest', () => {
    expect(makePlan(family('requests_total', 'counter', many(3)), () => 1)).toMatchObject({ rate: true, unit: 'rate', summary: 'sum' })
    expect(makePlan(family('temp_celsius', 'gauge', many(3)), () => 1)).toMatchObject({ rate: false, unit: 'celsius', summary: 'highest' })
  })

  test('more than eight series: the top five in colour, the rest other', () => {
    const plan = makePlan(family('shards', 'gauge', many(30)), (key) => key)
    if (plan.kind !== 'lines') throw new Error('lines')
    expect(plan.lines.filter((line) => !line.other).map((line) => line.label)).toEqual(['shard 29', 'shard 28', 'shard 27', 'shard 26', 'shard 25'])
    expect(plan.lines.length).toBe(20)
    expect(plan.total).toBe(30)
  })

  test('the order is by size when first drawn and then still', () => {
    const one = family('net', 'gauge', [{ d: 'a' }, { d: 'b' }])
    const first = makePlan(one, size([1, 2]))
    expect(labelsOf(first)).toEqual(['b', 'a'])
    one.series.push({ key: 2, name: 'net', labels: { d: 'c' }, family: one })
    expect(labelsOf(makePlan(one, size([9, 1, 99]), first))).toEqual(['b', 'a', 'c'])
  })

  test('a share of time leaves idle out and sums over the parts', () => {
    const plan = makePlan(family('node_cpu_seconds_total', 'counter', ['0', '1'].flatMap((cpu) => ['user', 'idle'].map((mode) => ({ cpu, mode })))), () => 1)
    if (plan.kind !== 'share') throw new Error('share')
    expect(plan.parts).toBe(2)
    expect(plan.lines).toEqual([{ label: 'user', keys: [0, 2], other: false }])
    // A row that was read 0.2 s late has 0.2 s more of everything, and no more than all of it.
    const columns = new Columns()
    for (const key of [0, 1, 2, 3]) columns.add(key)
    columns.push(1_000, () => 0)
    columns.push(2_000, (key) => (key % 2 === 0 ? 0.9 : 0.3))
    const out = new Float64Array(1)
    planNumbers(columns, plan, 1, 2, [out])
    expect(out[0]).toBeCloseTo(0.75)
  })

  test('what the kernel counts up is a counter, however it is exposed', () => {
    const rate = (name: string, type: MetricType) => {
      const plan = makePlan(family(name, type, [{}]), () => 7)
      return plan.kind === 'lines' && plan.rate
    }
    expect(rate('node_netstat_Tcp_InSegs', 'unknown')).toBe(true)
    expect(rate('node_vmstat_pgfault', 'unknown')).toBe(true)
    expect(rate('node_nf_conntrack_stat_drop', 'gauge')).toBe(true)
    expect(rate('node_netstat_Tcp_CurrEstab', 'unknown')).toBe(false)
    expect(rate('node_netstat_Ip_Forwarding', 'unknown')).toBe(false)
  })

  test('a state is trouble where its name says so, and a device may be down', () => {
    const bad = (name: string) => {
      const plan = makePlan(family(name, 'gauge', [{ device: 'a' }, { device: 'b' }]), (key) => key)
      return plan.kind === 'states' ? plan.bad : plan.kind
    }
    expect(bad('up')).toBe(0)
    expect(bad('node_scrape_collector_success')).toBe(0)
    expect(bad('node_filesystem_device_error')).toBe(1)
    expect(bad('node_network_up')).toBe(null)
    expect(bad('queue_length')).toBe('lines')
  })

  test('facts are listed by series, those by which they differ first', () => {
    const plan = makePlan(family('disk_info', 'gauge', [{ bus: 'pci', device: 'vda', model: '' }, { bus: 'pci', device: 'vdb' }]), () => 1)
    expect(plan.kind === 'chips' && plan.chips).toEqual([['device="vda"', 'bus="pci"'], ['device="vdb"', 'bus="pci"']])
  })

  test('a bare number among label values is named', () => {
    expect(labelsOf(makePlan(family('busy', 'gauge', [{ worker: '0' }, { worker: '1' }]), size([1, 2])))).toEqual(['worker 1', 'worker 0'])
  })

  test('hostile label values are text like any other', () => {
    const plan = makePlan(family('x', 'gauge', [{ n: '<img src=x onerror=1>' }, { n: 'b' }]), size([2, 1]))
    expect(labelsOf(plan)).toEqual(['<img src=x onerror=1>', 'b'])
  })
})

describe('derived numbers', () => {
  const columns = (values: readonly (readonly number[])[]) => {
    const made = new Columns()
    values.forEach((_, key) => {
      made.add(key)
    })
    for (let row = 0; row < (values[0]?.length ?? 0); row++) made.push(row * 2000, (key) => values[key]?.[row] ?? NaN)
    return made
  }

  test('a rate is per second, and a reset is never negative', () => {
    const out = new Float64Array(5)
    rates(columns([[10, 20, 30, 4, 6]]), [0], 0, 5, out)
    expect([...out]).toEqual([NaN, 5, 5, 2, 1])
  })

  test('a rate across a gap is not invented', () => {
    const out = new Float64Array(4)
    rates(columns([[10, NaN, 30, 34]]), [0], 0, 4, out)
    expect([...out]).toEqual([NaN, NaN, NaN, 2])
  })

  test('quantiles are those of histogram_quantile', () => {
    const bounds = [0.1, 0.5, 1, Infinity]
    expect(quantile(0.5, bounds, new Float64Array([10, 20, 20, 20]))).toBeCloseTo(0.1)
    expect(quantile(0.75, bounds, new Float64Array([10, 20, 20, 20]))).toBeCloseTo(0.3)
    expect(quantile(0.99, bounds, new Float64Array([1, 2, 3, 100]))).toBe(1)
    expect(quantile(0.99, bounds, new Float64Array(4))).toBeNaN()
  })

  test('quantiles are of what was observed lately, summed over series', () => {
    const one = family('x', 'histogram', [{ le: '1' }, { le: '2' }, { le: '+Inf' }], '_bucket')
    const plan = makePlan(one, () => 0)
    if (plan.kind !== 'quantiles') throw new Error('quantiles')
    const outs = [new Float64Array(3), new Float64Array(3)]
    quantiles(columns([[0, 0, 0], [0, 100, 100], [0, 100, 100]]), plan, [0.99, 0.5], 0, 3, outs)
    expect(outs[0]?.[2]).toBeCloseTo(1.99)
    expect(outs[1]?.[2]).toBeCloseTo(1.5)
  })
})

describe('colours of labels', () => {
  test('a label keeps its colour across cards, one line has the first, no two on a card are the same', () => {
    const slots = new Slots()
    expect(slots.assign(['user', 'system'])).toEqual([0, 1])
    expect(slots.assign(['system', 'steal'])).toEqual([1, 0])
    expect(slots.assign(['steal', 'user', 'nice'])).toEqual([0, 1, 2])
    expect(slots.assign(['nice'])).toEqual([0])
    expect(new Set(slots.assign(['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'])).size).toBe(8)
  })
})

describe('titles', () => {
  test('are a known name, a short clause of HELP, else the words of the name', () => {
    expect(titleOf({ name: 'node_cpu_seconds_total', help: 'x' })).toBe('CPU')
    expect(titleOf({ name: 'x', help: 'Total number of forks.' })).toBe('Forks')
    expect(titleOf({ name: 'x', help: 'This is the total number of seconds spent by all discards.' })).toBe('Time spent by all discards')
    expect(titleOf({ name: 'x', help: 'Resident memory size in bytes.' })).toBe('Resident memory')
    expect(titleOf({ name: 'node_x_carrier', help: "Value is 1 if operstate is 'up', 0 otherwise." })).toBe('X carrier')
    expect(titleOf({ name: 'node_memory_AnonHugePages_bytes', help: 'Memory information field AnonHugePages_bytes.' })).toBe('Memory anon huge pages')
    expect(titleOf({ name: 'node_network_transmit_errs_total', help: 'Network device statistic transmit_errs.' })).toBe('Network transmit errors')
    expect(titleOf({ name: 'node_netstat_Udp6_InErrors', help: 'Statistic Udp6InErrors.' })).toBe('UDPv6 in errors')
    expect(titleOf({ name: 'shop_orders_total', help: 'Metric read from /tmp/orders.prom' })).toBe('Shop orders')
    expect(titleOf({ name: 'bytes', help: '' })).toBe('bytes')
  })
})
