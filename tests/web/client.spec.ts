/**
 * The client, `/client.js` and `gaugecast-client`, against the real server: in Chromium, and in the Node.js that runs
 * this. What is still connected is asked of the server itself, by its metrics.
 */
import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import type { Browser, BrowserContext, Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import type * as client from '../../web/client/index'
import { launch, metric, Proxy, start, stop, until } from './server'
import type { Server } from './server'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))
const ARTIFACTS = join(ROOT, 'artifacts')
/** Faster than users have it, so that nobody waits for ticks. */
const TICK = '--collect.tick=250ms'
const CLIENTS = 'gaugecast_stream_clients'

/** What the scripts of a test page leave for the test to read. */
interface Kept {
  live: client.Live
  ticks: number
  value: number | undefined
  offsets: number[]
  snapshots: number
  phases: string[]
}
declare global {
  var kept: Kept
  /** What `/client.js` exports. */
  var gaugecast: typeof client
}

const scratch = mkdtempSync(join(tmpdir(), 'gaugecast-client-'))
const contexts: BrowserContext[] = []
const proxies: Proxy[] = []
let browser: Browser
let server: Server

beforeAll(async () => {
  mkdirSync(ARTIFACTS, { recursive: true })
  server = await start(0, TICK)
  browser = await launch()
})

afterEach(async () => {
  for (const context of contexts.splice(0)) await context.close()
  for (const proxy of proxies.splice(0)) await proxy.close()
  await until(server, CLIENTS, 0)
})

afterAll(async () => {
  await browser.close()
  await stop(server)
  rmSync(scratch, { recursive: true })
})

async function newContext(options: Parameters<Browser['newContext']>[0] = {}): Promise<BrowserContext> {
  const context = await browser.newContext(options)
  contexts.push(context)
  return context
}

async function throughProxy(): Promise<Proxy> {
  const proxy = await Proxy.to(server)
  proxies.push(proxy)
  return proxy
}

/** Opens an empty page of the server at `url` that has imported `/client.js`. */
async function empty(context: BrowserContext, url: string): Promise<Page> {
  const page = await context.newPage()
  await page.goto(`${url}-/healthy`)
  // As text: Vite would make another function of the import.
  await page.evaluate("import('/client.js').then((client) => { globalThis.gaugecast = client })")
  return page
}

/** Opens a page that follows two series. */
async function follow(context: BrowserContext, url: string, options: client.ConnectOptions = {}): Promise<Page> {
  const page = await empty(context, url)
  await page.evaluate((given) => {
    const { connect } = gaugecast
    const live = connect(undefined, given)
    globalThis.kept = { live, ticks: 0, value: undefined, offsets: [], snapshots: 0, phases: [] }
    live.on('state', ({ phase }) => kept.phases.push(phase))
    live.subscribe(['node_load1', 'process_cpu_seconds_total'], { interval: '250ms' }, (tick) => {
      kept.ticks++
      kept.value = tick.value('node_load1')
      kept.offsets.push(tick.offset)
      if (tick.snapshot) kept.snapshots++
    })
  }, options)
  return page
}

/** Waits for `more` ticks from now on. */
async function ticks(page: Page, more: number): Promise<void> {
  await page.waitForFunction((want) => kept.ticks >= want, (await page.evaluate(() => kept.ticks)) + more)
}

const transport = (page: Page) => page.evaluate(() => kept.live.state.transport)
const phase = (page: Page) => page.evaluate(() => kept.live.state.phase)

test('/client.js is a script that is stored, asked for again, and not sent again', async () => {
  const first = await fetch(`${server.url}client.js`)
  expect(first.headers.get('content-type')).toBe('text/javascript; charset=utf-8')
  expect(first.headers.get('cache-control')).toBe('no-cache')
  expect(await first.text()).toBe(readFileSync(join(ROOT, 'web/dist/client.js'), 'utf8'))
  const again = await fetch(`${server.url}client.js`, { headers: { 'if-none-match': first.headers.get('etag') ?? '' } })
  expect(again.status).toBe(304)
})

