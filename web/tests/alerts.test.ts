/** Alerts, their history, anomalies, rules and silences: read without trust, in order, in words. */
import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { firing, headline, inOrder, isOf, lastResolved, placeOf, readAlerts, summary, worst } from '../src/model/alerts'
import type { Alert } from '../src/model/alerts'
import { episodes, lanes, readTransitions } from '../src/model/alert-history'
import { anomalyOf, readAnomalies, selectorOf } from '../src/model/anomalies'
import { bareName, watchedBy } from '../src/model/watched'
import { safeLink } from '../src/model/links'
import { news, Politely } from '../src/model/news'
import { readRules, troubleFirst } from '../src/model/rules'
import { matchersFrom, matchersOf, readSilences } from '../src/model/silences'

const READERS: readonly (readonly [string, (answer: unknown) => unknown])[] = [
  ['alerts', readAlerts],
  ['history', readTransitions],
  ['anomalies', readAnomalies],
  ['rules', readRules],
  ['silences', readSilences],
]

describe.each(READERS)('the reader of %s', (_, read) => {
  test('says in the server’s words why there is nothing', () => {
    expect(() => read({ status: 'error', error: 'this token may not read' })).toThrow('this token may not read')
    expect(() => read('<html>')).toThrow(/tells no/)
  })

  const strange: readonly unknown[] = [null, 7, 'text', [], {}, [null], [7, 'x', {}], { alerts: 7, current: 'x', groups: null }, { alerts: [null, 5, { labels: 7 }], current: [null, { together: [null] }], groups: [null, { rules: [null, { labels: [] }] }] }]
  test.each(strange)('makes of %j what there is of it, and no exception', (data) => {
    expect(() => read({ status: 'success', data })).not.toThrow()
  })
})

function alert(about: Readonly<Record<string, unknown>>): Alert {
  const [one] = readAlerts({ status: 'success', data: { alerts: [about] } })
  if (one === undefined) throw new Error('there is one')
  return one
}

const told = (id: string, severity: string, starts_at_ms: number, more: object = {}): Alert =>
  alert({ id, severity, starts_at_ms, active_at_ms: starts_at_ms, state: 'firing', labels: { alertname: id }, ...more })

test('an alert is read as the server tells it, its expression from the page of its rule', () => {
  const one = alert({
    id: 'a1',
    state: 'firing',
    severity: 'critical',
    origin: 'rule',
    labels: { alertname: 'HighLoad', job: 'node' },
    value: '+Inf',
    starts_at_ms: 5,
    ends_at_ms: null,
    generator: '/#explore?expr=node_load1%20%3E%2010',
    acknowledged: { by: 'ann', note: 'mine', at_ms: 7, until_ms: null },
    next: { receiver: 'lead', severity: 'emergency', at_ms: 9 },
  })
  expect(one).toMatchObject({ name: 'HighLoad', value: Infinity, expression: 'node_load1 > 10', startsAt: 5, endsAt: NaN, next: { receiver: 'lead', severity: 'emergency', at: 9 } })
  expect(one.acknowledged).toEqual({ by: 'ann', note: 'mine', at: 7, until: NaN })
  expect(alert({ severity: 'page' }).severity).toBe('warning')
})

test('alerts stand by severity, then age; what is pending after what fires, what is over last', () => {
  const all = [told('young', 'critical', 20), told('wait', 'emergency', 1, { state: 'pending', starts_at_ms: null }), told('warn', 'warning', 1), told('old', 'critical', 10), told('over', 'emergency', 1, { state: 'resolved', ends_at_ms: 5 }), told('flap', 'info', 1, { state: 'flapping' })]
  expect(inOrder(all).map(({ id }) => id)).toEqual(['old', 'young', 'warn', 'flap', 'wait', 'over'])
  expect(worst(all.filter(({ id }) => id !== 'wait' && id !== 'over'))).toBe('critical')
  expect(worst([])).toBe(null)
})

test('the headline counts what fires and nobody has silenced', () => {
  expect(headline([])).toBe('All quiet')
  const one = told('a', 'warning', 1)
  const silenced = told('b', 'critical', 1, { silenced_by: ['s'] })
  const pending = told('c', 'critical', 1, { state: 'pending' })
  const over = told('d', 'critical', 1, { state: 'resolved', ends_at_ms: 9 })
  expect(headline([one, silenced, pending, over])).toBe('1 alert firing')
  expect(headline(Array.from({ length: 4096 }, (_, i) => told(String(i), 'info', i)))).toBe('4\u202f096 alerts firing')
  expect(summary([one, silenced, pending, over])).toBe('1 firing, 1 pending')
  expect(summary([silenced])).toBe('All quiet')
  expect([one, silenced, over].map(placeOf)).toEqual(['active', 'silenced', 'resolved'])
  expect(lastResolved([over, told('e', 'info', 1, { state: 'resolved', ends_at_ms: 12 }), one])?.id).toBe('e')
  expect(firing([silenced, over])).toEqual([])
})

