/** Finding families: by words in any order, in name, help, label names and label values. */
import type { FamilyInfo } from './store'

/** The words of a query, in lower case. */
export function words(query: string): readonly string[] {
  return query.toLowerCase().split(/\s+/).filter((word) => word !== '')
}

/** All the text of a family that can be found, in lower case. Made once a family and kept until its series change. */
export function haystack(family: FamilyInfo): string {
  const found = new Set<string>([family.name, family.help])
  for (const series of family.series) {
    for (const [label, value] of Object.entries(series.labels)) {
      found.add(label)
      found.add(value)
    }
  }
  return [...found].join('\n').toLowerCase()
}

/** Whether every word is somewhere in the text. No words match everything. */
export function matches(text: string, wanted: readonly string[]): boolean {
  return wanted.every((word) => text.includes(word))
}

/** The known name nearest to a query that finds nothing: the one that shares most of its pairs of letters. */
export function nearest(query: string, names: Iterable<string>): string | null {
  const wanted = pairs(query.toLowerCase())
  if (wanted.size === 0) return null
  let best: string | null = null
  let bestScore = 0
  for (const name of names) {
    const own = pairs(name.toLowerCase())
    let shared = 0
    for (const pair of wanted) if (own.has(pair)) shared++
    const score = (2 * shared) / (wanted.size + own.size)
    if (score > bestScore) {
      bestScore = score
      best = name
    }
  }
  return best
}

function pairs(text: string): Set<string> {
  const found = new Set<string>()
  for (let i = 0; i + 1 < text.length; i++) found.add(text.slice(i, i + 2))
  return found
}
