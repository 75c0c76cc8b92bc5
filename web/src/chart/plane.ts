/**
 * A canvas with axes as all charts of the page have them, for what has no axis of time: y on the right, horizontal grid,
 * labels under a line.
 */
import type { Palette } from '../theme'

const X_AXIS = 22
const Y_AXIS = 58
const TOP = 8
export const FONT_FAMILY = 'Inter, system-ui, -apple-system, "Segoe UI", Roboto, sans-serif'
const FONT = `11px ${FONT_FAMILY}`

/** A label of an axis; `at` is 0 (left, bottom) to 1. */
export interface Tick {
  readonly at: number
  readonly text: string
}

export class Plane {
  readonly canvas = document.createElement('canvas')
  readonly context: CanvasRenderingContext2D | null
  private width = 0
  private height = 0

  constructor(parent: HTMLElement) {
    this.canvas.className = 'plane'
    this.context = this.canvas.getContext('2d')
    parent.replaceChildren(this.canvas)
  }

  /** The plot itself, in CSS pixels. */
  get box(): { readonly left: number; readonly top: number; readonly width: number; readonly height: number } {
    return { left: 0, top: TOP, width: this.width - Y_AXIS, height: this.height - TOP - X_AXIS }
  }

  /** An empty picture of this size with its axes, ready to draw into. */
  begin(width: number, height: number, palette: Palette, xs: readonly Tick[], ys: readonly Tick[]): CanvasRenderingContext2D | null {
    const { context, canvas } = this
    if (context === null) return null
    const ratio = devicePixelRatio
    if (width !== this.width || height !== this.height || canvas.width !== Math.round(width * ratio)) {
      this.width = width
      this.height = height
      canvas.width = Math.round(width * ratio)
      canvas.height = Math.round(height * ratio)
    }
    context.setTransform(ratio, 0, 0, ratio, 0, 0)
    context.clearRect(0, 0, width, height)
    const { left, top, width: plotWidth, height: plotHeight } = this.box
    const bottom = top + plotHeight
    context.font = FONT
    context.lineWidth = 1
    context.textBaseline = 'middle'
    context.textAlign = 'left'
    for (const { at, text } of ys) {
      const y = Math.round(bottom - at * plotHeight) + 0.5
      line(context, palette.grid, left, y, left + plotWidth, y)
      context.fillStyle = palette.text3
      context.fillText(text, left + plotWidth + 6, Math.max(y, 7))
    }
    line(context, palette.line2, left, bottom + 0.5, left + plotWidth, bottom + 0.5)
    context.textAlign = 'center'
    context.fillStyle = palette.text3
    for (const { at, text } of xs) {
      const half = context.measureText(text).width / 2
      context.fillText(text, Math.max(left + half + 2, Math.min(left + plotWidth - half, left + at * plotWidth)), bottom + 13)
    }
    return context
  }
}

function line(context: CanvasRenderingContext2D, colour: string, x0: number, y0: number, x1: number, y1: number): void {
  context.strokeStyle = colour
  context.beginPath()
  context.moveTo(x0, y0)
  context.lineTo(x1, y1)
  context.stroke()
}
