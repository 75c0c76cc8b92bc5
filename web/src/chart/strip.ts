/** Draws the time strip: silhouette, alerts, restarts, times, and the frame of the window. */
import { clock, dayOfMonth } from '../format/number'
import type { Episode } from '../model/alert-history'
import { rank } from '../model/alerts'
import type { Silhouette, StripScale } from '../model/strip'
import type { Span } from '../model/span'
import type { Palette } from '../theme'
import { withAlpha } from '../theme'
import { timeSplits, timeStep } from './scale'

/** The track; below it are the times (CSS pixels). */
const TOP = 4
const TRACK = 21
const LABELS = 37
/** A bar of an alert, and how far below each other those of other severities are. */
const BAR = 2
const BELOW = 3
const DAY_MS = 86_400_000

export interface Picture {
  readonly scale: StripScale
  readonly window: Span
  readonly paused: boolean
  readonly live: boolean
  readonly silhouette: Silhouette
  readonly episodes: readonly Episode[]
  readonly restarts: readonly number[]
}

export function drawStrip(canvas: HTMLCanvasElement, picture: Picture, palette: Palette): void {
  const ctx = canvas.getContext('2d')
  if (ctx === null) return
  const ratio = devicePixelRatio
  const { scale } = picture
  const height = canvas.clientHeight
  if (canvas.width !== Math.round(scale.width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(scale.width * ratio)
    canvas.height = Math.round(height * ratio)
  }
  ctx.setTransform(ratio, 0, 0, ratio, 0, 0)
  ctx.clearRect(0, 0, scale.width, height)
  ctx.fillStyle = palette.sunk
  ctx.fillRect(0, TOP, scale.width, TRACK)
  drawSilhouette(ctx, picture, palette)
  drawAlerts(ctx, picture, palette)
  drawFrame(ctx, picture, palette)
  drawTimes(ctx, picture, palette)
}

function drawSilhouette(ctx: CanvasRenderingContext2D, { scale, silhouette: { times, heights, step } }: Picture, palette: Palette): void {
  ctx.fillStyle = palette.line2
  for (let i = 0; i < times.length; i++) {
    const time = times[i] ?? 0
    const share = heights[i] ?? 0
    // A point tells of the step behind it.
    const left = scale.toX(time - step)
    // What is known is never nothing: a line at the ground.
    const tall = 1 + share * (TRACK - 6)
    ctx.fillRect(left, TOP + TRACK - tall, Math.max(1, scale.toX(time) - left + 0.5), tall)
  }
}

function drawAlerts(ctx: CanvasRenderingContext2D, { scale, episodes }: Picture, palette: Palette): void {
  const shown = episodes.filter((one) => !one.pending)
  const rows = [...new Set(shown.map((one) => rank(one.severity)))].sort((a, b) => b - a)
  for (const { severity, from, to } of shown) {
    const left = Math.max(0, Number.isNaN(from) ? 0 : scale.toX(from))
    const right = Math.min(scale.width, Number.isNaN(to) ? scale.width : scale.toX(to))
    if (right <= 0 || left >= scale.width) continue
    ctx.fillStyle = palette.severity[severity]
    ctx.fillRect(left, TOP + rows.indexOf(rank(severity)) * BELOW, Math.max(2, right - left), BAR)
  }
}

function drawFrame(ctx: CanvasRenderingContext2D, { scale, window, paused, live, restarts }: Picture, palette: Palette): void {
  for (const restart of restarts) {
    const x = Math.round(scale.toX(restart)) + 0.5
    ctx.fillStyle = palette.text3
    ctx.fillRect(x - 0.5, TOP, 1, TRACK)
    ctx.beginPath()
    ctx.moveTo(x - 3.5, TOP + TRACK + 4)
    ctx.lineTo(x + 3.5, TOP + TRACK + 4)
    ctx.lineTo(x, TOP + TRACK)
    ctx.fill()
  }
  const [left, right] = scale.frame(window)
  const colour = paused ? palette.warning : live ? palette.accent : palette.other
  ctx.fillStyle = withAlpha(colour, 0.14)
  ctx.fillRect(left, TOP - 1, right - left, TRACK + 2)
  ctx.lineWidth = 1.5
  ctx.strokeStyle = colour
  ctx.strokeRect(left + 0.75, TOP - 1, Math.max(1, right - left - 1.5), TRACK + 2)
}

function drawTimes(ctx: CanvasRenderingContext2D, { scale }: Picture, palette: Palette): void {
  const { span, width } = scale
  ctx.font = '11px Inter, system-ui, -apple-system, "Segoe UI", Roboto, sans-serif'
  ctx.fillStyle = palette.text3
  ctx.textBaseline = 'alphabetic'
  ctx.textAlign = 'right'
  ctx.fillText('now', width, LABELS)
  const room = width - 40
  ctx.textAlign = 'center'
  // Half as many as on a chart: it is looked over, not read.
  const step = timeStep(span.to - span.from, width / 2)
  for (const time of timeSplits(span.from, span.to, step)) {
    const x = scale.toX(time)
    if (x > 20 && x < room) ctx.fillText(step < DAY_MS ? clock(time, step < 60_000) : dayOfMonth(time), x, LABELS)
  }
}
