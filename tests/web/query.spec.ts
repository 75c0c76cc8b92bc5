/** The query page against the real server: written, completed and run by the keyboard, live, wrong, empty, many, and by its link. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Browser, Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { launch, Pages, sideways, start, stop, warns } from './server'
import type { Look, Server } from './server'

const ARTIFACTS = fileURLToPath(new URL('../../artifacts/', import.meta.url))
const scratch = mkdtempSync(join(tmpdir(), 'gaugecast-query-'))
let browser: Browser
let server: Server
// That the API refuses a query is what some of these are about.
const pages = new Pages(() => browser, (message) => warns(message) && !message.text().includes('status of 400'))

beforeAll(async () => {
  mkdirSync(ARTIFACTS, { recursive: true })
  const stock = Array.from({ length: 300 }, (_, i) => `shop_stock_items{warehouse="w-${i}"} ${i}`).join('\n')
  writeFileSync(join(scratch, 'shop.prom'), `# TYPE shop_stock_items gauge\n${stock}\n`)
  server = await start(0, `--collector.textfile.directory=${scratch}`)
  browser = await launch()
})

afterEach(async () => {
  await pages.close()
})

afterAll(async () => {
  await browser.close()
  await stop(server)
  rmSync(scratch, { recursive: true })
})

const open = (hash: string, look: Look = {}) => pages.open(server.url + hash, { theme: 'dark', ...look })
const link = (expression: string, more = '') => `#query?expr=${encodeURIComponent(expression)}${more}`
const expr = (page: Page) => page.evaluate(() => new URLSearchParams(location.hash.split('?')[1]).get('expr'))

/** Waits until the card has a number, and then another one. */
async function seeAChange(page: Page): Promise<void> {
  const value = page.locator('.query .card .value')
  await value.filter({ hasText: /\d/ }).waitFor()
  const before = await value.textContent()
  await page.waitForFunction((old) => document.querySelector('.query .card .value')?.textContent !== old, before)
}

test('a query is completed and run by the keyboard alone, and its result is live', async () => {
  const page = await open('#explore')
  await page.locator('.card').first().waitFor()
  await page.keyboard.press('g')
  await page.keyboard.press('q')
  const field = page.getByRole('combobox', { name: 'PromQL expression' })
  await field.waitFor()
  await page.waitForFunction(() => document.activeElement?.tagName === 'TEXTAREA')
  const list = page.getByRole('listbox')
  const first = (text: string) => list.getByRole('option').first().filter({ hasText: text }).waitFor()
  await page.keyboard.type('rat')
  await first('rate')
  await page.keyboard.press('Tab')
  expect(await field.inputValue()).toBe('rate()')
  await page.keyboard.type('node_cpu_sec')
  await first('node_cpu_seconds_total')
  // By arrows and Enter too, which runs nothing while something is chosen.
  await page.keyboard.press('ArrowDown')
  expect(await field.getAttribute('aria-activedescendant')).toBe('query-0-0')
  await page.keyboard.press('Enter')
  expect(await field.inputValue()).toBe('rate(node_cpu_seconds_total)')
  await page.keyboard.type('{mo')
  await first('mode')
  await page.keyboard.press('Tab')
  await first('idle')
  await page.keyboard.type('"us')
  await first('user')
  await page.keyboard.press('Tab')
  await page.keyboard.type('}[30')
  await first('30s')
  await page.keyboard.press('Tab')
  await page.keyboard.type(']')
  const written = 'rate(node_cpu_seconds_total{mode="user"}[30s])'
  expect(await field.inputValue()).toBe(written)
  expect(await expr(page)).toBeNull()
  await page.keyboard.press('Enter')
  await page.getByText(/answered in .*live, every 1\u202fs/).waitFor()
  expect(await expr(page)).toBe(written)
  await seeAChange(page)
  // Seconds a second are a share.
  expect(await page.locator('.query .card .unit').textContent()).toBe('%')
  await page.locator('.table tbody tr').first().waitFor()
  await page.keyboard.press('Escape')
  expect(pages.complaints).toEqual([])
})

test('Shift and Enter begin a line, and Escape closes the list before it leaves the field', async () => {
  const page = await open('#query')
  const field = page.locator('textarea')
  await field.pressSequentially('sum(')
  await page.keyboard.press('Shift+Enter')
  await page.keyboard.type('node_lo')
  await page.getByRole('option').first().waitFor()
  await page.keyboard.press('Escape')
  await page.getByRole('option').first().waitFor({ state: 'detached' })
  expect(await page.evaluate(() => document.activeElement?.tagName)).toBe('TEXTAREA')
  expect(await field.inputValue()).toBe('sum(\nnode_lo')
  await page.keyboard.press('Escape')
  expect(await page.evaluate(() => document.activeElement?.tagName)).toBe('BODY')
})

