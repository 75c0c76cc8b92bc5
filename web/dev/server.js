/**
 * A server for working on the page without building the binary: serves `dist` and speaks the stream's protocol with
 * invented numbers. `npm run build && npm run dev`, then open the address it prints; PORT=… keeps the port.
 *
 * Not used by any test of the project: those drive the real binary.
 */
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { extname } from 'node:path'
import { WebSocketServer } from 'ws'

const TYPES = { '.html': 'text/html; charset=utf-8', '.js': 'text/javascript; charset=utf-8', '.css': 'text/css; charset=utf-8', '.svg': 'image/svg+xml' }
const CSP = "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"

/** @typedef {{ id: number, name: string, labels: Record<string, string>, family: string, next: (t: number) => number | string }} FakeSeries */

/** @type {Record<string, { type: string, help: string, unit: string }>} */
const families = {}
/** @type {FakeSeries[]} */
const series = []

/**
 * @param {string} name @param {string} type @param {string} help
 * @param {Record<string, (t: number) => number | string>} rows label text such as `cpu=0,mode=user` to its value
 */
function family(name, type, help, rows) {
  families[name] = { type, help, unit: '' }
  for (const [text, next] of Object.entries(rows)) {
    const colon = text.indexOf('!')
    const suffix = colon < 0 ? '' : text.slice(0, colon)
    const labels = Object.fromEntries(
      (colon < 0 ? text : text.slice(colon + 1)).split(',').filter(Boolean).map((pair) => [pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1)]),
    )
    series.push({ id: series.length + 1, name: name + suffix, labels, family: name, next })
  }
}

/** A value that wanders around `mean`. @param {number} mean @param {number} spread @param {boolean} [whole] */
function walk(mean, spread, whole = false) {
  let value = mean
  return () => {
    value += (mean - value) * 0.03 + (Math.random() - 0.5) * spread
    value = Math.max(0, value)
    return whole ? Math.round(value) : value
  }
}
/** A counter whose rate wanders. @param {number} mean @param {number} spread @param {number} [start] @param {boolean} [whole] */
function count(mean, spread, start = 0, whole = false) {
  const rate = walk(mean, spread)
  let total = start
  return () => {
    total += rate()
    return whole ? Math.round(total) : total
  }
}
/** @param {number | string} value */
const constant = (value) => () => value

const CPUS = 4
const MODES = { user: 0.24, system: 0.11, iowait: 0.015, idle: 0.6, irq: 0, softirq: 0.01, steal: 0, nice: 0.002 }
family('node_cpu_seconds_total', 'counter', 'Seconds the CPUs spent in each mode.',
  Object.fromEntries(Array.from({ length: CPUS }, (_, cpu) => Object.entries(MODES).map(([mode, rate]) => [`cpu=${cpu},mode=${mode}`, rate === 0 ? constant(0) : count(rate, rate * 0.4, 5000)])).flat()))
