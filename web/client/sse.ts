/**
 * The stream over plain HTTP, where WebSockets do not get through: server-sent events, read by `fetch`, which unlike
 * `EventSource` tells the status of a refusal, and which Node.js has too.
 *
 * One request carries one subscription. To the state machine all of them together are one wire: each request gets a
 * channel number of its own (the server gives equal subscriptions the same), and when one breaks the wire is lost, and
 * all go on where they were.
 */
import { decode } from './decode.js'
import type { ClientMessage, ServerMessage } from './message.js'
import type { Listener, Loss, Wire } from './wire.js'

type Ask = Extract<ClientMessage, { type: 'subscribe' | 'update' }>

/** Opens a wire to `base` + `api/v1/stream/sse`. `base` is `http:` or `https:` and ends in a slash. */
export function openSse(base: URL, listener: Listener, events?: readonly string[], token?: string): Wire {
  const streams = new Map<string, { readonly asked: Ask; readonly abort: AbortController }>()
  let channels = 0
  let ended = false
  let greeted = false

  const close = () => {
    ended = true
    for (const { abort } of streams.values()) abort.abort()
    streams.clear()
  }

  const ask = (message: Ask) => {
    const before = streams.get(message.sub)
    before?.abort.abort()
    // What an update does not say stays, but for where to go on.
    const { resume: _, ...kept } = before?.asked ?? message
    const asked: Ask = { ...kept, ...message }
    const abort = new AbortController()
    streams.set(message.sub, { asked, abort })
    const channel = ++channels
    follow(base, asked, events, token, abort.signal, {
      ...listener,
      message(told) {
        if (abort.signal.aborted) return
        // All are told of the same events; the longest there is passes them on.
        if (told.type === 'event' && asked.sub !== streams.keys().next().value) return
        if (told.type === 'welcome') {
          if (greeted) return
          greeted = true
        }
        if (told.type === 'subscribed') listener.message({ ...told, channel, id: asked.id })
        else if ('channel' in told && told.channel !== null) listener.message({ ...told, channel })
        else listener.message(told)
        if (told.type === 'error') streams.delete(asked.sub)
      },
      bad(error) {
        if (!abort.signal.aborted) listener.bad(error)
      },
    }).catch((error: unknown) => {
      if (ended || abort.signal.aborted) return
      close()
      listener.lost(error instanceof Broken ? error.loss : { code: 1006, reason: (error as Error).message })
    })
  }

  // There is nothing to wait for: the first request shows whether there is a server.
  queueMicrotask(() => {
    if (!ended) listener.opened()
  })
  return {
    send(message) {
      if (ended) return
      if (message.type === 'subscribe' || message.type === 'update') ask(message)
      if (message.type === 'unsubscribe') {
        streams.get(message.sub)?.abort.abort()
        streams.delete(message.sub)
      }
    },
    close,
  }
}

/** The stream is over; `loss` is what the machine is told of it. */
class Broken extends Error {
  readonly loss: Loss

  constructor(code: number, reason: string, retryAfterMs = 0) {
    super(reason)
    this.loss = { code, reason, retryAfterMs }
  }
}

/** Follows one subscription. Returns when it was refused; any other end is an error. */
async function follow(
  base: URL,
  asked: Ask,
  events: readonly string[] | undefined,
  token: string | undefined,
  signal: AbortSignal,
  listener: Listener,
): Promise<void> {
  const url = new URL('api/v1/stream/sse', base)
  const to = url.searchParams
  for (const selector of asked.match ?? []) to.append('match[]', selector)
  if (asked.query !== undefined) to.set('query', asked.query)
  if (asked.derived !== undefined) to.set('derived', asked.derived.join())
  if (asked.history !== undefined) to.set('history', String(asked.history))
  to.set('sub', asked.sub)
  to.set('clamp', '1')
  // Who falls back has something in between, which may hold the beginning of an answer back.
  to.set('padding', '1')
  if (asked.interval !== undefined) to.set('interval', String(asked.interval))
  if (asked.limit !== undefined) to.set('limit', String(asked.limit))
  if (asked.exact === true) to.set('exact', '1')
  if (events !== undefined) to.set('events', events.join())
  // In the address and not as a header, which would cost a page of another origin a second request.
  if (asked.resume) to.set('last_event_id', `${asked.resume.epoch}:${asked.resume.offset}`)
  const headers = { Accept: 'text/event-stream', ...(token && { Authorization: `Bearer ${token}` }) }
  const response = await fetch(url, { headers, cache: 'no-store', signal })
  if (!response.ok) {
    const error = await refusal(response, asked)
    if (error instanceof Broken) throw error
    listener.message(error)
    return
  }
  if (response.body === null) throw new Broken(1006, 'no body')
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader()
  let rest = ''
  let data = ''
  for (;;) {
    const { done, value } = await reader.read()
    if (done) throw new Broken(1006, 'the answer ended')
    const lines = (rest + value).split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) {
      if (line.startsWith('data:')) data += line.slice(line[5] === ' ' ? 6 : 5)
      else if (line.startsWith(':')) listener.heard()
      else if (line === '' && data !== '') {
        const text = data
        data = ''
        let message: ServerMessage | null
        try {
          message = decode(text)
        } catch (error) {
          listener.bad(error as Error)
          continue
        }
        if (message !== null) listener.message(message)
      }
    }
  }
}

/** What a refused request means: of this subscription, or of the server as a whole. */
async function refusal(response: Response, asked: Ask): Promise<ServerMessage | Broken> {
  const { status, headers } = response
  let problem: { error?: unknown; details?: Readonly<Record<string, unknown>> } = {}
  try {
    problem = (await response.json()) as typeof problem
  } catch {
    // A proxy's page says nothing that is for us.
  }
  const message = typeof problem.error === 'string' ? problem.error : `HTTP status ${status}`
  if (status === 400) {
    const { reason, column } = problem.details ?? {}
    return {
      type: 'error',
      code: typeof reason === 'string' ? reason : 'bad_request',
      message,
      sub: asked.sub,
      id: asked.id,
      column: typeof column === 'number' ? column : null,
      retryable: false,
    }
  }
  const seconds = Number(headers.get('Retry-After'))
  return new Broken(status, message, seconds > 0 ? seconds * 1000 : 0)
}