describe('a page', () => {
  test('imports /client.js and has live values', async () => {
    const page = await follow(await newContext(), server.url)
    await ticks(page, 3)
    expect(await page.evaluate(() => kept.value)).toBeTypeOf('number')
    expect([await phase(page), await transport(page)]).toEqual(['live', 'websocket'])
  })

  test('whose WebSockets are refused has them by server-sent events', async () => {
    const proxy = await throughProxy()
    proxy.webSockets = false
    const page = await follow(await newContext(), proxy.url)
    await ticks(page, 3)
    expect([await phase(page), await transport(page)]).toEqual(['live', 'sse'])
    expect(proxy.opened).toEqual({ http: 1, webSocket: 0 })

    // Cut, it goes on from where it was, without a snapshot.
    proxy.cut()
    await ticks(page, 3)
    expect(await page.evaluate(() => kept.snapshots)).toBe(1)
    expect(await transport(page)).toBe('sse')
  })

  test('in a browser without WebSocket has them by server-sent events', async () => {
    const context = await newContext()
    await context.addInitScript(() => {
      Reflect.deleteProperty(globalThis, 'WebSocket')
    })
    const page = await follow(context, server.url)
    await ticks(page, 2)
    expect(await transport(page)).toBe('sse')
  })

  test('cut off goes on from its offset, and offsets only grow', async () => {
    const proxy = await throughProxy()
    const page = await follow(await newContext(), proxy.url)
    for (let i = 0; i < 4; i++) {
      await ticks(page, 2)
      proxy.cut()
    }
    await ticks(page, 2)
    expect(await page.evaluate(() => kept.snapshots)).toBe(1)
    const offsets = await page.evaluate(() => kept.offsets)
    // Resumed in the same tick, nothing was missed: that is said, by a tick of the same offset.
    expect(offsets).toEqual([...offsets].sort((a, b) => a - b))
    expect(proxy.opened.webSocket).toBe(5)
  })

  test('survives a restart of the server with everything anew', async () => {
    const page = await follow(await newContext(), server.url)
    await ticks(page, 2)
    await stop(server)
    server = await start(server.port, TICK)
    await page.waitForFunction(() => kept.snapshots === 2)
    await ticks(page, 2)
    expect(await phase(page)).toBe('live')
    expect(await page.evaluate(() => kept.live.state.attempt)).toBe(0)
  })

  test.each(['websocket', 'sse'] as const)('that aborts leaves no connection over %s, and its loop ends', async (kind) => {
    const page = await empty(await newContext(), server.url)
    const seen = page.evaluate(async (by) => {
      const { connect } = gaugecast
      const stop = new AbortController()
      const live = connect('/', { signal: stop.signal, transport: by })
      const second = live.subscribe('up')
      let seen = 0
      for await (const tick of live.subscribe('node_load1', { interval: 250 })) {
        seen += tick.changed.length
        if (++seen > 3) stop.abort()
      }
      for await (const _ of second) throw new Error('has ended')
      return live.state.phase
    }, kind)
    expect(await seen).toBe('closed')
    await until(server, CLIENTS, 0)
    expect(await metric(server, 'gaugecast_stream_subscriptions')).toBe(0)
  })

  test('leaving a loop ends its subscription and no other', async () => {
    const page = await follow(await newContext(), server.url)
    await ticks(page, 1)
    await until(server, 'gaugecast_stream_subscriptions', 1)
    await page.evaluate(async () => {
      for await (const _ of kept.live.subscribe('node_load5')) break
    })
    await until(server, 'gaugecast_stream_subscriptions', 1)
    await ticks(page, 2)
  })

  test('is told what the server refuses, with the place in the selector', async () => {
    const page = await follow(await newContext(), server.url)
    for (const kind of ['websocket', 'sse'] as const) {
      const error = await page.evaluate(async (by) => {
        const { connect } = gaugecast
        const live = connect('/', { transport: by })
        try {
          for await (const _ of live.subscribe('node_load1{')) break
        } catch (error) {
          live.close()
          const { name, code, column } = error as client.RefusedError
          return { name, code, column }
        }
        throw new Error('it was granted')
      }, kind)
      expect(error, kind).toEqual({ name: 'RefusedError', code: 'bad_selector', column: 12 })
    }
  })

  test('changes its selection, and has the values of the new one', async () => {
    const page = await follow(await newContext(), server.url)
    for (const kind of ['websocket', 'sse'] as const) {
      const keys = await page.evaluate(async (by) => {
        const { connect } = gaugecast
        const live = connect('/', { transport: by })
        const subscription = live.subscribe('node_load1')
        const seen: string[][] = []
        for await (const tick of subscription) {
          seen.push([...tick.series.keys()])
          if (seen.length === 1) subscription.update({ match: ['node_load5', 'node_load15'] })
          if (tick.series.has('node_load5')) break
        }
        live.close()
        return [seen[0], [...(seen.at(-1) ?? [])].sort()]
      }, kind)
      expect(keys, kind).toEqual([['node_load1'], ['node_load15', 'node_load5']])
    }
  })
})

