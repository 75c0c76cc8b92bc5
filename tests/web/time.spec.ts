/**
 * Time on the page, against the real server in a real browser: what was before the page was opened, pausing and looking
 * back, one cursor for all, what is missing and what comes back, and what happened meanwhile.
 */
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Browser, Locator, Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { durationOf } from '../../web/src/model/window'
import { launch, Pages, Proxy, sideways, start, stop } from './server'
import type { Look, Server } from './server'

const ARTIFACTS = fileURLToPath(new URL('../../artifacts/', import.meta.url))
const scratch = mkdtempSync(join(tmpdir(), 'gaugecast-time-'))
let browser: Browser
let server: Server
/** A moment at which the level was 5 for more than two seconds already, in the first life of the server. */
let atFive = 0
// The console tells of each connection that is cut here; only errors that nobody catches are complaints.
const pages = new Pages(() => browser, () => false)

const FLAGS = [`--collector.textfile.directory=${scratch}`, `--config.file=${join(scratch, 'config.yml')}`, `--storage.path=${join(scratch, 'data')}`]

function level(value: number): void {
  const file = join(scratch, 'level.prom')
  writeFileSync(`${file}.new`, `# HELP shop_level Level.\n# TYPE shop_level gauge\nshop_level ${value}\n# TYPE shop_height gauge\nshop_height ${value * 2}\n`)
  renameSync(`${file}.new`, file)
}

/** Waits until the newest so many samples of the history are this value, and says when the newest was. */
async function samples(count: number, value: number): Promise<number> {
  for (;;) {
    const response = await fetch(`http://127.0.0.1:${server.port}/api/v1/history?match[]=shop_level&last=1m`)
    const { data } = (await response.json()) as { data: { series: readonly { points: readonly (readonly [number, number | null])[] }[] } }
    const points = (data.series[0]?.points ?? []).filter(([, one]) => one !== null).slice(-count)
    const [newest] = points.at(-1) ?? []
    if (newest !== undefined && points.length === count && points.every(([, one]) => one === value)) return newest
  }
}

async function open(hash = '', look: Look = {}, url = server.url): Promise<Page> {
  const page = await pages.open(url + hash, { theme: 'dark', ...look })
  await page.getByRole('searchbox').fill('shop_')
  await card(page).waitFor()
  return page
}

const card = (page: Page, family = 'shop_level') => page.locator(`.card[data-family="${family}"]`)
const says = (of: Locator, part: string, text: string | RegExp) => of.locator(`.${part}`, { hasText: text }).waitFor()
const paused = (page: Page) => page.getByRole('button', { name: 'Paused' }).waitFor()
const pause = async (page: Page) => {
  await page.locator(':focus').blur()
  await page.keyboard.press('Space')
  await paused(page)
}
const isLive = (page: Page) => page.getByRole('button', { name: 'Live', exact: true }).waitFor()

/** The middle of a plot, or a share of its width. */
async function over(of: Locator, share = 0.5): Promise<readonly [number, number]> {
  await of.locator('.u-over').waitFor()
  const box = await of.locator('.u-over').boundingBox()
  if (box === null) throw new Error('the plot is on the page')
  return [box.x + box.width * share, box.y + box.height / 2]
}

beforeAll(async () => {
  mkdirSync(ARTIFACTS, { recursive: true })
  writeFileSync(join(scratch, 'config.yml'), `rule_files: [${join(scratch, 'rules.yml')}]\nrules: {built_in: false}\n`)
  writeFileSync(join(scratch, 'rules.yml'), 'groups: [{name: shop, interval: 1s, rules: [{alert: LevelHigh, expr: shop_level > 3, labels: {severity: critical}}]}]\n')
  level(5)
  server = await start(0, ...FLAGS)
  browser = await launch()
  atFive = await samples(5, 5)
  level(9)
  await samples(3, 9)
})

afterEach(async () => {
  await pages.close()
})

afterAll(async () => {
  await browser.close()
  await stop(server)
  rmSync(scratch, { recursive: true })
})

test('a page just opened shows what was before, without waiting', async () => {
  const page = await open()
  await isLive(page)
  await pause(page)
  // Only the history knows of the five.
  await says(card(page), 'legend', /min\s*5.*max\s*9/)
  expect(await card(page).locator('.value').textContent()).toBe('9')
  expect(pages.complaints).toEqual([])
})

