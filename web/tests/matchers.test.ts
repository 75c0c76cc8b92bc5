import { describe, expect, test } from 'vitest'
import { parseMatchers, printMatchers, selects, splitFind } from '../src/model/matchers'

describe('a label filter', () => {
  const labels = { device: 'eth0', mode: 'user' }
  const finds = (text: string) => selects(parseMatchers(text))(labels, 'net')

  test.each([
    ['{device="eth0"}', true],
    ['device="eth0"', true],
    ['{device="eth1"}', false],
    ['{device!="lo", mode=~"us.*"}', true],
    ['{device=~"eth"}', false],
    ['{device!~"lo|eth."}', false],
    ['{gone=""}', true],
    ['{__name__="net"}', true],
    ['{}', true],
    ['', true],
  ])('%s selects a series: %s', (text, selected) => {
    expect(finds(text)).toBe(selected)
  })

  test.each([
    ['{device="eth0"', /closing brace/],
    ['{device}', /behind device stands =/],
    ['{device=eth0}', /in quotes: device="…"/],
    ['{device="eth0}', /in quotes|closing brace/],
    ['{="a"}', /begins with the name of a label/],
    ['{a="b" c="d"}', /separated by commas/],
    ['{a=~"("}', /no regular expression/],
  ])('%s is wrong, and it is said how', (text, said) => {
    expect(() => parseMatchers(text)).toThrow(said)
  })

  test('is printed as it can be read', () => {
    const text = '{a="b\\"c", d=~"e\\\\.f"}'
    expect(printMatchers(parseMatchers(text))).toBe(text)
    expect(printMatchers([])).toBe('')
  })

  test('stands anywhere among words that are to be found', () => {
    expect(splitFind('bytes {device="eth0"} node')).toEqual({ words: 'bytes   node', filter: '{device="eth0"}' })
    expect(splitFind('bytes {dev')).toEqual({ words: 'bytes', filter: '{dev' })
    expect(splitFind('bytes')).toEqual({ words: 'bytes', filter: '' })
  })
})
