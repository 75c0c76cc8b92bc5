/** A sheet as JSON: what it is of, the names of its columns, its rows. */
import { isoTime } from './sheet'
import type { Cell, Sheet } from './sheet'

export function jsonOf({ title, query, unit, from, to, columns, rows }: Sheet): string {
  const head = JSON.stringify({ title, query, unit, from: isoTime(from), to: isoTime(to), columns }, null, 2).slice(0, -2)
  return `${head},\n  "rows": [${rows.map((row) => `\n    ${JSON.stringify(row.map(plain))}`).join()}\n  ]\n}\n`
}

/** What JSON has no number for is text, as the protocol has it; so are whole numbers beyond 2⁵³. */
function plain(cell: Cell): number | string | null {
  if (typeof cell === 'bigint') return String(cell)
  if (typeof cell === 'number' && !Number.isFinite(cell)) return cell > 0 ? '+Inf' : cell < 0 ? '-Inf' : 'NaN'
  return cell
}
