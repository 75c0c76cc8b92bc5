/**
 * Tables that are put in order by a column: by number with what has none last, by text as people order names. Ties keep
 * the order there was, so that nothing jumps that did not change.
 */

const names = new Intl.Collator('en', { numeric: true, sensitivity: 'base' })

/** What a column orders a row by. */
export type Rank = number | string

export interface Order {
  /** Name of the column. */
  readonly by: string
  readonly descending: boolean
}

/** `-p99`: by p99, the highest first. Read from and written to the address. */
export function parseOrder(text: string, columns: readonly string[], otherwise: Order): Order {
  const descending = text.startsWith('-')
  const by = descending ? text.slice(1) : text
  return columns.includes(by) ? { by, descending } : otherwise
}

export function orderText({ by, descending }: Order): string {
  return descending ? `-${by}` : by
}

/** The rows in order; `rank` of a row is a number or a text. NaN comes last either way. */
export function inOrder<T>(rows: readonly T[], rank: (row: T) => Rank, descending: boolean): readonly T[] {
  const way = descending ? -1 : 1
  return rows
    .map((row) => ({ row, rank: rank(row) }))
    .sort((a, b) => {
      const [none, other] = [isNone(a.rank), isNone(b.rank)]
      if (none || other) return Number(none) - Number(other)
      return way * compare(a.rank, b.rank)
    })
    .map(({ row }) => row)
}

function compare(a: Rank, b: Rank): number {
  if (typeof a === 'number' && typeof b === 'number') return a === b ? 0 : a < b ? -1 : 1
  return names.compare(String(a), String(b))
}

function isNone(rank: Rank): boolean {
  return typeof rank === 'number' && Number.isNaN(rank)
}
