/** The element's pure parts: what attributes say, lines over time, and colours that show on dark and on light. */
import { expect, test } from 'vitest'
import { Tick } from '../client/index'
import type { Series } from '../client/index'
import { Lines } from '../element/lines'
import { levelOf, parseSettings } from '../element/settings'
import { COLOURS, CRITICAL, WARNING } from '../element/style'

const settings = (attributes: Readonly<Record<string, string>>) => parseSettings((name) => attributes[name] ?? null)

test('attributes have defaults, and a line as many points as it has pixels', () => {
  expect(settings({ query: 'up' })).toMatchObject({ query: 'up', match: '', type: 'value', title: 'up', server: '', window: '5m', windowMs: 300_000, interval: '1s', min: null, max: null, thresholds: [], problem: '' })
  expect(settings({ match: 'up', type: 'line' }).interval).toBe('1000ms')
  expect(settings({ match: 'up', type: 'line', window: '1h' }).interval).toBe('12000ms')
  expect(settings({ match: 'up', type: 'line', window: '1h', interval: '1s' }).interval).toBe('1s')
})

test.each([
  [{}, 'either query or match'],
  [{ query: 'a', match: 'b' }, 'either query or match'],
  [{ query: 'a', type: 'pie' }, 'type is one of value, line, gauge, bar, and this is “pie”'],
  [{ query: 'a', window: 'long' }, 'window is a time'],
  [{ query: 'a', interval: '1' }, 'interval is a time'],
  [{ query: 'a', min: 'low' }, 'min is a number'],
  [{ query: 'a', thresholds: '1 2 3' }, 'thresholds are one or two numbers'],
  [{ query: 'a', thresholds: 'high' }, 'thresholds are one or two numbers'],
])('%j is told: %s', (attributes, words) => {
  expect(settings(attributes as Readonly<Record<string, string>>).problem).toContain(words)
})

test('thresholds rise, or fall where less is worse', () => {
  expect([0.7, 0.8, 0.95, NaN].map((value) => levelOf(value, [0.8, 0.95]))).toEqual([0, 1, 2, 0])
  expect([6, 5, 2].map((value) => levelOf(value, [5, 2]))).toEqual([0, 1, 2])
  expect([1, 2].map((value) => levelOf(value, [2]))).toEqual([0, 1])
  expect(levelOf(9, [])).toBe(0)
})

const series = (key: string, value: number): Series => ({ key, name: key, labels: {}, family: key, type: 'gauge', help: '', unit: '', value, digits: null, time: 0 })
const tick = (time: number, all: readonly Series[], gone: readonly Series[] = [], past?: readonly (readonly [number, number | null])[]) => {
  const history = new Map(past === undefined ? [] : all.map((one) => [one, { times: Float64Array.from(past.map(([at]) => at)), values: past.map(([, value]) => value) }]))
  return new Tick(time, 1, 'e', past !== undefined, all, gone, new Map(all.map((one) => [one.key, one])), history)
}

test('a line begins with its past, has no point twice, and gaps where nothing came', () => {
  const lines = new Lines(60_000)
  lines.take(tick(10_000, [series('a', 3)], [], [[8_000, 1], [9_000, null]]), 1_000)
  lines.take(tick(10_000, [series('a', 3)]), 1_000)
  lines.take(tick(11_000, [series('a', 4)]), 1_000)
  lines.take(tick(15_000, [series('a', 5)]), 1_000)
  expect(lines.all[0]?.times).toEqual([8_000, 9_000, 10_000, 11_000, 11_001, 15_000])
  expect(lines.all[0]?.values).toEqual([1, NaN, 3, 4, NaN, 5])
})

test('points before the window go but for one, and no line grows without end', () => {
  const lines = new Lines(5_000)
  for (let i = 1; i <= 100; i++) lines.take(tick(i * 1_000, [series('a', i)]), 1_000)
  expect(lines.all[0]?.times).toEqual([94_000, 95_000, 96_000, 97_000, 98_000, 99_000, 100_000])
  const long = new Lines(1e9)
  for (let i = 1; i <= 5_000; i++) long.take(tick(i * 1_000, [series('a', i)]), 1_000)
  expect(long.all[0]?.times).toHaveLength(2_000)
})

test('a series that goes takes its line along, and one that came back under its name keeps it', () => {
  const lines = new Lines(60_000)
  const [a, b] = [series('a', 1), series('b', 2)]
  lines.take(tick(1_000, [b, a]), 1_000)
  expect(lines.all.map((line) => line.series.key)).toEqual(['a', 'b'])
  lines.take(tick(2_000, [a], [b]), 1_000)
  expect(lines.all.map((line) => line.series.key)).toEqual(['a'])
  const again = series('a', 7)
  lines.take(tick(3_000, [again], [a]), 1_000)
  expect(lines.all[0]?.series).toBe(again)
  expect(lines.all[0]?.values).toEqual([1, 1, 7])
})

function luminance(hex: string): number {
  const [r = 0, g = 0, b = 0] = [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16) / 255).map((c) => (c <= 0.040_45 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
  return 0.2126 * r + 0.7152 * g + 0.0722 * b
}

test('marks have a contrast of 3 on white and on near black', () => {
  for (const colour of [...COLOURS, WARNING, CRITICAL]) {
    for (const ground of ['#ffffff', '#121212']) {
      const [high = 0, low = 0] = [luminance(colour), luminance(ground)].sort((a, b) => b - a)
      expect((high + 0.05) / (low + 0.05), `${colour} on ${ground}`).toBeGreaterThanOrEqual(3)
    }
  }
})
