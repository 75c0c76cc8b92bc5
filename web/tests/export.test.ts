import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { decode } from '../client/decode'
import { csvOf } from '../src/export/csv'
import { fileName } from '../src/export/file'
import { jsonOf } from '../src/export/json'
import { flow } from '../src/export/png'
import { factSheet, isoTime, timeSheet } from '../src/export/sheet'
import type { Facts } from '../src/export/sheet'
import { makePlan } from '../src/model/plan'
import type { Plan } from '../src/model/plan'
import { Store } from '../src/model/store'
import type { SubscriptionMessage } from '../client/index'

const FACTS: Facts = { title: 'A', query: 'a', unit: 'count', from: 0, to: 1e13 }

/** A store that was fed with frames as the wire has them. */
function fed(...frames: readonly unknown[]): Store {
  const store = new Store(() => undefined, () => undefined)
  for (const frame of frames) store.take(decode(JSON.stringify(frame)) as SubscriptionMessage)
  return store
}

const schema = (series: readonly object[]) => ({ type: 'schema', channel: 1, families: { a: { type: 'gauge', help: '', unit: '' } }, series })
const subscribed = { type: 'subscribed', sub: 's', channel: 1, interval_ms: 1000, matched: 1, recovered: false }
const snapshot = (values: readonly unknown[]) => ({ type: 'snapshot', channel: 1, epoch: 'e', offset: 1, t: 1_763_690_000_000, part: 1, parts: 1, values })
const delta = (n: number, values: readonly unknown[]) => ({ type: 'delta', channel: 1, offset: 1 + n, prev: n, t: 1_763_690_000_000 + n * 1000, part: 1, parts: 1, values, stale: [] })

function sheetOf(store: Store, ...keys: readonly number[]) {
  const family = store.families.get('a')
  if (family === undefined) throw new Error('the family a')
  const plan = makePlan(family, (key) => store.value(key))
  if (!('lines' in plan)) throw new Error('lines')
  const shown = { ...plan, lines: keys.length === 0 ? plan.lines : plan.lines.filter((line) => keys.includes(line.keys[0] ?? -1)) } as Extract<Plan, { lines: readonly never[] }>
  return timeSheet(FACTS, store.columns, shown, (key, time) => store.digits(key, time))
}

describe('CSV', () => {
  test('quotes what has commas, quotes or lines, and ends lines as the standard says', () => {
    expect(csvOf({ columns: ['time', 'a,b', 'say "x"', 'two\nlines'], rows: [[1, 2.5, null, 'é']] })).toBe('time,"a,b","say ""x""","two\nlines"\r\n1,2.5,,é\r\n')
  })

  test('no text begins a formula, and numbers stay numbers', () => {
    const cells = ['=1+1', '+x', '-x', '@SUM(A1)', '\tx', '\rx', 'a=b']
    expect(csvOf({ columns: cells, rows: [[-1, -1.5e-7, 1e21, -Infinity, NaN, 9007199254740993n, 0]] })).toBe(
      `'=1+1,'+x,'-x,'@SUM(A1),'\tx,"'\rx",a=b\r\n-1,-1.5e-7,1e+21,-Inf,NaN,9007199254740993,0\r\n`,
    )
  })
})

describe('a sheet', () => {
  test('has every row of the window with values as they came', () => {
    const store = fed(subscribed, schema([{ id: 1, name: 'a', family: 'a', labels: {} }]), snapshot([[1, 0.1]]), delta(1, [[1, 0.30000000000000004]]), delta(2, []))
    const { columns, rows } = sheetOf(store)
    expect(columns).toEqual(['time', 'a'])
    expect(rows).toEqual([['2025-11-21T01:53:20.000Z', 0.1], ['2025-11-21T01:53:21.000Z', 0.30000000000000004], ['2025-11-21T01:53:22.000Z', 0.30000000000000004]])
  })

  test('whole numbers beyond 2⁵³ keep their digits, at their time', () => {
    const store = fed(subscribed, schema([{ id: 1, name: 'a', family: 'a', labels: {} }]), snapshot([[1, '9007199254740993']]), delta(1, [[1, '9007199254740995']]), delta(2, [[1, 7]]))
    const sheet = sheetOf(store)
    expect(sheet.rows.map(([, value]) => value)).toEqual([9007199254740993n, 9007199254740995n, 7])
    expect(csvOf(sheet)).toContain(',9007199254740993\r\n')
    expect(JSON.parse(jsonOf(sheet))).toMatchObject({ rows: [[isoTime(1_763_690_000_000), '9007199254740993'], [isoTime(1_763_690_001_000), '9007199254740995'], [isoTime(1_763_690_002_000), 7]] })
  })

  test('a hostile label is a cell like any other', () => {
    const store = fed(subscribed, schema([{ id: 1, name: 'a', family: 'a', labels: { n: '=cmd|x,"y"' } }, { id: 2, name: 'a', family: 'a', labels: { n: 'b' } }]), snapshot([[1, 2], [2, 1]]))
    expect(csvOf(sheetOf(store)).split('\r\n')[0]).toBe(`time,"'=cmd|x,""y""",b`)
  })

  test('of facts has a column a label', () => {
    expect(factSheet(FACTS, [{ labels: { b: '1' } }, { labels: { a: '2' } }])).toMatchObject({ columns: ['a', 'b'], rows: [[null, '1'], ['2', null]] })
  })

  test('what a fixture of the protocol has is exported as it stands there', () => {
    const fixtures = JSON.parse(readFileSync(new URL('../../docs/protocol/messages.json', import.meta.url), 'utf8')) as readonly { readonly name: string; readonly message: unknown }[]
    const exact = fixtures.find(({ name }) => name === 'snapshot, exact')?.message
    const store = fed(subscribed, schema([{ id: 1, name: 'a', family: 'a', labels: { n: 'x' } }, { id: 2, name: 'a', family: 'a', labels: { n: 'y' } }]), exact)
    expect(csvOf(sheetOf(store))).toBe('time,y,x\r\n2023-11-14T22:13:25.000Z,18446744073709551616,\r\n')
  })
})

describe('files', () => {
  test('have names that every file system takes', () => {
    expect(fileName('../../CPU <b> 100 %', 1_763_690_000_000, 'csv')).toBe('cpu-b-100-2025-11-21T015320.csv')
    expect(fileName('=', 0, 'png')).toBe('chart-1970-01-01T000000.png')
  })

  test('the legend of an image goes on in the next row where there is no room', () => {
    const legend = ['aaaa', 'bb', 'cc'].map((text) => ({ text, colour: '#000000' }))
    expect(flow(legend, 100, (text) => text.length * 10)).toEqual([{ x: 0, row: 0 }, { x: 0, row: 1 }, { x: 52, row: 1 }])
    expect(jsonOf({ ...FACTS, columns: ['a'], rows: [[Infinity], [-0]] })).toContain('["+Inf"]')
  })
})
