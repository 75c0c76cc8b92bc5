/**
 * Alerts in a real browser over the real server: a rule that looks at a text file fires, is acknowledged, silenced, let loose,
 * and is over, in two tabs at once and without a reload; an anomaly is explained. Screenshots go to `artifacts/`.
 */
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Browser, BrowserContext, Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { launch, metric, Pages, portray, start, stop } from './server'
import type { Server } from './server'

const ARTIFACTS = fileURLToPath(new URL('../../artifacts/', import.meta.url))
const HOSTILE = '<img src=x onerror=window.hacked=1>'

const scratch = mkdtempSync(join(tmpdir(), 'gaugecast-alerts-'))
let browser: Browser
/** The pages of a test are tabs of one browser. */
let context: BrowserContext
let server: Server
const pages = new Pages(() => browser)

const RULES = `
groups:
  - name: shop
    interval: 250ms
    rules:
      - alert: QueueFull
        expr: shop_queue_length > 10
        labels: {severity: critical}
        annotations:
          summary: '{{ $labels.queue }} has {{ $value }} waiting'
          runbook_url: https://example.org/queue
          dashboard: 'javascript:window.hacked=1'
      - alert: Calm
        expr: shop_queue_length > 1000
      - alert: Broken
        expr: shop_queue_length + on () shop_queue_length > 1
`
const CONFIG = `
rule_files: [rules.yml]
route:
  receiver: team
  group_wait: 0s
  escalation: [{after: 1h, receiver: lead}]
receivers:
  - {name: team, log_configs: [{}]}
  - {name: lead, log_configs: [{}]}
alerting: {}
detect:
  watches:
    - {name: workers, match: [shop_workers], interval: 0s, warm_up: 10, confirm: 1 of 1, detector: zscore, params: {min_samples: 10, k: 1, n: 1}}
    - {name: stock, match: [shop_stock], interval: 0s, warm_up: 10, confirm: 1 of 1, detector: zscore, params: {min_samples: 10, k: 1, n: 1}}
`

/** What the text file says from now on. */
function say(values: Readonly<Record<string, number>>): void {
  const lines = Object.entries(values).map(([series, value]) => `${series} ${value}\n`)
  writeFileSync(join(scratch, 'text', 'now.tmp'), lines.join(''))
  renameSync(join(scratch, 'text', 'now.tmp'), join(scratch, 'text', 'now.prom'))
}

const CALM = { 'shop_queue_length{queue="a"}': 1, [`shop_queue_length{queue="${HOSTILE}"}`]: 1, shop_workers: 4, shop_stock: 7 }
const full = (queue = 'a') => ({ ...CALM, [`shop_queue_length{queue="${queue}"}`]: 12 })

beforeAll(async () => {
  mkdirSync(ARTIFACTS, { recursive: true })
  mkdirSync(join(scratch, 'text'))
  writeFileSync(join(scratch, 'rules.yml'), RULES)
  writeFileSync(join(scratch, 'gaugecast.yml'), CONFIG)
  say(CALM)
  server = await start(0, `--config.file=${join(scratch, 'gaugecast.yml')}`, '--rules.built-in=false', '--collect.tick=250ms', '--alert.cooldown=0s', '--alert.flap-changes=1000', `--collector.textfile.directory=${join(scratch, 'text')}`)
  browser = await launch()
})

afterAll(async () => {
  await browser.close()
  await stop(server)
  rmSync(scratch, { recursive: true })
})

beforeEach(async () => {
  say(CALM)
  context = await pages.context()
  for (const { id, state } of (await api('silences')) as { id: string; state: string }[]) {
    if (state !== 'expired') await fetch(`${server.url}api/v1/admin/silences/${id}`, { method: 'DELETE' })
  }
  while ((await firing()) > 0);
})

afterEach(async () => {
  await pages.close()
})

/** How many queues are full; also those of which somebody takes care. */
async function firing(): Promise<number> {
  return await metric(server, 'gaugecast_alerts{severity="critical",state="firing"}')
}

async function api(path: string): Promise<unknown> {
  return ((await (await fetch(`${server.url}api/v1/admin/${path}`)).json()) as { data: unknown }).data
}

async function open(hash: string): Promise<Page> {
  const page = await context.newPage()
  await page.goto(`${server.url}#${hash}`)
  await page.locator('.live.live').waitFor()
  return page
}

/** The row of an alert of this name. */
const row = (page: Page, name = 'QueueFull') => page.locator('.alert', { has: page.locator(`.what b:text-is("${name}")`) })

