/**
 * Boards that are there from the beginning: for this host, and examples of what a board can be. Each has only cards of
 * families that exist, and one without any is not offered.
 */
import type { CardSpec } from '../spec'
import { arrange } from './layout'
import type { Place } from './layout'
import type { Board } from './schema'

interface Offered extends CardSpec, Partial<Pick<Place, 'w' | 'h'>> {
  /** The families that must be there; the card's own by default. */
  readonly needs?: readonly string[]
}

interface BuiltIn {
  readonly title: string
  readonly cards: readonly Offered[]
}

/** A name in `_ratio` has the result shown in percent. */
const MEMORY: Offered = {
  title: 'Memory used',
  query: 'label_replace(1 - node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes, "__name__", "memory_used_ratio", "", "")',
  needs: ['node_memory_MemAvailable_bytes', 'node_memory_MemTotal_bytes'],
}

export const BUILT_IN: readonly BuiltIn[] = [
  {
    title: 'This host',
    cards: [
      { title: 'CPU', family: 'node_cpu_seconds_total', view: 'gauge', w: 3 },
      { ...MEMORY, view: 'gauge', w: 3 },
      { family: 'node_load1', w: 6 },
      { family: 'node_cpu_seconds_total', w: 6 },
      { family: 'node_memory_MemAvailable_bytes', w: 6 },
      { family: 'node_disk_read_bytes_total' },
      { family: 'node_disk_written_bytes_total' },
      { family: 'node_network_receive_bytes_total' },
      { family: 'node_network_transmit_bytes_total' },
      { family: 'node_filesystem_avail_bytes' },
      { family: 'node_procs_running' },
    ],
  },
  {
    title: 'Pressure',
    cards: [
      { family: 'node_pressure_cpu_waiting_seconds_total' },
      { family: 'node_pressure_io_waiting_seconds_total' },
      { family: 'node_pressure_memory_waiting_seconds_total' },
      { family: 'node_pressure_io_stalled_seconds_total' },
      { family: 'node_pressure_memory_stalled_seconds_total' },
      { family: 'node_context_switches_total' },
    ],
  },
  {
    title: 'Network',
    cards: [
      { title: 'Received', query: 'sum by (device) (rate(node_network_receive_bytes_total[10s]))', needs: ['node_network_receive_bytes_total'], w: 6 },
      { title: 'Sent', query: 'sum by (device) (rate(node_network_transmit_bytes_total[10s]))', needs: ['node_network_transmit_bytes_total'], w: 6 },
      { family: 'node_netstat_Tcp_CurrEstab' },
      { family: 'node_sockstat_TCP_tw' },
      { family: 'node_network_receive_drop_total' },
      { family: 'node_network_up' },
    ],
  },
  {
    title: 'gaugecast itself',
    cards: [
      { family: 'gaugecast_stream_clients' },
      { family: 'gaugecast_stream_subscriptions' },
      { family: 'gaugecast_stream_delivery_lag_seconds' },
      { family: 'gaugecast_tick_duration_seconds' },
      { family: 'process_cpu_seconds_total' },
      { family: 'process_resident_memory_bytes' },
      { family: 'process_open_fds' },
    ],
  },
]

/** Those that have something to show here. */
export function builtInBoards(exists: (family: string) => boolean): readonly Board[] {
  return BUILT_IN.map(({ title, cards }) => ({
    title,
    cards: arrange(cards.filter(({ needs, family }) => (needs ?? [family ?? '']).every(exists)).map(({ needs: _, ...card }, id) => ({ ...card, id }))),
  })).filter(({ cards }) => cards.length > 0)
}
