/** Ways in which a component follows the page. */
import { useEffect, useReducer } from 'preact/hooks'
import type { Page, Topic } from '../page'

/** Renders again when one of the topics is told. */
export function useTopics(page: Page, ...topics: readonly Topic[]): void {
  const [, again] = useReducer((n: number, _: undefined) => n + 1, 0)
  useEffect(() => {
    const ends = topics.map((topic) =>
      page.listen(topic, () => {
        again(undefined)
      }),
    )
    return () => {
      for (const end of ends) end()
    }
  }, [page])
}

/** Renders again every `ms` milliseconds. For what counts seconds, and nothing else. */
export function useClock(ms: number): void {
  const [, again] = useReducer((n: number, _: undefined) => n + 1, 0)
  useEffect(() => {
    const timer = setInterval(() => {
      again(undefined)
    }, ms)
    return () => {
      clearInterval(timer)
    }
  }, [ms])
}
