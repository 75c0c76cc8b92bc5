/** The stream over a WebSocket: one for all subscriptions. */
import { decode } from './decode.js'
import { SUBPROTOCOL } from './message.js'
import type { ServerMessage } from './message.js'
import type { Listener, Wire } from './wire.js'

/**
 * Opens one to `base` + `api/v1/stream/ws`. `base` is `http:` or `https:` and ends in a slash. A token goes as a subprotocol:
 * a browser sets no header here, and an address stands in logs.
 */
export function openWebSocket(base: URL, listener: Listener, token?: string): Wire {
  const url = new URL('api/v1/stream/ws', base)
  url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:'
  const socket = new WebSocket(url.href, token ? [SUBPROTOCOL, `bearer.${token}`] : SUBPROTOCOL)
  let ended = false
  const end = () => {
    ended = true
    socket.onopen = socket.onmessage = socket.onclose = null
    socket.close()
  }
  socket.onopen = () => {
    listener.opened()
  }
  socket.onmessage = ({ data }: MessageEvent<unknown>) => {
    let message: ServerMessage | null
    try {
      message = decode(String(data))
    } catch (error) {
      listener.bad(error as Error)
      return
    }
    if (message === null) listener.heard()
    else listener.message(message)
  }
  socket.onclose = ({ code, reason }) => {
    if (ended) return
    ended = true
    listener.lost({ code, reason })
  }
  return {
    send(message) {
      if (socket.readyState === 1) socket.send(JSON.stringify(message))
    },
    close: end,
  }
}
