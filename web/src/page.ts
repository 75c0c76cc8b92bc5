/**
 * The state of the page, one for all cards: one window, one pause, one connection. Components listen for what they
 * render; cards read it when they draw.
 */
import { connect } from '../client/index'
import type { Live, State as ConnectionState, Subscription } from '../client/index'
import type { Drawable } from './chart/queue'
import { DrawQueue } from './chart/queue'
import { onSettings, reread } from './format/settings'
import { Incidents } from './model/incidents'
import { LiveQueries } from './model/live-query'
import { Past } from './model/past'
import { Slots } from './model/slots'
import { Store } from './model/store'
import { Token } from './model/token'
import type { Span } from './model/span'
import type { Window } from './model/window'
import { paramsOf, windowFor, windowOf } from './model/window'
import { object, text } from './model/untrusted'
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

/** How often the server is asked what happened, beside when it tells so (ms). */
const INCIDENTS_MS = 30_000
/** The window is in the address when it has been still for so long (ms). */
const ADDRESS_MS = 150
/** Windows that were chosen by hand are undone up to so many. */
const MOST_UNDONE = 20
/** A frame is late after so many intervals and milliseconds. */
const LATE_TICKS = 2
const LATE_MS = 250
/** A page that nobody has seen for so long gets frames less often. */
const HIDDEN_MS = 60_000

/** What components listen for. `alert`, `anomaly` and `target` are events of the server of that kind. */
export type Topic = 'structure' | 'frame' | 'connection' | 'view' | 'query' | 'incidents' | Kind

const KINDS = ['alert', 'anomaly', 'target'] as const
type Kind = (typeof KINDS)[number]

/** A card as the page sees it. */
export interface Card extends Drawable {
  /** Forget the chart: theme, window or units changed. */
  restyle(): void
  /** The next draw sets the digits, however lately it did. */
  textsDue(): void
  /** The cursor of the page is elsewhere: `page.cursor`. */
  cursorMoved?(): void
  /** Alerts or anomalies are others than before. */
  happened?(): void
}

export class Page {
  readonly store: Store
  readonly slots = new Slots()
  readonly queue = new DrawQueue(
    () => performance.now(),
    (frame) => requestAnimationFrame(frame),
  )
  readonly cards = new Set<Card>()
  readonly token = new Token((answer) => void this.refusedToken(answer))
  /** The server wants a token, or another one, and why in its words; empty while it does not. */
  tokenWanted = ''
  /** The version of the server when the page was loaded, and that which it has now if that is another one. */
  version = ''
  newVersion = ''
  connection: ConnectionState
  /** Width of the window. */
  windowMs: number
  /** End of the window while paused (server's clock, ms), else null. */
  pausedAt: number | null
  /** The moment that all cards tell of (server's clock, ms); null: now, or the end of the window. */
  cursor: number | null = null
  /** The cursor stays where it is, whatever the pointer does. */
  pinned = false
  /** Rules, alerts and anomalies, over charts and on the time strip. */
  readonly incidents: Incidents
  /** What the cards fetch of the time before. */
  readonly past: Past
  theme: Theme = currentTheme()
  palette: Palette = readPalette(this.theme)
  route: Route = parseRoute(location.hash)
  readonly queries: LiveQueries
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

  /** Windows before the one that was chosen by hand. */
  private readonly undone: Window[] = []
  private addressTimer: ReturnType<typeof setTimeout> | undefined
  private readonly listeners = new Map<Topic, Set<() => void>>()
  private readonly live: Live

