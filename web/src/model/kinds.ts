/** What a family is, from its name, type and values: a counter, a moment, a state. */
import type { Unit } from '../format/number'
import type { FamilyInfo, SeriesInfo } from './store'

/** The name of a metric; the result of a query is called by its expression, whose end says nothing of it. */
export const METRIC = /^[a-zA-Z_:][\w:]*$/

/** Seconds since 1970 that can be a moment of this century; 0 says "never". */
const EARLIEST = 9e8
const LATEST = 5e9

export function isMoment(family: FamilyInfo, series: readonly SeriesInfo[], value: (key: number) => number): boolean {
  if (!METRIC.test(family.name) || family.type === 'counter' || !/(^|_)(timestamp|m?time)_seconds$/.test(family.name)) return false
  if (family.name.endsWith('timestamp_seconds')) return true
  return series.every((one) => {
    const moment = value(one.key)
    return moment === 0 || Number.isNaN(moment) || (moment > EARLIEST && moment < LATEST)
  })
}

/** Counters node_exporter exposes as untyped or as gauges: what the kernel counts up in its tables. */
const COUNTS = /^node_(netstat_(?!.*_(CurrEstab|Forwarding)$)|vmstat_(pg|psw|oom_kill)|nf_conntrack_stat_)/

export function isCounter({ name, type }: FamilyInfo): boolean {
  return type === 'counter' || (METRIC.test(name) && ((type === 'unknown' && name.endsWith('_total')) || ((type === 'unknown' || type === 'gauge') && COUNTS.test(name))))
}

/** Names of gauges that are 0 or 1, with the value that is trouble. A device may be down because nobody uses it. */
const STATES: readonly (readonly [RegExp, 0 | 1 | null])[] = [
  [/^node_network_(up|carrier|dormant)$|^node_filesystem_readonly$/, null],
  [/(^|_)(up|success|successful|healthy|online|ready)$/, 0],
  [/_(error|failed|failing)$/, 1],
]

export function isState(family: FamilyInfo, series: readonly SeriesInfo[], value: (key: number) => number): { bad: 0 | 1 | null } | undefined {
  if (family.type === 'stateset') return { bad: null }
  if (family.type !== 'gauge' && family.type !== 'unknown') return undefined
  const known = !METRIC.test(family.name) ? undefined : STATES.find(([name]) => name.test(family.name))
  if (known === undefined || !series.every((one) => [0, 1].includes(value(one.key)) || Number.isNaN(value(one.key)))) return undefined
  return { bad: known[1] }
}

/** Whether a unit's values may be put together by their sum; else the highest stands for all. */
export function addsUp(unit: Unit): boolean {
  return ['count', 'rate', 'bytes', 'bytes/s', 'watts', 'joules', 'amperes', 'grams'].includes(unit)
}
