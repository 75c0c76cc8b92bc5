/**
 * Numbers as people read them: three significant digits, a thin space between thousands, U+2212 for minus, "—" for
 * nothing. Units are those of the exposition (base units) and are converted here, at the last moment; whether traffic is
 * told in bytes or bits, and times in UTC, is a setting of the person.
 */
import { settings } from './settings'

/** A number and its unit, apart, because the unit is set smaller. */
export interface Shown {
  readonly text: string
  readonly unit: string
}

/** How a quantity is counted. `rate` adds "/s". */
export type Unit = 'count' | 'rate' | 'bytes' | 'bytes/s' | 'seconds' | 'ratio' | 'percent' | 'celsius' | 'volts' | 'amperes' | 'watts' | 'joules' | 'hertz' | 'meters' | 'grams'

const THIN = '\u202f'
const MINUS = '\u2212'
/** Shown where there is no value. */
export const MISSING = '—'

interface Prefix {
  readonly factor: number
  readonly unit: string
}

const list = (entries: readonly (readonly [number, string])[]): readonly Prefix[] =>
  entries.map(([factor, unit]) => ({ factor, unit }))

const KIB = 1024
const COUNT = list([[1, ''], [1e3, 'k'], [1e6, 'M'], [1e9, 'G'], [1e12, 'T']])
const BYTES = list([[1, 'B'], [KIB, 'KiB'], [KIB ** 2, 'MiB'], [KIB ** 3, 'GiB'], [KIB ** 4, 'TiB'], [KIB ** 5, 'PiB'], [KIB ** 6, 'EiB']])
/** Traffic in bits: a prefix is a power of ten, as networks count. */
const BITS = list([[1, 'bit'], [1e3, 'kbit'], [1e6, 'Mbit'], [1e9, 'Gbit'], [1e12, 'Tbit']])
const SECONDS = list([[1e-9, 'ns'], [1e-6, 'µs'], [1e-3, 'ms'], [1, 's'], [60, 'min'], [3600, 'h'], [86400, 'd']])
const SI: Readonly<Partial<Record<Unit, string>>> = {
  celsius: '°C',
  volts: 'V',
  amperes: 'A',
  watts: 'W',
  joules: 'J',
  hertz: 'Hz',
  meters: 'm',
  grams: 'g',
}
const SI_PREFIXES = list([[1e-3, 'm'], [1, ''], [1e3, 'k'], [1e6, 'M'], [1e9, 'G'], [1e12, 'T']])
/** Units of which nobody says "milli" or "kilo". */
const PLAIN: ReadonlySet<Unit> = new Set(['celsius'])

/** Which prefix a shown value has, kept between two calls so that a value near a border does not flicker. */
export interface Scale {
  index: number
}

/**
 * Formats `value` in `unit`.
 *
 * @param scale keeps the prefix until the value is 10 % beyond its border; left out, the border is exact.
 */
