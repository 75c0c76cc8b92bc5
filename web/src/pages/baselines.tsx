/** Figures of a range kept under a name; the list of them, a form to save one, and the way to compare. */
import { useRef, useState } from 'preact/hooks'
import { age, clock, day, formatText } from '../format/number'
import { settings } from '../format/settings'
import type { Baseline } from '../model/baselines'
import { rangeQuery, readBaselines } from '../model/baselines'
import { matches, words } from '../model/search'
import type { Page } from '../page'
import { hrefOf } from '../route'
import { useAnswer } from '../ui/answer'
import type { Command } from '../ui/command'
import { Confirm, Said, useCommand } from '../ui/command'
import { Denied } from '../ui/denied'
import { useTopics } from '../ui/hooks'
import type { PageProps } from '../ui/pages'
import type { Column } from '../ui/table'
import { Table } from '../ui/table'
import { Compare } from './compare'

const ASK_MS = 15_000
const EVERYTHING = '{__name__!=""}'

export function Baselines({ page }: PageProps) {
  useTopics(page, 'view')
  const command = useCommand(page)
  const answer = useAnswer(page, 'api/v1/baselines', readBaselines, { every: ASK_MS, again: command.count })
  if (answer === null) return <main><h1>Baselines</h1></main>
  if ('refused' in answer) {
    return (
      <main>
        <h1>Baselines</h1>
        <Denied page={page} what="The baselines could not be read" why={answer.refused} />
      </main>
    )
  }
  const { about } = page.route
  if (about !== '') return <Compare page={page} name={about} baselines={answer.told} />
  return <List page={page} baselines={answer.told} command={command} />
}

function List({ page, baselines, command }: { page: Page; baselines: readonly Baseline[]; command: Command }) {
  const [deleted, setDeleted] = useState<Baseline | null>(null)
  const wanted = words(page.query)
  const found = baselines.filter(({ name, note, match }) => matches([name, note, ...match].join('\n').toLowerCase(), wanted))
  return (
    <main>
      <div class="headline">
        <h1>Baselines</h1>
        <p>what series did in a range, kept to compare others with</p>
      </div>
      <Save page={page} command={command} />
      <Said outcome={command.outcome} />
      {baselines.length === 0 && <p class="nothing">None is kept. Save one before a deployment or on a good day; later this page says what has changed since.</p>}
      {baselines.length > 0 && found.length === 0 && <p class="nothing">No baseline matches “{page.query}”.</p>}
      {found.length > 0 && <Table page={page} caption="Baselines" columns={columns(setDeleted)} rows={found} id={({ name }) => name} otherwise={{ by: 'created', descending: true }} />}
      {deleted !== null && (
        <Confirm
          title={`Delete ${deleted.name}?`}
          action="Delete"
          close={() => { setDeleted(null) }}
          yes={() => { void command.run('DELETE', `api/v1/baselines/${encodeURIComponent(deleted.name)}`, `${deleted.name} was deleted.`) }}
        >
          <p>The figures of {formatText(deleted.count, 'count')} series go with it.</p>
        </Confirm>
      )}
    </main>
  )
}

function columns(remove: (baseline: Baseline) => void): readonly Column<Baseline>[] {
  return [
    { name: 'name', label: 'Name', rank: ({ name }) => name, cell: ({ name }) => <a href={hrefOf('baselines', name)}>{name}</a> },
    { name: 'note', label: 'Note', rank: ({ note }) => note, cell: ({ note }) => <span class="faint">{note}</span> },
    { name: 'range', label: 'Range', rank: ({ start }) => start, cell: ({ start, end }) => rangeText({ start, end }) },
    { name: 'count', label: 'Series', numeric: true, rank: ({ count }) => count, cell: ({ count }) => formatText(count, 'count') },
    { name: 'bytes', label: 'Size', numeric: true, rank: ({ bytes }) => bytes, cell: ({ bytes }) => formatText(bytes, 'bytes') },
    { name: 'match', label: 'Which', cell: ({ match }) => <span class="mono faint which" title={match.join('\n')}>{match.join(' ')}</span> },
    { name: 'created', label: 'Saved', numeric: true, rank: ({ created }) => created, cell: ({ created }) => `${day(created)} ${clock(created, false)}` },
    {
      name: 'orders',
      label: '',
      cell: (baseline) => (
        <>
          <a class="go" href={hrefOf('baselines', baseline.name)}>Compare</a>{' '}
          <button type="button" aria-label={`Delete ${baseline.name}`} onClick={() => { remove(baseline) }}>
            Delete
          </button>
        </>
      ),
    },
  ]
}

/** "5 min from 2026-11-21 14:10:52". */
export function rangeText({ start, end }: { readonly start: number; readonly end: number }): string {
  return `${age((end - start) / 1000)} from ${day(start)} ${clock(start, true)}`
}

/** A time as a field of a form has it, in the zone that is set. */
export function zoned(local: string): number {
  return Date.parse(settings().utc ? `${local}Z` : local)
}

/** The window of the page: the last so much, or where it was paused. */
export function windowQuery(page: Page): readonly (readonly [string, string])[] {
  const { pausedAt, windowMs } = page
  return pausedAt === null ? [['last', `${windowMs / 1000}s`]] : [['start', String((pausedAt - windowMs) / 1000)], ['end', String(pausedAt / 1000)]]
}

function Save({ page, command }: { page: Page; command: Command }) {
  const form = useRef<HTMLFormElement>(null)
  const [ranged, setRanged] = useState(false)
  const save = async () => {
    const told = form.current === null ? null : new FormData(form.current)
    const field = (name: string): string => {
      const value = told?.get(name)
      return typeof value === 'string' ? value.trim() : ''
    }
    const name = field('name')
    let range
    try {
      range = ranged ? rangeQuery('', field('from'), field('to'), zoned) : windowQuery(page)
    } catch (error) {
      command.refuse(error instanceof Error ? error.message : String(error))
      return
    }
    const said: readonly (readonly [string, string])[] = [...range, ['match[]', field('match') || EVERYTHING], ['note', field('note')]]
    const query = new URLSearchParams(said.filter(([, value]) => value !== '').map(([key, value]) => [key, value]))
    if (await command.run('POST', `api/v1/baselines/${encodeURIComponent(name)}`, `${name} is saved.`, query)) form.current?.reset()
  }
  return (
    <form
      ref={form}
      class="form box save"
      aria-label="Save a baseline"
      onSubmit={(event) => {
        event.preventDefault()
        void save()
      }}
    >
      <label>
        Name
        <input class="field" name="name" required maxLength={100} autocomplete="off" placeholder="before-2.4" />
      </label>
      <label class="wide-field">
        Series (PromQL selector)
        <input class="field mono" name="match" autocomplete="off" spellcheck={false} placeholder="all of them" />
      </label>
      <label class="wide-field">
        Note
        <input class="field" name="note" autocomplete="off" />
      </label>
      <label>
        Range
        <select class="field" name="range" value={ranged ? 'fixed' : 'window'} onChange={(event) => { setRanged(event.currentTarget.value === 'fixed') }}>
          <option value="window">the window, {page.pausedAt === null ? `last ${age(page.windowMs / 1000)}` : `to ${clock(page.pausedAt, true)}`}</option>
          <option value="fixed">from, to</option>
        </select>
      </label>
      {ranged && (
        <>
          <label>
            From
            <input class="field" name="from" type="datetime-local" step="1" required />
          </label>
          <label>
            To
            <input class="field" name="to" type="datetime-local" step="1" />
          </label>
        </>
      )}
      <button type="submit" class="primary" disabled={command.busy}>
        Save
      </button>
    </form>
  )
}
