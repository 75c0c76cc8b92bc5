/** Frame and page: bar, banner, and the page that the address names. */
import { useEffect, useRef, useState } from 'preact/hooks'
import type { Page } from '../page'
import { AlertNews } from './alert/news'
import { useTopics } from './hooks'
import { Help, useKeys } from './keys'
import { pageOf } from './pages'
import { TimeStrip } from './time-strip'
import { TokenForm } from './token-form'
import { Banner, TopBar } from './top-bar'

export function App({ page }: { page: Page }) {
  const find = useRef<HTMLInputElement>(null)
  const [help, setHelp] = useState(false)
  useKeys(page, find, setHelp)
  useTopics(page, 'connection', 'view')
  const { phase } = page.connection
  const offline = phase === 'offline' || phase === 'closed'
  const asked = page.tokenWanted !== ''
  const { Shown } = pageOf(page.route.view)
  useEffect(() => {
    document.documentElement.classList.toggle('offline', offline)
  }, [offline])
  return (
    <>
      <TopBar page={page} find={find} />
      {!asked && <AlertNews page={page} />}
      {!asked && (
        <div class="under">
          <Banner page={page} />
          <TimeStrip page={page} />
        </div>
      )}
      {asked ? <TokenForm page={page} /> : <Shown page={page} find={find} />}
      {help && (
        <Help
          close={() => {
            setHelp(false)
          }}
        />
      )}
    </>
  )
}
