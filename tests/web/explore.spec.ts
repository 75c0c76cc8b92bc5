/** Explore and the page of a metric, against the real server: found, filtered, sorted, opened, read, all of it kept by the link. */
import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Browser, Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { launch, Pages, sideways, start, stop, warns } from './server'
import type { Look, Server } from './server'

const ARTIFACTS = fileURLToPath(new URL('../../artifacts/', import.meta.url))
const scratch = mkdtempSync(join(tmpdir(), 'gaugecast-explore-'))
let browser: Browser
let server: Server
let requests = 0
let asking: NodeJS.Timeout
const pages = new Pages(() => browser, warns)

const FAMILIES = 500
/** With those of the host just below the 10,000 that the page takes. */
const SERIES = 17
const BOUNDS = ['0.01', '0.1', '1', '+Inf']

/** Requests of two routes, each tick ten more: those of /cart take up to 100 ms, those of /checkout up to a second. */
function writeRequests(): void {
  requests += 10
  const lines = ['# HELP shop_request_duration_seconds Request duration.', '# TYPE shop_request_duration_seconds histogram']
  for (const [route, slowest] of [['/cart', 1], ['/checkout', 2]] as const) {
    BOUNDS.forEach((le, i) => lines.push(`shop_request_duration_seconds_bucket{route="${route}",le="${le}"} ${i < slowest ? 0 : requests}`))
    lines.push(`shop_request_duration_seconds_sum{route="${route}"} ${requests / 20}`, `shop_request_duration_seconds_count{route="${route}"} ${requests}`)
  }
  // In place at once, so that nobody reads half of it.
  writeFileSync(join(scratch, 'requests.next'), `${lines.join('\n')}\n`)
  renameSync(join(scratch, 'requests.next'), join(scratch, 'requests.prom'))
}

beforeAll(async () => {
  mkdirSync(ARTIFACTS, { recursive: true })
  const many = Array.from({ length: FAMILIES }, (_, f) => {
    const name = `many_family_${f}`
    return [`# TYPE ${name} gauge`, ...Array.from({ length: SERIES }, (_, s) => `${name}{part="${s}"} ${f + s}`)].join('\n')
  })
  writeFileSync(join(scratch, 'many.prom'), `${many.join('\n')}\n`)
  writeRequests()
  asking = setInterval(writeRequests, 500)
  server = await start(0, `--collector.textfile.directory=${scratch}`)
  browser = await launch()
})

afterEach(async () => {
  await pages.close()
})

afterAll(async () => {
  clearInterval(asking)
  await browser.close()
  await stop(server)
  rmSync(scratch, { recursive: true })
})

async function open(hash: string, look: Look = {}): Promise<Page> {
  const page = await pages.open(server.url + hash, { theme: 'dark', ...look })
  await page.locator('.card, .nothing').first().waitFor()
  return page
}

const param = (page: Page, name: string) => page.evaluate((one) => new URLSearchParams(location.hash.split('?')[1]).get(one), name)
const cards = (page: Page, count: number) => page.waitForFunction((n) => document.querySelectorAll('.card').length === n, count)

test('p99 of one route, by the keyboard alone', async () => {
  const page = await open('')
  await page.locator('.card .value', { hasText: /\d/ }).first().waitFor()
  const begun = performance.now()
  await page.keyboard.press('/')
  await page.keyboard.type('request duration shop')
  await cards(page, 1)
  await page.keyboard.press('Enter')
  await page.getByRole('heading', { level: 1, name: 'Request duration' }).waitFor()
  await page.keyboard.press('b')
  await page.getByRole('button', { name: 'By route', pressed: true }).waitFor()
  const row = page.locator('.table tbody tr', { hasText: '/checkout' })
  // All of them took between 0.1 and 1 s: 99 of 100 at most 991 ms.
  await row.locator('td.number').first().filter({ hasText: '991' }).waitFor()
  const took = performance.now() - begun
  console.info(`p99 of a route was read after ${Math.round(took)} ms`)
  expect(took).toBeLessThan(10_000)
  await page.keyboard.press('Escape')
  await page.locator('.explore').waitFor()
  expect(pages.complaints).toEqual([])
})

test('a link holds what is found, by which prefix, in which order', async () => {
  const page = await open('#explore?find=cpu&prefix=node_cpu_&sort=changed')
  await page.getByRole('heading', { level: 1, name: 'node_cpu_' }).waitFor()
  expect(await page.getByRole('searchbox').inputValue()).toBe('cpu')
  expect(await page.getByRole('button', { name: 'Most changed' }).getAttribute('aria-pressed')).toBe('true')
  await page.getByRole('searchbox').fill('cpu seconds')
  await page.waitForFunction(() => location.hash.includes('find=cpu+seconds'))
  await page.getByRole('button', { name: 'Most unusual' }).click()
  expect(await param(page, 'sort')).toBe('unusual')
  const shown = await page.locator('.card').count()
  await page.reload()
  await cards(page, shown)
  expect(await page.getByRole('searchbox').inputValue()).toBe('cpu seconds')
})

