/** Orders to the server: what came of one, in its own words where it refuses. */
import { useState } from 'preact/hooks'
import { object, text } from '../model/untrusted'
import type { Page } from '../page'

/** Gives an order. Empty if it was done, else why it was not. */
export async function order(page: Page, method: 'POST' | 'PUT' | 'DELETE', path: string, body?: unknown): Promise<string> {
  try {
    const response = await page.token.send(method, path, body)
    if (response.ok) return ''
    const { error } = object(await response.json().catch(() => null))
    return text(error) || `HTTP status ${response.status}`
  } catch (error) {
    return `The server does not answer: ${error instanceof Error ? error.message : String(error)}`
  }
}

export interface Orders {
  /** One is on its way. */
  readonly busy: boolean
  /** Why the last was not done; empty if it was. */
  readonly refused: string
  give(method: 'POST' | 'PUT' | 'DELETE', path: string, body?: unknown): Promise<boolean>
}

/** Orders of one component, one after the other. @param done is told after each that was carried out. */
export function useOrders(page: Page, done: () => void): Orders {
  const [state, setState] = useState({ busy: false, refused: '' })
  return {
    ...state,
    give: async (method, path, body) => {
      if (state.busy) return false
      setState({ busy: true, refused: '' })
      const refused = await order(page, method, path, body)
      setState({ busy: false, refused })
      if (refused === '') done()
      return refused === ''
    },
  }
}
