/**
 * The page against the real server in a real browser: the binary named by GAUGECAST_BIN, Debian's Chromium (or
 * CHROMIUM). Screenshots of each theme and width go to `artifacts/`.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Browser, Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { launch, Pages, sideways, start, stop, warns } from './server'
import type { Server } from './server'

const ARTIFACTS = fileURLToPath(new URL('../../artifacts/', import.meta.url))
const HOSTILE = `<img src=x onerror=1>${'x'.repeat(200)}`
const REFUSED = /Content Security Policy/i

const scratch = mkdtempSync(join(tmpdir(), 'gaugecast-page-'))
const TEXTFILES = `--collector.textfile.directory=${scratch}`
let browser: Browser
let server: Server
/** Complaints are errors, refused content, and requests to elsewhere. */
const pages = new Pages(() => browser, (message) => warns(message) || REFUSED.test(message.text()))

async function open(width: number, theme: 'dark' | 'light'): Promise<Page> {
  const page = await (await pages.context({ width, theme })).newPage()
  const asked = (one: { url: () => string }) => {
    if (new URL(one.url()).host !== new URL(server.url).host) pages.complaints.push(`request: ${one.url()}`)
  }
  page.on('request', asked)
  page.on('websocket', asked)
  await page.goto(`${server.url}#explore`)
  await page.locator('.card').first().waitFor()
  return page
}

/** Waits until the header of some card shows another number than now. */
async function seeAValueChange(page: Page): Promise<void> {
  await page.waitForFunction(() => [...document.querySelectorAll('.card .value')].some((value) => /\d/.test(value.textContent)))
  const before = await page.locator('.card .value').allTextContents()
  await page.waitForFunction((old) => [...document.querySelectorAll('.card .value')].some((value, i) => /\d/.test(old[i] ?? '') && value.textContent !== old[i]), before)
}

/** Waits for a screen that is drawn: each card on it has its number or its facts. */
async function settle(page: Page): Promise<void> {
  await page.waitForFunction(() =>
    [...document.querySelectorAll('.card')].every((card) => card.getBoundingClientRect().top > innerHeight || card.querySelector('.body')?.childElementCount !== 0),
  )
}

/** Waits for so many frames of the browser. */
const frames = (page: Page, count: number) =>
  page.evaluate(async (n) => {
    for (let i = 0; i < n; i++) await new Promise(requestAnimationFrame)
  }, count)

