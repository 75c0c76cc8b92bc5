/** A table in its card, put in order by a click on a heading. It scrolls inside its card, the first column stays. */
import type { ComponentChildren } from 'preact'
import type { Order, Rank } from '../model/table'
import { inOrder, orderText, parseOrder } from '../model/table'
import type { Page } from '../page'

export interface Column<T> {
  /** In the address, where the table is ordered by it. */
  readonly name: string
  readonly label: string
  /** What the heading means, where it is short. */
  readonly title?: string
  /** By what the column orders; without, it does not. */
  readonly rank?: (row: T) => Rank
  readonly cell: (row: T) => ComponentChildren
  /** Numbers stand at the right, and the highest first. */
  readonly numeric?: boolean
}

interface Props<T> {
  readonly page: Page
  /** What the table is of, for those who do not see it. */
  readonly caption: string
  readonly columns: readonly Column<T>[]
  readonly rows: readonly T[]
  readonly id: (row: T) => string
  /** Without a choice; null leaves the rows as they come. */
  readonly otherwise: Order | null
  /** Name of the parameter in the address, where a page has several tables. */
  readonly param?: string
  /** Rows beyond are not drawn, and said. */
  readonly most?: number
  readonly rowClass?: (row: T) => string
}

const MOST_ROWS = 500
const AS_THEY_COME: Order = { by: '', descending: false }

export function Table<T>({ page, caption, columns, rows, id, otherwise, param = 'sort', most = MOST_ROWS, rowClass }: Props<T>) {
  const able = columns.filter(({ rank }) => rank !== undefined).map(({ name }) => name)
  const order = parseOrder(page.route.params.get(param) ?? '', able, otherwise ?? AS_THEY_COME)
  const by = columns.find(({ name }) => name === order.by)
  const shown = by?.rank === undefined ? rows : inOrder(rows, by.rank, order.descending)
  const choose = ({ name, numeric = false }: Column<T>) => {
    const descending = order.by === name ? !order.descending : numeric
    page.setParams({ [param]: orderText({ by: name, descending }) })
  }
  return (
    <div class="table" tabIndex={0} role="group" aria-label={caption}>
      <table>
        <caption class="unseen">{caption}</caption>
        <thead>
          <tr>
            {columns.map((column) => {
              const { name, label, title, rank, numeric = false } = column
              const sorted = order.by === name
              return (
                <th key={name} class={numeric ? 'number' : ''} title={title} aria-sort={sorted ? (order.descending ? 'descending' : 'ascending') : undefined} scope="col">
                  {rank === undefined ? (
                    label
                  ) : (
                    <button type="button" onClick={() => { choose(column) }}>
                      {label}
                      <span class="way" aria-hidden="true">{sorted ? (order.descending ? '↓' : '↑') : ''}</span>
                    </button>
                  )}
                </th>
              )
            })}
          </tr>
        </thead>
        <tbody>
          {shown.slice(0, most).map((row) => (
            <tr key={id(row)} class={rowClass?.(row) ?? ''}>
              {columns.map(({ name, cell, numeric = false }, i) =>
                i === 0 ? (
                  <th key={name} scope="row">{cell(row)}</th>
                ) : (
                  <td key={name} class={numeric ? 'number' : ''}>{cell(row)}</td>
                ),
              )}
            </tr>
          ))}
        </tbody>
      </table>
      {shown.length > most && <p class="rest">{most} of {shown.length} shown</p>}
    </div>
  )
}
