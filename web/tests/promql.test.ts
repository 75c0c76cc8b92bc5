import { describe, expect, test } from 'vitest'
import { contextAt } from '../src/promql/context'
import type { Context } from '../src/promql/context'
import { lex } from '../src/promql/lex'
import { suggest } from '../src/promql/suggest'
import type { Known } from '../src/promql/suggest'

/** The context at the `|` of a text. */
function at(marked: string): Context {
  const cursor = marked.indexOf('|')
  return contextAt(marked.replace('|', ''), cursor)
}

describe('where in an expression the cursor is', () => {
  test.each([
    ['|', 'operand'],
    ['no|', 'operand'],
    ['rate(no|', 'operand'],
    ['rate(|)', 'operand'],
    ['a + b|', 'operand'],
    ['a + on(job) gro|', 'operand'],
    ['sum(a) b|', 'behind'],
    ['sum b|', 'behind'],
    ['node_load1 o|', 'behind'],
    ['a{b="c"} an|', 'behind'],
    ['a[5m] of|', 'behind'],
    ['sum by (mo|', 'label'],
    ['sum(a) by (mode, c|)', 'label'],
    ['a / on(|) b', 'label'],
    ['a{|', 'label'],
    ['a{mo|', 'label'],
    ['a{mode="x", |}', 'label'],
    ['a{mode|="x"}', 'label'],
    ['a{mode=|', 'value'],
    ['a{mode="|', 'value'],
    ['a{mode=~"us|er"}', 'value'],
    ['a{mode="user"|', 'none'],
    ['a{mode |', 'none'],
    ['rate(a[|', 'range'],
    ['rate(a[5|m])', 'range'],
    ['a offset 5|', 'range'],
    ['label_replace(a, "b|', 'none'],
    ['12|', 'none'],
    ['a # by|', 'none'],
    ['sum by (mode) (ra|', 'operand'],
    ['sum by (mode) (a) |', 'behind'],
  ])('%s is %s', (marked, kind) => {
    expect(at(marked).kind).toBe(kind)
  })

  test('a choice replaces the whole word under the cursor', () => {
    expect(at('rate(node_|cpu[5m])')).toMatchObject({ from: 5, to: 13, word: 'node_' })
    expect(at('a{mode="us|er"}')).toMatchObject({ from: 7, to: 13, word: 'us', quote: '"' })
  })

  test('of a value that is not closed only what is before the cursor is replaced', () => {
    expect(at('sum(a{mode="us|) + b')).toMatchObject({ from: 11, to: 14, word: 'us' })
  })

  test('a label knows its metric and the matchers beside it', () => {
    expect(at('cpu{mode="user", cpu="|')).toMatchObject({ metrics: ['cpu'], label: 'cpu', others: [{ label: 'mode', sign: '=', value: 'user' }] })
    expect(at('{__name__="cpu", m|}')).toMatchObject({ kind: 'label', metrics: ['cpu'], taken: ['__name__'] })
    expect(at('sum by (m|) (rate(cpu{mode="user"}[1m]))')).toMatchObject({ kind: 'label', metrics: ['cpu'] })
  })

  test('any text is taken apart without a loss, finished or not', () => {
    for (const text of ['a{b="c', 'sum(((', '"\\', "'a\\'b' #c\n x", 'a =~ !! ~ é "ü"', '1h30m 0x1F 1e-3 .5']) {
      const tokens = lex(text)
      expect(tokens.every(({ text: own, from, to }) => text.slice(from, to) === own)).toBe(true)
    }
  })
})

describe('what could be written', () => {
  const known: Known = {
    metrics: () => [
      { name: 'node_load1', type: 'gauge', help: '1m load average.' },
      { name: 'node_load15', type: 'gauge', help: '15m load average.' },
      { name: 'node_cpu_seconds_total', type: 'counter', help: 'Seconds.' },
    ],
    labels: (metrics) => (metrics.includes('node_cpu_seconds_total') ? ['mode', 'cpu'] : ['mode', 'cpu', 'device']),
    values: (_, label, others) => (label === 'mode' ? ['user', 'sys"tem'] : others.length > 0 ? ['1'] : ['10', '2']),
  }
  const texts = (marked: string) => {
    const cursor = marked.indexOf('|')
    const text = marked.replace('|', '')
    const context = contextAt(text, cursor)
    return suggest(context, known, text.charAt(context.to))
  }
  /** The text after the first suggestion was taken, with the cursor. */
  const taken = (marked: string) => {
    const text = marked.replace('|', '')
    const { from, to } = at(marked)
    const [first] = texts(marked)
    if (first === undefined) throw new Error(`nothing is proposed in ${marked}`)
    const after = text.slice(0, from) + first.insert + text.slice(to)
    const cursor = from + first.insert.length - first.back
    return `${after.slice(0, cursor)}|${after.slice(cursor)}`
  }

  test('names begin with what is written, or have a part that does', () => {
    expect(texts('node_lo|').map(({ text }) => text)).toEqual(['node_load1', 'node_load15'])
    expect(texts('load1|').map(({ text }) => text)).toEqual(['node_load1', 'node_load15'])
    expect(texts('cpu|')[0]).toMatchObject({ text: 'node_cpu_seconds_total', is: 'counter', says: 'Seconds.' })
  })

  test('a function comes with its brackets, once, and the cursor between', () => {
    expect(taken('rat|')).toBe('rate(|)')
    expect(taken('rat|(a[5m])')).toBe('rate|(a[5m])')
    expect(taken('tim|')).toBe('time()|')
  })

  test('labels are those of the metric, without those that are there', () => {
    expect(texts('node_cpu_seconds_total{|}').map(({ text }) => text)).toEqual(['cpu', 'mode'])
    expect(texts('node_cpu_seconds_total{cpu="0", |}').map(({ text }) => text)).toEqual(['mode'])
    expect(taken('node_cpu_seconds_total{mo|}')).toBe('node_cpu_seconds_total{mode=|}')
    expect(taken('sum by (mo|) (node_cpu_seconds_total)')).toBe('sum by (mode|) (node_cpu_seconds_total)')
  })

  test('values are quoted, with what PromQL wants escaped, and numbers stand in their order', () => {
    expect(taken('a{mode=|}')).toBe('a{mode="sys\\"tem"|}')
    expect(taken('a{mode="us|er"}')).toBe('a{mode="user"|}')
    expect(texts('a{cpu="|"}').map(({ text }) => text)).toEqual(['2', '10'])
    expect(texts('a{mode="user", cpu="|"}').map(({ text }) => text)).toEqual(['1'])
  })

  test('behind an operand stand keywords, behind an operator other ones', () => {
    expect(taken('sum(a) b|')).toBe('sum(a) by (|)')
    expect(taken('a off|')).toBe('a offset |')
    expect(taken('a + igno|')).toBe('a + ignoring (|)')
    expect(texts('a igno|')).toEqual([])
  })

  test('ranges are proposed where one is missing', () => {
    expect(texts('rate(a[|').map(({ text }) => text)).toContain('5m')
    expect(texts('rate(a[1|').map(({ text }) => text)).toEqual(['10s', '1m', '15m', '1h'])
  })

  test('what is written whole needs no help', () => {
    expect(texts('node_load15|')).toEqual([])
  })
})
