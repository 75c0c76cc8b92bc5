/** A card of what a spec names: a family of the registry, or a query that is followed for as long as the card is there. */
import { useEffect, useState } from 'preact/hooks'
import type { LiveQuery } from '../model/live-query'
import type { CardSpec } from '../model/spec'
import type { Page } from '../page'
import { hrefOf } from '../route'
import { FamilyCard } from './family-card'
import { useTopics } from './hooks'

interface Props {
  readonly page: Page
  readonly spec: CardSpec
  readonly place: number
}

export function SpecCard({ page, spec, place }: Props) {
  return spec.query === undefined ? <OfFamily page={page} spec={spec} place={place} /> : <OfQuery page={page} spec={spec} expression={spec.query} place={place} />
}

function OfFamily({ page, spec, place }: Props) {
  useTopics(page, 'structure')
  const family = page.store.families.get(spec.family ?? '')
  if (family === undefined) return <Without title={spec.title ?? spec.family ?? ''} why={page.store.lastTime === 0 ? 'Collecting.' : 'There is no such metric now.'} />
  return <FamilyCard page={page} family={family} place={place} {...titled(spec)} />
}

function OfQuery({ page, spec, expression, place }: Props & { expression: string }) {
  useTopics(page, 'query')
  const query = useQuery(page, expression)
  const { title = expression } = spec
  if (query === null) return <Without title={title} why="" />
  if (query.error !== '') return <Without title={title} why={query.error} refused />
  if (query.family.series.length === 0) return <Without title={title} why={query.store.lastTime === 0 ? 'Collecting.' : 'The query gives no series now.'} />
  return <FamilyCard page={page} source={query.store} family={query.family} title={title} href={hrefOf('query', '', [['expr', expression]])} place={place} />
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

function titled({ title }: CardSpec): { readonly title?: string } {
  return title === undefined ? {} : { title }
}