test('a link holds the moment: it opens there, and L is the way back to now without a gap', async () => {
  const hash = `#explore?w=2s&at=${atFive}&find=shop_`
  const page = await open(hash)
  await paused(page)
  await says(card(page), 'value', /^5$/)
  await says(card(page, 'shop_height'), 'value', /^10$/)
  await page.locator('.delay', { hasText: 'behind' }).waitFor()
  expect(new URL(page.url()).hash).toBe(hash)
  await page.getByRole('searchbox').blur()
  await page.keyboard.press('l')
  await isLive(page)
  await says(card(page), 'value', /^9$/)
  await page.waitForURL((url) => url.hash === '#explore?w=2s&find=shop_')
  // As wide as to have both moments.
  await page.getByRole('button', { name: '5m', exact: true }).click()
  await pause(page)
  await says(card(page), 'legend', /min\s*5.*max\s*9/)
})

test('small lines and tables have what was before the page was opened', async () => {
  const page = await open(`#metric/shop_level?w=2s&at=${atFive}`)
  const row = page.locator('.table tbody tr')
  await row.locator('td.number', { hasText: /^5$/ }).first().waitFor()
  // Nothing of that time came over the stream.
  await page.waitForFunction(() => {
    const canvas = document.querySelector<HTMLCanvasElement>('.table canvas.spark')
    const data = canvas === null || canvas.width === 0 ? [] : (canvas.getContext('2d')?.getImageData(0, 0, canvas.width / 2, canvas.height).data ?? [])
    return data.some((one, i) => i % 4 === 3 && one > 128)
  })
  expect(pages.complaints).toEqual([])
})

test('the strip takes the window elsewhere and back, by mouse and by keys', async () => {
  const page = await open('#explore?w=1m')
  await isLive(page)
  const strip = page.getByRole('slider', { name: 'Window in the history' })
  const box = await strip.boundingBox()
  if (box === null) throw new Error('the strip is on the page')
  await page.mouse.click(box.x + box.width * 0.4, box.y + 15)
  await paused(page)
  await page.waitForURL(/at=\d+/)
  const left = Number(await strip.getAttribute('aria-valuenow'))
  await strip.press('ArrowRight')
  await page.locator(`.strip[aria-valuenow="${left + 6}"]`).waitFor()
  // Held where it is and dragged to the right edge, it is live again.
  await page.mouse.move(box.x + box.width * 0.4, box.y + 15)
  await page.mouse.down()
  await page.mouse.move(box.x + box.width * 0.7, box.y + 15, { steps: 3 })
  await paused(page)
  await page.mouse.move(box.x + box.width + 200, box.y + 15, { steps: 3 })
  await page.mouse.up()
  await isLive(page)
  await strip.press('Home')
  await paused(page)
  await strip.press('End')
  await isLive(page)
})

test('one cursor tells all cards of the same moment, a click pins it', async () => {
  const page = await open(`#explore?w=2s&at=${atFive}`)
  await says(card(page), 'value', /^5$/)
  await page.mouse.move(...(await over(card(page))))
  await card(page, 'shop_height').locator('.time-tag').waitFor()
  const [one, other] = await Promise.all([card(page).locator('.time-tag').textContent(), card(page, 'shop_height').locator('.time-tag').textContent()])
  expect(one).toMatch(/^\d\d:\d\d:\d\d$/)
  expect(other).toBe(one)
  await page.mouse.click(...(await over(card(page), 0.3)))
  await page.mouse.move(5, 5)
  await card(page, 'shop_height').locator('.time-tag.pinned').waitFor()
  await page.mouse.click(...(await over(card(page), 0.6)))
  await page.mouse.move(5, 5)
  await card(page, 'shop_height').locator('.time-tag').waitFor({ state: 'hidden' })
})

test('dragging over a chart makes the range the window, and a double click undoes it', async () => {
  const page = await open('#explore?w=1m')
  await isLive(page)
  await page.mouse.move(...(await over(card(page), 0.25)))
  await page.mouse.down()
  await page.mouse.move(...(await over(card(page), 0.75)), { steps: 4 })
  await page.mouse.up()
  await paused(page)
  await page.waitForURL(/at=\d+/)
  const width = durationOf(new URLSearchParams(page.url().split('?')[1]).get('w') ?? '') ?? NaN
  expect(Math.abs(width - 30_000)).toBeLessThan(1000)
  await page.mouse.dblclick(...(await over(card(page))))
  await isLive(page)
  await page.waitForURL((url) => url.hash === '#explore?w=1m&find=shop_')
})

