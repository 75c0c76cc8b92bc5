/** The bar on every page: name, find, window, delay, live, theme. And below it what is wrong with the connection. */
import type { RefObject } from 'preact'
import { useEffect, useRef } from 'preact/hooks'
import { age } from '../format/number'
import type { Page } from '../page'
import { WINDOWS } from '../page'
import { hrefOf } from '../route'
import { FiringCount } from './alert/news'
import { useClock, useTopics } from './hooks'
import { More } from './more'
import { PAGES, pageOf } from './pages'

export function TopBar({ page, find }: { page: Page; find: RefObject<HTMLInputElement | null> }) {
  useTopics(page, 'view', 'connection')
  const shown = pageOf(page.route.view)
  return (
    <header class="top">
      <a class="brand" href="./">
        <svg viewBox="0 0 24 24" aria-hidden="true">
          <path class="wire" d="M3 18l5-7 4 4 7-9" />
          <circle class="tip" cx="19.5" cy="5.5" r="3.2" />
        </svg>
        gaugecast
      </a>
      <nav class="tabs" aria-label="Pages">
        {PAGES.filter(({ place }) => place === 'tab').map(({ view, label }) => (
          <a key={view} href={hrefOf(view)} aria-current={shown.view === view ? 'page' : undefined}>
            {label}
            {view === 'alerts' && <FiringCount page={page} />}
            {view === 'targets' && <Down page={page} />}
          </a>
        ))}
      </nav>
      <div class={page.query === '' ? 'find' : 'find filled'}>
        <svg viewBox="0 0 24 24" aria-hidden="true">
          <circle cx="11" cy="11" r="6.5" />
          <path d="M16 16l5 5" />
        </svg>
        <input
          ref={find}
          type="search"
          placeholder={`Find ${shown.finds}`}
          aria-label={`Find ${shown.finds}`}
          autocomplete="off"
          spellcheck={false}
          value={page.query}
          onInput={(event) => {
            page.find(event.currentTarget.value)
          }}
        />
        <kbd aria-hidden="true">{page.query === '' ? '/' : 'esc'}</kbd>
      </div>
      <div class="segment windows" role="group" aria-label="Window">
        {WINDOWS.map(({ label, ms }) => (
          <button
            key={label}
            type="button"
            aria-pressed={page.windowMs === ms}
            onClick={() => {
              page.setWindow(ms)
            }}
          >
            {label}
          </button>
        ))}
      </div>
      <Delay page={page} />
      <LiveButton page={page} />
      <button
        type="button"
        class="square theme"
        title="Theme (.)"
        aria-label={page.theme === 'dark' ? 'Light theme' : 'Dark theme'}
        onClick={() => {
          page.toggleTheme()
        }}
      >
        <svg viewBox="0 0 24 24" aria-hidden="true">
          <circle cx="12" cy="12" r="7.5" />
          <path class="solid" d="M12 4.5a7.5 7.5 0 0 1 0 15z" />
        </svg>
      </button>
      <More page={page} pages={PAGES.filter(({ place }) => place === 'more')} />
    </header>
  )
}

/** How many targets are down, if any. */
function Down({ page }: { page: Page }) {
  useTopics(page, 'structure')
  useClock(1_000)
  const down = (page.store.families.get('up')?.series ?? []).filter(({ key }) => page.store.value(key) === 0).length
  return down === 0 ? null : <span class="down" title={`${down} down`}>{down}</span>
}

/** How old the last frame was, or how long there was none. Changes twice a second at most. */
function Delay({ page }: { page: Page }) {
  useClock(500)
  const { phase } = page.connection
  const silence = page.silenceMs
  if (page.store.lastTime === 0) return <span class="delay">{phase === 'connecting' ? 'connecting' : 'no data yet'}</span>
  if (phase !== 'live' && phase !== 'recovering') return <span class="delay">no data for {age(silence / 1000)}</span>
  if (page.late) return <span class="delay late">late {age(silence / 1000)}</span>
  if (page.pausedAt !== null) return <span class="delay">{age((page.store.lastTime - page.pausedAt) / 1000)} behind</span>
  return (
    <span class="delay" title="How old the last frame was when it came">
      <span class="wide">delay </span>
      {Math.round(page.delayMs)} ms
    </span>
  )
}

function LiveButton({ page }: { page: Page }) {
  const dot = useRef<HTMLElement>(null)
  useEffect(
    () =>
      // The dot brightens when a frame comes: the heartbeat is data, no timer.
      page.listen('frame', () => {
        if (matchMedia('(prefers-reduced-motion: reduce)').matches) return
        dot.current?.animate([{ boxShadow: '0 0 0 5px color-mix(in srgb, currentColor 40%, transparent)' }, { boxShadow: '0 0 0 3px transparent' }], 400)
      }),
    [page],
  )
  const { phase } = page.connection
  const state = phase === 'offline' || phase === 'closed' ? 'offline' : page.pausedAt !== null ? 'paused' : phase === 'connecting' ? 'waiting' : 'live'
  const word = { offline: 'Offline', paused: 'Paused', waiting: 'Waiting', live: 'Live' }[state]
  return (
    <button
      type="button"
      class={`live ${state}`}
      title={state === 'paused' ? 'Back to live (L)' : 'Pause (Space)'}
      aria-pressed={state === 'paused'}
      onClick={() => {
        page.togglePause()
      }}
    >
      <i ref={dot} class="dot" />
      {word}
    </button>
  )
}

/** Connection lost: since when, when it is tried again, and a way to do it now. */
export function Banner({ page }: { page: Page }) {
  useTopics(page, 'connection')
  useClock(500)
  const { phase, retryAt, lostAt, reason } = page.connection
  if (phase !== 'offline' && phase !== 'closed') return null
  const now = performance.now()
  const since = age((now - (page.heardAt === 0 ? (lostAt ?? now) : page.heardAt)) / 1000)
  const next = retryAt === null ? 'Trying now.' : `Trying again in ${Math.max(1, Math.ceil((retryAt - now) / 1000))} s.`
  const before = page.store.lastTime === 0 ? `No connection for ${since}.` : `Connection lost ${since} ago. What you see is the last that came.`
  return (
    <div class="banner">
      <span class="unseen" role="status">
        Connection lost.
      </span>
      <span>{phase === 'closed' ? `The server ended the connection${reason === '' ? '' : `: ${reason}`}.` : `${before} ${next}`}</span>
      <button
        type="button"
        onClick={() => {
          page.retry()
        }}
      >
        Try now
      </button>
    </div>
  )
}
