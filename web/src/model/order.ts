/** In which order cards stand: by name, but first what is asked first where everything is shown. */
import type { FamilyInfo } from './store'

/** By name, with numbers in a name in their order: load1, load5, load15. */
const names = new Intl.Collator('en', { numeric: true })

/** What tells the state of a host: busy, full, waiting, moving. */
const FIRST = [
  'node_cpu_seconds_total',
  'node_memory_MemAvailable_bytes',
  'node_load1',
  'node_disk_io_time_seconds_total',
  'node_network_receive_bytes_total',
  'node_network_transmit_bytes_total',
  'node_pressure_cpu_waiting_seconds_total',
  'node_pressure_memory_waiting_seconds_total',
  'node_pressure_io_waiting_seconds_total',
  'node_disk_written_bytes_total',
  'node_disk_read_bytes_total',
  'node_filesystem_avail_bytes',
]
const PLACES = new Map(FIRST.map((name, i) => [name, i]))

/** What an application exposes, then the host, then the process that watches them, then what rules have recorded. */
function rank(name: string): number {
  const place = PLACES.get(name)
  if (place !== undefined) return place
  if (name.includes(':')) return FIRST.length + 3
  if (/^(gaugecast|process)_/.test(name)) return FIRST.length + 2
  return name.startsWith('node_') ? FIRST.length + 1 : FIRST.length
}

/** By name. */
export function byName(families: Iterable<FamilyInfo>): FamilyInfo[] {
  return [...families].sort((a, b) => names.compare(a.name, b.name))
}

/** The host at a glance first, then applications, then the rest by name. */
export function byQuestion(families: Iterable<FamilyInfo>): FamilyInfo[] {
  return byName(families).sort((a, b) => rank(a.name) - rank(b.name))
}
