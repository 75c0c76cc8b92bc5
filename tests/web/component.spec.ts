/**
 * `<gauge-cast>` on pages of another origin than the server's, which load it from the real server: the example page, and
 * pages that move, change and remove elements, whose server is restarted, and whose labels would like to be HTML.
 */
import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { Server as HttpServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Browser, Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { launch, Pages, sideways, start, stop, until } from './server'
import type { Look, Server } from './server'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))
const ARTIFACTS = join(ROOT, 'artifacts')
const CLIENTS = 'gaugecast_stream_clients'
const SUBSCRIPTIONS = 'gaugecast_stream_subscriptions'
const HOSTILE = `<img src=x onerror=1>${'x'.repeat(80)}`

const scratch = mkdtempSync(join(tmpdir(), 'gaugecast-component-'))
let browser: Browser
let site: HttpServer
let origin: string
let html = ''
let server: Server
const pages = new Pages(() => browser, (message) => message.type() === 'error' && !message.text().includes('favicon'))

const serve = (port: number, ...flags: readonly string[]) =>
  start(port, '--collect.tick=250ms', `--web.allowed-origin=${origin}`, `--collector.textfile.directory=${scratch}`, ...flags)

beforeAll(async () => {
  mkdirSync(ARTIFACTS, { recursive: true })
  writeFileSync(join(scratch, 'hostile.prom'), `# TYPE shop_hostile gauge\nshop_hostile{name="${HOSTILE}"} 5\nshop_hostile{name="tame"} 3\n`)
  // The strictest policy a status page can have with a server elsewhere.
  site = createServer((_, answer) => {
    const { url } = server
    const policy = `default-src 'none'; script-src ${url}; connect-src ${url} ${url.replace('http', 'ws')}; style-src 'unsafe-inline'`
    answer.writeHead(200, { 'content-type': 'text/html; charset=utf-8', 'content-security-policy': html.includes('<style') ? policy : policy.replace(/;[^;]*$/, '') }).end(html)
  })
  site.listen(0, '127.0.0.1')
  await once(site, 'listening')
  origin = `http://127.0.0.1:${(site.address() as AddressInfo).port}`
  server = await serve(0)
  browser = await launch()
})

afterEach(async () => {
  await pages.close()
  await until(server, CLIENTS, 0)
})

afterAll(async () => {
  await browser.close()
  await stop(server)
  site.close()
  rmSync(scratch, { recursive: true })
})

/** Opens a page of the other origin with this in its body. */
function open(body: string, look: Look = {}): Promise<Page> {
  html = body.includes('<!doctype') ? body : `<!doctype html><title>Status</title><script type="module" src="${server.url}gauge-cast.js"></script>${body}`
  return pages.open(origin, { height: 720, ...look })
}

const example = () => {
  const page = readFileSync(join(ROOT, 'examples/status-page.html'), 'utf8')
  expect(page).toContain('http://127.0.0.1:7171/')
  return page.replaceAll('http://127.0.0.1:7171/', server.url)
}

/** Waits until all elements of the page are in this state. */
const all = (page: Page, state: string) =>
  page.waitForFunction((wanted) => {
    const elements = [...document.querySelectorAll('gauge-cast')]
    return elements.length > 0 && elements.every((element) => (element as unknown as { state: string }).state === wanted)
  }, state)

const number = (page: Page, selector = 'gauge-cast') => page.locator(`${selector} .value`).first()

/** Waits until an element shows another number than now. */
async function seeAChange(page: Page, selector = 'gauge-cast'): Promise<void> {
  const part = number(page, selector)
  const before = await part.textContent()
  await page.waitForFunction(([path, old]) => {
    const text = document.querySelector(path ?? '')?.shadowRoot?.querySelector('.value')?.textContent ?? ''
    return /\d/.test(text) && text !== old
  }, [selector, before])
}

test('the example page of another origin shows values that change, in both themes and widths', async () => {
  for (const width of [1280, 360]) {
    for (const theme of ['light', 'dark'] as const) {
      const page = await open(example(), { width, height: 760, theme })
      await all(page, 'live')
      await page.waitForFunction(() => [...document.querySelectorAll('gauge-cast')].every((one) => /\d/.test(one.shadowRoot?.textContent ?? '')))
      await page.locator('gauge-cast[type=line] path.line[d*="L"]').first().waitFor({ state: 'attached' })
      await seeAChange(page, 'gauge-cast[title="Received"]')
      expect(await sideways(page)).toBeLessThanOrEqual(0)
      await page.screenshot({ path: join(ARTIFACTS, `component-${width}-${theme}.png`) })
      expect(pages.complaints).toEqual([])
      // Six elements, one connection.
      await until(server, CLIENTS, 1)
      await pages.close()
      await until(server, CLIENTS, 0)
    }
  }
})

test('two elements have one connection; the last that goes closes it, and one that is moved keeps what it has', async () => {
  const page = await open('<main><gauge-cast match="node_load1"></gauge-cast></main><aside><gauge-cast id="b" match="process_cpu_seconds_total" unit="seconds"></gauge-cast></aside>')
  await all(page, 'live')
  await until(server, SUBSCRIPTIONS, 2)
  await until(server, CLIENTS, 1)

  // Moved within one turn, it is not even asked for again.
  const asked = await page.evaluate(() => {
    const element = document.querySelector('#b')
    document.querySelector('main')?.append(element ?? '')
    return new Promise((resolve) => {
      queueMicrotask(() => { queueMicrotask(() => { resolve((element as unknown as { state: string }).state) }) })
    })
  })
  expect(asked).toBe('live')
  await seeAChange(page, '#b')

  await page.evaluate(() => { document.querySelector('main > gauge-cast')?.remove() })
  await until(server, SUBSCRIPTIONS, 1)
  await page.evaluate(() => { document.querySelector('gauge-cast')?.remove() })
  await until(server, CLIENTS, 0)
})

