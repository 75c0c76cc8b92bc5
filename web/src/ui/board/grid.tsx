/**
 * The cards of a board on its grid, and the handles to arrange them by: with mouse, pen and finger, and by the keyboard. While
 * something is dragged all the others stand still and an outline shows where it will be; they give way when it is let go.
 */
import { useEffect, useLayoutEffect, useRef } from 'preact/hooks'
import { bottom, clamp, COLUMNS, inOrder, put, reorder, said, step } from '../../model/board/layout'
import type { Place } from '../../model/board/layout'
import type { BoardCard } from '../../model/board/schema'
import type { Page } from '../../page'
import { SpecCard } from '../spec-card'
import { titleOf } from '../title'

/** Height of a row with its gap, as in boards.css. */
const ROW = 50
/** Nearer to the edge of the window than this the page scrolls along, by so much a frame (pixels). */
const EDGE = 56
const SCROLL = 12

interface Props {
  readonly page: Page
  readonly cards: readonly BoardCard[]
  readonly arranging: boolean
  /** The cards are others now, and what was done, in words. */
  readonly change: (cards: readonly BoardCard[], words: string) => void
  readonly edit: (card: BoardCard) => void
  /** Says something to who listens, without a change. */
  readonly say: (words: string) => void
}

/** What a card is called, as on the card itself. */
export function titleOfCard(page: Page, { title, family = '', query }: BoardCard): string {
  const known = page.store.families.get(family)
  return title ?? query ?? (known === undefined ? family : titleOf(known))
}

export function Grid({ page, cards, arranging, change, edit, say }: Props) {
  const grid = useRef<HTMLDivElement>(null)
  const outline = useRef<HTMLDivElement>(null)
  const held = useRef<number | null>(null)
  useLayoutEffect(() => {
    // Moved in the document, the handle has lost the focus that is still meant for it.
    if (held.current !== null) grid.current?.querySelector<HTMLElement>(`[data-card="${held.current}"] .handle`)?.focus({ preventScroll: false })
    held.current = null
  }, [cards])

  const moved = (card: BoardCard, next: readonly BoardCard[]) => {
    const after = next.find(({ id }) => id === card.id)
    if (after === undefined || next === cards) say(`${titleOfCard(page, card)} cannot go further.`)
    else {
      held.current = card.id
      change(next, `${titleOfCard(page, card)}: ${said(after)}.`)
    }
  }
  const remove = (card: BoardCard) => {
    const at = cards.indexOf(card)
    held.current = (cards[at + 1] ?? cards[at - 1])?.id ?? null
    change(cards.filter((one) => one !== card), `${titleOfCard(page, card)} removed.`)
  }
  const pressed = (event: KeyboardEvent, card: BoardCard) => {
    const by = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key]
    if (event.ctrlKey || event.metaKey || event.altKey) return
    if (by !== undefined) {
      const [dx = 0, dy = 0] = by
      const sized = clamp({ ...card, w: card.w + (card.x + card.w + dx > COLUMNS ? 0 : dx), h: card.h + dy })
      moved(card, event.shiftKey ? (same(card, sized) ? cards : put(cards, card.id, sized)) : unlessSame(cards, step(cards, card.id, dx, dy)))
    } else if (event.key === 'Delete' || event.key === 'Backspace') remove(card)
    else if (event.key === 'Enter') edit(card)
    else return
    event.preventDefault()
  }

  return (
    <div class={arranging ? 'board arranging' : 'board'} ref={grid}>
      {inOrder(cards).map((card, i) => (
        <Slot key={card.id} card={card}>
          <SpecCard page={page} spec={card} place={i} />
          {arranging && (
            <Bar
              card={card}
              title={titleOfCard(page, card)}
              pressed={pressed}
              edit={edit}
              remove={remove}
              drag={(event, kind) => {
                if (grid.current === null || outline.current === null) return
                drag(event, kind, card, cards, grid.current, outline.current, (next) => {
                  moved(card, next)
                })
              }}
            />
          )}
        </Slot>
      ))}
      <div class="outline" ref={outline} hidden />
    </div>
  )
}

