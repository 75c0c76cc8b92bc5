/**
 * Draws what is dirty and visible, at most 4 ms a frame; the rest waits for the next. Nothing dirty, no frame.
 *
 * The clock and the frame request are given, so that it can be tested.
 */
export interface Drawable {
  /** Lower is drawn first: hovered, then topmost. */
  rank(): number
  draw(): void
}

/** What one frame may take; the rest of its 16 ms belongs to input, layout and the compositor. */
export const BUDGET_MS = 4

export class DrawQueue {
  private readonly dirty = new Set<Drawable>()
  private requested = false

  constructor(
    private readonly now: () => number,
    private readonly request: (frame: () => void) => void,
  ) {}

  /** Marks a card; it is never queued twice. */
  mark(card: Drawable): void {
    this.dirty.add(card)
    if (!this.requested) {
      this.requested = true
      this.request(this.frame)
    }
  }

  forget(card: Drawable): void {
    this.dirty.delete(card)
  }

  private readonly frame = () => {
    this.requested = false
    const start = this.now()
    const waiting = [...this.dirty].sort((a, b) => a.rank() - b.rank())
    for (const card of waiting) {
      this.dirty.delete(card)
      card.draw()
      if (this.now() - start >= BUDGET_MS) break
    }
    if (this.dirty.size > 0) {
      this.requested = true
      this.request(this.frame)
    }
  }
}
