/** What the values of a family cannot go beyond, where that is known: a share ends at its whole, memory at what is built in. */
import type { Unit } from '../format/number'
import type { FamilyInfo } from './store'

/** A number, or the series that says it. */
export type Limit = { readonly at: number } | { readonly keys: readonly number[] }

/** Names of what is used, and where its limit stands. */
const KNOWN: readonly (readonly [RegExp, string])[] = [
  [/^node_memory_(?!HugePages|Hugepage|Commit|Vmalloc|Swap|DirectMap)\w+_bytes$/, 'node_memory_MemTotal_bytes'],
  [/^node_memory_Swap(Free|Cached)_bytes$/, 'node_memory_SwapTotal_bytes'],
  [/^node_filefd_allocated$/, 'node_filefd_maximum'],
  [/^node_nf_conntrack_entries$/, 'node_nf_conntrack_entries_limit'],
  [/^process_open_fds$/, 'process_max_fds'],
  [/^node_entropy_available_bits$/, 'node_entropy_pool_size_bits'],
]
/** "used" and "limit" in one place of the name. */
const USED = /(^|_)(used?|usage|current|open|in_use|allocated)(?=_|$)/
const LIMITS = ['limit', 'max', 'total', 'capacity', 'size']

export function limitOf(family: FamilyInfo, unit: Unit, find: (name: string) => FamilyInfo | undefined): Limit | null {
  if (unit === 'ratio') return { at: 1 }
  if (unit === 'percent') return { at: 100 }
  if (family.type === 'counter') return null
  const known = KNOWN.find(([name]) => name.test(family.name))?.[1]
  const names = known === undefined ? LIMITS.flatMap((limit) => [family.name.replace(USED, `$1${limit}`), `${family.name}_${limit}`]) : [known]
  for (const name of names) {
    if (name === family.name) continue
    const series = find(name)?.series ?? []
    // One limit for one value; which of several belongs to which would be a guess.
    if (series.length === 1 && family.series.length === 1) return { keys: series.map((one) => one.key) }
  }
  return null
}
