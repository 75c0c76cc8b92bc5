/**
 * The menu ⋯: the pages that have no tab, and how the page should be for this person. On a narrow screen also what the
 * bar has no room for.
 */
import type { ComponentChildren } from 'preact'
import { useEffect, useRef, useState } from 'preact/hooks'
import { choose, settings } from '../format/settings'
import type { Settings } from '../format/settings'
import type { Page } from '../page'
import { WINDOWS } from '../page'
import { hrefOf } from '../route'
import { useTopics } from './hooks'
import { Icon } from './icons'
import type { PageInfo } from './pages'
import { pageOf } from './pages'

interface Props {
  readonly page: Page
  readonly pages: readonly PageInfo[]
  /** At the bottom of a narrow screen, as a tab. */
  readonly asTab?: boolean
}

export function More({ page, pages, asTab = false }: Props) {
  const root = useRef<HTMLDivElement>(null)
  const button = useRef<HTMLButtonElement>(null)
  const [open, setOpen] = useState(false)
  useTopics(page, 'view')
  const { view } = page.route
  // Whoever went to another page has chosen.
  useEffect(() => {
    setOpen(false)
  }, [view])
  useEffect(() => {
    if (!open) return
    const outside = (event: Event) => {
      if (event.target instanceof Node && root.current?.contains(event.target) === false) setOpen(false)
    }
    const escape = (event: KeyboardEvent) => {
      if (event.key !== 'Escape') return
      event.preventDefault()
      setOpen(false)
      button.current?.focus()
    }
    addEventListener('pointerdown', outside)
    addEventListener('focusin', outside)
    addEventListener('keydown', escape, true)
    return () => {
      removeEventListener('pointerdown', outside)
      removeEventListener('focusin', outside)
      removeEventListener('keydown', escape, true)
    }
  }, [open])
  const shown = pageOf(view)
  return (
    <div class={asTab ? 'others as-tab' : 'others'} ref={root}>
      <button
        ref={button}
        type="button"
        class={asTab ? '' : 'square'}
        aria-label="More pages and settings"
        aria-expanded={open}
        aria-current={asTab && pages.includes(shown) ? 'page' : undefined}
        onClick={() => {
          setOpen(!open)
        }}
      >
        <Icon name="more" />
        {asTab && <span>More</span>}
      </button>
      {open && (
        <div class="menu">
          <nav aria-label="More pages">
            {pages.map((one) => (
              <a key={one.view} href={hrefOf(one.view)} aria-current={one === shown ? 'page' : undefined}>
                {one.label}
              </a>
            ))}
          </nav>
          <div class="settings">
            {asTab && <Narrow page={page} />}
            <Choice label="Times" options={[['here', !settings().utc], ['UTC', settings().utc]]} choose={(i) => { choose({ utc: i === 1 }) }} />
            <Choice label="Traffic" options={[['bytes', !settings().bits], ['bits', settings().bits]]} choose={(i) => { choose({ bits: i === 1 }) }} />
            <Switch label="Single keys" name="keys" />
          </div>
        </div>
      )}
    </div>
  )
}

/** What the bar of a narrow screen has no room for. */
function Narrow({ page }: { page: Page }) {
  return (
    <>
      <Choice
        label="Window"
        options={WINDOWS.map(({ label, ms }) => [label, page.windowMs === ms])}
        choose={(i) => {
          page.setWindow(WINDOWS[i]?.ms ?? page.windowMs)
        }}
      />
      <Choice
        label="Theme"
        options={[['light', page.theme === 'light'], ['dark', page.theme === 'dark']]}
        choose={(i) => {
          if ((i === 1) !== (page.theme === 'dark')) page.toggleTheme()
        }}
      />
    </>
  )
}

function Choice({ label, options, choose: chosen }: { label: string; options: readonly (readonly [string, boolean])[]; choose: (i: number) => void }) {
  return (
    <Row label={label}>
      <div class="segment" role="group" aria-label={label}>
        {options.map(([text, on], i) => (
          <button key={text} type="button" aria-pressed={on} onClick={() => { chosen(i) }}>
            {text}
          </button>
        ))}
      </div>
    </Row>
  )
}

function Switch({ label, name }: { label: string; name: keyof Settings }) {
  const on = settings()[name]
  return <Choice label={label} options={[['on', on], ['off', !on]]} choose={(i) => { choose({ [name]: i === 0 }) }} />
}

function Row({ label, children }: { label: string; children: ComponentChildren }) {
  return (
    <div class="setting">
      <span aria-hidden="true">{label}</span>
      {children}
    </div>
  )
}
