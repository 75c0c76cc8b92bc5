/** A number in the page that follows the stream: set as a text node at most twice a second, without rendering. */
import { useEffect, useRef } from 'preact/hooks'
import type { Shown } from '../format/number'
import type { Card, Page } from '../page'

const TEXT_MS = 500

interface Props {
  readonly page: Page
  readonly read: () => Shown
}

export function LiveText({ page, read }: Props) {
  const number = useRef<HTMLSpanElement>(null)
  const unit = useRef<HTMLSpanElement>(null)
  const reader = useRef(read)
  reader.current = read
  useEffect(() => {
    let setAt = -Infinity
    const card: Card = {
      rank: () => Infinity,
      restyle: () => {
        setAt = -Infinity
      },
      textsDue: () => {
        setAt = -Infinity
      },
      draw: () => {
        const now = performance.now()
        if (now - setAt < TEXT_MS - 20) return
        setAt = now
        const shown = reader.current()
        set(number.current, shown.text)
        set(unit.current, shown.unit)
      },
    }
    page.cards.add(card)
    card.draw()
    return () => {
      page.cards.delete(card)
      page.queue.forget(card)
    }
  }, [page])
  return (
    <>
      <span class="value" ref={number} /> <span class="unit" ref={unit} />
    </>
  )
}

function set(element: HTMLElement | null, text: string): void {
  if (element !== null && element.textContent !== text) element.textContent = text
}