beforeAll(async () => {
  mkdirSync(ARTIFACTS, { recursive: true })
  writeFileSync(
    join(scratch, 'hostile.prom'),
    `# HELP shop_hostile A label that would like to be HTML.\n# TYPE shop_hostile gauge\nshop_hostile{name="${HOSTILE}"} 5\nshop_hostile{name="tame"} 3\n`,
  )
  server = await start(0, TEXTFILES)
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

describe.each([1280, 360])('at %i pixels', (width) => {
  test.each(['dark', 'light'] as const)('in the %s theme the page is live, asks nobody else and does not scroll sideways', async (theme) => {
    const page = await open(width, theme)
    await seeAValueChange(page)
    await page.getByRole('button', { name: 'Live' }).waitFor()
    expect(await sideways(page)).toBeLessThanOrEqual(0)
    const background = await page.evaluate(() => getComputedStyle(document.body).backgroundColor)
    expect(background).toBe(theme === 'dark' ? 'rgb(14, 17, 22)' : 'rgb(245, 246, 248)')
    await settle(page)
    await page.screenshot({ path: join(ARTIFACTS, `page-${width}-${theme}.png`) })
    expect(pages.complaints).toEqual([])
  })
})

test('every family has a card, and finding narrows them by words in any order', async () => {
  const page = await open(1280, 'dark')
  await page.locator('.card[data-family="node_load1"]').waitFor()
  const all = await page.locator('.card').count()
  await page.keyboard.press('/')
  await page.keyboard.type('hostile SHOP')
  await page.waitForFunction(() => document.querySelectorAll('.card').length === 1)
  expect(await page.locator('.card').getAttribute('data-family')).toBe('shop_hostile')
  await page.keyboard.press('Escape')
  await page.waitForFunction((count) => document.querySelectorAll('.card').length >= count, all)
})

test('hostile label values are text', async () => {
  const page = await open(360, 'light')
  await page.getByRole('searchbox').fill('onerror')
  const label = page.locator('.card .label', { hasText: '<img src=x onerror=1>' })
  await label.waitFor()
  expect(await label.getAttribute('title')).toBe(HOSTILE)
  expect(await page.locator('img').count()).toBe(0)
  expect(await sideways(page)).toBeLessThanOrEqual(0)
  expect(pages.complaints).toEqual([])
})

test('a search that finds nothing among the chosen says what is elsewhere', async () => {
  const page = await open(1280, 'light')
  await page.getByRole('button', { name: /^node_memory_/ }).click()
  await page.getByRole('searchbox').fill('shop_hostile')
  await page.getByRole('button', { name: '1 elsewhere' }).click()
  await page.locator('.card[data-family="shop_hostile"]').waitFor()
  await page.getByRole('searchbox').fill('shop_hostel')
  await page.getByRole('button', { name: 'shop_hostile' }).click()
  await page.locator('.card[data-family="shop_hostile"]').waitFor()
})

test('a series that ends is said to be stale, and comes back', async () => {
  const file = join(scratch, 'goes.prom')
  const text = '# TYPE shop_goes gauge\nshop_goes 7\n'
  writeFileSync(file, text)
  const page = await open(1280, 'dark')
  await page.getByRole('searchbox').fill('shop_goes')
  const card = page.locator('.card[data-family="shop_goes"]')
  await card.locator('.value', { hasText: '7' }).waitFor()
  rmSync(file)
  await card.locator('.word', { hasText: /^stale / }).waitFor()
  expect(await card.locator('.value').textContent()).toBe('—')
  writeFileSync(file, text)
  await card.locator('.value', { hasText: '7' }).waitFor()
  expect(await card.locator('.word').textContent()).toBe('')
})

test('the keys do what their list says', async () => {
  const page = await open(1280, 'dark')
  await settle(page)
  const pressed = (name: string) => page.locator('.windows button[aria-pressed="true"]', { hasText: name }).waitFor()
  await page.keyboard.press('?')
  await page.getByRole('dialog').waitFor()
  const keys = await page.locator('.keys kbd').allTextContents()
  for (const key of ['/', 'Enter', 'Esc', 'Space', 'L', '[ ]', 'j k', '← →', '.', '?']) expect(keys).toContain(key)
  await page.keyboard.press('Escape')
  await page.getByRole('dialog').waitFor({ state: 'detached' })
  await page.keyboard.press(']')
  await pressed('15m')
  await page.keyboard.press('[')
  await pressed('5m')
  await page.keyboard.press('j')
  expect(await page.evaluate(() => document.activeElement?.getAttribute('data-family'))).toBe('node_cpu_seconds_total')
  await page.keyboard.press('j')
  expect(await page.evaluate(() => document.activeElement?.getAttribute('data-family'))).toContain('node_memory_MemAvailable_bytes')
  await page.keyboard.press('k')
  await seeAValueChange(page)
  await page.keyboard.press('ArrowLeft')
  await page.locator('.card[data-family="node_cpu_seconds_total"] .time-tag').waitFor()
  // One cursor for all cards.
  await page.locator('.card[data-family="node_load1"] .time-tag').waitFor()
  await page.keyboard.press('.')
  await page.waitForFunction(() => getComputedStyle(document.body).backgroundColor === 'rgb(245, 246, 248)')
  await page.keyboard.press('/')
  expect(await page.evaluate(() => document.activeElement?.getAttribute('type'))).toBe('search')
  await page.keyboard.type('load1')
  await page.waitForFunction(() => document.querySelectorAll('.card').length < 4)
  await page.keyboard.press('Escape')
  await page.waitForFunction(() => document.querySelectorAll('.card').length > 4)
  expect(pages.complaints).toEqual([])
})

test('paused, nothing moves; live again it does', async () => {
  const page = await open(1280, 'dark')
  await seeAValueChange(page)
  await page.keyboard.press('Space')
  await page.getByRole('button', { name: 'Paused' }).waitFor()
  // What is on the screen is drawn at once, some cards a frame; text that was not due then would follow half a second later.
  await frames(page, 12)
  const chartValues = page.locator('.card[data-kind="lines"] .value')
  const paused = await chartValues.allTextContents()
  await page.getByText(/^[1-9]\S* behind$|^[1-9]\d*\u202fs behind$/).waitFor()
  const behind = await page.locator('.delay').textContent()
  await page.waitForFunction((old) => document.querySelector('.delay')?.textContent !== old, behind)
  expect(await chartValues.allTextContents()).toEqual(paused)
  await page.keyboard.press('l')
  await page.getByRole('button', { name: 'Live' }).waitFor()
  await seeAValueChange(page)
})

test('a server that goes is said after two seconds and not before, values stay readable, and it comes back without a reload', async () => {
  const page = await open(1280, 'dark')
  await seeAValueChange(page)
  await page.evaluate(() => {
    document.documentElement.dataset.marked = 'before'
  })
  const gone = performance.now()
  await stop(server)
  await page.getByText(/^Connection lost .* ago\. What you see is the last that came\./).waitFor()
  expect(performance.now() - gone).toBeGreaterThan(1_900)
  await page.getByRole('button', { name: 'Offline' }).waitFor()
  await page.getByText(/Trying (again in \d+ s|now)\./).waitFor()
  expect((await page.locator('.card .value').allTextContents()).some((text) => /\d/.test(text))).toBe(true)
  await page.locator('.card .word', { hasText: 'ago' }).first().waitFor()
  await page.screenshot({ path: join(ARTIFACTS, 'page-offline.png') })

  // Trying while there is nobody fails and is tried again; the page finds the new server by itself.
  await page.getByRole('button', { name: 'Try now' }).click()
  server = await start(server.port, TEXTFILES)
  await page.getByRole('button', { name: 'Live' }).waitFor()
  await page.getByText(/restarted \d\d:\d\d:\d\d/).waitFor()
  expect(await page.locator('.banner').count()).toBe(0)
  await seeAValueChange(page)
  expect(await page.evaluate(() => document.documentElement.dataset.marked)).toBe('before')
  expect(pages.complaints.filter((one) => one.startsWith('request: ') || REFUSED.test(one))).toEqual([])
})
