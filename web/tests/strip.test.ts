/** Where times are on the strip, and what a hand does to the frame. */
import { describe, expect, test } from 'vitest'
import { NARROWEST, readSilhouette, readStarts, spanOf, stepOf, StripScale } from '../src/model/strip'

const HOUR = 3_600_000
const scale = new StripScale({ from: 0, to: HOUR }, 1200)
const window = { from: HOUR - 300_000, to: HOUR }

test('the strip spans the history, at least ten minutes and always the window', () => {
  expect(spanOf(5 * HOUR, 6 * HOUR, { from: 6 * HOUR - 300_000, to: 6 * HOUR })).toEqual({ from: 5 * HOUR, to: 6 * HOUR })
  expect(spanOf(NaN, HOUR, window)).toEqual({ from: HOUR - 600_000, to: HOUR })
  expect(spanOf(HOUR - 1000, HOUR, { from: -HOUR, to: 0 })).toEqual({ from: -HOUR, to: HOUR })
})

describe('the frame', () => {
  test('is the window, and never too narrow to be held', () => {
    expect(scale.frame(window)).toEqual([1100, 1200])
    const [left, right] = scale.frame({ from: 1000, to: 2000 })
    expect([left, right - left]).toEqual([0, NARROWEST])
  })

  test('follows the hand that holds it, without a jump', () => {
    const held = scale.hold(1150, window)
    expect(scale.endAt(1150, held, window)).toBe(HOUR)
    expect(scale.endAt(650, held, window)).toBe(HOUR / 2 + 300_000)
  })

  test('is put with its middle where somebody clicks beside it', () => {
    expect(scale.endAt(600, scale.hold(600, window), window)).toBe(HOUR / 2 + 150_000)
  })

  test('stays within the history, and is live again at the right edge', () => {
    const held = scale.hold(1150, window)
    expect(scale.endAt(0, held, window)).toBe(300_000)
    expect(scale.endAt(1149, held, window)).toBe(HOUR)
  })
})

test('times and places are each other’s reverse', () => {
  for (const x of [0, 1, 599.5, 1200]) expect(scale.toX(scale.toTime(x))).toBeCloseTo(x, 9)
})

test('a point of the silhouette is some seconds, however long the history', () => {
  expect(stepOf({ from: 0, to: 60_000 })).toBe(1000)
  expect(stepOf({ from: 0, to: HOUR })).toBe(9000)
})

const matrix = (...values: readonly (readonly [number, string])[]) => ({ status: 'success', data: { resultType: 'matrix', result: values.length === 0 ? [] : [{ metric: {}, values }] } })

test('the silhouette has heights from 0 to 1, and may be empty', () => {
  expect(readSilhouette(matrix([1, '0.5'], [2, '7']))).toEqual({ times: Float64Array.of(1000, 2000), heights: Float64Array.of(0.5, 1), step: 1000 })
  expect(readSilhouette(matrix()).times.length).toBe(0)
})

test('restarts are the starts after the first', () => {
  expect(readStarts(matrix([10, '5'], [20, '5'], [30, '25.5'], [40, '25.5']), { from: 0, to: 60_000 })).toEqual([25_500])
})
