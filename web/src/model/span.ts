/** Spans of time: what of a window is known, and what is missing. */

export interface Span {
  /** Milliseconds since 1970. */
  readonly from: number
  readonly to: number
}

/** What of `window` no span covers, oldest first; holes shorter than `least` are none. */
export function holes(covered: readonly Span[], window: Span, least = 0): readonly Span[] {
  const found: Span[] = []
  let at = window.from
  const hole = (to: number) => {
    if (to - at > least) found.push({ from: at, to })
  }
  for (const { from, to } of [...covered].sort((a, b) => a.from - b.from)) {
    if (to <= at) continue
    if (from >= window.to) break
    if (from > at) hole(from)
    at = Math.max(at, to)
  }
  if (at < window.to) hole(window.to)
  return found
}

/** Do they have more than a moment in common? */
export function overlap(a: Span, b: Span): boolean {
  return a.from < b.to && b.from < a.to
}
