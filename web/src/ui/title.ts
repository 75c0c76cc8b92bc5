/** What a card is called. */
import type { FamilyInfo } from '../model/store'

/** A title longer than this would be cut; the words of the name are then the better ones. */
const LONGEST = 32

const KNOWN: Readonly<Record<string, string>> = {
  node_cpu_seconds_total: 'CPU',
  node_cpu_guest_seconds_total: 'CPU in guests',
  node_load1: 'Load, 1 minute',
  node_load5: 'Load, 5 minutes',
  node_load15: 'Load, 15 minutes',
  node_memory_MemTotal_bytes: 'Memory total',
  node_memory_MemAvailable_bytes: 'Memory available',
  node_memory_MemFree_bytes: 'Memory free',
  node_memory_oom_kill_total: 'OOM kills',
  node_network_receive_bytes_total: 'Network in',
  node_network_transmit_bytes_total: 'Network out',
  node_network_receive_packets_total: 'Packets in',
  node_network_transmit_packets_total: 'Packets out',
  node_network_speed_bytes: 'Link speed',
  node_network_up: 'Network devices up',
  node_netstat_IpExt_InOctets: 'IPv4 bytes in',
  node_netstat_IpExt_OutOctets: 'IPv4 bytes out',
  node_netstat_Ip6_InOctets: 'IPv6 bytes in',
  node_netstat_Ip6_OutOctets: 'IPv6 bytes out',
  node_netstat_Tcp_CurrEstab: 'TCP connections established',
  node_netstat_Tcp_RetransSegs: 'TCP segments sent again',
  node_netstat_TcpExt_TCPSynRetrans: 'TCP SYNs sent again',
  node_netstat_TcpExt_TCPTimeouts: 'TCP timeouts',
  node_disk_read_bytes_total: 'Disk read',
  node_disk_written_bytes_total: 'Disk written',
  node_disk_io_time_seconds_total: 'Disk busy',
  node_disk_io_time_weighted_seconds_total: 'Disk queue',
  node_disk_read_time_seconds_total: 'Disk read time',
  node_disk_write_time_seconds_total: 'Disk write time',
  node_filesystem_avail_bytes: 'Filesystem available',
  node_filesystem_size_bytes: 'Filesystem size',
  node_filesystem_files: 'Filesystem inodes',
  node_filesystem_files_free: 'Filesystem inodes free',
  node_pressure_cpu_waiting_seconds_total: 'Waiting for CPU',
  node_pressure_io_waiting_seconds_total: 'Waiting for I/O',
  node_pressure_io_stalled_seconds_total: 'Stalled by I/O',
  node_pressure_memory_waiting_seconds_total: 'Waiting for memory',
  node_pressure_memory_stalled_seconds_total: 'Stalled by memory',
  node_vmstat_oom_kill: 'OOM kills',
  node_vmstat_pgfault: 'Page faults',
  node_vmstat_pgmajfault: 'Major page faults',
  node_vmstat_pgpgin: 'Paged in',
  node_vmstat_pgpgout: 'Paged out',
  node_vmstat_pswpin: 'Swapped in',
  node_vmstat_pswpout: 'Swapped out',
  node_boot_time_seconds: 'Booted',
  node_time_seconds: 'System time',
  node_uname_info: 'Kernel',
  node_os_info: 'Operating system',
  process_start_time_seconds: 'Process started',
  process_cpu_seconds_total: 'Process CPU',
  process_max_fds: 'Open file descriptors allowed',
  process_virtual_memory_max_bytes: 'Virtual memory allowed',
  gaugecast_build_info: 'Build',
  gaugecast_stream_bytes_total: 'Stream traffic',
  gaugecast_cgroup_cpu_usage_seconds_total: 'CPU of the control group',
  gaugecast_cgroup_cpu_throttled_seconds_total: 'CPU throttled',
  gaugecast_cgroup_memory_usage_bytes: 'Memory of the control group',
}

/** What HELP begins with that says nothing on a card, which shows how much and of which family anyway. */
const PREAMBLE = /^(this is )?(the )?((total )?(number|count) of )?(currently )?/i
/** Said by the unit beside the number. */
const UNIT = /( size)? in (bytes|seconds)$/i
/** Kinds of HELP that only repeat the name, or say where it was read. */
const EMPTY = /\b(statistics?|field|property)\b|^metric read from|\bunixtime\b/i

/** A known name, else HELP's first clause if it is short, else the words of the family's name. */
export function titleOf(family: Pick<FamilyInfo, 'name' | 'help'>): string {
  const known = KNOWN[family.name]
  if (known !== undefined) return known
  const first = family.help.split(/[.;\n](?:\s|$)|\s\(/)[0]?.trim() ?? ''
  const clause = first.replace(PREAMBLE, '').replace(UNIT, '').replace(/ successfully$/, '').replace(/^seconds spent/i, 'time spent').replace(/in state (?=inuse)?/, '')
  // A part of a clause would say something else.
  if (clause === '' || clause.length > LONGEST || /[,:]/.test(clause) || EMPTY.test(first)) return fromName(family.name)
  return capital(clause)
}

/** Words for a direction; a card of both has none. */
const DIRECTION = /^(transmit|receive|written|read|writes|reads|write|sent|received|out|in|tx|rx)$/i

/** What two directions of the same thing are called together, from the name of one of them. */
export function titleOfGroup(family: Pick<FamilyInfo, 'name'>): string {
  const words = fromName(family.name).split(' ').filter((word) => !DIRECTION.test(word)).join(' ')
  return words === '' ? family.name : capital(words)
}

/** Words of names that are read in another way. */
const WORDS: Readonly<Record<string, string>> = {
  arp: 'ARP', avail: 'available', bytes: '', colls: 'collisions', cpu: 'CPU', drop: 'drops', errs: 'errors', fds: 'file descriptors', fifo: 'FIFO',
  filefd: 'file descriptors', http: 'HTTP',
  icmp: 'ICMP', icmp6: 'ICMPv6', id: 'ID', io: 'I/O', ip: 'IP', ip6: 'IPv6', ipext: 'IP', mtime: 'modified', mtu: 'MTU', netstat: '', nf: '', oom: 'OOM', os: 'OS', procs: 'processes', rsvd: 'reserved', surp: 'surplus',
  ratio: '', seconds: '', sockstat: '', stat: '', tcp: 'TCP', tcpext: 'TCP', timestamp: '', udp: 'UDP', udp6: 'UDPv6', udplite: 'UDP-Lite',
  udplite6: 'UDP-Lite v6', vmstat: '',
}
/** First parts that say where a family comes from, as the rail and the line under the title do. */
const SOURCES = new Set(['node', 'gaugecast'])

/** `node_network_carrier_changes_total`: "Network carrier changes". */
function fromName(name: string): string {
  // That of a recording rule is written by who reads it: its levels, the name, what was done.
  if (name.includes(':')) return name
  const parts = name.replace(/_total$/, '').split('_').filter((part) => part !== '')
  if (parts.length > 1 && SOURCES.has(parts[0] ?? '')) parts.shift()
  const words = parts.map((part) => WORDS[part.toLowerCase()] ?? (/^([A-Z][a-z]+)+$/.test(part) ? apart(part) : part)).filter((word) => word !== '')
  return words.length === 0 ? name : capital(words.join(' '))
}

/** `InErrors`: "in errors". */
function apart(word: string): string {
  return word.replace(/(?!^)[A-Z]/g, ' $&').toLowerCase()
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1)
}
