/**
 * The page of targets, in a real browser, over a server that scrapes another gaugecast and an address where nobody
 * listens. Screenshots go to `artifacts/`.
 */
import { mkdirSync } from 'node:fs'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { once } from 'node:events'
import type { Browser, Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { launch, Pages, sideways, start, stop } from './server'
import type { Server } from './server'

const ARTIFACTS = fileURLToPath(new URL('../../artifacts/', import.meta.url))

let browser: Browser
let target: Server
let server: Server
let nobody: string
const pages = new Pages(() => browser)

beforeAll(async () => {
  mkdirSync(ARTIFACTS, { recursive: true })
  const taken = createServer().listen(0, '127.0.0.1')
  await once(taken, 'listening')
  nobody = `127.0.0.1:${(taken.address() as AddressInfo).port}`
  taken.close()
  await once(taken, 'close')
  target = await start(0)
  server = await start(0, `--scrape=${target.url}metrics`, `--scrape=http://${nobody}/metrics`)
  browser = await launch()
})

afterEach(async () => {
  await pages.close()
})

afterAll(async () => {
  await browser.close()
  await stop(server)
  await stop(target)
})

async function open(width: number, theme: 'dark' | 'light'): Promise<Page> {
  const page = await pages.open(`${server.url}#targets`, { width, theme })
  await page.locator('.target.up').waitFor()
  return page
}

describe.each([1280, 360])('at %i pixels', (width) => {
  test.each(['dark', 'light'] as const)('in the %s theme what is down is first, with its error in full', async (theme) => {
    const page = await open(width, theme)
    const rows = page.locator('.target')
    expect(await rows.count()).toBe(2)
    expect(await rows.first().getAttribute('class')).toContain('down')
    expect(await rows.first().innerText()).toContain(nobody)
    expect(await rows.first().locator('.error').innerText()).toMatch(/refused/)
    expect(await page.locator('.tabs .down').innerText()).toBe('1')
    await page.locator('.target.up .timeline .up').waitFor()
    await page.locator('.target.down .timeline .down').waitFor()
    expect(await sideways(page)).toBeLessThanOrEqual(0)
    expect(await page.locator('.top').evaluate((top) => top.scrollHeight - top.clientHeight), 'the bar holds what is in it').toBeLessThanOrEqual(0)
    expect(await rows.last().locator('.facts').innerText()).toMatch(/took [\d.]+\s(µs|ms|s) · [\d\s]+ samples · every 1\u202fs/)
    await page.screenshot({ path: join(ARTIFACTS, `targets-${width}-${theme}.png`) })
  })
})

test('targets are found by their words, and the tabs lead there and back', async () => {
  const page = await open(1280, 'light')
  await page.getByRole('searchbox').fill('refused')
  await page.waitForFunction(() => document.querySelectorAll('.target').length === 1)
  await page.getByRole('searchbox').fill('no such target')
  await page.getByText('No target matches').waitFor()
  await page.getByRole('searchbox').fill('')
  await page.getByRole('link', { name: 'Explore' }).click()
  await page.locator('.card').first().waitFor()
  await page.getByRole('link', { name: /Targets/ }).click()
  await page.locator('.target').first().waitFor()
})

test('a server without targets says how to have one', async () => {
  const page = await pages.open(`${target.url}#targets`, { height: 720 })
  await page.getByText('gaugecast --scrape').waitFor()
})
