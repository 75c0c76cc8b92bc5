/**
 * The numbers that matter of this host, of the process and of the bridge to browsers, each as a tile; only those that exist. A
 * tile names its series, `derive.ts` makes the numbers.
 */
import type { Unit } from '../format/number'
import type { Columns } from './columns'
import { rates, values } from './derive'
import type { FamilyInfo, SeriesInfo } from './store'

/** Series that are summed up. */
export interface Part {
  readonly keys: readonly number[]
  /** Taken from the sum. */
  readonly minus?: true
}

export interface Tile {
  readonly title: string
  /** A small word beside it: "of 8 cores". */
  readonly word: string
  readonly unit: Unit
  /** Its values are rates of counters. */
  readonly rate: boolean
  readonly parts: readonly Part[]
  /** Of a share the series of all that it is a share of; none otherwise. */
  readonly whole: readonly number[]
  /** The largest part alone, and not the sum. */
  readonly largest: boolean
  /** The family that it leads to. */
  readonly family: string
}

export type Families = ReadonlyMap<string, FamilyInfo>

/** Series of this host and process: those of scraped targets have an `instance`. Of all, where there are no others. */
function own(families: Families, name: string): readonly SeriesInfo[] {
  const series = families.get(name)?.series ?? []
  const local = series.filter((one) => !('instance' in one.labels))
  return local.length > 0 ? local : series
}

function keys(series: readonly SeriesInfo[]): readonly number[] {
  return series.map((one) => one.key)
}

const PLAIN = { rate: false, whole: [], largest: false, word: '' } as const

/** A gauge or a counter whose series are summed up; nothing where there is none. */
function simple(families: Families, title: string, name: string, unit: Unit, rate: boolean, word = ''): readonly Tile[] {
  const series = own(families, name).filter((one) => !one.name.endsWith('_created'))
  return series.length === 0 ? [] : [{ ...PLAIN, title, word, unit, rate, parts: [{ keys: keys(series) }], family: name }]
}

/** @param value the last value of a series. */
export function hostTiles(families: Families, value: (key: number) => number): readonly Tile[] {
  return [...cpu(families), ...memory(families, value), ...simple(families, 'Load', 'node_load1', 'count', false, '1 min'), ...disk(families), ...network(families)]
}

/** How many cores this host has; 0 where nobody tells. */
export function cores(families: Families): number {
  return new Set(own(families, 'node_cpu_seconds_total').map((one) => one.labels.cpu)).size
}

function cpu(families: Families): readonly Tile[] {
  const name = 'node_cpu_seconds_total'
  const all = own(families, name)
  const busy = all.filter(({ labels }) => labels.mode !== 'idle' && labels.mode !== 'iowait')
  const of = cores(families)
  if (busy.length === 0 || of === 0) return []
  return [{ ...PLAIN, title: 'CPU', word: `of ${of} ${of === 1 ? 'core' : 'cores'}`, unit: 'ratio', rate: true, parts: [{ keys: keys(busy) }], whole: keys(all), family: name }]
}

function memory(families: Families, value: (key: number) => number): readonly Tile[] {
  const total = own(families, 'node_memory_MemTotal_bytes')
  const available = own(families, 'node_memory_MemAvailable_bytes')
  const [first] = total
  if (first === undefined || available.length === 0) return []
  const gibibytes = value(first.key) / 1024 ** 3
  const word = Number.isFinite(gibibytes) ? `of ${gibibytes < 10 ? gibibytes.toFixed(1) : Math.round(gibibytes)}\u202fGiB` : ''
  return [{ ...PLAIN, title: 'Memory', word, unit: 'bytes', parts: [{ keys: keys(total) }, { keys: keys(available), minus: true }], family: available[0]?.family.name ?? '' }]
}

/** What is no disk of its own: parts of others, memory, files that pretend. */
const NO_DISK = /^(loop|ram|zram|dm-|md|sr|fd)\d|^[a-z]+d[a-z]\d+$|^nvme\d+n\d+p\d+$/

function disk(families: Families): readonly Tile[] {
  const name = 'node_disk_io_time_seconds_total'
  const disks = own(families, name).filter(({ labels }) => !NO_DISK.test(labels.device ?? ''))
  if (disks.length === 0) return []
  const [only] = disks
  const word = disks.length === 1 ? (only?.labels.device ?? '') : `busiest of ${disks.length}`
  return [{ ...PLAIN, title: 'Disk busy', word, unit: 'ratio', rate: true, largest: true, parts: disks.map(({ key }) => ({ keys: [key] })), family: name }]
}

