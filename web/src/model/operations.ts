/**
 * What an application tells of its operations. The table is made from the series of the stream, live and for everybody who
 * may read; single runs, verdicts and events of security are asked of the admin API.
 */
import type { SeriesInfo, Store } from './store'
import { quantile } from './derive'
import { dataOf, list, number, object, text, texts } from './untrusted'

export const RUNS = 'gaugecast_operations_total'
export const ERRORS = 'gaugecast_operation_errors_total'
export const DURATION = 'gaugecast_operation_duration_seconds'
export const IN_FLIGHT = 'gaugecast_operations_in_flight'

/** What is needed of the store. */
type Known = Pick<Store, 'columns' | 'value' | 'restarts'>

/** The series of one operation. */
export interface OperationSeries {
  readonly name: string
  /** Labels besides its name, as a target has them: whose operation it is. Empty for the application itself. */
  readonly of: string
  readonly runs: number[]
  readonly errors: { readonly kind: string; readonly key: number }[]
  readonly inFlight: number[]
  /** The keys of the buckets by their bound. */
  readonly buckets: Map<number, number>
}

/** An operation over a window. Rates a second, durations in seconds; NaN where nothing is known. */
export interface OperationRow {
  readonly series: OperationSeries
  readonly name: string
  readonly of: string
  readonly rate: number
  readonly errorRate: number
  /** Share of the runs of the window that failed. */
  readonly failed: number
  readonly p50: number
  readonly p95: number
  readonly p99: number
  readonly inFlight: number
  /** Since the start of the process. */
  readonly total: number
}

export interface KindRow {
  readonly operation: string
  readonly kind: string
  /** Within the window. */
  readonly count: number
  /** Since the start. */
  readonly total: number
}

/** The operations there are, by their name and whose they are. */
export function operationSeries(store: Pick<Store, 'families'>): readonly OperationSeries[] {
  const found = new Map<string, OperationSeries>()
  const each = (family: string, take: (operation: OperationSeries, series: SeriesInfo) => void) => {
    for (const series of store.families.get(family)?.series ?? []) {
      const { operation: name } = series.labels
      if (name === undefined) continue
      const of = whose(series.labels)
      const id = `${name}\n${of}`
      let operation = found.get(id)
      if (operation === undefined) {
        operation = { name, of, runs: [], errors: [], inFlight: [], buckets: new Map() }
        found.set(id, operation)
      }
      take(operation, series)
    }
  }
  each(RUNS, ({ runs }, { name, key }) => {
    if (!name.endsWith('_created')) runs.push(key)
  })
  each(ERRORS, ({ errors }, { name, key, labels }) => {
    if (!name.endsWith('_created')) errors.push({ kind: labels.kind ?? '', key })
  })
  each(IN_FLIGHT, ({ inFlight }, { key }) => inFlight.push(key))
  each(DURATION, ({ buckets }, { key, labels }) => {
    if (labels.le !== undefined) buckets.set(number(labels.le), key)
  })
  return [...found.values()]
}

/** Labels that say whose operation it is, not what: those a target brings. */
function whose(labels: Readonly<Record<string, string>>): string {
  return Object.entries(labels)
    .filter(([name]) => name !== 'operation' && name !== 'kind' && name !== 'le')
    .map(([name, value]) => `${name}="${value}"`)
    .sort()
    .join(' ')
}

/** The figures of an operation from `from` to `to` (ms). */
export function operationRow(store: Known, series: OperationSeries, from: number, to: number): OperationRow {
  const runs = increase(store, series.runs, from, to)
  const errors = increase(store, series.errors.map(({ key }) => key), from, to)
  const [first, last] = rows(store, from, to)
  const seconds = ((store.columns.times[last] ?? NaN) - (store.columns.times[first] ?? NaN)) / 1000
  const over = seconds > 0 ? seconds : NaN
  const bounds = [...series.buckets.keys()].sort((a, b) => a - b)
  const counts = Float64Array.from(bounds, (bound) => increase(store, [series.buckets.get(bound) ?? -1], from, to) || 0)
  return {
    series,
    name: series.name,
    of: series.of,
    rate: runs / over,
    errorRate: (series.errors.length === 0 ? 0 : errors) / over,
    failed: runs > 0 ? (series.errors.length === 0 ? 0 : errors) / runs : NaN,
    p50: quantile(0.5, bounds, counts),
    p95: quantile(0.95, bounds, counts),
    p99: quantile(0.99, bounds, counts),
    inFlight: sum(store, series.inFlight),
    total: sum(store, series.runs),
  }
}

/** Errors by operation and kind, the most frequent first. */
export function kindRows(store: Known, operations: readonly OperationSeries[], from: number, to: number): readonly KindRow[] {
  return operations
    .flatMap(({ name, errors }) => errors.map(({ kind, key }) => ({ operation: name, kind, count: increase(store, [key], from, to) || 0, total: store.value(key) })))
    .filter(({ total }) => total > 0)
    .sort((a, b) => b.count - a.count || b.total - a.total)
}

