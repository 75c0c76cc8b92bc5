/**
 * The boards that this browser keeps, each under a key of its own, so that two tabs do not undo each other's work. A browser
 * that keeps nothing, or is full, is no error: boards then last as long as the page, and `problem` says so.
 */
import { MOST_TEXT } from './file'
import type { Board } from './schema'
import { checkBoard, plainBoard } from './schema'

const PREFIX = 'gaugecast:board:'
/** More are not offered. */
export const MOST_BOARDS = 100

/** What is used of `localStorage`. */
export type Store = Pick<Storage, 'getItem' | 'setItem' | 'removeItem' | 'key' | 'length'>

export class Kept {
  /** Why boards are not kept, in words; empty while they are. */
  problem = ''
  private readonly boards = new Map<string, Board>()

  /** @param open gives the storage, and may throw, as it does where a browser allows none. */
  constructor(private readonly open: () => Store) {
    this.read()
  }

  /** All of them by title, in the order of the alphabet. */
  get all(): readonly Board[] {
    return [...this.boards.values()].sort((a, b) => (a.title < b.title ? -1 : 1))
  }

  get(title: string): Board | undefined {
    return this.boards.get(title)
  }

  /** Reads anew what the browser has; another tab may have changed it. */
  read(): void {
    this.guard((store) => {
      const found = new Map<string, Board>()
      const names = Array.from({ length: store.length }, (_, i) => store.key(i)).filter((key) => key?.startsWith(PREFIX) === true)
      let damaged = 0
      for (const name of names.slice(0, MOST_BOARDS)) {
        const board = boardIn(store.getItem(name ?? '') ?? '')
        if (board === null) damaged++
        else found.set(board.title, board)
      }
      this.boards.clear()
      for (const [title, board] of found) this.boards.set(title, board)
      if (damaged > 0) this.problem = `${damaged === 1 ? 'A board' : `${damaged} boards`} kept in this browser cannot be read, and ${damaged === 1 ? 'is' : 'are'} left as ${damaged === 1 ? 'it is' : 'they are'}.`
    })
  }

  /** Keeps a board under its title, in place of the one of that title. */
  keep(board: Board): void {
    if (!this.boards.has(board.title) && this.boards.size >= MOST_BOARDS) {
      this.problem = `This browser keeps ${MOST_BOARDS} boards; remove one, or export this one as a file.`
      return
    }
    this.boards.set(board.title, board)
    this.guard((store) => {
      store.setItem(PREFIX + board.title, JSON.stringify(plainBoard(board)))
    })
  }

  remove(title: string): void {
    this.boards.delete(title)
    this.guard((store) => {
      store.removeItem(PREFIX + title)
    })
  }

  private guard(work: (store: Store) => void): void {
    try {
      const store = this.open()
      this.problem = ''
      work(store)
    } catch (error) {
      this.problem =
        error instanceof DOMException && error.name === 'QuotaExceededError'
          ? 'The storage of this browser is full: changes last until the page is closed. Export the board, or share its link.'
          : 'This browser keeps nothing here, as in private mode: boards last until the page is closed. Export the board, or share its link.'
    }
  }
}

function boardIn(text: string): Board | null {
  if (text.length > MOST_TEXT) return null
  try {
    const checked = checkBoard(JSON.parse(text))
    return 'good' in checked ? checked.good : null
  } catch {
    return null
  }
}

/** A title that is not taken yet: the same, or with a number after it. */
export function freeTitle(title: string, taken: (title: string) => boolean): string {
  if (!taken(title)) return title
  for (let n = 2; ; n++) {
    const next = `${title} ${n}`
    if (!taken(next)) return next
  }
}
