/**
 * What a board is made of: one table of its keys, from which files and links are judged and the tables of docs/boards.md
 * are made. Whatever comes from outside goes through `checkBoard`, which refuses what it does not know and says where.
 */
import { nearest } from '../search'
import type { CardSpec } from '../spec'
import { VIEWS } from '../spec'
import { arrange } from './layout'
import type { Place } from './layout'
import { COLUMNS, LEAST_HEIGHT, LEAST_WIDTH, MOST_HEIGHT, MOST_ROW } from './layout'

/** A card of a board: what it shows, and where. */
export interface BoardCard extends CardSpec, Place {
  /** Tells it from the others for as long as the board is open; no file has it. */
  readonly id: number
}

export interface Board {
  readonly title: string
  /** The window it is to be looked at with, as `5m`. */
  readonly window?: string
  readonly cards: readonly BoardCard[]
}

/** A key that a board or a card can have. */
export interface Field {
  readonly name: string
  readonly takes: 'text' | 'whole' | 'view' | 'span' | 'cards'
  readonly required?: true
  /** Characters, entries, or the number itself. */
  readonly least?: number
  readonly most?: number
  readonly about: string
}

export const MOST_CARDS = 100
export const MOST_TITLE = 80

export const BOARD_FIELDS: readonly Field[] = [
  { name: 'title', takes: 'text', required: true, least: 1, most: MOST_TITLE, about: 'its name; in one browser no two boards have the same' },
  { name: 'window', takes: 'span', most: 8, about: 'how much time the charts show when it is opened from a link or a file: `90s`, `5m`, `1h`' },
  { name: 'cards', takes: 'cards', required: true, most: MOST_CARDS, about: 'a list of cards' },
]

export const CARD_FIELDS: readonly Field[] = [
  { name: 'family', takes: 'text', least: 1, most: 300, about: 'the name of a metric family; or else `query`' },
  { name: 'query', takes: 'text', least: 1, most: 4_096, about: 'PromQL, evaluated at each tick' },
  { name: 'title', takes: 'text', most: 200, about: "in place of the family's own title, or of the expression" },
  { name: 'view', takes: 'view', about: 'how it is drawn; by default as type and unit of the family ask for' },
  { name: 'by', takes: 'text', most: 200, about: 'the label by which series are put together' },
  { name: 'against', takes: 'text', most: 4_096, about: 'PromQL of the other axis of a `scatter` view' },
  { name: 'x', takes: 'whole', least: 0, most: COLUMNS - LEAST_WIDTH, about: 'the column of its left edge; without `x` and `y` it goes where there is room' },
  { name: 'y', takes: 'whole', least: 0, most: MOST_ROW, about: 'the row of its upper edge' },
  { name: 'w', takes: 'whole', least: LEAST_WIDTH, most: COLUMNS, about: 'how many columns it is wide; 4 by default' },
  { name: 'h', takes: 'whole', least: LEAST_HEIGHT, most: MOST_HEIGHT, about: 'how many rows of 50 pixels it is high; 5 by default' },
]

/** Keys of cards and numbers of list entries, from the whole to the place. */
export type Path = readonly (string | number)[]

export interface Problem {
  readonly path: Path
  readonly text: string
}

export type Checked<T> = { readonly good: T } | { readonly problems: readonly Problem[] }

/** So many mistakes are told at once. */
const MOST_PROBLEMS = 10

/** Judges what a file or a link says; what is good is laid out, so that no two cards overlap. */
export function checkBoard(value: unknown): Checked<Board> {
  const judge = new Judge()
  const found = judge.fields(value, BOARD_FIELDS, [], 'A board')
  const list = Array.isArray(found?.cards) ? (found.cards as unknown[]) : []
  const cards = list.map((card, i) => judge.card(card, ['cards', i]))
  if (judge.problems.length > 0 || found === null) return { problems: judge.problems.slice(0, MOST_PROBLEMS) }
  const { title, window } = found as { title: string; window?: string }
  const laid = arrange(cards.filter((card) => card !== null).map((card, id) => ({ ...card, id })))
  return { good: { title: title.trim(), ...(window !== undefined && { window }), cards: laid.map((card, id) => ({ ...card, id })) } }
}

/** Judges one card, as a link to add it carries. Its place is left out. */
export function checkCard(value: unknown): Checked<CardSpec> {
  const judge = new Judge()
  const card = judge.card(value, [])
  if (card === null || judge.problems.length > 0) return { problems: judge.problems.slice(0, MOST_PROBLEMS) }
  return { good: specOf(card) }
}

/** What a card shows, without where. */
export function specOf({ family, query, title, view, by, against }: CardSpec): CardSpec {
  return {
    ...(family !== undefined && { family }),
    ...(query !== undefined && { query }),
    ...(title !== undefined && title !== '' && { title }),
    ...(view !== undefined && { view }),
    ...(by !== undefined && by !== '' && { by }),
    ...(against !== undefined && against !== '' && { against }),
  }
}

