/**
 * The time strip: the whole history in one line. Which times it spans, where they are on it, and what a hand does to the frame
 * in it, which is the window.
 */
import type { Span } from './span'
import { spacing } from './rows'
import { readSeries } from './past'

/** The least that the strip spans. */
const LEAST_MS = 600_000
/** However narrow the window is, its frame can be seen and held (CSS pixels). */
export const NARROWEST = 8
/** A hand misses the frame by so much (CSS pixels). */
const SLIP = 6
/** Points of the silhouette. */
const POINTS = 400

/** From the oldest sample to the newest, and never less than the window. */
export function spanOf(oldest: number, newest: number, window: Span): Span {
  return { from: Math.min(Number.isNaN(oldest) ? newest : oldest, window.from, newest - LEAST_MS), to: Math.max(newest, window.to) }
}

/** Times on a strip of some width. */
export class StripScale {
  constructor(
    readonly span: Span,
    readonly width: number,
  ) {}

  toX(time: number): number {
    return ((time - this.span.from) / (this.span.to - this.span.from)) * this.width
  }

  toTime(x: number): number {
    return this.span.from + (x / this.width) * (this.span.to - this.span.from)
  }

  /** Left and right of the window's frame, within the strip. */
  frame(window: Span): readonly [number, number] {
    const right = Math.max(NARROWEST, Math.min(this.width, this.toX(window.to)))
    return [Math.max(0, Math.min(this.toX(window.from), right - NARROWEST)), right]
  }

  /** Where in the frame a hand takes it, as the way from there to the end of the window (ms): beside it, in its middle. */
  hold(x: number, window: Span): number {
    const [left, right] = this.frame(window)
    const inside = x >= left - SLIP && x <= right + SLIP
    return inside ? window.to - this.toTime(x) : (window.to - window.from) / 2
  }

  /** The end of the window when a hand that holds it is at `x`. At the right edge it is the newest. */
  endAt(x: number, hold: number, window: Span): number {
    const end = this.toTime(x) + hold
    const least = Math.min(this.span.to, this.span.from + (window.to - window.from))
    return Math.max(least, this.toX(end) > this.width - 2 ? this.span.to : end)
  }
}

export interface Silhouette {
  /** How much was unusual, 0 to 1, at ascending times. */
  readonly times: Float64Array
  readonly heights: Float64Array
  /** Where nothing is known, the distance of times is larger than this. */
  readonly step: number
}

export const NO_SILHOUETTE: Silhouette = { times: new Float64Array(), heights: new Float64Array(), step: 0 }

/** How far apart the points of the silhouette are (ms). */
export function stepOf({ from, to }: Span): number {
  return Math.max(1, Math.ceil((to - from) / POINTS / 1000)) * 1000
}

/** The mean score of all watched series; 1 is the threshold, and more is not more unusual to the eye. */
export function silhouetteQuery(step: number): string {
  return `avg(clamp_max(max_over_time(gaugecast_anomaly_score[${step}ms]), 1))`
}

export function readSilhouette(answer: unknown): Silhouette {
  const [, points] = readSeries(answer)[0] ?? []
  if (points === undefined) return NO_SILHOUETTE
  return { times: points.times, heights: Float64Array.from(points.values, (value) => Math.max(0, Math.min(1, value ?? 0))), step: spacing(points.times) }
}

/** Starts of this server that lie in the span. */
export const STARTS_QUERY = 'max(process_start_time_seconds{job=""})'

export function readStarts(answer: unknown, span: Span): readonly number[] {
  const values = readSeries(answer).flatMap(([, points]) => [...points.values])
  const starts = [...new Set(values.map((value) => Math.round((value ?? NaN) * 1000)))].sort((a, b) => a - b)
  // The first of them began the history.
  return starts.filter((start, i) => i > 0 && start > span.from && start <= span.to)
}
