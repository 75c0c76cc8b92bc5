/**
 * What all views of a card stand on: the elements, the numbers and the time they show. A view (`Body`) asks for the window
 * and the columns here and nowhere else, so that live, paused and past are one place.
 */
import type { Frame } from '../../chart/chart'
import { QUANTILES, type Plan } from '../../model/plan'
import { quantiles, rates, values } from '../../model/derive'
import type { Columns } from '../../model/columns'
import type { SeriesInfo, Store } from '../../model/store'
import type { Page } from '../../page'

/** The elements of a card that carry data. */
export interface Parts {
  readonly root: HTMLElement
  readonly source: HTMLElement
  readonly value: HTMLElement
  readonly unit: HTMLElement
  readonly word: HTMLElement
  readonly body: HTMLElement
  readonly legend: HTMLElement
}

/** One way to show a plan. Made when the card comes near the screen, destroyed far away or when the plan is another. */
export interface Body {
  /** Shows the window as it is now. */
  draw(): void
  /** The card has another size. */
  resize?(): void
  /** Colours or units are others. */
  restyle?(): void
  /** Moves the cursor by points; from the live edge if there is none. */
  moveCursor?(by: number): void
  clearCursor?(): void
  destroy?(): void
}

/** A plan with lines. */
export type LinePlan = Extract<Plan, { lines: readonly unknown[] }>

export class Ground {
  width = 0
  height = 0

  constructor(
    readonly page: Page,
    /** Where the numbers are: the registry's, or those of a query. */
    readonly source: Store,
    readonly series: () => readonly SeriesInfo[],
    readonly parts: Parts,
  ) {}

  get columns(): Columns {
    return this.source.columns
  }

  /** The window (server's clock, ms). */
  get to(): number {
    return this.page.windowEnd
  }

  get from(): number {
    return this.to - this.page.windowMs
  }

  /** The last row of the window; −1 before the first. */
  get lastRow(): number {
    return this.columns.indexAt(this.to + 1) - 1
  }

  /** The numbers of all lines for the rows from `first` to `last` (exclusive). */
  derive(plan: LinePlan, first: number, last: number, outs: readonly Float64Array[]): void {
    const { columns } = this
    if (plan.kind === 'quantiles') {
      quantiles(columns, plan, QUANTILES, first, last, outs)
      return
    }
    const rate = isRate(plan)
    plan.lines.forEach((line, i) => {
      const out = outs[i]
      if (out === undefined) return
      if (rate) rates(columns, line.keys, first, last, out)
      else values(columns, line.keys, first, last, out)
      if (plan.kind === 'share') for (let r = 0; r < last - first; r++) out[r] = (out[r] ?? NaN) / plan.parts
    })
  }

  /** The number of some series together in the last row of the window. */
  now(keys: readonly number[], rate: boolean): number {
    return this.at(this.lastRow, keys, rate)
  }

  at(row: number, keys: readonly number[], rate: boolean): number {
    if (row < 0) return NaN
    const out = new Float64Array(1)
    if (rate) rates(this.columns, keys, row, row + 1, out)
    else values(this.columns, keys, row, row + 1, out)
    return out[0] ?? NaN
  }
}

/** Whether the lines are rates of what the series count. */
export function isRate(plan: Plan): boolean {
  return plan.kind === 'share' || ((plan.kind === 'lines' || plan.kind === 'bars') && plan.rate)
}

/** Whether every line of a frame has ended. */
export function allEnded({ ended }: Frame): boolean {
  return ended.length > 0 && ended.every(Boolean)
}