/** The board as files and links have it: plain, in the order in which it is read, without what is the default. */
export function plainBoard({ title, window, cards }: Board): Readonly<Record<string, unknown>> {
  return { title, ...(window !== undefined && { window }), cards: cards.map((card) => ({ ...specOf(card), x: card.x, y: card.y, w: card.w, h: card.h })) }
}

/** A span as `5m`, in milliseconds; NaN if it is none. */
export function spanMs(text: string): number {
  const found = /^([1-9]\d{0,5})(s|m|h|d)$/.exec(text)
  const ms: Readonly<Record<string, number>> = { s: 1e3, m: 6e4, h: 3.6e6, d: 8.64e7 }
  return found === null ? NaN : Number(found[1]) * (ms[found[2] ?? ''] ?? NaN)
}

/** A span of milliseconds as `5m`. */
export function spanText(ms: number): string {
  const s = Math.max(1, Math.round(ms / 1000))
  for (const [unit, seconds] of [['d', 86_400], ['h', 3_600], ['m', 60]] as const) if (s % seconds === 0) return `${s / seconds}${unit}`
  return `${s}s`
}

type Loose = CardSpec & Partial<Place>

class Judge {
  readonly problems: Problem[] = []

  card(value: unknown, path: Path): Loose | null {
    const before = this.problems.length
    const found = this.fields(value, CARD_FIELDS, path, 'A card')
    // What keys say together counts when each is good.
    if (found === null || this.problems.length > before) return null
    const card = found as Loose
    if ((card.family === undefined) === (card.query === undefined)) this.add(path, 'A card has either a family or a query.')
    if ((card.x === undefined) !== (card.y === undefined)) this.add(path, 'A card has both x and y, or neither.')
    if ((card.x ?? 0) + (card.w ?? LEAST_WIDTH) > COLUMNS) this.add([...path, 'w'], `x and w are more than ${COLUMNS} together.`)
    return card
  }

  /** The keys of a mapping, if it is one. Those of which something is wrong are told and left out. */
  fields(value: unknown, fields: readonly Field[], path: Path, what: string): Readonly<Record<string, unknown>> | null {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      this.add(path, `${what} has keys and values, and this is ${named(value)}.`)
      return null
    }
    const found: Record<string, unknown> = {}
    for (const [name, given] of Object.entries(value)) {
      const field = fields.find((one) => one.name === name)
      if (field === undefined) {
        this.add([...path, name], `${what} has no “${short(name)}”. Nearest: ${nearestOf(name, fields.map((one) => one.name))}.`)
        continue
      }
      const wrong = judgeOne(field, given)
      if (wrong === null) found[name] = given
      else this.add([...path, name], `“${name}” ${wrong}`)
    }
    for (const { name, required } of fields) {
      if (required === true && !Object.hasOwn(value, name)) this.add(path, `${what} needs “${name}”.`)
    }
    return found
  }

  private add(path: Path, text: string): void {
    this.problems.push({ path, text })
  }
}

/** What is wrong with the value of a field, or null. */
function judgeOne({ takes, least = 0, most = Infinity }: Field, value: unknown): string | null {
  switch (takes) {
    case 'text':
      if (typeof value !== 'string') return `is a text, and this is ${named(value)}.`
      if (value.trim().length < least) return 'is empty.'
      return value.length > most ? `has more than ${most} characters.` : null
    case 'whole':
      return Number.isInteger(value) && (value as number) >= least && (value as number) <= most ? null : `is a whole number from ${least} to ${most}, and this is ${named(value)}.`
    case 'view': {
      if (VIEWS.some((one) => one === value)) return null
      return `is one of ${VIEWS.join(', ')}, and this is ${named(value)}.${typeof value === 'string' ? ` Nearest: ${nearestOf(value, VIEWS)}.` : ''}`
    }
    case 'span':
      return typeof value === 'string' && !Number.isNaN(spanMs(value)) ? null : `is a time such as 90s, 5m or 1h, and this is ${named(value)}.`
    case 'cards':
      if (!Array.isArray(value)) return `is a list, and this is ${named(value)}.`
      return value.length > most ? `has more than ${most} entries.` : null
  }
}

function named(value: unknown): string {
  if (typeof value === 'string') return `“${short(value)}”`
  if (typeof value === 'number' || typeof value === 'boolean') return String(value)
  if (Array.isArray(value)) return 'a list'
  return value === null ? 'nothing' : 'keys and values'
}

/** The name that was meant. Where letters were only swapped no pair of them is shared, and the letters decide. */
function nearestOf(wanted: string, names: readonly string[]): string {
  const letters = (name: string) => name.split('').filter((letter) => wanted.includes(letter)).length / Math.max(name.length, wanted.length)
  return nearest(wanted, names) ?? [...names].sort((a, b) => letters(b) - letters(a))[0] ?? ''
}

function short(text: string): string {
  return text.length > 40 ? `${text.slice(0, 40)}…` : text
}