test('a label filter typed in find leaves those series alone, and one that is wrong is said', async () => {
  const page = await open('#explore')
  await page.getByRole('searchbox').fill('many_family_7 {part=~"1|3"}')
  await page.locator('.headline p', { hasText: `${1 + 10} families · ${2 * 11} series` }).waitFor()
  await page.getByRole('searchbox').fill('many {part=7}')
  await page.getByRole('alert').filter({ hasText: 'the value of part stands in quotes: part="…"' }).waitFor()
})

test('five hundred families of ten thousand series: cards are made near the screen only, and finding stays quick', async () => {
  const page = await open('#explore')
  await page.locator('.headline p', { hasText: /9\u202f\d{3} series/ }).waitFor()
  expect(await page.locator('.card').count()).toBeGreaterThan(FAMILIES)
  expect(await page.locator('.card .body').count()).toBeLessThan(60)
  const took = await page.evaluate(async () => {
    const field = document.querySelector<HTMLInputElement>('.find input')
    if (field === null) throw new Error('there is a field')
    const times: number[] = []
    for (const text of ['m', 'ma', 'man', 'many', 'many_family_4', '']) {
      const begun = performance.now()
      field.value = text
      field.dispatchEvent(new InputEvent('input', { bubbles: true }))
      // Until it is rendered and painted.
      await new Promise((painted) => requestAnimationFrame(() => setTimeout(painted)))
      times.push(performance.now() - begun)
    }
    return times.map(Math.round)
  })
  console.info(`found among ${FAMILIES * SERIES} series, by letter: ${took.join(', ')} ms`)
  // Each letter answers before the next is typed, on a slow machine too.
  expect(Math.max(...took)).toBeLessThan(1_000)
  await page.evaluate(() => {
    scrollTo(0, document.documentElement.scrollHeight / 2)
  })
  await page.waitForFunction(() => [...document.querySelectorAll('.card')].some((card) => {
    const { top } = card.getBoundingClientRect()
    return top > 0 && top < innerHeight && card.querySelector('.body')?.childElementCount
  }))
  expect(pages.complaints).toEqual([])
})

test('the keys go from card to card, also where cards are not made yet, and Enter opens one', async () => {
  const page = await open('#explore?find=many_family_')
  await page.locator('.card .body').first().waitFor()
  const focused = () => page.evaluate(() => document.activeElement?.getAttribute('data-family'))
  await page.keyboard.press('j')
  expect(await focused()).toBe('many_family_0')
  await page.keyboard.press('j')
  await page.keyboard.press('ArrowDown')
  expect(await focused()).toBe('many_family_2')
  // Far from the screen, a place takes the focus and gives it to its card.
  await page.locator('.card').nth(300).focus()
  await page.waitForFunction(() => document.activeElement?.querySelector('.body') != null)
  await page.keyboard.press('k')
  await page.waitForFunction(() => document.activeElement?.getAttribute('data-family') === 'many_family_299')
  await page.keyboard.press('Enter')
  await page.getByRole('heading', { level: 1 }).filter({ hasText: /family 299/i }).waitFor()
})

test('the lists below the names show what has ended, and say what is empty', async () => {
  const file = join(scratch, 'goes.prom')
  writeFileSync(file, '# TYPE shop_goes gauge\nshop_goes 7\n')
  const page = await open('#explore?find=shop_goes')
  await page.locator('.card .value', { hasText: '7' }).waitFor()
  rmSync(file)
  await page.locator('.card .word', { hasText: /^stale / }).waitFor()
  await page.getByRole('button', { name: /^Stale 1$/ }).click()
  await page.getByRole('heading', { level: 1, name: 'Stale' }).waitFor()
  await cards(page, 1)
  expect(await param(page, 'show')).toBe('stale')
  await page.getByRole('button', { name: /^Unusual / }).click()
  await page.locator('.nothing, .card').first().waitFor()
})

test('the page of a metric says what it is, groups, filters and sorts, and its link reopens it', async () => {
  const page = await open('#metric/many_family_7')
  await page.getByRole('heading', { level: 1, name: 'Many family 7' }).waitFor()
  await page.locator('.chip', { hasText: '17 series' }).waitFor()
  const first = page.locator('.table tbody tr').first()
  await first.filter({ hasText: '23' }).waitFor()
  await page.getByRole('button', { name: 'part' , exact: true }).click()
  await first.getByText('0', { exact: true }).waitFor()
  await page.getByRole('textbox', { name: 'Label filter' }).fill('part=~"1."')
  await page.keyboard.press('Enter')
  await page.waitForFunction(() => document.querySelectorAll('.table tbody tr').length === 7)
  expect(await param(page, 'where')).toBe('{part=~"1."}')
  await page.reload()
  await page.waitForFunction(() => document.querySelectorAll('.table tbody tr').length === 7)
  // A row leads to its series alone.
  await page.locator('.table tbody').getByRole('button', { name: '13' }).click()
  await page.waitForFunction(() => document.querySelectorAll('.table tbody tr').length === 1)
  await page.getByRole('textbox', { name: 'Label filter' }).fill('part')
  await page.keyboard.press('Enter')
  await page.getByRole('alert').filter({ hasText: 'behind part stands =' }).waitFor()
  await page.getByRole('textbox', { name: 'Label filter' }).fill('part="none"')
  await page.keyboard.press('Enter')
  await page.getByRole('button', { name: 'Show all 17' }).click()
  await page.waitForFunction(() => document.querySelectorAll('.table tbody tr').length === 17)
  expect(pages.complaints).toEqual([])
})

