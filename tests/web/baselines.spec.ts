/** Baselines over the real server: saved, compared with now and with each other, deleted. */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Browser, Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { launch, Pages, portray, sideways, start, stop } from './server'
import type { Server } from './server'

const ARTIFACTS = fileURLToPath(new URL('../../artifacts/', import.meta.url))

let browser: Browser
let server: Server
const pages = new Pages(() => browser)

beforeAll(async () => {
  mkdirSync(ARTIFACTS, { recursive: true })
  server = await start(0, '--collect.tick=50ms')
  browser = await launch()
  // Ten samples of each series are the least that is judged.
  for (;;) {
    const { data } = (await (await fetch(`http://127.0.0.1:${server.port}/api/v1/history?match[]=node_load1&last=1m`)).json()) as { data: { series: { points: unknown[] }[] } }
    if ((data.series[0]?.points.length ?? 0) >= 30) break
  }
  await fetch(`http://127.0.0.1:${server.port}/api/v1/baselines/calm?match[]=${encodeURIComponent('{__name__=~"node_load.*|node_memory_MemTotal_bytes|node_time_seconds"}')}&last=1m&note=a%20good%20day`, { method: 'PUT' })
})

afterEach(async () => {
  await pages.close()
})

afterAll(async () => {
  await browser.close()
  await stop(server)
})

const row = (page: Page, text: string) => page.locator('tbody tr', { hasText: text })

describe.each([1280, 360])('at %i pixels', (width) => {
  test('a baseline is listed and compared with the window', async () => {
    const page = await pages.open(`${server.url}#baselines`, { width })
    await row(page, 'calm').filter({ hasText: 'a good day' }).waitFor()
    expect(await sideways(page)).toBeLessThanOrEqual(0)
    await portray(page, join(ARTIFACTS, `baselines-${width}`))
    await row(page, 'calm').getByRole('link', { name: 'calm' }).click()
    await row(page, 'node_memory_MemTotal_bytes').filter({ hasText: 'same' }).waitFor()
    expect(await row(page, 'node_memory_MemTotal_bytes').locator('a').getAttribute('href')).toBe('#metric/node_memory_MemTotal_bytes')
    expect(await row(page, 'node_memory_MemTotal_bytes').innerText()).toMatch(/GiB → .*GiB/)
    expect(await sideways(page)).toBeLessThanOrEqual(0)
    await portray(page, join(ARTIFACTS, `compare-${width}`))
    expect(pages.complaints).toEqual([])
  })
})

test('one is saved of the window, refused a second time in the server’s words, compared by a verdict, and deleted after a question', async () => {
  const page = await pages.open(`${server.url}#baselines`)
  const save = async () => {
    await page.getByLabel('Name').fill('later')
    await page.getByLabel('Series (PromQL selector)').fill('{__name__=~"node_time_seconds|node_load1"}')
    await page.getByRole('button', { name: 'Save', exact: true }).click()
  }
  await save()
  await page.getByText('later is saved.').waitFor()
  await row(page, 'later').waitFor()
  await save()
  await page.getByRole('alert').filter({ hasText: 'later' }).waitFor()
  await page.goto(`${server.url}#baselines/calm`)
  await page.locator('select').selectOption('with later')
  await row(page, 'node_memory_MemTotal_bytes').filter({ hasText: 'gone' }).waitFor()
  expect(page.url()).toContain('with=later')
  await page.getByRole('group', { name: 'Verdict' }).getByRole('button', { name: /^gone/ }).click()
  await row(page, 'node_load1').filter({ hasNotText: 'gone' }).waitFor({ state: 'detached' })
  expect(await page.locator('tbody tr').count()).toBe(await page.locator('tbody tr', { hasText: 'gone' }).count())
  await page.goto(`${server.url}#baselines`)
  await row(page, 'later').getByRole('button', { name: 'Delete later' }).click()
  await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click()
  await page.getByText('later was deleted.').waitFor()
  await row(page, 'later').waitFor({ state: 'detached' })
})

test('trends stand beside the changes when asked for, and a range that is none says so', async () => {
  const page = await pages.open(`${server.url}#baselines/calm`)
  await page.getByRole('button', { name: 'Trends' }).click()
  await page.locator('thead', { hasText: 'Trend' }).waitFor()
  await row(page, 'node_memory_MemTotal_bytes').filter({ hasText: 'steady' }).waitFor()
  await page.goto(`${server.url}#baselines/calm?from=2026-11-21T14:00&to=2026-11-21T13:00`)
  await page.getByText('The range must end after it begins.').waitFor()
  await page.goto(`${server.url}#baselines/none`)
  await page.getByRole('alert').filter({ hasText: 'there is no baseline "none"' }).waitFor()
})
