/** The tabs of a narrow screen, under the thumb: four pages and the menu. */
import type { Page } from '../page'
import { hrefOf } from '../route'
import { FiringCount } from './alert/news'
import { useTopics } from './hooks'
import { Icon } from './icons'
import { More } from './more'
import type { PageInfo } from './pages'
import { PAGES, pageOf } from './pages'

const TABS = 4
/** What is looked for on the way; the rest is in the menu. */
const FIRST = ['overview', 'explore', 'boards', 'alerts']

/** The pages at the bottom, in the order of the bar, and the others. */
function split(): readonly [readonly PageInfo[], readonly PageInfo[]] {
  const tabs = PAGES.filter(({ place }) => place === 'tab')
  const known = tabs.filter(({ view }) => FIRST.includes(view))
  const bottom = [...known, ...tabs.filter((one) => !known.includes(one))].slice(0, TABS)
  return [bottom, PAGES.filter((one) => one.place !== 'inside' && !bottom.includes(one))]
}

export function BottomTabs({ page }: { page: Page }) {
  useTopics(page, 'view')
  const shown = pageOf(page.route.view)
  const [bottom, others] = split()
  return (
    <nav class="bottom" aria-label="Pages">
      {bottom.map((one) => (
        <a key={one.view} href={hrefOf(one.view)} aria-current={one === shown ? 'page' : undefined}>
          <Icon name={one.view} />
          <span>{one.label}</span>
          {one.view === 'alerts' && <FiringCount page={page} />}
        </a>
      ))}
      <More page={page} pages={others} asTab />
    </nav>
  )
}
