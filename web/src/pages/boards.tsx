/**
 * Boards: cards in an arrangement of one's own. Those of this browser, those that are made for what is here, and one that a
 * link brings, which stays in the address until somebody keeps it.
 */
import { useEffect, useReducer, useRef, useState } from 'preact/hooks'
import { builtInBoards } from '../model/board/built-in'
import { freeTitle, Kept } from '../model/board/kept'
import { HEIGHT, room, WIDTH } from '../model/board/layout'
import { fromLink, LinkError, toLink } from '../model/board/link'
import type { Board } from '../model/board/schema'
import { checkCard, spanMs } from '../model/board/schema'
import { nearest } from '../model/search'
import type { CardSpec } from '../model/spec'
import type { Page } from '../page'
import { hrefOf } from '../route'
import { Desk } from '../ui/board/desk'
import { useTopics } from '../ui/hooks'
import type { PageProps } from '../ui/pages'

const NEW = 'New board'

export function Boards({ page }: PageProps) {
  useTopics(page, 'structure', 'view')
  const [, again] = useReducer<number, null>((n) => n + 1, 0)
  const [kept] = useState(() => new Kept(() => localStorage))
  const [removed, setRemoved] = useState<Board | null>(null)
  /** A card that was just added, to be shown. */
  const fresh = useRef<number | null>(null)
  useEffect(() => {
    const changed = () => {
      kept.read()
      again(null)
    }
    addEventListener('storage', changed)
    return () => {
      removeEventListener('storage', changed)
    }
  }, [kept])

  const builtIn = builtInBoards((name) => page.store.families.has(name))
  const boards = [...builtIn.map((board) => kept.get(board.title) ?? board), ...kept.all.filter(({ title }) => builtIn.every((board) => board.title !== title))]
  const known = (title: string) => boards.some((board) => board.title === title)
  const open = (title: string) => {
    location.hash = hrefOf('boards', title)
  }
  const keep = (board: Board) => {
    kept.keep(board)
    again(null)
  }
  const keepAs = (board: Board) => {
    const title = freeTitle(board.title, known)
    keep({ ...board, title })
    open(title)
  }
  const opened = (board: Board) => {
    const ms = spanMs(board.window ?? '')
    if (!Number.isNaN(ms)) page.setWindow(ms)
    keepAs(board)
  }
  const { about, params } = page.route
  const add = params.get('add') ?? ''
  const link = params.get('board') ?? ''
  const board = boards.find(({ title }) => title === about) ?? (about === '' ? boards[0] : undefined)
  const others = { titles: boards.map(({ title }) => title), open, create: () => { keepAs({ title: NEW, cards: [] }) }, take: opened }

  return (
    <main class="boards">
      {kept.problem !== '' && <p class="remark" role="status">{kept.problem}</p>}
      {removed !== null && (
        <p class="remark" role="status">
          “{removed.title}” was removed.{' '}
          <button type="button" class="link" onClick={() => { keep(removed); setRemoved(null); open(removed.title) }}>
            Undo
          </button>
        </p>
      )}
      {add !== '' ? (
        <Adding
          json={add}
          boards={boards}
          add={(spec, to) => {
            const target = to === '' ? { title: freeTitle(NEW, known), cards: [] } : (boards.find(({ title }) => title === to) ?? { title: to, cards: [] })
            const id = Math.max(-1, ...target.cards.map((card) => card.id)) + 1
            keep({ ...target, cards: [...target.cards, { ...spec, ...room(target.cards, WIDTH, HEIGHT), id }] })
            fresh.current = id
            location.replace(hrefOf('boards', target.title))
          }}
        />
      ) : link !== '' ? (
        <FromLink page={page} text={link} others={others} keep={keepAs} />
      ) : board !== undefined ? (
        <Desk
          key={board.title}
          page={page}
          board={board}
          fresh={fresh}
          others={others}
          where={kept.get(board.title) === undefined ? 'made for what is here' : kept.problem === '' ? 'kept in this browser' : 'kept until the page is closed'}
          change={keep}
          rename={(title) => {
            const free = freeTitle(title, known)
            kept.remove(board.title)
            keep({ ...board, title: free })
            location.replace(hrefOf('boards', free))
          }}
          remove={
            kept.get(board.title) === undefined
              ? null
              : () => {
                  setRemoved(board)
                  kept.remove(board.title)
                  location.replace(hrefOf('boards'))
                  again(null)
                }
          }
        />
      ) : (
        <NoBoard page={page} title={about} others={others} />
      )}
    </main>
  )
}

