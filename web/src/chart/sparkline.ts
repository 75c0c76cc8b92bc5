/**
 * A line without axes, as high as a text: its shape says how a number came to be what it is. Own canvas, since a chart
 * library costs more to set up than all of this to draw.
 */
import { columnWidth, thin } from './thin'
import { withAlpha } from '../theme'

export interface SparkLook {
  /** `#rrggbb`. */
  readonly colour: string
  /** How dense the area under the line is at the top; 0 is none. */
  readonly fill: number
  /** A dashed line at a value, in its colour. */
  readonly limit?: { readonly at: number; readonly colour: string }
}

/** Room for the stroke and the dot at the end (CSS pixels). */
const EDGE = 3

/**
 * Least and greatest of the picture: from zero as on every chart, unless all values are in the upper half and move by
 * more than noise; a still line lies in the middle.
 */
export function sparkRange(values: ArrayLike<number>): { low: number; high: number } {
  let least = Infinity
  let greatest = -Infinity
  for (let i = 0; i < values.length; i++) {
    const value = values[i] ?? NaN
    if (!Number.isFinite(value)) continue
    if (value < least) least = value
    if (value > greatest) greatest = value
  }
  if (least > greatest) return { low: 0, high: 1 }
  if (least === greatest) return least === 0 ? { low: 0, high: 1 } : { low: Math.min(0, 2 * least), high: Math.max(0, 2 * greatest) }
  if (least > greatest / 2 && greatest - least > greatest * 0.02) return { low: least, high: greatest }
  return { low: Math.min(0, least), high: Math.max(0, greatest) }
}

/** A limit is always in the picture: how far away it is says as much as the line. */
export function rangeWith({ low, high }: { low: number; high: number }, limit = NaN): { low: number; high: number } {
  return Number.isFinite(limit) ? { low: Math.min(low, limit), high: Math.max(high, limit) } : { low, high }
}

function dashed(context: CanvasRenderingContext2D, width: number, y: number, colour: string): void {
  context.lineWidth = 1
  context.strokeStyle = colour
  context.setLineDash([3, 3])
  context.beginPath()
  // In the middle of a pixel it is one wide.
  context.moveTo(0, Math.floor(y) + 0.5)
  context.lineTo(width, Math.floor(y) + 0.5)
  context.stroke()
  context.setLineDash([])
}

/**
 * Draws the points between `from` and `to` (ms) on the whole of the context's canvas, `width` × `height` CSS pixels. NaN is
 * a gap.
 */
export function drawSparkline(
  context: CanvasRenderingContext2D,
  width: number,
  height: number,
  times: Float64Array,
  values: Float64Array,
  from: number,
  to: number,
  look: SparkLook,
): void {
  const ratio = devicePixelRatio
  context.setTransform(ratio, 0, 0, ratio, 0, 0)
  context.clearRect(0, 0, width, height)
  const column = columnWidth(values.length, to - from, width)
  if (column > 0) {
    const fewer = thin(times, [values], column)
    times = fewer.times
    values = fewer.lines[0] ?? values
  }
  const { low, high } = rangeWith(sparkRange(values), look.limit?.at)
  const x = (time: number) => ((time - from) / (to - from)) * (width - EDGE)
  const y = (value: number) => height - EDGE - ((value - low) / (high - low)) * (height - 2 * EDGE)
  context.lineJoin = 'round'
  if (look.limit !== undefined && Number.isFinite(look.limit.at)) dashed(context, width, y(look.limit.at), look.limit.colour)
  context.lineWidth = 1.5
  context.strokeStyle = look.colour
  context.fillStyle = withAlpha(look.colour, low === 0 ? look.fill : 0)
  let last = -1
  for (let i = 0; i < values.length; ) {
    if (!Number.isFinite(values[i])) {
      i++
      continue
    }
    let end = i
    context.beginPath()
    for (; end < values.length && Number.isFinite(values[end]); end++) context.lineTo(x(times[end] ?? 0), y(values[end] ?? 0))
    context.stroke()
    context.lineTo(x(times[end - 1] ?? 0), y(0))
    context.lineTo(x(times[i] ?? 0), y(0))
    if (low === 0) context.fill()
    last = end - 1
    i = end
  }
  if (last < 0) return
  context.beginPath()
  context.arc(x(times[last] ?? 0), y(values[last] ?? 0), 2, 0, 2 * Math.PI)
  context.fillStyle = look.colour
  context.fill()
}
