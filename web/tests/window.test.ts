/** The window in the address. */
import { expect, test } from 'vitest'
import { durationOf, durationText, paramsOf, windowFor, windowOf } from '../src/model/window'
import { hrefOf, parseRoute } from '../src/route'

const opened = (hash: string) => windowOf(parseRoute(hash).params)

test('a window is the same when its address is opened', () => {
  for (const window of [
    { ms: 300_000, at: null },
    { ms: 900_000, at: 1_763_719_200_000 },
    { ms: 12_345, at: 1_763_719_200_123 },
    { ms: 86_400_000, at: null },
  ]) {
    expect(opened(hrefOf('explore', '', Object.entries(paramsOf(window))))).toEqual(window)
  }
})

test('five minutes up to now need not be said', () => {
  expect(hrefOf('explore', '', Object.entries(paramsOf({ ms: 300_000, at: null })))).toBe('#explore')
  expect(hrefOf('explore', '', Object.entries(paramsOf({ ms: 3_600_000, at: null })))).toBe('#explore?w=1h')
})

test('what was typed wrong is the usual', () => {
  expect(opened('#explore?w=banana&at=yesterday')).toEqual({ ms: 300_000, at: null })
  expect(opened('#explore?w=-5m&at=-1')).toEqual({ ms: 300_000, at: null })
  expect(durationOf('99999999999m')).toBeNull()
})

test('a width has bounds, and is said in its largest unit', () => {
  expect(durationOf('1ms')).toBe(2_000)
  expect(durationOf('900d')).toBe(30 * 86_400_000)
  expect([60_000, 90_000, 3_600_000, 1_234_567].map(durationText)).toEqual(['1m', '90s', '1h', '1234567ms'])
})

test('a span that was drawn is the window, never narrower than can be seen', () => {
  expect(windowFor({ from: 1000.4, to: 61_000.4 })).toEqual({ ms: 60_000, at: 61_000 })
  expect(windowFor({ from: 1000, to: 1010 })).toEqual({ ms: 2_000, at: 1010 })
})
