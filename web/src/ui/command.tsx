/** Orders to the server: asked about first where they cannot be taken back, then sent, and what it said. */
import type { ComponentChildren } from 'preact'
import { useEffect, useRef, useState } from 'preact/hooks'
import { object, text } from '../model/untrusted'
import type { Page } from '../page'

/** What came of the last order. */
export type Outcome = { readonly done: string } | { readonly refused: string } | null

export interface Command {
  readonly outcome: Outcome
  /** An order is on its way. */
  readonly busy: boolean
  /** How many were done; for `useAnswer`, which then asks again. */
  readonly count: number
  /** Sends an order. `done` says in words what it has done. Whether it was done. */
  run(method: 'POST' | 'PUT' | 'DELETE', path: string, done: string, body?: unknown): Promise<boolean>
  /** Says that nothing was sent, and why. */
  refuse(why: string): void
}

export function useCommand(page: Page): Command {
  const [outcome, setOutcome] = useState<Outcome>(null)
  const [busy, setBusy] = useState(false)
  const [count, setCount] = useState(0)
  const run: Command['run'] = async (method, path, done, body) => {
    setBusy(true)
    try {
      const response = await page.token.send(method, path, body)
      if (!response.ok) {
        setOutcome({ refused: await wordsOf(response) })
        return false
      }
      setOutcome({ done })
      setCount((n) => n + 1)
      return true
    } catch (error) {
      setOutcome({ refused: error instanceof Error ? error.message : String(error) })
      return false
    } finally {
      setBusy(false)
    }
  }
  const refuse = (refused: string) => {
    setOutcome({ refused })
  }
  return { outcome, busy, count, run, refuse }
}

/** The server's own words for what it refuses. */
export async function wordsOf(response: Response): Promise<string> {
  try {
    const { error } = object(await response.json())
    return text(error) || `HTTP status ${response.status}`
  } catch {
    return `HTTP status ${response.status}`
  }
}

/** What came of the last order, said to everybody. */
export function Said({ outcome }: { outcome: Outcome }) {
  if (outcome === null) return null
  return 'done' in outcome ? <p class="done" role="status">{outcome.done}</p> : <p class="refused" role="alert">{outcome.refused}</p>
}

interface ConfirmProps {
  readonly title: string
  /** What the button does, in a word or two. */
  readonly action: string
  readonly yes: () => void
  readonly close: () => void
  readonly children: ComponentChildren
}

/** Asks before something is done that cannot be taken back. Escape and *Keep* do nothing. */
export function Confirm({ title, action, yes, close, children }: ConfirmProps) {
  const dialog = useRef<HTMLDialogElement>(null)
  useEffect(() => {
    dialog.current?.showModal()
  }, [])
  return (
    <dialog ref={dialog} class="ask" aria-label={title} onClose={close}>
      <h2>{title}</h2>
      {children}
      <p class="choices">
        <button type="button" autofocus onClick={() => dialog.current?.close()}>
          Cancel
        </button>
        <button
          type="button"
          class="danger"
          onClick={() => {
            yes()
            dialog.current?.close()
          }}
        >
          {action}
        </button>
      </p>
    </dialog>
  )
}
