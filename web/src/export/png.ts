/** A card as an image: title, value, picture and legend, in the present theme. */
import { FONT_FAMILY } from '../chart/plane'
import type { Palette } from '../theme'

const SCALE = 2
const HEADER = 56
const LEGEND_ROW = 22
const PADDING = 12

/** An entry of the legend; without a colour it is words alone. */
export interface LegendItem {
  readonly text: string
  readonly colour: string | null
}

export interface Picture {
  readonly title: string
  readonly source: string
  readonly value: string
  readonly word: string
  readonly legend: readonly LegendItem[]
  /** Of the drawing, in CSS pixels. */
  readonly width: number
  readonly height: number
  readonly paint: (context: CanvasRenderingContext2D, width: number, height: number) => void
}

export function drawPng({ title, source, value, word, legend, width, height, paint }: Picture, palette: Palette): HTMLCanvasElement {
  const canvas = document.createElement('canvas')
  const context = canvas.getContext('2d')
  if (context === null) return canvas
  const places = flow(legend, width - 2 * PADDING, (text) => {
    context.font = `12px ${FONT_FAMILY}`
    return context.measureText(text).width
  })
  const rows = Math.max(1, ...places.map(({ row }) => row + 1))
  canvas.width = width * SCALE
  canvas.height = (HEADER + height + rows * LEGEND_ROW + PADDING) * SCALE
  context.scale(SCALE, SCALE)
  context.fillStyle = palette.card
  context.fillRect(0, 0, canvas.width, canvas.height)
  const text = (what: string, x: number, y: number, font: string, colour: string, most: number, align: CanvasTextAlign = 'left') => {
    context.font = font
    context.fillStyle = colour
    context.textAlign = align
    context.textBaseline = 'alphabetic'
    context.fillText(what, x, y, most)
  }
  text(title, PADDING, 24, `600 13px ${FONT_FAMILY}`, palette.text, width * 0.6)
  text(source, PADDING, 42, '11px ui-monospace, monospace', palette.text3, width * 0.6)
  text(value, width - PADDING, 26, `600 20px ${FONT_FAMILY}`, palette.text, width * 0.35, 'right')
  text(word, width - PADDING, 44, `12px ${FONT_FAMILY}`, palette.text3, width * 0.35, 'right')
  context.save()
  context.translate(0, HEADER)
  paint(context, width, height)
  context.restore()
  legend.forEach(({ text: words, colour }, i) => {
    const { x = 0, row = 0 } = places[i] ?? {}
    const y = HEADER + height + PADDING + row * LEGEND_ROW
    if (colour !== null) {
      context.fillStyle = colour
      context.fillRect(PADDING + x, y, 10, 3)
    }
    text(words, PADDING + x + (colour === null ? 0 : 16), y + 5, `12px ${FONT_FAMILY}`, palette.text2, width)
  })
  return canvas
}

/** Where the entries of a legend stand: one after another, in a new row where there is no room. */
export function flow(legend: readonly LegendItem[], width: number, measure: (text: string) => number): readonly { readonly x: number; readonly row: number }[] {
  let x = 0
  let row = 0
  return legend.map(({ text, colour }) => {
    const own = measure(text) + (colour === null ? 0 : 16)
    if (x > 0 && x + own > width) {
      x = 0
      row++
    }
    const place = { x, row }
    x += own + 16
    return place
  })
}
