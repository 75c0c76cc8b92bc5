/** The tiles and cards of the overview: chosen by what exists. */
import { expect, test } from 'vitest'
import { chosenCards } from '../src/model/chosen'
import { Columns } from '../src/model/columns'
import type { FamilyInfo, SeriesInfo } from '../src/model/store'
import { applicationTiles, bridgeTiles, fillTile, hostTiles } from '../src/model/tiles'
import type { Tile } from '../src/model/tiles'

let nextKey = 0

function family(name: string, type: FamilyInfo['type'], ...labels: readonly Readonly<Record<string, string>>[]): FamilyInfo {
  const made: FamilyInfo = { name, type, help: '', unit: '', series: [] }
  for (const own of labels) made.series.push({ key: nextKey++, name: type === 'histogram' ? `${name}_count` : name, labels: own, family: made } satisfies SeriesInfo)
  return made
}

const map = (...all: readonly FamilyInfo[]) => new Map(all.map((one) => [one.name, one]))
const keysOf = ({ parts }: Tile) => parts.flatMap(({ keys }) => keys)

test('nothing there, no tile', () => {
  expect(hostTiles(new Map(), () => NaN)).toEqual([])
  expect(applicationTiles(new Map())).toEqual([])
  expect(bridgeTiles(new Map())).toEqual([])
  expect(chosenCards(new Map())).toEqual([])
})

test('this host is what has no instance, and CPU is the share of its own cores', () => {
  const cpu = family('node_cpu_seconds_total', 'counter', { cpu: '0', mode: 'user' }, { cpu: '1', mode: 'user' }, { cpu: '0', mode: 'idle' }, { cpu: '0', mode: 'user', instance: 'other:9100' })
  const [tile] = hostTiles(map(cpu), () => NaN)
  expect(tile).toMatchObject({ title: 'CPU', word: 'of 2 cores' })
  expect(tile === undefined ? [] : keysOf(tile)).toEqual([cpu.series[0]?.key, cpu.series[1]?.key])
})

test('CPU is never over 100 %: all modes together are the time there was', () => {
  const cpu = family('node_cpu_seconds_total', 'counter', { cpu: '0', mode: 'user' }, { cpu: '0', mode: 'idle' })
  const [tile] = hostTiles(map(cpu), () => NaN)
  const columns = new Columns()
  for (const { key } of cpu.series) columns.add(key)
  columns.push(0, () => 0)
  // Read a little late: more than a second of time in a second.
  columns.push(1_000, (key) => (key === cpu.series[0]?.key ? 0.9 : 0.3))
  columns.push(2_000, (key) => (key === cpu.series[0]?.key ? 0.9 : 0.3))
  const out = new Float64Array(3)
  if (tile !== undefined) fillTile(columns, tile, 0, 3, out, new Float64Array(3))
  expect([...out]).toEqual([NaN, 0.75, NaN])
})

test('a host that is only scraped is shown too', () => {
  const [tile] = hostTiles(map(family('node_load1', 'gauge', { instance: 'a:9100' })), () => NaN)
  expect(tile?.title).toBe('Load')
})

test('memory is what is not available, and its total is said', () => {
  const total = family('node_memory_MemTotal_bytes', 'gauge', {})
  const available = family('node_memory_MemAvailable_bytes', 'gauge', {})
  const [tile] = hostTiles(map(total, available), () => 16 * 1024 ** 3)
  expect(tile).toMatchObject({ title: 'Memory', word: 'of 16\u202fGiB' })
  const columns = new Columns()
  for (const { series: [one] } of [total, available]) columns.add(one?.key ?? -1)
  columns.push(1_000, (key) => (key === total.series[0]?.key ? 16 : 10))
  const out = new Float64Array(1)
  if (tile !== undefined) fillTile(columns, tile, 0, 1, out, new Float64Array(1))
  expect(out[0]).toBe(6)
})

test('of disks the busiest counts, and parts of disks do not', () => {
  const disks = family('node_disk_io_time_seconds_total', 'counter', { device: 'nvme0n1' }, { device: 'sda' }, { device: 'nvme0n1p1' }, { device: 'loop0' })
  const [tile] = hostTiles(map(disks), () => NaN)
  expect(tile).toMatchObject({ title: 'Disk busy', word: 'busiest of 2' })
  const columns = new Columns()
  for (const { key } of disks.series) columns.add(key)
  columns.push(0, () => 0)
  columns.push(1_000, (key) => (key === disks.series[0]?.key ? 0.2 : 0.5))
  const out = new Float64Array(2)
  if (tile !== undefined) fillTile(columns, tile, 0, 2, out, new Float64Array(2))
  expect([...out]).toEqual([NaN, 0.5])
})

test('an application tells requests and errors by one name or another', () => {
  expect(applicationTiles(map(family('http_requests_total', 'counter', { job: 'shop', code: '200' }, { job: 'shop', code: '500' }))).map(({ title, word }) => [title, word])).toEqual([['Requests', 'shop'], ['Errors', 'shop']])
  expect(applicationTiles(map(family('gaugecast_operation_duration_seconds', 'histogram', { operation: 'a' }))).map(({ title }) => title)).toEqual(['Requests'])
  expect(applicationTiles(map(family('shop_requests_total', 'counter', {}), family('promhttp_metric_handler_requests_total', 'counter', {})))[0]?.family).toBe('shop_requests_total')
})

test('cards are those of the application before the host, histograms and errors first, and never all', () => {
  const own = ['node_cpu_seconds_total', 'node_load1', 'go_goroutines', 'shop_items', 'shop_errors_total', 'shop_orders_total', 'gaugecast_ticks_total', 'instance:shop_orders:rate1m', 'up', 'shop_build_info']
  const all = [...own.map((name) => family(name, name.endsWith('_total') ? 'counter' : name.endsWith('_info') ? 'info' : 'gauge', {})), family('shop_latency_seconds', 'histogram', {})]
  expect(chosenCards(map(...all)).map((spec) => spec.family)).toEqual(['shop_latency_seconds', 'shop_errors_total', 'shop_orders_total', 'shop_items', 'node_cpu_seconds_total', 'node_load1'])
  const many = Array.from({ length: 4096 }, (_, i) => family(`shop_${i}`, 'gauge', {}))
  expect(chosenCards(map(...many))).toHaveLength(5)
})

test('what goes in and out shares a card, and so do the parts of memory', () => {
  const names = ['node_network_receive_bytes_total', 'node_network_transmit_bytes_total', ...['Buffers', 'Cached', 'MemAvailable', 'MemFree', 'MemTotal', 'SReclaimable'].map((part) => `node_memory_${part}_bytes`), 'shop_received_total', 'shop_sent_total']
  const all = names.map((name) => family(name, name.endsWith('_total') ? 'counter' : 'gauge', {}))
  const cards = chosenCards(map(...all)).map(({ families = [] }) => families)
  expect(cards.slice(0, 2)).toEqual([['shop_sent_total', 'shop_received_total'], ['node_network_transmit_bytes_total', 'node_network_receive_bytes_total']])
  expect(cards[2]).toContain('node_memory_MemTotal_bytes')
  expect(cards).toHaveLength(3)
})
