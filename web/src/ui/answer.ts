/** What the API tells, asked again from time to time and when the server says that something happened. */
import { useEffect, useState } from 'preact/hooks'
import type { Page, Topic } from '../page'

/** What was read; or why it could not be; null before the first answer. */
export type Answer<T> = { readonly told: T } | { readonly refused: string } | null

interface Asking {
  /** How often it is asked for while it is looked at (ms). */
  readonly every: number
  /** Ask at once when one of these is told. */
  readonly on?: readonly Topic[]
  /** Another one makes it ask at once, as an order just given does. */
  readonly again?: number
}

/** @param read takes an answer apart; throws a text for people where it is none. */
export function useAnswer<T>(page: Page, path: string, read: (answer: unknown) => T, { every, on = [], again = 0 }: Asking): Answer<T> {
  const [answer, setAnswer] = useState<Answer<T>>(null)
  useEffect(() => {
    const ended = new AbortController()
    // Who was turned away is not let in for asking again: each time is a line of the server's audit log.
    let turnedAway = false
    const ask = async () => {
      let answered = false
      try {
        const response = await page.token.fetch(path, ended.signal)
        answered = true
        turnedAway = response.status === 401 || response.status === 403
        // The sign-in panel says it; what was told before stays behind it.
        if (response.status === 401) return
        setAnswer({ told: read(await response.json()) })
      } catch (error) {
        // While the connection is lost the banner says so; what was told before stays.
        if (!ended.signal.aborted && (answered || page.connected)) setAnswer({ refused: error instanceof Error ? error.message : String(error) })
      }
    }
    void ask()
    const timer = setInterval(() => {
      if (!document.hidden && page.connected && !turnedAway) void ask()
    }, every)
    const ends = on.map((topic) => page.listen(topic, () => void ask()))
    return () => {
      ended.abort()
      clearInterval(timer)
      for (const end of ends) end()
    }
  }, [page, path, again, page.token.value])
  return answer
}
