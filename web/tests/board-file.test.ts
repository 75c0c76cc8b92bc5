/** Boards as text: judged by their schema, told where they are wrong, and the same after a way through YAML, JSON and links. */
import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { builtInBoards, BUILT_IN } from '../src/model/board/built-in'
import { readBoard, toJson, toYaml } from '../src/model/board/file'
import { freeTitle, Kept } from '../src/model/board/kept'
import type { Store } from '../src/model/board/kept'
import { fromLink, LinkError, MOST_LINK, toLink } from '../src/model/board/link'
import { BOARD_FIELDS, CARD_FIELDS, checkBoard, checkCard, plainBoard, spanMs, spanText } from '../src/model/board/schema'
import type { Board, Field } from '../src/model/board/schema'
import { VIEWS } from '../src/model/spec'

function dice(seed: number): (below: number) => number {
  let state = seed
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((state / 2 ** 32) * below)
  }
}

/** Texts that YAML, HTML, addresses or JavaScript might take for something else. */
const TEXTS = ['CPU', 'yes', 'null', '~', '1e3', '0x10', '- a', 'a: b', 'a #b', '# a', '"q"', "it's", '<img src=x onerror=1>', 'a\nb', ' a', 'a ', '\t', '\u2028', '\u0085', '💥 ünï', '&x *x !y', '{a: 1}', '[1', '|', '>-', '%', '@a', '`', 'true', '12', '.5', '__proto__', 'a\\b', '\u0007', '?', '=', '<<', '---', '...']

function anyBoard(seed: number): Board {
  const roll = dice(seed)
  const text = () => TEXTS[roll(TEXTS.length)] ?? ''
  const cards = Array.from({ length: roll(8) }, () => {
    const shown = roll(2) === 0 ? { family: `x${text()}` } : { query: `x${text()}` }
    return { ...shown, ...(roll(2) === 0 && { title: text() }), ...(roll(2) === 0 && { view: VIEWS[roll(VIEWS.length)] }), ...(roll(3) === 0 && { by: text() }), ...(roll(2) === 0 && { x: roll(9), y: roll(20), w: 2 + roll(3), h: 3 + roll(8) }) }
  })
  const checked = checkBoard({ title: `t${text()}`, ...(roll(2) === 0 && { window: '15m' }), cards })
  if ('problems' in checked) throw new Error(JSON.stringify(checked.problems))
  return checked.good
}

const problemsOf = (value: unknown): readonly string[] => {
  const checked = checkBoard(value)
  return 'problems' in checked ? checked.problems.map(({ path, text }) => `${path.join('.')}: ${text}`) : []
}

test('any board is the same after a way through YAML, JSON and a link', async () => {
  for (let seed = 1; seed <= 150; seed++) {
    const board = anyBoard(seed)
    expect(await readBoard(toYaml(board)), toYaml(board)).toEqual(board)
    expect(await readBoard(toJson(board))).toEqual(board)
    expect(await fromLink(await toLink(board))).toEqual(board)
    expect(await fromLink(JSON.stringify(plainBoard(board)))).toEqual(board)
  }
})

test('a board by hand needs no places, sizes or quotes', async () => {
  const board = await readBoard('title: Mine\ncards:\n  - family: node_load1\n  - query: sum(rate(http_requests_total[30s]))\n    w: 8\n')
  expect(board).toMatchObject({ title: 'Mine', cards: [{ family: 'node_load1', x: 0, y: 0, w: 4, h: 5 }, { query: 'sum(rate(http_requests_total[30s]))', x: 4, y: 0, w: 8, h: 5 }] })
})

