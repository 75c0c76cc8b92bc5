/** A card of what a spec names: families of the registry, or a query that is followed for as long as the card is there. */
import { useEffect, useMemo, useRef, useState } from 'preact/hooks'
import { groupTitle } from '../model/group'
import type { LiveQuery } from '../model/live-query'
import type { CardSpec } from '../model/spec'
import type { FamilyInfo } from '../model/store'
import type { Page } from '../page'
import { CardFrame } from './card-frame'
import { useTopics } from './hooks'
import { titleOf, titleOfGroup } from './title'

interface Props {
  readonly page: Page
  readonly spec: CardSpec
  readonly place: number
  /** Where its families are found; without, among those of the registry. */
  readonly find?: (name: string) => FamilyInfo | undefined
  /** Told when somebody chose another view or group on the card. */
  readonly onSpec?: (spec: CardSpec) => void
}

export function SpecCard(props: Props) {
  const { query } = props.spec
  return query === undefined ? <OfFamilies {...props} /> : <OfQuery {...props} expression={query} />
}

function OfFamilies({ page, spec, place, find = (name) => page.store.families.get(name), onSpec }: Props) {
  useTopics(page, 'structure')
  const names = spec.families ?? [spec.family ?? '']
  const known = names.map(find).filter((family) => family !== undefined)
  const families = useSame(known)
  const [first] = families
  if (first === undefined) return <Without title={spec.title ?? names.join(', ')} why={page.store.lastTime === 0 ? 'Collecting.' : 'There is no such metric now.'} />
  const title = spec.title ?? groupTitle(families.length > 1 ? names : []) ?? (families.length > 1 ? titleOfGroup(first) : titleOf(first))
  return <CardFrame page={page} source={page.store} families={families} spec={spec} title={title} place={place} onSpec={onSpec} />
}

function OfQuery({ page, spec, expression, place, onSpec }: Props & { expression: string }) {
  useTopics(page, 'query')
  const query = useQuery(page, expression)
  const families = useMemo(() => (query === null ? [] : [query.family]), [query])
  const { title = expression } = spec
  if (query === null) return <Without title={title} why="" />
  if (query.error !== '') return <Without title={title} why={query.error} refused />
  if (query.family.series.length === 0) return <Without title={title} why={query.store.lastTime === 0 ? 'Collecting.' : 'The query gives no series now.'} />
  return <CardFrame page={page} source={query.store} families={families} spec={spec} title={title} place={place} onSpec={onSpec} />
}

/** The live result of an expression, for as long as the component is there. */
export function useQuery(page: Page, expression: string): LiveQuery | null {
  const [query, setQuery] = useState<LiveQuery | null>(null)
  useEffect(() => {
    const followed = page.queries.follow(expression, '5m')
    setQuery(followed)
    return () => {
      page.queries.leave(followed)
    }
  }, [page, expression])
  return query
}

/** The same array as long as the same families are in it. */
function useSame(families: readonly FamilyInfo[]): readonly FamilyInfo[] {
  const kept = useRef(families)
  const same = kept.current.length === families.length && families.every((family, i) => family === kept.current[i])
  if (!same) kept.current = families
  return kept.current
}

/** A card that has nothing to show, and why. */
function Without({ title, why, refused = false }: { title: string; why: string; refused?: boolean }) {
  return (
    <article class="card" tabIndex={0} aria-label={title}>
      <header>
        <div class="names" title={title}>
          <h2>{title}</h2>
        </div>
      </header>
      <p class={refused ? 'refused' : 'nothing'}>{why}</p>
    </article>
  )
}
