/** What a card shows and where: for a new one and to edit one. */
import { useState } from 'preact/hooks'
import { clamp, COLUMNS, HEIGHT, LEAST_HEIGHT, LEAST_WIDTH, MOST_HEIGHT, MOST_ROW, WIDTH } from '../../model/board/layout'
import type { Place } from '../../model/board/layout'
import { checkCard } from '../../model/board/schema'
import { haystack, matches, words } from '../../model/search'
import type { CardSpec } from '../../model/spec'
import { VIEWS } from '../../model/spec'
import type { Page } from '../../page'
import { titleOf } from '../title'
import { Dialog } from './dialog'

interface Props {
  readonly page: Page
  /** What is edited; null for a new card. */
  readonly card: (CardSpec & Place) | null
  readonly close: () => void
  /** `place` is null where the board may choose it. */
  readonly save: (spec: CardSpec, size: Pick<Place, 'w' | 'h'>, at: Pick<Place, 'x' | 'y'> | null) => void
}

/** So many families are offered; more words find the others. */
const OFFERED = 6

const PLACES = [
  { name: 'x', label: 'Column', first: 1, least: 0, most: COLUMNS - LEAST_WIDTH },
  { name: 'y', label: 'Row', first: 1, least: 0, most: MOST_ROW },
  { name: 'w', label: 'Width', first: 0, least: LEAST_WIDTH, most: COLUMNS },
  { name: 'h', label: 'Height', first: 0, least: LEAST_HEIGHT, most: MOST_HEIGHT },
] as const

export function CardForm({ page, card, close, save }: Props) {
  const [byQuery, setByQuery] = useState(card?.query !== undefined)
  const [family, setFamily] = useState(card?.family ?? '')
  const [spec, setSpec] = useState<CardSpec>(card ?? {})
  const [place, setPlace] = useState<Place>(card ?? { x: 0, y: 0, w: WIDTH, h: HEIGHT })
  const [refused, setRefused] = useState('')
  const set = (changed: Partial<Record<keyof CardSpec, string>>) => { setSpec({ ...spec, ...changed } as CardSpec) }

  const submit = (event: Event) => {
    event.preventDefault()
    const { family: _, query, view, against, ...rest } = spec
    const shown = byQuery ? { query: query ?? '' } : { family: family.trim() }
    // An empty choice is none.
    const checked = checkCard({ ...plain(rest), ...shown, ...((view ?? '') !== '' && { view }), ...((against ?? '') !== '' && view === 'scatter' && { against }) })
    if ('problems' in checked) {
      setRefused(checked.problems.map(({ text }) => text).join(' '))
      return
    }
    const { x, y, w, h } = clamp(place)
    save(checked.good, { w, h }, card === null || (x === card.x && y === card.y) ? null : { x, y })
    close()
  }

  return (
    <Dialog title={card === null ? 'Add a card' : 'Edit the card'} close={close}>
      <form onSubmit={submit}>
        <div class="segment" role="group" aria-label="What it shows">
          <button type="button" aria-pressed={!byQuery} onClick={() => { setByQuery(false) }}>
            Metric
          </button>
          <button type="button" aria-pressed={byQuery} onClick={() => { setByQuery(true) }}>
            PromQL
          </button>
        </div>
        {byQuery ? (
          <label>
            PromQL
            <textarea rows={3} required spellcheck={false} maxLength={4_096} placeholder="sum by (device) (rate(node_network_receive_bytes_total[10s]))" value={spec.query ?? ''} onInput={(event) => { set({ query: event.currentTarget.value }) }} />
          </label>
        ) : (
          <FamilyField page={page} family={family} choose={setFamily} />
        )}
        <label>
          Title
          <input type="text" maxLength={200} placeholder="its own" value={spec.title ?? ''} onInput={(event) => { set({ title: event.currentTarget.value }) }} />
        </label>
        <div class="fields">
          <label>
            View
            <select value={spec.view ?? ''} onChange={(event) => { set({ view: event.currentTarget.value }) }}>
              <option value="">as it fits</option>
              {VIEWS.map((view) => (
                <option key={view} value={view}>
                  {view}
                </option>
              ))}
            </select>
          </label>
          <label>
            By label
            <input type="text" maxLength={200} placeholder="none" spellcheck={false} value={spec.by ?? ''} onInput={(event) => { set({ by: event.currentTarget.value }) }} />
          </label>
        </div>
        {spec.view === 'scatter' && (
          <label>
            Against (PromQL)
            <input type="text" maxLength={4_096} spellcheck={false} value={spec.against ?? ''} onInput={(event) => { set({ against: event.currentTarget.value }) }} />
          </label>
        )}
        <fieldset class="fields">
          <legend class="unseen">Place and size</legend>
          {PLACES.filter(({ name }) => card !== null || name === 'w' || name === 'h').map(({ name, label, first, least, most }) => (
            <label key={name}>
              {label}
              <input type="number" required min={least + first} max={most + first} value={place[name] + first} onInput={(event) => { setPlace({ ...place, [name]: event.currentTarget.valueAsNumber - first }) }} />
            </label>
          ))}
        </fieldset>
        {refused !== '' && <p class="refused" role="alert">{refused}</p>}
        <div class="ends">
          <button type="button" onClick={close}>
            Cancel
          </button>
          <button type="submit" class="primary">
            {card === null ? 'Add' : 'Save'}
          </button>
        </div>
      </form>
    </Dialog>
  )
}

/** Without what is empty. */
function plain(spec: CardSpec): CardSpec {
  return Object.fromEntries(Object.entries(spec).filter(([name, value]) => value !== '' && ['title', 'by'].includes(name)))
}

/** A metric by its name, or by words of its help and labels. */
function FamilyField({ page, family, choose }: { page: Page; family: string; choose: (name: string) => void }) {
  const wanted = words(family)
  const exact = page.store.families.get(family.trim())
  const found = exact !== undefined || wanted.length === 0 ? [] : [...page.store.families.values()].filter((one) => matches(haystack(one), wanted))
  return (
    <>
      <label>
        Metric
        <input type="text" required autofocus spellcheck={false} autocomplete="off" maxLength={300} placeholder="Find by name, help or label" value={family} onInput={(event) => { choose(event.currentTarget.value) }} />
      </label>
      {found.length > 0 && (
        <ul class="offered" aria-label="Metrics found">
          {found.slice(0, OFFERED).map((one) => (
            <li key={one.name}>
              <button type="button" onClick={() => { choose(one.name) }}>
                <b>{titleOf(one)}</b> <span class="source">{one.name}</span>
              </button>
            </li>
          ))}
          {found.length > OFFERED && <li class="source">{found.length - OFFERED} more</li>}
        </ul>
      )}
      <p class="source" role="status">
        {exact !== undefined ? exact.help : wanted.length > 0 && found.length === 0 ? 'No metric of this name or with these words now.' : ''}
      </p>
    </>
  )
}
