/**
 * What a report says in numbers: which measures are there, in what unit, which way is good; and two reports side by side,
 * measure by measure.
 */
import type { Unit } from '../format/number'
import type { Measures, Report } from './report'

/** What the latencies are of. */
export const LATENCIES = ['delivery', 'broadcast', 'rtt', 'connect', 'recovery'] as const
export type Latency = (typeof LATENCIES)[number]

/** What each latency has, from the least to the greatest; `share` of all that is at most this long. */
export const STATS = [
  { stat: 'min', share: 0 },
  { stat: 'p50', share: 0.5 },
  { stat: 'p75', share: 0.75 },
  { stat: 'p90', share: 0.9 },
  { stat: 'p95', share: 0.95 },
  { stat: 'p99', share: 0.99 },
  { stat: 'p999', share: 0.999 },
  { stat: 'max', share: 1 },
] as const

/** Statistics of latencies, all in milliseconds. */
const STAT = /\.(min|mean|stdev|max|p\d+)$/

/** The unit of a measure, and the factor to its base unit: reports have milliseconds, percent and MiB. */
export function unitOfMeasure(name: string): { readonly unit: Unit; readonly factor: number } {
  if (STAT.test(name) || name === 'recovery.time') return { unit: 'seconds', factor: 0.001 }
  if (/\.(success|complete|cpu|memory)$/.test(name) || name === 'uptime') return { unit: 'percent', factor: 1 }
  if (name.endsWith('.rss')) return { unit: 'bytes', factor: 2 ** 20 }
  if (/\.(received|sent)$/.test(name) && name !== 'messages.received') return { unit: 'bytes/s', factor: 2 ** 20 }
  if (name === 'messages.bytes') return { unit: 'bytes', factor: 1 }
  return { unit: name.endsWith('.rate') ? 'rate' : 'count', factor: 1 }
}

/** Which way is good; null for what only says how much was done. */
export function better(name: string): 'less' | 'more' | null {
  if (/\.(success|complete)$/.test(name) || name === 'uptime' || name === 'broadcast.rate' || name === 'messages.rate') return 'more'
  if (/^(messages|generator)\.|\.count$|\.(received|sent)$/.test(name)) return null
  return 'less'
}

/** A latency of a report by its stats, in seconds; null if nothing was measured. */
export interface Spread {
  readonly count: number
  readonly mean: number
  /** As STATS. */
  readonly at: readonly number[]
}

export function spread(measures: Measures, of: Latency): Spread | null {
  const count = measures.get(`${of}.count`) ?? 0
  const at = STATS.map(({ stat }) => (measures.get(`${of}.${stat}`) ?? NaN) / 1000)
  return count > 0 && at.some((value) => !Number.isNaN(value)) ? { count, mean: (measures.get(`${of}.mean`) ?? NaN) / 1000, at } : null
}

/** A bar of the histogram: so large a share took from `from` to `to` (seconds). */
export interface Bar {
  readonly from: number
  readonly to: number
  readonly share: number
}

/** The distribution that the percentiles tell: between two neighbours lies the difference of their shares. */
export function bars({ at }: Spread): readonly Bar[] {
  const found: Bar[] = []
  let from = at[0] ?? NaN
  let share = 0
  STATS.forEach((stat, i) => {
    const to = at[i] ?? NaN
    if (i === 0 || Number.isNaN(to)) return
    const last = found.at(-1)
    // Where two percentiles are one value, their share is of the bar that ends there.
    if (to <= from && last !== undefined) found[found.length - 1] = { ...last, share: last.share + stat.share - share }
    else found.push({ from, to: Math.max(from, to), share: stat.share - share })
    from = Math.max(from, to)
    share = stat.share
  })
  return found
}

export type Sense = 'better' | 'worse' | 'same' | 'other'

/** A measure in two reports. */
export interface Difference {
  readonly name: string
  readonly a: number
  readonly b: number
  /** Of the first, as a share; NaN without. */
  readonly change: number
  /** What the second is against the first; `other` where neither way is good, or one has no samples. */
  readonly sense: Sense
}

/** Below this share nothing has changed: two runs are never alike. */
const NOISE = 0.05

/** All measures of both, by name; `a` and `b` in base units. */
export function compareReports(a: Report, b: Report): readonly Difference[] {
  const names = [...new Set([...a.measures.keys(), ...b.measures.keys()])].sort((one, other) => one.localeCompare(other, 'en', { numeric: true }))
  return names.flatMap((name) => {
    const { factor } = unitOfMeasure(name)
    const [first, second] = [value(a.measures, name) * factor, value(b.measures, name) * factor]
    return Number.isNaN(first) && Number.isNaN(second) ? [] : [{ name, a: first, b: second, change: change(first, second), sense: sense(name, first, second) }]
  })
}

function value(measures: Measures, name: string): number {
  return measures.get(name) ?? NaN
}

function change(a: number, b: number): number {
  if (a === b) return 0
  return a === 0 ? NaN : (b - a) / Math.abs(a)
}

function sense(name: string, a: number, b: number): Sense {
  const good = better(name)
  if (good === null || Number.isNaN(a) || Number.isNaN(b)) return 'other'
  if (a === b || Math.abs(b - a) <= NOISE * Math.abs(a)) return 'same'
  return b > a === (good === 'more') ? 'better' : 'worse'
}

/** The measures a reader looks at first, and by which it is said which report is the better one. */
export const MAIN = ['delivery.p50', 'delivery.p95', 'delivery.p99', 'delivery.max', 'broadcast.p95', 'broadcast.complete', 'rtt.p95', 'connect.p95', 'connect.success', 'recovery.time', 'resume.success', 'uptime', 'sequence.errors', 'errors', 'server.cpu', 'server.rss'] as const

/** Which of two reports is better over the main measures, and in how many of them. */
export function judged(differences: readonly Difference[]): { readonly better: number; readonly worse: number; readonly same: number } {
  const main = differences.filter(({ name }) => (MAIN as readonly string[]).includes(name))
  const count = (wanted: Sense) => main.filter(({ sense: one }) => one === wanted).length
  return { better: count('better'), worse: count('worse'), same: count('same') }
}