test('on touch a sideways drag moves the cursor, and up and down scrolls', async () => {
  const page = await pages.open(`${server.url}#explore`, { width: 360, height: 640, hasTouch: true, isMobile: true })
  await page.locator('.card .u-over').first().waitFor()
  const cdp = await page.context().newCDPSession(page)
  const touch = async (type: 'touchStart' | 'touchMove' | 'touchEnd', x: number, y: number) => {
    await cdp.send('Input.dispatchTouchEvent', { type, touchPoints: type === 'touchEnd' ? [] : [{ x, y }] })
  }
  const [x, y] = await over(page.locator('.card').first(), 0.3)
  await touch('touchStart', x, y)
  for (let i = 1; i <= 8; i++) await touch('touchMove', x + i * 12, y)
  await touch('touchEnd', 0, 0)
  await page.locator('.card .time-tag.pinned').first().waitFor()
  expect(await page.evaluate(() => scrollY)).toBe(0)
  await touch('touchStart', x, y)
  for (let i = 1; i <= 8; i++) await touch('touchMove', x, y - i * 15)
  await touch('touchEnd', 0, 0)
  await page.waitForFunction(() => scrollY > 30)
})

test('an alert and its limit are on the charts of its metric, and lead to it', async () => {
  const page = await open()
  const mark = card(page).locator('a.mark.critical', { hasText: 'limit 3' })
  await mark.waitFor()
  const { data } = (await (await fetch(`http://127.0.0.1:${server.port}/api/v1/admin/performance/alerts`)).json()) as { data: { alerts: readonly { id: string }[] } }
  expect(await mark.getAttribute('href')).toBe(`#alerts/${data.alerts[0]?.id ?? 'none'}`)
  expect(await mark.getAttribute('title')).toContain('shop_level > 3')
  expect(await card(page, 'shop_height').locator('.mark').count()).toBe(0)
  await page.screenshot({ path: join(ARTIFACTS, 'time-alert-dark.png') })
  await mark.click()
  await page.waitForURL(/#alerts\//)
})

test('what came while the connection was lost is in the picture when it is back, without a reload', async () => {
  const proxy = await Proxy.to(server, process.env.PAGE_DIST)
  const page = await open('', {}, proxy.url)
  await isLive(page)
  await page.evaluate(() => (document.title = 'not reloaded'))
  await page.context().setOffline(true)
  proxy.cut()
  await page.getByText('Connection lost', { exact: false }).first().waitFor()
  // Nothing of this comes over the stream.
  level(50)
  await samples(4, 50)
  level(7)
  await samples(2, 7)
  await page.context().setOffline(false)
  await says(card(page), 'value', /^7$/)
  await pause(page)
  await says(card(page), 'legend', /min\s*5.*max\s*50/)
  expect(await page.title()).toBe('not reloaded')
  await proxy.close()
})

test('a server that is started again goes on in the same picture, and its own absence is told and not bridged', async () => {
  const page = await open()
  await isLive(page)
  await page.evaluate(() => (document.title = 'not reloaded'))
  // Asked to end, it writes what it has; killed, it would lack the last minute.
  const ended = once(server.process, 'exit')
  server.process.kill('SIGTERM')
  await ended
  // Long enough for a gap: of a shorter absence nothing is missing.
  await page.getByText(/Connection lost [4-9]\ss ago/).waitFor()
  level(8)
  server = await start(server.port, ...FLAGS)
  await isLive(page)
  await says(card(page), 'value', /^8$/)
  await page.getByText(/restarted \d\d:\d\d:\d\d/).first().waitFor()
  await pause(page)
  await says(card(page), 'legend', /^no data \d\d:\d\d:\d\d to \d\d:\d\d:\d\d \(\d+\ss\)$/)
  expect(await page.title()).toBe('not reloaded')
  // What was before is there still, for this page and for one that is opened now.
  await page.screenshot({ path: join(ARTIFACTS, 'time-gap-dark.png') })
  const again = await open(`#explore?w=2s&at=${atFive}`)
  await says(card(again), 'value', /^5$/)
})

test('the strip, paused, at every width and theme', async () => {
  for (const [width, theme] of [[1280, 'dark'], [1280, 'light'], [360, 'dark'], [360, 'light']] as const) {
    const page = await open(`#explore?w=1m&at=${atFive}`, { width, theme })
    await paused(page)
    expect(await sideways(page)).toBeLessThanOrEqual(0)
    await page.screenshot({ path: join(ARTIFACTS, `time-paused-${width}-${theme}.png`) })
    await pages.close()
  }
})
