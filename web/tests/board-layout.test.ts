/** Layout of boards: cards never overlap, rise, and give way; whatever is done to them. */
import { expect, test } from 'vitest'
import { arrange, clamp, COLUMNS, compact, inOrder, LEAST_HEIGHT, LEAST_WIDTH, MOST_HEIGHT, overlap, put, reorder, room, step } from '../src/model/board/layout'
import type { Place } from '../src/model/board/layout'

type Card = Place & { readonly id: number }
const card = (id: number, x: number, y: number, w = 4, h = 5): Card => ({ id, x, y, w, h })
const row = [card(0, 0, 0), card(1, 4, 0), card(2, 8, 0)]
const at = (cards: readonly Card[]) => cards.map(({ id, x, y, w, h }) => `${id}: ${x},${y} ${w}×${h}`)

/** The same numbers in each run. */
function dice(seed: number): (below: number) => number {
  let state = seed
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((state / 2 ** 32) * below)
  }
}

/** Fails unless all is within the bounds, nothing overlaps, and nothing hangs in the air. */
function sound(cards: readonly Card[]): void {
  const out = cards.filter((one) => !same(one, clamp(one)))
  const on = cards.filter((one) => cards.some((other) => one.id < other.id && overlap(one, other)))
  const risen = compact(cards)
  expect([out, on, inOrder(cards).filter((one, i) => !same(one, risen[i]))]).toEqual([[], [], []])
}

const same = (a: Place, b: Place | undefined) => a.x === b?.x && a.y === b.y && a.w === b.w && a.h === b.h

test('a card that is put on another takes its place, and the other goes below', () => {
  expect(at(put(row, 2, card(2, 0, 0)))).toEqual(['2: 0,0 4×5', '1: 4,0 4×5', '0: 0,5 4×5'])
})

test('a card that is put on the lower half of another comes after it', () => {
  expect(at(put([card(0, 0, 0), card(1, 0, 5)], 0, card(0, 0, 3)))).toEqual(['1: 0,0 4×5', '0: 0,5 4×5'])
  expect(at(put([card(0, 0, 0), card(1, 0, 5)], 1, card(1, 0, 2)))).toEqual(['1: 0,0 4×5', '0: 0,5 4×5'])
})

test('what is under a card that goes rises', () => {
  expect(at(put([card(0, 0, 0), card(1, 0, 5), card(2, 0, 10)], 0, card(0, 8, 0)))).toEqual(['1: 0,0 4×5', '0: 8,0 4×5', '2: 0,5 4×5'])
})

test('a card that grows pushes those beside and below it down, and all they stand on', () => {
  expect(at(put([...row, card(3, 0, 5)], 0, card(0, 0, 0, 8, 6)))).toEqual(['0: 0,0 8×6', '2: 8,0 4×5', '3: 0,6 4×5', '1: 4,6 4×5'])
})

test('one step down goes behind the next below, and one up before it', () => {
  const cards = [card(0, 0, 0), card(1, 0, 5), card(2, 4, 0)]
  const down = step(cards, 0, 0, 1)
  expect(at(down)).toEqual(['1: 0,0 4×5', '2: 4,0 4×5', '0: 0,5 4×5'])
  expect(at(step(down, 0, 0, -1))).toEqual(at(inOrder(cards)))
  expect(step(cards, 0, 0, -1)).toBe(cards)
})

test('steps to the side end at the edges', () => {
  let cards: readonly Card[] = [card(0, 0, 0)]
  for (let i = 0; i < 20; i++) cards = step(cards, 0, 1, 0)
  expect(at(cards)).toEqual(['0: 8,0 4×5'])
})

test('a new card goes where there is room first', () => {
  expect(room(row, 4, 5)).toEqual({ x: 0, y: 5, w: 4, h: 5 })
  expect(room([card(0, 0, 0), card(2, 8, 0)], 4, 5)).toEqual({ x: 4, y: 0, w: 4, h: 5 })
  expect(room([], COLUMNS, 5)).toEqual({ x: 0, y: 0, w: 12, h: 5 })
})

test('cards without a place follow in their order, beside those that have one', () => {
  expect(at(arrange([{ id: 0, w: 6, h: 3 }, { id: 1, x: 6, y: 0, w: 6, h: 3 }, { id: 2 }]))).toEqual(['0: 0,0 6×3', '1: 6,0 6×3', '2: 0,3 4×5'])
})

test('a card put at a place of the order is there in the order', () => {
  for (let index = 0; index < 3; index++) expect(inOrder(reorder(row, 0, index)).findIndex(({ id }) => id === 0)).toBe(index)
  expect(reorder(row, 7, 0)).toBe(row)
})

test('whatever is done, nothing overlaps, leaves the grid or hangs in the air, and no card is lost', () => {
  for (let seed = 1; seed <= 60; seed++) {
    const roll = dice(seed)
    const count = 1 + roll(25)
    const loose = Array.from({ length: count }, (_, id) => ({ id, w: roll(16) - 2, h: roll(30) - 2, ...(roll(3) > 0 && { x: roll(14) - 1, y: roll(60) }) }))
    let cards: readonly Card[] = arrange(loose)
    sound(cards)
    for (let i = 0; i < 30; i++) {
      const id = roll(count)
      const [dx = 0, dy = 0] = [[1, 0], [-1, 0], [0, 1], [0, -1]][roll(4)] ?? []
      cards =
        roll(3) === 0
          ? put(cards, id, { x: roll(20) - 4, y: roll(80) - 4, w: LEAST_WIDTH + roll(COLUMNS), h: LEAST_HEIGHT + roll(MOST_HEIGHT) })
          : roll(4) === 0
            ? compact(reorder(cards, id, roll(count)))
            : step(cards, id, dx, dy)
      sound(cards)
      expect(cards.map((one) => one.id).sort((a, b) => a - b)).toEqual(loose.map((one) => one.id))
    }
  }
})
