/**
 * What the server does not tell, in its own words; and, where another token would help, a field for one. Reading may be
 * allowed while administration is not.
 */
import { useRef, useState } from 'preact/hooks'
import { TOKEN } from '../model/token'
import type { Page } from '../page'

export function Denied({ page, what, why }: { page: Page; what: string; why: string }) {
  return (
    <>
      <p class="refused" role="alert">{what}: {why}</p>
      {page.token.value !== undefined && <OtherToken page={page} />}
    </>
  )
}

function OtherToken({ page }: { page: Page }) {
  const field = useRef<HTMLInputElement>(null)
  const [slip, setSlip] = useState(false)
  return (
    <form
      class="form box other-token"
      onSubmit={(event) => {
        event.preventDefault()
        const text = field.current?.value.trim() ?? ''
        setSlip(!TOKEN.test(text))
        if (TOKEN.test(text)) void page.useToken(text)
      }}
    >
      <label class="wide-field">
        Another token, with the scope admin
        <input ref={field} class="field" type="password" required autocomplete="off" spellcheck={false} placeholder="gct_…" />
      </label>
      <button type="submit">Use it</button>
      {slip && <p class="refused" role="alert">That is no token: it has a blank or a letter that tokens do not have.</p>}
    </form>
  )
}