test.each([
  ['title: A\ncards:\n  - family: up\n    widht: 3\n', 'line 4, column 5: A card has no “widht”. Nearest: title.'],
  ['title: A\ncards:\n  - family: up\n    veiw: area\n', 'line 4, column 5: A card has no “veiw”. Nearest: view.'],
  ['title: A\ncards:\n  - family: up\n    view: lnes\n', `line 4, column 5: “view” is one of ${VIEWS.join(', ')}, and this is “lnes”. Nearest: lines.`],
  ['{\n  "title": "A",\n  "cards": [\n    {"family": "up", "x": 11, "y": 0}\n  ]\n}', 'line 4, column 22: “x” is a whole number from 0 to 10, and this is 11.'],
  ['title: A\ncards:\n  - family: up\n    query: up\n', 'line 3, column 5: A card has either a family or a query.'],
  ['title: A\ncards:\n  - {x: 1, family: up}\n', 'line 3, column 5: A card has both x and y, or neither.'],
  ['title: A\ncards:\n  - {x: 9, y: 0, w: 6, family: up}\n', 'line 3, column 18: x and w are more than 12 together.'],
  ['title: A\ncards:\n  - up\n', 'line 3, column 5: A card has keys and values, and this is “up”.'],
  ['title: 5\ncards: []\n', 'line 1, column 1: “title” is a text, and this is 5.'],
  ['title: A\nwindow: soon\ncards: []\n', 'line 2, column 1: “window” is a time such as 90s, 5m or 1h, and this is “soon”.'],
  ['cards: []\n', 'line 1, column 1: A board needs “title”.'],
  ['title: A\ncards: 3\n', 'line 2, column 1: “cards” is a list, and this is 3.'],
  ['- 1\n', 'line 1, column 1: A board has keys and values, and this is a list.'],
  ['title: A\ntitle: B\ncards: []\n', 'line 2, column 1: “title” is there twice.'],
  ['title: &a A\ncards: []\n', 'line 1, column 8: Anchors and aliases are not read here.'],
  ['title: !!js/function A\ncards: []\n', 'line 1, column 8: Tags are not read here.'],
  ['title: [A\ncards: 1', 'line 2, column 1: Deficient indentation.'],
  ['{"title": "A", "cards": [', 'line 1, column 26: Unexpected end of the stream within a flow collection.'],
  ['', 'line 1, column 1: There is nothing in it.'],
  ['title: A\n---\ntitle: B\n', 'line 1, column 1: One document is read, and there are several.'],
])('%j is told: %s', async (text, words) => {
  expect(await readBoard(text)).toEqual({ refused: [words] })
})

test('all mistakes are told at once, ten at most', () => {
  expect(problemsOf({ title: '', cards: [{ family: 1 }, { query: 'up', colour: 'red' }] })).toEqual([
    'title: “title” is empty.',
    'cards.0.family: “family” is a text, and this is 1.',
    'cards.1.colour: A card has no “colour”. Nearest: query.',
  ])
  expect(problemsOf({ title: 'A', cards: Array.from({ length: 100 }, () => ({})) })).toHaveLength(10)
  expect(problemsOf({ title: 'A', cards: Array.from({ length: 101 }, () => ({ family: 'up' })) })).toEqual(['cards: “cards” has more than 100 entries.'])
})

test('keys that JavaScript has a meaning for are unknown keys', () => {
  expect(problemsOf(JSON.parse('{"__proto__": {"title": "A"}, "cards": []}'))).toEqual([expect.stringContaining('A board has no “__proto__”.'), ': A board needs “title”.'])
  expect(problemsOf(JSON.parse('{"title": "A", "cards": [], "constructor": 1}'))).toHaveLength(1)
})

test('a link to add a card is judged by the same rules', () => {
  expect(checkCard({ family: 'up', view: 'states', x: 3, y: 0 })).toEqual({ good: { family: 'up', view: 'states' } })
  expect(checkCard({ family: 'up', view: 'pie' })).toHaveProperty('problems')
  expect(checkCard(null)).toHaveProperty('problems')
})

test('hostile links are refused in words, and none unpacks to more than its bound', async () => {
  const packed = async (text: string) => {
    const stream = new Blob([text]).stream().pipeThrough(new CompressionStream('deflate'))
    return `z${Buffer.from(await new Response(stream).arrayBuffer()).toString('base64url')}`
  }
  const good = await toLink(anyBoard(3))
  const hostile = [
    '', 'z', 'z!', '{', '[]', 'null', '1', 'x'.repeat(MOST_LINK + 1), `z${'A'.repeat(500)}`, good.slice(0, -6), good.slice(0, 20) + good.slice(24),
    await packed(' '.repeat(5_000_000)), await packed('{"title":"A"}'), await packed('{'), await packed('[['.repeat(50_000)), '{"title":"A","cards":[{"family":"up","h":1e9}]}',
  ]
  for (const text of hostile) await expect(fromLink(text), text.slice(0, 40)).rejects.toThrow(LinkError)
  await expect(fromLink(await packed(' '.repeat(5_000_000)))).rejects.toThrow('The link holds more than 256 KiB.')
})

