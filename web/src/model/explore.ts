/** Which families Explore shows, and in which order. */
import { CHANGING } from './change'
import { UNUSUAL } from './attention'
import { parseMatchers, selects, splitFind } from './matchers'
import { byName, byQuestion } from './order'
import { haystack, matches, words } from './search'
import type { FamilyInfo } from './store'

export const SORTS = { '': 'Name', unusual: 'Most unusual', changed: 'Most changed' } as const
export type Sort = keyof typeof SORTS

export const SHOWS = { changing: 'Changing now', unusual: 'Unusual', alert: 'In an alert', stale: 'Stale' } as const
export type Show = keyof typeof SHOWS

export interface Noted {
  readonly change: ReadonlyMap<string, number>
  readonly unusual: ReadonlyMap<string, number>
  readonly alerting: ReadonlySet<string>
  readonly stale: ReadonlySet<string>
}

/** Whether a family belongs to one of the lists below the prefixes. */
export function shows(show: Show, name: string, noted: Noted): boolean {
  switch (show) {
    case 'changing':
      return (noted.change.get(name) ?? 0) >= CHANGING
    case 'unusual':
      return (noted.unusual.get(name) ?? 0) >= UNUSUAL
    case 'alert':
      return noted.alerting.has(name)
    case 'stale':
      return noted.stale.has(name)
  }
}

/** By name; or the greatest score first, of equals by name. `plain`: nothing is asked for, so the host's state comes first. */
export function sortedBy(sort: Sort, families: Iterable<FamilyInfo>, noted: Noted, plain: boolean): readonly FamilyInfo[] {
  if (sort === '') return plain ? byQuestion(families) : byName(families)
  const score = sort === 'changed' ? noted.change : noted.unusual
  return byName(families).sort((a, b) => (score.get(b.name) ?? 0) - (score.get(a.name) ?? 0))
}

/** Text of a family for the search, kept until it has more series. */
const haystacks = new WeakMap<FamilyInfo, { series: number; text: string }>()

function textOf(family: FamilyInfo): string {
  const kept = haystacks.get(family)
  if (kept?.series === family.series.length) return kept.text
  const text = haystack(family)
  haystacks.set(family, { series: family.series.length, text })
  return text
}

export interface Finding {
  /** Whether anything is asked for. */
  readonly empty: boolean
  /** The label filter, as typed; empty without one. */
  readonly filter: string
  /** What is wrong with the filter; all series are shown then. */
  readonly wrong: string
  /** The family with what is found of it, or null. The same object as long as its series are the same. */
  readonly of: (family: FamilyInfo) => FamilyInfo | null
}

/** Words in any order, and a label filter in braces. */
export function finding(query: string): Finding {
  const split = splitFind(query)
  const wanted = words(split.words)
  let selected: ReturnType<typeof selects> | null = null
  let wrong = ''
  try {
    const matchers = parseMatchers(split.filter)
    if (matchers.length > 0) selected = selects(matchers)
  } catch (error) {
    wrong = error instanceof Error ? error.message : String(error)
  }
  const parts = new WeakMap<FamilyInfo, { readonly series: number; readonly part: FamilyInfo | null }>()
  const of = (family: FamilyInfo): FamilyInfo | null => {
    if (!matches(textOf(family), wanted)) return null
    if (selected === null) return family
    const kept = parts.get(family)
    if (kept?.series === family.series.length) return kept.part
    const select = selected
    const series = family.series.filter(({ labels, name }) => select(labels, name))
    const part = series.length === 0 ? null : series.length === family.series.length ? family : { ...family, series }
    parts.set(family, { series: family.series.length, part })
    return part
  }
  return { empty: wanted.length === 0 && selected === null, filter: split.filter, wrong, of }
}
