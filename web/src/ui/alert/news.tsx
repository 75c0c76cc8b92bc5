/** Alerts beyond their pages: how many fire, in the tab and in the title; and what is new, for those who listen. */
import { useEffect, useRef, useState } from 'preact/hooks'
import type { Alert } from '../../model/alerts'
import { count, firing, worst } from '../../model/alerts'
import { news, Politely } from '../../model/news'
import type { Page } from '../../page'
import { useAlerts } from '../alert-feed'

const POLITE_MS = 5_000

/** How many fire, beside the name of the page of alerts. */
export function FiringCount({ page }: { page: Page }) {
  const fire = firing(useAlerts(page).alerts)
  const level = worst(fire)
  return level === null ? null : <span class={`firing-count ${level}`} title={`${count(fire.length)} firing`}>{count(fire.length)}</span>
}

/** Sets the title and says what is new; shows nothing. */
export function AlertNews({ page }: { page: Page }) {
  const feed = useAlerts(page)
  const before = useRef<readonly Alert[] | null>(null)
  const politely = useRef(new Politely(POLITE_MS))
  const [urgent, setUrgent] = useState('')
  const [polite, setPolite] = useState('')
  const fire = firing(feed.alerts).length
  useEffect(() => {
    document.title = fire === 0 ? 'gaugecast' : `(${count(fire)}) gaugecast`
  }, [fire])
  useEffect(() => {
    if (!feed.told) return
    const was = before.current
    before.current = feed.alerts
    // What fires when the page is opened is on it; only what comes is news.
    if (was === null || was === feed.alerts) return
    const said = news(was, feed.alerts)
    if (said.urgent !== '') setUrgent(said.urgent)
    const tell = (text: string) => {
      const { said: now, again } = politely.current.say(text, performance.now())
      if (now !== '') setPolite(now)
      if (again !== null) setTimeout(() => { tell('') }, again)
    }
    if (said.polite !== '') tell(said.polite)
  }, [feed.alerts])
  return (
    <>
      <div class="unseen urgent-news" role="alert" aria-live="assertive">{urgent}</div>
      <div class="unseen polite-news" role="status" aria-live="polite">{polite}</div>
    </>
  )
}
