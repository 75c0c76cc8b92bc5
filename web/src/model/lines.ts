/** The lines of a chart: what each is called, which series it sums up, in which order they stand and which are grey. */
import type { SeriesInfo } from './store'

/** A line: what it is called and the series it sums up. */
export interface Line {
  readonly label: string
  readonly keys: readonly number[]
  /** Drawn thin and grey, without a place of its own in the legend. */
  readonly other: boolean
  /** Series taken off the sum. */
  readonly minus?: readonly number[]
  /** Not the sum of its series but the highest. */
  readonly highest?: boolean
  /** Drawn below zero: the other direction of a pair. */
  readonly below?: boolean
  /** Its series are states of one thing, of these names; its number is which of them it is in. */
  readonly states?: readonly string[]
  /** Named, but grey: what is there and does not matter. */
  readonly grey?: boolean
}

/** Current value of a series; NaN without one. */
export type Size = (key: number) => number

/** More lines than this and only the top ones are in colour. */
export const MOST_IN_COLOUR = 8
/** How many are in colour then. */
const TOP = 5
/** How many grey ones are drawn behind them; more cost time and show nothing. */
const MOST_OTHER = 15

/** How many lines are named, and how many more drawn grey. */
export interface Room {
  readonly named: number
  readonly other: number
}

/** The room of lines in a chart, for so many of them. */
export function chartRoom(lines: number): Room {
  return { named: lines > MOST_IN_COLOUR ? TOP : lines, other: MOST_OTHER }
}

/** A bare number says nothing: "cpu 0". */
function named(label: string, value: string): string {
  return /^\d+$/.test(value) ? `${label} ${value}` : value
}

/** The labels by which the series of a family differ, in order. */
export function distinguishing(series: readonly SeriesInfo[]): readonly string[] {
  const seen = new Map<string, Set<string>>()
  for (const one of series) {
    for (const [label, value] of Object.entries(one.labels)) {
      const values = seen.get(label)
      if (values === undefined) seen.set(label, new Set([value]))
      else values.add(value)
    }
  }
  return [...seen]
    .filter(([label, values]) => values.size > 1 || !series.every((one) => label in one.labels))
    .map(([label]) => label)
    .sort()
}

/** Labels by which series can be put together, with how many groups that makes: fewest first, `le` and `quantile` are none. */
export function groupLabels(series: readonly SeriesInfo[]): readonly { readonly label: string; readonly groups: number }[] {
  const labels = distinguishing(series).filter((label) => label !== 'le' && label !== 'quantile')
  return labels
    .map((label) => ({ label, groups: new Set(series.map((one) => one.labels[label] ?? '')).size }))
    .sort((a, b) => a.groups - b.groups || (a.label < b.label ? -1 : 1))
}

/** A line a series. */
export function asLines(series: readonly SeriesInfo[], size: Size, before: readonly Line[], room: Room): readonly Line[] {
  const labels = distinguishing(series)
  const suffixes = new Set(series.map((one) => one.name)).size > 1
  const made = series.map((one) => {
    const values = labels.filter((label) => (one.labels[label] ?? '') !== '').map((label) => named(label, one.labels[label] ?? ''))
    if (suffixes) values.unshift(one.name.slice(one.family.name.length + 1) || one.name)
    return { label: values.join(' ') || one.name, keys: [one.key] }
  })
  return ranked(made, size, before, room)
}

/** A line a value of the label `by`. */
export function byLabel(series: readonly SeriesInfo[], by: string): readonly { label: string; keys: number[] }[] {
  const groups = new Map<string, number[]>()
  for (const one of series) {
    const value = one.labels[by] ?? ''
    const keys = groups.get(value)
    if (keys === undefined) groups.set(value, [one.key])
    else keys.push(one.key)
  }
  return [...groups].map(([value, keys]) => ({ label: value === '' ? `without ${by}` : named(by, value), keys }))
}

/** Largest first, but those there were keep their places; beyond the top they are *other*. */
export function ranked<L extends { label: string; keys: readonly number[] }>(lines: readonly L[], size: Size, before: readonly Line[], room = chartRoom(lines.length)): readonly (L & Line)[] {
  const places = new Map<string, number>()
  before.forEach((line, i) => {
    if (!line.other) places.set(line.label, i)
  })
  const sized = lines.map((line) => ({
    line,
    place: places.get(line.label) ?? Infinity,
    size: line.keys.reduce((sum, key) => sum + (Number.isFinite(size(key)) ? size(key) : 0), 0),
  }))
  sized.sort((a, b) => {
    if (a.place !== b.place) return a.place < b.place ? -1 : 1
    return b.size - a.size || (a.line.label < b.line.label ? -1 : 1)
  })
  return sized.slice(0, room.named + room.other).map(({ line }, i) => ({ ...line, other: i >= room.named }))
}
