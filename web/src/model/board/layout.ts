/**
 * Where the cards of a board stand: on 12 columns, rows as many as it takes. Cards never overlap and rise as far as there
 * is room, so a board has no holes above a card. All of it is pure: cards in, cards out, in the order in which they are read.
 */

/** Columns from 0, rows from 0; sizes in columns and rows. */
export interface Place {
  readonly x: number
  readonly y: number
  readonly w: number
  readonly h: number
}

interface Placed extends Place {
  readonly id: number
}

export const COLUMNS = 12
export const LEAST_WIDTH = 2
/** Less has no room for a header, a line and a legend. */
export const LEAST_HEIGHT = 3
export const MOST_HEIGHT = 24
export const MOST_ROW = 2_000
/** Three a row, as high as the cards of other pages. */
export const WIDTH = 4
export const HEIGHT = 5

export function overlap(a: Place, b: Place): boolean {
  return beside(a, b) && a.y < b.y + b.h && b.y < a.y + a.h
}

/** Whether they have a column in common. */
function beside(a: Place, b: Place): boolean {
  return a.x < b.x + b.w && b.x < a.x + a.w
}

/** Row by row from the left: the order of reading, of the keyboard, and of narrow screens. */
export function inOrder<T extends Place>(cards: readonly T[]): readonly T[] {
  return [...cards].sort((a, b) => a.y - b.y || a.x - b.x)
}

/** The row under the lowest card. */
export function bottom(cards: readonly Place[]): number {
  return cards.reduce((row, { y, h }) => Math.max(row, y + h), 0)
}

/** Within the bounds. */
export function clamp({ x, y, w, h }: Place): Place {
  const width = within(w, LEAST_WIDTH, COLUMNS)
  return { x: within(x, 0, COLUMNS - width), y: within(y, 0, MOST_ROW), w: width, h: within(h, LEAST_HEIGHT, MOST_HEIGHT) }
}

function within(value: number, least: number, most: number): number {
  return Math.max(least, Math.min(most, Math.round(value)))
}

/** Each card rises as far as it can. Which of two stands above the other stays. */
export function compact<T extends Place>(cards: readonly T[]): readonly T[] {
  const done: T[] = []
  for (const card of inOrder(cards)) {
    const y = done.reduce((row, other) => (beside(card, other) ? Math.max(row, other.y + other.h) : row), 0)
    done.push(y === card.y ? card : { ...card, y })
  }
  return inOrder(done)
}

/** Where a card of this size has room first, in the order of reading. */
export function room(cards: readonly Place[], w: number, h: number): Place {
  for (let y = 0; ; y++) {
    for (let x = 0; x + w <= COLUMNS; x++) {
      const place = { x, y, w, h }
      // Below all there is room, so this ends.
      if (!cards.some((card) => overlap(card, place))) return place
    }
  }
}

/** Lays out cards as they come from outside: those without a place go where there is room, those that overlap move down. */
export function arrange<T extends Partial<Place> & { readonly id: number }>(cards: readonly T[]): readonly (T & Place)[] {
  const done: (T & Place)[] = []
  const sized = cards.map((card) => ({ ...card, ...clamp({ x: card.x ?? 0, y: card.y ?? 0, w: card.w ?? WIDTH, h: card.h ?? HEIGHT }) }))
  const given = (_: unknown, i: number) => cards[i]?.x !== undefined
  for (const card of inOrder(sized.filter(given))) done.push(dropped(card, done))
  for (const card of sized.filter((one, i) => !given(one, i))) done.push({ ...card, ...room(done, card.w, card.h) })
  return compact(done)
}

/** Moves a card down until it overlaps none of those. */
function dropped<T extends Place>(card: T, others: readonly Place[]): T {
  let { y } = card
  for (;;) {
    const hit = others.find((other) => overlap({ ...card, y }, other))
    if (hit === undefined) return y === card.y ? card : { ...card, y }
    y = hit.y + hit.h
  }
}

/**
 * Puts a card at a place, wherever it was. What is there gives way downwards; a card of which only the lower half is covered
 * stays, and this one comes after it.
 */
export function put<T extends Placed>(cards: readonly T[], id: number, place: Place): readonly T[] {
  const moved = cards.find((card) => card.id === id)
  if (moved === undefined) return cards
  const target = clamp(place)
  const others = compact(cards.filter((card) => card.id !== id))
  const above = others.filter((other) => overlap(other, target) && other.y + other.h / 2 <= target.y)
  const y = above.reduce((row, other) => Math.max(row, other.y + other.h), target.y)
  const done: T[] = [{ ...moved, ...target, y }]
  for (const other of others) done.push(dropped(other, done))
  return compact(done)
}

/** Moves a card by one step: a column to a side, or before or after its neighbour above or below. */
export function step<T extends Placed>(cards: readonly T[], id: number, dx: number, dy: number): readonly T[] {
  const card = cards.find((one) => one.id === id)
  if (card === undefined) return cards
  if (dy === 0) return put(cards, id, { ...card, x: card.x + dx })
  const others = compact(cards.filter((one) => one.id !== id)).filter((other) => beside(card, other))
  if (dy < 0) {
    const before = others.filter((other) => other.y < card.y).at(-1)
    return before === undefined ? cards : put(cards, id, { ...card, y: before.y })
  }
  const after = others.find((other) => other.y >= card.y)
  return after === undefined ? cards : put(cards, id, { ...card, y: after.y + after.h })
}

/** Puts a card at a place of the order of reading, as on narrow screens, and fills the rows anew in that order. */
export function reorder<T extends Placed>(cards: readonly T[], id: number, index: number): readonly T[] {
  const moved = cards.find((card) => card.id === id)
  if (moved === undefined) return cards
  const order = [...inOrder(cards)].filter((card) => card.id !== id)
  order.splice(index, 0, moved)
  let [x, y, height] = [0, 0, 0]
  return order.map((card) => {
    if (x + card.w > COLUMNS) [x, y, height] = [0, y + height, 0]
    const place = { x, y }
    x += card.w
    height = Math.max(height, card.h)
    return { ...card, ...place }
  })
}

/** Where a card stands, for ears. */
export function said({ x, y, w, h }: Place): string {
  return `column ${x + 1}, row ${y + 1}, ${w} wide, ${h} high`
}
