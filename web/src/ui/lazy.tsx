/** A page that is a file of its own, fetched when somebody goes there. */
import type { FunctionComponent } from 'preact'
import { useEffect, useState } from 'preact/hooks'
import type { PageProps } from './pages'

/** @param fetched imports the page; called until it has succeeded once. */
export function lazy(fetched: () => Promise<FunctionComponent<PageProps>>): FunctionComponent<PageProps> {
  let known: FunctionComponent<PageProps> | null = null
  return function Lazy(props) {
    const [Shown, setShown] = useState<FunctionComponent<PageProps> | null>(() => known)
    const [failed, setFailed] = useState(0)
    useEffect(() => {
      if (known !== null) return
      let left = false
      fetched().then(
        (found) => {
          known = found
          if (!left) setShown(() => found)
        },
        () => {
          if (!left) setFailed((times) => times + 1)
        },
      )
      return () => {
        left = true
      }
    }, [failed === 0])
    // A browser may keep that an import failed for as long as the document lives.
    useEffect(() => {
      if (failed === 0) return
      return props.page.listen('connection', () => {
        if (props.page.connected) location.reload()
      })
    }, [failed === 0])
    if (Shown !== null) return <Shown {...props} />
    return (
      <main class="plain-page" aria-busy={failed === 0}>
        {failed > 0 && (
          <p class="refused" role="alert">
            This page could not be fetched from the server.{' '}
            <button type="button" class="link" onClick={() => { location.reload() }}>
              Load anew
            </button>
          </p>
        )}
      </main>
    )
  }
}
