/** The keyboard, off in fields, and the list of keys. */
import type { RefObject } from 'preact'
import { useEffect, useRef } from 'preact/hooks'
import type { Page } from '../page'
import { liveCards } from './card-frame'

const KEYS: readonly (readonly [string, string])[] = [
  ['/', 'find a metric'],
  ['Esc', 'clear, back'],
  ['Space', 'pause or live'],
  ['L', 'live'],
  ['[ ]', 'shorter or longer window'],
  ['Home End', 'oldest or now, on the strip of time'],
  ['j k', 'next or previous card'],
  ['← →', 'one point back or on, with Shift ten'],
  ['Enter', 'open the metric of a card'],
  ['m', 'its menu'],
  ['t f', 'its table, full size'],
  ['c y', 'copy its PromQL, its link'],
  ['.', 'light or dark'],
  ['?', 'this list'],
]

export function useKeys(page: Page, find: RefObject<HTMLInputElement | null>, setHelp: (open: boolean) => void): void {
  useEffect(() => {
    const pressed = (event: KeyboardEvent) => {
      if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return
      const target = event.target instanceof Element ? event.target : null
      if (target?.closest('input, textarea, select, dialog') != null) {
        if (event.key === 'Escape' && target === find.current) {
          page.find('')
          find.current.blur()
        }
        return
      }
      if (act(page, find, setHelp, event, target)) event.preventDefault()
    }
    addEventListener('keydown', pressed)
    return () => {
      removeEventListener('keydown', pressed)
    }
  }, [page])
}

/** Does what the key says; whether it says anything. */
function act(page: Page, find: RefObject<HTMLInputElement | null>, setHelp: (open: boolean) => void, event: KeyboardEvent, target: Element | null): boolean {
  switch (event.key) {
    case '/':
      find.current?.focus()
      find.current?.select()
      return true
    case 'Escape':
      page.find('')
      return true
    case ' ':
      // On a button, Space presses the button.
      if (target?.closest('button, a') != null) return false
      page.togglePause()
      return true
    case 'l':
    case 'L':
      page.goLive()
      return true
    case '[':
      page.stepWindow(-1)
      return true
    case ']':
      page.stepWindow(1)
      return true
    case '.':
      page.toggleTheme()
      return true
    case '?':
      setHelp(true)
      return true
    case 'j':
    case 'k':
      return focusCard(target, event.key === 'j' ? 1 : -1)
    case 'ArrowLeft':
    case 'ArrowRight': {
      const card = target?.closest('.card')
      const live = card == null ? undefined : liveCards.get(card)
      live?.moveCursor((event.key === 'ArrowLeft' ? -1 : 1) * (event.shiftKey ? 10 : 1))
      return live !== undefined
    }
    default:
      return false
  }
}

function focusCard(target: Element | null, by: number): boolean {
  const cards = [...document.querySelectorAll<HTMLElement>('.card')]
  const at = cards.findIndex((card) => card === target)
  const next = cards[at < 0 ? 0 : Math.max(0, Math.min(cards.length - 1, at + by))]
  next?.focus()
  return next !== undefined
}

export function Help({ close }: { close: () => void }) {
  const dialog = useRef<HTMLDialogElement>(null)
  useEffect(() => {
    dialog.current?.showModal()
  }, [])
  return (
    <dialog ref={dialog} class="keys" aria-label="Keyboard" onClose={close} onClick={() => dialog.current?.close()}>
      <h2>Keyboard</h2>
      <dl>
        {KEYS.map(([key, does]) => (
          <div key={key}>
            <dt>
              <kbd>{key}</kbd>
            </dt>
            <dd>{does}</dd>
          </div>
        ))}
      </dl>
      <button type="button" autofocus>
        Close
      </button>
    </dialog>
  )
}
