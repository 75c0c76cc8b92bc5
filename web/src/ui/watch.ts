/** Tells cards when they come near the screen and how wide they are: two observers for the whole page. */
import type { LiveCard } from './card'

const byElement = new Map<Element, LiveCard>()

// A screen of margin: what is scrolled to is already drawn.
const near = new IntersectionObserver(
  (entries) => {
    for (const entry of entries) byElement.get(entry.target)?.setNear(entry.isIntersecting)
  },
  { rootMargin: '100% 0px' },
)
const width = new ResizeObserver((entries) => {
  for (const entry of entries) byElement.get(entry.target)?.setWidth(Math.floor(entry.contentRect.width))
})

/** Watches a card by its element, its width by that of its body; returns the end of it. */
export function watch(element: Element, body: Element, card: LiveCard): () => void {
  byElement.set(element, card)
  byElement.set(body, card)
  near.observe(element)
  width.observe(body)
  return () => {
    near.unobserve(element)
    width.unobserve(body)
    byElement.delete(element)
    byElement.delete(body)
  }
}
