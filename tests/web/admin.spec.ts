/**
 * Administration over the real server, settings, signing in again, and another version of the server. Screenshots go to
 * `artifacts/`.
 */
import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { Server as HttpServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Browser, Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { launch, Pages, portray, sideways, start, stop, until } from './server'
import type { Server } from './server'

const ARTIFACTS = fileURLToPath(new URL('../../artifacts/', import.meta.url))
const SECRET = 'hunter2-hunter2'

const scratch = mkdtempSync(join(tmpdir(), 'gaugecast-admin-'))
const tokens = `--web.token-file=${join(scratch, 'tokens.json')}`
const gaugecast = (...args: readonly string[]) => execFileSync(process.env.GAUGECAST_BIN ?? '', [...args, tokens], { encoding: 'utf8' }).trim()
let browser: Browser
let server: Server
let guarded: Server
let hook: HttpServer
/** Tokens by name. A server that runs reads a new one within a second; these it has from its start. */
const token: Record<string, string> = {}
/** What the webhook answers. */
let answer = 400
const pages = new Pages(() => browser)

beforeAll(async () => {
  mkdirSync(ARTIFACTS, { recursive: true })
  hook = createServer((asked, told) => {
    asked.resume()
    told.writeHead(answer).end()
  }).listen(0, '127.0.0.1')
  await once(hook, 'listening')
  const url = `http://127.0.0.1:${(hook.address() as AddressInfo).port}/hook`
  writeFileSync(join(scratch, 'rules.yml'), 'groups: [{name: g, interval: 1s, rules: [{alert: AlwaysThere, expr: vector(1)}]}]\n')
  writeFileSync(
    join(scratch, 'gaugecast.yml'),
    `rule_files: [${join(scratch, 'rules.yml')}]\nrules: {built_in: false}\nroute: {receiver: team, group_wait: 0s}\nreceivers:\n  - name: team\n    webhook_configs: [{url: "${url}", secret: "${SECRET}"}]\n`,
  )
  server = await start(0, '--collect.tick=250ms', `--config.file=${join(scratch, 'gaugecast.yml')}`)
  await until(server, 'gaugecast_notification_dead_letters', 1)
  for (const name of ['looker', 'guest', 'guest2']) token[name] = gaugecast('token', 'create', name, '--scope', 'read,stream')
  token.operator = gaugecast('token', 'create', 'operator', '--scope', 'admin')
  guarded = await start(0, '--collect.tick=250ms', tokens)
  browser = await launch()
})

afterEach(async () => {
  await pages.close()
})

afterAll(async () => {
  await browser.close()
  await stop(server)
  await stop(guarded)
  hook.close()
  rmSync(scratch, { recursive: true })
})

async function signIn(page: Page, text = ''): Promise<void> {
  await page.getByLabel('Token', { exact: true }).fill(text)
  await page.getByRole('button', { name: 'Connect' }).click()
}

describe.each([1280, 360])('at %i pixels', (width) => {
  test('the server tells how it is and how it is set, without secrets', async () => {
    const page = await pages.open(`${server.url}#admin`, { width })
    await page.getByRole('region', { name: 'Configuration' }).getByText('receivers:').waitFor()
    const status = page.getByRole('region', { name: 'Status' })
    await status.getByText(/^\d+\s(s|min)/).waitFor()
    expect(await status.innerText()).toMatch(/Memory\s+[\d.]+\sMiB[\s\S]*Series\s+\d[\d\s.k]* of 1\.00\sM[\s\S]*Ticks missed\s+\d+ of \d/)
    await page.getByRole('button', { name: /^All \d+ lines/ }).click()
    const all = await page.locator('.config').innerText()
    expect(all).toContain('<secret>')
    expect(all).not.toContain(SECRET)
    expect(await sideways(page)).toBeLessThanOrEqual(0)
    await portray(page, join(ARTIFACTS, `admin-${width}`))
    expect(pages.complaints).toEqual([])
  })
})

test('the level of the log is set, and what the server refuses is said in its words', async () => {
  const page = await pages.open(`${server.url}#admin`)
  const level = page.getByRole('group', { name: 'Level of the log' })
  await level.getByRole('button', { name: 'debug' }).click()
  await level.locator('[aria-pressed="true"]', { hasText: 'debug' }).waitFor()
  const told = (await (await fetch(`http://127.0.0.1:${server.port}/api/v1/admin/loglevel`)).json()) as { data: { level: string } }
  expect(told.data.level).toBe('debug')
  await level.getByRole('button', { name: 'warn' }).click()
  await page.getByText('The log says warn now.').waitFor()
  await page.getByRole('button', { name: 'Read the configuration again' }).click()
  await page.getByRole('alert').filter({ hasText: '--web.enable-lifecycle' }).waitFor()
})

test('a dead letter is sent again once the receiver takes it', async () => {
  const page = await pages.open(`${server.url}#admin`)
  const row = page.getByRole('region', { name: 'Dead letters' }).locator('tbody tr', { hasText: 'AlwaysThere' })
  await row.filter({ hasText: 'rejected' }).waitFor()
  answer = 200
  await row.getByRole('button', { name: 'Send again' }).click()
  await page.getByText('is tried again.').waitFor()
  await row.waitFor({ state: 'detached' })
})

test('the report opens as a page of its own', async () => {
  const page = await pages.open(`${server.url}#admin`)
  const [opened] = await Promise.all([page.waitForEvent('popup'), page.getByRole('link', { name: 'HTML' }).click()])
  await opened.getByRole('heading').first().waitFor()
  expect(await opened.locator('body').innerText()).toContain('Performance')
})

test('a token that may only look is told so, and its report is fetched with the token', async () => {
  const page = await pages.open(`${guarded.url}#admin`)
  await signIn(page, token.looker)
  await page.getByRole('alert').filter({ hasText: 'Administration is not for this page' }).waitFor()
  expect(await page.getByRole('button', { name: 'Drain and stop' }).count()).toBe(0)
  await page.getByLabel(/Another token/).fill(token.operator ?? '')
  await page.getByRole('button', { name: 'Use it' }).click()
  const [saved] = await Promise.all([page.waitForEvent('download'), page.getByRole('button', { name: 'Save Markdown' }).click()])
  expect(saved.suggestedFilename()).toBe('gaugecast-report.md')
})

test('a token that ends in the middle brings the sign-in above the page, which stays where it was', async () => {
  const page = await pages.open(`${guarded.url}#explore?w=15m`, { theme: 'dark' })
  await signIn(page, token.guest)
  await page.locator('.card').nth(20).waitFor()
  await page.evaluate(() => { scrollTo(0, 900) })
  gaugecast('token', 'revoke', 'guest')
  await page.getByRole('heading', { name: 'Sign in again' }).waitFor()
  expect(await page.locator('.shown').evaluate((shown) => shown.hasAttribute('inert') && shown.querySelectorAll('.card').length > 20)).toBe(true)
  expect(await page.evaluate(() => scrollY)).toBe(900)
  await page.screenshot({ path: join(ARTIFACTS, 'sign-in-again-1280-dark.png') })
  await signIn(page, 'gct_wrong')
  await page.getByText('The last one was refused').waitFor()
  await signIn(page, token.guest2)
  await page.getByRole('heading', { name: 'Sign in again' }).waitFor({ state: 'detached' })
  await page.getByRole('button', { name: 'Live', exact: true }).waitFor()
  expect([await page.evaluate(() => scrollY), new URL(page.url()).hash]).toEqual([900, '#explore?w=15m'])
})

describe('another version of the server', () => {
  /** The stream as it is, save that from the second connection on the server says it is another one. */
  async function upgraded(): Promise<{ page: Page; upgrade: () => Promise<void> }> {
    const page = await pages.open('about:blank')
    let version = '0.1.0'
    let cut: () => Promise<void> = () => Promise.resolve()
    await page.routeWebSocket(/stream\/ws/, (socket) => {
      const onward = socket.connectToServer()
      onward.onMessage((message) => {
        socket.send(typeof message === 'string' ? message.replace(/"version":"[^"]*"/, `"version":"${version}"`) : message)
      })
      cut = () => socket.close({ code: 1012, reason: 'restart' })
    })
    await page.goto(`${server.url}#explore`)
    await page.locator('.card').first().waitFor()
    const upgrade = async () => {
      version = '9.9.9'
      await cut()
      await page.getByText('gaugecast 9.9.9 runs here now').waitFor()
    }
    return { page, upgrade }
  }

  test('loads the page anew by itself', async () => {
    const { page, upgrade } = await upgraded()
    const loaded = page.waitForEvent('load')
    await upgrade()
    await loaded
    await page.locator('.card').first().waitFor()
    expect(await page.locator('.news').count()).toBe(0)
  })

  test('waits for a button where somebody looks at a moment', async () => {
    const { page, upgrade } = await upgraded()
    await page.keyboard.press('Space')
    await page.getByRole('button', { name: 'Paused' }).waitFor()
    await upgrade()
    expect(await page.locator('.news').innerText()).not.toContain('in 3 s')
    await page.screenshot({ path: join(ARTIFACTS, 'new-version-1280-light.png') })
    await Promise.all([page.waitForEvent('load'), page.getByRole('button', { name: 'Load anew' }).click()])
  })
})

test('the menu leads to the other pages and keeps how a person wants the page', async () => {
  const page = await pages.open(`${server.url}#explore`)
  const more = page.getByRole('button', { name: 'More pages and settings' })
  await more.click()
  await page.getByRole('group', { name: 'Single keys' }).getByRole('button', { name: 'off' }).click()
  await page.getByRole('group', { name: 'Traffic' }).getByRole('button', { name: 'bits' }).click()
  await page.keyboard.press('Escape')
  await page.getByRole('group', { name: 'Traffic' }).waitFor({ state: 'detached' })
  const network = page.locator('.card[data-family="node_network_transmit_bytes_total node_network_receive_bytes_total"] .unit')
  await network.filter({ hasText: 'bit/s' }).waitFor()
  await page.keyboard.press('Space')
  expect(await page.getByRole('button', { name: 'Live', exact: true }).count(), 'no key pauses').toBe(1)
  await page.reload()
  await network.filter({ hasText: 'bit/s' }).waitFor()
  await more.click()
  await page.getByRole('link', { name: 'Operations' }).click()
  await page.getByRole('heading', { name: 'Operations' }).waitFor()
  expect(pages.complaints).toEqual([])
})

test('a narrow screen has tabs at the bottom, 56 pixels high, and the rest in the last of them', async () => {
  const page = await pages.open(`${server.url}#explore`, { width: 360 })
  const bottom = page.locator('.bottom')
  await bottom.getByRole('link', { name: 'Explore' }).waitFor()
  expect(await bottom.evaluate((nav) => [Math.round(innerHeight - nav.getBoundingClientRect().bottom), nav.querySelector('a')?.getBoundingClientRect().height])).toEqual([0, 56])
  await bottom.getByRole('button', { name: 'More pages and settings' }).click()
  await page.getByRole('group', { name: 'Window' }).getByRole('button', { name: '15m' }).click()
  await page.screenshot({ path: join(ARTIFACTS, 'menu-360-light.png') })
  await page.getByRole('link', { name: 'Clients' }).click()
  await page.getByRole('heading', { name: 'Clients' }).waitFor()
  expect(await page.locator('.top').evaluate((top) => top.getBoundingClientRect().height)).toBe(49)
  expect(await sideways(page)).toBeLessThanOrEqual(0)
})

test('a server that is drained ends after the question was answered with yes', async () => {
  const other = await start(0)
  const page = await pages.open(`${other.url}#admin`)
  await page.getByRole('button', { name: 'Drain and stop' }).click()
  const ended = once(other.process, 'exit')
  await page.getByRole('dialog').getByRole('button', { name: 'Drain and stop' }).click()
  await ended
  await page.getByText('The server tells its clients').waitFor()
})