function same(a: Place, b: Place): boolean {
  return a.x === b.x && a.y === b.y && a.w === b.w && a.h === b.h
}

/** The cards there were, if nothing has moved. */
function unlessSame(cards: readonly BoardCard[], next: readonly BoardCard[]): readonly BoardCard[] {
  return next.every((card) => cards.some((one) => one.id === card.id && same(one, card))) ? cards : next
}

function stand(element: HTMLElement, { x, y, w, h }: Place): void {
  for (const [name, value] of [['--x', x + 1], ['--y', y + 1], ['--w', w], ['--h', h]] as const) element.style.setProperty(name, String(value))
}

function Slot({ card, children }: { card: BoardCard; children: preact.ComponentChildren }) {
  const slot = useRef<HTMLDivElement>(null)
  useLayoutEffect(() => {
    if (slot.current !== null) stand(slot.current, card)
  }, [card])
  return (
    <div class="slot" ref={slot} data-card={card.id}>
      {children}
    </div>
  )
}

interface BarProps {
  readonly card: BoardCard
  readonly title: string
  readonly pressed: (event: KeyboardEvent, card: BoardCard) => void
  readonly edit: (card: BoardCard) => void
  readonly remove: (card: BoardCard) => void
  readonly drag: (event: PointerEvent, kind: 'move' | 'size') => void
}

/** What a card can be taken by, over its header. */
function Bar({ card, title, pressed, edit, remove, drag }: BarProps) {
  return (
    <>
      <div class="card-bar">
        <button
          type="button"
          class="handle"
          aria-label={`Move ${title}`}
          aria-describedby="arrange-keys"
          title="Drag to move; arrows move, Shift and arrows resize, Enter edits, Delete removes"
          onPointerDown={(event) => { drag(event, 'move') }}
          onKeyDown={(event) => { pressed(event, card) }}
        >
          <svg viewBox="0 0 24 24" aria-hidden="true">
            <path d="M9 6h.01M15 6h.01M9 12h.01M15 12h.01M9 18h.01M15 18h.01" />
          </svg>
          <span>{title}</span>
        </button>
        <button type="button" aria-label={`Edit ${title}`} onClick={() => { edit(card) }}>
          Edit
        </button>
        <button type="button" class="square" aria-label={`Remove ${title}`} title="Remove" onClick={() => { remove(card) }}>
          <svg viewBox="0 0 24 24" aria-hidden="true">
            <path d="M6 6l12 12M18 6L6 18" />
          </svg>
        </button>
      </div>
      {/* For the mouse and the finger; the keyboard has Shift and arrows on the handle. */}
      <div class="corner" title="Drag to resize" onPointerDown={(event) => { drag(event, 'size') }} />
    </>
  )
}

