/** What can be done with a card, by its menu and by keys. */
import { csvOf } from '../export/csv'
import { fileName, save } from '../export/file'
import { jsonOf } from '../export/json'
import { drawPng } from '../export/png'
import { boardLinkOf, linkOf } from '../model/spec'
import type { CardSpec, Choice } from '../model/spec'
import type { Page } from '../page'
import type { LiveCard } from './card/live'
import { say } from './say'

export interface Acting {
  readonly page: Page
  readonly spec: CardSpec
  readonly live: () => LiveCard | null
  readonly choose: (choice: Choice) => void
  readonly full: boolean
  readonly setFull: (full: boolean) => void
  readonly setMenu: (open: boolean) => void
}

export interface Action {
  readonly label: string
  /** Pressed on the card. Empty without. */
  readonly key: string
  readonly act: (on: Acting) => void
}

export const ACTIONS: readonly Action[] = [
  { label: 'Open', key: 'Enter', act: ({ spec }) => { location.hash = linkOf(spec) } },
  { label: 'Table', key: 't', act: ({ live, choose, spec }) => { choose({ view: live()?.view === 'table' && spec.view === 'table' ? null : 'table' }) } },
  { label: 'Full size', key: 'f', act: ({ full, setFull }) => { setFull(!full) } },
  { label: 'Copy PromQL', key: 'c', act: ({ live }) => { void copy(live()?.promql ?? '', 'PromQL copied') } },
  { label: 'Copy link', key: 'y', act: ({ spec }) => { void copy(new URL(linkOf(spec), location.href).href, 'Link copied') } },
  { label: 'Add to board', key: '', act: ({ spec }) => { location.hash = boardLinkOf(spec) } },
  { label: 'CSV', key: '', act: ({ live }) => { keep(live(), 'csv', (sheet) => new Blob([csvOf(sheet)], { type: 'text/csv;charset=utf-8' })) } },
  { label: 'JSON', key: '', act: ({ live }) => { keep(live(), 'json', (sheet) => new Blob([jsonOf(sheet)], { type: 'application/json' })) } },
  { label: 'PNG', key: '', act: ({ live, page }) => { keepImage(live(), page) } },
]

/** Does what a key says on a card; whether it says anything. */
export function actOn(key: string, on: Acting): boolean {
  if (key === 'Escape' && on.full) {
    on.setFull(false)
    return true
  }
  if (key === 'm') {
    on.setMenu(true)
    return true
  }
  const action = ACTIONS.find((one) => one.key === key)
  action?.act(on)
  return action !== undefined
}

/** Copies where the browser allows; else the text is there to be copied by hand. */
async function copy(text: string, done: string): Promise<void> {
  try {
    await navigator.clipboard.writeText(text)
    say(done)
  } catch {
    // Without TLS there is no clipboard for scripts.
    prompt('Copy', text)
  }
}

function keep(live: LiveCard | null, ending: string, made: (sheet: ReturnType<LiveCard['sheet']>) => Blob): void {
  if (live === null) return
  const sheet = live.sheet()
  save(made(sheet), fileName(sheet.title, sheet.to, ending))
}

function keepImage(live: LiveCard | null, page: Page): void {
  if (live === null) return
  const picture = live.picture()
  drawPng(picture, page.palette).toBlob((blob) => {
    if (blob !== null) save(blob, fileName(picture.title, page.windowEnd, 'png'))
  })
}
