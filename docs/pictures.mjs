/**
 * Takes the pictures of the documents from a server that runs: `node docs/pictures.mjs OUT [URL]`. It should have run
 * for more than five minutes, with the example `chat_server` scraped and talked to, a rule that fires, and a target that is
 * down. With `PAGE_DIST`, a folder, its files stand in for the page in the binary. The last picture is of a server that is
 * gone: end it when asked to. Then reduce them to a palette, each below 120 kB (a test holds that). `element.png` is
 * `examples/status-page.html`, 900 pixels wide, from an origin that the server allows.
 */
import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'

const { chromium } = createRequire(new URL('../web/package.json', import.meta.url))('playwright-core')
const [out, url = 'http://127.0.0.1:7171/'] = process.argv.slice(2)
const { PAGE_DIST: dist, CHROMIUM: executablePath = '/usr/bin/chromium' } = process.env
const QUERY = 'sum by (mode) (rate(node_cpu_seconds_total{mode!="idle"}[30s]))'
/** Until all that is shown has its past. */
const FULL_MS = 20_000

const browser = await chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-gpu'] })

async function open(hash, { width = 1280, height = 800, colorScheme = 'dark' } = {}) {
  const context = await browser.newContext({ viewport: { width, height }, colorScheme, hasTouch: width < 500 })
  const page = await context.newPage()
  page.on('pageerror', (error) => console.error(hash, error.message))
  if (dist !== undefined) {
    await page.route(`${url}**`, (route) => {
      const file = join(dist, new URL(route.request().url()).pathname.replace(/\/$/, '/index.html'))
      return existsSync(file) ? route.fulfill({ path: file }) : route.fallback()
    })
  }
  await page.goto(url + hash)
  return page
}

async function take(page, name, close = true) {
  await page.screenshot({ path: join(out, `${name}.png`) })
  console.log(name)
  if (close) await page.context().close()
}

const overview = await open('#overview', { height: 712 })
const phone = await open('#overview', { width: 360, height: 720, colorScheme: 'light' })
const full = overview.waitForTimeout(FULL_MS)

const explore = await open('#explore?find=memory', { height: 640, colorScheme: 'light' })
const query = await open(`#query?expr=${encodeURIComponent(QUERY)}`, { height: 700, colorScheme: 'light' })
await query.waitForTimeout(10_000)
await take(explore, 'explore')
await take(query, 'query')

const metric = await open('#metric/gaugecast_operation_duration_seconds', { height: 700 })
await metric.waitForTimeout(10_000)
await metric.keyboard.press('Space')
const plot = await metric.locator('main.metric canvas').first().boundingBox()
await metric.mouse.move(plot.x + plot.width * 0.72, plot.y + plot.height / 2)
await metric.waitForTimeout(8_000)
await take(metric, 'metric-paused')

const alert = await open('#alerts', { height: 720, colorScheme: 'light' })
await alert.locator('li[data-alert] b').first().click()
await alert.waitForTimeout(15_000)
await alert.evaluate(() => { scrollTo(0, 0) })
await alert.waitForTimeout(1_000)
await take(alert, 'alert')

const targets = await open('#targets', { height: 490, colorScheme: 'light' })
await full
await take(overview, 'overview', false)
await take(phone, 'overview-360')
await take(targets, 'targets')

console.log('end the server')
await overview.waitForSelector('html.offline', { timeout: 0 })
await overview.waitForTimeout(8_000)
await take(overview, 'offline')
await browser.close()