describe('tabs', () => {
  test('share one connection, and go on when the one that has it is closed', async () => {
    const context = await newContext()
    const first = await follow(context, server.url, { share: true })
    await ticks(first, 1)
    const second = await follow(context, server.url, { share: true })
    const third = await follow(context, server.url, { share: true })
    await Promise.all([first, second, third].map((page) => ticks(page, 3)))
    expect(await metric(server, CLIENTS)).toBe(1)
    expect(await second.evaluate(() => kept.value)).toBeTypeOf('number')

    // What is for one channel comes to all tabs: that a tab has ticks does not yet say that its subscription stands.
    await until(server, 'gaugecast_stream_subscriptions', 3)

    // A tab that is closed takes its subscription along.
    await third.close()
    await until(server, 'gaugecast_stream_subscriptions', 2)
    const snapshots = await second.evaluate(() => kept.snapshots)
    // The one with the connection: another has it now, from where it was.
    await first.close()
    await ticks(second, 3)
    await until(server, CLIENTS, 1)
    expect(await second.evaluate(() => kept.snapshots)).toBe(snapshots)
    expect(await second.evaluate(() => kept.phases)).not.toContain('offline')
  })

  test('share one connection over server-sent events too', async () => {
    const proxy = await throughProxy()
    proxy.webSockets = false
    const context = await newContext()
    const pages = [await follow(context, proxy.url, { share: true }), await follow(context, proxy.url, { share: true })]
    for (const page of pages) await ticks(page, 3)
    for (const page of pages) expect(await transport(page)).toBe('sse')
    proxy.cut()
    for (const page of pages) await ticks(page, 3)
    for (const page of pages) expect(await page.evaluate(() => kept.snapshots)).toBe(1)
  })

  test('have each their own where the browser has no locks', async () => {
    const context = await newContext()
    await context.addInitScript(() => {
      Reflect.deleteProperty(Navigator.prototype, 'locks')
    })
    const pages = [await follow(context, server.url, { share: true }), await follow(context, server.url, { share: true })]
    for (const page of pages) await ticks(page, 1)
    expect(await metric(server, CLIENTS)).toBe(2)
  })

  test('come back together after a restart of the server', async () => {
    const context = await newContext()
    const pages = [await follow(context, server.url, { share: true }), await follow(context, server.url, { share: true })]
    for (const page of pages) await ticks(page, 1)
    await stop(server)
    server = await start(server.port, TICK)
    for (const page of pages) await page.waitForFunction(() => kept.snapshots === 2)
    for (const page of pages) await ticks(page, 2)
    expect(await metric(server, CLIENTS)).toBe(1)
  })
})