/** By how much counters grew from `from` to `to`; what went down was reset and has counted from nothing. NaN without samples. */
function increase(store: Known, keys: readonly number[], from: number, to: number): number {
  const [first, last] = rows(store, from, to)
  let grown = NaN
  for (const key of keys) {
    const column = store.columns.column(key)
    if (column === undefined) continue
    const [begin, end] = [column[first] ?? NaN, column[last] ?? NaN]
    // Nothing was reset while the process is the same one; then the ends say it all.
    if (store.restarts.length === 0 && end >= begin) {
      grown = (Number.isNaN(grown) ? 0 : grown) + end - begin
      continue
    }
    let before = NaN
    let own = NaN
    for (let i = first; i <= last; i++) {
      const value = column[i] ?? NaN
      if (Number.isNaN(value)) continue
      // A counter that appears within the window has counted from nothing since; what it had before is not known.
      own = Number.isNaN(before) ? 0 : own + (value >= before ? value - before : value)
      before = value
    }
    if (!Number.isNaN(own)) grown = (Number.isNaN(grown) ? 0 : grown) + own
  }
  return grown
}

/** First and last row of the window. */
function rows({ columns }: Known, from: number, to: number): readonly [number, number] {
  return [columns.indexAt(from), columns.indexAt(to + 1) - 1]
}

function sum(store: Known, keys: readonly number[]): number {
  const known = keys.map((key) => store.value(key)).filter((value) => !Number.isNaN(value))
  return known.length === 0 ? NaN : known.reduce((a, b) => a + b, 0)
}

/** A run of an operation. */
export interface Run {
  /** When it ended, ms since 1970. */
  readonly at: number
  /** In seconds. */
  readonly took: number
  /** The kind of its error; empty if it went well. */
  readonly error: string
}

export function readRuns(answer: unknown): readonly Run[] {
  const { runs } = object(dataOf(answer, 'The server tells no runs.'))
  return list(runs).map((told) => {
    const { at_ms, duration_ms, error } = object(told)
    return { at: number(at_ms), took: number(duration_ms) / 1000, error: text(error) }
  })
}

/** How an application does as a whole, as `/api/v1/admin/performance/metrics` tells it. */
export interface Performance {
  readonly verdicts: readonly Verdict[]
  readonly lastErrors: readonly { readonly at: number; readonly operation: string; readonly kind: string; readonly took: number }[]
  readonly security: {
    readonly total: number
    readonly kinds: readonly { readonly kind: string; readonly count: number; readonly lastMinute: number }[]
    readonly last: readonly { readonly at: number; readonly kind: string; readonly source: string; readonly detail: string }[]
  }
  readonly connections: Connections
  /** Null where they are not counted. */
  readonly allocations: {
    readonly rate: number
    readonly bytesRate: number
    readonly live: number
    readonly scopes: readonly { readonly at: number; readonly name: string; readonly count: number; readonly bytes: number }[]
  } | null
}

export interface Connections {
  readonly active: number
  readonly peak: number
  readonly total: number
  readonly errors: number
  /** In seconds. */
  readonly lasted: number
  readonly messagesIn: number
  readonly messagesOut: number
  readonly bytesIn: number
  readonly bytesOut: number
}

export interface Verdict {
  readonly criterion: string
  /** Null without anything to judge. */
  readonly ok: boolean | null
  readonly reasons: readonly string[]
}

export function readPerformance(answer: unknown): Performance {
  const { verdicts, errors, security, connections, allocations } = object(dataOf(answer, 'The server tells nothing of operations.'))
  const secure = object(security)
  const open = object(connections)
  return {
    verdicts: list(verdicts).map(object).map(({ criterion, ok, reasons }) => ({ criterion: text(criterion), ok: typeof ok === 'boolean' ? ok : null, reasons: texts(reasons) })),
    lastErrors: list(object(errors).last).map(object).map(({ at_ms, operation, kind, duration_ms }) => ({ at: number(at_ms), operation: text(operation), kind: text(kind), took: number(duration_ms) / 1000 })),
    security: {
      total: number(secure.total),
      kinds: list(secure.by_kind).map(object).map(({ kind, count, last_minute }) => ({ kind: text(kind), count: number(count), lastMinute: number(last_minute) })),
      last: list(secure.last).map(object).map(({ at_ms, kind, source, detail }) => ({ at: number(at_ms), kind: text(kind), source: text(source), detail: text(detail) })),
    },
    connections: {
      active: number(open.active),
      peak: number(open.peak),
      total: number(open.total),
      errors: number(open.errors),
      lasted: number(open.mean_duration_ms) / 1000,
      messagesIn: number(open.messages_in),
      messagesOut: number(open.messages_out),
      bytesIn: number(open.bytes_in),
      bytesOut: number(open.bytes_out),
    },
    allocations: typeof allocations === 'object' && allocations !== null ? readAllocations(object(allocations)) : null,
  }
}

function readAllocations({ allocations_per_second, bytes_per_second, live_bytes, scopes }: Readonly<Record<string, unknown>>): NonNullable<Performance['allocations']> {
  return {
    rate: number(allocations_per_second),
    bytesRate: number(bytes_per_second),
    live: number(live_bytes),
    scopes: list(scopes).map(object).map(({ at_ms, name, remaining_allocations, remaining_bytes }) => ({ at: number(at_ms), name: text(name), count: number(remaining_allocations), bytes: number(remaining_bytes) })),
  }
}
