/** The menu of a card, ⋯: how it is shown, and what can be done with it. It floats above all, so that no card cuts it. */
import { useLayoutEffect, useRef } from 'preact/hooks'
import { VIEW_NAMES } from '../model/spec'
import { ACTIONS } from './card-actions'
import type { Acting } from './card-actions'

/** Space between the menu and the edge of the window. */
const EDGE = 8

export function CardMenu({ act, open, title }: { readonly act: Acting; readonly open: boolean; readonly title: string }) {
  const button = useRef<HTMLButtonElement>(null)
  return (
    <>
      <button ref={button} type="button" class="dots" aria-label="Menu" aria-haspopup="menu" aria-expanded={open} onClick={() => { act.setMenu(!open) }}>
        ⋯
      </button>
      {open && (
        <Items
          act={act}
          title={title}
          beside={button.current}
          close={() => {
            act.setMenu(false)
          }}
        />
      )}
    </>
  )
}

function Items({ act, title, beside, close }: { readonly act: Acting; readonly title: string; readonly beside: HTMLElement | null; readonly close: () => void }) {
  const menu = useRef<HTMLDivElement>(null)
  const live = act.live()
  const views = live?.views ?? []
  const labels = live?.labels ?? []
  useLayoutEffect(() => {
    const element = menu.current
    if (element === null) return
    element.showPopover()
    const at = (beside ?? element).getBoundingClientRect()
    element.style.left = `${Math.max(EDGE, at.right - element.offsetWidth)}px`
    element.style.top = `${Math.max(EDGE, Math.min(at.bottom + 4, innerHeight - element.offsetHeight - EDGE))}px`
    items(element)[0]?.focus()
  }, [])
  const done = () => {
    close()
    beside?.closest<HTMLElement>('.card')?.focus()
  }
  const pressed = (event: KeyboardEvent) => {
    // Keys of the page have no meaning in a menu.
    event.stopPropagation()
    const element = menu.current
    if (element === null) return
    if (event.key === 'Escape' || event.key === 'Tab') {
      event.preventDefault()
      done()
      return
    }
    const all = items(element)
    const now = all.findIndex((item) => item === document.activeElement)
    const next = { ArrowDown: now + 1, ArrowUp: now - 1, Home: 0, End: -1 }[event.key]
    if (next === undefined) return
    event.preventDefault()
    all.at(next % all.length)?.focus()
  }
  return (
    <div
      ref={menu}
      class="menu"
      role="menu"
      aria-label={`Menu of ${title}`}
      popover="auto"
      onKeyDown={pressed}
      onToggle={(event) => {
        if (event.newState === 'closed') close()
      }}
    >
      {views.length > 1 && <p class="menu-title">View</p>}
      {views.length > 1 && (
        <div class="menu-views" role="group" aria-label="View">
          {views.map((view) => (
            <Radio key={view} label={VIEW_NAMES[view]} chosen={view === (act.spec.view ?? live?.view)} choose={() => { act.choose({ view }); done() }} />
          ))}
        </div>
      )}
      {labels.length > 0 && <p class="menu-title">Put together</p>}
      {labels.length > 0 && (
        <div class="menu-views" role="group" aria-label="Put together">
          <Radio label="each by itself" chosen={act.spec.by === undefined} choose={() => { act.choose({ by: null }); done() }} />
          {labels.slice(0, 8).map((label) => (
            <Radio key={label} label={`by ${label}`} chosen={act.spec.by === label} choose={() => { act.choose({ by: label }); done() }} />
          ))}
        </div>
      )}
      {ACTIONS.map(({ label, key, act: run }) => (
        <button
          key={label}
          type="button"
          role="menuitem"
          tabIndex={-1}
          onClick={() => {
            done()
            run(act)
          }}
        >
          {label}
          {key !== '' && <kbd>{key}</kbd>}
        </button>
      ))}
    </div>
  )
}

function Radio({ label, chosen, choose }: { readonly label: string; readonly chosen: boolean; readonly choose: () => void }) {
  return (
    <button type="button" role="menuitemradio" aria-checked={chosen} tabIndex={-1} title={label} onClick={choose}>
      {label}
    </button>
  )
}

function items(menu: HTMLElement): HTMLElement[] {
  return [...menu.querySelectorAll<HTMLElement>('button')]
}