test('an alert comes without a reload, everywhere, is said aloud, and goes again', async () => {
  const [overview, alerts] = [await open('overview'), await open('alerts')]
  await overview.getByRole('heading', { name: 'All quiet' }).waitFor()
  await alerts.getByText('Nothing fires, and nothing waits to.').waitFor()
  expect(await overview.title()).toBe('gaugecast')
  say(full())
  for (const page of [overview, alerts]) {
    await row(page).waitFor()
    expect(await row(page).locator('.level').innerText()).toBe('Critical')
    expect(await row(page).getAttribute('class')).toContain('fresh')
    await page.waitForFunction(() => document.title === '(1) gaugecast')
    expect(await page.locator('.tabs .firing-count').innerText()).toBe('1')
    await page.locator('.urgent-news', { hasText: 'critical: QueueFull fires: a has 12 waiting' }).waitFor({ state: 'attached' })
    await page.waitForFunction(() => document.querySelector('.alert .now .value')?.textContent === '12')
    expect(await row(page).locator('.now .under').innerText()).toBe('limit 10')
  }
  await overview.getByRole('heading', { name: '1 alert firing' }).waitFor()
  say(CALM)
  await overview.getByRole('heading', { name: 'All quiet' }).waitFor()
  await overview.getByText('last over: QueueFull').waitFor()
  await row(alerts).waitFor({ state: 'detached' })
  await alerts.waitForFunction(() => document.title === 'gaugecast')
  await alerts.locator('.polite-news', { hasText: 'QueueFull is over.' }).waitFor({ state: 'attached' })
  await alerts.getByRole('button', { name: /^Resolved/ }).click()
  await row(alerts).first().waitFor()
})

test('what one tab acknowledges, silences and lets loose, the other sees', async () => {
  say(full())
  const [one, other] = [await open('alerts'), await open('alerts')]
  await row(one).locator('.what').click()
  await row(one).getByRole('button', { name: 'Acknowledge with a note…' }).click()
  await one.getByLabel('By').fill('ann')
  await one.getByLabel('Note').fill('on it')
  await one.getByRole('form', { name: 'Acknowledge' }).getByRole('button', { name: 'Acknowledge' }).click()
  await one.getByText('Acknowledged.').waitFor()
  await row(other).locator('.taken', { hasText: 'ann has it' }).waitFor()
  await row(one).getByText(/ann at .*: on it/).waitFor()

  await row(other).getByRole('button', { name: 'More about QueueFull' }).click()
  await other.getByRole('menuitem', { name: 'Give it back' }).click()
  await row(one).locator('.row').getByRole('button', { name: 'Acknowledge' }).waitFor()

  await row(one).getByRole('button', { name: 'Silence…' }).click()
  const form = one.getByRole('form', { name: 'Silence' })
  expect(await form.locator('textarea').inputValue()).toBe('alertname="QueueFull"\nqueue="a"')
  await form.locator('textarea').fill('queue="a')
  await form.getByRole('button', { name: 'Silence' }).click()
  // What is wrong is said in the server's words, and what was typed stays.
  await form.locator('.refused', { hasText: 'matchers' }).waitFor()
  await form.locator('textarea').fill('queue="a"')
  await form.getByLabel('Comment').fill('a test')
  await form.getByRole('button', { name: 'Silence' }).click()
  await one.getByRole('button', { name: 'Silenced 1', pressed: true }).waitFor()
  await row(other).waitFor({ state: 'detached' })
  await other.getByText('Nothing fires, and nothing waits to.').waitFor()
  await other.waitForFunction(() => document.title === 'gaugecast')

  await other.getByRole('button', { name: /^Silenced/ }).click()
  await other.locator('.silences', { hasText: 'by ann: a test' }).waitFor()
  await other.locator('.silences').getByRole('button', { name: 'End now' }).click()
  await other.getByText('No alert is silenced.').waitFor()
  await one.getByRole('button', { name: 'Active 1', pressed: true }).waitFor()
})

test('keys acknowledge and silence the alert that has the focus', async () => {
  say(full())
  const page = await open('alerts')
  await row(page).locator('.what').focus()
  await page.keyboard.press('a')
  await row(page).locator('.taken').waitFor()
  expect(await firing()).toBe(1)
  await row(page).locator('.what').focus()
  await page.keyboard.press('s')
  await page.getByRole('form', { name: 'Silence' }).waitFor()
})

test('the keys of a row are in the list of keys, and are switched off with the other letters', async () => {
  say(full())
  const page = await open('alerts')
  await row(page).locator('.what').focus()
  await page.keyboard.press('?')
  await page.getByRole('dialog').getByText('acknowledge the alert, silence it').waitFor()
  await page.getByRole('checkbox').uncheck()
  await page.keyboard.press('Escape')
  await page.getByRole('dialog').waitFor({ state: 'detached' })
  await row(page).locator('.what').focus()
  await page.keyboard.press('s')
  expect(await page.evaluate(() => location.hash)).toBe('#alerts')
})

