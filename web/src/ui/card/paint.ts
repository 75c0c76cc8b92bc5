/** Words and bars on an image, for what a card shows without a canvas. */
import type { Page } from '../../page'

export const FONT_FAMILY = 'Inter, system-ui, -apple-system, "Segoe UI", Roboto, sans-serif'
const ROW = 22

export interface Row {
  readonly label: string
  readonly value: string
  /** Length of a bar, 0..1; none without. */
  readonly share?: number
}

/** Rows of label, bar and value, as many as there is room for. */
export function paintRows(context: CanvasRenderingContext2D, page: Page, width: number, height: number, rows: readonly Row[]): void {
  const { palette } = page
  context.font = `12px ${FONT_FAMILY}`
  context.textBaseline = 'middle'
  rows.slice(0, Math.floor(height / ROW)).forEach(({ label, value, share }, i) => {
    const y = (i + 0.5) * ROW
    context.fillStyle = palette.text3
    context.textAlign = 'left'
    context.fillText(label, 12, y, share === undefined ? width - 110 : width * 0.35)
    if (share !== undefined) {
      context.fillStyle = palette.series[0] ?? palette.other
      context.fillRect(width * 0.4, y - 4, Math.max(0, share) * (width * 0.6 - 100), 8)
    }
    context.fillStyle = palette.text
    context.textAlign = 'right'
    context.fillText(value, width - 12, y, 88)
  })
  context.textAlign = 'left'
}
