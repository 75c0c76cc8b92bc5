import { describe, expect, test } from 'vitest'
import { alertsByMetric, alertsOn, hasStale, scoreOf, scores } from '../src/model/attention'
import { CHANGING, changeOf, piecesOf } from '../src/model/change'
import { Columns } from '../src/model/columns'
import { finding, shows, sortedBy } from '../src/model/explore'
import type { FamilyInfo } from '../src/model/store'

function family(name: string, labels: readonly Record<string, string>[] = [{}], help = ''): FamilyInfo {
  const made: FamilyInfo = { name, type: 'gauge', help, unit: '', series: [] }
  labels.forEach((one, key) => made.series.push({ key, name, labels: one, family: made }))
  return made
}

const noted = {
  change: new Map([['a', 1], ['b', 9], ['c', 0]]),
  unusual: new Map([['c', 2]]),
  alerting: new Set(['a']),
  stale: new Set<string>(),
}

describe('finding', () => {
  const net = family('net_bytes', [{ device: 'eth0' }, { device: 'lo' }], 'Bytes of the network.')

  test('words and a label filter are both asked of a family, and the filter of its series', () => {
    const found = finding('network {device="eth0"}').of(net)
    expect(found?.series.map(({ labels }) => labels.device)).toEqual(['eth0'])
    expect(finding('memory {device="eth0"}').of(net)).toBeNull()
    expect(finding('{device="eth9"}').of(net)).toBeNull()
    expect(finding('{device=~".*"}').of(net)).toBe(net)
  })

  test('what is found of a family stays one object until its series change', () => {
    const asked = finding('{device="eth0"}')
    const first = asked.of(net)
    expect(asked.of(net)).toBe(first)
    net.series.push({ key: 2, name: net.name, labels: { device: 'eth0', queue: '1' }, family: net })
    expect(asked.of(net)?.series).toHaveLength(2)
  })

  test('a filter that is wrong is said, and filters nothing', () => {
    const asked = finding('{device=eth0}')
    expect(asked.wrong).toMatch(/in quotes/)
    expect(asked.of(net)).toBe(net)
  })
})

describe('order and lists', () => {
  const families = [family('c'), family('a'), family('b')]
  const names = (sort: '' | 'unusual' | 'changed') => sortedBy(sort, families, noted, false).map(({ name }) => name)

  test('by name, most unusual or most changed first, of equals by name', () => {
    expect(names('')).toEqual(['a', 'b', 'c'])
    expect(names('changed')).toEqual(['b', 'a', 'c'])
    expect(names('unusual')).toEqual(['c', 'a', 'b'])
  })

  test('lists take in what is beyond their threshold', () => {
    const of = (show: 'changing' | 'unusual' | 'alert' | 'stale') => families.filter(({ name }) => shows(show, name, noted)).map(({ name }) => name)
    expect([of('changing'), of('unusual'), of('alert'), of('stale')]).toEqual([['b'], ['c'], ['a'], []])
  })
})

describe('what changes now', () => {
  /** Five minutes at one a second, then a score. */
  const score = (value: (second: number) => number, counter = false) => {
    const columns = new Columns()
    columns.add(0)
    for (let s = 0; s <= 300; s++) columns.push(s * 1000, () => value(s))
    const { series } = family('x')
    return changeOf(columns, piecesOf(columns, 300_000), series, counter)
  }

  test('a step does, and what is still or always swings does not', () => {
    expect(score((s) => (s > 285 ? 9 : 3))).toBeGreaterThan(CHANGING)
    expect(score(() => 3)).toBe(0)
    expect(score((s) => 5 + 4 * Math.sin(s / 9))).toBeLessThan(CHANGING)
    expect(score((s) => 1000 + (s % 2))).toBeLessThan(CHANGING)
  })

  test('a counter changes when its rate does', () => {
    expect(score((s) => s * 3, true)).toBe(0)
    expect(score((s) => s * 3 + Math.max(0, s - 285) * 30, true)).toBeGreaterThan(CHANGING)
    expect(score((s) => (s > 290 ? 0 : s * 3), true)).toBe(0)
  })

  test('too little is known of what has just begun', () => {
    expect(score((s) => (s > 260 ? s : NaN))).toBe(0)
  })
})

describe('what asks for attention', () => {
  test('alerts are on the metrics that their rules name, histograms by any of their series', () => {
    const rule = (name: string, query: string, state: string) => ({ name, query, alerts: state === '' ? [] : [{ state, labels: { severity: 'critical' } }] })
    const alerts = alertsByMetric({ data: { groups: [{ rules: [rule('Slow', 'histogram_quantile(0.9, rate(took_seconds_bucket[1m])) > 1', 'firing'), rule('Quiet', 'took_seconds_count', ''), { type: 'recording' }] }] } })
    expect(alertsOn(alerts, 'took_seconds')).toEqual([{ name: 'Slow', state: 'firing', severity: 'critical', count: 1 }])
    expect(alertsOn(alerts, 'took')).toEqual([])
    expect(alertsByMetric(null).size).toBe(0)
  })

  test('scores are those of the watched metric, the greatest of its series', () => {
    const watched = family('gaugecast_anomaly_score', [{ metric: 'load' }, { metric: 'load' }, { watch: 'x' }])
    const found = scores({ families: new Map([[watched.name, watched]]), value: (key) => [0.2, 1.5, 7][key] ?? NaN })
    expect(scoreOf(found, 'load')).toBe(1.5)
    expect(scoreOf(found, 'x')).toBe(0)
  })

  test('a family of which one series has ended is stale', () => {
    const two = family('x', [{ a: '1' }, { a: '2' }])
    expect(hasStale({ stale: (key) => (key === 1 ? 5 : null) }, two)).toBe(true)
    expect(hasStale({ stale: () => null }, two)).toBe(false)
  })
})
