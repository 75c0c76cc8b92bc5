/** A sheet as CSV (RFC 4180), safe to open in a spreadsheet: no text of it begins a formula. */
import type { Cell, Sheet } from './sheet'

/** What a spreadsheet takes for the beginning of a formula. */
const FORMULA = /^[=+\-@\t\r]/

export function csvOf({ columns, rows }: Pick<Sheet, 'columns' | 'rows'>): string {
  return [columns, ...rows].map((row) => `${row.map(cell).join(',')}\r\n`).join('')
}

function cell(value: Cell): string {
  switch (typeof value) {
    case 'number':
      return Number.isFinite(value) ? String(value) : value > 0 ? '+Inf' : value < 0 ? '-Inf' : 'NaN'
    case 'bigint':
      return String(value)
    case 'string': {
      const safe = FORMULA.test(value) ? `'${value}` : value
      return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe
    }
    default:
      return ''
  }
}