test('a series is of an alert when all its labels are the alert’s', () => {
  const one = alert({ labels: { alertname: 'A', queue: 'a', severity: 'info' } })
  expect(isOf(one, { __name__: 'x', queue: 'a' })).toBe(true)
  expect(isOf(one, {})).toBe(true)
  expect(isOf(one, { queue: 'b' })).toBe(false)
  expect(isOf(one, { queue: 'a', zone: 'z' })).toBe(false)
})

const step = (seq: number, at_ms: number, id: string, change: string, state: string, severity = 'warning') => ({ seq, at_ms, id, change, state, severity, labels: { alertname: id }, deliveries: [] })
const history = (...steps: readonly object[]) => readTransitions({ status: 'success', data: steps })

describe('episodes', () => {
  test('last from the begin to the end, at the highest level there was', () => {
    const all = episodes(history(step(3, 30, 'a', 'resolved', 'resolved'), step(2, 20, 'a', 'level', 'firing', 'critical'), step(1, 10, 'a', 'firing', 'firing')), [])
    expect(all).toMatchObject([{ id: 'a', severity: 'critical', from: 10, to: 30, pending: false }])
  })

  test('whose begin is older than the history begin before it, unless the alert knows when', () => {
    const transitions = history(step(9, 50, 'a', 'acknowledged', 'firing'), step(8, 40, 'b', 'resolved', 'resolved'))
    expect(episodes(transitions, [])).toMatchObject([{ id: 'b', from: NaN, to: 40 }, { id: 'a', from: NaN, to: NaN }])
    expect(episodes(transitions, [told('a', 'warning', 5)]).find(({ id }) => id === 'a')).toMatchObject({ from: 5, to: NaN })
  })

  test('are those of alerts that the history does not have, and of what is pending', () => {
    expect(episodes([], [told('a', 'warning', 5), told('p', 'critical', 7, { state: 'pending', starts_at_ms: null }), told('r', 'info', 1, { state: 'resolved', ends_at_ms: 3 })])).toMatchObject([
      { id: 'r', from: 1, to: 3 },
      { id: 'a', from: 5, to: NaN },
      { id: 'p', from: 7, to: NaN, pending: true },
    ])
  })

  test('of a flapping alert are one, until it is steady', () => {
    const all = episodes(history(step(1, 1, 'a', 'firing', 'firing'), step(2, 2, 'a', 'flapping', 'flapping'), step(3, 9, 'a', 'steady', 'resolved')), [])
    expect(all).toMatchObject([{ from: 1, to: 9 }])
  })

  test('a reopened alert has a second one', () => {
    const all = episodes(history(step(1, 1, 'a', 'firing', 'firing'), step(2, 2, 'a', 'resolved', 'resolved'), step(3, 3, 'a', 'reopened', 'firing')), [])
    expect(all.map(({ from, to }) => [from, to])).toEqual([[1, 2], [3, NaN]])
  })
})

test('lanes are one a name, the worst first, their bars cut at the window', () => {
  const all = episodes(
    history(step(1, 1_000, 'warn', 'firing', 'firing'), step(2, 3_000, 'bad', 'firing', 'firing', 'emergency'), step(3, 4_000, 'bad', 'resolved', 'resolved', 'emergency'), step(4, 100, 'gone', 'firing', 'firing'), step(5, 900, 'gone', 'resolved', 'resolved')),
    [],
  )
  const made = lanes(all, 2_000, 6_000)
  expect(made.map(({ name }) => name)).toEqual(['bad', 'warn'])
  expect(made[0]?.bars).toMatchObject([{ left: 0.25, right: 0.5 }])
  expect(made[1]?.bars).toMatchObject([{ left: 0, right: 1 }])
})

describe('an expression', () => {
  test.each([
    ['x > 10', 'x', '>', 10],
    ['10 < x', 'x', '>', 10],
    ['(x{a="b > c"} >= bool 1e3)', 'x{a="b > c"}', '>=', 1000],
    ['a / b > 0.9 unless on (job) c > 1', 'a / b', '>', 0.9],
    ['up{job!="x"} == 0', 'up{job!="x"}', '==', 0],
    ['(sum by (a) (rate(x[5m])) / 2) > -24 * 3600', 'sum by (a) (rate(x[5m])) / 2', '>', -86400],
    ['(floor(x) > 1) and (y > 2)', 'floor(x)', '>', 1],
  ])('%s is split into what is watched and its limit', (text, expression, operator, limit) => {
    expect(watchedBy(text)).toEqual({ expression, operator, limit })
  })

  test.each(['a > 1 or b > 2', 'absent(x)', 'a > b', 'x', '', 'x > "', '((', 'x{a="'])('%s has no limit that can be told', (text) => {
    expect(watchedBy(text)).toEqual({ expression: text, operator: '', limit: NaN })
  })

  test('a bare selector names its family', () => {
    expect([bareName('x{a="b"}'), bareName('x'), bareName('rate(x[1m])'), bareName('x[5m]')]).toEqual(['x', 'x', '', ''])
  })
})

