/**
 * The alerts there are, asked for once for the whole page: when the server tells that one changed, when a connection comes
 * back, and from time to time. Bar, title, overview and the page of alerts all follow the same list.
 */
import { useEffect, useReducer } from 'preact/hooks'
import type { Alert } from '../model/alerts'
import { readAlerts } from '../model/alerts'
import type { Page } from '../page'

/** Values move without an event. */
const ASK_MS = 10_000
/** However many events come, the list is asked for at most so often. */
const SPACE_MS = 500

export class AlertFeed {
  alerts: readonly Alert[] = []
  /** Whether there was an answer yet. */
  told = false
  /** Why there is none, in the server's words; empty while there is. */
  refused = ''
  /** Alerts that began while the page looked, for the row that says so. */
  readonly fresh = new Set<string>()

  private readonly listeners = new Set<() => void>()
  private asking = false
  private askedAt = -Infinity
  /** Something happened since it was asked. */
  private due = false
  private lost = false

  constructor(private readonly page: Page) {
    page.listen('alert', () => {
      this.ask()
    })
    page.listen('connection', () => {
      const { phase } = page.connection
      if (phase === 'live' && (this.lost || !this.told)) this.ask()
      this.lost = phase !== 'live'
    })
    setInterval(() => {
      if (page.connected && page.tokenWanted === '') this.ask()
    }, ASK_MS)
    this.ask()
  }

  listen(listener: () => void): () => void {
    this.listeners.add(listener)
    return () => this.listeners.delete(listener)
  }

  /** Asks now, or as soon as it may. */
  ask(): void {
    this.due = true
    if (this.asking) return
    this.asking = true
    setTimeout(() => void this.answer(), Math.max(0, this.askedAt + SPACE_MS - performance.now()))
  }

  private async answer(): Promise<void> {
    this.due = false
    this.askedAt = performance.now()
    try {
      const response = await this.page.token.fetch('api/v1/admin/performance/alerts')
      this.take(readAlerts(await response.json()))
    } catch (error) {
      // While the connection is lost the banner says so; what was told before stays.
      if (this.page.connected) this.refused = error instanceof Error ? error.message : String(error)
    }
    this.asking = false
    for (const listener of this.listeners) listener()
    if (this.askedFor()) this.ask()
  }

  /** Something happened while the answer was on its way. */
  private askedFor(): boolean {
    return this.due
  }

  private take(alerts: readonly Alert[]): void {
    if (this.told) {
      const before = new Set(this.alerts.filter(({ state }) => state !== 'resolved').map(({ id }) => id))
      for (const { id, state } of alerts) if (state !== 'resolved' && !before.has(id)) this.fresh.add(id)
    }
    for (const id of this.fresh) if (!alerts.some((alert) => alert.id === id && alert.state !== 'resolved')) this.fresh.delete(id)
    this.alerts = alerts
    this.told = true
    this.refused = ''
  }
}

const feeds = new WeakMap<Page, AlertFeed>()

export function alertFeed(page: Page): AlertFeed {
  let feed = feeds.get(page)
  if (feed === undefined) {
    feed = new AlertFeed(page)
    feeds.set(page, feed)
  }
  return feed
}

/** The feed; renders again when it has another list. */
export function useAlerts(page: Page): AlertFeed {
  const [, again] = useReducer<number, null>((n) => n + 1, 0)
  const feed = alertFeed(page)
  useEffect(
    () =>
      feed.listen(() => {
        again(null)
      }),
    [feed],
  )
  return feed
}

/** Now, by the server's clock (ms). */
export function serverNow(page: Page): number {
  return Date.now() - page.skewMs
}
