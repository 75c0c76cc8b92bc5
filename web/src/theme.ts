/** The theme and the colours the canvas draws with, read once a theme. */

import type { Severity } from './model/alerts'

export type Theme = 'light' | 'dark'

/** Colours for the canvas. `series` has eight; `fill` and `mirror` say how dense areas are. */
export interface Palette {
  readonly series: readonly string[]
  /** The ramp of a heatmap, few to many. */
  readonly heat: readonly string[]
  readonly other: string
  readonly text: string
  readonly text2: string
  readonly text3: string
  readonly line2: string
  readonly grid: string
  readonly card: string
  readonly warning: string
  readonly critical: string
  /** Marks of the severities. */
  readonly severity: Readonly<Record<Severity, string>>
  readonly accent: string
  readonly onAccent: string
  readonly sunk: string
  /** Opacity of a filled line at the top, and of a stacked area. */
  readonly fill: number
  readonly stack: number
}

const KEY = 'gaugecast.theme'
const SERIES = 8
const HEAT = 7

/** `light-dark(a, b)` as tokens.css writes it; its two colours. */
export function parseToken(value: string): readonly [string, string] | null {
  const found = /light-dark\(\s*([^,\s]+)\s*,\s*([^)\s]+)\s*\)/.exec(value)
  const [, light, dark] = found ?? []
  return light === undefined || dark === undefined ? null : [light, dark]
}

export function currentTheme(): Theme {
  const chosen = document.documentElement.dataset.theme
  if (chosen === 'light' || chosen === 'dark') return chosen
  return matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light'
}

/** Chooses a theme and remembers it; the system's own is followed again when it is chosen. */
export function chooseTheme(theme: Theme): void {
  const system: Theme = matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light'
  try {
    if (theme === system) {
      localStorage.removeItem(KEY)
      delete document.documentElement.dataset.theme
      return
    }
    localStorage.setItem(KEY, theme)
  } catch {
    // Without storage the choice holds until the page is closed.
  }
  document.documentElement.dataset.theme = theme
}

export function readPalette(theme: Theme): Palette {
  const style = getComputedStyle(document.documentElement)
  const read = (name: string): string => {
    const value = style.getPropertyValue(`--${name}`)
    const pair = parseToken(value)
    return pair === null ? value : pair[theme === 'light' ? 0 : 1]
  }
  return {
    series: Array.from({ length: SERIES }, (_, i) => read(`series-${i + 1}`)),
    heat: Array.from({ length: HEAT }, (_, i) => read(`heat-${i + 1}`)),
    other: read('other'),
    text: read('text'),
    text2: read('text2'),
    text3: read('text3'),
    line2: read('line2'),
    grid: read('grid'),
    card: read('card'),
    warning: read('warning-mark'),
    critical: read('critical-mark'),
    severity: { info: read('accent'), warning: read('warning-mark'), critical: read('critical-mark'), emergency: read('emergency') },
    accent: read('accent'),
    onAccent: read('on-accent'),
    sunk: read('sunk'),
    fill: theme === 'light' ? 0.18 : 0.28,
    stack: theme === 'light' ? 0.55 : 0.62,
  }
}

/** A colour `#rrggbb` with an opacity of 0..1. */
export function withAlpha(colour: string, alpha: number): string {
  const channel = Math.round(Math.max(0, Math.min(1, alpha)) * 255)
  return colour.slice(0, 7) + channel.toString(16).padStart(2, '0')
}
