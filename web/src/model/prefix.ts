/** Families by prefix, for the rail. */

/** A first part with more families than this is told apart by the second. */
const SPLIT_ABOVE = 20
/** A prefix needs as many families to be worth a line. */
const WORTH_A_LINE = 2

export interface Group {
  /** What the names begin with, ending in `_`; `other` and `other X_` for the rest. */
  readonly prefix: string
  readonly names: ReadonlySet<string>
}

/** Groups the names by prefix, in order of name, with *other* last. Every name is in exactly one. */
export function byPrefix(names: Iterable<string>): readonly Group[] {
  const groups = new Map<string, string[]>()
  const put = (prefix: string, list: readonly string[]) => {
    groups.set(prefix, [...(groups.get(prefix) ?? []), ...list])
  }
  for (const [first, list] of gather(names, 1)) {
    if (list.length < WORTH_A_LINE) put('other', list)
    else if (list.length <= SPLIT_ABOVE) put(first, list)
    else {
      for (const [second, sublist] of gather(list, 2)) {
        if (sublist.length < WORTH_A_LINE) put(`other ${first}`, sublist)
        else put(second, sublist)
      }
    }
  }
  const last = (prefix: string) => (prefix === 'other' ? 2 : prefix.startsWith('other ') ? 1 : 0)
  return [...groups]
    .sort(([a], [b]) => last(a) - last(b) || (a < b ? -1 : 1))
    .map(([prefix, list]) => ({ prefix, names: new Set(list) }))
}

/** The names by their first `parts` parts. */
function gather(names: Iterable<string>, parts: number): Map<string, string[]> {
  const found = new Map<string, string[]>()
  for (const name of names) {
    const prefix = `${name.split('_').slice(0, parts).join('_')}_`
    const list = found.get(prefix)
    if (list === undefined) found.set(prefix, [name])
    else list.push(name)
  }
  return found
}
