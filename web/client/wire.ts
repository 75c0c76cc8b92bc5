/**
 * What the state machine talks over: something that takes the client's messages and gives the server's, until it is
 * lost. `websocket.ts` and `sse.ts` reach a server, `tabs.ts` another tab that has reached one.
 */
import type { ClientMessage, ServerMessage } from './message.js'

/** How a server is reached. */
export type Transport = 'websocket' | 'sse'

/** Why a wire is gone. */
export interface Loss {
  /** The WebSocket's close code, or the HTTP status; 1006 where there is neither. */
  readonly code: number
  readonly reason: string
  /** Not before this many milliseconds, if the server said so. */
  readonly retryAfterMs?: number
}

/** What a wire tells. Nothing is told after `lost`, or after the wire was closed. */
export interface Listener {
  /** It can be written to. `over` is what it runs over, where that is not what was asked for: another tab's choice. */
  opened(over?: Transport): void
  message(message: ServerMessage): void
  /** Something that is no message shows that the other side lives. */
  heard(): void
  /** What came is not what docs/protocol.md says. */
  bad(error: Error): void
  lost(loss: Loss): void
}

export interface Wire {
  /** Messages sent before `opened` or after the end are dropped. */
  send(message: ClientMessage): void
  /** Lets go of it; the listener hears no more. */
  close(): void
}

/** Opens a wire. It tells nothing before it returned. */
export type OpenWire = (listener: Listener) => Wire