describe('the examples', () => {
  /** Serves the example page from an origin of its own, as if it were somebody's status page. */
  async function statusPage(): Promise<{ url: string; close: () => void; name: (address: string) => void }> {
    let address = ''
    const http = createServer((_, answer) => {
      const html = readFileSync(join(ROOT, 'examples/live.html'), 'utf8')
      expect(html).toContain('http://127.0.0.1:7171/')
      answer.writeHead(200, { 'content-type': 'text/html; charset=utf-8' }).end(html.replace('http://127.0.0.1:7171/', address))
    })
    http.listen(0, '127.0.0.1')
    await once(http, 'listening')
    return {
      url: `http://127.0.0.1:${(http.address() as AddressInfo).port}`,
      close: () => http.close(),
      name: (to) => (address = to),
    }
  }

  test('the page of another origin is live where that is allowed, and fits on phones', async () => {
    const site = await statusPage()
    const allowing = await start(0, `--web.allowed-origin=${site.url}`)
    site.name(allowing.url)
    try {
      for (const width of [1280, 360]) {
        for (const colorScheme of ['light', 'dark'] as const) {
          const context = await newContext({ viewport: { width, height: 640 }, colorScheme })
          const page = await context.newPage()
          await page.goto(site.url)
          await page.getByText(/^live$/i).waitFor()
          await page.waitForFunction(() => [...document.querySelectorAll('[data-series]')].every((cell) => /\d/.test(cell.textContent)))
          expect(await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth)).toBeLessThanOrEqual(0)
          await page.screenshot({ path: join(ARTIFACTS, `example-${width}-${colorScheme}.png`) })
          await context.close()
        }
      }
      // By server-sent events the rules of the browser for other origins are others.
      const context = await newContext()
      await context.addInitScript(() => {
        Reflect.deleteProperty(globalThis, 'WebSocket')
      })
      const page = await context.newPage()
      await page.goto(site.url)
      await page.getByText(/^live$/i).waitFor()
    } finally {
      await stop(allowing)
      site.close()
    }
  })

  test('the page of an origin that is not allowed gets nothing', async () => {
    const site = await statusPage()
    site.name(server.url)
    const page = await (await newContext()).newPage()
    const refused = page.waitForEvent('console', (message) => message.type() === 'error' && message.text().includes('CORS'))
    await page.goto(site.url)
    await refused
    site.close()
  })
})