  /** @param url where the server is. */
  constructor(url: string) {
    const { ms, at } = windowOf(this.route.params)
    this.windowMs = ms
    this.pausedAt = at
    this.past = new Past(
      (path, signal) => this.token.fetch(path, signal),
      () => performance.now(),
    )
    this.incidents = new Incidents(
      (path) => this.token.fetch(path),
      () => {
        for (const card of this.cards) card.happened?.()
        this.markAll()
        this.tell('incidents')
      },
    )
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
        if (state.phase === 'live') {
          this.past.back()
          void this.incidents.refresh()
        }
        this.markAll()
        if (state.phase === 'closed') void this.wantsToken()
        else this.tokenWanted = ''
      }
      this.tell('connection')
    })
    this.live.on('welcome', ({ serverTime, version }) => {
      if (this.version === '') this.version = version
      else if (version !== this.version) this.newVersion = version
      this.tell('connection')
      const skew = Date.now() - serverTime
      this.skewMs = Math.abs(skew) < CLOCKS_AGREE_MS ? 0 : skew
    })
    this.live.on('event', ({ kind }) => {
      const known = KINDS.find((one) => one === kind)
      if (known !== undefined) this.tell(known)
      if (known === 'alert' || known === 'anomaly') void this.incidents.refresh()
    })
    this.queries = new LiveQueries(
      () => this.live,
      () => {
        this.markAll()
        this.tell('query')
      },
      (name) => this.store.families.get(name),
    )
    addEventListener('hashchange', () => {
      const before = this.route
      this.route = parseRoute(location.hash)
      if (before.view !== this.route.view || before.about !== this.route.about) scrollTo(0, 0)
      const { params } = this.route
      // Links between pages need not say which time is shown: it is the same on all of them.
      if (params.has('w') || params.has('at')) this.show(windowOf(params))
      else this.windowChanged()
    })
    this.live.on('error', (error) => {
      console.warn('gaugecast:', error)
    })
    // Everything at once: a registry is a few hundred to a few thousand series, one delta a tick.
    const registry = this.live.subscribe('{__name__!=""}', {
      interval: '1s',
      limit: MOST_SERIES,
      exact: true,
      onMessages: (messages) => {
        this.serverError = ''
        for (const message of messages) this.store.take(message)
      },
      onError: ({ code, message }) => {
        this.serverError = message === '' ? code : message
        this.tell('view')
      },
    })
    this.slowWhileHidden(registry)
    // While nothing comes the cards still say how old they are.
    setInterval(() => {
      if (this.store.lastTime > 0 && (!this.connected || this.late)) this.markAll()
    }, 1_000)
    setInterval(() => {
      if (!document.hidden && this.connected) void this.incidents.refresh()
    }, INCIDENTS_MS)
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => {
      this.themeChanged()
    })
    onSettings(() => {
      this.restyle()
    })
    addEventListener('storage', reread)
  }

  listen(topic: Topic, listener: () => void): () => void {
    const set = this.listeners.get(topic) ?? new Set()
    this.listeners.set(topic, set)
    set.add(listener)
    return () => set.delete(listener)
  }

  /** What is typed to be found, and by which prefix of names; the address holds both. */
  get query(): string {
    return this.route.params.get('find') ?? ''
  }

  get prefix(): string {
    return this.route.params.get('prefix') ?? ''
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

  /** Connected, and yet no frame came for longer than two ticks. */
  get late(): boolean {
    return this.heardAt !== 0 && this.silenceMs > LATE_TICKS * this.store.intervalMs + LATE_MS
  }

  retry(): void {
    this.live.retry()
  }

  /** Shows the server this token from now on, until the tab is closed, and connects if it is good. */
  async useToken(token: string): Promise<void> {
    this.token.set(token)
    // Asked before, since a bad one would be refused once over each transport, and ten are the most in a minute.
    if (await this.wantsToken()) return
    this.tokenWanted = ''
    this.tell('connection')
    this.retry()
  }

  /** Does the server want a token, or another one? The page then says so. */
  private async wantsToken(): Promise<boolean> {
    try {
      const response = await this.token.fetch('api/v1/status')
      if (response.status !== 401 && response.status !== 429) return false
      await this.refusedToken(response)
      return true
    } catch {
      // The banner says that there is no connection.
      return false
    }
  }

  /** The server has answered that it takes no token, or this one no more. */
  private async refusedToken(response: Response): Promise<void> {
    const { error } = object(await response.json().catch(() => null))
    this.tokenWanted = text(error) || `HTTP status ${response.status}`
    this.tell('connection')
  }

  togglePause(): void {
    if (this.pausedAt !== null) this.goLive()
    else if (this.store.lastTime > 0) this.show({ ms: this.windowMs, at: this.store.lastTime })
  }

  goLive(): void {
    this.show({ ms: this.windowMs, at: null })
  }

  setWindow(ms: number): void {
    this.show({ ms, at: this.pausedAt })
  }

  /** Pauses at this end of the window; where nothing has been yet, it is live. */
  pauseAt(at: number): void {
    this.show({ ms: this.windowMs, at: at >= this.store.lastTime ? null : Math.round(at) })
  }

  /** Makes a span the window, until that is undone. */
  select(span: Span): void {
    this.undone.push({ ms: this.windowMs, at: this.pausedAt })
    if (this.undone.length > MOST_UNDONE) this.undone.shift()
    this.show(windowFor(span))
  }

  /** Back to the window before the last `select`. */
  undoSelect(): void {
    const before = this.undone.pop()
    if (before !== undefined) this.show(before)
  }

  /** Moves the cursor of all cards; null takes it away. A pinned one stays. */
  point(time: number | null): void {
    if (this.pinned || time === this.cursor) return
    this.cursor = time
    for (const card of this.cards) card.cursorMoved?.()
  }

  /** Pins the cursor at a moment, or looses it. */
  pin(time: number | null): void {
    this.pinned = time !== null
    this.cursor = time
    for (const card of this.cards) card.cursorMoved?.()
  }

  private show({ ms, at }: Window): void {
    this.windowMs = ms
    this.pausedAt = at
    // Digits follow the charts with some delay; what stands still shows what is meant to stand.
    for (const card of this.cards) card.textsDue()
    this.windowChanged()
  }

  /** The address says which window is shown, so that a link does; soon, since browsers refuse to be told too often. */
  private windowChanged(): void {
    this.viewChanged()
    clearTimeout(this.addressTimer)
    this.addressTimer = setTimeout(() => {
      this.setParams(paramsOf({ ms: this.windowMs, at: this.pausedAt }))
    }, ADDRESS_MS)
  }

  /** The next window up (+1) or down (−1). */
  stepWindow(by: number): void {
    // One chosen by hand is between two of them.
    const next = by < 0 ? WINDOWS.findLast((one) => one.ms < this.windowMs) : WINDOWS.find((one) => one.ms > this.windowMs)
    if (next !== undefined) this.setWindow(next.ms)
  }

  /** Sets parameters of this page in the address, where a link takes them from; no step back is kept of it. Empty ones go. */
  setParams(changed: Readonly<Record<string, string>>): void {
    this.setAbout(this.route.about, changed)
  }

  /** What of this page is shown, as `setParams`: it opens and closes in its place, so nothing scrolls. */
  setAbout(about: string, changed: Readonly<Record<string, string>>): void {
    const { view, params } = this.route
    const href = hrefOf(view, about, new Map([...params, ...Object.entries(changed)]))
    if (href !== hrefOf(view, this.route.about, params)) {
      // A page without a name in the address is the first, and gets one only if there is something to say.
      history.replaceState(null, '', href)
      this.route = parseRoute(location.hash)
    }
    this.viewChanged()
  }

  find(query: string): void {
    this.setParams({ find: query })
  }

  choosePrefix(prefix: string): void {
    this.setParams({ prefix })
  }

  toggleTheme(): void {
    chooseTheme(this.theme === 'light' ? 'dark' : 'light')
    this.themeChanged()
  }

  private themeChanged(): void {
    this.theme = currentTheme()
    this.palette = readPalette(this.theme)
    this.restyle()
  }

  private restyle(): void {
    for (const card of this.cards) card.restyle()
    this.viewChanged()
  }

  private viewChanged(): void {
    this.markAll()
    this.tell('view')
  }

  /** A page that is hidden for long gets a frame in ten seconds; seen again it is whole at once. */
  private slowWhileHidden(registry: Subscription): void {
    let timer: ReturnType<typeof setTimeout> | undefined
    let slow = false
    let slowSince = 0
    document.addEventListener('visibilitychange', () => {
      clearTimeout(timer)
      if (document.hidden) {
        timer = setTimeout(() => {
          slow = true
          slowSince = this.store.lastTime
          registry.update({ interval: '10s' })
          this.queries.pace('10s')
        }, HIDDEN_MS)
        return
      }
      if (slow) {
        registry.update({ interval: '1s' })
        this.queries.pace('1s')
        // The few rows of that time are replaced by those of the history.
        this.store.coarse(slowSince)
      }
      slow = false
      this.viewChanged()
    })
  }

  markAll(): void {
    if (document.hidden) return
    for (const card of this.cards) this.queue.mark(card)
  }

  private tell(topic: Topic): void {
    for (const listener of this.listeners.get(topic) ?? []) listener()
  }
}
