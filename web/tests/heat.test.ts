import { describe, expect, test } from 'vitest'
import { bucketPosition, Crop, HEAT_STEPS, heatRamp, HeatRing, heatSplits, heatStep } from '../src/chart/heat'
import { Columns } from '../src/model/columns'
import { observations } from '../src/model/derive'
import type { Plan } from '../src/model/plan'

describe('what a heatmap counts', () => {
  const plan: Extract<Plan, { kind: 'quantiles' }> = { kind: 'quantiles', unit: 'seconds', bounds: [1, 2, Infinity], buckets: [[0, 3], [1], [2]], view: 'heatmap', lines: [], total: 1 }
  const counted = (rows: readonly (readonly number[])[]) => {
    const columns = new Columns()
    for (const key of [0, 1, 2, 3]) columns.add(key)
    rows.forEach((row, i) => {
      columns.push(i * 1000, (key) => row[key] ?? NaN)
    })
    const found: [number, number, number][] = []
    observations(columns, plan, 0, rows.length, (...one) => found.push(one))
    return found
  }

  test('are the observations between two bounds since the row before, over all series', () => {
    expect(counted([[0, 0, 0, 0], [2, 5, 6, 1], [2, 6, 7, 1]])).toEqual([[1, 0, 3], [1, 1, 2], [1, 2, 1], [2, 1, 1]])
  })

  test('a reset counts from nothing, and what has no value counts nothing', () => {
    expect(counted([[9, 9, 9, 0], [1, 1, 1, 0], [NaN, NaN, NaN, NaN], [5, 5, 5, 5]])).toEqual([[1, 0, 1]])
  })
})

describe('the ring', () => {
  test('forgets the column whose place another takes', () => {
    const ring = new HeatRing(3, 2)
    for (const column of [10, 11, 12]) {
      ring.begin(column)
      ring.add(column, 1, column)
    }
    ring.begin(13)
    expect([10, 11, 12, 13].map((column) => ring.count(column, 1))).toEqual([0, 11, 12, 0])
  })

  test('a column begun again is empty, and counts add up', () => {
    const ring = new HeatRing(3, 1)
    ring.begin(5)
    ring.add(5, 0, 2)
    ring.add(5, 0, 3)
    expect(ring.count(5, 0)).toBe(5)
    ring.begin(5)
    expect(ring.count(5, 0)).toBe(0)
  })

  test('knows its greatest count and the buckets in use within a window', () => {
    const ring = new HeatRing(4, 8)
    ring.begin(1)
    ring.add(1, 7, 99)
    ring.begin(2)
    ring.add(2, 3, 4)
    ring.add(2, 5, 6)
    expect(ring.extent(2, 3)).toEqual({ greatest: 6, low: 3, high: 5 })
    expect(ring.extent(1, 2)).toEqual({ greatest: 99, low: 3, high: 7 })
    expect(ring.extent(3, 3)).toEqual({ greatest: 0, low: 8, high: -1 })
  })
})

describe('colours', () => {
  test('nothing is clear, one of many is seen, the most is the last step', () => {
    expect(heatStep(0, 100)).toBe(-1)
    expect(heatStep(1, 0)).toBe(-1)
    expect(heatStep(25, 100)).toBe(HEAT_STEPS / 2)
    expect(heatStep(100, 100)).toBe(HEAT_STEPS - 1)
  })

  test('the ramp begins and ends with its stops', () => {
    const ramp = heatRamp(['#000000', '#808080', '#ff0102'])
    expect([...ramp.slice(0, 3)]).toEqual([0, 0, 0])
    expect([...ramp.slice(-3)]).toEqual([255, 1, 2])
    expect(ramp.length).toBe(HEAT_STEPS * 3)
  })
})

describe('the axis', () => {
  const bounds = [0.001, 0.005, 0.01, 0.05, 0.1, Infinity]

  test('a value lies in its bucket, in proportion', () => {
    expect(bucketPosition(bounds, 0)).toBe(0)
    expect(bucketPosition(bounds, 0.0005)).toBeCloseTo(0.5)
    expect(bucketPosition(bounds, 0.003)).toBeCloseTo(1.5)
    expect(bucketPosition(bounds, 0.1)).toBe(5)
    expect(bucketPosition(bounds, 7)).toBe(5.5)
    expect(bucketPosition(bounds, NaN)).toBeNaN()
  })

  test('borders at powers of ten are labelled, others where there are too few', () => {
    expect(heatSplits(bounds, { low: 0, high: 6 })).toEqual([1, 3, 5])
    expect(heatSplits([2, 3, 4, 5, 6, 7, 8, 9, Infinity], { low: 0, high: 9 })).toEqual([1, 3, 5, 7])
    expect(heatSplits(bounds, { low: 3.5, high: 6 })).toEqual([4, 5])
  })

  test('the buckets shown grow at once and shrink after half a minute', () => {
    const crop = new Crop(12)
    expect(crop.update(12, -1, 0)).toEqual({ low: 0, high: 12 })
    expect(crop.update(3, 4, 0)).toEqual({ low: 3, high: 7 })
    expect(crop.update(2, 9, 1000)).toEqual({ low: 2, high: 10 })
    expect(crop.update(5, 9, 2000)).toEqual({ low: 2, high: 10 })
    expect(crop.update(5, 9, 31_999)).toEqual({ low: 2, high: 10 })
    expect(crop.update(5, 9, 32_000)).toEqual({ low: 5, high: 10 })
    expect(crop.update(11, 11, 33_000)).toEqual({ low: 5, high: 12 })
  })
})