family('node_load1', 'gauge', '1m load average.', { '': walk(2.8, 0.2) })
family('node_load5', 'gauge', '5m load average.', { '': walk(2.4, 0.05) })
family('node_load15', 'gauge', '15m load average.', { '': walk(2.1, 0.02) })
for (const [field, mean, spread] of /** @type {const} */ ([['MemTotal', 16.6e9, 0], ['MemFree', 2.1e9, 3e7], ['MemAvailable', 7.2e9, 4e7], ['Cached', 5.5e9, 2e7], ['Buffers', 6.4e8, 1e6], ['SwapTotal', 0, 0], ['SwapFree', 0, 0], ['Dirty', 8e5, 3e5], ['Active', 6e9, 2e7], ['Slab', 7e8, 1e6]])) {
  family(`node_memory_${field}_bytes`, 'gauge', `Memory information field ${field}_bytes.`, { '': spread === 0 ? constant(mean) : walk(mean, spread, true) })
}
for (const [what, help] of /** @type {const} */ ([['receive_bytes', 'Network device statistic receive_bytes.'], ['transmit_bytes', 'Network device statistic transmit_bytes.'], ['receive_packets', 'Network device statistic receive_packets.'], ['receive_errs', 'Network device statistic receive_errs.']])) {
  const scale = what.endsWith('bytes') ? 1 : 0.001
  family(`node_network_${what}_total`, 'counter', help, { 'device=eth0': count(what.endsWith('errs') ? 0 : 3e7 * scale, what.endsWith('errs') ? 0 : 4e6 * scale, 1e10, true), 'device=lo': count(what.endsWith('errs') ? 0 : 9e5 * scale, 3e5 * scale, 1e9, true) })
}
family('node_network_up', 'gauge', 'Value is 1 if operstate is \'up\', 0 otherwise.', { 'device=eth0': constant(1), 'device=lo': constant(1), 'device=wlan0': (t) => (t / 40_000) % 2 < 1 ? 0 : 1 })
family('node_disk_io_time_seconds_total', 'counter', 'Total seconds spent doing I/Os.', { 'device=nvme0n1': count(0.13, 0.03), 'device=sda': count(0.01, 0.005) })
family('node_disk_read_bytes_total', 'counter', 'The total number of bytes read successfully.', { 'device=nvme0n1': count(1e6, 4e5, 1e9, true), 'device=sda': constant(8192) })
family('node_disk_written_bytes_total', 'counter', 'The total number of bytes written successfully.', { 'device=nvme0n1': count(6.8e6, 2e6, 1e9, true), 'device=sda': constant(0) })
family('node_filesystem_avail_bytes', 'gauge', 'Filesystem space available to non-root users in bytes.', { 'device=/dev/nvme0n1p2,mountpoint=/': walk(8e10, 1e6, true), 'device=/dev/nvme0n1p1,mountpoint=/boot': constant(4.1e8), 'device=tmpfs,mountpoint=/run': constant(1.6e9) })
family('node_filefd_allocated', 'gauge', 'File descriptor statistics: allocated.', { '': walk(3424, 20, true) })
family('node_boot_time_seconds', 'gauge', 'Node boot time, in unixtime.', { '': constant(Date.now() / 1000 - 3_553_400) })
family('node_time_seconds', 'gauge', 'System time in seconds since epoch (1970).', { '': (t) => t / 1000 })
family('node_uname_info', 'gauge', 'Labeled system information as provided by the uname system call.', { 'machine=x86_64,nodename=web-01,release=6.1.0-28-amd64,sysname=Linux,version=#1 SMP PREEMPT_DYNAMIC Debian': constant(1) })
family('node_pressure_cpu_waiting_seconds_total', 'counter', 'Total time in seconds that processes have waited for CPU time', { '': count(0.02, 0.02) })
family('node_pressure_io_waiting_seconds_total', 'counter', 'Total time in seconds that processes have waited due to IO congestion', { '': count(0.004, 0.004) })
family('node_hwmon_temp_celsius', 'gauge', 'Hardware monitor for temperature (input)', { 'chip=coretemp,sensor=temp1': walk(54, 1.5), 'chip=coretemp,sensor=temp2': walk(51, 1.5), 'chip=nvme,sensor=temp1': walk(38, 0.3) })
family('node_context_switches_total', 'counter', 'Total number of context switches.', { '': count(21000, 4000, 1e9, true) })
family('node_forks_total', 'counter', 'Total number of forks.', { '': count(12, 9, 1e5, true) })
family('node_procs_running', 'gauge', 'Number of processes in runnable state.', { '': walk(3, 2, true) })
family('node_procs_blocked', 'gauge', 'Number of processes blocked waiting for I/O to complete.', { '': constant(0) })
family('node_nf_conntrack_entries', 'gauge', 'Number of currently allocated flow entries for connection tracking.', { '': walk(640, 30, true) })
family('node_scrape_collector_success', 'gauge', 'node_exporter: Whether a collector succeeded.', Object.fromEntries(['cpu', 'diskstats', 'filesystem', 'loadavg', 'meminfo', 'netdev', 'hwmon'].map((c) => [`collector=${c}`, constant(c === 'hwmon' ? 0 : 1)])))
family('node_schedstat_running_seconds_total', 'counter', 'Number of seconds CPU spent running a process.', Object.fromEntries(Array.from({ length: 12 }, (_, i) => [`cpu=${i}`, count(0.1 + i * 0.05, 0.05)])))
family('process_cpu_seconds_total', 'counter', 'Total user and system CPU time spent in seconds.', { '': count(0.002, 0.001) })
family('process_resident_memory_bytes', 'gauge', 'Resident memory size in bytes.', { '': walk(1.6e7, 5e4, true) })
family('process_start_time_seconds', 'gauge', 'Start time of the process since unix epoch in seconds.', { '': constant(Date.now() / 1000) })
family('process_open_fds', 'gauge', 'Number of open file descriptors.', { '': walk(24, 2, true) })
family('gaugecast_build_info', 'gauge', 'What this binary was built from.', { 'version=0.1.0,revision=9f3c1ab,rustversion=1.91': constant(1) })
family('gaugecast_tick_duration_seconds', 'gauge', 'How long the last tick took.', { '': walk(0.0021, 0.0004) })
family('odd_values', 'gauge', 'Values that are none.', { 'kind=nan': constant('NaN'), 'kind=inf': constant('+Inf') })
family('shop_stock_items', 'gauge', 'Items in stock', Object.fromEntries(Array.from({ length: 412 }, (_, i) => [`warehouse=w-${i}`, walk(48000 / (i + 1), 20, true)])))
family('shop_hostile', 'gauge', 'A label that would like to be HTML', { [`name=<img src=x onerror=1>${'x'.repeat(200)}`]: walk(5, 1), 'name=tame': walk(3, 1) })
{
  const bounds = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5]
  const totals = new Float64Array(bounds.length + 1)
  let sum = 0
  let slow = 1
  const tick = () => {
    slow += (1 - slow) * 0.02 + (Math.random() < 0.01 ? 3 : 0)
    for (let n = 0; n < 240; n++) {
      const v = Math.exp(-4.2 + (Math.random() + Math.random() + Math.random() - 1.5) * 1.8) * slow
      sum += v
      for (let b = 0; b < bounds.length; b++) if (v <= (bounds[b] ?? 0)) totals[b] = (totals[b] ?? 0) + 1
      totals[bounds.length] = (totals[bounds.length] ?? 0) + 1
    }
    return totals[0] ?? 0
  }
  family('shop_request_duration_seconds', 'histogram', 'Request duration', {
    ...Object.fromEntries(bounds.map((le, b) => [`_bucket!le=${le}`, b === 0 ? tick : () => totals[b] ?? 0])),
    '_bucket!le=+Inf': () => totals[bounds.length] ?? 0,
    '_sum!': () => sum,
    '_count!': () => totals[bounds.length] ?? 0,
  })
}

