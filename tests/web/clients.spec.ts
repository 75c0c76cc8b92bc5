/** The page of clients over the real server: who is there, sending one away, and what a token without the scope may not. */
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Browser } from 'playwright-core'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { launch, Pages, portray, sideways, start, stop } from './server'
import type { Server } from './server'

const ARTIFACTS = fileURLToPath(new URL('../../artifacts/', import.meta.url))

const scratch = mkdtempSync(join(tmpdir(), 'gaugecast-clients-'))
const file = `--web.token-file=${join(scratch, 'tokens.json')}`
const token = (name: string, scopes: string) => execFileSync(process.env.GAUGECAST_BIN ?? '', ['token', 'create', name, '--scope', scopes, file], { encoding: 'utf8' }).trim()
let browser: Browser
let server: Server
let guarded: Server
let viewer: string
let operator: string
const pages = new Pages(() => browser)

beforeAll(async () => {
  mkdirSync(ARTIFACTS, { recursive: true })
  viewer = token('viewer', 'read,stream')
  operator = token('operator', 'admin')
  server = await start(0)
  guarded = await start(0, file)
  browser = await launch()
})

afterEach(async () => {
  await pages.close()
})

afterAll(async () => {
  await browser.close()
  await stop(server)
  await stop(guarded)
  rmSync(scratch, { recursive: true })
})

describe.each([1280, 360])('at %i pixels', (width) => {
  test('the page finds itself among the clients', async () => {
    const page = await pages.open(`${server.url}#clients`, { width })
    const own = page.locator('tbody tr', { hasText: 'Mozilla' }).first()
    await own.waitFor()
    expect(await own.innerText()).toMatch(/127\.0\.0\.1:\d+\s+websocket/)
    expect(await page.locator('.facts-row').innerText()).toMatch(/Connected\s*\d+/)
    expect(await sideways(page)).toBeLessThanOrEqual(0)
    await portray(page, join(ARTIFACTS, `clients-${width}`))
    expect(pages.complaints).toEqual([])
  })
})

test('a client is sent away when the question is answered with yes, and not before', async () => {
  const stream = await fetch(`http://127.0.0.1:${server.port}/api/v1/stream/sse?match[]=up`, { headers: { 'user-agent': 'idler/1.0' } })
  const page = await pages.open(`${server.url}#clients`)
  await page.getByRole('searchbox').fill('idler')
  const row = page.locator('tbody tr', { hasText: 'idler/1.0' })
  await row.getByRole('button').click()
  await page.getByRole('button', { name: 'Cancel' }).click()
  await page.getByRole('dialog').waitFor({ state: 'detached' })
  expect(await row.count()).toBe(1)
  await row.getByRole('button').click()
  await page.getByRole('dialog').getByRole('button', { name: 'Send away' }).click()
  await page.getByText('was sent away.').waitFor()
  await page.getByText('No client matches').waitFor()
  // Its stream ends; without that this would wait for ever.
  expect(await stream.text()).toContain('4410')
})

test('a token without the scope is told so in the server’s words, and another one may be used', async () => {
  const page = await pages.open(`${guarded.url}#clients`)
  await page.getByLabel('Token', { exact: true }).fill(viewer)
  await page.getByRole('button', { name: 'Connect' }).click()
  await page.getByText('The clients could not be read:').filter({ hasText: 'admin' }).waitFor()
  await page.getByLabel(/Another token/).fill(operator)
  await page.getByRole('button', { name: 'Use it' }).click()
  await page.locator('tbody tr', { hasText: 'Mozilla' }).first().waitFor()
  expect(await page.locator('.refused').count()).toBe(0)
  expect(await page.evaluate(() => JSON.stringify(localStorage).includes('gct_') || location.href.includes('gct_'))).toBe(false)
})
