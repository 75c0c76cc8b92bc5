/** What a card is called. */
import type { FamilyInfo } from '../model/store'

/** A title longer than this would be cut; the name is then the better one. */
const LONGEST = 32

const KNOWN: Readonly<Record<string, string>> = {
  node_cpu_seconds_total: 'CPU',
  node_memory_MemTotal_bytes: 'Memory total',
  node_memory_MemAvailable_bytes: 'Memory available',
  node_memory_MemFree_bytes: 'Memory free',
  node_network_receive_bytes_total: 'Network in',
  node_network_transmit_bytes_total: 'Network out',
  node_disk_read_bytes_total: 'Disk read',
  node_disk_written_bytes_total: 'Disk written',
  node_disk_io_time_seconds_total: 'Disk busy',
  node_filesystem_avail_bytes: 'Filesystem available',
  node_boot_time_seconds: 'Booted',
  process_start_time_seconds: 'Process started',
}

/** A known name, else HELP's first clause if it is short, else the name of the family. */
export function titleOf(family: Pick<FamilyInfo, 'name' | 'help'>): string {
  const known = KNOWN[family.name]
  if (known !== undefined) return known
  const first = family.help.split(/[.;\n](?:\s|$)|\s\(/)[0]?.trim() ?? ''
  const clause = first.replace(/^(the )?(total )?number of /i, '')
  // A part of a clause would say something else, and "Statistic X" only repeats the name.
  if (clause === '' || clause.length > LONGEST || /[,:]|\b(statistic|field)\b/i.test(clause)) return family.name
  return clause.charAt(0).toUpperCase() + clause.slice(1)
}
