/** Every family, a card each; beside them the names by prefix, and what asks for attention. */
import type { ComponentChildren } from 'preact'
import { useMemo, useState } from 'preact/hooks'
import { age, clock, format } from '../format/number'
import { finding, SHOWS, shows, sortedBy, SORTS } from '../model/explore'
import type { Show, Sort } from '../model/explore'
import { cardsOf } from '../model/group'
import { byPrefix } from '../model/prefix'
import { nearest } from '../model/search'
import type { FamilyInfo } from '../model/store'
import type { Page } from '../page'
import { useAttention } from '../ui/attention'
import type { Attention } from '../ui/attention'
import { useTopics } from '../ui/hooks'
import { useKeyUses } from '../ui/key-table'
import { Near } from '../ui/near'
import type { PageProps } from '../ui/pages'
import { SpecCard } from '../ui/spec-card'

export function Explore({ page, find }: PageProps) {
  useTopics(page, 'structure', 'view')
  const [sheet, setSheet] = useState(false)
  const attention = useAttention(page)
  const { params } = page.route
  const sort = known(SORTS, params.get('sort')) ?? ''
  const show = known(SHOWS, params.get('show'))
  const asked = useMemo(() => finding(page.query), [page.query])
  const plain = page.prefix === '' && asked.empty && show === undefined
  const families = sortedBy(sort, page.store.families.values(), attention, plain)
  const found = families.flatMap((family) => asked.of(family) ?? [])
  const groups = byPrefix(families.map((family) => family.name))
  const group = groups.find((one) => one.prefix === page.prefix)
  const ofGroup = group === undefined ? found : found.filter((family) => group.names.has(family.name))
  const shown = show === undefined ? ofGroup : ofGroup.filter((family) => shows(show, family.name, attention))
  // A card has of each family what was found of it.
  const parts = new Map(shown.map((family) => [family.name, family]))
  const part = (name: string) => parts.get(name) ?? page.store.families.get(name)
  const series = shown.reduce((sum, family) => sum + family.series.length, 0)
  const choose = (params: { readonly prefix?: string; readonly show?: string }) => {
    page.setParams({ prefix: '', show: '', ...params })
    setSheet(false)
    scrollTo(0, 0)
  }
  useKeyUses([
    {
      keys: ['Escape'],
      shown: '',
      does: '',
      act: () => {
        if (!sheet) return false
        setSheet(false)
        return true
      },
    },
  ])
  return (
    <div class="explore">
      {sheet && <button type="button" class="behind" aria-label="Close" onClick={() => { setSheet(false) }} />}
      <Rail open={sheet}>
        <p class="rail-title">By name</p>
        <RailItem label="All" count={found.length} chosen={group === undefined && show === undefined} choose={() => { choose({}) }} />
        {groups.map(({ prefix, names }) => {
          const count = found.reduce((sum, family) => sum + (names.has(family.name) ? 1 : 0), 0)
          if (count === 0 && prefix !== page.prefix) return null
          return <RailItem key={prefix} label={prefix} count={count} chosen={prefix === page.prefix} choose={() => { choose({ prefix }) }} />
        })}
        <p class="rail-title">Show</p>
        {(Object.keys(SHOWS) as Show[]).map((one) => (
          <RailItem key={one} label={SHOWS[one]} count={found.filter((family) => shows(one, family.name, attention)).length} chosen={one === show} choose={() => { choose({ show: one }) }} />
        ))}
      </Rail>
      <main>
        <div class="headline">
          <h1>{show !== undefined ? SHOWS[show] : group === undefined ? 'All metrics' : group.prefix}</h1>
          <p>
            <Facts page={page} families={shown.length} series={series} />
          </p>
          <div class="tools">
            <button type="button" class="rail-button" aria-expanded={sheet} onClick={() => { setSheet(!sheet) }}>
              {show !== undefined ? SHOWS[show] : group?.prefix ?? 'By name'}
            </button>
            <div class="segment" role="group" aria-label="Sort">
              {(Object.keys(SORTS) as Sort[]).map((one) => (
                <button key={one} type="button" aria-pressed={one === sort} onClick={() => { page.setParams({ sort: one }) }}>
                  {SORTS[one]}
                </button>
              ))}
            </div>
          </div>
        </div>
        {page.serverError !== '' && <p class="refused" role="alert">{page.serverError}</p>}
        {asked.wrong !== '' && <p class="refused" role="alert">{asked.wrong}</p>}
        {shown.length > 0 ? (
          <div class="cards">
            {cardsOf(shown, (name) => page.store.families.get(name)).map((spec, i) => {
              const names = (spec.families ?? [spec.family ?? '']).join(' ')
              return (
                <Near key={names} name={names}>
                  <SpecCard page={page} spec={spec} place={i} find={part} />
                </Near>
              )
            })}
          </div>
        ) : (
          <Nothing page={page} families={families} elsewhere={found.length} show={show} attention={attention} find={find} />
        )}
      </main>
    </div>
  )
}

/** The key of an object that a link names, if it is one. */
function known<K extends string>(of: Readonly<Record<K, string>>, name: string | undefined): K | undefined {
  return name !== undefined && Object.hasOwn(of, name) ? (name as K) : undefined
}

/** Beside the cards; on a phone a sheet over them. */
function Rail({ open, children }: { open: boolean; children: ComponentChildren }) {
  return (
    <nav class={open ? 'rail open' : 'rail'} aria-label="Families by name">
      {children}
    </nav>
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

const NONE_OF: Readonly<Record<Show, string>> = {
  changing: 'Nothing changes more than it usually does.',
  unusual: 'Nothing that is watched is unusual now.',
  alert: 'No alert is pending or firing.',
  stale: 'No series has ended.',
}

interface NothingProps extends Pick<PageProps, 'find'> {
  readonly page: Page
  readonly families: readonly FamilyInfo[]
  readonly elsewhere: number
  readonly show: Show | undefined
  readonly attention: Attention
}

/** Why there is no card: not connected yet, no metric at all, or nothing found. */
function Nothing({ page, families, elsewhere, show, attention, find }: NothingProps) {
  if (page.store.lastTime === 0) return <p class="nothing">Collecting. The first values come with the next tick.</p>
  if (families.length === 0) {
    return (
      <div class="nothing">
        <p>No metric yet. Three lines in a file for the text file collector expose one:</p>
        <pre tabIndex={0}>{'# HELP shop_orders_total Orders.\n# TYPE shop_orders_total counter\nshop_orders_total 1'}</pre>
      </div>
    )
  }
  if (show !== undefined && !families.some(({ name }) => shows(show, name, attention))) return <p class="nothing">{NONE_OF[show]}</p>
  const where = show === undefined ? page.prefix : SHOWS[show]
  if (elsewhere > 0) {
    return (
      <p class="nothing">
        {page.query === '' ? 'Nothing here' : `Nothing matches “${page.query}”`} in {where}.{' '}
        <button type="button" class="link" onClick={() => { page.setParams({ prefix: '', show: '' }) }}>
          {elsewhere} elsewhere
        </button>
      </p>
    )
  }
  const near = nearest(page.query, families.map((family) => family.name))
  return (
    <p class="nothing">
      Nothing matches “{page.query}”{where === '' ? '' : ` in ${where}`}.
      {near !== null && (
        <>
          {' '}
          Nearest:{' '}
          <button
            type="button"
            class="link"
            onClick={() => {
              page.setParams({ prefix: '', show: '', find: near })
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
