/** The silences in force and to come, each with a way to end it. */
import { clock } from '../../format/number'
import { count } from '../../model/alerts'
import type { Silence } from '../../model/silences'
import type { Page } from '../../page'
import { alertFeed } from '../alert-feed'
import { useOrders } from '../order'

const MOST = 40

export function SilenceList({ page, silences, ended }: { page: Page; silences: readonly Silence[]; ended: () => void }) {
  const orders = useOrders(page, () => {
    alertFeed(page).ask()
    ended()
  })
  const shown = silences.slice(0, MOST)
  if (silences.length === 0) return null
  return (
    <section class="silences" aria-label="Silences">
      <h2>
        Silences <span>{silences.length > MOST ? `${MOST} of ${count(silences.length)} shown` : silences.length}</span>
      </h2>
      {orders.refused !== '' && <p class="refused" role="alert">{orders.refused}</p>}
      <ul>
        {shown.map((silence) => (
          <li key={silence.id}>
            <code title={silence.matchers.join(', ')}>{silence.matchers.join(', ')}</code>
            <span class="under">
              {silence.state === 'pending' ? `from ${at(silence.startsAt)} ` : ''}until {at(silence.endsAt)}
              {silence.createdBy === '' ? '' : ` by ${silence.createdBy}`}
              {silence.comment === '' ? '' : `: ${silence.comment}`}
            </span>
            <button type="button" disabled={orders.busy} onClick={() => { void orders.give('DELETE', `api/v1/admin/silences/${encodeURIComponent(silence.id)}`) }}>
              End now
            </button>
          </li>
        ))}
      </ul>
    </section>
  )
}

function at(ms: number): string {
  return Number.isFinite(ms) ? clock(ms, false) : '—'
}
