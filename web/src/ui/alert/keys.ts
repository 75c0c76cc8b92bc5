/** The keys of an alert's row, while something in it has the focus. */
import { useKeyUses } from '../key-table'

/** What can be done with the alert of a row now; false if there was nothing to do. */
export interface RowActs {
  acknowledge(): boolean
  silence(): boolean
}

/** The rows that are there, by their elements. */
export const alertRows = new WeakMap<Element, RowActs>()

/** Registers the keys for as long as a page with such rows is shown. */
export function useAlertKeys(): void {
  const of = (target: Element | null) => {
    const row = target?.closest('[data-alert]')
    return row == null ? undefined : alertRows.get(row)
  }
  useKeyUses([
    { keys: ['a'], shown: 'a s', does: 'acknowledge the alert, silence it', act: (_, target) => of(target)?.acknowledge() ?? false },
    { keys: ['s'], shown: '', does: '', act: (_, target) => of(target)?.silence() ?? false },
  ])
}
