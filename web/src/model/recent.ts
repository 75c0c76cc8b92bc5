/** The last expressions that were run, kept in this browser and nowhere else. */
const KEY = 'gaugecast.queries'
export const MOST_RECENT = 20
/** A longer one is not worth its place. */
const LONGEST = 8_192

/** The newest first. Empty where the browser keeps nothing. */
export function recentQueries(): readonly string[] {
  try {
    const kept: unknown = JSON.parse(localStorage.getItem(KEY) ?? '[]')
    return Array.isArray(kept) ? kept.filter((one) => typeof one === 'string').slice(0, MOST_RECENT) : []
  } catch {
    // Private, full, or written by somebody else.
    return []
  }
}

/** The list with this one in front, once. */
export function withRecent(list: readonly string[], expression: string): readonly string[] {
  const trimmed = expression.trim()
  if (trimmed === '' || trimmed.length > LONGEST) return list
  return [trimmed, ...list.filter((one) => one !== trimmed)].slice(0, MOST_RECENT)
}

export function remember(expression: string): void {
  keep(withRecent(recentQueries(), expression))
}

export function forgetRecent(): void {
  keep([])
}

function keep(list: readonly string[]): void {
  try {
    localStorage.setItem(KEY, JSON.stringify(list))
  } catch {
    // It is good until the page is closed.
  }
}
