/**
 * The time strip under the bar: the whole history in one line, and in it the window, which is dragged or put elsewhere by a
 * click. By the keyboard: arrows move it by a tenth of its width, with Shift by all of it, Home and End to the oldest and to
 * now.
 */
import { useEffect, useRef } from 'preact/hooks'
import { drawStrip } from '../chart/strip'
import { age, clock } from '../format/number'
import { rangePath } from '../model/past'
import type { Span } from '../model/span'
import { NO_SILHOUETTE, readSilhouette, readStarts, silhouetteQuery, spanOf, stepOf, STARTS_QUERY, StripScale } from '../model/strip'
import { dataOf, number, object } from '../model/untrusted'
import type { Page } from '../page'

/** How often what is behind the window is asked for anew (ms); what is new in between is in the alerts. */
const REFRESH_MS = 15_000
/** A mark is meant from so far (CSS pixels). */
const NEAR = 5

/** What moves of the strip; Preact made the elements. */
class Strip {
  private oldest = NaN
  private silhouette = NO_SILHOUETTE
  private starts: readonly number[] = []
  private width = 0
  private drawn = ''
  private asked = false
  private asking = false
  private readonly ended = new AbortController()
  private readonly ends: (() => void)[] = []

  constructor(
    private readonly page: Page,
    private readonly root: HTMLElement,
    private readonly canvas: HTMLCanvasElement,
  ) {
    const mark = () => {
      page.queue.mark(this)
    }
    const size = new ResizeObserver(() => {
      this.width = canvas.clientWidth
      mark()
    })
    size.observe(canvas)
    const timer = setInterval(() => {
      if (!document.hidden && page.connected) void this.ask()
    }, REFRESH_MS)
    this.ends.push(
      () => {
        size.disconnect()
      },
      () => {
        clearInterval(timer)
      },
      page.listen('frame', () => {
        if (!this.asked) void this.ask()
        if (!document.hidden) mark()
      }),
      page.listen('view', mark),
      page.listen('incidents', () => {
        this.drawn = ''
        mark()
      }),
      page.listen('connection', () => {
        if (page.connection.phase === 'live' && page.store.lastTime > 0) void this.ask()
        mark()
      }),
      () => {
        this.ended.abort()
        page.queue.forget(this)
      },
    )
    this.handle()
    mark()
  }

  end(): void {
    for (const end of this.ends) end()
  }

  rank(): number {
    return -2
  }

  draw(): void {
    const { page, width } = this
    if (width === 0 || page.store.lastTime === 0) return
    const { scale, window } = this.now()
    const [left, right] = scale.frame(window)
    // What would move by less than a quarter of a pixel is not drawn again.
    const quarters = (ms: number) => Math.round((ms / (scale.span.to - scale.span.from)) * width * 4)
    const shape = [width, devicePixelRatio, page.theme, page.pausedAt === null, page.connected, quarters(scale.span.from), quarters(scale.span.to), Math.round(left * 4), Math.round(right * 4)].join()
    if (shape === this.drawn) return
    this.drawn = shape
    drawStrip(
      this.canvas,
      { scale, window, paused: page.pausedAt !== null, live: page.connected, silhouette: this.silhouette, episodes: page.incidents.episodes, restarts: this.restarts },
      page.palette,
    )
    const { root } = this
    root.setAttribute('aria-valuemin', String(Math.round(scale.span.from / 1000)))
    root.setAttribute('aria-valuemax', String(Math.round(scale.span.to / 1000)))
    root.setAttribute('aria-valuenow', String(Math.round(window.to / 1000)))
    root.setAttribute('aria-valuetext', `${age(page.windowMs / 1000)} to ${page.pausedAt === null ? 'now' : clock(window.to, true)}`)
  }

  private get restarts(): readonly number[] {
    const { restarts } = this.page.store
    // What the history tells of one is more exact.
    return [...this.starts, ...restarts.filter((one) => !this.starts.some((start) => Math.abs(start - one) < 60_000))]
  }

  private now(): { scale: StripScale; window: Span } {
    const { page } = this
    const window = { from: page.windowEnd - page.windowMs, to: page.windowEnd }
    return { scale: new StripScale(spanOf(Number.isNaN(this.oldest) ? page.firstTime : this.oldest, page.store.lastTime, window), this.width), window }
  }

  /** Where a server has no history there is only what has come since the page was opened. */
  private async ask(): Promise<void> {
    if (this.asking) return
    this.asked = this.asking = true
    const { page, ended } = this
    const read = async (path: string): Promise<unknown> => (await page.token.fetch(path, ended.signal)).json()
    try {
      this.oldest = number(object(dataOf(await read('api/v1/history?match[]=gaugecast_anomaly_rate&last=1s'), '')).oldest)
      const { span } = this.now().scale
      const step = stepOf(span)
      const [silhouette, starts] = await Promise.all([read(rangePath(silhouetteQuery(step), span, step)), read(rangePath(STARTS_QUERY, span, step))])
      this.silhouette = readSilhouette(silhouette)
      this.starts = readStarts(starts, span)
      this.drawn = ''
      page.queue.mark(this)
    } catch {
      // Asked again in a while, and when the server is back.
    }
    this.asking = false
  }

  private handle(): void {
    const { page, root, canvas } = this
    let held: number | null = null
    const xOf = (event: PointerEvent) => event.clientX - canvas.getBoundingClientRect().left
    const move = (event: PointerEvent) => {
      if (held === null) return
      const { scale, window } = this.now()
      page.pauseAt(scale.endAt(xOf(event), held, window))
    }
    root.addEventListener('pointerdown', (event) => {
      if (event.button !== 0 || page.store.lastTime === 0) return
      const { scale, window } = this.now()
      held = scale.hold(xOf(event), window)
      root.setPointerCapture(event.pointerId)
      move(event)
    })
    root.addEventListener('pointermove', (event) => {
      move(event)
      this.tell(xOf(event))
    })
    for (const type of ['pointerup', 'pointercancel'] as const) {
      root.addEventListener(type, () => {
        held = null
      })
    }
    root.addEventListener('keydown', (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey || page.store.lastTime === 0) return
      const { scale, window } = this.now()
      const by = event.shiftKey ? page.windowMs : page.windowMs / 10
      const least = scale.span.from + page.windowMs
      const to = { ArrowLeft: window.to - by, ArrowDown: window.to - by, ArrowRight: window.to + by, ArrowUp: window.to + by, Home: least, End: scale.span.to }[event.key]
      if (to === undefined) return
      event.preventDefault()
      page.pauseAt(Math.max(Math.min(least, window.to), to))
    })
  }

  /** What is under the pointer, in words. */
  private tell(x: number): void {
    const { scale } = this.now()
    const restart = this.restarts.find((one) => Math.abs(scale.toX(one) - x) < NEAR)
    const title = restart === undefined ? clock(scale.toTime(x), true) : `restarted ${clock(restart, true)}`
    if (this.root.title !== title) this.root.title = title
  }
}

export function TimeStrip({ page }: { page: Page }) {
  const root = useRef<HTMLDivElement>(null)
  const canvas = useRef<HTMLCanvasElement>(null)
  useEffect(() => {
    if (root.current === null || canvas.current === null) return
    const strip = new Strip(page, root.current, canvas.current)
    return () => {
      strip.end()
    }
  }, [page])
  return (
    <div ref={root} class="strip" role="slider" tabIndex={0} aria-label="Window in the history">
      <canvas ref={canvas} />
    </div>
  )
}
