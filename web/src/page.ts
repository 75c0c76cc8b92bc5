/**
 * The state of the page, one for all cards: one window, one pause, one connection. Components listen for what they
 * render; cards read it when they draw.
 */
import { connect } from '../client/index'
import type { Live, State as ConnectionState } from '../client/index'
import type { Drawable } from './chart/queue'
import { DrawQueue } from './chart/queue'
import { LiveQueries } from './model/live-query'
import { Slots } from './model/slots'
import { Store } from './model/store'
import { Token } from './model/token'
import type { Route } from './route'
import { hrefOf, parseRoute } from './route'
import type { Palette, Theme } from './theme'
import { chooseTheme, currentTheme, readPalette } from './theme'

export const WINDOWS = [
  { label: '1m', ms: 60_000 },
  { label: '5m', ms: 300_000 },
  { label: '15m', ms: 900_000 },
  { label: '1h', ms: 3_600_000 },
] as const

/** A difference of the two clocks below this is taken for delay, not for clocks that disagree. */
const CLOCKS_AGREE_MS = 1_000

/** The server's own default limit of a subscription; a registry of more is shown in part and says so. */
const MOST_SERIES = 10_000

/** What components listen for. `alert`, `anomaly` and `target` are events of the server of that kind. */
export type Topic = 'structure' | 'frame' | 'connection' | 'view' | 'query' | Kind

const KINDS = ['alert', 'anomaly', 'target'] as const
type Kind = (typeof KINDS)[number]

/** A card as the page sees it. */
export interface Card extends Drawable {
  /** Forget the chart: theme or window changed. */
  restyle(): void
  /** The next draw sets the digits, however lately it did. */
  textsDue(): void
}

export class Page {
  readonly store: Store
  readonly slots = new Slots()
  readonly queue = new DrawQueue(
    () => performance.now(),
    (frame) => requestAnimationFrame(frame),
  )
  readonly cards = new Set<Card>()
  readonly token = new Token()
  /** The server wants a token, or another one, and why in its words; empty while it does not. */
  tokenWanted = ''
  connection: ConnectionState
  windowMs = 300_000
  /** End of the window while paused (server's clock, ms), else null. */
  pausedAt: number | null = null
  theme: Theme = currentTheme()
  palette: Palette = readPalette(this.theme)
  route: Route = parseRoute(location.hash)
  readonly queries: LiveQueries
  query = ''
  prefix = ''
  /** What the server refused, in its words. */
  serverError = ''
  /** The clock of the page minus that of the server; 0 if they agree. */
  skewMs = 0
  /** How old the last frame was when it came, in milliseconds. */
  delayMs = NaN
  /** When the last frame came (`performance.now`). */
  heardAt = 0
  /** Time of the first frame seen (server's clock, ms). */
  firstTime = 0

  private readonly listeners = new Map<Topic, Set<() => void>>()
  private readonly live: Live

