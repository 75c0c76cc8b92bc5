/** The keyboard, off in fields: the keys of the frame and of all cards, and the list of those there are. */
import type { RefObject } from 'preact'
import { useEffect, useRef, useState } from 'preact/hooks'
import { choose, settings } from '../format/settings'
import type { Page } from '../page'
import { hrefOf } from '../route'
import { liveCards } from './card-frame'
import { addKeys, listed, press } from './key-table'
import type { KeyUse } from './key-table'
import { FINDS_METRICS, PAGES, pageOf } from './pages'

/** After `g` the next key is waited for so long. */
const TO_FOLLOW_MS = 1_500

export function useKeys(page: Page, find: RefObject<HTMLInputElement | null>, setHelp: (open: boolean) => void): void {
  useEffect(() => {
    const end = addKeys(frameKeys(page, find, setHelp), true)
    let gone = -Infinity
    const pressed = (event: KeyboardEvent) => {
      if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return
      const target = event.target instanceof Element ? event.target : null
      if (target?.closest('input, textarea, select, dialog') != null) {
        if (target === find.current) found(page, event, find.current)
        return
      }
      // Single letters can be switched off; keys that have a name are no slip of the tongue.
      if (event.key.length === 1 && event.key !== ' ' && !settings().keys) return
      const follows = event.timeStamp - gone < TO_FOLLOW_MS
      gone = event.key === 'g' && !follows ? event.timeStamp : -Infinity
      if (follows ? goTo(event.key) : event.key === 'g' || press(event, target)) event.preventDefault()
    }
    addEventListener('keydown', pressed)
    return () => {
      removeEventListener('keydown', pressed)
      end()
    }
  }, [page])
}

/** In the field of the bar: Esc clears it, Enter goes to what was found. */
function found(page: Page, event: KeyboardEvent, field: HTMLInputElement): void {
  if (event.key === 'Escape') {
    page.find('')
    field.blur()
  } else if (event.key === 'Enter') {
    const { view, finds } = pageOf(page.route.view)
    // Metrics are found where all of them are.
    if (finds === FINDS_METRICS && view !== 'explore') {
      location.hash = hrefOf('explore', '', [['find', field.value]])
      return
    }
    const cards = document.querySelectorAll<HTMLElement>('.card')
    const [first] = cards
    field.blur()
    if (cards.length === 1 && openCard(first ?? null)) return
    first?.focus()
  }
}

/** The page of the second letter of `g` and a letter. */
function goTo(key: string): boolean {
  const found = PAGES.find((one) => one.key !== '' && one.key === key)
  if (found !== undefined) location.hash = hrefOf(found.view)
  return found !== undefined
}

function frameKeys(page: Page, find: RefObject<HTMLInputElement | null>, setHelp: (open: boolean) => void): readonly KeyUse[] {
  const always = (act: () => void) => () => {
    act()
    return true
  }
  const toPages = PAGES.filter(({ key }) => key !== '')
  return [
    {
      keys: ['/'],
      shown: '/',
      does: 'find a metric',
      act: always(() => {
        find.current?.focus()
        find.current?.select()
      }),
    },
    { keys: ['Enter'], shown: 'Enter', does: 'open the card', act: (_, target) => openCard(target) },
    { keys: ['Escape'], shown: 'Esc', does: 'clear, back', act: always(() => { page.find('') }) },
    {
      keys: [' '],
      shown: 'Space',
      does: 'pause or live',
      act: (_, target) => {
        // On a button, Space presses the button.
        if (target?.closest('button, a, summary, [role="option"]') != null) return false
        page.togglePause()
        return true
      },
    },
    { keys: ['l', 'L'], shown: 'L', does: 'live', act: always(() => { page.goLive() }) },
    { keys: ['['], shown: '[ ]', does: 'shorter or longer window', act: always(() => { page.stepWindow(-1) }) },
    { keys: [']'], shown: '', does: '', act: always(() => { page.stepWindow(1) }) },
    { keys: ['j', 'ArrowDown'], shown: 'j k', does: 'next or previous card', act: (event, target) => stepCard(event, target, 1) },
    { keys: ['k', 'ArrowUp'], shown: '', does: '', act: (event, target) => stepCard(event, target, -1) },
    { keys: ['ArrowLeft', 'ArrowRight'], shown: '← →', does: 'one point back or on, with Shift ten', act: moveCursor },
    { keys: [], shown: 'Home End', does: 'oldest or now, on the strip of time', act: () => false },
    // What stands on a card does these itself, while it has the focus.
    { keys: [], shown: 'm', does: 'menu of the card', act: () => false },
    { keys: [], shown: 't f', does: 'its table, full size', act: () => false },
    { keys: [], shown: 'c y', does: 'copy its PromQL, its link', act: () => false },
    { keys: [], shown: `g ${toPages.map(({ key }) => key).join(' ')}`, does: toPages.map(({ label }) => label).join(', '), act: () => false },
    { keys: ['.'], shown: '.', does: 'light or dark', act: always(() => { page.toggleTheme() }) },
    { keys: ['?'], shown: '?', does: 'this list', act: always(() => { setHelp(true) }) },
  ]
}

function openCard(target: Element | null): boolean {
  // On what can be pressed, Enter presses it.
  if (!(target instanceof HTMLElement) || !target.matches('.card')) return false
  const link = target.querySelector<HTMLAnchorElement>('h2 a[href]')
  link?.click()
  return link !== null
}

/** Up and down scroll, but from a card they go to the next. */
function stepCard(event: KeyboardEvent, target: Element | null, by: number): boolean {
  const card = target?.closest('.card') ?? null
  if (event.key.startsWith('Arrow') && (card === null || card !== target)) return false
  const cards = [...document.querySelectorAll<HTMLElement>('.card')]
  const at = cards.findIndex((one) => one === card)
  const next = cards[at < 0 ? 0 : Math.max(0, Math.min(cards.length - 1, at + by))]
  next?.focus()
  return next !== undefined
}

function moveCursor(event: KeyboardEvent, target: Element | null): boolean {
  const card = target?.closest('.card')
  const live = card == null ? undefined : liveCards.get(card)
  live?.moveCursor((event.key === 'ArrowLeft' ? -1 : 1) * (event.shiftKey ? 10 : 1))
  return live !== undefined
}

export function Help({ close }: { close: () => void }) {
  const dialog = useRef<HTMLDialogElement>(null)
  const [on, setOn] = useState(settings().keys)
  useEffect(() => {
    dialog.current?.showModal()
  }, [])
  return (
    <dialog
      ref={dialog}
      class="keys"
      aria-label="Keyboard"
      onClose={close}
      onClick={(event) => {
        if (event.target === event.currentTarget) dialog.current?.close()
      }}
    >
      <h2>Keyboard</h2>
      <dl>
        {listed().map(({ shown, does }) => (
          <div key={shown}>
            <dt>
              <kbd>{shown}</kbd>
            </dt>
            <dd>{does}</dd>
          </div>
        ))}
      </dl>
      <label>
        <input
          type="checkbox"
          checked={on}
          onChange={(event) => {
            choose({ keys: event.currentTarget.checked })
            setOn(event.currentTarget.checked)
          }}
        />
        Letters and signs do this
      </label>
      <button type="button" autofocus onClick={() => dialog.current?.close()}>
        Close
      </button>
    </dialog>
  )
}
