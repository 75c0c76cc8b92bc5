/** Which unit a family is in: from its UNIT, else from the suffix of its name. */
import type { MetricType } from '../../client/index'
import type { Unit } from './number'

const BY_NAME: Readonly<Record<string, Unit>> = {
  // What the result of a query is measured in (`query-unit.ts`); no UNIT of an exposition says these two.
  rate: 'rate',
  'bytes/s': 'bytes/s',
  bytes: 'bytes',
  seconds: 'seconds',
  ratio: 'ratio',
  percent: 'percent',
  celsius: 'celsius',
  volts: 'volts',
  amperes: 'amperes',
  watts: 'watts',
  joules: 'joules',
  hertz: 'hertz',
  meters: 'meters',
  grams: 'grams',
}

/** Suffixes that follow the unit in a name. */
const AFTER_UNIT = /_(total|max|min|sum|count|bucket|created|limit|info)$/

/** What a rule records, as Prometheus names it: level:metric:operations. */
const RECORDED = /^[^:]*:([^:]+):([^:]+)$/

/** The unit of the values as exposed. */
export function unitOf(name: string, unit: string): Unit {
  const named = BY_NAME[unit]
  if (named !== undefined) return named
  const [, metric, operations] = RECORDED.exec(name) ?? []
  if (metric !== undefined && operations !== undefined) return unitOfRecorded(metric, operations)
  let stem = name
  while (AFTER_UNIT.test(stem)) stem = stem.replace(AFTER_UNIT, '')
  // node_exporter's names put the unit before what it is of: node_memory_Cached_bytes, node_disk_read_bytes_total.
  const last = stem.slice(stem.lastIndexOf('_') + 1)
  return BY_NAME[last] ?? 'count'
}

/** A mean, a quantile or a maximum is of the metric's own unit. */
function unitOfRecorded(metric: string, operations: string): Unit {
  if (operations.startsWith('ratio')) return 'ratio'
  const own = unitOf(metric, '')
  return /^(?:sum_)?i?rate/.test(operations) ? rateUnit(own) : own
}

/** The unit of a rate of `unit`: seconds a second are a share of time. */
export function rateUnit(unit: Unit): Unit {
  switch (unit) {
    case 'bytes':
      return 'bytes/s'
    case 'seconds':
      return 'ratio'
    case 'joules':
      return 'watts'
    default:
      return 'rate'
  }
}

/** The unit of what a family's chart shows. */
export function shownUnit(name: string, unit: string, type: MetricType): Unit {
  const own = unitOf(name, unit)
  return type === 'counter' ? rateUnit(own) : own
}
