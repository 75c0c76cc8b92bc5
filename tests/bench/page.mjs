/**
 * What the page costs in Debian's Chromium over the real server (GAUGECAST_BIN): loading, from a tick to the screen, and a
 * hundred charts for PAGE_MINUTES (10). Beside each the floor of the same run: an empty page of the same server. Prints a
 * table; ends with 1 where a target is missed.
 */
import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { createRequire } from 'node:module'

const { chromium } = createRequire(new URL('../../web/package.json', import.meta.url))('playwright-core')
const MINUTES = Number(process.env.PAGE_MINUTES ?? 10)
const CHARTS = 100

/** Starts the server; its address. */
async function serve() {
  const { GAUGECAST_BIN: binary, ...env } = process.env
  const child = spawn(binary, ['--web.listen-address=127.0.0.1:0'], { stdio: ['ignore', 'pipe', 'inherit'], env })
  for await (const line of createInterface({ input: child.stdout })) {
    const found = /page\s+(http:\S+)/.exec(line)
    if (found === null) continue
    child.stdout.resume()
    return { child, url: found[1] }
  }
  throw new Error('the server said nothing')
}

const median = (values) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)]
const quantile = (values, q) => [...values].sort((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * q))]

/** Milliseconds from the beginning of the navigation to its end, as the page's own clock says: of a page without anything, the floor. */
async function load(browser, url) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 } })
  const page = await context.newPage()
  await page.goto(url)
  const took = await page.evaluate(() => performance.getEntriesByType('navigation')[0].loadEventEnd)
  await context.close()
  return took
}

/** Loading: until the first number is there. Read by an observer that is there before the page. */
async function loading(browser, url, rounds) {
  const times = []
  for (let i = 0; i < rounds; i++) {
    const context = await browser.newContext({ viewport: { width: 1280, height: 800 } })
    const page = await context.newPage()
    await page.addInitScript(() => {
      const watch = new MutationObserver(() => {
        if (window.firstNumber !== undefined || ![...document.querySelectorAll('.value, .tile b, main p')].some((one) => /\d/.test(one.textContent))) return
        window.firstNumber = performance.now()
        watch.disconnect()
      })
      watch.observe(document, { childList: true, subtree: true, characterData: true })
    })
    await page.goto(url)
    times.push(await (await page.waitForFunction(() => window.firstNumber)).jsonValue())
    await context.close()
  }
  return times
}

/** From the time of a tick, as the frame says it, to a changed number in the document. */
async function tickToScreen(browser, url, wanted) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 } })
  const page = await context.newPage()
  await page.addInitScript(() => {
    window.ticks = []
    window.shown = []
    const Real = window.WebSocket
    window.WebSocket = class extends Real {
      constructor(...all) {
        super(...all)
        this.addEventListener('message', ({ data }) => {
          const found = typeof data === 'string' && data.startsWith('{"type":"delta"') ? /"t":(\d+)/.exec(data) : null
          if (found !== null) window.ticks.push(Number(found[1]))
        })
      }
    }
    addEventListener('load', () => {
      new MutationObserver((changes) => {
        const tick = window.ticks.at(-1)
        if (tick === undefined || window.seen === tick || !changes.some(({ target }) => (target.nodeType === 3 ? target.parentElement : target)?.closest?.('.value') != null)) return
        window.seen = tick
        // What is in the document now is painted with the next frame.
        requestAnimationFrame(() => requestAnimationFrame(() => window.shown.push(Date.now() - tick)))
      }).observe(document.body, { childList: true, subtree: true, characterData: true })
    })
  })
  await page.goto(`${url}#explore`)
  const handle = await page.waitForFunction((n) => (window.shown.length >= n ? window.shown : undefined), wanted, { timeout: 300_000 })
  const delays = await handle.jsonValue()
  await context.close()
  return delays
}

/** Frames a second and the heap, minute for minute. */
async function charts(browser, url, minutes, count) {
  const context = await browser.newContext({ viewport: { width: 1920, height: 5200 } })
  const page = await context.newPage()
  const session = await context.newCDPSession(page)
  await session.send('Performance.enable')
  await page.goto(url)
  if (count > 0) {
    await page.waitForFunction((n) => document.querySelectorAll('.card canvas').length >= n, count, { timeout: 120_000 })
    // Charts are made over some frames; what is measured is what comes then.
    await page.waitForTimeout(5_000)
  }
  const drawn = await page.locator('.card canvas').count()
  const found = []
  for (let i = 0; i < minutes; i++) {
    const fps = await page.evaluate(
      (ms) => new Promise((resolve) => {
        let frames = 0
        const begin = performance.now()
        const next = (now) => {
          frames++
          if (now - begin < ms) requestAnimationFrame(next)
          else resolve((frames * 1000) / (now - begin))
        }
        requestAnimationFrame(next)
      }),
      minutes < 1 ? 10_000 : 59_000,
    )
    await session.send('HeapProfiler.collectGarbage')
    const { metrics } = await session.send('Performance.getMetrics')
    const metric = (name) => metrics.find((one) => one.name === name)?.value ?? NaN
    found.push({ fps, heap: metric('JSHeapUsedSize') / 2 ** 20, nodes: metric('Nodes'), task: metric('TaskDuration') })
  }
  await context.close()
  return { drawn, found }
}

const server = await serve()
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking', '--disable-component-update', '--no-first-run'],
})
let missed = false
const row = (what, value, target, holds, floor = '') => {
  if (!holds) missed = true
  console.log(`| ${what} | ${value} | ${target}${holds ? '' : ' (missed)'} | ${floor} |`)
}
try {
  console.log('| The page | measured | target | an empty page of the same server |\n| --- | --- | --- | --- |')
  const empty = []
  for (let i = 0; i < 7; i++) empty.push(await load(browser, `${server.url}-/healthy`))
  const loads = await loading(browser, server.url, 7)
  row('from the address to the first number, median', `${median(loads).toFixed(0)} ms`, '< 1000 ms', median(loads) < 1000, `${median(empty).toFixed(0)} ms`)
  const delays = await tickToScreen(browser, server.url, 60)
  row('from a tick to the screen, median of 60', `${median(delays).toFixed(0)} ms`, '', true)
  row('the same, p95', `${quantile(delays, 0.95).toFixed(0)} ms`, '< 500 ms', quantile(delays, 0.95) < 500)
  const floor = await charts(browser, `${server.url}-/healthy`, 1, 0)
  const { drawn, found } = await charts(browser, `${server.url}#explore`, MINUTES, CHARTS)
  const slowest = Math.min(...found.map(({ fps }) => fps))
  const [first] = found
  const last = found.at(-1)
  row(`${drawn} charts at 1 Hz, ${MINUTES} min: frames a second in the slowest minute`, slowest.toFixed(1), '>= 50', slowest >= 50, floor.found[0].fps.toFixed(1))
  const busy = found.length > 1 ? ((last.task - first.task) / (found.length - 1) / 60) * 1000 : NaN
  row('the same: main thread a second', `${busy.toFixed(0)} ms`, '', true)
  // The window is filled after five minutes, the rings after an hour: both are counted at their bound from the beginning.
  row('the same: heap after the first and the last minute', `${first.heap.toFixed(1)}, ${last.heap.toFixed(1)} MiB`, '< 100 MiB', last.heap < 100)
  row('the same: nodes after the first and the last minute', `${first.nodes}, ${last.nodes}`, 'no growth', last.nodes <= first.nodes * 1.1)
} finally {
  await browser.close()
  server.child.kill()
}
process.exitCode = missed ? 1 : 0
