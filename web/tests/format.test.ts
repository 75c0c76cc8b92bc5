import { afterEach, describe, expect, test } from 'vitest'
import { age, axisLabels, clock, day, format, formatText } from '../src/format/number'
import type { Unit } from '../src/format/number'
import { choose, onSettings, readSettings, settings } from '../src/format/settings'
import { shownUnit, unitOf } from '../src/format/unit'

/** With plain spaces, to be readable here. */
const text = (value: number, unit: Unit) => formatText(value, unit).replaceAll('\u202f', ' ')

describe('numbers', () => {
  test.each<[number, Unit, string]>([
    [1.234, 'count', '1.23'],
    [12.34, 'count', '12.3'],
    [123.4, 'count', '123'],
    [9999, 'count', '9 999'],
    [12345, 'count', '12.3 k'],
    [999_960, 'count', '1.00 M'],
    [0, 'count', '0'],
    [-3, 'count', '−3'],
    [0.000123, 'count', '0.000123'],
    [2407, 'rate', '2 407 /s'],
    [22_500, 'rate', '22.5 k/s'],
    [512, 'bytes', '512 B'],
    [9 * 1024 ** 3, 'bytes', '9.00 GiB'],
    [1536, 'bytes/s', '1.50 KiB/s'],
    [0.868, 'seconds', '868 ms'],
    [0.0021, 'seconds', '2.10 ms'],
    [90, 'seconds', '1.50 min'],
    [0, 'seconds', '0 s'],
    [0.425, 'ratio', '42.5 %'],
    [0.012, 'ratio', '1.2 %'],
    [0.0002, 'ratio', '0.02 %'],
    [1, 'ratio', '100 %'],
    [54.5, 'celsius', '54.5 °C'],
    [NaN, 'bytes', '—'],
    [Infinity, 'seconds', '∞'],
    [-Infinity, 'count', '−∞'],
  ])('%s as %s is %s', (value, unit, expected) => {
    expect(text(value, unit)).toBe(expected)
  })

  test('no number is ever shown in scientific notation or as a word', () => {
    for (let exponent = -12; exponent <= 18; exponent++) {
      for (const unit of ['count', 'rate', 'bytes', 'seconds', 'ratio', 'watts'] as const) {
        expect(text(1.23 * 10 ** exponent, unit)).not.toMatch(/e[+-]|NaN|undefined/)
      }
    }
  })

  test('a prefix changes only 10 % beyond its border', () => {
    const scale = { index: -1 }
    expect(format(1000 * 1024, 'bytes', scale).unit).toBe('KiB')
    expect(format(1025 * 1024, 'bytes', scale).unit).toBe('KiB')
    expect(format(1130 * 1024, 'bytes', scale).unit).toBe('MiB')
    expect(format(1000 * 1024, 'bytes', scale).unit).toBe('MiB')
    expect(format(900 * 1024, 'bytes', scale).unit).toBe('KiB')
  })

  test('ages have two parts', () => {
    expect([8, 68, 7500, 3_553_400].map((seconds) => age(seconds).replaceAll('\u202f', ' '))).toEqual(['8 s', '1 min 8 s', '2 h 5 min', '41 d 3 h'])
  })

  test('an axis has one prefix, and the unit on the topmost label alone', () => {
    const plain = (labels: readonly string[]) => labels.map((label) => label.replaceAll('\u202f', ' '))
    expect(plain(axisLabels([0, 32 * 1024 ** 2, 64 * 1024 ** 2], 'bytes/s'))).toEqual(['0', '32', '64 MiB/s'])
    expect(plain(axisLabels([0, 0.5, 1], 'ratio'))).toEqual(['0', '50', '100 %'])
    expect(plain(axisLabels([0, 1500, 3000], 'rate'))).toEqual(['0', '1 500', '3 000 /s'])
  })
})

describe('units', () => {
  test('come from UNIT, else from the name', () => {
    expect(unitOf('anything', 'bytes')).toBe('bytes')
    expect(unitOf('node_memory_MemFree_bytes', '')).toBe('bytes')
    expect(unitOf('process_cpu_seconds_total', '')).toBe('seconds')
    expect(unitOf('node_hwmon_temp_max_celsius', '')).toBe('celsius')
    expect(unitOf('node_load1', '')).toBe('count')
    // What rules record.
    expect(unitOf('instance:node_memory_used:ratio', '')).toBe('ratio')
    expect(unitOf('instance:node_cpu_busy:ratio_rate1m', '')).toBe('ratio')
    expect(unitOf('instance:node_network_receive_bytes:rate1m', '')).toBe('bytes/s')
    expect(unitOf('instance:gaugecast_http_requests:rate1m', '')).toBe('rate')
    expect(unitOf('instance:gaugecast_tick_duration_seconds:mean1m', '')).toBe('seconds')
    expect(unitOf('instance_operation:gaugecast_operation_duration_seconds:p95_rate1m', '')).toBe('seconds')
    expect(unitOf('job:scrape_samples_scraped:sum', '')).toBe('count')
  })

  test('seconds a second are a share of time', () => {
    expect(shownUnit('node_cpu_seconds_total', '', 'counter')).toBe('ratio')
    expect(shownUnit('node_network_receive_bytes_total', '', 'counter')).toBe('bytes/s')
    expect(shownUnit('node_forks_total', '', 'counter')).toBe('rate')
  })
})

describe('settings', () => {
  afterEach(() => {
    choose({ utc: false, bits: false, keys: true })
  })

  test('traffic is told in bits where they are chosen, and sizes still in bytes', () => {
    choose({ bits: true })
    expect(text(125_000, 'bytes/s')).toBe('1.00 Mbit/s')
    expect(text(-12.5, 'bytes/s')).toBe('−100 bit/s')
    expect(text(2048, 'bytes')).toBe('2.00 KiB')
    expect(axisLabels([0, 125_000, 250_000], 'bytes/s').at(-1)?.replaceAll('\u202f', ' ')).toBe('2 Mbit/s')
  })

  test('times are of this machine, or of UTC, and no time is said so', () => {
    const moment = Date.UTC(2026, 10, 21, 23, 59, 58)
    const here = new Date(moment)
    const two = (n: number) => String(n).padStart(2, '0')
    expect(clock(moment, true)).toBe([here.getHours(), here.getMinutes(), here.getSeconds()].map(two).join(':'))
    expect(day(moment)).toBe(`${here.getFullYear()}-${two(here.getMonth() + 1)}-${two(here.getDate())}`)
    choose({ utc: true })
    expect([day(moment), clock(moment, true), clock(moment, false)]).toEqual(['2026-11-21', '23:59:58', '23:59'])
    expect([clock(NaN, true), day(Infinity)]).toEqual(['—', '—'])
  })

  test('a choice is told, and what is stored by others changes nothing that is no choice', () => {
    let told = 0
    const end = onSettings(() => told++)
    choose({ keys: false })
    end()
    choose({ keys: true })
    expect(told).toBe(1)
    expect(settings()).toEqual({ utc: false, bits: false, keys: true })
    expect(readSettings('{"utc":true,"bits":"yes"}')).toEqual({ utc: true, bits: false, keys: true })
    for (const text of [null, '', 'null', '[]', '{']) expect(readSettings(text)).toEqual({ utc: false, bits: false, keys: true })
  })
})
