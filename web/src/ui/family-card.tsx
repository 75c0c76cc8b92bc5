/** A card of one family of the registry, shown as its type and unit suggest. */
import { memo } from 'preact/compat'
import { useMemo } from 'preact/hooks'
import type { FamilyInfo, SeriesInfo, Store } from '../model/store'
import type { Page } from '../page'
import { CardFrame } from './card-frame'
import { titleOf } from './title'

interface Props {
  readonly page: Page
  /** Where the family's numbers are; without, the registry. */
  readonly source?: Store
  readonly family: FamilyInfo
  /** In place of the family's own title. */
  readonly title?: string
  readonly place: number
}

function FamilyCardPlain({ page, source = page.store, family, title = titleOf(family), place }: Props) {
  const families = useMemo(() => [family], [family])
  const spec = useMemo(() => ({ family: family.name }), [family.name])
  return <CardFrame page={page} source={source} families={families} spec={spec} title={title} place={place} />
}

export { liveCards } from './card-frame'
export const FamilyCard = memo(FamilyCardPlain)

/** A family with some of its series; the same one for as long as they are. Null without any. */
export function useSubset(page: Page, name: string, keep: (series: SeriesInfo) => boolean): FamilyInfo | null {
  const family = page.store.families.get(name)
  const series = family?.series.filter(keep) ?? []
  return useMemo(() => (family === undefined || series.length === 0 ? null : { ...family, series }), [family, series.map(({ key }) => key).join()])
}