test('changed attributes change what is shown, and mistakes are said in words', async () => {
  const page = await open('<gauge-cast match="node_load1" title="Load"></gauge-cast>')
  await all(page, 'live')
  const state = page.locator('gauge-cast .state')
  const set = (name: string, value: string | null) =>
    page.evaluate(([attribute, text]) => {
      const element = document.querySelector('gauge-cast')
      if (text == null) element?.removeAttribute(attribute ?? '')
      else element?.setAttribute(attribute ?? '', text)
    }, [name, value])

  await set('type', 'pie')
  await state.getByText('type is one of value, line, gauge, bar').waitFor()
  await set('type', 'line')
  await all(page, 'live')
  await page.locator('gauge-cast path.line').first().waitFor({ state: 'attached' })
  await until(server, SUBSCRIPTIONS, 1)

  await set('match', 'node_load1{')
  await all(page, 'refused')
  expect(await state.textContent()).toMatch(/\S/)
  expect(await state.getAttribute('role')).toBe('status')
  await set('match', null)
  await set('query', 'vector(21) * 2')
  await all(page, 'live')
  await page.waitForFunction(() => document.querySelector('gauge-cast')?.shadowRoot?.querySelector('.value')?.textContent === '42')

  await set('query', 'vector(1) > 2')
  await state.getByText('no series now').waitFor()
  await set('server', 'ftp://nowhere')
  await all(page, 'refused')
})

test('thresholds are said in words and counted downwards where they fall', async () => {
  const page = await open(
    '<gauge-cast id="a" query="vector(0.97)" type="gauge" unit="ratio" thresholds="0.8 0.95"></gauge-cast><gauge-cast id="b" query="vector(4)" thresholds="5,2"></gauge-cast><gauge-cast id="c" query="vector(9)" thresholds="5,2"></gauge-cast>',
  )
  await all(page, 'live')
  const level = (id: string) => page.locator(`#${id} .level`)
  await level('a').getByText('critical').waitFor()
  await level('b').getByText('warning').waitFor()
  await page.locator('#c .value', { hasText: /^9$/ }).waitFor()
  expect(await level('c').textContent()).toBe('')
  expect(await page.locator('#a .value').textContent()).toBe('97.0')
  expect(await page.locator('#a path.arc').getAttribute('stroke-dasharray')).toBe('97.00 200')
})

test('labels that would like to be HTML stay text', async () => {
  const page = await open(`<gauge-cast match="shop_hostile" type="bar" title="${HOSTILE.replaceAll('<', '&lt;')}"></gauge-cast>`)
  await all(page, 'live')
  await page.locator('gauge-cast li').nth(1).waitFor()
  expect(await page.locator('gauge-cast .label').first().textContent()).toBe(HOSTILE)
  expect(await page.locator('gauge-cast .title').textContent()).toBe(HOSTILE)
  expect(await page.evaluate(() => document.querySelector('gauge-cast')?.shadowRoot?.querySelectorAll('img, script').length)).toBe(0)
  expect(pages.complaints).toEqual([])
})

test('when the server goes it says so and keeps the last value, and when it comes back the number moves again', async () => {
  const page = await open('<gauge-cast match="process_cpu_seconds_total" type="line" unit="seconds" title="CPU time"></gauge-cast>')
  await all(page, 'live')
  await seeAChange(page)
  await stop(server)
  await all(page, 'disconnected')
  expect(await page.locator('gauge-cast .state').textContent()).toMatch(/^disconnected.*last value of/)
  expect(await number(page).textContent()).toMatch(/\d/)
  await page.screenshot({ path: join(ARTIFACTS, 'component-disconnected.png') })
  server = await serve(server.port)
  await all(page, 'live')
  await seeAChange(page)
})

test('a token is a property, also one set before the element was defined, and holds for all elements of its server', async () => {
  const { GAUGECAST_BIN: binary = '' } = process.env
  const file = `--web.token-file=${join(scratch, 'tokens.json')}`
  const token = execFileSync(binary, ['token', 'create', 'viewer', '--scope', 'stream', file], { encoding: 'utf8' }).trim()
  const usual = server
  server = await serve(0, file)
  try {
    const page = await open('<gauge-cast id="a" match="node_load1"></gauge-cast><gauge-cast id="b" match="node_load5"></gauge-cast>')
    await all(page, 'disconnected')
    expect(await page.locator('#a .state').textContent()).toContain('needs a token')
    await page.evaluate((given) => { Object.assign(document.querySelector('#a') ?? {}, { token: given }) }, token)
    await all(page, 'live')
    expect(await page.evaluate((given) => document.documentElement.outerHTML.includes(given), token)).toBe(false)

    // Before the module came, the element is a plain one with a property.
    const early = await open(`<!doctype html><title>Early</title><gauge-cast match="node_load1"></gauge-cast>`)
    await early.evaluate(([given, url]) => {
      Object.assign(document.querySelector('gauge-cast') ?? {}, { token: given })
      const script = document.createElement('script')
      Object.assign(script, { type: 'module', src: `${url ?? ''}gauge-cast.js` })
      document.head.append(script)
    }, [token, server.url])
    await all(early, 'live')
  } finally {
    await stop(server)
    server = usual
  }
})
