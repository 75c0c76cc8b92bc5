import { describe, expect, test } from 'vitest'
import { placeOf, readAnswer } from '../src/model/query-answer'
import { MOST_RECENT, recentQueries, remember, withRecent } from '../src/model/recent'

const success = (resultType: string, result: unknown, more = {}) => ({ status: 'success', data: { resultType, result }, ...more })

describe('what the API says of an expression', () => {
  test.each([
    ['scalar', [1, '2.5'], { told: 'scalar', value: 2.5 }],
    ['string', [1, 'a text'], { told: 'string', text: 'a text' }],
    ['vector', [{}, {}, {}], { told: 'vector', series: 3 }],
    ['matrix', [{ values: [[1, '1'], [2, '1']] }, { values: [[1, '1']] }], { told: 'matrix', series: 2, samples: 3 }],
  ])('a %s', (type, result, told) => {
    expect(readAnswer('', success(type, result))).toMatchObject({ result: told })
  })

  test('remarks come with it', () => {
    expect(readAnswer('', success('scalar', [1, '+Inf'], { warnings: ['w'], infos: ['i', 3] }))).toEqual({ result: { told: 'scalar', value: Infinity }, warnings: ['w'], infos: ['i'] })
  })

  test('an error has its place in the expression', () => {
    const text = 'sum(\n  rate(foo[1m]) by'
    const error = 'invalid parameter "query": 2:17: parse error: unexpected <by> in aggregation'
    expect(readAnswer(text, { status: 'error', error })).toEqual({ message: 'unexpected <by> in aggregation', at: text.indexOf('by') })
    expect(readAnswer('x', { status: 'error', error: 'query timed out' })).toEqual({ message: 'query timed out', at: null })
  })

  test('columns count letters, not halves of them, and end with the text', () => {
    expect(placeOf('"😀" b', 1, 5)).toBe(5)
    expect(placeOf('ab', 1, 9)).toBe(2)
  })

  test('what is no answer is said', () => {
    expect(() => readAnswer('', 'x')).toThrow(/not one of its API/)
    expect(() => readAnswer('', success('cube', []))).toThrow(/cube/)
  })
})

describe('the last queries', () => {
  test('the newest is first, each once, and no more than twenty', () => {
    const many = Array.from({ length: MOST_RECENT }, (_, i) => `q${i}`)
    expect(withRecent(many, ' q5 ').slice(0, 2)).toEqual(['q5', 'q0'])
    expect(withRecent(many, 'q5')).toHaveLength(MOST_RECENT)
    expect(withRecent(many, 'new').at(-1)).toBe('q18')
    expect(withRecent(many, '  ')).toBe(many)
  })

  test('a browser that keeps nothing has none, and takes no harm', () => {
    // Node has no localStorage, as a private window may have none.
    expect(recentQueries()).toEqual([])
    expect(() => {
      remember('up')
    }).not.toThrow()
  })
})
