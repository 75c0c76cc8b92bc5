/** What concerns a family: by the expressions of rules and the labels of alerts. */
import { describe, expect, test } from 'vitest'
import type { Episode } from '../src/model/alert-history'
import type { Anomaly } from '../src/model/anomalies'
import { limitOf, marksOf, namesIn, readRules, worstOf } from '../src/model/marks'
import type { SeriesInfo } from '../src/model/store'

const family = { name: 'net_bytes_total', type: 'counter' as const, help: '', unit: '', series: [] }
const series: readonly SeriesInfo[] = ['eth0', 'lo'].map((device, key) => ({ key, name: 'net_bytes_total', labels: { device }, family }))
const rules = readRules({
  status: 'success',
  data: {
    groups: [
      {
        rules: [
          { type: 'alerting', name: 'NetHigh', query: 'rate(net_bytes_total{device!="lo"}[1m]) > 1e+06', labels: { severity: 'critical' } },
          { type: 'alerting', name: 'Ratio', query: 'rate(net_bytes_total[1m]) / net_speed_bytes > 0.9', labels: {} },
          { type: 'alerting', name: 'Other', query: 'node_load1 > 5', labels: { severity: 'critical' } },
          { type: 'recording', name: 'n', query: 'net_bytes_total' },
        ],
      },
    ],
  },
})
const episode = (name: string, more: Partial<Episode> = {}): Episode => ({ id: `id-${name}`, name, labels: { alertname: name }, severity: 'critical', pending: false, from: 1000, to: NaN, ...more })
const nothing = { rules, episodes: [], anomalies: [] }
const shown = { of: 'rate' as const, say: (value: number) => `${value}/s` }

describe('limits', () => {
  test('are known where a chart shows what the rule compares', () => {
    expect(limitOf('node_load1 > 5')).toEqual({ metric: 'node_load1', of: 'value', value: 5, sign: '>' })
    expect(limitOf('min by (job) (up{job=~"a > 1"}) <= 0')).toEqual({ metric: 'up', of: 'value', value: 0, sign: '<=' })
    expect(limitOf('rate(x_total{a="b"}[5m]) >= .5')).toEqual({ metric: 'x_total', of: 'rate', value: 0.5, sign: '>=' })
    expect(limitOf('24 * 3600 < (x_seconds) unless on () quiet')).toEqual({ metric: 'x_seconds', of: 'value', value: 86_400, sign: '>' })
    expect(limitOf('histogram_quantile(0.99, sum by (le) (rate(x_seconds_bucket[1m]))) > 0.25')).toEqual({ metric: 'x_seconds_bucket', of: 'quantile', value: 0.25, sign: '>' })
  })

  test('are none of what is computed of several, or compared with no number', () => {
    for (const expression of ['a / b > 0.5', 'a > b', 'up == 0', 'absent(x)', 'sum(rate(x[1m])) by (a) / 2 > 1', '']) expect(limitOf(expression)).toBeNull()
  })

  test('stand on the family and kind they are of, and lead to the alert that fired', () => {
    const { limits } = marksOf(series, { ...nothing, episodes: [episode('NetHigh', { labels: { alertname: 'NetHigh', device: 'eth0' } })] }, shown)
    expect(limits).toEqual([{ id: 'id-NetHigh', severity: 'critical', value: 1e6, words: 'limit 1000000/s', title: 'NetHigh: rate(net_bytes_total{device!="lo"}[1m]) > 1e+06' }])
    expect(marksOf(series, nothing, { ...shown, of: 'value' }).limits).toEqual([])
  })
})

test('names are read outside of quotes and ranges', () => {
  expect([...namesIn('rate(a_total{b="c d"}[5m]) > on(e) f:g')]).toEqual(['rate', 'a_total', 'b', 'on', 'e', 'f:g'])
})

test('an alert is on the families its rule names, where its labels allow', () => {
  const on = (one: Episode) => marksOf(series, { ...nothing, episodes: [one] }, shown).alerts.map(({ words, from, to }) => [words, from, to])
  expect(on(episode('NetHigh', { labels: { device: 'eth0' } }))).toEqual([['NetHigh', 1000, Infinity]])
  expect(on(episode('NetHigh', { labels: { device: 'eth7' } }))).toEqual([])
  expect(on(episode('Ratio', { severity: 'warning', from: NaN, to: 2000 }))).toEqual([['Ratio', -Infinity, 2000]])
  expect(on(episode('Other'))).toEqual([])
  expect(on(episode('NetHigh', { pending: true }))).toEqual([])
  expect(on(episode('Anomaly', { labels: { alertname: 'Anomaly', metric: 'net_bytes_total', device: 'lo' } }))).toHaveLength(1)
  expect(on(episode('Anomaly', { labels: { alertname: 'Anomaly', metric: 'node_load1' } }))).toEqual([])
})

test('what was unusual is a span of the family alone', () => {
  const anomaly = { metric: 'net_bytes_total', labels: { device: 'lo' }, since: 5000, until: NaN } as unknown as Anomaly
  expect(marksOf(series, { ...nothing, anomalies: [anomaly] }, shown).unusual).toEqual([{ from: 5000, to: Infinity }])
  expect(marksOf(series, { ...nothing, anomalies: [{ ...anomaly, labels: { device: 'eth9' } }] }, shown).unusual).toEqual([])
})

test('where several alerts fire the worst is shown', () => {
  expect(
    worstOf([
      { from: 0, to: 100, severity: 'warning' },
      { from: 20, to: 40, severity: 'critical' },
      { from: 200, to: 300, severity: 'info' },
    ]),
  ).toEqual([
    { from: 0, to: 20, severity: 'warning' },
    { from: 20, to: 40, severity: 'critical' },
    { from: 40, to: 100, severity: 'warning' },
    { from: 200, to: 300, severity: 'info' },
  ])
})