test('an alert says who is told next, and is escalated by hand', async () => {
  say(full())
  const page = await open('alerts')
  await row(page).waitFor()
  await row(page).locator('.what').click()
  await page.getByText(/next: lead at .*, in 5\d\u202fmin/).waitFor()
  await page.getByRole('button', { name: 'Escalate: tell lead now' }).click()
  await page.locator('.details .story td', { hasText: 'did not wait: lead is told' }).waitFor()
  await page.getByRole('button', { name: 'Escalate: tell lead now' }).waitFor({ state: 'detached' })
})

test('hostile labels, notes and addresses stay text', async () => {
  say(full(HOSTILE))
  const page = await open('alerts')
  await row(page).locator('.what').click()
  await row(page).locator('.chip', { hasText: HOSTILE }).waitFor()
  await row(page).getByText('javascript:window.hacked=1').waitFor()
  expect(await row(page).locator('a[href^="javascript"]').count()).toBe(0)
  expect(await row(page).getByRole('link', { name: 'https://example.org/queue' }).getAttribute('rel')).toContain('noopener')
  expect(await page.locator('img').count()).toBe(0)
  expect(await page.evaluate(() => 'hacked' in window)).toBe(false)
})

test('rules say what they are and what is wrong with them', async () => {
  const page = await open('alerts?tab=rules')
  const broken = page.locator('.rule').first()
  await broken.getByText('Fails').waitFor()
  expect(await broken.locator('.error').innerText()).toContain('many-to-many')
  await page.getByRole('searchbox').fill('calm')
  await page.waitForFunction(() => document.querySelectorAll('.rule').length === 1)
  expect(await page.locator('.rule').innerText()).toContain('Inactive')
  await page.getByRole('link', { name: 'shop_queue_length > 1000' }).click()
  await page.waitForFunction(() => document.querySelector<HTMLTextAreaElement>('.queries textarea')?.value === 'shop_queue_length > 1000')
})

test('a level that shifts is explained: what was seen, what is usual, what moved with it', async () => {
  // The detector has warmed up when it has scored enough observations.
  while ((await metric(server, 'gaugecast_detect_observations_total')) < 60);
  say({ ...CALM, shop_workers: 40, shop_stock: 70 })
  const page = await open('overview')
  await page.locator('.unusual').waitFor()
  const series = page.locator('.unusual tr', { hasText: 'shop_workers' })
  await series.locator('.value', { hasText: /^40$/ }).waitFor()
  await row(page, 'Anomaly').first().waitFor()
  await series.getByRole('link').click()
  const details = page.locator('.details')
  await details.getByText(/40 · expected 4.*score .* · zscore/).waitFor()
  await details.locator('.together', { hasText: 'shop_stock' }).waitFor()
  await details.locator('.over .band').waitFor({ state: 'attached' })
  await page.screenshot({ path: join(ARTIFACTS, 'anomaly-1280.png'), fullPage: true })
})

describe.each([1280, 360])('at %i pixels', (width) => {
  test('an opened alert has its chart, its limit and its facts', async () => {
    context = await pages.context({ width })
    say(full())
    const page = await open('alerts')
    await row(page).locator('.what').click()
    await page.locator('.limit-chart canvas').waitFor()
    await page.locator('.over .limit', { hasText: 'limit 10' }).waitFor({ state: 'attached' })
    await page.locator('.over .shade').last().waitFor({ state: 'attached' })
    await page.locator('.details .facts code', { hasText: 'shop_queue_length > 10' }).waitFor()
    await page.locator('.details .facts', { hasText: 'team by log' }).waitFor()
    await page.locator('.lanes .bar').first().waitFor()
    await page.locator('.history td', { hasText: 'its condition has held for long enough' }).first().waitFor()
    expect(await page.locator('main').evaluate((main) => main.scrollWidth - main.clientWidth)).toBeLessThanOrEqual(0)
    // Where the number is seen: in the bar, or on the tabs of a narrow screen.
    expect(await page.locator('.firing-count').filter({ visible: true }).allInnerTexts()).toEqual(['1'])
    await portray(page, join(ARTIFACTS, `alerts-${width}`), true)
  })
})

test('what a token may not do is said in the server’s words', async () => {
  const binary = process.env.GAUGECAST_BIN ?? ''
  const file = `--web.token-file=${join(scratch, 'tokens.json')}`
  const token = execFileSync(binary, ['token', 'create', 'viewer', '--scope', 'read,stream', file], { encoding: 'utf8' }).trim()
  say(full())
  const guarded = await start(0, `--config.file=${join(scratch, 'gaugecast.yml')}`, '--rules.built-in=false', '--collect.tick=250ms', `--collector.textfile.directory=${join(scratch, 'text')}`, file)
  const page = await context.newPage()
  await page.goto(`${guarded.url}#alerts`)
  await page.getByLabel('Token', { exact: true }).fill(token)
  await page.getByRole('button', { name: 'Connect' }).click()
  await row(page).locator('.row').getByRole('button', { name: 'Acknowledge' }).click()
  await row(page).locator('.refused', { hasText: 'alerts:write' }).waitFor()
  await stop(guarded)
})
