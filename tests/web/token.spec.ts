/**
 * The page and the client over a server that asks for tokens, as `gaugecast token` makes them. Screenshots go to
 * `artifacts/`.
 */
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { launch, portray, start, stop } from './server'
import type { Server } from './server'

const ARTIFACTS = fileURLToPath(new URL('../../artifacts/', import.meta.url))

const scratch = mkdtempSync(join(tmpdir(), 'gaugecast-token-'))
const file = `--web.token-file=${join(scratch, 'tokens.json')}`
let browser: Browser
let server: Server
let token: string

beforeAll(async () => {
  mkdirSync(ARTIFACTS, { recursive: true })
  const binary = process.env.GAUGECAST_BIN ?? ''
  token = execFileSync(binary, ['token', 'create', 'viewer', '--scope', 'read,stream', file], { encoding: 'utf8' }).trim()
  server = await start(0, '--collect.tick=250ms', file)
  browser = await launch()
})

afterAll(async () => {
  await browser.close()
  await stop(server)
  rmSync(scratch, { recursive: true })
})

async function enter(page: Page, text: string): Promise<void> {
  await page.getByLabel('Token', { exact: true }).fill(text)
  await page.getByRole('button', { name: 'Connect' }).click()
}

describe.each([1280, 360])('at %i pixels', (width) => {
  test('the page asks for a token, and shows all with a good one', async () => {
    const context = await browser.newContext({ viewport: { width, height: 800 } })
    const page = await context.newPage()
    const asked: string[] = []
    page.on('request', (request) => asked.push(request.url()))
    page.on('websocket', (socket) => asked.push(socket.url()))
    await page.goto(server.url)
    await page.getByRole('heading', { name: 'This server asks for a token' }).waitFor()
    expect(await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth)).toBeLessThanOrEqual(0)
    await portray(page, join(ARTIFACTS, `token-${width}`))

    await enter(page, 'two words')
    await page.getByText('That is no token').waitFor()
    await enter(page, 'gct_wrong')
    await page.getByText('The last one was refused').waitFor()
    await enter(page, ` ${token} `)
    await page.locator('.card').first().waitFor()
    await page.goto(`${server.url}#targets`)
    await page.getByRole('heading', { name: 'Targets' }).waitFor()
    expect(await page.locator('.refused').count()).toBe(0)

    await page.reload()
    await page.getByRole('button', { name: 'Live', exact: true }).waitFor()
    expect(asked.some((url) => url.startsWith('ws:'))).toBe(true)
    expect(asked.filter((url) => url.includes(token))).toEqual([])
    expect(await page.evaluate(() => [sessionStorage.length, document.cookie, JSON.stringify(localStorage).includes('gct_')])).toEqual([1, '', false])
    await context.close()
  })
})

test.each(['websocket', 'sse'] as const)('the client connects over %s with a token, and ends without', async (transport) => {
  const client = (await import(new URL('../../web/dist/client.js', import.meta.url).href)) as typeof import('../../web/client/index')
  if (transport === 'websocket' && typeof WebSocket === 'undefined') return
  const live = client.connect(server.url, { transport, token })
  for await (const tick of live.subscribe('process_start_time_seconds')) {
    expect(tick.value('process_start_time_seconds')).toBeGreaterThan(0)
    break
  }
  live.close()
  const without = client.connect(server.url, { transport: 'sse' })
  without.subscribe('up')
  const reason = await new Promise<string>((resolve) => {
    without.on('state', ({ phase, reason }) => {
      if (phase === 'closed') resolve(reason)
    })
  })
  expect(reason).toContain('needs a token')
  without.close()
})
