/**
 * The page as a whole, over the real server: every page of `ui/pages.ts` at both widths in both themes, with what axe-core
 * says of each; without JavaScript; five tabs; a server that is started again. Screenshots go to `artifacts/pages/`.
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Browser, Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { launch, Pages, sideways, start, stop, warns } from './server'
import type { Server } from './server'

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url))
const ARTIFACTS = here('../../artifacts/pages/')
const AXE = readFileSync(here('../../web/node_modules/axe-core/axe.min.js'), 'utf8')
const HOSTILE = `<img src=x onerror=1>${'x'.repeat(200)}`

/** The pages as the table in the code names them. */
const VIEWS = [...readFileSync(here('../../web/src/ui/pages.ts'), 'utf8').matchAll(/\{ view: '(\w+)'/g)].map(([, view]) => view ?? '')
/** What a page is about that has nothing to show without. */
const ABOUT: Readonly<Record<string, string>> = { metric: 'metric/node_cpu_seconds_total', query: `query?expr=${encodeURIComponent('sum by (mode) (rate(node_cpu_seconds_total[30s]))')}` }

const scratch = mkdtempSync(join(tmpdir(), 'gaugecast-whole-'))
/** An alert that fires, one that is pending, a target that is down, hostile names: what a page must show and survive. */
const FLAGS = [
  `--collector.textfile.directory=${scratch}`,
  `--storage.path=${join(scratch, 'storage')}`,
  `--config.file=${join(scratch, 'gaugecast.yml')}`,
  '--collect.tick=250ms',
]
const RULES = `groups:
  - name: whole
    interval: 1s
    rules:
      - alert: ShopSlow
        expr: shop_latency_seconds > 0.25
        labels: {severity: critical}
        annotations: {summary: 'The shop is slow: {{ $value }} s', description: 'Since the last deployment.', runbook_url: 'https://example.org/slow'}
      - alert: ShopSoon
        expr: shop_latency_seconds > 0.1
        for: 1h
        labels: {severity: warning}
        annotations: {summary: '${HOSTILE}'}
`
const CONFIG = `rule_files: [rules.yml]
scrape_configs:
  - job_name: shop
    static_configs: [{targets: ['127.0.0.1:1']}]
`

let browser: Browser
let server: Server
const pages = new Pages(() => browser, warns)

/** What axe-core finds: an id, how grave it is, and where. */
interface Finding {
  readonly id: string
  readonly impact: string
  readonly where: readonly string[]
}

async function open(view: string, width: number, theme: 'dark' | 'light'): Promise<Page> {
  const page = await (await pages.context({ width, height: 900, theme, reducedMotion: 'reduce' })).newPage()
  page.on('request', (request) => {
    if (!request.url().startsWith(server.url) && !request.url().startsWith('blob:')) pages.complaints.push(`request: ${request.url()}`)
  })
  await page.goto(`${server.url}#${ABOUT[view] ?? view}`)
  await page.getByRole('heading', { level: 1 }).waitFor()
  await page.getByRole('button', { name: 'Live', exact: true }).waitFor()
  return page
}

/** All of the page near the top has come: no card is empty, nothing says that it waits. */
async function settle(page: Page): Promise<void> {
  await page.waitForFunction(() => [...document.querySelectorAll('.card')].every((card) => card.getBoundingClientRect().top > innerHeight || card.querySelector('.body')?.childElementCount !== 0))
  await page.waitForFunction(() => document.querySelector('[aria-busy="true"]') === null)
}

beforeAll(async () => {
  mkdirSync(ARTIFACTS, { recursive: true })
  writeFileSync(join(scratch, 'shop.prom'), `# TYPE shop_latency_seconds gauge\nshop_latency_seconds{route="/checkout"} 0.868\n# TYPE shop_hostile gauge\nshop_hostile{name="${HOSTILE}"} 5\n`)
  writeFileSync(join(scratch, 'rules.yml'), RULES)
  writeFileSync(join(scratch, 'gaugecast.yml'), CONFIG)
  server = await start(0, ...FLAGS)
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

test('the table of pages was read', () => {
  expect(VIEWS.length).toBeGreaterThanOrEqual(12)
})

/** What must hold of every page, however it is looked at. */
async function check(page: Page, name: string): Promise<void> {
  // Of five hundred cards those on the screen are enough.
  await page.screenshot({ path: join(ARTIFACTS, `${name}.png`), fullPage: !name.startsWith('explore') })
  expect(await sideways(page)).toBeLessThanOrEqual(0)
  expect(await page.locator('img').count()).toBe(0)
  const text = await page.locator('body').innerText()
  expect(text).not.toMatch(/\b(undefined|NaN|\[object Object\]|\d(\.\d+)?e[+-]\d)/)
  expect(pages.complaints).toEqual([])
}

describe.each(VIEWS)('%s', (view) => {
  test.each([
    [1280, 'light', 'dark'],
    [360, 'dark', 'light'],
  ] as const)('at %i pixels in the %s and in the %s theme fits and complains of nothing; in that axe-core finds nothing serious', async (width, first, second) => {
    const page = await open(view, width, first)
    await settle(page)
    await check(page, `${view}-${width}-${first}`)
    const before = await page.evaluate(() => getComputedStyle(document.body).backgroundColor)
    await page.emulateMedia({ colorScheme: second })
    await page.waitForFunction((old) => getComputedStyle(document.body).backgroundColor !== old, before)
    await check(page, `${view}-${width}-${second}`)
    await page.evaluate(AXE)
    const found = await page.evaluate<Finding[]>(`axe.run().then(({ violations }) => violations.map(({ id, impact, nodes }) => ({ id, impact, where: nodes.map((node) => node.target.join(' ')) })))`)
    expect(found.filter(({ impact }) => impact === 'serious' || impact === 'critical')).toEqual([])
  })
})

test('one tab after the other is reached from the bar, and each is the page that it says', async () => {
  const page = await open('overview', 1280, 'light')
  const tabs = await page.locator('nav.tabs a').all()
  expect(tabs.length).toBeGreaterThanOrEqual(6)
  for (const tab of tabs) {
    await tab.click()
    await page.locator('nav.tabs a[aria-current="page"]').waitFor()
    expect(await tab.getAttribute('aria-current')).toBe('page')
    await page.getByRole('heading', { level: 1 }).waitFor()
  }
})

test('without JavaScript there are links that lead somewhere', async () => {
  const page = await pages.open(server.url, { width: 360, javaScriptEnabled: false })
  const links = await page.locator('a[href]').evaluateAll((all) => all.map((a) => (a as HTMLAnchorElement).href))
  expect(links.length).toBeGreaterThanOrEqual(5)
  for (const link of links) expect((await fetch(link)).status, link).toBe(200)
  await page.screenshot({ path: join(ARTIFACTS, 'without-javascript.png') })
})

test('five tabs are live at once, and one that is held up does not hold up the others', async () => {
  const context = await pages.context()
  const tabs = await Promise.all(
    Array.from({ length: 5 }, async () => {
      const page = await context.newPage()
      await page.goto(`${server.url}#explore`)
      await page.locator('.card .value', { hasText: /\d/ }).first().waitFor()
      return page
    }),
  )
  // The processor of the first is slowed twentyfold, as a browser does with a tab that nobody looks at.
  const [slow, ...others] = tabs
  if (slow === undefined) throw new Error('there are five')
  const session = await context.newCDPSession(slow)
  await session.send('Emulation.setCPUThrottlingRate', { rate: 20 })
  for (const page of [...others, slow]) {
    const values = () => page.locator('.card .value').allTextContents()
    const before = await values()
    await page.waitForFunction((old) => [...document.querySelectorAll('.card .value')].some((one, i) => /\d/.test(old[i] ?? '') && one.textContent !== old[i]), before)
    expect(await page.getByRole('button', { name: 'Live', exact: true }).count()).toBe(1)
  }
})

test('a server that is started again shows the same picture without a reload', async () => {
  const page = await open('explore', 1280, 'dark')
  await settle(page)
  // The host's families; of the server's own some are there only once something has happened.
  const families = () => page.locator('.card[data-family^="node_"]').evaluateAll((cards) => cards.map((card) => card.getAttribute('data-family')))
  const before = await families()
  expect(before.length).toBeGreaterThan(50)
  await page.evaluate(() => {
    document.documentElement.dataset.marked = 'before'
  })
  await stop(server)
  await page.getByRole('button', { name: 'Offline' }).waitFor()
  server = await start(server.port, ...FLAGS)
  await page.getByRole('button', { name: 'Live', exact: true }).waitFor()
  await page.getByText(/restarted \d\d:\d\d:\d\d/).first().waitFor()
  await settle(page)
  expect(await families()).toEqual(before)
  expect(await page.evaluate(() => document.documentElement.dataset.marked)).toBe('before')
})
