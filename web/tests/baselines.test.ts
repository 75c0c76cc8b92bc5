import { describe, expect, test } from 'vitest'
import { chosen, readConfig, readDeadLetters, readStatus, settingOf } from '../src/model/admin'
import { byConcern, rangeQuery, readBaselines, readComparison, readTrends } from '../src/model/baselines'

const success = (data: unknown) => ({ status: 'success', data })

describe('baselines', () => {
  const figures = { count: 9, mean: 2, p50: 2, p95: 3, p99: 4 }
  const change = (series: string, verdict: string, effect: number, more = {}) => ({ series, verdict, effect, measure: 'value', change: 0.1, before: figures, after: figures, ...more })

  test('a comparison has what is worse first, then what changed, each by the size of its effect', () => {
    const told = readComparison(success({ before: { start: 1, end: 2 }, after: { start: 3, end: 4 }, series: [change('a', 'same', 0), change('b', 'worse', 0.4), change('c', 'worse', -0.9), change('d', 'changed', 1), change('e', 'odd', 1)] }))
    expect(byConcern(told.changes).map(({ series, verdict }) => `${series} ${verdict}`)).toEqual(['c worse', 'b worse', 'd changed', 'e unknown', 'a same'])
    expect([told.counts.worse, told.counts.unknown, told.after]).toEqual([2, 1, { start: 3, end: 4 }])
  })

  test('a series has the unit of its measure, and leads to its family', () => {
    const { changes } = readComparison(success({ series: [change('node_cpu_seconds_total{cpu="0"}', 'same', 0, { measure: 'rate' }), change('x_bytes', 'new', NaN, { before: null, measure: 7 })] }))
    expect(changes.map(({ name, unit, before }) => [name, unit, before === null])).toEqual([['node_cpu_seconds_total', 'ratio', false], ['x_bytes', 'bytes', true]])
  })

  test('what is missing is empty, never an exception', () => {
    expect(readBaselines(success([{ name: 'a' }, null]))).toHaveLength(2)
    expect(readComparison(success({})).changes).toEqual([])
    expect(readTrends(success({ series: [{ series: 'x', trend: 'rising', change: 0.4 }, 3] })).get('x')).toEqual({ way: 'rising', change: 0.4 })
    expect(() => readComparison({ status: 'error', error: 'there is no baseline "none"' })).toThrow('there is no baseline "none"')
  })

  test('a range is the last so much, or from and to in the zone that is set', () => {
    const zone = (local: string) => Date.parse(`${local}Z`)
    expect(rangeQuery('5m', '', '', zone)).toEqual([['last', '5m']])
    expect(rangeQuery('', '2026-11-21T14:10', '2026-11-21T14:11', zone)).toEqual([['start', '1795270200'], ['end', '1795270260']])
    expect(rangeQuery('', '2026-11-21T14:10', '', zone)).toHaveLength(1)
    expect(() => rangeQuery('', '2026-11-21T14:10', '2026-11-21T14:10', zone)).toThrow('must end after')
    expect(() => rangeQuery('', '', '2026-11-21T14:10', zone)).toThrow('needs a beginning')
  })
})

describe('the server', () => {
  const yaml = ['global:', '  tick: 1s        # default', 'web:', "  listen_address: ['127.0.0.1:0']   # flag --web.listen-address", '  limit:', '    idle: 1m15s   # default', 'storage:', "  path: '/var/a # b'   # environment GAUGECAST_STORAGE_PATH", ''].join('\n')
  const lines = readConfig(success({ yaml }))

  test('the configuration is told by line and who set it, and what was set with its headings', () => {
    expect(lines[3]).toEqual({ text: "  listen_address: ['127.0.0.1:0']", origin: 'flag --web.listen-address' })
    expect(chosen(lines).map(({ text }) => text)).toEqual(['web:', "  listen_address: ['127.0.0.1:0']", 'storage:', "  path: '/var/a # b'"])
    expect(readConfig(success({}))).toEqual([])
  })

  test('a setting is found by its path, and one that is not told is empty', () => {
    expect(['global.tick', 'web.limit.idle', 'storage.path', 'web.tick', 'none'].map((path) => settingOf(lines, path))).toEqual(['1s', '1m15s', '/var/a # b', '', ''])
  })

  test('dead letters name their alerts once; what is missing is empty', () => {
    const [letter, bare] = readDeadLetters(success([{ id: 4, receiver: 'team', notification: { alerts: [{ labels: { alertname: 'A' } }, { labels: { alertname: 'A' } }, {}] } }, null]))
    expect([letter?.alerts, letter?.receiver, bare?.receiver]).toEqual([['A'], 'team', ''])
    expect(readStatus(success({ version: '0.1.0', ready: true, sources: ['cpu'] }))).toMatchObject({ version: '0.1.0', ready: true, degraded: false, series: NaN, sources: ['cpu'] })
  })
})
