/** Tells what is drawn when it comes near the screen or onto it, and how large it is: three observers for the whole page. */

/** What can be told: a card, a sparkline. */
export interface Watched {
  setNear(near: boolean): void
  setSeen(seen: boolean): void
  setSize(width: number, height: number): void
}

/**
 * Whether something is worth drawing: as often as it is asked for while it is on the screen, and once when it comes near or
 * becomes another, so that what is scrolled to is already there.
 */
export class Sight {
  /** At most a screen away. */
  near = false
  /** Some of it is on the screen. */
  seen = false
  private due = false

  setNear(near: boolean): void {
    this.near = near
    this.due = near
  }

  /** It is another than before: another view, another size, more of the past. */
  changed(): void {
    this.due = true
  }

  /** Asked by what is about to be drawn. */
  get wanted(): boolean {
    return this.near && (this.seen || this.due)
  }

  drawn(): void {
    this.due = false
  }
}

const byElement = new Map<Element, Watched>()

// A screen of margin: what is scrolled to is already drawn.
const near = new IntersectionObserver(
  (entries) => {
    for (const entry of entries) byElement.get(entry.target)?.setNear(entry.isIntersecting)
  },
  { rootMargin: '100% 0px' },
)
const seen = new IntersectionObserver((entries) => {
  for (const entry of entries) byElement.get(entry.target)?.setSeen(entry.isIntersecting)
})
const size = new ResizeObserver((entries) => {
  for (const { target, contentRect } of entries) byElement.get(target)?.setSize(Math.floor(contentRect.width), Math.floor(contentRect.height))
})

/** Watches something by its element, its size by that of `body`; returns the end of it. */
export function watch(element: Element, body: Element, watched: Watched): () => void {
  byElement.set(element, watched)
  byElement.set(body, watched)
  near.observe(element)
  seen.observe(element)
  size.observe(body)
  return () => {
    near.unobserve(element)
    seen.unobserve(element)
    size.unobserve(body)
    byElement.delete(element)
    byElement.delete(body)
  }
}
