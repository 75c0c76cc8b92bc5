/**
 * The series of a family as a table: labels, the line of the window, its numbers. Preact makes the rows; the numbers are set
 * by the draw queue, and their order is that of when somebody sorted, so that nothing moves under the hand.
 */
import { useEffect, useMemo, useRef, useState } from 'preact/hooks'
import { formatText, MISSING } from '../format/number'
import type { Unit } from '../format/number'
import { rateUnit } from '../format/unit'
import type { Columns } from '../model/columns'
import { fillRow, ordered, shapeOf, statsOf } from '../model/series-rows'
import type { Row, Shape, Stat } from '../model/series-rows'
import type { FamilyInfo, Store } from '../model/store'
import type { Card, Page } from '../page'
import { setText } from './dom'
import { Sparkline } from './sparkline'
import type { Numbers } from './small-card'
import { WindowRows } from './window-rows'

/** So many rows at once; more on demand. */
const STEP = 40
/** Numbers change at most so often (ms). */
const TEXT_MS = 500

export interface Verdict {
  readonly text: string
  readonly tone: 'worse' | 'better' | ''
}

interface Props {
  readonly page: Page
  readonly source: Store
  readonly family: FamilyInfo
  /** The label whose values are the rows; empty for a row a series. */
  readonly by: string
  /** The values that the filter of the page names, by label: these rows are marked. */
  readonly chosen?: (labels: Readonly<Record<string, string>>) => boolean
  /** Somebody chose a row, by its labels. */
  readonly choose?: (labels: Readonly<Record<string, string>>) => void
  /** What each row is against a baseline, and what the column is called. */
  readonly against?: { readonly title: string; readonly of: (row: Row, shape: Shape) => Verdict | undefined }
}

interface Sorting {
  /** `label 0`, `stat 2`. */
  readonly column: string
  readonly descending: boolean
}

export function SeriesTable({ page, source, family, by, chosen, choose, against }: Props) {
  const count = family.series.length
  const shape = useMemo(() => shapeOf(family, by, (key) => source.value(key)), [family, count, by, source])
  const [sorting, setSorting] = useState<Sorting>({ column: 'stat 0', descending: true })
  const [most, setMost] = useState(STEP)
  useEffect(() => {
    setMost(STEP)
  }, [family, by])
  const past = useMemo(() => new WindowRows(page, source, () => family.series), [page, source, family])
  useEffect(() => () => { past.stop() }, [past])
  const begun = useBegun(page, past)
  const rows = useMemo(() => sorted(shape, sorting, page, past), [shape, sorting, page.windowMs, page.pausedAt, begun])
  const shown = rows.slice(0, most)
  const body = useRef<HTMLTableSectionElement>(null)
  useEffect(() => {
    if (body.current === null) return
    const live = new LiveNumbers(page, past, shape, shown, body.current)
    return () => {
      live.destroy()
    }
  }, [page, past, shape, rows, most])
  const lines = useMemo(() => new Map(shown.map((row) => [row.id, numbersOf(past, shape, row)])), [past, shape, rows, most])

  const heading = (column: string, text: string, descends: boolean) => (
    <Heading
      key={column}
      text={text}
      number={column.startsWith('stat')}
      sorted={sorting.column === column ? (sorting.descending ? 'descending' : 'ascending') : 'none'}
      sort={() => {
        setSorting((before) => ({ column, descending: before.column === column ? !before.descending : descends }))
      }}
    />
  )
  return (
    <>
      <div class="table of-series">
        <table>
          <thead>
            <tr>
              {shape.labels.map((label, i) => heading(`label ${i}`, label === '__name__' ? 'name' : label, false))}
              {shape.labels.length === 0 && <th>series</th>}
              <th class="line">{windowName(page.windowMs)}</th>
              {shape.stats.map((stat, i) => heading(`stat ${i}`, stat, true))}
              {against !== undefined && <th class="number">{against.title}</th>}
            </tr>
          </thead>
          <tbody ref={body}>
            {shown.map((row) => {
              const labels = Object.fromEntries(shape.labels.map((label, i) => [label, row.labels[i] ?? '']))
              const numbers = lines.get(row.id)
              const verdict = against?.of(row, shape)
              return (
                <tr key={row.id} class={chosen?.(labels) === true ? 'chosen' : undefined}>
                  {row.labels.map((text, i) => (
                    <td key={shape.labels[i]} title={text}>
                      {i === 0 && choose !== undefined ? (
                        <button type="button" class="link" onClick={() => { choose(labels) }}>
                          {text || '(none)'}
                        </button>
                      ) : (
                        text || '(none)'
                      )}
                    </td>
                  ))}
                  {shape.labels.length === 0 && <td>all</td>}
                  <td class="line">{numbers !== undefined && <Sparkline page={page} numbers={numbers} label={`${row.labels.join(' ')} in ${windowName(page.windowMs)}`} />}</td>
                  {shape.stats.map((stat) => (
                    <td key={stat} class="number" />
                  ))}
                  {against !== undefined && <td class="number">{verdict === undefined ? MISSING : <span class={`verdict ${verdict.tone}`}>{verdict.text}</span>}</td>}
                </tr>
              )
            })}
          </tbody>
        </table>
      </div>
      {rows.length > STEP && (
        <p class="rest">
          {shown.length} of {formatText(rows.length, 'count')} shown.{' '}
          {shown.length < rows.length && (
            <button type="button" class="link" onClick={() => { setMost(most + 5 * STEP) }}>
              Show {Math.min(5 * STEP, rows.length - shown.length)} more
            </button>
          )}
        </p>
      )}
    </>
  )
}

