/**
 * A heatmap of a histogram: how many observations fell into each bucket in each column of time.
 *
 * `HeatRing` holds the counts and needs no screen; `HeatCanvas` keeps a picture of it, one pixel a column and bucket, used
 * as a ring: a tick writes one column, drawing copies two parts. Columns are aligned to absolute time, so that the picture
 * slides. y is the number of the bucket, 0 at the bottom; what the buckets mean is told by the axis.
 */
import type { Range } from './scale'

/** Steps of the ramp; more cannot be told apart. */
export const HEAT_STEPS = 64

/** Counts a column and bucket; columns are numbers of absolute time and old ones are forgotten. */
export class HeatRing {
  private readonly counts: Float64Array
  /** Which column stands in each place; −1 is none. */
  private readonly held: Float64Array

  /** @param columns how many are kept. */
  constructor(
    readonly columns: number,
    readonly buckets: number,
  ) {
    this.counts = new Float64Array(columns * buckets)
    this.held = new Float64Array(columns).fill(-1)
  }

  /** Where a column stands in the ring. */
  place(column: number): number {
    return ((column % this.columns) + this.columns) % this.columns
  }

  /** Empties a column and makes it this one. */
  begin(column: number): void {
    const place = this.place(column)
    this.held[place] = column
    this.counts.fill(0, place * this.buckets, (place + 1) * this.buckets)
  }

  add(column: number, bucket: number, count: number): void {
    const at = this.place(column) * this.buckets + bucket
    this.counts[at] = (this.counts[at] ?? 0) + count
  }

  /** Observations in a bucket of a column; 0 for a column that is not held. */
  count(column: number, bucket: number): number {
    const place = this.place(column)
    return this.held[place] === column ? (this.counts[place * this.buckets + bucket] ?? 0) : 0
  }

  /** The greatest count, and the lowest and highest bucket in use, from one column to another, both included. */
  extent(from: number, to: number): { greatest: number; low: number; high: number } {
    let greatest = 0
    let low = this.buckets
    let high = -1
    for (let column = Math.max(from, to - this.columns + 1); column <= to; column++) {
      for (let bucket = 0; bucket < this.buckets; bucket++) {
        const count = this.count(column, bucket)
        if (count <= 0) continue
        if (count > greatest) greatest = count
        if (bucket < low) low = bucket
        if (bucket > high) high = bucket
      }
    }
    return { greatest, low, high }
  }
}

/** The step of the ramp (0..63) of a count, through a square root so that few are seen beside many; −1 is clear. */
export function heatStep(count: number, greatest: number): number {
  if (!(count > 0) || !(greatest > 0)) return -1
  return Math.min(HEAT_STEPS - 1, Math.floor(Math.sqrt(count / greatest) * HEAT_STEPS))
}

/** The colour at each step, as bytes r g b, evenly between `stops` (`#rrggbb`). */
export function heatRamp(stops: readonly string[]): Uint8ClampedArray {
  const ramp = new Uint8ClampedArray(HEAT_STEPS * 3)
  const byte = (stop: number, channel: number) => parseInt((stops[stop] ?? '#000000').slice(1 + channel * 2, 3 + channel * 2), 16)
  for (let i = 0; i < HEAT_STEPS; i++) {
    const at = (i / (HEAT_STEPS - 1)) * (stops.length - 1)
    const stop = Math.min(stops.length - 2, Math.floor(at))
    for (let c = 0; c < 3; c++) ramp[i * 3 + c] = byte(stop, c) + (byte(stop + 1, c) - byte(stop, c)) * (at - stop)
  }
  return ramp
}

/** Where a value lies in bucket numbers: bucket i, of (bounds[i−1], bounds[i]], is from i to i + 1. NaN stays NaN. */
export function bucketPosition(bounds: readonly number[], value: number): number {
  if (Number.isNaN(value)) return NaN
  let i = 0
  while (i < bounds.length - 1 && value > (bounds[i] ?? Infinity)) i++
  const upper = bounds[i] ?? Infinity
  const lower = i === 0 ? Math.min(0, upper) : (bounds[i - 1] ?? 0)
  if (!Number.isFinite(upper) || upper <= lower) return i + 0.5
  return i + Math.max(0, Math.min(1, (value - lower) / (upper - lower)))
}

