/**
 * What a card shows, in words that a link or a board can keep: a family of the registry, or a PromQL expression, and how.
 */

import { hrefOf } from '../route'

/** The views that somebody may choose; without a choice the family's type decides (`plan.ts`). */
export const VIEWS = ['lines', 'area', 'bars', 'gauge', 'heatmap', 'histogram', 'scatter', 'states', 'table', 'value'] as const
export type View = (typeof VIEWS)[number]

/** What the views are called. */
export const VIEW_NAMES: Readonly<Record<View, string>> = {
  lines: 'Lines',
  area: 'Stacked area',
  bars: 'Bars',
  gauge: 'Gauge',
  heatmap: 'Heatmap',
  histogram: 'Distribution',
  scatter: 'Scatter plot',
  states: 'State timeline',
  table: 'Table',
  value: 'Number',
}

export interface CardSpec {
  /** Name of a family; or else `query`. */
  readonly family?: string
  /** Several on one card: what goes in and out, the parts of memory; else as lines of each. */
  readonly families?: readonly string[]
  /** PromQL, evaluated by the server at each tick. */
  readonly query?: string
  /** In place of the family's own title, or of the expression. */
  readonly title?: string
  readonly view?: View
  /** Label by which series are put together. */
  readonly by?: string
  /** PromQL of the other axis of a scatter plot. */
  readonly against?: string
  /** Marks on the arc of a gauge. */
  readonly thresholds?: readonly Threshold[]
}

/** What somebody changes on a card; null takes a choice back. */
export interface Choice {
  readonly view?: View | null
  readonly by?: string | null
  readonly against?: string | null
}

/** The spec with these choices. */
export function chosen(spec: CardSpec, choice: Choice): CardSpec {
  return Object.fromEntries(Object.entries({ ...spec, ...choice }).filter(([, value]) => value !== null))
}

/** From this value on it is this severe. */
export interface Threshold {
  readonly at: number
  readonly severity: 'warning' | 'critical'
}

/** The page of what a card shows, with how it shows it: what "copy link" copies and "open" opens. */
export function linkOf(spec: CardSpec): string {
  const { family, families, query, view = '', by = '', against = '' } = spec
  const how: (readonly [string, string])[] = [['view', view], ['by', by], ['against', against]]
  if (query !== undefined) return hrefOf('query', '', [['expr', query], ...how])
  return hrefOf('metric', family ?? families?.[0] ?? '', [...how, ['with', families === undefined ? '' : families.slice(1).join()]])
}

/** The boards page, told to take this card. */
export function boardLinkOf(spec: CardSpec): string {
  return hrefOf('boards', '', [['add', JSON.stringify(spec)]])
}
