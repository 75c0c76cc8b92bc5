/** Every family, a card each; beside them the names by prefix. */
import { useState } from 'preact/hooks'
import { age, clock, format } from '../format/number'
import { cardsOf } from '../model/group'
import { byName, byQuestion } from '../model/order'
import { byPrefix } from '../model/prefix'
import { haystack, matches, nearest, words } from '../model/search'
import type { FamilyInfo } from '../model/store'
import type { Page } from '../page'
import { SpecCard } from '../ui/spec-card'
import { useTopics } from '../ui/hooks'
import type { PageProps } from '../ui/pages'

/** Text of a family for the search, kept until it has more series. */
const haystacks = new WeakMap<FamilyInfo, { series: number; text: string }>()

function textOf(family: FamilyInfo): string {
  const kept = haystacks.get(family)
  if (kept?.series === family.series.length) return kept.text
  const text = haystack(family)
  haystacks.set(family, { series: family.series.length, text })
  return text
}

export function Explore({ page, find }: PageProps) {
  useTopics(page, 'structure', 'view')
  const [railOpen, setRailOpen] = useState(false)
  const wanted = words(page.query)
  const known = page.store.families.values()
  const families = page.prefix === '' && wanted.length === 0 ? byQuestion(known) : byName(known)
  const found = families.filter((family) => matches(textOf(family), wanted))
  const groups = byPrefix(families.map((family) => family.name))
  const group = groups.find((one) => one.prefix === page.prefix)
  const shown = group === undefined ? found : found.filter((family) => group.names.has(family.name))
  const series = shown.reduce((sum, family) => sum + family.series.length, 0)
  const choose = (prefix: string) => {
    page.choosePrefix(prefix)
    setRailOpen(false)
    scrollTo(0, 0)
  }

  return (
    <div class="explore">
      <nav class={railOpen ? 'rail open' : 'rail'} aria-label="Families by name">
        <p class="rail-title">By name</p>
        <RailItem label="All" count={found.length} chosen={group === undefined} choose={() => { choose('') }} />
        {groups.map(({ prefix, names }) => {
          const count = found.reduce((sum, family) => sum + (names.has(family.name) ? 1 : 0), 0)
          if (count === 0 && prefix !== page.prefix) return null
          return <RailItem key={prefix} label={prefix} count={count} chosen={prefix === page.prefix} choose={() => { choose(prefix) }} />
        })}
      </nav>
      <main>
        <div class="headline">
          <h1>{group === undefined ? 'All metrics' : group.prefix}</h1>
          <p>
            <Facts page={page} families={shown.length} series={series} />
          </p>
          <button type="button" class="rail-button" aria-expanded={railOpen} onClick={() => { setRailOpen(!railOpen) }}>
            By name
          </button>
        </div>
        {page.serverError !== '' && <p class="refused" role="alert">{page.serverError}</p>}
        {shown.length > 0 ? (
          <div class="cards">
            {cardsOf(shown, (name) => page.store.families.get(name)).map((spec, i) => (
              <SpecCard key={spec.family ?? spec.families?.join()} page={page} spec={spec} place={i} />
            ))}
          </div>
        ) : (
          <Nothing page={page} families={families} elsewhere={found.length} find={find} />
        )}
      </main>
    </div>
  )
}

function RailItem({ label, count, chosen, choose }: { label: string; count: number; chosen: boolean; choose: () => void }) {
  return (
    <button type="button" class="rail-item" aria-current={chosen ? 'true' : undefined} onClick={choose}>
      <span>{label}</span>
      <span class="count">{count}</span>
    </button>
  )
}

function Facts({ page, families, series }: { page: Page; families: number; series: number }) {
  const { store } = page
  if (store.families.size === 0) return <>waiting for the first frame</>
  const host = store.families.get('node_uname_info')?.series[0]?.labels.nodename
  const restarted = store.restarts.at(-1)
  const facts = [
    ...(host === undefined ? [] : [host]),
    `${format(families, 'count').text} ${families === 1 ? 'family' : 'families'}`,
    `${format(series, 'count').text} series`,
    `every ${store.intervalMs < 1000 ? `${store.intervalMs}\u202fms` : age(store.intervalMs / 1000)}`,
    ...(store.truncated ? [`the first ${format(store.matched, 'count').text} series the server sends, more exist`] : []),
    ...(restarted === undefined ? [] : [`restarted ${clock(restarted, true)}`]),
  ]
  return <>{facts.join(' · ')}</>
}

/** Why there is no card: not connected yet, no metric at all, or nothing found. */
function Nothing({ page, families, elsewhere, find }: { page: Page; families: readonly FamilyInfo[]; elsewhere: number } & Pick<PageProps, 'find'>) {
  if (page.store.lastTime === 0) return <p class="nothing">Collecting. The first values come with the next tick.</p>
  if (families.length === 0) {
    return (
      <div class="nothing">
        <p>No metric yet. Three lines in a file for the text file collector expose one:</p>
        <pre>{'# HELP shop_orders_total Orders.\n# TYPE shop_orders_total counter\nshop_orders_total 1'}</pre>
      </div>
    )
  }
  if (elsewhere > 0) {
    return (
      <p class="nothing">
        Nothing matches “{page.query}” in {page.prefix}.{' '}
        <button type="button" class="link" onClick={() => { page.choosePrefix('') }}>
          {elsewhere} elsewhere
        </button>
      </p>
    )
  }
  const near = nearest(page.query, families.map((family) => family.name))
  return (
    <p class="nothing">
      Nothing matches “{page.query}”{page.prefix === '' ? '' : ` in ${page.prefix}`}.
      {near !== null && (
        <>
          {' '}
          Nearest:{' '}
          <button
            type="button"
            class="link"
            onClick={() => {
              page.choosePrefix('')
              page.find(near)
              find.current?.focus()
            }}
          >
            {near}
          </button>
        </>
      )}
    </p>
  )
}
