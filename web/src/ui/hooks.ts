/** Ways in which a component follows the page. */
import { useEffect, useReducer } from 'preact/hooks'
import type { Page, Topic } from '../page'

/** Renders again when one of the topics is told. */
export function useTopics(page: Page, ...topics: readonly Topic[]): void {
  const [, again] = useReducer<number, null>((n) => n + 1, 0)
  useEffect(() => {
    const ends = topics.map((topic) =>
      page.listen(topic, () => {
        again(null)
      }),
    )
    return () => {
      for (const end of ends) end()
    }
  }, [page])
}

/** Renders again every `ms` milliseconds. For what counts seconds, and nothing else. */
export function useClock(ms: number): void {
  const [, again] = useReducer<number, null>((n) => n + 1, 0)
  useEffect(() => {
    const timer = setInterval(() => {
      again(null)
    }, ms)
    return () => {
      clearInterval(timer)
    }
  }, [ms])
}