/** Traffic within the host, or counted a second time. */
export const NO_NETWORK = /^(lo|veth|docker|br-|virbr|cni|flannel|cali)/

function network(families: Families): readonly Tile[] {
  const received = 'node_network_receive_bytes_total'
  const all = [received, 'node_network_transmit_bytes_total'].flatMap((name) => own(families, name))
  const outside = all.filter(({ labels }) => !NO_NETWORK.test(labels.device ?? ''))
  const shown = outside.length > 0 ? outside : all
  return shown.length === 0 ? [] : [{ ...PLAIN, title: 'Network', word: 'in + out', unit: 'bytes/s', rate: true, parts: [{ keys: keys(shown) }], family: received }]
}

/** Requests and errors that an application tells; of several names the first. */
const REQUESTS = ['http_requests_total', 'http_server_requests_total', 'http_request_duration_seconds', 'http_server_request_duration_seconds', 'grpc_server_handled_total', 'gaugecast_operation_duration_seconds']
const ERRORS = ['http_request_errors_total', 'http_errors_total', 'gaugecast_operation_errors_total']

export function applicationTiles(families: Families): readonly Tile[] {
  const counted = (name: string): readonly SeriesInfo[] => {
    const { type, series = [] } = families.get(name) ?? {}
    // A histogram counts in its _count.
    return series.filter((one) => (type === 'histogram' || type === 'summary' ? one.name.endsWith('_count') : !one.name.endsWith('_created')))
  }
  const known = (names: readonly string[]) => names.find((name) => counted(name).length > 0)
  const found = known(REQUESTS) ?? [...families.keys()].find((name) => /(^|_)requests_total$/.test(name) && !/^(gaugecast|promhttp|node)_/.test(name))
  const failed = known(ERRORS)
  const tile = (title: string, name: string, series: readonly SeriesInfo[]): Tile => {
    const jobs = new Set(series.map(({ labels }) => labels.job ?? ''))
    return { ...PLAIN, title, word: jobs.size === 1 ? ([...jobs][0] ?? '') : `${jobs.size} jobs`, unit: 'rate', rate: true, parts: [{ keys: keys(series) }], family: name }
  }
  const requests = found === undefined ? [] : counted(found)
  // Without a family of their own errors are requests with such a code.
  const bad = failed === undefined ? requests.filter(({ labels }) => (labels.code ?? labels.status ?? '').startsWith('5')) : counted(failed)
  return [...(found === undefined ? [] : [tile('Requests', found, requests)]), ...(bad.length === 0 ? [] : [tile('Errors', failed ?? found ?? '', bad)])]
}

/** gaugecast itself: who watches, what that costs. */
export function bridgeTiles(families: Families): readonly Tile[] {
  return [
    ...simple(families, 'Clients', 'gaugecast_stream_clients', 'count', false, 'connected'),
    ...simple(families, 'Frames', 'gaugecast_stream_frames_total', 'rate', true, 'sent'),
    ...simple(families, 'Stream', 'gaugecast_stream_bytes_total', 'bytes/s', true, 'sent'),
    ...simple(families, 'Own CPU', 'process_cpu_seconds_total', 'ratio', true, 'of a core'),
    ...simple(families, 'Own memory', 'process_resident_memory_bytes', 'bytes', false, 'resident'),
    ...simple(families, 'History', 'gaugecast_history_bytes', 'bytes', false, 'in memory'),
  ]
}

/** The numbers of a tile over rows, into `out[0 .. to-from)`; `scratch` has as much room. */
export function fillTile(columns: Columns, tile: Tile, from: number, to: number, out: Float64Array, scratch: Float64Array): void {
  const count = to - from
  out.fill(NaN, 0, count)
  for (const { keys: own, minus } of tile.parts) {
    if (tile.rate) rates(columns, own, from, to, scratch)
    else values(columns, own, from, to, scratch)
    for (let i = 0; i < count; i++) {
      const value = (scratch[i] ?? NaN)
      const before = out[i] ?? NaN
      if (Number.isNaN(before)) out[i] = minus === true ? -value : value
      else if (Number.isNaN(value)) continue
      else if (tile.largest) out[i] = Math.max(before, value)
      else out[i] = before + (minus === true ? -value : value)
    }
  }
  if (tile.whole.length === 0) return
  // What all modes have counted is the time there was, whenever exactly they were read.
  rates(columns, tile.whole, from, to, scratch)
  for (let i = 0; i < count; i++) out[i] = (scratch[i] ?? NaN) > 0 ? (out[i] ?? NaN) / (scratch[i] ?? NaN) : NaN
}
