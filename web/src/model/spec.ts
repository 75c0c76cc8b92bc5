/**
 * What a card shows, in words that a link or a board can keep: a family of the registry, or a PromQL expression, and how.
 */

/** The views that somebody may choose; without a choice the family's type decides (`plan.ts`). */
export const VIEWS = ['lines', 'area', 'bars', 'gauge', 'heatmap', 'histogram', 'scatter', 'states', 'table', 'value'] as const
export type View = (typeof VIEWS)[number]

export interface CardSpec {
  /** Name of a family; or else `query`. */
  readonly family?: string
  /** PromQL, evaluated by the server at each tick. */
  readonly query?: string
  /** In place of the family's own title, or of the expression. */
  readonly title?: string
  readonly view?: View
  /** Label by which series are put together. */
  readonly by?: string
  /** PromQL of the other axis of a scatter plot. */
  readonly against?: string
}
