/**
 * Boards in a real browser over the real server: arranged with the mouse and with the keyboard, shared by a link, written
 * and read as files, kept over a reload. Screenshots go to `artifacts/`.
 */
import { mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Browser, Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { launch, Pages, portray, sideways, start, stop, warns } from './server'
import type { Look, Server } from './server'

const ARTIFACTS = fileURLToPath(new URL('../../artifacts/', import.meta.url))
/** Three cards in a row, and one below. */
const FOUR = {
  title: 'Four',
  cards: [
    { family: 'node_load1', title: 'One', x: 0, y: 0, w: 4, h: 5 },
    { family: 'node_load5', title: 'Two', x: 4, y: 0, w: 4, h: 5 },
    { family: 'node_load15', title: 'Three', x: 8, y: 0, w: 4, h: 5 },
    { query: 'sum(node_load1) * 2', title: 'Double', x: 0, y: 5, w: 4, h: 5 },
  ],
}

let browser: Browser
let server: Server
const pages = new Pages(() => browser, warns)

beforeAll(async () => {
  mkdirSync(ARTIFACTS, { recursive: true })
  server = await start(0)
  browser = await launch()
})

afterEach(async () => {
  await pages.close()
})

afterAll(async () => {
  await browser.close()
  await stop(server)
})

const open = (hash: string, look: Look = {}) => pages.open(server.url + hash, { height: 900, ...look })
const linkOf = (board: object) => `#boards?board=${encodeURIComponent(JSON.stringify(board))}`

/** Titles in the order of the document, each with the place that its element has. */
const places = (page: Page) =>
  page.locator('.slot').evaluateAll((slots) =>
    slots.map((slot) => {
      const [x, y, w, h] = ['--x', '--y', '--w', '--h'].map((name) => Number((slot as HTMLElement).style.getPropertyValue(name)))
      return `${slot.querySelector('h2')?.textContent ?? ''} ${(x ?? 0) - 1},${(y ?? 0) - 1} ${w}×${h}`
    }),
  )

/** Waits until the cards stand so; before the first frame those of families have other titles. */
const stand = (page: Page, wanted: readonly string[]) => expect.poll(() => places(page), { timeout: 30_000 }).toEqual(wanted)

async function cards(page: Page, count: number): Promise<void> {
  await page.waitForFunction((wanted) => document.querySelectorAll('.slot .card h2').length === wanted, count)
}

/** Waits until every card on the screen has a number. */
async function drawn(page: Page): Promise<void> {
  await page.waitForFunction(() =>
    [...document.querySelectorAll('.slot')].every((slot) => slot.getBoundingClientRect().top > innerHeight || (slot.querySelector('.body')?.childElementCount ?? 0) > 0),
  )
}

async function middle(page: Page, selector: string): Promise<{ x: number; y: number }> {
  const box = await page.locator(selector).first().boundingBox()
  if (box === null) throw new Error(`${selector} is not there`)
  return { x: box.x + box.width / 2, y: box.y + box.height / 2 }
}

const handle = (title: string) => `.handle[aria-label="Move ${title}"]`

describe.each([1280, 360])('at %i pixels', (width) => {
  test('the board made for this host shows its cards, with and without handles', async () => {
    const page = await open('#boards', { width })
    await page.getByRole('heading', { name: 'This host', level: 1 }).waitFor()
    await page.locator('.card[data-family="node_load1"] canvas').waitFor()
    await drawn(page)
    await portray(page, join(ARTIFACTS, `boards-${width}`))
    await page.getByRole('button', { name: 'Arrange' }).click()
    await portray(page, join(ARTIFACTS, `boards-arranging-${width}`))
    expect(await sideways(page)).toBeLessThanOrEqual(0)
    expect(pages.complaints).toEqual([])
  })
})

test('a card that is dragged leaves the others where they are until it is let go, and then they give way', async () => {
  const page = await open(linkOf(FOUR))
  await cards(page, 4)
  await page.getByRole('button', { name: 'Arrange' }).click()
  const before = await places(page)
  expect(before).toEqual(['One 0,0 4×5', 'Two 4,0 4×5', 'Three 8,0 4×5', 'Double 0,5 4×5'])
  const from = await middle(page, handle('Three'))
  const to = await middle(page, handle('One'))
  const others = () => page.locator('.slot:not(.dragged)').evaluateAll((slots) => slots.map((slot) => JSON.stringify(slot.getBoundingClientRect())))
  await page.mouse.move(from.x, from.y)
  await page.mouse.down()
  await page.mouse.move(from.x - 20, from.y + 5)
  const still = await others()
  await page.mouse.move((from.x + to.x) / 2, from.y + 20, { steps: 5 })
  await page.mouse.move(to.x, to.y, { steps: 5 })
  expect(await others()).toEqual(still)
  expect(await page.locator('.outline').isVisible()).toBe(true)
  await page.screenshot({ path: join(ARTIFACTS, 'boards-dragging.png') })
  await page.mouse.up()
  expect(await places(page)).toEqual(['Three 0,0 4×5', 'Two 4,0 4×5', 'One 0,5 4×5', 'Double 0,10 4×5'])

  await page.getByRole('button', { name: 'Undo' }).click()
  expect(await places(page)).toEqual(before)
})

test('Escape while dragging leaves all as it was', async () => {
  const page = await open(linkOf(FOUR))
  await cards(page, 4)
  await page.getByRole('button', { name: 'Arrange' }).click()
  const before = await places(page)
  const from = await middle(page, handle('One'))
  await page.mouse.move(from.x, from.y)
  await page.mouse.down()
  await page.mouse.move(from.x + 500, from.y + 300, { steps: 5 })
  await page.keyboard.press('Escape')
  await page.mouse.up()
  expect(await places(page)).toEqual(before)
  expect(await page.locator('.outline').isVisible()).toBe(false)
})

test('the corner makes a card larger, and its chart with it', async () => {
  const page = await open(linkOf(FOUR))
  await cards(page, 4)
  await page.getByRole('button', { name: 'Arrange' }).click()
  await page.locator('.slot:nth-child(4) canvas').waitFor()
  const width = () => page.locator('.slot:nth-child(4) canvas').evaluate((canvas) => canvas.getBoundingClientRect().width)
  const before = await width()
  const corner = await middle(page, '.slot:nth-child(4) .corner')
  await page.mouse.move(corner.x, corner.y)
  await page.mouse.down()
  await page.mouse.move(corner.x + 415, corner.y + 100, { steps: 5 })
  await page.mouse.up()
  expect((await places(page)).at(-1)).toBe('Double 0,5 8×7')
  await page.waitForFunction((was) => (document.querySelector('.slot:nth-child(4) canvas')?.getBoundingClientRect().width ?? 0) > was * 1.8, before)
})

test('the keyboard moves, resizes, edits and removes, says what it did, and takes it back', async () => {
  const page = await open(linkOf(FOUR))
  await cards(page, 4)
  await page.getByRole('button', { name: 'Arrange' }).click()
  const told = page.locator('.boards > .unseen[role="status"]')
  await page.locator(handle('One')).focus()

  await page.keyboard.press('ArrowDown')
  expect(await places(page)).toEqual(['Double 0,0 4×5', 'Two 4,0 4×5', 'Three 8,0 4×5', 'One 0,5 4×5'])
  expect(await told.textContent()).toBe('One: column 1, row 6, 4 wide, 5 high.')
  expect(await page.locator(handle('One')).evaluate((element) => element === document.activeElement)).toBe(true)

  await page.keyboard.press('ArrowDown')
  expect(await told.textContent()).toBe('One cannot go further.')
  await page.keyboard.press('Shift+ArrowRight')
  await page.keyboard.press('Shift+ArrowDown')
  expect((await places(page)).at(-1)).toBe('One 0,5 5×6')

  await page.keyboard.press('Enter')
  await page.locator('.sheet').getByRole('textbox', { name: 'Title' }).fill('First')
  await page.getByRole('button', { name: 'Save' }).click()
  expect((await places(page)).at(-1)).toBe('First 0,5 5×6')

  await page.locator(handle('First')).focus()
  await page.keyboard.press('Delete')
  await cards(page, 3)
  expect(await told.textContent()).toBe('First removed.')
  for (let i = 0; i < 5; i++) await page.keyboard.press('Control+z')
  expect(await places(page)).toEqual(['One 0,0 4×5', 'Two 4,0 4×5', 'Three 8,0 4×5', 'Double 0,5 4×5'])
})

test('a link holds the whole board: in another browser it shows the same', async () => {
  const page = await open('#boards')
  await page.locator('.card[data-family="node_load1"]').waitFor()
  await page.getByRole('button', { name: '15m' }).click()
  const shown = await places(page)
  await page.getByRole('button', { name: 'Share' }).click()
  const field = page.getByRole('textbox', { name: 'Link' })
  await page.waitForFunction(() => document.querySelector<HTMLInputElement>('.sheet input')?.value !== '')
  const link = await field.inputValue()
  expect(link).toMatch(/#boards\?board=z[\w-]+$/)

  const other = await open(new URL(link).hash)
  await cards(other, shown.length)
  await stand(other, shown)
  expect(await other.getByRole('button', { name: '15m' }).getAttribute('aria-pressed')).toBe('true')

  // Changed, the address changes, and a reload shows the change.
  await other.getByRole('button', { name: 'Arrange' }).click()
  await other.locator('.card-bar .square').first().click()
  await other.waitForFunction((before) => location.href !== before, link)
  const changed = await places(other)
  await other.reload()
  await cards(other, shown.length - 1)
  await stand(other, changed)

  await other.getByRole('button', { name: 'Keep it in this browser' }).click()
  await other.getByRole('heading', { name: 'This host 2', level: 1 }).waitFor()
  await stand(other, changed)
})

test('a link that holds no board says what is wrong with it', async () => {
  for (const [board, words] of [
    ['{"title":"A","cards":[{"family":"up","veiw":"lines"}]}', 'Nearest: view.'],
    ['znonsense', 'The link is damaged'],
    ['{"title":', 'The link holds no board'],
  ] as const) {
    const page = await open(`#boards?board=${encodeURIComponent(board)}`)
    expect(await page.locator('.refused[role="alert"]').textContent()).toContain(words)
  }
})

test('a board is written as YAML and as JSON, and read from both; a mistake is told with line and column', async () => {
  const page = await open(linkOf(FOUR))
  await cards(page, 4)
  const shown = await places(page)
  await page.getByRole('button', { name: 'Share' }).click()
  const files: string[] = []
  for (const form of ['YAML', 'JSON']) {
    await page.getByRole('button', { name: form, exact: true }).click()
    const saved = page.waitForEvent('download')
    await page.getByRole('button', { name: 'Save as a file' }).click()
    const download = await saved
    expect(download.suggestedFilename()).toBe(`four.${form.toLowerCase()}`)
    files.push(await download.path())
  }
  const [yaml = '', json = ''] = files
  await page.getByRole('button', { name: 'Close' }).click()

  await page.getByRole('button', { name: 'Import' }).click()
  const field = page.getByRole('textbox', { name: 'Or its text' })
  await field.fill('title: Broken\ncards:\n  - family: up\n    widht: 3\n')
  await page.getByRole('button', { name: 'Import', exact: true }).last().click()
  expect(await page.locator('.sheet .refused').textContent()).toContain('line 4, column 5: A card has no “widht”.')
  await field.fill('title: [Broken\ncards: 1')
  await page.getByRole('button', { name: 'Import', exact: true }).last().click()
  await page.waitForFunction(() => document.querySelector('.sheet .refused')?.textContent.startsWith('line 2, column'))

  await page.locator('input[type=file]').setInputFiles(yaml)
  await page.getByRole('heading', { name: 'Four', level: 1 }).waitFor()
  await page.waitForFunction(() => location.hash === '#boards/Four')
  expect(await places(page)).toEqual(shown)

  await page.getByRole('button', { name: 'Import' }).click()
  await field.fill(readFileSync(json, 'utf8'))
  await page.getByRole('button', { name: 'Import', exact: true }).last().click()
  await page.getByRole('heading', { name: 'Four 2', level: 1 }).waitFor()
  expect(await places(page)).toEqual(shown)
  expect(pages.complaints).toEqual([])
})

test('boards are made, filled, renamed and removed in this browser, and a reload keeps them', async () => {
  const page = await open('#boards')
  await page.getByRole('heading', { name: 'This host', level: 1 }).waitFor()
  await page.getByRole('button', { name: 'New board' }).click()
  await page.getByRole('heading', { name: 'New board', level: 1 }).waitFor()

  await page.getByRole('button', { name: 'Add a card' }).first().click()
  await page.getByRole('textbox', { name: 'Metric' }).fill('load average 1m')
  await page.screenshot({ path: join(ARTIFACTS, 'boards-add.png') })
  await page.locator('.offered button').first().click()
  expect(await page.getByRole('textbox', { name: 'Metric' }).inputValue()).toBe('node_load1')
  await page.getByRole('textbox', { name: 'Title' }).fill('<b>Load</b>')
  await page.getByRole('button', { name: 'Add', exact: true }).click()
  await cards(page, 1)
  expect(await places(page)).toEqual(['<b>Load</b> 0,0 4×5'])

  await page.getByRole('button', { name: 'Arrange' }).click()
  await page.getByRole('textbox', { name: 'Title' }).fill('Wall / one')
  await page.getByRole('textbox', { name: 'Title' }).press('Enter')
  await page.getByRole('heading', { name: 'Wall / one', level: 1 }).waitFor()
  await page.reload()
  await page.getByRole('heading', { name: 'Wall / one', level: 1 }).waitFor()
  await cards(page, 1)
  expect(await page.getByRole('combobox', { name: 'Board' }).locator('option').allTextContents()).toContain('Wall / one')

  await page.getByRole('button', { name: 'Arrange' }).click()
  await page.getByRole('button', { name: 'Remove this board' }).click()
  await page.getByRole('heading', { name: 'This host', level: 1 }).waitFor()
  await page.getByText('“Wall / one” was removed.').waitFor()
  await page.getByRole('button', { name: 'Undo', exact: true }).first().click()
  await page.getByRole('heading', { name: 'Wall / one', level: 1 }).waitFor()
})

test('a card of another page is added to a board, and one that is none is refused', async () => {
  const add = (spec: string) => `#boards?add=${encodeURIComponent(spec)}`
  const page = await open(add('{"family":"node_load5","title":"Five"}'))
  await page.locator('.adding').waitFor()
  await page.waitForFunction(() => document.querySelectorAll('.adding option').length > 1)
  await page.getByRole('combobox').selectOption('This host')
  await page.getByRole('button', { name: 'Add' }).click()
  await page.getByRole('heading', { name: 'This host', level: 1 }).waitFor()
  await page.locator('.slot .card[data-title="Five"]').waitFor()
  await page.reload()
  await page.locator('.slot .card[data-title="Five"]').waitFor()

  const wrong = await open(add('{"family":"up","view":"pie"}'))
  expect(await wrong.locator('.refused').textContent()).toContain('“view” is one of')
})

test('a browser that keeps nothing, or is full, says so, and the board works', async () => {
  for (const [name, words] of [['SecurityError', 'keeps nothing'], ['QuotaExceededError', 'is full']] as const) {
    const page = await (await pages.context({ height: 900 })).newPage()
    await page.addInitScript((error) => {
      const refuse = {
        get() {
          throw new DOMException('no', error)
        },
      }
      if (error === 'SecurityError') Object.defineProperty(globalThis, 'localStorage', refuse)
      else Object.defineProperty(Storage.prototype, 'setItem', refuse)
    }, name)
    await page.goto(`${server.url}#boards`)
    await page.locator('.card[data-family="node_load1"]').waitFor()
    const count = await page.locator('.slot').count()
    await page.getByRole('button', { name: 'Arrange' }).click()
    await page.locator('.card-bar .square').first().click()
    await cards(page, count - 1)
    expect(await page.locator('.remark').textContent()).toContain(words)
  }
})

test('of more queries than a connection may have, those beyond say so on their cards, until another one goes', async () => {
  const many = { title: 'Many', cards: Array.from({ length: 40 }, (_, i) => ({ query: `sum(node_load1) + ${i}`, x: (i % 6) * 2, y: Math.floor(i / 6) * 3, w: 2, h: 3 })) }
  const page = await open(linkOf(many))
  await page.waitForFunction(() => document.querySelectorAll('.slot .refused').length === 8)
  expect(await page.locator('.headline').textContent()).toContain('40 live queries, and a connection has 32')
  expect(await page.locator('.slot .refused').first().textContent()).toContain('32')
  await page.getByRole('button', { name: 'Arrange' }).click()
  for (const left of [7, 6]) {
    await page.locator('.card-bar .square').first().click()
    await page.waitForFunction((wanted) => document.querySelectorAll('.slot .refused').length === wanted, left)
  }
})

test('a finger on the bar drags the card, and beside it scrolls the page', async () => {
  const page = await open(linkOf({ ...FOUR, cards: FOUR.cards.map((card, i) => ({ ...card, x: 0, y: i * 5 })) }), { width: 800, height: 700, hasTouch: true })
  await cards(page, 4)
  await page.getByRole('button', { name: 'Arrange' }).click()
  const fingers = await page.context().newCDPSession(page)
  const touch = (type: 'touchStart' | 'touchMove' | 'touchEnd', x = 0, y = 0) => fingers.send('Input.dispatchTouchEvent', { type, touchPoints: type === 'touchEnd' ? [] : [{ x, y }] })
  const swipe = async (from: { x: number; y: number }, dx: number, dy: number) => {
    await touch('touchStart', from.x, from.y)
    for (let i = 1; i <= 8; i++) await touch('touchMove', from.x + (dx * i) / 8, from.y + (dy * i) / 8)
    await touch('touchEnd')
  }
  await swipe(await middle(page, handle('One')), 270, 0)
  expect((await places(page)).slice(0, 2)).toEqual(['Two 0,0 4×5', 'One 4,0 4×5'])
  expect(await page.evaluate(() => scrollY)).toBe(0)

  const still = await places(page)
  await swipe(await middle(page, '.slot:nth-child(3) .body'), 0, -200)
  await page.waitForFunction(() => scrollY > 100)
  expect(await places(page)).toEqual(still)
})

test('on a narrow screen a card is dragged along the one column', async () => {
  const page = await open(linkOf(FOUR), { width: 360 })
  await cards(page, 4)
  await page.getByRole('button', { name: 'Arrange' }).click()
  const tops = await page.locator('.slot').evaluateAll((slots) => slots.map((slot) => slot.getBoundingClientRect().top))
  expect(tops).toEqual([...tops].sort((a, b) => a - b))
  await page.locator(handle('One')).scrollIntoViewIfNeeded()
  const from = await middle(page, handle('Two'))
  const to = await middle(page, handle('One'))
  await page.mouse.move(from.x, from.y)
  await page.mouse.down()
  await page.mouse.move(to.x, to.y - 10, { steps: 8 })
  await page.mouse.up()
  expect((await places(page)).map((place) => place.split(' ')[0])).toEqual(['Two', 'One', 'Three', 'Double'])
})
