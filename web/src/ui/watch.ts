/** Tells what is drawn when it comes near the screen or onto it, and how large it is: three observers for the whole page. */

/** What can be told: a card, a sparkline. */
export interface Watched {
  setNear(near: boolean): void
  setSeen(seen: boolean): void
  setSize(width: number, height: number): void
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
