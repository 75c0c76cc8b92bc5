/**
 * The token of this tab, for a server that asks for one. It is kept until the tab is closed, and nowhere else: not in the
 * address, not for other tabs.
 */
const KEY = 'gaugecast.token'

/** What a header can carry of it; the rest is a slip of the clipboard. */
export const TOKEN = /^[!-~]+$/

export class Token {
  /** Empty while there is none. */
  private text = ''

  constructor() {
    try {
      this.text = sessionStorage.getItem(KEY) ?? ''
    } catch {
      // A browser that keeps nothing keeps no token.
    }
  }

  get value(): string | undefined {
    return this.text || undefined
  }

  set(text: string): void {
    this.text = text
    try {
      sessionStorage.setItem(KEY, text)
    } catch {
      // It is good until the page is loaded again.
    }
  }

  /** Asks the server for something of its API. */
  fetch(path: string, signal?: AbortSignal): Promise<Response> {
    const authorization = this.text && { authorization: `Bearer ${this.text}` }
    return fetch(path, { signal: signal ?? null, headers: { accept: 'application/json', ...authorization } })
  }
}
