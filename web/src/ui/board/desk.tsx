/** One board, and what can be done with it: arrange, add, edit, undo, share. */
import type { RefObject } from 'preact'
import { useEffect, useState } from 'preact/hooks'
import { put, room } from '../../model/board/layout'
import type { Board, BoardCard } from '../../model/board/schema'
import { MOST_CARDS, MOST_TITLE, spanText } from '../../model/board/schema'
import type { Page } from '../../page'
import type { Others } from '../../pages/boards'
import { CardForm } from './card-form'
import { Grid, titleOfCard, useUndoKey } from './grid'
import { ImportDialog, ShareDialog } from './share'

/** So many steps can be taken back. */
const MOST_UNDO = 50
/** Live queries of a connection (docs/protocol.md). */
const MOST_QUERIES = 32

interface Props {
  readonly page: Page
  readonly board: Board
  /** A card that is new here and is to be seen. */
  readonly fresh: RefObject<number | null> | null
  readonly others: Others
  /** Where it is kept, in words. */
  readonly where: string
  readonly change: (board: Board) => void
  readonly rename: (title: string) => void
  readonly remove: (() => void) | null
}

type Opened = 'add' | 'share' | 'import' | BoardCard | null

export function Desk({ page, board, fresh, others, where, change, rename, remove }: Props) {
  const [arranging, setArranging] = useState(false)
  const [opened, setOpened] = useState<Opened>(null)
  const [past, setPast] = useState<readonly Board[]>([])
  const [told, setTold] = useState('')
  const { cards } = board
  const close = () => { setOpened(null) }

  useEffect(() => {
    if (fresh?.current == null) return
    document.querySelector(`[data-card="${fresh.current}"]`)?.scrollIntoView({ block: 'center' })
    fresh.current = null
  }, [])

  const set = (next: readonly BoardCard[], words: string) => {
    setPast([...past.slice(-(MOST_UNDO - 1)), board])
    change({ ...board, cards: next })
    setTold(words)
  }
  const undo = () => {
    const before = past.at(-1)
    if (before === undefined) return
    setPast(past.slice(0, -1))
    // The title has its own way.
    change({ ...before, title: board.title })
    setTold('Undone.')
  }
  useUndoKey(undo)

  const queries = new Set(cards.flatMap(({ query, against }) => [query, against].filter((one) => one !== undefined))).size
  const facts = [
    `${cards.length} ${cards.length === 1 ? 'card' : 'cards'}`,
    where,
    ...(queries > MOST_QUERIES ? [`${queries} live queries, and a connection has ${MOST_QUERIES}: cards beyond say so`] : []),
  ]
  return (
    <>
      <div class="headline">
        <h1>{board.title}</h1>
        <p>{facts.join(' · ')}</p>
      </div>
      <div class="tools" role="group" aria-label="Board">
        <select aria-label="Board" value={others.titles.includes(board.title) && where !== 'from a link' ? board.title : ''} onChange={(event) => { others.open(event.currentTarget.value) }}>
          {where === 'from a link' && <option value="">{board.title}</option>}
          {others.titles.map((title) => (
            <option key={title} value={title}>
              {title}
            </option>
          ))}
        </select>
        <button type="button" disabled={cards.length >= MOST_CARDS} title={cards.length >= MOST_CARDS ? `A board has at most ${MOST_CARDS} cards` : undefined} onClick={() => { setOpened('add') }}>
          Add a card
        </button>
        <button type="button" aria-pressed={arranging} onClick={() => { setArranging(!arranging) }}>
          Arrange
        </button>
        <button type="button" disabled={past.length === 0} onClick={undo}>
          Undo
        </button>
        <button type="button" onClick={() => { setOpened('share') }}>
          Share
        </button>
        <button type="button" onClick={() => { setOpened('import') }}>
          Import
        </button>
        <button type="button" onClick={others.create}>
          New board
        </button>
      </div>
      {arranging && (
        <div class="tools">
          <TitleField title={board.title} rename={rename} />
          {remove !== null && (
            <button type="button" onClick={remove}>
              Remove this board
            </button>
          )}
          <p id="arrange-keys">Drag a card by its bar. On the bar, arrows move, Shift and arrows resize, Enter edits, Delete removes; Ctrl Z takes back.</p>
        </div>
      )}
      <p class="unseen" role="status">{told}</p>
      {cards.length === 0 ? (
        <p class="nothing">
          No card yet.{' '}
          <button type="button" class="link" onClick={() => { setOpened('add') }}>
            Add a card
          </button>{' '}
          here, or from the menu of any card.
        </p>
      ) : (
        <Grid page={page} cards={cards} arranging={arranging} change={set} edit={setOpened} say={setTold} />
      )}
      {opened === 'share' && <ShareDialog board={{ ...board, window: spanText(page.windowMs) }} close={close} />}
      {opened === 'import' && <ImportDialog close={close} take={others.take} />}
      {opened === 'add' && (
        <CardForm
          page={page}
          card={null}
          close={close}
          save={(spec, { w, h }) => {
            const id = Math.max(-1, ...cards.map((card) => card.id)) + 1
            const card = { ...spec, ...room(cards, w, h), id }
            set([...cards, card], `${titleOfCard(page, card)} added.`)
          }}
        />
      )}
      {opened !== null && typeof opened === 'object' && (
        <CardForm
          page={page}
          card={opened}
          close={close}
          save={(spec, size, at) => {
            const card = { ...spec, id: opened.id, x: opened.x, y: opened.y, w: opened.w, h: opened.h }
            const next = cards.map((one) => (one.id === opened.id ? card : one))
            set(put(next, opened.id, { ...card, ...at, ...size }), `${titleOfCard(page, card)} changed.`)
          }}
        />
      )}
    </>
  )
}

/** Renamed when Enter is pressed or the field is left, not at each letter: the title is in the address. */
function TitleField({ title, rename }: { title: string; rename: (title: string) => void }) {
  const [text, setText] = useState(title)
  const done = () => {
    const wanted = text.trim()
    if (wanted !== '' && wanted !== title) rename(wanted)
  }
  return (
    <form class="named" onSubmit={(event) => { event.preventDefault(); done() }}>
      <label>
        Title <input type="text" maxLength={MOST_TITLE} value={text} onInput={(event) => { setText(event.currentTarget.value) }} onBlur={done} />
      </label>
    </form>
  )
}