test('the views of a metric are those that suit it, and it is compared with another', async () => {
  const page = await open('#metric/shop_request_duration_seconds')
  const views = page.getByRole('group', { name: 'View' }).getByRole('button')
  await views.first().waitFor()
  expect(await views.allTextContents()).toEqual(expect.arrayContaining(['Heatmap', 'Quantiles', 'Rate', 'Mean', 'Distribution']))
  await views.filter({ hasText: 'Rate' }).click()
  await page.locator('.tall .card .unit', { hasText: '/s' }).waitFor()
  await views.filter({ hasText: 'Mean' }).click()
  // A mean of a histogram of seconds is one of seconds.
  await page.locator('.tall .card .unit', { hasText: /^(ms|s)$/ }).waitFor()
  expect(await param(page, 'view')).toBe('mean')
  await page.goto(`${server.url}#metric/node_load1`)
  await page.getByRole('heading', { level: 1, name: 'Load, 1 minute' }).waitFor()
  expect(await views.allTextContents()).not.toContain('Heatmap')
  await page.getByRole('button', { name: 'Compare with…' }).click()
  await page.getByRole('combobox', { name: 'Compare with', exact: true }).fill('node_load5')
  await page.keyboard.press('Enter')
  await page.locator('.tall .card[data-kind]').waitFor()
  expect(await param(page, 'against')).toBe('node_load5')
  expect(await param(page, 'view')).toBe('scatter')
  expect(pages.complaints).toEqual([])
})

test('a metric that is not there names the nearest', async () => {
  const page = await open('#metric/many_family_499x')
  await page.getByRole('link', { name: 'many_family_499', exact: true }).click()
  await page.getByRole('heading', { level: 1, name: 'Many family 499' }).waitFor()
  await page.goto(`${server.url}#metric/shop_request_duration_seconds_bucket`)
  await page.getByText('It belongs to').waitFor()
})

test('a metric is set against a baseline', async () => {
  await fetch(`${server.url}api/v1/baselines/before`, { method: 'PUT', body: new URLSearchParams({ 'match[]': '{__name__=~"many_family_7"}', last: '10m' }) })
  const page = await open('#metric/many_family_7')
  await page.getByRole('combobox', { name: 'Compare with baseline' }).selectOption('before')
  await page.getByRole('columnheader', { name: 'Against “before”' }).waitFor()
  await page.locator('.verdict').first().waitFor()
})

test('the list of keys has those of the page that is shown, and letters can be switched off', async () => {
  const page = await open('#metric/many_family_7')
  await page.locator('.table').waitFor()
  await page.keyboard.press('?')
  await page.getByRole('dialog').getByText('group by the next label').waitFor()
  await page.getByRole('checkbox').uncheck()
  await page.keyboard.press('Escape')
  await page.getByRole('dialog').waitFor({ state: 'detached' })
  await page.keyboard.press('b')
  await page.keyboard.press('?')
  expect(await page.getByRole('dialog').count()).toBe(0)
  expect(await param(page, 'by')).toBeNull()
})

test.each([1280, 360])('at %i pixels nothing scrolls sideways, and the names are a sheet where there is no room beside the cards', async (width) => {
  for (const theme of ['dark', 'light'] as const) {
    const page = await open('#explore?find=shop', { width, theme })
    await page.locator('.card .value', { hasText: /\d/ }).first().waitFor()
    expect(await sideways(page)).toBeLessThanOrEqual(0)
    await page.screenshot({ path: join(ARTIFACTS, `explore-${width}-${theme}.png`) })
    if (width === 360) {
      expect(await page.getByRole('navigation', { name: 'Families by name' }).isVisible()).toBe(false)
      await page.getByRole('button', { name: 'By name' }).click()
      await page.screenshot({ path: join(ARTIFACTS, `explore-sheet-${theme}.png`) })
      await page.getByRole('button', { name: /^Changing now/ }).click()
      expect(await param(page, 'show')).toBe('changing')
    }
    await page.goto(`${server.url}#metric/shop_request_duration_seconds?by=route`)
    await page.locator('.table td.number', { hasText: /\d/ }).first().waitFor()
    expect(await sideways(page)).toBeLessThanOrEqual(0)
    await page.screenshot({ path: join(ARTIFACTS, `metric-${width}-${theme}.png`) })
    expect(pages.complaints).toEqual([])
  }
})
