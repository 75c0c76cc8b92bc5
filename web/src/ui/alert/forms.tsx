/** What is asked of somebody who takes an alert or silences it. Orders go to the server, which says what came of them. */
import { useRef } from 'preact/hooks'
import type { Alert } from '../../model/alerts'
import { matchersFrom, matchersOf } from '../../model/silences'
import type { Page } from '../../page'
import { useOrders } from '../order'
import { author, rememberAuthor, signed } from './author'

interface Props {
  readonly page: Page
  readonly alert: Alert
  /** It was done, or given up. */
  readonly close: () => void
  readonly done: (words: string) => void
}

const LENGTHS: readonly (readonly [string, string])[] = [
  ['30m', '30 minutes'],
  ['1h', '1 hour'],
  ['2h', '2 hours'],
  ['8h', '8 hours'],
  ['1d', '1 day'],
  ['7d', '1 week'],
]

export function AcknowledgeForm({ page, alert, close, done }: Props) {
  const orders = useOrders(page, () => {
    done('Acknowledged.')
  })
  const note = useRef<HTMLInputElement>(null)
  const length = useRef<HTMLSelectElement>(null)
  return (
    <form
      class="todo"
      aria-label="Acknowledge"
      onSubmit={(event) => {
        event.preventDefault()
        const until = length.current?.value ?? ''
        void orders.give('POST', `api/v1/admin/alerts/${encodeURIComponent(alert.id)}/acknowledge`, {
          ...signed(),
          note: note.current?.value.trim() ?? '',
          ...(until === '' ? {} : { for: until }),
        })
      }}
    >
      <Author />
      <label>
        Note
        <input ref={note} autocomplete="off" maxLength={1000} placeholder="what is being done" autofocus />
      </label>
      <label>
        For
        <select ref={length}>
          <option value="">as long as it fires</option>
          {LENGTHS.map(([value, words]) => <option key={value} value={value}>{words}</option>)}
        </select>
      </label>
      <Buttons word="Acknowledge" busy={orders.busy} close={close} />
      {orders.refused !== '' && <p class="refused" role="alert">{orders.refused}</p>}
    </form>
  )
}

export function SilenceForm({ page, alert, close, done }: Props) {
  const orders = useOrders(page, () => {
    done('Silenced: nobody is told of it.')
  })
  const matchers = useRef<HTMLTextAreaElement>(null)
  const length = useRef<HTMLSelectElement>(null)
  const comment = useRef<HTMLInputElement>(null)
  const proposed = matchersOf(alert.labels)
  return (
    <form
      class="todo"
      aria-label="Silence"
      onSubmit={(event) => {
        event.preventDefault()
        void orders.give('POST', 'api/v1/admin/silences', {
          ...signed(),
          matchers: matchersFrom(matchers.current?.value ?? ''),
          for: length.current?.value ?? '',
          comment: comment.current?.value.trim() ?? '',
        })
      }}
    >
      <label class="broad">
        <span>What matches, a line each: <code>=</code> <code>!=</code> <code>=~</code> <code>!~</code></span>
        <textarea ref={matchers} rows={Math.min(8, proposed.length + 1)} spellcheck={false} autocomplete="off" required>{proposed.join('\n')}</textarea>
      </label>
      <label>
        For
        <select ref={length} autofocus>
          {LENGTHS.map(([value, words]) => <option key={value} value={value} selected={value === '1h'}>{words}</option>)}
        </select>
      </label>
      <Author />
      <label>
        Comment
        <input ref={comment} autocomplete="off" maxLength={1000} placeholder="why" />
      </label>
      <Buttons word="Silence" busy={orders.busy} close={close} />
      {orders.refused !== '' && <p class="refused" role="alert">{orders.refused}</p>}
    </form>
  )
}

function Author() {
  return (
    <label>
      By
      <input
        defaultValue={author()}
        autocomplete="name"
        maxLength={200}
        placeholder="your name"
        onInput={(event) => {
          rememberAuthor(event.currentTarget.value.trim())
        }}
      />
    </label>
  )
}

function Buttons({ word, busy, close }: { word: string; busy: boolean; close: () => void }) {
  return (
    <p class="buttons">
      <button type="submit" class="primary" disabled={busy}>
        {word}
      </button>
      <button type="button" onClick={close}>
        Cancel
      </button>
    </p>
  )
}
