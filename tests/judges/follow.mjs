// Follows one subscription through every broken connection, by docs/protocol.md and by nothing of ours:
//
//   node follow.mjs ws|chromium-ws|chromium-sse ORIGIN SELECTOR INTERVAL
//
// with Node's `ws`, or in Chromium with its own WebSocket or EventSource. For every state that it reaches it prints a line,
// {"epoch", "offset", "connections", "values": {key: value}}; {"fault": why} if the protocol was broken; {"event": seq}
// for an event. It ends when its input does.
import { createRequire } from 'node:module'

const [kind, origin, match, interval] = process.argv.slice(2)
const require = createRequire(new URL('../../web/package.json', import.meta.url))

/** Runs in the browser too, so it stands alone. `report` takes an object. */
function follow({ sse, origin, match, interval, WebSocket: Socket }, report) {
  let epoch = null
  let offset = null
  let connections = 0
  let seq = null
  let parts = []
  const series = new Map()
  const values = new Map()

  const fault = (why) => report({ fault: why })
  const apply = (frames) => {
    if (frames[0].type === 'snapshot') {
      values.clear()
      epoch = frames[0].epoch
    }
    for (const frame of frames) {
      for (const [id, value] of frame.values) {
        if (!series.has(id)) fault(`a value of series ${id}, which no schema told`)
        values.set(id, value)
      }
      for (const id of frame.stale ?? []) values.delete(id)
    }
    offset = frames[0].offset
    report({ epoch, offset, connections, values: Object.fromEntries([...values].map(([id, v]) => [series.get(id), v])) })
  }
  const take = (message) => {
    switch (message.type) {
      case 'welcome':
        connections += 1
        parts = []
        if (epoch !== null && message.epoch !== epoch) fault('another life of the server')
        seq ??= message.seq
        break
      case 'subscribed':
        if (message.recovered && offset === null) fault('recovered what never was')
        if (!message.recovered) {
          series.clear()
          values.clear()
          epoch = offset = null
        }
        break
      case 'schema':
        for (const { id, name, labels } of message.series) series.set(id, `${name}${JSON.stringify(labels)}`)
        break
      case 'delta':
        if (message.prev !== offset) fault(`a delta from ${message.prev} where ${offset} was reached`)
        if (message.offset < message.prev) fault('a delta that goes back')
      // falls through
      case 'snapshot':
        if ((message.part ?? 1) !== parts.length + 1) fault('parts out of order')
        parts.push(message)
        if (parts.length < (message.parts ?? 1)) break
        apply(parts.splice(0))
        break
      case 'event':
        seq = message.seq
        report({ event: seq, kind: message.kind })
        break
      case 'error':
        fault(message.message)
    }
  }

  const listen = () => {
    // Nothing, or where a new EventSource goes on in the place of one that gave up.
    const last = offset === null ? '' : `&last_event_id=${epoch}:${offset}`
    const source = new EventSource(
      `${origin}/api/v1/stream/sse?match[]=${encodeURIComponent(match)}&interval=${interval}${last}`,
    )
    for (const type of ['welcome', 'subscribed', 'schema', 'snapshot', 'delta', 'event', 'error']) {
      source.addEventListener(type, (event) => event.data && take(JSON.parse(event.data)))
    }
    // It comes back by itself, but not in Chromium if the head of an answer breaks off.
    source.onerror = () => source.readyState === EventSource.CLOSED && setTimeout(listen, 20)
  }
  const connect = () => {
    const socket = new (Socket ?? WebSocket)(`${origin.replace('http', 'ws')}/api/v1/stream/ws`, 'gaugecast.v1.json')
    socket.onmessage = ({ data }) => {
      const message = JSON.parse(data)
      take(message)
      if (message.type !== 'welcome') return
      socket.send(JSON.stringify({ type: 'hello', client: 'judge', resume: { epoch: message.epoch, seq } }))
      const resume = offset === null ? {} : { resume: { epoch, offset } }
      socket.send(JSON.stringify({ type: 'subscribe', sub: 's', match: [match], interval, ...resume }))
    }
    socket.onerror = () => {} // a close follows
    socket.onclose = () => setTimeout(connect, 20)
  }
  if (sse) listen()
  else connect()
}

const print = (what) => process.stdout.write(`${JSON.stringify(what)}\n`)
process.stdin.resume().on('end', () => process.exit())

if (kind === 'ws') {
  follow({ origin, match, interval, WebSocket: require('ws') }, print)
} else {
  const { chromium } = require('playwright-core')
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
  })
  const page = await browser.newPage()
  // Of the same origin, and with no scripts of its own.
  await page.goto(`${origin}/-/healthy`)
  await page.exposeFunction('report', print)
  page.on('pageerror', (error) => print({ fault: String(error) }))
  await page.evaluate(`(${follow})(${JSON.stringify({ sse: kind === 'chromium-sse', origin, match, interval })}, report)`)
}