test('an error is said in the server’s words and marked at its place', async () => {
  const page = await open('#query')
  await page.locator('textarea').fill('sum(rate(node_load1[1m]) by')
  await page.keyboard.press('Enter')
  const alert = page.locator('.refused[role="alert"]')
  await alert.waitFor()
  expect(await alert.textContent()).toBe('column 26: unexpected <by> in aggregation')
  expect(await page.locator('.expression mark').textContent()).toBe('by')
  expect(await page.locator('textarea').getAttribute('aria-invalid')).toBe('true')
  await page.locator('textarea').fill('sum(\n  rate(node_load1[1m]) by')
  expect(await page.locator('.expression mark').count()).toBe(0)
  await page.keyboard.press('Enter')
  await page.getByText('line 2, column 24:').waitFor()
  await page.locator('textarea').fill('sum(node_load1)')
  await page.keyboard.press('Enter')
  await seeAChange(page)
  expect(await page.locator('.refused[role="alert"]').count()).toBe(0)
  expect(pages.complaints).toEqual([])
})

test('a link opens the same queries in the same view, and the last ones are remembered', async () => {
  const page = await open(`${link('node_load1', '&view=area')}&expr2=${encodeURIComponent('rate(node_network_receive_bytes_total[10s])')}`)
  await page.locator('.query').nth(1).locator('.card .value', { hasText: /\d/ }).waitFor()
  expect(await page.locator('textarea').first().inputValue()).toBe('node_load1')
  expect(await page.locator('.query').first().getByRole('button', { name: 'Area' }).getAttribute('aria-pressed')).toBe('true')
  expect(await page.locator('.query').nth(1).locator('.card .unit').textContent()).toMatch(/B\/s$/)
  await page.locator('textarea').first().fill('node_load5')
  await page.keyboard.press('Enter')
  await page.waitForFunction(() => location.hash.includes('node_load5') && location.hash.includes('expr2='))
  await page.getByRole('button', { name: 'Remove this query' }).first().click()
  await page.waitForFunction(() => document.querySelectorAll('.query').length === 1 && !location.hash.includes('expr2='))
  expect(await expr(page)).toBe('rate(node_network_receive_bytes_total[10s])')
  await page.goto(`${server.url}#query`)
  await page.getByRole('region', { name: 'Last queries' }).getByRole('link', { name: 'node_load5' }).click()
  await page.locator('.query .card .value', { hasText: /\d/ }).waitFor()
  expect(await expr(page)).toBe('node_load5')
})

test('a text, a range, a scalar and nothing are said for what they are', async () => {
  const page = await open(link('"a <b>text</b>"'))
  await page.locator('.text-result', { hasText: 'a <b>text</b>' }).waitFor()
  await page.goto(server.url + link('node_load1[10s]'))
  await page.getByText('A range of samples: 1 series').waitFor()
  await page.getByRole('link', { name: 'rate(node_load1[10s])' }).click()
  // What a rate of a gauge means is remarked by the server.
  await page.getByText('metric might not be a counter').waitFor()
  await page.goto(server.url + link('1 + 1'))
  await page.getByText('a scalar').waitFor()
  await page.locator('.query .card .value', { hasText: '2' }).waitFor()
  await page.goto(server.url + link('node_load1 > 1e9'))
  await page.getByText('The query gives no series now.').waitFor()
  await page.getByText(/^0 series/).waitFor()
})

test('of many series some are shown, and how many there are', async () => {
  const page = await open(link('shop_stock_items'))
  await page.getByText('40 of 300 shown.').waitFor()
  await page.locator('.table tbody tr').first().getByText('w-299').waitFor()
  await page.getByRole('button', { name: 'Show 200 more' }).click()
  await page.waitForFunction(() => document.querySelectorAll('.table tbody tr').length === 240)
  await page.getByRole('button', { name: 'warehouse' }).click()
  await page.locator('.table tbody tr').first().getByText('w-0', { exact: true }).waitFor()
})

test.each([1280, 360])('at %i pixels nothing scrolls sideways, in both themes', async (width) => {
  for (const theme of ['dark', 'light'] as const) {
    const page = await open(link('sum by (device) (rate(node_network_receive_bytes_total[10s]))'), { width, theme })
    await page.locator('.query .card .value', { hasText: /\d/ }).waitFor()
    await page.locator('.table td.number', { hasText: /\d/ }).first().waitFor()
    expect(await sideways(page)).toBeLessThanOrEqual(0)
    await page.screenshot({ path: join(ARTIFACTS, `query-${width}-${theme}.png`) })
    expect(pages.complaints).toEqual([])
  }
})
