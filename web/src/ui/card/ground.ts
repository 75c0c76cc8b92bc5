/**
 * What all views of a card stand on: the elements, the numbers and the time they show. A view (`Body`) asks for the window
 * and the columns here and nowhere else, so that live, paused and past are one place.
 */
import type { Frame } from '../../chart/chart'
import type { Drawable } from '../../chart/queue'
import { planNumbers, rates, values } from '../../model/derive'
import type { Plan } from '../../model/plan'
import type { Columns } from '../../model/columns'
import { Filling } from '../../model/past'
import type { CardSpec, Choice } from '../../model/spec'
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
  /** The cursor of the page is elsewhere. */
  followCursor?(): void
  /** Of a cursor over something else than time: it goes. */
  clearCursor?(): void
  destroy?(): void
  /** The picture as it is, for an image of `width` × `height` CSS pixels. */
  paint(context: CanvasRenderingContext2D, width: number, height: number): void
}

/** A plan with lines. */
export type LinePlan = Extract<Plan, { lines: readonly unknown[] }>

export class Ground {
  width = 0
  height = 0
  spec: CardSpec = {}
  /** Somebody chose another view, or another way to put series together. */
  choose: (choice: Choice) => void = () => undefined
  /** The rows of the window: those of the source, or with what was fetched of the time before. */
  columns: Columns
  readonly past: Filling

  constructor(
    readonly page: Page,
    /** Where the numbers are: the registry's, or those of a query. */
    readonly source: Store,
    readonly series: () => readonly SeriesInfo[],
    readonly parts: Parts,
    /** Told when more of the past is here. */
    card: Pick<Drawable, 'rank'> & { changed(): void },
  ) {
    this.columns = source.columns
    this.past = new Filling(
      page.past,
      source,
      series,
      () => card.rank(),
      () => {
        card.changed()
      },
    )
  }

  /** Takes the rows of the window as they are now; whether they are others than before, not only more. */
  renew(): boolean {
    const { from, to, columns } = this
    this.columns = this.past.columns({ from, to })
    return this.columns !== columns
  }

  /** The moment that the card tells of: the cursor's, or the end of the window. */
  get time(): number {
    return this.page.cursor ?? this.to
  }

  /** What a series is at that moment. */
  value(key: number): number {
    const { columns, page, source } = this
    if (page.cursor === null && page.pausedAt === null) return source.value(key)
    return columns.column(key)?.[columns.indexAt(this.time + 1) - 1] ?? NaN
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
    planNumbers(this.columns, plan, first, last, outs)
  }

  /** The row of the moment that the card tells of; −1 before the first. */
  get row(): number {
    return this.columns.indexAt(this.time + 1) - 1
  }

  /** The number of each line at that moment. */
  latest(plan: LinePlan): Float64Array {
    const { row } = this
    const latest = new Float64Array(plan.lines.length)
    if (row < 0) return latest.fill(NaN)
    this.derive(plan, row, row + 1, plan.lines.map((_, i) => latest.subarray(i, i + 1)))
    return latest
  }

  /** What the values cannot go beyond, now; null where that is not known. */
  limit(plan: Plan): number | null {
    if (plan.kind === 'share') return 1
    if (plan.kind !== 'lines' || plan.limit === null) return null
    if ('at' in plan.limit) return plan.limit.at
    const limit = this.now(plan.limit.keys, false)
    return limit > 0 ? limit : null
  }

  /** Keys of all series that count, whether they have a line or not. */
  allKeys(plan: Plan): readonly number[] {
    if (plan.kind === 'lines' && plan.headline !== undefined) return plan.headline
    return this.series().filter((one) => !one.name.endsWith('_created')).map((one) => one.key)
  }

  /** The number of some series together at the moment that the card tells of. */
  now(keys: readonly number[], rate: boolean): number {
    return this.at(this.row, keys, rate)
  }

  at(row: number, keys: readonly number[], rate: boolean): number {
    if (row < 0) return NaN
    const out = new Float64Array(1)
    if (rate) rates(this.columns, keys, row, row + 1, out)
    else values(this.columns, keys, row, row + 1, out)
    return out[0] ?? NaN
  }
}

/** Whether every line of a frame has ended. */
export function allEnded({ ended }: Frame): boolean {
  return ended.length > 0 && ended.every(Boolean)
}
