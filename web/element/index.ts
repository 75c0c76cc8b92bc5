/**
 * `<gauge-cast>`: a live number on anybody's page, in two lines of HTML.
 *
 *     <script type="module" src="https://metrics.example.com/gauge-cast.js"></script>
 *     <gauge-cast query="sum(rate(http_requests_total[30s]))" type="line" title="Requests"></gauge-cast>
 *
 * Served as `/gauge-cast.js`, and `gaugecast-client/element` of the package. It imports the client and adds what is seen;
 * who only wants the client does not load it. All text goes through text nodes, all styles through CSSOM, so no page has to
 * loosen its policy for it.
 */
import type { Subscription, Tick } from '../client/index'
import { clock } from '../src/format/number'
import { Lines } from './lines'
import { parseSettings, WATCHED } from './settings'
import type { Settings } from './settings'
import { join } from './shared'
import type { Membership } from './shared'
import { View } from './view'

/** More series are never asked for. */
const MOST_SERIES = 100

// On a server that renders pages there are no elements; importing this there does nothing.
const Base: typeof HTMLElement = typeof HTMLElement === 'undefined' ? (Object as unknown as typeof HTMLElement) : HTMLElement

/** What is to be seen of it, also as `:state(…)` for the page's own styles. */
export type GaugeCastState = 'connecting' | 'live' | 'stale' | 'disconnected' | 'refused'

export class GaugeCast extends Base {
  static readonly observedAttributes: readonly string[] = WATCHED
  private readonly internals: ElementInternals = this.attachInternals()
  private readonly view: View = new View(this.attachShadow({ mode: 'open' }))
  private settings: Settings = parseSettings(() => null)
  private lines: Lines = new Lines(0)
  private member: Membership | null = null
  private subscription: Subscription | null = null
  private given: string | undefined
  private shown: GaugeCastState = 'connecting'
  private refusal = ''
  private due = false
  private frame = 0

  /** A token of the scope `stream`, for all elements of the same server. A property and no attribute: attributes are seen. */
  get token(): string | undefined {
    return this.given
  }

  set token(token: string | undefined) {
    this.given = token
    if (token !== undefined) this.member?.useToken(token)
  }

  /** How it is now. */
  get state(): GaugeCastState {
    return this.shown
  }

  /** @internal */
  connectedCallback(): void {
    // Set before the element was defined, a property hides the accessor of this class.
    if (Object.hasOwn(this, 'token')) {
      const { token } = this
      Reflect.deleteProperty(this, 'token')
      this.token = token
    }
    this.changed()
  }

  /** @internal */
  disconnectedCallback(): void {
    this.changed()
  }

  /** @internal */
  attributeChangedCallback(): void {
    this.changed()
  }

  /** Several attributes change at once, and an element that is moved goes and comes: what holds in the end counts. */
  private changed(): void {
    if (this.due) return
    this.due = true
    queueMicrotask(() => {
      this.due = false
      const next = parseSettings((name) => this.getAttribute(name))
      const same = JSON.stringify(next) === JSON.stringify(this.settings)
      if (this.isConnected && this.member !== null && same) return
      const asked = this.isConnected && this.member !== null && asksTheSame(next, this.settings)
      this.settings = next
      if (!asked) this.follow()
      this.draw()
    })
  }

  /** Ends what was followed and follows what the attributes say now. */
  private follow(): void {
    this.subscription?.unsubscribe()
    this.subscription = null
    const before = this.member
    this.member = null
    this.refusal = ''
    this.lines = new Lines(this.settings.windowMs)
    if (this.isConnected) this.ask()
    // Left after the new one was joined, so that a connection both have stays.
    before?.leave()
  }

  private ask(): void {
    const { server, query, match, problem, interval, window, type } = this.settings
    this.setState('connecting')
    if (problem !== '') {
      this.refuse(problem)
      return
    }
    try {
      this.member = join(server, this.given, () => {
        this.phaseChanged()
      })
    } catch (error) {
      this.refuse((error as Error).message)
      return
    }
    const { live } = this.member
    const options = {
      interval,
      limit: MOST_SERIES,
      ...(type === 'line' && { history: window }),
      onError: (error: Error) => {
        this.refuse(error.message)
      },
      onLate: () => {
        this.phaseChanged()
      },
    }
    const take = (tick: Tick) => {
      this.refusal = ''
      this.lines.take(tick, this.subscription?.intervalMs ?? 0)
      this.phaseChanged()
    }
    this.subscription = query === '' ? live.subscribe(match, options, take) : live.query(query, options, take)
    this.phaseChanged()
  }

  private refuse(words: string): void {
    this.refusal = words === '' ? 'refused' : words
    this.setState('refused')
  }

  private phaseChanged(): void {
    const { member, subscription, lines } = this
    if (member === null || this.refusal !== '') return
    const { phase } = member.live.state
    if (phase === 'closed' || phase === 'offline') this.setState('disconnected')
    else if (lines.time === 0) this.setState('connecting')
    else this.setState(subscription?.late === true ? 'stale' : 'live')
  }

  private setState(state: GaugeCastState): void {
    try {
      const { states } = this.internals
      states.delete(this.shown)
      states.add(state)
    } catch {
      // Browsers of before 2024 have no such states, or others; only the page's `:state(…)` goes without.
    }
    this.shown = state
    this.draw()
  }

  /** With the next frame of the browser, which a hidden page does not have. */
  private draw(): void {
    if (this.frame !== 0) return
    this.frame = requestAnimationFrame(() => {
      this.frame = 0
      const { settings, lines } = this
      this.internals.role = 'group'
      this.internals.ariaLabel = settings.title
      this.view.draw(settings, lines, this.shown, this.words())
    })
  }

  /** The state in words, for the eye and for screen readers; empty while all is well. */
  private words(): string {
    const { lines, member } = this
    switch (this.shown) {
      case 'refused':
        return this.refusal
      case 'connecting':
        return 'connecting'
      case 'disconnected': {
        const { phase, reason } = member?.live.state ?? { phase: 'offline', reason: '' }
        const last = lines.time === 0 ? '' : `, last value of ${clock(lines.time, true)}`
        return phase === 'closed' && reason !== '' ? `disconnected: ${reason}${last}` : `disconnected${last}`
      }
      case 'stale':
        return `no new value since ${clock(lines.time, true)}`
      case 'live':
        return lines.all.length === 0 ? 'no series now' : ''
    }
  }
}

function asksTheSame(a: Settings, b: Settings): boolean {
  const asked = ({ server, query, match, problem, interval, window, type }: Settings) => JSON.stringify([server, query, match, problem, interval, window, type === 'line'])
  return asked(a) === asked(b)
}

declare global {
  interface HTMLElementTagNameMap {
    'gauge-cast': GaugeCast
  }
}

// Two copies of the module on a page are one element.
if (typeof customElements !== 'undefined' && customElements.get('gauge-cast') === undefined) customElements.define('gauge-cast', GaugeCast)

