/**
 * Which families have a card on the overview: those of applications before those of the host, and of them what tells most:
 * how long things take, what fails, how much there is.
 */
import type { FamilyInfo } from './store'

/** So many cards at most; the rest is on the page of all. */
const MOST = 9
/** Of an application, so that the host is seen too. */
const MOST_OF_APPLICATIONS = 5

/** The host at a glance. */
const HOST = [
  'node_cpu_seconds_total',
  'node_network_transmit_bytes_total',
  'node_memory_MemAvailable_bytes',
  'node_disk_written_bytes_total',
  'node_pressure_io_waiting_seconds_total',
  'node_load1',
]

/** What runs an application, and gaugecast itself: known from elsewhere, and not what the application is for. */
const INTERNAL = /^(node|gaugecast|process|go|python|promhttp|scrape|nodejs|jvm|dotnet|otel|target)_|^(up|ALERTS|ALERTS_FOR_STATE)$/
/** What an application tells of itself through gaugecast. */
const OPERATIONS = 'gaugecast_operation'
/** Facts and moments have no course worth a card here. */
const STILL = /_(info|created|timestamp_seconds|start_time_seconds)$/

export function chosenFamilies(families: Iterable<FamilyInfo>): readonly FamilyInfo[] {
  const all = [...families]
  const byName = new Map(all.map((family) => [family.name, family]))
  // What a rule has recorded is of families that have cards.
  const applications = all
    .filter(({ name, type }) => (!INTERNAL.test(name) || name.startsWith(OPERATIONS)) && !STILL.test(name) && !name.includes(':') && type !== 'info')
    .map((family) => ({ family, rank: rank(family) }))
    .sort((a, b) => a.rank - b.rank || (a.family.name < b.family.name ? -1 : 1))
    .slice(0, MOST_OF_APPLICATIONS)
  const host = HOST.flatMap((name) => byName.get(name) ?? [])
  return [...applications.map(({ family }) => family), ...host].slice(0, MOST)
}

function rank({ name, type }: FamilyInfo): number {
  if (type === 'histogram') return 0
  if (/(error|fail|reject|timeout|drop)/i.test(name)) return 1
  if (type === 'summary') return 2
  return type === 'counter' ? 3 : 4
}