const epoch = Math.random().toString(16).slice(2, 10)
/** HISTORY=300 sends so many seconds to a new page at once, to look at it without waiting. */
const HISTORY = Number(process.env.HISTORY ?? 0)
let offset = 0
/** The last ticks, oldest first, each with all values. @type {{ offset: number, t: number, values: (number | string)[] }[]} */
const ticks = []

/** Commits one tick and forgets the oldest. @param {number} t */
function commit(t) {
  ticks.push({ offset: ++offset, t, values: series.map((one) => one.next(t)) })
  if (ticks.length > HISTORY + 2) ticks.shift()
}

/** What changed in tick `i` of those kept. @param {number} i */
function delta(i) {
  const [before, now] = [ticks[i - 1], ticks[i]]
  if (before === undefined || now === undefined) throw new RangeError('two ticks make a delta')
  const values = series.flatMap(({ id }, k) => (now.values[k] === before.values[k] ? [] : [[id, now.values[k]]]))
  return { type: 'delta', channel: 3, offset: now.offset, prev: before.offset, t: now.t, values }
}

const server = createServer((request, response) => {
  const path = (request.url ?? '/').split('?')[0] ?? '/'
  const file = path === '/' ? '/index.html' : path
  readFile(new URL(`../dist${file}`, import.meta.url)).then(
    (body) => {
      response.writeHead(200, { 'content-type': TYPES[/** @type {keyof typeof TYPES} */ (extname(file))] ?? 'text/plain', 'content-security-policy': CSP })
      response.end(body)
    },
    () => response.writeHead(404).end('not found'),
  )
})
const sockets = new WebSocketServer({ server, path: '/api/v1/stream/ws', handleProtocols: () => 'gaugecast.v1.json' })
/** @type {Set<import('ws').WebSocket>} */
const subscribed = new Set()

sockets.on('connection', (socket) => {
  const send = (/** @type {unknown} */ message) => socket.send(JSON.stringify(message))
  send({ type: 'welcome', session: 's', epoch, server_time: Date.now(), ping_ms: 25000, limits: {}, features: [] })
  socket.on('close', () => subscribed.delete(socket))
  socket.on('message', (data) => {
    const message = JSON.parse(String(data))
    if (message.type !== 'subscribe') return
    send({ type: 'subscribed', sub: message.sub, channel: 3, interval_ms: 1000, matched: series.length, recovered: false })
    send({ type: 'schema', channel: 3, families, series: series.map(({ id, name, labels, family: f }) => ({ id, name, labels, ...(f === name ? {} : { family: f }) })) })
    const [first] = ticks
    send({ type: 'snapshot', channel: 3, epoch, offset: first?.offset, t: first?.t, values: series.map(({ id }, k) => [id, first?.values[k]]) })
    for (let i = 1; i < ticks.length; i++) send(delta(i))
    subscribed.add(socket)
  })
})

for (let i = HISTORY + 1; i >= 0; i--) commit(Date.now() - i * 1000)
setInterval(() => {
  commit(Date.now())
  const text = JSON.stringify(delta(ticks.length - 1))
  for (const socket of subscribed) socket.send(text)
}, 1000)
server.listen(Number(process.env['PORT'] ?? 0), '127.0.0.1', () => {
  const address = server.address()
  console.log(`  page     http://127.0.0.1:${typeof address === 'object' ? address?.port : address}/`)
})
