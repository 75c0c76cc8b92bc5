/**
 * Which families have a card on the overview: those of applications before those of the host, and of them what tells most:
 * how long things take, what fails, how much there is. Families that are one thing share a card, here as everywhere.
 */
import { cardsOf } from './group'
import type { CardSpec } from './spec'
import type { FamilyInfo } from './store'

/** So many cards at most; the rest is on the page of all. */
const MOST = 9
/** Of an application, so that the host is seen too. */
const MOST_OF_APPLICATIONS = 5

/** The host at a glance, by one family of each card. */
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

export function chosenCards(families: ReadonlyMap<string, FamilyInfo>): readonly CardSpec[] {
  const cards = cardsOf([...families.values()], (name) => families.get(name)).map((spec) => ({ spec, names: spec.families ?? [spec.family ?? ''] }))
  // What a rule has recorded is of families that have cards.
  const applications = cards
    .filter(({ names: [first = ''] }) => (!INTERNAL.test(first) || first.startsWith(OPERATIONS)) && !STILL.test(first) && !first.includes(':') && families.get(first)?.type !== 'info')
    .map(({ spec, names }) => ({ spec, name: names[0] ?? '', rank: Math.min(...names.map((name) => rank(name, families.get(name)))) }))
    .sort((a, b) => a.rank - b.rank || (a.name < b.name ? -1 : 1))
    .slice(0, MOST_OF_APPLICATIONS)
  const host = HOST.flatMap((name) => cards.find(({ names }) => names.includes(name)) ?? [])
  return [...applications, ...host].slice(0, MOST).map(({ spec }) => spec)
}

function rank(name: string, family: FamilyInfo | undefined): number {
  const type = family?.type
  if (type === 'histogram') return 0
  if (/(error|fail|reject|timeout|drop)/i.test(name)) return 1
  if (type === 'summary') return 2
  return type === 'counter' ? 3 : 4
}