describe('the package', () => {
  const installed = join(scratch, 'node_modules/gaugecast-client')

  beforeAll(() => {
    execFileSync('npm', ['pack', '--silent', '--pack-destination', scratch], { cwd: join(ROOT, 'web/client') })
    mkdirSync(installed, { recursive: true })
    execFileSync('tar', ['-xzf', join(scratch, 'gaugecast-client-0.1.0.tgz'), '-C', installed, '--strip-components=1'])
    copyFileSync(join(ROOT, 'examples/live.mjs'), join(scratch, 'live.mjs'))
    // Packing builds client, types and element.
  }, 300_000)

  test('has the module, its types, what it says of itself and the licences, and nothing else', () => {
    const listed = execFileSync('tar', ['-tzf', join(scratch, 'gaugecast-client-0.1.0.tgz')], { encoding: 'utf8' })
    const types = ['backoff', 'decode', 'index', 'live', 'machine', 'message', 'model', 'sse', 'tabs', 'websocket', 'wire']
    const files = [...[...types, 'gauge-cast'].map((name) => `dist/${name}.d.ts`), 'dist/client.js', 'dist/gauge-cast.js', 'LICENSE-APACHE', 'LICENSE-MIT', 'README.md', 'package.json']
    expect(listed.trim().split('\n').sort()).toEqual(files.map((name) => `package/${name}`).sort())
    for (const file of ['client.js', 'gauge-cast.js']) expect(readFileSync(join(installed, 'dist', file))).toEqual(readFileSync(join(ROOT, 'web/dist', file)))
    const { dependencies, version } = JSON.parse(readFileSync(join(installed, 'package.json'), 'utf8')) as Record<string, unknown>
    expect(dependencies).toBeUndefined()
    expect(readFileSync(join(ROOT, 'Cargo.toml'), 'utf8')).toContain(`version = "${String(version)}"`)
    expect(readFileSync(join(installed, 'dist/client.js'), 'utf8')).toContain(`gaugecast-client/${String(version)}`)
  })

  test('has types that strict TypeScript takes, in the ways in which it resolves modules', () => {
    writeFileSync(
      join(scratch, 'use.mts'),
      `import { connect, RefusedError } from 'gaugecast-client'
       import type { Series, Tick } from 'gaugecast-client'
       import type { GaugeCast } from 'gaugecast-client/element'
       const live = connect('http://127.0.0.1:7171', { signal: AbortSignal.timeout(1) })
       const load: number | undefined = live.subscribe('node_load1').value('node_load1')
       live.subscribe(['a', 'b'], { interval: '5s', onError: (error: RefusedError) => { console.log(error.column) } }, (tick: Tick) => {
         const all: readonly Series[] = tick.changed
         console.log(load, all[0]?.labels['cpu'])
       })
       live.on('state', ({ phase }) => { const known: 'connecting' | 'live' | 'recovering' | 'offline' | 'closed' = phase; console.log(known) })
       live.on('event', ({ seq, kind, body }) => { console.log(seq, kind, body['step_ms']) })
       const element: GaugeCast | null = document.querySelector('gauge-cast')
       if (element !== null) element.token = 'secret'
       // @ts-expect-error the state is read
       if (element !== null) element.state = 'live'
       // @ts-expect-error there is no such event
       live.on('nothing', () => undefined)
      `,
    )
    const strict = { noEmit: true, strict: true, skipDefaultLibCheck: true, exactOptionalPropertyTypes: true, target: 'ES2022', lib: ['ES2022', 'DOM'], types: [] }
    for (const [module, moduleResolution] of [['NodeNext', 'NodeNext'], ['ESNext', 'bundler']] as const) {
      writeFileSync(join(scratch, 'tsconfig.json'), JSON.stringify({ compilerOptions: { ...strict, module, moduleResolution }, files: ['use.mts'] }))
      const { status, stdout } = spawnSync(join(ROOT, 'web/node_modules/.bin/tsc'), { cwd: scratch, encoding: 'utf8' })
      expect([status, stdout]).toEqual([0, ''])
    }
    // Two whole runs of the compiler.
  }, 300_000)

  test('its element can be imported where there are no elements, as on a server that renders pages', () => {
    writeFileSync(join(scratch, 'render.mjs'), "const { GaugeCast } = await import('gaugecast-client/element')\nconsole.log(typeof GaugeCast)\n")
    expect(execFileSync(process.execPath, ['render.mjs'], { cwd: scratch, encoding: 'utf8' })).toBe('function\n')
  })

  test.each([
    ['over WebSocket where Node.js has it', ['--experimental-websocket'], 'websocket'],
    ['over server-sent events where it has not', ['--no-experimental-websocket'], 'sse'],
  ])('its example prints values %s, and ends with a signal', async (_, flags, by) => {
    const opened = `gaugecast_stream_opened_total{transport="${by}"}`
    const before = await metric(server, opened)
    const child = spawn(process.execPath, ['--no-warnings', ...flags, 'live.mjs', server.url], { cwd: scratch, stdio: ['ignore', 'pipe', 'inherit'] })
    const ended = once(child, 'exit')
    let lines = 0
    for await (const line of createInterface({ input: child.stdout })) {
      expect(line).toMatch(/^\d{4}-\d\d-\d\dT[\d:.]+Z [\d.]+$/)
      if (++lines === 2) child.kill('SIGINT')
    }
    expect(await ended).toEqual([0, null])
    expect(await metric(server, opened)).toBe(before + 1)
  })
})