test('only addresses of the web are links', () => {
  expect(safeLink('https://example.org/a?b')).toBe('https://example.org/a?b')
  for (const bad of ['javascript:alert(1)', ' JavaScript:alert(1)', 'data:text/html,x', '//evil.example', 'runbook', '', 'java\nscript:x', 'https://', 'file:///etc/passwd']) expect(safeLink(bad), bad).toBe(null)
})

test('what is said of the protocol’s own example of an anomaly is what it says', () => {
  const text = readFileSync(new URL('../../docs/protocol.md', import.meta.url), 'utf8')
  const example = [...text.matchAll(/```json\n([\s\S]*?)```/g)].map(([, json = '']) => JSON.parse(json.includes('\n}\n{') ? '{}' : json) as { kind?: string; state?: string }).find((one) => one.kind === 'anomaly' && one.state === 'begin')
  const { current } = readAnomalies({ status: 'success', data: { watched: 1, current: [example] } })
  expect(current).toMatchObject([{ metric: 'node_load1', expected: 0.8, lower: 0.2, upper: 1.4, detector: 'novelty', together: [{ metric: 'node_cpu_seconds_total', sigmas: 7.5 }] }])
  const found = anomalyOf(readAnomalies({ status: 'success', data: { current: [example] } }), { labels: { alertname: 'Anomaly', metric: 'node_load1', watch: 'load', instance: 'a:9100' } })
  expect(found?.score).toBe(1.25)
  expect(anomalyOf(readAnomalies({ status: 'success', data: { current: [example] } }), { labels: { metric: 'node_load1', watch: 'load', instance: 'b:9100' } })).toBe(null)
})

test('a series is written as PromQL selects it, whatever is in it', () => {
  expect(selectorOf('up', {})).toBe('up')
  expect(selectorOf('up', { a: 'x"\\\n' })).toBe('up{a="x\\"\\\\\\n"}')
  expect(selectorOf('my.metric', { 'a.b': 'c' })).toBe('{"my.metric", "a.b"="c"}')
})

test('rules that fail and fire come first', () => {
  const rule = (name: string, more: object) => ({ name, type: 'alerting', query: 'x > 1', ...more })
  const groups = readRules({ status: 'success', data: { groups: [{ name: 'calm', rules: [rule('a', { health: 'ok' })] }, { name: 'bad', rules: [rule('b', { health: 'ok' }), rule('c', { state: 'firing', health: 'ok' }), rule('d', { health: 'err', lastError: 'many-to-many' })] }] } })
  expect(troubleFirst(groups).map((group) => [group.name, ...group.rules.map(({ name }) => name)])).toEqual([['bad', 'd', 'c', 'b'], ['calm', 'a']])
  expect(groups[1]?.rules[2]?.error).toBe('many-to-many')
})

test('a silence is proposed by the labels without the level, and read with all operators', () => {
  expect(matchersOf({ severity: 'info', queue: 'a"b', alertname: 'Q' })).toEqual(['alertname="Q"', 'queue="a\\"b"'])
  expect(matchersFrom(' a="b" \n\n c!~"d"')).toEqual(['a="b"', 'c!~"d"'])
  const [one] = readSilences({ status: 'success', data: [{ id: 's', state: 'active', matchers: [{ name: 'a', value: 'b' }, { name: 'c', value: 'd', isRegex: true, isEqual: false }] }] })
  expect(one?.matchers).toEqual(['a="b"', 'c!~"d"'])
})

describe('news', () => {
  const before = [told('a', 'warning', 1)]
  test('are urgent from critical on, and tell what is over', () => {
    const now = [told('a', 'warning', 1, { state: 'resolved', ends_at_ms: 2 }), told('b', 'critical', 1, { annotations: { summary: 'it burns' } }), told('c', 'info', 1)]
    expect(news(before, now)).toEqual({ urgent: 'critical: b fires: it burns.', polite: 'info: c fires. a is over.' })
  })
  test('are a rise of the level, and not what is silenced or was there', () => {
    expect(news(before, [told('a', 'emergency', 1), told('s', 'critical', 1, { silenced_by: ['x'] })]).urgent).toBe('emergency: a fires.')
    expect(news(before, before)).toEqual({ urgent: '', polite: '' })
  })
  test('of a storm are a number', () => {
    expect(news([], Array.from({ length: 500 }, (_, i) => told(String(i), 'critical', 1))).urgent).toBe('500 alerts fire.')
  })
  test('are said politely at most every five seconds, and none is lost', () => {
    const said = new Politely(5_000)
    expect(said.say('one', 0)).toEqual({ said: 'one', again: null })
    expect(said.say('two', 1_000)).toEqual({ said: '', again: 4_000 })
    expect(said.say('three', 2_000)).toEqual({ said: '', again: 3_000 })
    expect(said.say('', 5_000)).toEqual({ said: 'two three', again: null })
    expect(said.say('', 11_000)).toEqual({ said: '', again: null })
  })
})