  /** @param url where the server is. */
  constructor(url: string) {
    this.store = new Store(
      () => {
        if (this.firstTime === 0) this.firstTime = this.store.lastTime
        this.heardAt = performance.now()
        this.delayMs = Math.max(0, Date.now() - this.skewMs - this.store.lastTime)
        this.markAll()
        this.tell('frame')
      },
      () => {
        this.tell('structure')
      },
    )
    this.live = connect(url, { token: () => this.token.value })
    this.connection = this.live.state
    this.live.on('state', (state) => {
      const phase = this.connection.phase
      this.connection = state
      if (state.phase !== phase) {
        this.markAll()
        if (state.phase === 'closed') void this.wantsToken()
        else this.tokenWanted = ''
      }
      this.tell('connection')
    })
    this.live.on('welcome', ({ serverTime }) => {
      const skew = Date.now() - serverTime
      this.skewMs = Math.abs(skew) < CLOCKS_AGREE_MS ? 0 : skew
    })
    this.live.on('event', ({ kind }) => {
      const known = KINDS.find((one) => one === kind)
      if (known !== undefined) this.tell(known)
    })
    this.queries = new LiveQueries(
      () => this.live,
      () => {
        this.markAll()
        this.tell('query')
      },
    )
    addEventListener('hashchange', () => {
      const before = this.route
      this.route = parseRoute(location.hash)
      if (before.view !== this.route.view || before.about !== this.route.about) scrollTo(0, 0)
      this.viewChanged()
    })
    this.live.on('error', (error) => {
      console.warn('gaugecast:', error)
    })
    // Everything at once: a registry is a few hundred to a few thousand series, one delta a tick.
    this.live.subscribe('{__name__!=""}', {
      interval: '1s',
      limit: MOST_SERIES,
      onMessages: (messages) => {
        this.serverError = ''
        for (const message of messages) this.store.take(message)
      },
      onError: ({ code, message }) => {
        this.serverError = message === '' ? code : message
        this.tell('view')
      },
    })
    // While nothing comes the cards still say how old they are.
    setInterval(() => {
      if (this.store.lastTime > 0 && !this.connected) this.markAll()
    }, 1_000)
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => {
      this.themeChanged()
    })
  }

  listen(topic: Topic, listener: () => void): () => void {
    const set = this.listeners.get(topic) ?? new Set()
    this.listeners.set(topic, set)
    set.add(listener)
    return () => set.delete(listener)
  }

  /** Connected, or lost for so short that nobody need be told. */
  get connected(): boolean {
    return this.connection.phase === 'live' || (this.connection.phase === 'recovering' && this.store.lastTime > 0)
  }

  /** The end of the window: the last frame, or where it was paused. Time stands still while disconnected. */
  get windowEnd(): number {
    return this.pausedAt ?? this.store.lastTime
  }

  /** Milliseconds since the last frame came. */
  get silenceMs(): number {
    return this.heardAt === 0 ? 0 : performance.now() - this.heardAt
  }

  retry(): void {
    this.live.retry()
  }

  /** Shows the server this token from now on, until the tab is closed, and connects if it is good. */
  async useToken(text: string): Promise<void> {
    this.token.set(text)
    // Asked before, since a bad one would be refused once over each transport, and ten are the most in a minute.
    if (!(await this.wantsToken())) this.retry()
  }

  /** Does the server want a token, or another one? The page then says so. */
  private async wantsToken(): Promise<boolean> {
    try {
      const response = await this.token.fetch('api/v1/status')
      if (response.status !== 401 && response.status !== 429) return false
      const { error } = (await response.json()) as { readonly error?: unknown }
      this.tokenWanted = typeof error === 'string' ? error : `HTTP status ${response.status}`
      this.tell('connection')
      return true
    } catch {
      // The banner says that there is no connection.
      return false
    }
  }

  togglePause(): void {
    this.pausedAt = this.pausedAt === null && this.store.lastTime > 0 ? this.store.lastTime : null
    // Digits follow the charts with some delay; what stands still shows what is meant to stand.
    for (const card of this.cards) card.textsDue()
    this.viewChanged()
  }

  goLive(): void {
    this.pausedAt = null
    this.viewChanged()
  }

  setWindow(ms: number): void {
    this.windowMs = ms
    this.viewChanged()
  }

  /** The next window up (+1) or down (−1). */
  stepWindow(by: number): void {
    const at = WINDOWS.findIndex((one) => one.ms === this.windowMs)
    const next = WINDOWS[Math.max(0, Math.min(WINDOWS.length - 1, at + by))]
    if (next !== undefined) this.setWindow(next.ms)
  }

  /** Sets parameters of this page in the address, where a link takes them from; no step back is kept of it. Empty ones go. */
  setParams(changed: Readonly<Record<string, string>>): void {
    this.setAbout(this.route.about, changed)
  }

  /** What of this page is shown, as `setParams`: it opens and closes in its place, so nothing scrolls. */
  setAbout(about: string, changed: Readonly<Record<string, string>>): void {
    const { view, params } = this.route
    history.replaceState(null, '', hrefOf(view, about, new Map([...params, ...Object.entries(changed)])))
    this.route = parseRoute(location.hash)
    this.viewChanged()
  }

  find(query: string): void {
    this.query = query
    this.tell('view')
  }

  choosePrefix(prefix: string): void {
    this.prefix = prefix
    this.tell('view')
  }

  toggleTheme(): void {
    chooseTheme(this.theme === 'light' ? 'dark' : 'light')
    this.themeChanged()
  }

  private themeChanged(): void {
    this.theme = currentTheme()
    this.palette = readPalette(this.theme)
    for (const card of this.cards) card.restyle()
    this.viewChanged()
  }

  private viewChanged(): void {
    this.markAll()
    this.tell('view')
  }

  private markAll(): void {
    if (document.hidden) return
    for (const card of this.cards) this.queue.mark(card)
  }

  private tell(topic: Topic): void {
    for (const listener of this.listeners.get(topic) ?? []) listener()
  }
}
