/**
 * The pages there are: their names in the address and in the bar, and what shows them. The first that people see come with
 * the page, the others are files of their own.
 */
import type { FunctionComponent, RefObject } from 'preact'
import type { Page } from '../page'
import { Explore } from '../pages/explore'
import { Overview } from '../pages/overview'
import { Targets } from '../pages/targets'
import { lazy } from './lazy'

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
  { view: 'query', label: 'Query', place: 'tab', key: 'q', finds: FINDS_METRICS, Shown: lazy(async () => (await import('../pages/query')).Query) },
  { view: 'boards', label: 'Boards', place: 'tab', key: 'b', finds: FINDS_METRICS, Shown: lazy(async () => (await import('../pages/boards')).Boards) },
  { view: 'alerts', label: 'Alerts', place: 'tab', key: 'a', finds: 'an alert', Shown: lazy(async () => (await import('../pages/alerts')).Alerts) },
  { view: 'targets', label: 'Targets', place: 'tab', key: 't', finds: 'a target', Shown: Targets },
  { view: 'metric', label: 'Metric', place: 'inside', key: '', finds: FINDS_METRICS, Shown: lazy(async () => (await import('../pages/metric')).Metric) },
  { view: 'operations', label: 'Operations', place: 'more', key: '', finds: 'an operation', Shown: lazy(async () => (await import('../pages/operations')).Operations) },
  { view: 'clients', label: 'Clients', place: 'more', key: '', finds: 'a client', Shown: lazy(async () => (await import('../pages/clients')).Clients) },
  { view: 'baselines', label: 'Baselines', place: 'more', key: '', finds: 'a baseline', Shown: lazy(async () => (await import('../pages/baselines')).Baselines) },
  { view: 'reports', label: 'Load-test reports', place: 'more', key: '', finds: 'a measure', Shown: lazy(async () => (await import('../pages/reports')).Reports) },
  { view: 'admin', label: 'Administration', place: 'more', key: '', finds: 'a setting', Shown: lazy(async () => (await import('../pages/admin')).Admin) },
]

/** The page of this name, else the first. */
export function pageOf(view: string): PageInfo {
  const [first] = PAGES
  if (first === undefined) throw new Error('there is a page')
  return PAGES.find((one) => one.view === view) ?? first
}