/** What leads from a board to others. */
export interface Others {
  readonly titles: readonly string[]
  readonly open: (title: string) => void
  readonly create: () => void
  /** Keeps a board that was imported, and opens it. */
  readonly take: (board: Board) => void
}

function NoBoard({ page, title, others }: { page: Page; title: string; others: Others }) {
  if (page.store.lastTime === 0) return <p class="nothing">Collecting. The first values come with the next tick.</p>
  const near = nearest(title, others.titles)
  return (
    <p class="nothing">
      {title === '' ? 'No board yet.' : `This browser has no board “${title}”. A link with the whole board in it works everywhere: Share makes one.`}{' '}
      {near !== null && (
        <>
          Nearest: <a href={hrefOf('boards', near)}>{near}</a>.{' '}
        </>
      )}
      <button type="button" class="link" onClick={others.create}>
        Make a new board
      </button>
    </p>
  )
}

/** A board that the address holds. What is changed of it changes the address. */
function FromLink({ page, text, others, keep }: { page: Page; text: string; others: Others; keep: (board: Board) => void }) {
  const [board, setBoard] = useState<Board | null>(null)
  const [refused, setRefused] = useState('')
  /** What stands in the address by our own hand. */
  const written = useRef('')
  useEffect(() => {
    if (text === written.current) return
    let wanted = true
    fromLink(text).then(
      (read) => {
        if (!wanted) return
        setRefused('')
        setBoard(read)
        const ms = spanMs(read.window ?? '')
        if (!Number.isNaN(ms)) page.setWindow(ms)
      },
      (error: unknown) => {
        if (wanted) setRefused(error instanceof LinkError ? error.message : String(error))
      },
    )
    return () => {
      wanted = false
    }
  }, [page, text])
  const change = (changed: Board) => {
    setBoard(changed)
    toLink(changed).then(
      (packed) => {
        written.current = packed
        page.setParams({ board: packed })
        setRefused('')
      },
      (error: unknown) => {
        setRefused(error instanceof Error ? error.message : String(error))
      },
    )
  }
  return (
    <>
      {refused !== '' && <p class="refused" role="alert">{refused}</p>}
      {board === null ? (
        refused !== '' && <p class="nothing"><a href={hrefOf('boards')}>Your boards</a></p>
      ) : (
        <>
          <p class="remark">
            This board came with the link; changes stay in the address.{' '}
            <button type="button" class="link" onClick={() => { keep(board) }}>
              Keep it in this browser
            </button>
          </p>
          <Desk page={page} board={board} fresh={null} others={others} where="from a link" change={change} rename={(title) => { change({ ...board, title }) }} remove={null} />
        </>
      )}
    </>
  )
}

/** A card that another page sends here, and the question to which board. */
function Adding({ json, boards, add }: { json: string; boards: readonly Board[]; add: (spec: CardSpec, to: string) => void }) {
  const checked = readSpec(json)
  const [to, setTo] = useState('')
  if ('problems' in checked) {
    return (
      <>
        <p class="refused" role="alert">
          This card cannot be added: {checked.problems.map(({ text }) => text).join(' ')}
        </p>
        <p class="nothing"><a href={hrefOf('boards')}>Your boards</a></p>
      </>
    )
  }
  const { title, family, query } = checked.good
  return (
    <form
      class="adding"
      onSubmit={(event) => {
        event.preventDefault()
        add(checked.good, to)
      }}
    >
      <h1>Add to a board</h1>
      <p class="what">{title ?? family ?? query}</p>
      <label>
        Board
        <select value={to} onChange={(event) => { setTo(event.currentTarget.value) }}>
          <option value="">{NEW}</option>
          {boards.map((board) => (
            <option key={board.title} value={board.title}>
              {board.title}
            </option>
          ))}
        </select>
      </label>
      <div class="ends">
        <button type="button" onClick={() => { history.back() }}>
          Cancel
        </button>
        <button type="submit" class="primary" autofocus>
          Add
        </button>
      </div>
    </form>
  )
}

function readSpec(json: string): ReturnType<typeof checkCard> {
  try {
    return checkCard(JSON.parse(json))
  } catch (error) {
    return { problems: [{ path: [], text: `The link holds no card: ${(error as Error).message}.` }] }
  }
}
