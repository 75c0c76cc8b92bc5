/** The values of an element's series over its window, in order; and the newest of each. */
import type { Series, Tick } from '../client/index'

export interface Line {
  readonly series: Series
  /** Unix milliseconds of the server's clock, ascending; NaN values are gaps. */
  readonly times: number[]
  readonly values: number[]
}

/** A time without values wider than this many intervals is a gap and never bridged. */
const GAP = 2.5
/** However long the window, no line has more points. */
const MOST_POINTS = 2_000

export class Lines {
  /** Time of the last frame; 0 before the first. */
  time = 0
  private readonly byKey = new Map<string, Line>()

  constructor(private readonly windowMs: number) {}

  /** In the order of their names, which does not change while one looks. */
  get all(): readonly Line[] {
    return [...this.byKey.values()].sort((a, b) => (a.series.key < b.series.key ? -1 : 1))
  }

  take({ time, series, gone, history }: Tick, intervalMs: number): void {
    this.time = time
    for (const one of gone) if (!series.has(one.key)) this.byKey.delete(one.key)
    for (const one of series.values()) {
      const line = this.byKey.get(one.key) ?? { series: one, times: [], values: [] }
      this.byKey.set(one.key, line.series === one ? line : { ...line, series: one })
      const past = history.get(one)
      past?.times.forEach((at, i) => {
        push(line, at, past.values[i] ?? NaN, intervalMs)
      })
      push(line, time, one.value, intervalMs)
      const first = line.times.findIndex((at) => at >= time - this.windowMs)
      // One before the window, so that the line comes in from its edge.
      const drop = Math.max(first - 1, line.times.length - MOST_POINTS)
      if (drop > 0) {
        line.times.splice(0, drop)
        line.values.splice(0, drop)
      }
    }
  }
}

function push({ times, values }: Line, time: number, value: number, intervalMs: number): void {
  const last = times.at(-1)
  // What a snapshot tells of the time that is here already is here already.
  if (last !== undefined && time <= last) return
  if (last !== undefined && intervalMs > 0 && time - last > GAP * intervalMs) {
    times.push(last + 1)
    values.push(NaN)
  }
  times.push(time)
  values.push(value)
}