export function format(value: number, unit: Unit, scale?: Scale): Shown {
  if (Number.isNaN(value)) return { text: MISSING, unit: '' }
  if (!Number.isFinite(value)) return { text: value > 0 ? '∞' : `${MINUS}∞`, unit: '' }
  switch (unit) {
    case 'count':
    case 'rate': {
      const after = unit === 'rate' ? '/s' : ''
      if (Number.isInteger(value) && Math.abs(value) <= 9999) return { text: grouped(value, 0), unit: after }
      // Fractions and small numbers carry their digits; only large ones a prefix.
      const prefix = pick(COUNT, Math.abs(value) < 9999.5 ? 0 : Math.abs(value), scale)
      return { text: digits(value / prefix.factor), unit: join(prefix.unit, after) }
    }
    case 'bytes':
    case 'bytes/s': {
      if (unit === 'bytes/s' && settings().bits) {
        const prefix = pick(BITS, Math.abs(value * 8), scale)
        return { text: digits((value * 8) / prefix.factor), unit: `${prefix.unit}/s` }
      }
      const prefix = pick(BYTES, Math.abs(value), scale)
      // There is no half byte.
      const whole = prefix.factor === 1 && Number.isInteger(value)
      return { text: whole ? grouped(value, 0) : digits(value / prefix.factor), unit: unit === 'bytes/s' ? `${prefix.unit}/s` : prefix.unit }
    }
    case 'seconds': {
      if (value === 0) return { text: '0', unit: 's' }
      const prefix = pick(SECONDS, Math.abs(value), scale)
      return { text: digits(value / prefix.factor), unit: prefix.unit }
    }
    case 'ratio':
      return { text: percent(value * 100), unit: '%' }
    case 'percent':
      return { text: percent(value), unit: '%' }
    default: {
      const symbol = SI[unit] ?? ''
      if (PLAIN.has(unit) || value === 0) return { text: digits(value), unit: symbol }
      const prefix = pick(SI_PREFIXES, Math.abs(value), scale)
      return { text: digits(value / prefix.factor), unit: prefix.unit + symbol }
    }
  }
}

/** Number and unit in one text, with a thin space between. */
export function formatText(value: number, unit: Unit): string {
  const shown = format(value, unit)
  return shown.unit === '' ? shown.text : `${shown.text}${THIN}${shown.unit}`
}

/** A span in two parts at most: "38 s", "1 min 8 s", "2 h 5 min", "41 d 3 h". */
export function age(seconds: number): string {
  if (!Number.isFinite(seconds)) return MISSING
  const s = Math.max(0, Math.floor(seconds))
  const two = (big: number, bigUnit: string, small: number, smallUnit: string) =>
    small === 0 ? `${big}${THIN}${bigUnit}` : `${big}${THIN}${bigUnit} ${small}${THIN}${smallUnit}`
  if (s < 60) return `${s}${THIN}s`
  if (s < 3600) return two(Math.floor(s / 60), 'min', s % 60, 's')
  if (s < 86400) return two(Math.floor(s / 3600), 'h', Math.floor((s % 3600) / 60), 'min')
  return two(Math.floor(s / 86400), 'd', Math.floor((s % 86400) / 3600), 'h')
}

/** Time of day, 24 h, with seconds where they are needed. `ms` since 1970, in the zone of the setting. */
export function clock(ms: number, seconds: boolean): string {
  return inZone(ms)?.slice(11, seconds ? 19 : 16) ?? MISSING
}

/** The day, 2026-11-21, in the zone of the setting. */
export function day(ms: number): string {
  return inZone(ms)?.slice(0, 10) ?? MISSING
}

/** The day as it stands on an axis, 21 Nov, in the zone of the setting. */
export function dayOfMonth(ms: number): string {
  const date = inZone(ms)
  return date === null ? MISSING : new Date(date).toLocaleDateString('en-GB', { day: 'numeric', month: 'short', timeZone: 'UTC' })
}

/** `2026-11-21T14:10:52.000Z` with the day and time of the zone that is set; null where it is no time at all. */
function inZone(ms: number): string | null {
  const date = new Date(ms)
  const shown = settings().utc ? date : new Date(ms - date.getTimezoneOffset() * 60_000)
  return Number.isNaN(shown.getTime()) ? null : shown.toISOString()
}

/** Three significant digits, and all digits before the point. */
export function digits(value: number): string {
  const abs = Math.abs(value)
  if (abs === 0) return '0'
  if (abs >= 99.95) return grouped(value, 0)
  if (abs >= 9.995) return grouped(value, 1)
  if (abs >= 0.9995) return grouped(value, 2)
  if (abs < 5e-7) return '0'
  // 0.0123: three digits after the leading zeros, without trailing ones, which say nothing here.
  const places = Math.min(8, 2 - Math.floor(Math.log10(abs)))
  return grouped(Number(value.toFixed(places)), places).replace(/0+$/, '')
}

