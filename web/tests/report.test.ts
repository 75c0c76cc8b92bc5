/** Reports of real runs of the load tester (tests/fixtures), and what could be dropped on the page in their place. */
import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { parseReport, ReportFault } from '../src/model/report'
import { bars, compareReports, judged, spread, unitOfMeasure } from '../src/model/report-compare'

const fixture = (name: string) => readFileSync(new URL(`fixtures/report-${name}.json`, import.meta.url), 'utf8')
const calm = fixture('calm')
const strict = fixture('strict')
const schema = JSON.parse(readFileSync(new URL('../../docs/loadtest.schema.json', import.meta.url), 'utf8')) as Schema

interface Schema {
  readonly required: readonly string[]
  readonly properties: Readonly<Record<string, Schema & { readonly items?: Schema }>>
}
type Tree = Record<string, unknown>

function fault(text: string): ReportFault {
  try {
    parseReport(text)
  } catch (error) {
    if (error instanceof ReportFault) return error
    throw error
  }
  throw new Error('it was taken')
}

describe('a report', () => {
  test('of a real run is read as it is, with its phases, criteria and measures', () => {
    const report = parseReport(strict)
    expect([report.verdict, report.load.preset, report.load.connections, report.target.transport]).toEqual(['fail', 'smoke', 10, 'websocket'])
    expect(report.phases.map(({ name }) => name)).toEqual(['ramp-up', 'broadcast', 'stability', 'recovery', 'sustained'])
    expect(report.criteria.find(({ criterion }) => criterion === 'delivery.p95<1us')).toMatchObject({ verdict: 'fail', metric: 'delivery.p95' })
    expect(report.measures.get('delivery.count')).toBeGreaterThan(0)
    expect(report.phases[0]?.measures.get('recovery.p95')).toBeNull()
  })

  test('needs no field that the schema does not ask for, and passes over what is new', () => {
    const places: readonly (readonly [(tree: Tree) => Tree, Schema | undefined])[] = [
      [(tree) => tree, schema],
      [(tree) => tree.target as Tree, schema.properties.target],
      [(tree) => tree.load as Tree, schema.properties.load],
      [(tree) => (tree.phases as Tree[])[0] ?? {}, schema.properties.phases?.items],
      [(tree) => (tree.resources as Tree[])[0] ?? {}, schema.properties.resources?.items],
    ]
    for (const [place, { required = [] } = {}] of places) {
      for (const name of Object.keys(place(JSON.parse(calm) as Tree))) {
        const tree = JSON.parse(calm) as Tree
        Reflect.deleteProperty(place(tree), name)
        if (required.includes(name)) continue
        expect(() => parseReport(JSON.stringify(tree)), name).not.toThrow()
      }
    }
    expect(parseReport(calm.replace('{', '{"colour":"blue",')).verdict).toBe('pass')
  })

  test('that is broken says what and where', () => {
    expect([fault('').message, fault('').where]).toEqual(['The file is empty.', 'line 1, column 1'])
    expect(fault(`{\n  "schema_version": "1.1",\n  oops`)).toMatchObject({ message: 'This is no JSON.', where: 'line 3, column 3' })
    expect(fault(strict.slice(0, 300)).message).toBe('This is no JSON.')
    const wrong = JSON.parse(calm) as { phases: { measures: unknown }[] }
    const [, second] = wrong.phases
    if (second !== undefined) second.measures = [1]
    expect(fault(JSON.stringify(wrong))).toMatchObject({ where: '/phases/1/measures', message: 'Here should be an object, not a list.' })
    const short = JSON.parse(calm) as Tree
    delete short.criteria
    expect(fault(JSON.stringify(short))).toMatchObject({ where: '/criteria', message: 'This is missing.' })
  })

  test('of somebody else, or of a time to come, is none', () => {
    for (const text of ['{"metrics":{"http_reqs":{}}}', '{"__proto__":{"schema_version":"1.1"}}']) expect(fault(text)).toMatchObject({ where: '/schema_version', message: expect.stringContaining('no report') as unknown })
    expect(fault('[]')).toMatchObject({ where: 'at the top', message: 'Here should be an object, not a list.' })
    expect(fault('{"schema_version":"2.0"}').message).toContain('2.0')
    expect(fault(`"${'x'.repeat(500)}"`).message.length).toBeLessThan(100)
  })
})

describe('two reports', () => {
  const [a, b] = [parseReport(calm), parseReport(strict)]

  test('compared with itself nothing has changed', () => {
    const same = compareReports(a, a)
    expect(same.every(({ change, sense }) => change === 0 && (sense === 'same' || sense === 'other'))).toBe(true)
    expect(judged(same)).toMatchObject({ better: 0, worse: 0 })
  })

  test('what one has more of is better or worse by what it is', () => {
    const with_ = (name: string, value: number | null) => ({ ...a, measures: new Map([...a.measures, [name, value]]) })
    const sense = (name: string, from: number | null, to: number | null) => compareReports(with_(name, from), with_(name, to)).find((one) => one.name === name)?.sense
    expect([sense('delivery.p95', 10, 20), sense('delivery.p95', 20, 10), sense('delivery.p95', 100, 104)]).toEqual(['worse', 'better', 'same'])
    expect([sense('uptime', 90, 100), sense('broadcast.complete', 100, 80), sense('errors', 0, 1)]).toEqual(['better', 'worse', 'worse'])
    expect([sense('delivery.count', 1, 2), sense('recovery.time', 5, null), sense('recovery.time', null, null)]).toEqual(['other', 'other', undefined])
    expect(compareReports(with_('errors', 0), with_('errors', 3)).find(({ name }) => name === 'errors')?.change).toBeNaN()
    expect(compareReports(a, b).length).toBeGreaterThan(60)
  })

  test('measures are told in base units', () => {
    expect(['delivery.p95', 'recovery.time', 'server.rss', 'server.sent', 'messages.bytes', 'messages.rate', 'messages.received', 'server.memory', 'uptime', 'server.fds'].map((name) => unitOfMeasure(name).unit)).toEqual([
      'seconds', 'seconds', 'bytes', 'bytes/s', 'bytes', 'rate', 'count', 'percent', 'percent', 'count',
    ])
    expect(unitOfMeasure('delivery.p95').factor).toBe(0.001)
  })

  test('a distribution is of the whole, in ascending bars, whatever percentiles fall together', () => {
    const delivery = spread(a.measures, 'delivery')
    if (delivery === null) throw new Error('it was measured')
    for (const at of [delivery.at, [1, 1, 1, 1, 1, 1, 1, 1], [1, 2, 2, 2, 3, 3, 3, 9], [0, NaN, 2, NaN, 3, 4, 5, 6]]) {
      const found = bars({ ...delivery, at })
      expect(found.reduce((sum, { share }) => sum + share, 0)).toBeCloseTo(1)
      expect(found.every(({ from, to }, i) => to >= from && from >= (found[i - 1]?.to ?? -1))).toBe(true)
    }
    expect(spread(new Map([['recovery.count', 0]]), 'recovery')).toBeNull()
    expect(spread(new Map(), 'recovery')).toBeNull()
  })
})