/** Powers of ten as far as there are any, from the tolerance of a division. */
function isPower(value: number): boolean {
  const log = Math.log10(value)
  return Math.abs(log - Math.round(log)) < 1e-6
}

/** Bucket borders to be labelled: those at powers of ten, at most `most`; where there are fewer than two, some evenly. */
export function heatSplits(bounds: readonly number[], range: Range, most = 4): readonly number[] {
  const inside: number[] = []
  for (let border = Math.max(1, Math.ceil(range.low)); border <= range.high && border < bounds.length; border++) inside.push(border)
  const powers = inside.filter((border) => isPower(bounds[border - 1] ?? NaN))
  const from = powers.length >= 2 ? powers : inside
  const every = Math.ceil(from.length / most)
  return from.filter((_, i) => i % every === 0)
}

/** Buckets shown: those in use, at least four; grows at once, shrinks after 30 s. */
export class Crop {
  private range: Range | null = null
  private smallSince: number | null = null

  constructor(private readonly buckets: number) {}

  /** @param high below `low` where no bucket is in use: then the range stays. */
  update(low: number, high: number, now: number): Range {
    const least = Math.min(4, this.buckets)
    if (high < low) return this.range ?? { low: 0, high: this.buckets }
    const bottom = Math.max(0, Math.min(low, this.buckets - least))
    const wanted = { low: bottom, high: Math.max(high + 1, bottom + least) }
    const old = this.range
    if (old === null) this.range = wanted
    else if (wanted.low < old.low || wanted.high > old.high) {
      this.range = { low: Math.min(old.low, wanted.low), high: Math.max(old.high, wanted.high) }
      this.smallSince = null
    } else if (wanted.low === old.low && wanted.high === old.high) this.smallSince = null
    else if (this.smallSince === null) this.smallSince = now
    else if (now - this.smallSince >= 30_000) {
      this.range = wanted
      this.smallSince = null
    }
    return this.range ?? wanted
  }
}

/** The picture of a ring. */
export class HeatCanvas {
  private readonly canvas = document.createElement('canvas')
  private readonly context: CanvasRenderingContext2D | null
  private readonly pixels: ImageData | null

  constructor(
    readonly ring: HeatRing,
    readonly columnMs: number,
  ) {
    this.canvas.width = ring.columns
    this.canvas.height = ring.buckets
    this.context = this.canvas.getContext('2d')
    this.pixels = this.context?.createImageData(1, ring.buckets) ?? null
  }

  /** Paints a column anew. */
  paint(column: number, greatest: number, ramp: Uint8ClampedArray): void {
    const { ring, pixels } = this
    if (pixels === null) return
    for (let bucket = 0; bucket < ring.buckets; bucket++) {
      const step = heatStep(ring.count(column, bucket), greatest)
      const at = (ring.buckets - 1 - bucket) * 4
      for (let c = 0; c < 3; c++) pixels.data[at + c] = step < 0 ? 0 : (ramp[step * 3 + c] ?? 0)
      pixels.data[at + 3] = step < 0 ? 0 : 255
    }
    this.context?.putImageData(pixels, ring.place(column), 0)
  }

  /** Draws the columns of `from` to `to` (ms) and the buckets of `range` into a box of device pixels. */
  draw(target: CanvasRenderingContext2D, box: { left: number; top: number; width: number; height: number }, from: number, to: number, range: Range): void {
    const { ring, columnMs, canvas } = this
    const first = Math.max(Math.floor(from / columnMs), Math.floor(to / columnMs) - ring.columns + 1)
    const last = Math.floor(to / columnMs)
    const scale = box.width / (to - from)
    const top = ring.buckets - range.high
    const height = range.high - range.low
    target.save()
    target.beginPath()
    target.rect(box.left, box.top, box.width, box.height)
    target.clip()
    target.imageSmoothingEnabled = false
    // In two parts where the ring begins anew.
    for (let column = first; column <= last; ) {
      const place = ring.place(column)
      const run = Math.min(last - column + 1, ring.columns - place)
      target.drawImage(canvas, place, top, run, height, box.left + (column * columnMs - from) * scale, box.top, run * columnMs * scale, box.height)
      column += run
    }
    target.restore()
  }
}
