/** Series that do now what they hardly ever did: the most unusual first, with what is usual beside it. */
import { age, clock, format } from '../format/number'
import { count } from '../model/alerts'
import type { Anomalies, Anomaly } from '../model/anomalies'
import { selectorOf } from '../model/anomalies'
import type { Page } from '../page'
import { hrefOf } from '../route'
import { alertFeed, serverNow } from './alert-feed'
import { score } from './alert/details'
import { useLine } from './line'
import { LiveText } from './live-text'
import { Sparkline } from './sparkline'
import { range, sourceOf, unitOf } from './watched'

const MOST = 6

export function Unusual({ page, anomalies }: { page: Page; anomalies: Anomalies }) {
  const { current, watched } = anomalies
  if (current.length === 0) return null
  return (
    <section class="unusual" aria-label="Unusual now">
      <h2>
        Unusual now{' '}
        <span>
          {current.length > MOST ? `${MOST} of ${count(current.length)} shown, ` : ''}the highest scores of {count(watched)} watched series
        </span>
      </h2>
      <div class="table">
        <table>
          <thead>
            <tr>
              <th>Series</th>
              <th class="spark-head">In the window</th>
              <th class="number">Now</th>
              <th class="number">Usual</th>
              <th class="number">Since</th>
              <th class="number">Score</th>
            </tr>
          </thead>
          <tbody>
            {current.slice(0, MOST).map((anomaly) => <Row key={anomaly.id} page={page} anomaly={anomaly} />)}
          </tbody>
        </table>
      </div>
    </section>
  )
}

function Row({ page, anomaly }: { page: Page; anomaly: Anomaly }) {
  const line = useLine(page, sourceOf(anomaly))
  const unit = unitOf(page, anomaly)
  const name = selectorOf(anomaly.metric, anomaly.labels)
  const alert = alertFeed(page).alerts.find(
    (one) => one.origin === 'anomaly' && one.state !== 'resolved' && one.labels.metric === anomaly.metric && one.labels.watch === anomaly.watch && Object.entries(anomaly.labels).every(([label, value]) => one.labels[label] === value),
  )
  return (
    <tr>
      <td class="series" title={`${name}\n${anomaly.explanation}`}>
        <a href={alert === undefined ? hrefOf('metric', anomaly.metric) : hrefOf('alerts', alert.id)}>{name}</a>
        {anomaly.observed !== 'value' && <span class="under"> {anomaly.observed}</span>}
      </td>
      <td>{line !== null && <Sparkline page={page} numbers={line} label={name} />}</td>
      <td class="number">
        <LiveText
          page={page}
          read={() => {
            const now = line?.now() ?? NaN
            return format(Number.isNaN(now) ? anomaly.value : now, unit)
          }}
        />
      </td>
      <td class="number">{range(page, anomaly) || '—'}</td>
      <td class="number" title={clock(anomaly.since, true)}>{age((serverNow(page) - anomaly.since) / 1000)}</td>
      <td class="number">{score(anomaly.score)}</td>
    </tr>
  )
}