/** One drag, from the press to the release. Escape, or a finger that the system takes, leaves all as it was. */
function drag(
  start: PointerEvent,
  kind: 'move' | 'size',
  card: BoardCard,
  cards: readonly BoardCard[],
  grid: HTMLElement,
  outline: HTMLElement,
  done: (cards: readonly BoardCard[]) => void,
): void {
  const handle = start.currentTarget
  const slot = grid.querySelector<HTMLElement>(`[data-card="${card.id}"]`)
  if (!(handle instanceof HTMLElement) || slot === null || start.button !== 0) return
  handle.setPointerCapture(start.pointerId)
  const ended = new AbortController()
  const { signal } = ended
  const narrow = getComputedStyle(grid).gridTemplateColumns.split(' ').length === 1
  const gap = parseFloat(getComputedStyle(grid).columnGap)
  const column = (grid.clientWidth + gap) / COLUMNS
  const scrolledAt = scrollY
  let point = { x: start.clientX, y: start.clientY }
  let next: (() => readonly BoardCard[]) | null = null
  let frame = 0

  const follow = () => {
    const dx = point.x - start.clientX
    const dy = point.y - start.clientY + scrollY - scrolledAt
    if (Math.hypot(dx, dy) < 4 && next === null) return
    slot.classList.add('dragged')
    if (kind === 'move') {
      slot.style.setProperty('--dx', `${narrow ? 0 : dx}px`)
      slot.style.setProperty('--dy', `${dy}px`)
    }
    outline.hidden = false
    if (narrow && kind === 'move') {
      const index = orderAt(grid, slot, point.y, outline)
      next = () => reorder(cards, card.id, index)
      return
    }
    const columns = narrow ? 0 : Math.round(dx / column)
    const rows = Math.round(dy / ROW)
    const place = clamp(
      kind === 'move'
        ? { ...card, x: card.x + columns, y: Math.min(card.y + rows, bottom(cards)) }
        : { ...card, w: Math.min(card.w + columns, COLUMNS - card.x), h: card.h + rows },
    )
    stand(outline, place)
    outline.classList.toggle('narrow', narrow)
    if (narrow) over(outline, slot.offsetTop, place.h * ROW - gap)
    next = () => (same(place, card) ? cards : put(cards, card.id, place))
  }
  /** Near the edge the page goes along for as long as the pointer is there. */
  const scroll = () => {
    const by = point.y > innerHeight - EDGE ? SCROLL : point.y < EDGE + 49 ? -SCROLL : 0
    if (by !== 0) {
      scrollBy({ top: by, behavior: 'instant' })
      follow()
    }
    frame = requestAnimationFrame(scroll)
  }
  const end = (keep: boolean) => {
    ended.abort()
    cancelAnimationFrame(frame)
    slot.classList.remove('dragged')
    slot.style.removeProperty('--dx')
    slot.style.removeProperty('--dy')
    outline.hidden = true
    outline.classList.remove('narrow')
    if (!keep || next === null) return
    const after = next()
    if (unlessSame(cards, after) !== cards) done(after)
  }
  handle.addEventListener('pointermove', (event) => {
    point = { x: event.clientX, y: event.clientY }
    follow()
  }, { signal })
  handle.addEventListener('pointerup', () => { end(true) }, { signal })
  handle.addEventListener('pointercancel', () => { end(false) }, { signal })
  addEventListener('keydown', (event) => {
    if (event.key !== 'Escape') return
    event.preventDefault()
    event.stopPropagation()
    end(false)
  }, { signal, capture: true })
  frame = requestAnimationFrame(scroll)
}

/** On one column: before which card the pointer is; the outline is a line there. */
function orderAt(grid: HTMLElement, slot: HTMLElement, y: number, outline: HTMLElement): number {
  const others = [...grid.querySelectorAll<HTMLElement>('.slot')].filter((one) => one !== slot)
  const found = others.findIndex((one) => {
    const { top, height } = one.getBoundingClientRect()
    return y < top + height / 2
  })
  const index = found < 0 ? others.length : found
  const after = others[index]
  const before = others[index - 1]
  outline.classList.add('narrow')
  over(outline, after === undefined ? (before?.offsetTop ?? 0) + (before?.offsetHeight ?? 0) + 2 : after.offsetTop - 6, 4)
  return index
}

function over(outline: HTMLElement, top: number, height: number): void {
  outline.style.setProperty('--top', `${top}px`)
  outline.style.setProperty('--height', `${height}px`)
}

/** Calls `undo` on Ctrl+Z or ⌘Z, outside of fields. */
export function useUndoKey(undo: () => void): void {
  const latest = useRef(undo)
  latest.current = undo
  useEffect(() => {
    const pressed = (event: KeyboardEvent) => {
      if (!(event.ctrlKey || event.metaKey) || event.key.toLowerCase() !== 'z' || event.shiftKey) return
      if (event.target instanceof Element && event.target.closest('input, textarea, select, dialog') !== null) return
      event.preventDefault()
      latest.current()
    }
    addEventListener('keydown', pressed)
    return () => {
      removeEventListener('keydown', pressed)
    }
  }, [])
}
