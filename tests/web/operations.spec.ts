/**
 * The page of operations over a real application, the example `chat_server`, with people who talk and one who tries a
 * wrong password. Screenshots go to `artifacts/`.
 */
import { once } from 'node:events'
import { mkdirSync } from 'node:fs'
import { connect } from 'node:net'
import type { Socket } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Browser } from 'playwright-core'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { launch, Pages, portray, sideways, start, startChat, stop } from './server'
import type { Server } from './server'

const ARTIFACTS = fileURLToPath(new URL('../../artifacts/', import.meta.url))

let browser: Browser
let chat: Server & { readonly chat: number }
let plain: Server
let talker: Socket
let talking: NodeJS.Timeout
const pages = new Pages(() => browser)

beforeAll(async () => {
  mkdirSync(ARTIFACTS, { recursive: true })
  chat = await startChat('--collect.tick=250ms')
  plain = await start(0)
  talker = connect(chat.chat, '127.0.0.1')
  await once(talker, 'connect')
  talker.resume()
  talker.write('REGISTER ann secret\nLOGIN ann wrong\nLOGIN ann secret\nCREATE tea\n')
  talking = setInterval(() => talker.write('SEND tea hello\nHISTORY tea\nJOIN coffee\n'), 20)
  browser = await launch()
})

afterEach(async () => {
  await pages.close()
})

afterAll(async () => {
  clearInterval(talking)
  talker.destroy()
  await browser.close()
  await stop(plain)
  await stop(chat)
})

const row = (name: string) => `.table tr:has(a:text-is("${name}"))`

describe.each([1280, 360])('at %i pixels', (width) => {
  test('each operation has its row, live, and does not scroll the page', async () => {
    const page = await pages.open(`${chat.url}#operations`, { width })
    const cells = page.locator(row('send_message')).first().locator('td')
    await page.waitForFunction((selector) => /[1-9].*\/s/.test(document.evaluate(selector, document, null, XPathResult.STRING_TYPE).stringValue), '//tr[.//a[text()="send_message"]]/td[2]')
    await cells.nth(4).filter({ hasText: /µs|ms/ }).waitFor()
    expect(await cells.nth(2).innerText(), 'nothing failed').toMatch(/^0\s%$/)
    await page.locator(row('join_room')).first().locator('td').nth(2).filter({ hasText: '100' }).waitFor()
    await page.locator('.verdicts .bad').first().waitFor()
    expect(await page.getByRole('region', { name: 'Security' }).innerText()).toContain('Failed logins')
    expect(await page.getByRole('region', { name: 'Connections' }).innerText()).toMatch(/Open\s*1/)
    expect(await sideways(page)).toBeLessThanOrEqual(0)
    await portray(page, join(ARTIFACTS, `operations-${width}`))
    expect(pages.complaints).toEqual([])
  })
})

test('the rows are found by name and put in order by a click, which the address keeps', async () => {
  const page = await pages.open(`${chat.url}#operations`)
  await page.locator(row('send_message')).first().waitFor()
  const table = page.getByRole('group', { name: 'Operations' })
  const first = () => table.locator('tbody tr').first().locator('th').innerText()
  await table.getByRole('button', { name: 'Operation', exact: true }).click()
  expect(await first()).toBe('accept_invitation')
  await table.getByRole('button', { name: 'Operation', exact: true }).click()
  expect(await first()).toBe('whois')
  expect(page.url()).toContain('sort=-name')
  await page.reload()
  await page.locator(row('send_message')).first().waitFor()
  expect(await first()).toBe('whois')
  await page.getByRole('searchbox').fill('room join')
  await page.waitForFunction(() => document.querySelector('.table')?.querySelectorAll('tbody tr').length === 1)
})

test('an operation shows its heatmap and its last hundred runs with what went wrong', async () => {
  const page = await pages.open(`${chat.url}#operations`)
  await page.locator(row('join_room')).first().locator('a').first().click()
  await page.getByRole('heading', { name: 'join_room' }).waitFor()
  const runs = page.getByRole('region', { name: 'Last runs' })
  await runs.locator('tbody tr').nth(99).waitFor()
  expect(await runs.locator('tbody tr').first().innerText()).toMatch(/\d\d:\d\d:\d\d\s+[\d.]+\s(µs|ms)\s+◆ no_such_room/)
  expect(await page.locator('.strip-of-runs .failed').count()).toBe(100)
  expect(await page.locator('.strip-of-runs').getAttribute('aria-label')).toContain('0 went well, 100 failed')
  await page.locator('.card[data-family="gaugecast_operation_duration_seconds"] canvas').first().waitFor()
  await page.screenshot({ path: join(ARTIFACTS, 'operation-1280-light.png') })
  await page.goto(`${chat.url}#operations/none`)
  await page.getByText('There is no operation “none” now.').waitFor()
  expect(pages.complaints).toEqual([])
})

test('without an application the page says how to have operations', async () => {
  const page = await pages.open(`${plain.url}#operations`)
  await page.getByText('monitor.operation("send_message")').waitFor()
})