function percent(value: number): string {
  const abs = Math.abs(value)
  if (abs < 0.005) return '0'
  if (abs >= 99.95) return grouped(value, 0)
  return grouped(value, abs < 0.995 ? 2 : 1)
}

function grouped(value: number, places: number): string {
  const text = Math.abs(value).toFixed(places)
  const [whole = '', fraction] = text.split('.')
  const spaced = whole.length > 3 ? whole.replace(/\B(?=(\d{3})+$)/g, THIN) : whole
  const sign = value < 0 && Number(text) !== 0 ? MINUS : ''
  return fraction === undefined ? sign + spaced : `${sign}${spaced}.${fraction}`
}

function join(prefix: string, after: string): string {
  return prefix !== '' && after !== '' ? `${prefix}${after}` : prefix + after
}

/** The largest prefix not above the value; the one of `scale` while the value is within 10 % of its borders. */
function pick(prefixes: readonly Prefix[], abs: number, scale: Scale | undefined): Prefix {
  let index = 0
  for (let i = 0; i < prefixes.length; i++) {
    // What would be shown as 1000 of the smaller is 1 of the larger.
    if (abs >= (prefixes[i]?.factor ?? Infinity) * 0.9995) index = i
  }
  // Zero has no size of its own: it is shown in the middle of the list's plain unit.
  if (scale !== undefined) {
    const kept = prefixes[scale.index]
    const upper = prefixes[scale.index + 1]?.factor ?? Infinity
    const near = kept !== undefined && abs >= kept.factor * 0.9 && abs < upper * 1.1
    if (near) index = scale.index
    else scale.index = index
  }
  const prefix = prefixes[index]
  if (prefix === undefined) throw new RangeError('a list of prefixes is never empty')
  return prefix
}

/** Labels of an axis: one prefix for all, the unit on the topmost only. `ticks` ascend. */
export function axisLabels(ticks: readonly number[], unit: Unit): readonly string[] {
  const largest = Math.max(...ticks.map(Math.abs))
  const { factor, suffix } = axisPrefix(largest, unit)
  return ticks.map((tick, i) => {
    const number = Number((tick / factor).toPrecision(3))
    const text = Math.abs(number) >= 1000 ? grouped(number, 0) : String(number).replace('-', MINUS)
    return i === ticks.length - 1 && suffix !== '' ? `${text}${THIN}${suffix}` : text
  })
}

function axisPrefix(largest: number, unit: Unit): { factor: number; suffix: string } {
  switch (unit) {
    case 'ratio':
      return { factor: 0.01, suffix: '%' }
    case 'percent':
      return { factor: 1, suffix: '%' }
    case 'count':
    case 'rate': {
      const prefix = pick(COUNT, largest <= 9999 ? 0 : largest, undefined)
      return { factor: prefix.factor, suffix: join(prefix.unit, unit === 'rate' ? '/s' : '') }
    }
    case 'bytes':
    case 'bytes/s': {
      if (unit === 'bytes/s' && settings().bits) {
        const prefix = pick(BITS, largest * 8, undefined)
        return { factor: prefix.factor / 8, suffix: `${prefix.unit}/s` }
      }
      const prefix = pick(BYTES, largest, undefined)
      return { factor: prefix.factor, suffix: unit === 'bytes' ? prefix.unit : `${prefix.unit}/s` }
    }
    case 'seconds': {
      const prefix = largest === 0 ? { factor: 1, unit: 's' } : pick(SECONDS, largest, undefined)
      return { factor: prefix.factor, suffix: prefix.unit }
    }
    default: {
      const symbol = SI[unit] ?? ''
      if (PLAIN.has(unit) || largest === 0) return { factor: 1, suffix: symbol }
      const prefix = pick(SI_PREFIXES, largest, undefined)
      return { factor: prefix.factor, suffix: prefix.unit + symbol }
    }
  }
}
