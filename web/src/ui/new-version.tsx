/**
 * Another version of the server runs than the one this page was loaded from. It loads anew after three seconds, unless
 * somebody is reading what is paused, or typing: then it is for them to say when.
 */
import { useEffect, useState } from 'preact/hooks'
import type { Page } from '../page'
import { useTopics } from './hooks'

const SECONDS = 3

export function NewVersion({ page }: { page: Page }) {
  useTopics(page, 'connection', 'view')
  const wanted = page.newVersion !== ''
  const [left, setLeft] = useState(SECONDS)
  useEffect(() => {
    if (!wanted) return
    const timer = setInterval(() => {
      setLeft((seconds) => (busy(page) ? SECONDS : seconds - 1))
    }, 1_000)
    return () => {
      clearInterval(timer)
    }
  }, [page, wanted])
  useEffect(() => {
    if (wanted && left <= 0) location.reload()
  }, [wanted, left])
  if (!wanted) return null
  return (
    <div class="banner news" role="status">
      <span>
        gaugecast {page.newVersion} runs here now; this page is of {page.version}.{busy(page) ? '' : ` It loads anew in ${Math.max(1, left)} s.`}
      </span>
      <button
        type="button"
        onClick={() => {
          location.reload()
        }}
      >
        Load anew
      </button>
    </div>
  )
}

/** Is somebody looking at a moment, or typing? */
function busy(page: Page): boolean {
  return page.pausedAt !== null || document.activeElement?.matches('input, textarea, select') === true || document.querySelector('dialog[open]') !== null
}
