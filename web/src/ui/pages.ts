/** The pages there are: their names in the address and in the bar, and what shows them. */
import type { FunctionComponent, RefObject } from 'preact'
import type { Page } from '../page'
import { Admin } from '../pages/admin'
import { Alerts } from '../pages/alerts'
import { Baselines } from '../pages/baselines'
import { Boards } from '../pages/boards'
import { Clients } from '../pages/clients'
import { Explore } from '../pages/explore'
import { Metric } from '../pages/metric'
import { Operations } from '../pages/operations'
import { Overview } from '../pages/overview'
import { Query } from '../pages/query'
import { Reports } from '../pages/reports'
import { Targets } from '../pages/targets'

export interface PageProps {
  readonly page: Page
  /** The field of the bar, for those who send people there. */
  readonly find: RefObject<HTMLInputElement | null>
}

export interface PageInfo {
  /** Its name in the address. */
  readonly view: string
  readonly label: string
  /** In the bar, under ⋯, or reached from other pages only. */
  readonly place: 'tab' | 'more' | 'inside'
  /** Of `g` and a key; empty without. */
  readonly key: string
  /** What the field of the bar finds here. */
  readonly finds: string
  readonly Shown: FunctionComponent<PageProps>
}

/** Of pages that do not find what is on them: Enter goes to Explore. */
export const FINDS_METRICS = 'a metric'

export const PAGES: readonly PageInfo[] = [
  { view: 'overview', label: 'Overview', place: 'tab', key: 'o', finds: FINDS_METRICS, Shown: Overview },
  { view: 'explore', label: 'Explore', place: 'tab', key: 'e', finds: FINDS_METRICS, Shown: Explore },
  { view: 'query', label: 'Query', place: 'tab', key: 'q', finds: FINDS_METRICS, Shown: Query },
  { view: 'boards', label: 'Boards', place: 'tab', key: 'b', finds: FINDS_METRICS, Shown: Boards },
  { view: 'alerts', label: 'Alerts', place: 'tab', key: 'a', finds: 'an alert', Shown: Alerts },
  { view: 'targets', label: 'Targets', place: 'tab', key: 't', finds: 'a target', Shown: Targets },
  { view: 'metric', label: 'Metric', place: 'inside', key: '', finds: FINDS_METRICS, Shown: Metric },
  { view: 'operations', label: 'Operations', place: 'more', key: '', finds: 'an operation', Shown: Operations },
  { view: 'clients', label: 'Clients', place: 'more', key: '', finds: 'a client', Shown: Clients },
  { view: 'baselines', label: 'Baselines', place: 'more', key: '', finds: 'a baseline', Shown: Baselines },
  { view: 'reports', label: 'Load-test reports', place: 'more', key: '', finds: 'a measure', Shown: Reports },
  { view: 'admin', label: 'Administration', place: 'more', key: '', finds: 'a setting', Shown: Admin },
]

/** The page of this name, else the first. */
export function pageOf(view: string): PageInfo {
  const [first] = PAGES
  if (first === undefined) throw new Error('there is a page')
  return PAGES.find((one) => one.view === view) ?? first
}
