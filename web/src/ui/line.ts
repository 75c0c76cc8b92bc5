/**
 * The line of numbers behind an alert or an anomaly: series of the registry where they are what is watched, else the live
 * result of an expression.
 */
import { useEffect, useMemo, useReducer } from 'preact/hooks'
import type { Columns } from '../model/columns'
import type { LiveQuery } from '../model/live-query'
import type { SeriesInfo, Store } from '../model/store'
import type { Labels } from '../model/untrusted'
import type { Page } from '../page'
import { seriesNumbers } from './sparkline'
import type { Numbers } from './small-card'

export interface LineSource {
  /** A family of the registry; empty where `query` says what. */
  readonly family: string
  /** Of a counter its rate. */
  readonly rate: boolean
  /** PromQL; empty where `family` says what. */
  readonly query: string
  /** Which series of them; several are summed up. */
  readonly is: (labels: Labels) => boolean
}

export class Line implements Numbers {
  private found: readonly SeriesInfo[] = []
  private counted = -1
  private summed: Numbers | null = null

  constructor(
    private readonly page: Page,
    private readonly source: LineSource,
    private readonly query: LiveQuery | null,
  ) {}

  /** Why the server gives nothing; empty while it does. */
  get error(): string {
    return this.query?.error ?? ''
  }

  get store(): Store {
    return this.query?.store ?? this.page.store
  }

  columns(): Columns {
    return this.numbers().columns()
  }

  fill(columns: Columns, from: number, to: number, out: Float64Array): void {
    this.numbers().fill(columns, from, to, out)
  }

  stop(): void {
    this.summed?.stop?.()
  }

  /** There is a series. */
  get exists(): boolean {
    this.numbers()
    return this.found.length > 0
  }

  /** The value at the end of the window; NaN where there is none. */
  now(): number {
    // What is live needs nothing of before.
    const columns = this.page.pausedAt === null ? this.store.columns : this.columns()
    const row = columns.indexAt(this.page.windowEnd + 1) - 1
    if (row < 0) return NaN
    const out = new Float64Array(1)
    this.fill(columns, row, row + 1, out)
    return out[0] ?? NaN
  }

  private numbers(): Numbers {
    const series = this.query?.family.series ?? this.page.store.families.get(this.source.family)?.series ?? []
    if (this.summed === null || this.counted !== series.length) {
      this.counted = series.length
      this.found = series.filter((one) => !one.name.endsWith('_created') && this.source.is(one.labels))
      this.summed?.stop?.()
      this.summed = seriesNumbers(this.page, this.store, this.found, this.source.rate)
    }
    return this.summed
  }
}

/** @param source null: there is nothing to be seen. The line is another one when the source's `family`, `rate` or `query` is. */
export function useLine(page: Page, source: LineSource | null): Line | null {
  const [, again] = useReducer<number, null>((n) => n + 1, 0)
  const { family = '', rate = false, query = '' } = source ?? {}
  const held = useMemo<{ query: LiveQuery | null; line: Line | null }>(() => ({ query: null, line: null }), [page, family, rate, query])
  useEffect(() => {
    if (source === null) return
    const followed = query === '' ? null : page.queries.follow(query, '5m')
    held.query = followed
    held.line = new Line(page, source, followed)
    again(null)
    return () => {
      held.line = null
      if (followed !== null) page.queries.leave(followed)
    }
  }, [held])
  return held.line
}
