/** The pages there are: their names in the address and in the bar, and what shows them. */
import type { FunctionComponent, RefObject } from 'preact'
import type { Page } from '../page'
import { Boards } from '../pages/boards'
import { Explore } from '../pages/explore'
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

export const PAGES: readonly PageInfo[] = [
  { view: 'explore', label: 'Explore', place: 'tab', key: 'e', finds: 'a metric', Shown: Explore },
  { view: 'boards', label: 'Boards', place: 'tab', key: 'b', finds: 'a metric', Shown: Boards },
  { view: 'targets', label: 'Targets', place: 'tab', key: 't', finds: 'a target', Shown: Targets },
]

/** The page of this name, else the first. */
export function pageOf(view: string): PageInfo {
  const [first] = PAGES
  if (first === undefined) throw new Error('there is a page')
  return PAGES.find((one) => one.view === view) ?? first
}