test('a board that is too large for a link says so', async () => {
  const roll = dice(5)
  const noise = () => Array.from({ length: 1_000 }, () => String.fromCharCode(33 + roll(90))).join('')
  const checked = checkBoard({ title: 'Large', cards: Array.from({ length: 40 }, () => ({ query: noise() })) })
  if ('problems' in checked) throw new Error('it is good')
  await expect(toLink(checked.good)).rejects.toThrow('Export it as a file.')
})

test('spans are read and written', () => {
  for (const [text, ms] of [['90s', 90_000], ['5m', 300_000], ['1h', 3_600_000], ['2d', 172_800_000]] as const) expect([spanMs(text), spanText(ms)]).toEqual([ms, text])
  for (const text of ['', '5', '-5m', '0m', '5 m', '5M', '1e3s']) expect(spanMs(text)).toBeNaN()
})

/** A storage such as a browser has. */
class Memory implements Store {
  readonly kept = new Map<string, string>()
  full = false
  get length() {
    return this.kept.size
  }
  key(i: number) {
    return [...this.kept.keys()][i] ?? null
  }
  getItem(key: string) {
    return this.kept.get(key) ?? null
  }
  setItem(key: string, value: string) {
    if (this.full) throw new DOMException('full', 'QuotaExceededError')
    this.kept.set(key, value)
  }
  removeItem(key: string) {
    this.kept.delete(key)
  }
}

test('boards are kept, found again, and removed; what is damaged is passed over, said, and left as it is', () => {
  const memory = new Memory()
  const board = anyBoard(2)
  new Kept(() => memory).keep(board)
  memory.kept.set('gaugecast:board:Broken', '{"title":')
  memory.kept.set('gaugecast.theme', 'dark')
  const again = new Kept(() => memory)
  expect(again.all).toEqual([board])
  expect(again.problem).toContain('cannot be read')
  again.remove(board.title)
  expect([...memory.kept.keys()]).toEqual(['gaugecast:board:Broken', 'gaugecast.theme'])
})

test('a browser that is full or allows nothing is said, and the boards last as long as the page', () => {
  const memory = new Memory()
  memory.full = true
  const full = new Kept(() => memory)
  full.keep(anyBoard(2))
  expect([full.problem.includes('is full'), full.all.length]).toEqual([true, 1])
  const none = new Kept(() => {
    throw new DOMException('no', 'SecurityError')
  })
  none.keep(anyBoard(2))
  expect([none.problem.includes('keeps nothing'), none.all.length]).toEqual([true, 1])
})

test('a title that is taken gets a number', () => {
  expect(freeTitle('A', (title) => ['A', 'A 2'].includes(title))).toBe('A 3')
})

test('built-in boards are good, and have only cards of what is there', () => {
  for (const board of builtInBoards(() => true)) expect(problemsOf(plainBoard(board))).toEqual([])
  expect(builtInBoards(() => true).map(({ title }) => title)).toEqual(BUILT_IN.map(({ title }) => title))
  expect(builtInBoards(() => false)).toEqual([])
  expect(builtInBoards((name) => name === 'node_load1').flatMap(({ cards }) => cards.map(({ family }) => family))).toEqual(['node_load1'])
})

/** The rows of a table of docs/boards.md. */
const rowsOf = (fields: readonly Field[]) =>
  fields.map(({ name, takes, required, least, most, about }) => {
    const bounds = takes === 'whole' ? `whole number, ${least ?? 0} to ${most ?? ''}` : takes === 'view' ? VIEWS.map((view) => `\`${view}\``).join(', ') : takes === 'cards' ? `list, at most ${most ?? ''}` : takes === 'span' ? 'time' : `text, at most ${most ?? ''} characters`
    return `| \`${name}\` | ${bounds} | ${about}${required === true ? '; required' : ''} |`
  })

test('docs/boards.md says what the schema says, and its example is a board', async () => {
  const docs = readFileSync(new URL('../../docs/boards.md', import.meta.url), 'utf8')
  for (const row of [...rowsOf(BOARD_FIELDS), ...rowsOf(CARD_FIELDS)]) expect(docs).toContain(row)
  const example = /```yaml\n([^]*?)```/.exec(docs)?.[1] ?? ''
  expect(await readBoard(example)).toMatchObject({ title: 'Web shop' })
})
