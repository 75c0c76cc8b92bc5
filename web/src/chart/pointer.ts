/**
 * What mouse and finger do on a plot: pointing moves the cursor of the whole page, a click pins it, dragging selects a range,
 * a double click undoes that. A finger moves the cursor sideways; up and down it scrolls the page (`touch-action: pan-y`).
 */
import type uPlot from 'uplot'

/** What is pointed at, and what comes of it; the page. */
export interface Pointed {
  /** The moment all charts tell of (ms), or null. */
  readonly cursor: number | null
  readonly pinned: boolean
  point(time: number | null): void
  pin(time: number | null): void
  select(span: { readonly from: number; readonly to: number }): void
  undoSelect(): void
}

/** A move of fewer pixels is a click. */
const SLIP = 5

export class Pointer {
  /** Where a mouse is over this plot (CSS pixels from its left), or null. */
  private over: number | null = null
  private pressed: { readonly at: number; dragged: boolean; readonly touch: boolean } | null = null

  constructor(
    private readonly plot: uPlot,
    private readonly pointed: Pointed,
  ) {
    const { over } = plot
    over.addEventListener('pointerdown', (event) => {
      this.press(event)
    })
    over.addEventListener('pointermove', (event) => {
      this.move(event)
    })
    over.addEventListener('pointerup', (event) => {
      this.release(event)
    })
    over.addEventListener('pointercancel', () => {
      // The browser scrolls.
      this.pressed = null
      this.showSelected(0, 0)
    })
    over.addEventListener('pointerleave', (event) => {
      if (event.pointerType === 'touch' || this.pressed !== null) return
      this.over = null
      pointed.point(null)
    })
    over.addEventListener('dblclick', () => {
      pointed.undoSelect()
    })
  }

  /** The picture has moved under a mouse that rests: it points at another moment now. */
  again(): void {
    if (this.over !== null && this.pressed === null) this.pointed.point(this.timeAt(this.over))
  }

  private press(event: PointerEvent): void {
    if (event.button !== 0 || isLink(event.target)) return
    this.pressed = { at: this.leftOf(event), dragged: false, touch: event.pointerType === 'touch' }
    this.plot.over.setPointerCapture(event.pointerId)
  }

  private move(event: PointerEvent): void {
    const left = this.leftOf(event)
    const { pressed, pointed } = this
    if (event.pointerType !== 'touch') this.over = left
    if (pressed !== null && Math.abs(left - pressed.at) > SLIP) pressed.dragged = true
    if (pressed?.dragged !== true) {
      if (pressed === null) pointed.point(this.timeAt(left))
      return
    }
    if (pressed.touch) {
      if (pointed.pinned) pointed.pin(null)
      pointed.point(this.timeAt(left))
    } else this.showSelected(pressed.at, left)
  }

  private release(event: PointerEvent): void {
    const { pressed, pointed } = this
    if (pressed === null) return
    this.pressed = null
    this.showSelected(0, 0)
    const left = this.leftOf(event)
    if (!pressed.dragged) pointed.pin(pointed.pinned ? null : this.timeAt(left))
    else if (pressed.touch) pointed.pin(this.timeAt(left))
    else pointed.select({ from: this.timeAt(Math.min(pressed.at, left)), to: this.timeAt(Math.max(pressed.at, left)) })
  }

  private showSelected(from: number, to: number): void {
    this.plot.setSelect({ left: Math.min(from, to), width: Math.abs(to - from), top: 0, height: this.plot.over.clientHeight }, false)
  }

  private leftOf(event: PointerEvent): number {
    const { left, width } = this.plot.over.getBoundingClientRect()
    return Math.max(0, Math.min(width, event.clientX - left))
  }

  private timeAt(left: number): number {
    return this.plot.posToVal(left, 'x')
  }
}

function isLink(target: EventTarget | null): boolean {
  return target instanceof Element && target.closest('a') !== null
}

/** uPlot's own handling of the mouse, switched off. */
export const NO_BINDINGS: uPlot.Cursor.Bind = Object.fromEntries(
  (['mousedown', 'mouseup', 'click', 'dblclick', 'mousemove', 'mouseleave', 'mouseenter'] as const).map((type) => [type, () => null]),
)
