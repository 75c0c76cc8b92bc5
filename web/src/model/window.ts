/**
 * Which time is shown: the width of the window and, while it is paused, its end. In an address `w=15m` and
 * `at=1763719200000` (Unix milliseconds); without `at` it is live, without `w` five minutes wide.
 */
import type { Span } from './span'

export interface Window {
  readonly ms: number
  /** End while paused (server's clock, ms), else null. */
  readonly at: number | null
}

export const USUAL_MS = 300_000
const NARROWEST_MS = 2_000
const WIDEST_MS = 30 * 86_400_000
const UNITS: readonly (readonly [string, number])[] = [['d', 86_400_000], ['h', 3_600_000], ['m', 60_000], ['s', 1000], ['ms', 1]]

/** What an address says; somebody may have typed it. */
export function windowOf(params: ReadonlyMap<string, string>): Window {
  const at = params.get('at')
  return { ms: durationOf(params.get('w') ?? '') ?? USUAL_MS, at: at !== undefined && /^\d{10,15}$/.test(at) ? Number(at) : null }
}

/** What an address says of it; empty is what need not be said. */
export function paramsOf({ ms, at }: Window): { readonly w: string; readonly at: string } {
  return { w: ms === USUAL_MS ? '' : durationText(ms), at: at === null ? '' : String(at) }
}

/** A width as `15m` or `90s`, within what makes sense; null if it is none. */
export function durationOf(text: string): number | null {
  const [, number, unit] = /^(\d{1,9})(ms|s|m|h|d)$/.exec(text) ?? []
  const factor = UNITS.find(([name]) => name === unit)?.[1]
  return number === undefined || factor === undefined ? null : clamp(Number(number) * factor)
}

/** In the largest unit of which it is a whole number. */
export function durationText(ms: number): string {
  const [unit, factor] = UNITS.find(([, one]) => ms % one === 0) ?? ['ms', 1]
  return `${ms / factor}${unit}`
}

/** The window that shows a span, as it was chosen by hand. */
export function windowFor({ from, to }: Span): Window {
  return { ms: clamp(Math.round(to - from)), at: Math.round(to) }
}

function clamp(ms: number): number {
  return Math.max(NARROWEST_MS, Math.min(WIDEST_MS, ms))
}
