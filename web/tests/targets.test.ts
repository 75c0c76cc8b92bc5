import { describe, expect, test } from 'vitest'
import { matches, words } from '../src/model/search'
import { byPool, haystack, readTargets, stretches } from '../src/model/targets'

function told(pool: string, instance: string, health: string, more: object = {}) {
  return { scrapePool: pool, scrapeUrl: `http://${instance}/metrics`, labels: { job: pool, instance }, health, lastError: '', ...more }
}

function answer(...activeTargets: readonly unknown[]) {
  return { status: 'success', data: { activeTargets } }
}

describe('targets', () => {
  test('an answer in the shape of Prometheus is read, and "never" is no time', () => {
    const lastScrape = '2026-11-21T10:00:00.250Z'
    const [seen, never] = readTargets(
      answer(
        told('node', 'a:9100', 'up', { lastScrape, lastScrapeDuration: 0.012, scrapeInterval: '15s', scrapeTimeout: '10s' }),
        told('node', 'b:9100', 'unknown', { lastScrape: '0001-01-01T00:00:00Z' }),
      ),
    )
    expect(seen).toEqual({
      pool: 'node',
      url: 'http://a:9100/metrics',
      labels: { job: 'node', instance: 'a:9100' },
      health: 'up',
      error: '',
      scrapedAt: Date.UTC(2026, 10, 21, 10, 0, 0, 250),
      took: 0.012,
      interval: '15s',
      timeout: '10s',
    })
    expect(never?.scrapedAt).toBeNaN()
    expect(never?.took).toBeNaN()
  })

  test('an error of the API is said in its words, and what is no answer is no list', () => {
    expect(() => readTargets({ status: 'error', error: 'no scraping here' })).toThrow('no scraping here')
    for (const bad of [null, 'x', [], { status: 'success' }.status]) expect(() => readTargets(bad)).toThrow('tells no targets')
    expect(readTargets({ status: 'success', data: null })).toEqual([])
    expect(readTargets(answer(null, 3, { labels: 'x', health: 7 })).map((target) => target.health)).toEqual(['unknown', 'unknown', 'unknown'])
  })

  test('what is down is first, pools with something down too', () => {
    const pools = byPool(readTargets(answer(told('a', '1', 'up'), told('b', '3', 'up'), told('b', '4', 'down'), told('b', '2', 'unknown'), told('a', '0', 'up'))))
    expect(pools.map(({ name, down, targets }) => [name, down, targets.map((target) => target.labels.instance)])).toEqual([
      ['b', 1, ['4', '2', '3']],
      ['a', 0, ['0', '1']],
    ])
  })

  test('a target is found by its labels, its state and its error', () => {
    const [target] = readTargets(answer(told('node', 'web-01:9100', 'down', { lastError: 'connection refused' })))
    if (target === undefined) throw new Error('one was told')
    for (const found of ['web', 'DOWN refused', 'node 9100']) expect(matches(haystack(target), words(found))).toBe(true)
    expect(matches(haystack(target), words('web-02'))).toBe(false)
  })
})

describe('stretches', () => {
  test('equal neighbours are one, nothing is said where nothing is known, and all is cut to the window', () => {
    const times = [0, 100, 200, 300, 400, 500]
    const values = [1, 1, 0, NaN, 1, 1]
    expect(stretches(times, values, 6, 50, 550)).toEqual([
      { from: 0, to: 0.3, up: true },
      { from: 0.3, to: 0.5, up: false },
      { from: 0.7, to: 1, up: true },
    ])
    expect(stretches(times, values, 6, 600, 700)).toEqual([{ from: 0, to: 1, up: true }])
    expect(stretches([], [], 0, 0, 1)).toEqual([])
  })
})
