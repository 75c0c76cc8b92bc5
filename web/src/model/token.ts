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

  /** @param refused told when the server takes no token, or this one no more, with its answer. */
  constructor(private readonly refused: (response: Response) => void = () => undefined) {
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
    return this.ask(path, { signal: signal ?? null, headers: this.headers })
  }

  /** Tells the server to do something; `body` goes as JSON, or as the form that it is. */
  send(method: 'POST' | 'PUT' | 'DELETE', path: string, body?: unknown): Promise<Response> {
    // The browser names the type of a form by itself.
    if (body === undefined || body instanceof URLSearchParams) return this.ask(path, { method, body: body ?? null, headers: this.headers })
    return this.ask(path, { method, body: JSON.stringify(body), headers: { ...this.headers, 'content-type': 'application/json' } })
  }

  private async ask(path: string, init: RequestInit): Promise<Response> {
    const shown = this.text
    const response = await fetch(path, init)
    // An answer to another one than there is now says nothing.
    if (response.status === 401 && shown === this.text) this.refused(response.clone())
    return response
  }

  private get headers(): Record<string, string> {
    return { accept: 'application/json', ...(this.text === '' ? {} : { authorization: `Bearer ${this.text}` }) }
  }
}
