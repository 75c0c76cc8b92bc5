/** Frame and page: bar, banner, and the page that the address names. */
import { useEffect, useRef, useState } from 'preact/hooks'
import type { Page } from '../page'
import { AlertNews } from './alert/news'
import { BottomTabs } from './bottom-tabs'
import { useTopics } from './hooks'
import { Help, useKeys } from './keys'
import { NewVersion } from './new-version'
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
  // What was there stays where it is, so that whoever signs in again goes on from there.
  const seen = page.store.lastTime > 0
  const { Shown } = pageOf(page.route.view)
  useEffect(() => {
    document.documentElement.classList.toggle('offline', offline)
  }, [offline])
  return (
    <>
      <TopBar page={page} find={find} />
      {!asked && <AlertNews page={page} />}
      {(!asked || seen) && (
        <div class="beneath" inert={asked}>
          {!asked && <Banner page={page} />}
          {!asked && <NewVersion page={page} />}
          <TimeStrip page={page} />
        </div>
      )}
      {asked && <TokenForm page={page} over={seen} />}
      {(!asked || seen) && (
        <div class="shown" inert={asked}>
          <Shown page={page} find={find} />
        </div>
      )}
      <BottomTabs page={page} />
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
