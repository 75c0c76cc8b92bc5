/**
 * Asks for a token where the server does not show anything without. Before anything was seen it is the page; later, when
 * the token is good no more, a panel above what was there.
 */
import { useRef, useState } from 'preact/hooks'
import { TOKEN } from '../model/token'
import type { Page } from '../page'

export function TokenForm({ page, over }: { page: Page; over: boolean }) {
  const field = useRef<HTMLInputElement>(null)
  const [slip, setSlip] = useState(false)
  const before = page.token.value !== undefined
  return (
    <main class={over ? 'ask-token over' : 'ask-token'}>
      <h1>{over ? 'Sign in again' : 'This server asks for a token'}</h1>
      <p>
        With the scopes <code>read</code> and <code>stream</code>. Whoever runs the server makes one:
      </p>
      <pre tabIndex={0}>gaugecast token create NAME --scope read,stream --web.token-file=FILE</pre>
      <form
        onSubmit={(event) => {
          event.preventDefault()
          const text = field.current?.value.trim() ?? ''
          setSlip(!TOKEN.test(text))
          if (TOKEN.test(text)) void page.useToken(text)
        }}
      >
        <label for="token">Token</label>
        <input ref={field} id="token" type="password" required autocomplete="off" spellcheck={false} placeholder="gct_…" />
        <button type="submit">Connect</button>
      </form>
      {slip && <p class="refused" role="alert">That is no token: it has a blank or a letter that tokens do not have.</p>}
      {!slip && before && <p class="refused" role="alert">The last one was refused: {page.tokenWanted}.</p>}
      <p class="aside">It is kept in this tab until you close it, and sent to this server only.</p>
    </main>
  )
}
