/**
 * The overview in a real browser: over a quiet server with nothing but its host, and over one with an application, targets and
 * trouble. Screenshots go to `artifacts/`.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Browser, Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { launch, Pages, portray, start, stop } from './server'
import type { Server } from './server'

const ARTIFACTS = fileURLToPath(new URL('../../artifacts/', import.meta.url))
const scratch = mkdtempSync(join(tmpdir(), 'gaugecast-overview-'))

let browser: Browser
let quiet: Server
let busy: Server
const pages = new Pages(() => browser)

const RULES = `
groups:
  - name: shop
    interval: 250ms
    rules:
${['emergency', 'critical', 'warning', 'info', 'info', 'info', 'info'].map((level, i) => `      - {alert: Shop${i}, expr: shop_queue_length > ${i}, labels: {severity: ${level}}}\n`).join('')}
`
const SHOP = `# HELP shop_latency_seconds How long a request takes.
# TYPE shop_latency_seconds histogram
shop_latency_seconds_bucket{le="0.1"} 90
shop_latency_seconds_bucket{le="+Inf"} 100
shop_latency_seconds_sum 10
shop_latency_seconds_count 100
# TYPE http_requests_total counter
http_requests_total{code="200"} 100
# TYPE shop_queue_length gauge
shop_queue_length 12
`

beforeAll(async () => {
  mkdirSync(ARTIFACTS, { recursive: true })
  mkdirSync(join(scratch, 'text'))
  writeFileSync(join(scratch, 'rules.yml'), RULES)
  writeFileSync(join(scratch, 'gaugecast.yml'), 'rule_files: [rules.yml]\n')
  writeFileSync(join(scratch, 'text', 'shop.prom'), SHOP)
  quiet = await start(0, '--collect.tick=250ms', '--rules.built-in=false')
  busy = await start(0, '--collect.tick=250ms', '--rules.built-in=false', `--config.file=${join(scratch, 'gaugecast.yml')}`, `--collector.textfile.directory=${join(scratch, 'text')}`, `--scrape=127.0.0.1:${quiet.port}`, '--scrape=http://127.0.0.1:9/metrics')
  browser = await launch()
})

afterEach(async () => {
  await pages.close()
})

afterAll(async () => {
  await browser.close()
  await stop(busy)
  await stop(quiet)
  rmSync(scratch, { recursive: true })
})

async function open(server: Server, width: number): Promise<Page> {
  // The first page there is: nothing behind the address.
  const page = await pages.open(server.url, { width })
  // A rate needs two values.
  await page.locator('.tile', { has: page.locator('b:text-is("CPU")') }).locator('.value', { hasText: /\d/ }).waitFor()
  return page
}

async function fits(page: Page): Promise<void> {
  expect(await page.locator('main').evaluate((main) => main.scrollWidth - main.clientWidth), 'the page does not scroll sideways').toBeLessThanOrEqual(0)
  expect(await page.locator('main').innerText()).not.toMatch(/NaN|undefined|null|\d[eE]\+\d/)
}

describe.each([1280, 360])('at %i pixels', (width) => {
  test('a quiet server is calm: nothing missing looks broken', async () => {
    const page = await open(quiet, width)
    await page.getByRole('heading', { name: 'All quiet' }).waitFor()
    expect(await page.locator('.alert, .unusual, .target-rows, .refused, .firing-count').count()).toBe(0)
    expect(await page.locator('.tile b').allInnerTexts()).toEqual(expect.arrayContaining(['CPU', 'Memory', 'Load', 'Clients', 'Frames']))
    expect(await page.locator('.tile b').allInnerTexts()).not.toContain('Requests')
    await page.locator('.card[data-family="node_cpu_seconds_total"]').waitFor()
    // What is one thing has one card.
    await page.locator('.card[data-family="node_network_transmit_bytes_total node_network_receive_bytes_total"][data-title="Network"]').waitFor()
    await page.locator('.card[data-family^="node_memory_MemTotal_bytes "][data-title="Memory"]').waitFor()
    await fits(page)
    await portray(page, join(ARTIFACTS, `overview-quiet-${width}`), true)
  })

  test('trouble is first: the worst five alerts, then a number', async () => {
    const page = await open(busy, width)
    await page.getByRole('heading', { name: '7 alerts firing' }).waitFor()
    expect(await page.locator('.alert .level').allInnerTexts()).toEqual(['Emergency', 'Critical', 'Warning', 'Info', 'Info'])
    expect(await page.getByRole('link', { name: '2 more' }).getAttribute('href')).toBe('#alerts')
    expect(await page.title()).toBe('(7) gaugecast')
    const worst = await page.locator('.alert').first().boundingBox()
    expect((worst?.y ?? Infinity) + (worst?.height ?? 0), 'above the fold').toBeLessThan(800)
    expect(await page.locator('.tile b').allInnerTexts()).toContain('Requests')
    expect(await page.locator('.lately .card').first().getAttribute('data-family')).toBe('shop_latency_seconds')
    await page.locator('.target-rows li.down .end', { hasText: 'down' }).waitFor()
    expect(await page.locator('.target-rows li').first().getAttribute('class')).toBe('down')
    await page.locator('.headline', { hasText: '1 of 2 targets up' }).waitFor()
    await fits(page)
    await portray(page, join(ARTIFACTS, `overview-trouble-${width}`), true)
  })
})

test('a tile follows its value while the page is open', async () => {
  const page = await open(busy, 1280)
  const clients = page.locator('.tile', { has: page.locator('b:text-is("Clients")') }).locator('.value')
  await clients.filter({ hasText: /^1$/ }).waitFor()
  const other = await open(busy, 1280)
  await clients.filter({ hasText: /^2$/ }).waitFor()
  await other.close()
  await clients.filter({ hasText: /^1$/ }).waitFor()
})

test('the past of all that is shown is asked for in a few requests, and not anew with each tick', async () => {
  const page = await (await pages.context()).newPage()
  let asked = 0
  page.on('request', (request) => {
    if (/\/history\?.*start=/.test(request.url())) asked++
  })
  const ticks = new Promise<void>((enough) => {
    let frames = 0
    page.on('websocket', (socket) => socket.on('framereceived', () => {
      if (++frames === 30) enough()
    }))
  })
  await page.goto(quiet.url)
  await ticks
  expect(await page.locator('.tile').count()).toBeGreaterThan(8)
  expect(asked).toBeGreaterThan(0)
  expect(asked).toBeLessThan(12)
})

test('what is looked for by its name is found on the page of all', async () => {
  const page = await open(busy, 1280)
  await page.getByRole('searchbox').fill('shop')
  await page.locator('.explore .card[data-family="shop_queue_length"]').waitFor()
  expect(await page.getByRole('searchbox').inputValue()).toBe('shop')
  await page.goBack()
  await page.getByRole('heading', { name: '7 alerts firing' }).waitFor()
  expect(await page.getByRole('searchbox').inputValue()).toBe('')
})

test('an alert opens on its page, wherever it was pressed', async () => {
  const page = await open(busy, 1280)
  await page.locator('.alert').first().click({ position: { x: 400, y: 8 } })
  await page.locator('.alert.open .what b', { hasText: 'Shop0' }).waitFor()
  expect(new URL(page.url()).hash).toMatch(/^#alerts\/[0-9a-f]{16}$/)
})
