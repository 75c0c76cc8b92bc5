/** Axes that stand still: round ranges, round ticks, round times. */

const STEPS = [1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10]
const BINARY_STEPS = [1, 1.5, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024]

/** The next round number at or above `value` (> 0): 1, 1.2, 1.5 … × 10ⁿ, or for bytes powers of two and 1.5 × 1024ⁿ. */
export function niceCeil(value: number, binary: boolean): number {
  if (!(value > 0) || !Number.isFinite(value)) return 1
  const base = binary ? 1024 : 10
  const unit = base ** Math.floor(Math.log(value) / Math.log(base) + 1e-9)
  for (const step of binary ? BINARY_STEPS : STEPS) {
    // The tolerance keeps 0.3 from becoming 0.4 by the last bit of a division.
    if (value <= step * unit * (1 + 1e-9)) return step * unit
  }
  return base * unit
}

/**
 * Two equal steps of 1, 2, 2.5 or 5 × 10ⁿ that hold `min` to `max`, from a multiple of the step: away from zero, steps
 * must be rounder than from it, or the ticks are odd numbers.
 */
function roundSteps(min: number, max: number): { low: number; step: number } {
  for (let unit = 10 ** Math.floor(Math.log10((max - min) / 2)); ; unit *= 10) {
    for (const factor of [1, 2, 2.5, 5]) {
      const step = factor * unit
      const low = Math.floor(min / step + 1e-9) * step
      if (low + 2 * step >= max) return { low, step }
    }
  }
}

/** Below this share of the axis the range may shrink. */
const SHRINK_BELOW = 0.6
/** So much over a fixed end is taken for the end. */
const OVER = 1.05
/** It shrinks after so many milliseconds below. */
const SHRINK_AFTER_MS = 30_000

export interface Range {
  readonly low: number
  readonly high: number
}

/** The y range of one chart: grows at once, shrinks only after 30 s below 60 %. */
export class YRange {
  private range: Range | null = null
  private smallSince: number | null = null

  /**
   * @param free may leave zero if all values are in its upper half.
   * @param fixed the axis is always 0 to this, unless values go beyond.
   * @param share 1 is the whole, and a little more is the same.
   */
  constructor(
    private readonly binary: boolean,
    private readonly free: boolean,
    private readonly fixed: number | null = null,
    private readonly share = false,
  ) {}

  /** The range for values between `min` and `max` at `now` (ms). Without values (NaN) the last range stays. */
  update(min: number, max: number, now: number): Range {
    if (!Number.isFinite(min) || !Number.isFinite(max)) return this.range ?? { low: 0, high: this.fixed ?? 1 }
    const wanted = this.wanted(min, max)
    const old = this.range
    if (old === null || min < old.low || (max > old.high && wanted.high !== old.high)) {
      this.smallSince = null
      // Growing never takes away what is already there.
      this.range = old === null || wanted.low > 0 ? wanted : { low: Math.min(old.low, wanted.low), high: Math.max(old.high, wanted.high) }
      return this.range
    }
    const small = wanted.high - wanted.low < (old.high - old.low) * SHRINK_BELOW
    if (!small) this.smallSince = null
    else if (this.smallSince === null) this.smallSince = now
    else if (now - this.smallSince >= SHRINK_AFTER_MS) {
      this.smallSince = null
      this.range = wanted
    }
    return this.range ?? wanted
  }

  private wanted(min: number, max: number): Range {
    // Shares are differences of two clocks and come out a little over the whole; the axis does not jump for it.
    if (this.fixed !== null && max <= this.fixed * OVER && min >= 0) return { low: 0, high: this.fixed }
    if (min < 0) {
      const low = -niceCeil(-min, this.binary)
      return { low, high: max > 0 ? niceCeil(max, this.binary) : 0 }
    }
    // A spread of less than 2 % is noise that a cut axis would blow up.
    if (this.free && min > max / 2 && max - min > max * 0.02) {
      // Bytes count in tens inside their prefix: 6.6, 6.7, 6.8 GiB.
      const unit = this.binary ? 1024 ** Math.max(0, Math.floor(Math.log(max) / Math.log(1024))) : 1
      const { low, step } = roundSteps(min / unit, max / unit)
      return { low: low * unit, high: (low + 2 * step) * unit }
    }
    if (this.share && max > 1 && max <= OVER) return { low: 0, high: 1 }
    return { low: 0, high: max === 0 ? 1 : niceCeil(max, this.binary) }
  }
}

/** Ticks that divide the range into `intervals`; zero is one of them if it is inside. */
export function ySplits(range: Range, intervals: number): readonly number[] {
  const { low, high } = range
  if (low < 0 && high > 0) return [low, 0, high]
  return Array.from({ length: intervals + 1 }, (_, i) => low + ((high - low) * i) / intervals)
}

const TIME_STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 43_200, 86_400, 604_800].map((seconds) => seconds * 1000)

/** The smallest round step (ms) with at least `pixels` pixels between ticks. */
export function timeStep(spanMs: number, width: number, pixels = 64): number {
  return TIME_STEPS.find((step) => (step / spanMs) * width >= pixels) ?? 2_592_000_000
}

/** Round times (ms) in a window. */
export function timeSplits(from: number, to: number, step: number): number[] {
  const found: number[] = []
  for (let t = Math.ceil(from / step) * step; t <= to; t += step) found.push(t)
  return found
}
