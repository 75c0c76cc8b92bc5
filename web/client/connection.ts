/** The rim of the client: a WebSocket, a clock and the dice around the state machine of `machine.ts`. */
import { decode } from './decode'
import { INITIAL, step } from './machine'
import type { Event, State } from './machine'
import { SUBPROTOCOL } from './message'
import type { ServerMessage, Subscription } from './message'

/** How often the machine looks at the clock, in milliseconds; the countdown of a page needs no more. */
const TICK_MS = 250

export interface Options {
  /** Address of `/api/v1/stream/ws`, with `ws:` or `wss:`. */
  readonly url: string
  readonly subscription: Subscription
  /** Called with each message in sequence; never with a frame that was refused. */
  readonly onMessage: (message: ServerMessage) => void
  /** Called when the state is another object than before. */
  readonly onState: (state: State) => void
  /** Called with a frame that could not be decoded. The frame is left out; the gap it leaves is then healed. */
  readonly onBadFrame?: (error: unknown) => void
}

/** One subscription kept alive over losses of the connection. Starts at once; `stop` ends it for good. */
export class Connection {
  private state: State = INITIAL
  private socket: WebSocket | null = null
  private readonly timer: ReturnType<typeof setInterval>

  constructor(private readonly options: Options) {
    this.timer = setInterval(() => {
      this.feed({ type: 'tick' })
    }, TICK_MS)
    this.feed({ type: 'start' })
  }

  /** Tries now rather than when the countdown ends. Without effect while connected. */
  retry(): void {
    this.feed({ type: 'retry' })
  }

  stop(): void {
    clearInterval(this.timer)
    this.feed({ type: 'stop' })
  }

  private feed(event: Event): void {
    const { state, effects } = step(this.state, event, this.options.subscription, performance.now(), Math.random())
    const changed = state !== this.state
    this.state = state
    for (const effect of effects) {
      switch (effect.type) {
        case 'open':
          this.open()
          break
        case 'drop':
          this.drop()
          break
        case 'send':
          if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(effect.message))
          break
        case 'deliver':
          this.options.onMessage(effect.message)
          break
      }
    }
    if (changed) this.options.onState(state)
  }

  private open(): void {
    this.drop()
    const socket = new WebSocket(this.options.url, SUBPROTOCOL)
    this.socket = socket
    socket.onopen = () => {
      this.feed({ type: 'opened' })
    }
    socket.onmessage = (event: MessageEvent<unknown>) => {
      if (typeof event.data !== 'string') return
      let message: ServerMessage | null
      try {
        message = decode(event.data)
      } catch (error) {
        this.options.onBadFrame?.(error)
        return
      }
      if (message !== null) this.feed({ type: 'message', message })
    }
    socket.onclose = (event) => {
      this.socket = null
      this.feed({ type: 'lost', code: event.code, reason: event.reason })
    }
  }

  /** Lets go of the socket without hearing from it again. */
  private drop(): void {
    const socket = this.socket
    if (socket === null) return
    this.socket = null
    socket.onopen = socket.onmessage = socket.onclose = null
    socket.close()
  }
}