/** Whether there are rates: before, there is no order of them. */
function useBegun(page: Page, past: WindowRows): boolean {
  const [begun, setBegun] = useState(false)
  useEffect(() => {
    if (begun) return
    const look = () => {
      if (past.columns.length >= FEWEST) setBegun(true)
    }
    const ends = [page.listen('frame', look), page.listen('query', look)]
    return () => {
      for (const end of ends) end()
    }
  }, [page, past, begun])
  return begun
}

/** A rate needs two samples, and the first one after a pause says little. */
const FEWEST = 3

function Heading({ text, number, sorted, sort }: { text: string; number: boolean; sorted: 'ascending' | 'descending' | 'none'; sort: () => void }) {
  return (
    <th class={number ? 'number' : undefined} aria-sort={sorted}>
      <button type="button" class="sort" onClick={sort}>
        {text}
        <span class="way" aria-hidden="true">{sorted === 'none' ? '' : sorted === 'descending' ? '↓' : '↑'}</span>
      </button>
    </th>
  )
}

function sorted(shape: Shape, { column, descending }: Sorting, page: Page, { columns }: WindowRows): readonly Row[] {
  const [kind, place] = column.split(' ')
  const at = Number(place)
  if (kind === 'label') return ordered(shape.rows, (row) => row.labels[at] ?? '', descending)
  const { from, to } = windowRows(page, columns)
  return ordered(shape.rows, (row) => statsOf(columns, row, shape, from, to)[at] ?? NaN, descending)
}

/** The rows of the page's window. */
function windowRows(page: Page, columns: Columns): { readonly from: number; readonly to: number } {
  return { from: columns.indexAt(page.windowEnd - page.windowMs), to: columns.indexAt(page.windowEnd + 1) }
}

function numbersOf(past: WindowRows, shape: Shape, row: Row): Numbers {
  return {
    columns: () => past.columns,
    fill: (columns, from, to, out) => {
      fillRow(columns, row, shape, from, to, out)
    },
  }
}

export function unitOfStat({ unit }: Shape, stat: Stat): Unit {
  return stat === 'per second' ? rateUnit('count') : unit
}

function windowName(ms: number): string {
  return ms >= 3_600_000 ? `${ms / 3_600_000}\u202fh` : `${ms / 60_000}\u202fmin`
}

/** Sets the numbers of the rows that are shown. */
class LiveNumbers implements Card {
  private readonly cells: readonly (readonly Element[])[]
  private due = 0

  constructor(
    private readonly page: Page,
    private readonly past: WindowRows,
    private readonly shape: Shape,
    private readonly rows: readonly Row[],
    body: HTMLTableSectionElement,
  ) {
    this.cells = [...body.rows].map((row) => [...row.querySelectorAll('td.number')])
    page.cards.add(this)
    page.queue.mark(this)
  }

  /** After the charts. */
  rank(): number {
    return 1e6
  }

  restyle(): void {
    // Its colours are those of the style sheet.
  }

  textsDue(): void {
    this.due = 0
  }

  draw(): void {
    const now = performance.now()
    if (now < this.due) return
    this.due = now + TEXT_MS - 20
    const { shape, past: { columns } } = this
    const { from, to } = windowRows(this.page, columns)
    this.rows.forEach((row, i) => {
      const numbers = statsOf(columns, row, shape, from, to)
      shape.stats.forEach((stat, s) => {
        setText(this.cells[i]?.[s], formatText(numbers[s] ?? NaN, unitOfStat(shape, stat)))
      })
    })
  }

  destroy(): void {
    this.page.cards.delete(this)
    this.page.queue.forget(this)
  }
}
