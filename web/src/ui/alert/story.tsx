/** What happened to alerts, with the reasons, and what became of the messages about it. The newest first. */
import { useState } from 'preact/hooks'
import { clock } from '../../format/number'
import type { Transition } from '../../model/alert-history'
import { count, ownLabels } from '../../model/alerts'
import { hrefOf } from '../../route'
import { WORDS } from '../severity'

/** So many rows at first; more on demand. */
const ROWS = 20

/** @param named each row says of which alert it is. */
export function Story({ transitions, named }: { transitions: readonly Transition[]; named: boolean }) {
  const [most, setMost] = useState(ROWS)
  const shown = transitions.slice(0, most)
  return (
    <div class="table story">
      <table>
        <thead>
          <tr>
            <th>Time</th>
            {named && <th>Alert</th>}
            <th>Change</th>
            <th>Why</th>
            <th>Told</th>
          </tr>
        </thead>
        <tbody>
          {shown.map((one) => (
            <tr key={one.seq}>
              <td>{Number.isFinite(one.at) ? clock(one.at, true) : '—'}</td>
              {named && (
                <td title={ownLabels(one.labels).map(([name, value]) => `${name}="${value}"`).join(' ')}>
                  <a href={hrefOf('alerts', one.id)}>{one.labels.alertname ?? one.id}</a>
                </td>
              )}
              <td>
                {one.change}
                {one.change === 'level' || one.change === 'firing' ? <span class="under"> {WORDS[one.severity].toLowerCase()}</span> : null}
              </td>
              <td class="why">{one.reason}</td>
              <td class="why">
                {one.deliveries.map((delivery, i) => (
                  <span key={`${delivery.at} ${i}`} class={delivery.error === '' ? '' : 'failed'}>
                    {i > 0 && ', '}
                    {delivery.receiver} by {delivery.integration}
                    {delivery.error === '' ? '' : `: ${delivery.error}`}
                  </span>
                ))}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
      {transitions.length > shown.length && (
        <p class="rest">
          {count(shown.length)} of {count(transitions.length)} shown{' '}
          <button type="button" class="link" onClick={() => { setMost(most * 4) }}>
            more
          </button>
        </p>
      )}
    </div>
  )
}
