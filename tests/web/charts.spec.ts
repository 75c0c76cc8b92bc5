/**
 * Every view of a card over the real server, in a real browser: that each is drawn, that files hold what the server says of
 * the same moments, and that hostile names stay text. Screenshots go to `artifacts/`.
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Browser, Locator, Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { launch, Pages, sideways, start, stop, warns } from './server'
import type { Server } from './server'

const ARTIFACTS = fileURLToPath(new URL('../../artifacts/', import.meta.url))
const HOSTILE = '<img src=x onerror=1>,=cmd'
/** 2⁶⁴: a double holds it, but JavaScript would write it as 18446744073709552000. */
const HUGE = '18446744073709551616'
const REGIONS = ['north', 'south', 'west']
const SHARDS = 120

const scratch = mkdtempSync(join(tmpdir(), 'gaugecast-charts-'))
let browser: Browser
let server: Server
// Reading a canvas back is what the test does.
const pages = new Pages(() => browser, (message) => warns(message) && !message.text().includes('willReadFrequently'))

beforeAll(async () => {
  mkdirSync(ARTIFACTS, { recursive: true })
  const stock = Array.from({ length: SHARDS }, (_, i) => `shop_stock{shard="s${i}",region="${REGIONS[i % REGIONS.length] ?? ''}"} ${i + 1}`)
  writeFileSync(
    join(scratch, 'shop.prom'),
    [
      '# HELP shop_stock Boxes in store.',
      '# TYPE shop_stock gauge',
      ...stock,
      '# TYPE shop_hostile gauge',
      `shop_hostile{name="${HOSTILE}"} 5`,
      'shop_hostile{name="=1+1"} 3',
      '# TYPE shop_serial gauge',
      `shop_serial ${HUGE}`,
      '# TYPE shop_full_ratio gauge',
      'shop_full_ratio 0.75',
      '',
    ].join('\n'),
  )
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

async function open(width: number, theme: 'dark' | 'light'): Promise<Page> {
  const page = await pages.open(`${server.url}#explore`, { width, height: 900, theme, permissions: ['clipboard-read', 'clipboard-write'] })
  await page.locator('.card[data-view]').first().waitFor()
  return page
}

/** The card of a family, found and on the screen. */
async function cardOf(page: Page, family: string): Promise<Locator> {
  await page.getByRole('searchbox').fill(FOUND_BY[family] ?? family)
  // What stands in its place until it is near the screen is another element.
  await page.waitForFunction((name) => {
    const card = document.querySelector(`.card[data-family~="${name}"]`)
    card?.scrollIntoView({ block: 'nearest' })
    return card?.hasAttribute('data-view') === true
  }, family)
  return page.locator(`.card[data-family~="${family}"]`)
}

/** Chooses a view in the menu of a card. */
async function choose(card: Locator, name: string): Promise<void> {
  await card.locator('.dots').click()
  await card.page().getByRole('menuitemradio', { name, exact: true }).click()
}

/** Waits until the body has a canvas with so many pixels that are not clear, or the element named. */
async function drawn(card: Locator, element: string): Promise<void> {
  const family = (await card.getAttribute('data-family')) ?? ''
  await card.page().waitForFunction(
    ([name, selector]) => {
      const found = document.querySelector(`.card[data-family="${name ?? ''}"] .body ${selector ?? ''}`)
      if (!(found instanceof HTMLCanvasElement)) return found !== null
      if (found.width === 0) return false
      const data = found.getContext('2d')?.getImageData(0, 0, found.width, found.height).data ?? []
      let inked = 0
      for (let i = 3; i < data.length; i += 4) if ((data[i] ?? 0) > 128) inked++
      return inked > 20
    },
    [family, element],
  )
}

/** What choosing an export saves. */
async function saved(card: Locator, item: string): Promise<Buffer> {
  await card.locator('.dots').click()
  const [download] = await Promise.all([card.page().waitForEvent('download'), card.page().getByRole('menuitem', { name: item, exact: true }).click()])
  return readFileSync(await download.path())
}

/** What the server answers to a query at a moment: a value by the label `key`, or one. */
async function asked(query: string, time: string, key = ''): Promise<Map<string, number>> {
  const response = await fetch(`${server.url}api/v1/query?${new URLSearchParams({ query, time }).toString()}`)
  const { data } = (await response.json()) as { data: { result: { metric: Record<string, string>; value: [number, string] }[] } }
  return new Map(data.result.map(({ metric, value }) => [metric[key] ?? '', Number(value[1])]))
}

/** Waits until a card of one series says that it has collected for so many seconds, or more than half a minute. */
async function collected(card: Locator, seconds: number): Promise<void> {
  const family = await card.getAttribute('data-family')
  await card.page().waitForFunction(
    ([name, least]) => {
      const text = document.querySelector(`.card[data-family="${name ?? ''}"] .legend`)?.textContent ?? ''
      return /min|unchanged/.test(text) || parseInt(text) >= Number(least)
    },
    [family, String(seconds)],
  )
}

/** Families that are one thing share a card where all of them are found. */
const FOUND_BY: Readonly<Record<string, string>> = { node_network_transmit_bytes_total: 'node_network bytes total', node_memory_MemTotal_bytes: 'node_memory' }

const VIEWS: readonly (readonly [family: string, view: string, shows: string, element: string])[] = [
  ['node_load1', 'Lines', 'lines', 'canvas'],
  ['node_network_transmit_bytes_total', 'Lines', 'lines', 'canvas'],
  ['node_cpu_seconds_total', 'Stacked area', 'area', 'canvas'],
  ['node_memory_MemTotal_bytes', 'Stacked area', 'area', 'canvas'],
  ['shop_stock', 'Bars', 'bars', '.bars li'],
  ['shop_full_ratio', 'Gauge', 'gauge', '.hand[d^="M"]'],
  ['gaugecast_tick_duration_seconds', 'Heatmap', 'heatmap', 'canvas'],
  ['gaugecast_tick_duration_seconds', 'Distribution', 'histogram', '.plane'],
  ['node_load1', 'Distribution', 'histogram', '.plane'],
  ['node_scrape_collector_success', 'State timeline', 'states', 'canvas'],
  ['shop_stock', 'Table', 'table', 'tbody tr:nth-child(120)'],
  ['node_load5', 'Number', 'value', '.spark'],
]

describe('every view is drawn', () => {
  for (const [width, theme] of [[1280, 'dark'], [1280, 'light'], [360, 'dark'], [360, 'light']] as const) {
    test(`at ${width} px, ${theme}`, async () => {
      const page = await open(width, theme)
      for (const [family, name, view, element] of VIEWS) {
        const card = await cardOf(page, family)
        await choose(card, name)
        await page.waitForFunction(([of, shows]) => document.querySelector<HTMLElement>(`.card[data-family~="${of ?? ''}"]`)?.dataset.view === shows, [family, view])
        await drawn(card, element)
        await card.screenshot({ path: join(ARTIFACTS, `chart-${view}-${family}-${width}-${theme}.png`) })
        expect(await card.locator('.value').first().textContent(), `${family} as ${view}`).toMatch(/\d|—/)
      }
      const pair = await cardOf(page, 'node_network_transmit_bytes_total')
      expect(await pair.getAttribute('data-family')).toBe('node_network_transmit_bytes_total node_network_receive_bytes_total')
      expect(await (await cardOf(page, 'node_memory_MemTotal_bytes')).locator('.word').textContent()).toMatch(/used of [\d.]+/)
      expect(await sideways(page)).toBeLessThanOrEqual(0)
      expect(pages.complaints).toEqual([])
    })
  }

  test('two series against each other, with their correlation', async () => {
    const page = await open(1280, 'dark')
    const card = await cardOf(page, 'node_load1')
    await choose(card, 'Scatter plot')
    await card.getByLabel('PromQL of the other axis').fill('node_load5')
    await card.getByRole('button', { name: 'Set against' }).click()
    await drawn(card, '.plane')
    await card.locator('.legend', { hasText: /[1-9]\d* points/ }).waitFor()
    await card.locator('.word', { hasText: 'correlation' }).waitFor()
    await card.screenshot({ path: join(ARTIFACTS, 'chart-scatter-node_load1-1280-dark.png') })
    expect(pages.complaints).toEqual([])
  })
})

test('what does not suit is not offered, and a card that has it says why', async () => {
  const page = await open(1280, 'dark')
  const card = await cardOf(page, 'node_load1')
  await card.locator('.dots').click()
  const names = await page.getByRole('menuitemradio').allTextContents()
  expect(names).toContain('Lines')
  expect(names).not.toContain('Heatmap')
  expect(names).not.toContain('Gauge')
})

test('of too many series it says how many are shown, and puts them together by a label', async () => {
  const page = await open(1280, 'light')
  const card = await cardOf(page, 'shop_stock')
  await choose(card, 'Lines')
  await card.locator('.more', { hasText: `20 of ${SHARDS}` }).waitFor()
  await card.getByRole('button', { name: 'by region' }).click()
  await page.waitForFunction(() => document.querySelectorAll('.card[data-family="shop_stock"] .legend .key').length >= 2)
  const labels = await card.locator('.legend .label').allTextContents()
  expect(labels.every((label) => REGIONS.includes(label))).toBe(true)
  expect(await card.locator('.source').textContent()).toContain('by region')
})

describe('files', () => {
  test('CSV and JSON hold what the server answers to the copied PromQL at the same times', async () => {
    const page = await open(1280, 'dark')
    for (const family of ['node_load1', 'node_context_switches_total']) {
      const card = await cardOf(page, family)
      await collected(card, 5)
      await card.focus()
      await page.keyboard.press('c')
      const promql = await page.evaluate(() => navigator.clipboard.readText())
      const csv = (await saved(card, 'CSV')).toString()
      const lines = csv.trimEnd().split('\r\n').map((line) => line.split(','))
      expect(lines[0]?.[0]).toBe('time')
      const rows = lines.slice(1).filter(([, value]) => value !== '')
      expect(rows.length).toBeGreaterThan(2)
      for (const [time = '', value] of rows.slice(-3)) {
        const answer = [...(await asked(promql, time)).values()][0] ?? NaN
        expect(Math.abs(Number(value) - answer), `${promql} at ${time}: ${value} and ${answer}`).toBeLessThanOrEqual(1e-9 * Math.abs(answer))
      }
      const json = JSON.parse((await saved(card, 'JSON')).toString()) as { query: string; columns: string[]; rows: [string, number | null][] }
      expect(json.query).toBe(promql)
      const byTime = new Map(json.rows)
      for (const [time = '', value] of rows) expect(byTime.get(time)).toBe(Number(value))
    }
    expect(pages.complaints).toEqual([])
  })

  test('digits beyond 2⁵³ are kept, and no text begins a formula', async () => {
    const page = await open(1280, 'dark')
    expect((await saved(await cardOf(page, 'shop_serial'), 'CSV')).toString()).toMatch(new RegExp(`,${HUGE}\r\n$`))
    const [head = ''] = (await saved(await cardOf(page, 'shop_hostile'), 'CSV')).toString().split('\r\n')
    expect(head).toBe(`time,"${HOSTILE}",'=1+1`)
  })

  test('PNG is an image of the card', async () => {
    const page = await open(1280, 'light')
    for (const [family, view] of [['node_load1', 'Lines'], ['shop_full_ratio', 'Gauge'], ['shop_stock', 'Bars']] as const) {
      const card = await cardOf(page, family)
      await choose(card, view)
      await page.waitForFunction(([of, shows]) => document.querySelector<HTMLElement>(`.card[data-family~="${of ?? ''}"]`)?.dataset.view === shows, [family, view.toLowerCase()])
      const png = await saved(card, 'PNG')
      writeFileSync(join(ARTIFACTS, `export-${family}.png`), png)
      expect(png.subarray(1, 4).toString()).toBe('PNG')
      expect(png.readUInt32BE(16)).toBeGreaterThan(400)
    }
  })
})

describe('with the keyboard', () => {
  test('t is the table and back, f full size, y the link, Enter the metric', async () => {
    const page = await open(1280, 'dark')
    const card = await cardOf(page, 'node_load1')
    await card.focus()
    await page.keyboard.press('t')
    await card.locator('table').waitFor()
    expect(await card.locator('.body').getAttribute('role')).toBe('group')
    await page.keyboard.press('t')
    await card.locator('canvas').waitFor()
    await page.keyboard.press('f')
    await page.locator('.card.full').waitFor()
    await page.keyboard.press('Escape')
    await page.waitForFunction(() => document.querySelector('.card.full') === null)
    await page.keyboard.press('y')
    expect(await page.evaluate(() => navigator.clipboard.readText())).toBe(`${server.url}#metric/node_load1`)
    await page.keyboard.press('Enter')
    await page.waitForFunction(() => location.hash === '#metric/node_load1')
  })

  test('the menu opens, moves and closes', async () => {
    const page = await open(1280, 'dark')
    const card = await cardOf(page, 'node_load1')
    await card.focus()
    await page.keyboard.press('m')
    await page.waitForFunction(() => document.activeElement?.getAttribute('role') === 'menuitemradio')
    await page.keyboard.press('ArrowDown')
    const first = await page.evaluate(() => document.activeElement?.textContent)
    await page.keyboard.press('Enter')
    await page.waitForFunction(() => document.querySelector<HTMLElement>('.card[data-family="node_load1"]')?.dataset.view === 'area')
    expect(first).toBe('Stacked area')
    await card.focus()
    await page.keyboard.press('m')
    await page.waitForFunction(() => document.activeElement?.getAttribute('role') === 'menuitemradio')
    await page.keyboard.press('Escape')
    await page.waitForFunction(() => document.querySelector('[role=menu]') === null)
    expect(await page.evaluate(() => document.activeElement?.getAttribute('data-family'))).toBe('node_load1')
  })

  test('arrows say the value under the cursor', async () => {
    const page = await open(1280, 'dark')
    const card = await cardOf(page, 'node_load1')
    await collected(card, 3)
    await drawn(card, 'canvas')
    await card.focus()
    await page.keyboard.press('ArrowLeft')
    await page.locator('.unseen', { hasText: /Load, 1 minute .*\d/ }).waitFor({ state: 'attached' })
  })
})

test('hostile names are text in a table, in the menu and in bars', async () => {
  const page = await open(360, 'light')
  const card = await cardOf(page, 'shop_hostile')
  for (const view of ['Table', 'Bars', 'Lines']) {
    await choose(card, view)
    await card.locator('.label', { hasText: '<img src=x onerror=1>' }).first().waitFor()
  }
  expect(await page.locator('img').count()).toBe(0)
  expect(pages.complaints).toEqual([])
})
