/**
 * What a card shows as rows and columns, for files: every row of the window at full resolution, however few points were
 * drawn, and values as exact as they came.
 */
import type { Columns } from '../model/columns'
import { isRate, observations, planNumbers } from '../model/derive'
import type { Line, Plan } from '../model/plan'
import type { Spread } from '../model/spread'

/** A number, a whole number beyond 2⁵³, a text, or nothing. */
export type Cell = number | bigint | string | null

export interface Sheet {
  readonly title: string
  /** PromQL of what is shown. */
  readonly query: string
  readonly unit: string
  /** The window (ms). */
  readonly from: number
  readonly to: number
  readonly columns: readonly string[]
  readonly rows: readonly (readonly Cell[])[]
}

export type Facts = Omit<Sheet, 'columns' | 'rows'>

export function isoTime(ms: number): string {
  return new Date(ms).toISOString()
}

/**
 * A row a moment, a column a line; for a heatmap the observations of each bucket beside them.
 *
 * @param digits what a series had at a time, where a number cannot hold it.
 */
export function timeSheet(facts: Facts, columns: Columns, plan: Extract<Plan, { lines: readonly Line[] }>, digits: (key: number, time: number) => string | null): Sheet {
  const first = columns.indexAt(facts.from)
  const last = columns.indexAt(facts.to + 1)
  const count = Math.max(0, last - first)
  const outs = plan.lines.map(() => new Float64Array(count))
  planNumbers(columns, plan, first, last, outs)
  const plain = !isRate(plan)
  const buckets = plan.kind === 'quantiles' && plan.view === 'heatmap' ? plan.bounds : []
  const heat = buckets.map(() => new Float64Array(count))
  if (plan.kind === 'quantiles' && buckets.length > 0) {
    observations(columns, plan, first, last, (row, bucket, observed) => {
      const column = heat[bucket]
      if (column !== undefined) column[row - first] = observed
    })
  }
  const rows: Cell[][] = []
  for (let i = 0; i < count; i++) {
    const time = columns.times[first + i] ?? 0
    const cells = plan.lines.map((line, k): Cell => {
      const value = outs[k]?.[i] ?? NaN
      const [key, more] = line.keys
      const exact = plain && key !== undefined && more === undefined && line.minus === undefined && Math.abs(value) > Number.MAX_SAFE_INTEGER ? digits(key, time) : null
      return line.states === undefined ? (exact !== null && Number(exact) === value ? BigInt(exact) : some(value)) : (line.states[value] ?? null)
    })
    // The row that marks a gap has no values.
    if (cells.every((cell) => cell === null)) continue
    rows.push([isoTime(time), ...cells, ...heat.map((column): Cell => column[i] ?? 0)])
  }
  return { ...facts, columns: ['time', ...plan.lines.map((line) => line.label), ...buckets.map((bound) => `le ${bound === Infinity ? '+Inf' : String(bound)}`)], rows }
}

/** A row a slot of a distribution. */
export function spreadSheet(facts: Facts, { low, bounds, now, usual }: Spread): Sheet {
  return { ...facts, columns: ['over', 'up to', 'last 60 s', 'usual'], rows: bounds.map((bound, i): Cell[] => [bounds[i - 1] ?? low, bound, now[i] ?? 0, usual[i] ?? 0]) }
}

/** A row a point of two series against each other. */
export function cloudSheet(facts: Facts, x: string, y: string, cloud: { readonly times: Float64Array; readonly xs: Float64Array; readonly ys: Float64Array }): Sheet {
  return { ...facts, columns: ['time', x, y], rows: [...cloud.times].map((time, i): Cell[] => [isoTime(time), some(cloud.xs[i] ?? NaN), some(cloud.ys[i] ?? NaN)]) }
}

/** A row a series of facts, a column a label. */
export function factSheet(facts: Facts, series: readonly { readonly labels: Readonly<Record<string, string>> }[]): Sheet {
  const columns = [...new Set(series.flatMap((one) => Object.keys(one.labels)))].sort()
  return { ...facts, columns, rows: series.map(({ labels }) => columns.map((label): Cell => labels[label] ?? null)) }
}

function some(value: number): Cell {
  return Number.isNaN(value) ? null : value
}
