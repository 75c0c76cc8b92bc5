/**
 * A place for a card, as large as a card, which is filled when it comes near the screen: with five hundred families most
 * are never looked at. It has the card's name and takes the focus as a card does, and then gives it to the card.
 */
import type { ComponentChildren } from 'preact'
import { useEffect, useRef, useState } from 'preact/hooks'

const fills = new WeakMap<Element, () => void>()

const near = new IntersectionObserver(
  (entries) => {
    for (const { target, isIntersecting } of entries) if (isIntersecting) fills.get(target)?.()
  },
  { rootMargin: '100% 0px' },
)

interface Props {
  readonly name: string
  readonly children: ComponentChildren
}

export function Near({ name, children }: Props) {
  const place = useRef<HTMLElement>(null)
  const whole = useRef<HTMLDivElement>(null)
  const [filled, setFilled] = useState(false)
  const focused = useRef(false)
  useEffect(() => {
    const { current } = place
    if (filled || current === null) return
    fills.set(current, () => {
      setFilled(true)
    })
    near.observe(current)
    return () => {
      near.unobserve(current)
    }
  }, [filled])
  useEffect(() => {
    if (filled && focused.current) whole.current?.querySelector<HTMLElement>('.card')?.focus()
  }, [filled])
  if (filled) return <div class="place" ref={whole}>{children}</div>
  return (
    <article
      class="card"
      ref={place}
      tabIndex={0}
      data-family={name}
      aria-label={name}
      onFocus={() => {
        focused.current = true
        setFilled(true)
      }}
    />
  )
}
