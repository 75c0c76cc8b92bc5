import { describe, expect, test } from 'vitest'
import { DrawQueue } from '../src/chart/queue'
import type { Drawable } from '../src/chart/queue'
import { niceCeil, timeSplits, timeStep, YRange, ySplits } from '../src/chart/scale'
import { columnWidth, thin } from '../src/chart/thin'

describe('y ranges', () => {
  test('end at the next round number, of bytes at the next power of two', () => {
    expect([0.9, 1.1, 42, 61, 99, 2465].map((value) => niceCeil(value, false))).toEqual([1, 1.2, 50, 80, 100, 2500])
    expect([700, 1025, 45.3 * 1024 ** 2].map((value) => niceCeil(value, true))).toEqual([1024, 1536, 64 * 1024 ** 2])
  })

  test('are never below the value, for any size', () => {
    for (let i = 0; i < 2000; i++) {
      const value = 10 ** (i / 100 - 10) * 1.0307
      for (const binary of [false, true]) expect(niceCeil(value, binary)).toBeGreaterThanOrEqual(value * 0.999999)
    }
  })

  test('grow at once and shrink only after 30 s below 60 %', () => {
    const range = new YRange(false, false)
    expect(range.update(0, 42, 0).high).toBe(50)
    expect(range.update(0, 90, 1_000).high).toBe(100)
    expect(range.update(0, 20, 2_000).high).toBe(100)
    expect(range.update(0, 20, 31_000).high).toBe(100)
    expect(range.update(0, 20, 32_000).high).toBe(20)
    expect(range.update(NaN, NaN, 33_000).high).toBe(20)
  })

  test('a peak in between starts the 30 s anew', () => {
    const range = new YRange(false, false)
    range.update(0, 100, 0)
    range.update(0, 20, 1_000)
    range.update(0, 95, 20_000)
    range.update(0, 20, 21_000)
    expect(range.update(0, 20, 32_000).high).toBe(100)
  })

  test('a gauge that moves in the upper half leaves zero for round numbers, a still one does not', () => {
    expect(new YRange(false, true).update(92, 96.5, 0)).toEqual({ low: 90, high: 100 })
    expect(new YRange(false, true).update(92, 92.1, 0).low).toBe(0)
    expect(new YRange(false, false).update(92, 96.5, 0).low).toBe(0)
    const gib = 1024 ** 3
    const bytes = new YRange(true, true).update(6.62 * gib, 6.79 * gib, 0)
    expect(bytes.low / gib).toBeCloseTo(6.6)
    expect(bytes.high / gib).toBeCloseTo(6.8)
    expect(new YRange(false, true).update(1.69, 3.15, 0)).toEqual({ low: 0, high: 4 })
  })

  test('a share of time is 0 to 100 %', () => {
    expect(new YRange(false, false, 1).update(0.01, 0.02, 0)).toEqual({ low: 0, high: 1 })
  })

  test('zero is a tick where values are on both sides', () => {
    expect(ySplits({ low: -5, high: 20 }, 2)).toEqual([-5, 0, 20])
    expect(ySplits({ low: 0, high: 20 }, 2)).toEqual([0, 10, 20])
  })
})

describe('shares', () => {
  test('a little more than the whole is the whole, and the axis does not jump for it', () => {
    const fixed = new YRange(false, false, 1)
    expect(fixed.update(0, 0.4, 0)).toEqual({ low: 0, high: 1 })
    expect(fixed.update(0, 1.02, 1000)).toEqual({ low: 0, high: 1 })
    const rate = new YRange(false, false, null, true)
    expect(rate.update(0, 0.97, 0)).toEqual({ low: 0, high: 1 })
    expect(rate.update(0, 1.004, 1000)).toEqual({ low: 0, high: 1 })
    expect(rate.update(0, 1.7, 2000)).toEqual({ low: 0, high: 2 })
  })
})

describe('time', () => {
  test('ticks are at round times with room between them', () => {
    expect(timeStep(300_000, 250)).toBe(120_000)
    expect(timeSplits(130_000, 370_000, 120_000)).toEqual([240_000, 360_000])
  })
})

describe('thinning', () => {
  test('is not done below two points a pixel', () => {
    expect(columnWidth(300, 300_000, 250)).toBe(0)
    expect(columnWidth(3600, 3_600_000, 250)).toBe(14_400)
  })

  test('keeps every peak and every trough, in order', () => {
    const n = 1000
    const times = Float64Array.from({ length: n }, (_, i) => i * 1000)
    const line = Float64Array.from({ length: n }, (_, i) => (i === 333 ? 99 : i === 500 ? -99 : Math.sin(i)))
    const thinned = thin(times, [line], 20_000)
    const values = thinned.lines[0] ?? new Float64Array()
    expect(thinned.times.length).toBe(100)
    expect(Math.max(...values)).toBe(99)
    expect(Math.min(...values)).toBe(-99)
    for (let i = 1; i < thinned.times.length; i++) expect(thinned.times[i]).toBeGreaterThan(thinned.times[i - 1] ?? Infinity)
  })

  test('columns stand still when the window moves on', () => {
    const times = Float64Array.from({ length: 400 }, (_, i) => i * 1000)
    const line = Float64Array.from({ length: 400 }, (_, i) => (i * 7919) % 101)
    const before = thin(times.subarray(0, 390), [line.subarray(0, 390)], 10_000)
    const after = thin(times.subarray(10), [line.subarray(10)], 10_000)
    expect([...(before.lines[0]?.subarray(2, 70) ?? [])]).toEqual([...(after.lines[0]?.subarray(0, 68) ?? [])])
  })

  test('a column without values stays without', () => {
    const times = Float64Array.from({ length: 20 }, (_, i) => i * 1000)
    const line = Float64Array.from({ length: 20 }, (_, i) => (i < 10 ? NaN : i))
    expect([...(thin(times, [line], 10_000).lines[0] ?? [])]).toEqual([NaN, NaN, 10, 19])
  })
})

describe('the draw queue', () => {
  /** A queue whose frames are run by hand and whose cards take `cost` ms each. */
  function queueOf(cost: number) {
    let now = 0
    const frames: (() => void)[] = []
    const drawn: number[] = []
    const queue = new DrawQueue(
      () => now,
      (frame) => frames.push(frame),
    )
    const card = (rank: number): Drawable => ({
      rank: () => rank,
      draw: () => {
        now += cost
        drawn.push(rank)
      },
    })
    return { queue, card, drawn, frames, run: () => frames.shift()?.() }
  }

  test('draws topmost first, until 4 ms are gone, and the rest in the next frame', () => {
    const { queue, card, drawn, frames, run } = queueOf(2)
    for (const rank of [5, 1, 3, -1]) queue.mark(card(rank))
    expect(frames.length).toBe(1)
    run()
    expect(drawn).toEqual([-1, 1])
    run()
    expect(drawn).toEqual([-1, 1, 3, 5])
    expect(frames.length).toBe(0)
  })

  test('a card is never queued twice, and nothing dirty asks for no frame', () => {
    const { queue, card, drawn, frames, run } = queueOf(1)
    const one = card(1)
    queue.mark(one)
    queue.mark(one)
    run()
    expect(drawn).toEqual([1])
    expect(frames.length).toBe(0)
    queue.mark(one)
    queue.forget(one)
    run()
    expect(drawn).toEqual([1])
  })
})
