/**
 * One connection for all elements of a page that show the same server. The first who joins opens it, the last who leaves
 * closes it.
 */
import { connect } from '../client/index'
import type { Live } from '../client/index'

/** An element's part in a connection. */
export interface Membership {
  readonly live: Live
  /** Shows the server another token, now if it has refused us. */
  readonly useToken: (token: string) => void
  readonly leave: () => void
}

interface Shared {
  readonly live: Live
  readonly members: Set<() => void>
}

const connections = new Map<string, Shared>()
/** Once given, a token holds for its server while the page is open, whichever element had it. */
const tokens = new Map<string, string>()
/** A constant, so that no bundler takes it for the address of a file. */
const here: string = import.meta.url

/**
 * @param server its address; empty for that of this module.
 * @param changed is told when the connection changes.
 * @throws TypeError if that is no address of a server.
 */
export function join(server: string, token: string | undefined, changed: () => void): Membership {
  const { href } = server === '' ? new URL('.', here) : new URL(server, document.baseURI)
  if (token !== undefined) tokens.set(href, token)
  let shared = connections.get(href)
  if (shared === undefined) {
    const live = connect(href, { token: () => tokens.get(href), events: [] })
    const members = new Set<() => void>()
    live.on('state', () => {
      for (const member of members) member()
    })
    // What is refused is told to the element that asked; the rest is for who looks for it.
    live.on('error', (error) => {
      console.warn('gauge-cast:', error)
    })
    shared = { live, members }
    connections.set(href, shared)
  }
  const { live, members } = shared
  members.add(changed)
  return {
    live,
    useToken: (next) => {
      if (tokens.get(href) === next) return
      tokens.set(href, next)
      if (live.state.phase !== 'live') live.retry()
    },
    leave: () => {
      members.delete(changed)
      if (members.size > 0 || connections.get(href)?.live !== live) return
      connections.delete(href)
      live.close()
    },
  }
}
