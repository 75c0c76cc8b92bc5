import { describe, expect, test } from 'vitest'
import { Columns } from '../src/model/columns'

/** Rows one second apart, each series showing its number plus the second. */
function filled(columns: Columns, series: number, seconds: number): Columns {
  for (let s = 0; s < series; s++) columns.add(s)
  for (let t = 0; t < seconds; t++) columns.push(t * 1000, (s) => s * 1e6 + t)
  return columns
}

describe('columns', () => {
  test('a window is a view of the values, in order', () => {
    const columns = filled(new Columns(), 2, 500)
    const from = columns.indexAt(100_000)
    expect(columns.times[from]).toBe(100_000)
    expect(columns.column(1)?.subarray(from, from + 3)).toEqual(new Float64Array([1_000_100, 1_000_101, 1_000_102]))
    expect(columns.column(1)?.subarray(from).buffer).toBe(columns.column(1)?.buffer)
  })

  test('an hour at one a second is kept whole, and what is older goes', () => {
    const columns = filled(new Columns(), 1, 60_000)
    const from = columns.indexAt((60_000 - 3600) * 1000)
    expect(columns.length - from).toBe(3600)
    for (let i = from; i < columns.length; i++) expect(columns.column(0)?.[i]).toBe((columns.times[i] ?? NaN) / 1000)
    expect(columns.length).toBeLessThanOrEqual(columns.limit)
  })

  test('with too many series memory stays in its budget, the newest are whole and the older thinned', () => {
    const columns = filled(new Columns(100_000), 100, 5000)
    expect(columns.limit).toBe(1000)
    expect(columns.column(7)?.length).toBe(1000)
    const last = columns.length - 1
    for (let i = 0; i < 200; i++) expect(columns.times[last - i]).toBe((4999 - i) * 1000)
    // What is left reaches further back than a thousand seconds, in order, with its own values.
    expect(4999 - (columns.times[0] ?? 0) / 1000).toBeGreaterThan(1500)
    for (let i = 0; i <= last; i++) {
      if (i > 0) expect(columns.times[i]).toBeGreaterThan(columns.times[i - 1] ?? Infinity)
      expect(columns.column(7)?.[i]).toBe(7e6 + (columns.times[i] ?? NaN) / 1000)
    }
  })

  test('many series that come late shrink what is kept of each', () => {
    const columns = filled(new Columns(100_000), 10, 9000)
    for (let s = 10; s < 400; s++) columns.add(s)
    for (let t = 9000; t < 20_000; t++) columns.push(t * 1000, (s) => s)
    expect(columns.column(0)?.length).toBe(250)
    expect(columns.column(399)?.length).toBe(250)
    expect(columns.times[columns.length - 1]).toBe(19_999_000)
  })

  test('a clock that is set back replaces what it comes to again', () => {
    const columns = filled(new Columns(), 1, 100)
    columns.push(50_000, () => 7)
    columns.push(51_000, () => 8)
    expect([...columns.times.subarray(48, columns.length)]).toEqual([48_000, 49_000, 50_000, 51_000])
    expect([...(columns.column(0)?.subarray(48, columns.length) ?? [])]).toEqual([48, 49, 7, 8])
  })

  test('a series has no value before it began, and a row at the same time replaces the last', () => {
    const columns = filled(new Columns(), 1, 3)
    columns.add(9)
    columns.push(3000, () => 5)
    columns.push(3000, () => 6)
    expect(columns.length).toBe(4)
    expect([...(columns.column(9)?.subarray(0, 4) ?? [])]).toEqual([NaN, NaN, NaN, 6])
  })
})
