/** Load-test reports in the browser: two real ones, made by `gaugecast loadtest` against a server of its own, and files that are none. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Browser, Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { launch, Pages, portray, sideways, start, stop } from './server'
import type { Server } from './server'

const ARTIFACTS = fileURLToPath(new URL('../../artifacts/', import.meta.url))

const scratch = mkdtempSync(join(tmpdir(), 'gaugecast-reports-'))
const path = (name: string) => join(scratch, name)
let browser: Browser
let server: Server
const pages = new Pages(() => browser)

/** A short run; what it exits with is its verdict, and that is in the report. */
async function loadtest(name: string, ...flags: readonly string[]): Promise<void> {
  const { GAUGECAST_BIN: binary = '', ...env } = process.env
  const run = spawn(binary, ['loadtest', '--serve', '--quiet', '--duration=3s', `--json=${path(name)}`, ...flags], { stdio: 'ignore', env })
  await once(run, 'exit')
}

beforeAll(async () => {
  mkdirSync(ARTIFACTS, { recursive: true })
  await loadtest('few.json', '--connections=5')
  await loadtest('many.json', '--connections=20', '--expect=delivery.p95<1us')
  writeFileSync(path('broken.json'), readFileSync(path('few.json'), 'utf8').slice(0, 1000))
  writeFileSync(path('foreign.json'), '{"metrics": {}}')
  writeFileSync(path('wrong.json'), readFileSync(path('few.json'), 'utf8').replace(/"seconds":\s*[\d.]+/, '"seconds": "<img src=x onerror=1>"'))
  server = await start(0)
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

const choose = (page: Page, ...names: readonly string[]) => page.getByLabel('Open reports').first().setInputFiles(names.map(path))

describe.each([1280, 360])('at %i pixels', (width) => {
  test('a report has its phases, criteria, distributions and errors', async () => {
    const page = await pages.open(`${server.url}#reports`, { width })
    await choose(page, 'many.json')
    await page.getByRole('region', { name: 'Phases' }).waitFor()
    expect(await page.getByRole('region', { name: 'Phases' }).innerText()).toMatch(/ramp-up[\s\S]*recovery[\s\S]*sustained/)
    const failed = page.locator('tbody tr', { hasText: 'delivery.p95<1us' })
    expect(await failed.innerText()).toMatch(/µs|ms/)
    await page.getByRole('img', { name: /^Delivery: p50/ }).waitFor()
    expect(await page.getByRole('img', { name: /^Delivery: p50/ }).locator('rect').count()).toBeGreaterThan(0)
    await page.getByRole('img', { name: /^Recovery: p50/ }).waitFor()
    expect(await sideways(page)).toBeLessThanOrEqual(0)
    await portray(page, join(ARTIFACTS, `report-${width}`), true)
    expect(pages.complaints).toEqual([])
  })

  test('two stand side by side with what is better and what is worse', async () => {
    const page = await pages.open(`${server.url}#reports`, { width })
    await choose(page, 'few.json', 'many.json')
    const differences = page.getByRole('region', { name: 'Differences' })
    await differences.getByText('The loads differ: A has 5 connections').waitFor()
    const p95 = page.locator('tbody tr', { hasText: 'delivery.p95' }).first()
    const before = await p95.innerText()
    expect(before).toMatch(/(µs|ms)\s+[\d.]+\s(µs|ms)\s/)
    await page.getByRole('button', { name: 'Swap' }).click()
    await differences.getByText('The loads differ: A has 20 connections').waitFor()
    expect(await p95.innerText()).not.toBe(before)
    const main = await differences.locator('tbody tr').count()
    await page.getByRole('button', { name: 'All measures' }).click()
    await page.waitForFunction((count) => (document.querySelector('.table')?.querySelectorAll('tbody tr').length ?? 0) > count, main)
    await page.getByRole('img', { name: /^Delivery of B/ }).waitFor()
    expect(await sideways(page)).toBeLessThanOrEqual(0)
    await page.screenshot({ path: join(ARTIFACTS, `reports-${width}-light.png`), fullPage: true })
    await page.getByRole('button', { name: 'Close many.json' }).click()
    await page.getByRole('region', { name: 'Phases' }).waitFor()
  })
})

test('what is dropped is read here and sent nowhere, and stays while other pages are looked at', async () => {
  const page = await pages.open(`${server.url}#reports`)
  await page.getByText('Drop a report here').waitFor()
  const sent: string[] = []
  page.on('request', (request) => {
    if (request.method() !== 'GET') sent.push(request.url())
  })
  const data = await page.evaluateHandle((text) => {
    const carried = new DataTransfer()
    carried.items.add(new File([text], 'dropped.json', { type: 'application/json' }))
    return carried
  }, readFileSync(path('few.json'), 'utf8'))
  await page.locator('main').dispatchEvent('drop', { dataTransfer: data })
  await page.getByText('dropped.json').waitFor()
  await page.goto(`${server.url}#clients`)
  await page.getByRole('heading', { name: 'Clients' }).waitFor()
  await page.goto(`${server.url}#reports`)
  await page.getByText('dropped.json').waitFor()
  expect(sent).toEqual([])
  expect(await page.evaluate(() => JSON.stringify([localStorage, sessionStorage]).includes('delivery'))).toBe(false)
})

test('files that are no reports say what is wrong and where, as text', async () => {
  const page = await pages.open(`${server.url}#reports`, { width: 360 })
  await choose(page, 'broken.json', 'foreign.json')
  await page.getByRole('alert').filter({ hasText: /broken\.json: This is no JSON\. \(line \d+, column \d+\)/ }).waitFor()
  await page.getByRole('alert').filter({ hasText: 'it names no version of its form. (/schema_version)' }).waitFor()
  await choose(page, 'wrong.json')
  await page.getByRole('alert').filter({ hasText: 'Here should be a number, not the text "<img src=x onerror=1>". (/seconds)' }).waitFor()
  expect(await page.locator('img').count()).toBe(0)
  expect(await sideways(page)).toBeLessThanOrEqual(0)
})
