/**
 * gaugecast beside Netdata and node_exporter on this host: what each takes while nobody looks, and while one browser has its
 * page open, over BESIDE_SECONDS (60) each, one after the other. Netdata is measured if Debian's is installed
 * (`apt install netdata-core netdata-web`). Prints the table of docs/comparison.md.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'

const { chromium } = createRequire(new URL('../../web/package.json', import.meta.url))('playwright-core')
const SECONDS = Number(process.env.BESIDE_SECONDS ?? 60)
const TICKS = 100

async function freePort() {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address()
  server.close()
  return port
}

/** The process and all below it. */
function family(pid) {
  const parents = readdirSync('/proc').filter((name) => /^\d+$/.test(name)).flatMap((name) => {
    try {
      return [[Number(name), Number(readFileSync(`/proc/${name}/stat`, 'utf8').split(') ')[1].split(' ')[1])]]
    } catch {
      return []
    }
  })
  const found = [pid]
  for (const one of found) found.push(...parents.filter(([, parent]) => parent === one).map(([child]) => child))
  return found
}

/** Seconds of CPU so far, and resident MiB, of a process and all below it. */
function costs(pid) {
  let cpu = 0
  let resident = 0
  for (const one of family(pid)) {
    try {
      const fields = readFileSync(`/proc/${one}/stat`, 'utf8').split(') ')[1].split(' ')
      // Of those that have ended too, as their parents know it.
      cpu += fields.slice(11, 15).reduce((sum, ticks) => sum + Number(ticks), 0) / TICKS
      resident += Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${one}/status`, 'utf8'))?.[1] ?? 0) / 1024
    } catch {
      // It has ended in between.
    }
  }
  return { cpu, resident }
}

async function over(pid, seconds) {
  const before = costs(pid)
  await pause(seconds * 1000)
  const after = costs(pid)
  return { percent: ((after.cpu - before.cpu) / seconds) * 100, resident: after.resident }
}

async function answers(url) {
  for (;;) {
    try {
      if ((await fetch(url)).ok) return
    } catch {
      await pause(100)
    }
  }
}

async function measure(name, begin, page) {
  const port = await freePort()
  const scratch = mkdtempSync(join(tmpdir(), 'beside-'))
  const [command, ...argv] = begin(port, scratch)
  const { GAUGECAST_BIN: _, ...env } = process.env
  const child = spawn(command, argv, { stdio: 'ignore', env, detached: true })
  const url = `http://127.0.0.1:${port}`
  await answers(url + (page ?? '/metrics'))
  // It has read what it reads once.
  await pause(10_000)
  const idle = await over(child.pid, SECONDS)
  let viewed = null
  if (page !== null) {
    const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking'] })
    const tab = await (await browser.newContext({ viewport: { width: 1280, height: 800 } })).newPage()
    const session = await tab.context().newCDPSession(tab)
    await session.send('Network.enable')
    let bytes = 0
    let requests = 0
    const elsewhere = new Set()
    session.on('Network.loadingFinished', ({ encodedDataLength }) => (bytes += encodedDataLength))
    session.on('Network.webSocketFrameReceived', ({ response }) => (bytes += response.payloadData.length))
    session.on('Network.requestWillBeSent', ({ request }) => {
      requests++
      const { host } = new URL(request.url)
      if (host !== `127.0.0.1:${port}` && host !== '') elsewhere.add(host)
    })
    await session.send('Performance.enable')
    const busy = async () => (await session.send('Performance.getMetrics')).metrics.find((one) => one.name === 'TaskDuration').value
    await tab.goto(url + page)
    await pause(5_000)
    const loaded = { bytes, requests }
    const before = { bytes, requests, busy: await busy() }
    const server = await over(child.pid, SECONDS)
    viewed = {
      ...server,
      loaded,
      bytes: (bytes - before.bytes) / SECONDS,
      requests: (requests - before.requests) / SECONDS,
      busy: (((await busy()) - before.busy) / SECONDS) * 1000,
      elsewhere: [...elsewhere],
    }
    await browser.close()
  }
  process.kill(-child.pid, 'SIGTERM')
  await once(child, 'exit')
  rmSync(scratch, { recursive: true, force: true, maxRetries: 5 })
  return { name, idle, viewed }
}

const found = []
found.push(await measure('gaugecast', (port, scratch) => [process.env.GAUGECAST_BIN ?? 'target/release/gaugecast', `--web.listen-address=127.0.0.1:${port}`, `--storage.path=${scratch}`], '/'))
found.push(await measure('node_exporter', (port) => ['prometheus-node-exporter', `--web.listen-address=127.0.0.1:${port}`], null))
if (existsSync('/usr/sbin/netdata')) {
  found.push(
    await measure(
      'Netdata',
      (port, scratch) => {
        const file = join(scratch, 'netdata.conf')
        writeFileSync(file, `[global]\nrun as user = ${process.env.USER ?? 'root'}\n[directories]\ncache = ${scratch}\nlib = ${scratch}\nlog = ${scratch}\n[db]\nmode = ram\n[web]\nbind to = 127.0.0.1\ndefault port = ${port}\n[cloud]\nenabled = no\n`)
        return ['/usr/sbin/netdata', '-D', '-c', file, '-P', join(scratch, 'pid')]
      },
      '/',
    ),
  )
} else {
  console.log('Netdata is not installed, so it is not measured.')
}
const n = (value, digits = 1) => value.toFixed(digits)
console.log('| | CPU of a core | resident | with its page open: CPU | to load the page | then a second | main thread of the browser a second |\n| --- | --- | --- | --- | --- | --- | --- |')
for (const { name, idle, viewed } of found) {
  const seen = viewed === null ? ['no page', '', '', ''] : [`${n(viewed.percent, 2)} %`, `${n(viewed.loaded.bytes / 1024, 0)} KiB in ${viewed.loaded.requests} requests`, `${n(viewed.bytes / 1024)} KiB, ${n(viewed.requests)} requests`, `${n(viewed.busy, 0)} ms`]
  console.log(`| ${[name, `${n(idle.percent, 2)} %`, `${n(idle.resident)} MiB`, ...seen].join(' | ')} |`)
}
for (const { name, viewed } of found) if ((viewed?.elsewhere.length ?? 0) > 0) console.log(`${name} asked other hosts: ${viewed.elsewhere.join(', ')}`)
