/** What fires, waits, is silenced, is over, and the rules behind it; an alert opens in its row. */
import { useEffect, useRef, useState } from 'preact/hooks'
import type { Alert, Place } from '../model/alerts'
import { count, inOrder, ownLabels, placeOf, summary } from '../model/alerts'
import type { Episode, Transition } from '../model/alert-history'
import { episodes, readTransitions } from '../model/alert-history'
import { NO_ANOMALIES, anomalyOf, readAnomalies } from '../model/anomalies'
import { matches, words } from '../model/search'
import { readSilences } from '../model/silences'
import type { Page } from '../page'
import { useAlerts } from '../ui/alert-feed'
import { Details } from '../ui/alert/details'
import { useAlertKeys } from '../ui/alert/keys'
import type { Around } from '../ui/alert/details'
import { Lanes } from '../ui/alert/lanes'
import { AlertRow } from '../ui/alert/row'
import { Rules } from '../ui/alert/rules'
import { SilenceList } from '../ui/alert/silences'
import { Story } from '../ui/alert/story'
import { useAnswer } from '../ui/answer'
import type { Answer } from '../ui/answer'
import { useTopics } from '../ui/hooks'
import type { PageProps } from '../ui/pages'

const ASK_MS = 15_000
/** What of the history is shown and drawn, and how often it is asked for: what became of a message is told by no event. */
const HISTORY = 500
const HISTORY_MS = 5_000
/** So many rows, the worst; a search finds the others. */
const MOST_ROWS = 40
/** So many of them have a line: the server follows 32 queries of a connection. */
const MOST_LINES = 12

type Tab = Place | 'rules'
const TABS: readonly (readonly [Tab, string])[] = [
  ['active', 'Active'],
  ['silenced', 'Silenced'],
  ['resolved', 'Resolved'],
  ['rules', 'Rules'],
]

export function Alerts({ page }: PageProps) {
  useTopics(page, 'view', 'structure')
  useAlertKeys()
  const feed = useAlerts(page)
  const [ended, setEnded] = useState(0)
  const history = useAnswer(page, `api/v1/admin/alerts/history?limit=${HISTORY}`, readTransitions, { every: HISTORY_MS, on: ['alert'] })
  const odd = useAnswer(page, 'api/v1/anomalies?limit=100', readAnomalies, { every: ASK_MS, on: ['anomaly'] })
  const muted = useAnswer(page, 'api/v1/admin/silences', readSilences, { every: ASK_MS, on: ['alert'], again: ended })
  const transitions = told(history, [])
  const anomalies = told(odd, NO_ANOMALIES)
  const silences = told(muted, [])
  const all: readonly Episode[] = episodes(transitions, feed.alerts)
  const around: Around = { episodes: all, transitions, anomalies, silences }

  const { about, params } = page.route
  const opened = feed.alerts.find(({ id }) => id === about)
  const chosen = TABS.find(([tab]) => tab === params.get('tab'))?.[0] ?? 'active'
  // What is open is seen wherever it has gone to.
  const tab: Tab = opened === undefined ? chosen : placeOf(opened)
  const of = (place: Place) => feed.alerts.filter((alert) => placeOf(alert) === place)
  const numbers: Readonly<Partial<Record<Tab, number>>> = { active: of('active').length, silenced: of('silenced').length, resolved: of('resolved').length }

  return (
    <main class="alerts-page">
      <div class="headline">
        <h1>{feed.told ? summary(feed.alerts) : 'Alerts'}</h1>
        {feed.told && <p>{lastSent(transitions)}</p>}
        <div class="segment tabs-of" role="group" aria-label="Which alerts">
          {TABS.map(([name, label]) => (
            <button
              key={name}
              type="button"
              aria-pressed={tab === name}
              onClick={() => {
                page.setAbout('', { tab: name === 'active' ? '' : name, do: '' })
              }}
            >
              {label}
              {numbers[name] === undefined || numbers[name] === 0 ? '' : ` ${count(numbers[name])}`}
            </button>
          ))}
        </div>
      </div>
      {feed.refused !== '' && <p class="refused" role="alert">The alerts could not be read: {feed.refused}</p>}
      {about !== '' && opened === undefined && feed.told && <Gone page={page} id={about} transitions={transitions} />}
      {tab === 'rules' ? <Rules page={page} /> : <Rows page={page} place={tab} alerts={of(tab)} around={around} opened={about} told={feed.told} />}
      {tab === 'silenced' && <SilenceList page={page} silences={silences.filter(({ state }) => state !== 'expired')} ended={() => { setEnded(ended + 1) }} />}
      {tab !== 'rules' && <Lanes page={page} episodes={all} />}
      {tab !== 'rules' && <History page={page} answer={history} />}
    </main>
  )
}

function told<T>(answer: Answer<T>, otherwise: T): T {
  return answer !== null && 'told' in answer ? answer.told : otherwise
}

/** When something was told, and how. */
function lastSent(transitions: readonly Transition[]): string {
  const sent = transitions.flatMap(({ deliveries }) => deliveries).filter(({ error }) => error === '')
  const last = sent.reduce((at, one) => Math.max(at, one.at || 0), 0)
  if (last === 0) return ''
  const ways = [...new Set(sent.filter((one) => last - one.at < 60_000).map(({ receiver, integration }) => `${receiver} by ${integration}`))]
  return `last sent ${new Date(last).toTimeString().slice(0, 8)} to ${ways.join(', ')}`
}

interface RowsProps {
  readonly page: Page
  readonly place: Place
  readonly alerts: readonly Alert[]
  readonly around: Around
  readonly opened: string
  readonly told: boolean
}

function Rows({ page, place, alerts, around, opened, told: known }: RowsProps) {
  const list = useRef<HTMLUListElement>(null)
  const wanted = words(page.query)
  const found = inOrder(alerts).filter((alert) => alert.id === opened || matches(haystack(alert), wanted))
  useEffect(() => {
    if (opened !== '') list.current?.querySelector('.alert.open')?.scrollIntoView({ block: 'nearest' })
  }, [opened, known])
  if (!known) return null
  if (found.length === 0) {
    const words = { active: 'Nothing fires, and nothing waits to.', silenced: 'No alert is silenced.', resolved: 'Nothing was over in the last 15 minutes.' }
    return <p class="nothing calm">{alerts.length === 0 ? words[place] : `No alert matches “${page.query}”.`}</p>
  }
  const at = found.findIndex(({ id }) => id === opened)
  // What is open is among them, however many are worse.
  const shown = at >= MOST_ROWS ? [...found.slice(0, MOST_ROWS - 1), ...found.slice(at, at + 1)] : found.slice(0, MOST_ROWS)
  return (
    <>
      <ul class="alerts" ref={list}>
        {shown.map((alert, i) => {
          const anomaly = alert.origin === 'anomaly' ? anomalyOf(around.anomalies, alert) : null
          return (
            <AlertRow
              key={alert.id}
              page={page}
              alert={alert}
              anomaly={anomaly}
              lined={i < MOST_LINES && place !== 'resolved'}
              toggle={() => {
                page.setAbout(alert.id === opened ? '' : alert.id, { do: '' })
              }}
            >
              {alert.id === opened ? <Details page={page} alert={alert} anomaly={anomaly} around={around} /> : null}
            </AlertRow>
          )
        })}
      </ul>
      {found.length > shown.length && <p class="rest">{count(shown.length)} of {count(found.length)} shown, the worst. Find one by its name or labels above.</p>}
    </>
  )
}

function haystack(alert: Alert): string {
  return [alert.name, alert.severity, alert.state, ...ownLabels(alert.labels).flat(), ...Object.values(alert.annotations)].join('\n').toLowerCase()
}

/** A link to an alert that is no more, with what is known of it. */
function Gone({ page, id, transitions }: { page: Page; id: string; transitions: readonly Transition[] }) {
  const own = transitions.filter((one) => one.id === id)
  const [last] = own
  return (
    <section class="gone">
      <p class="nothing calm">
        {last === undefined ? 'This alert is not known any more.' : `${last.labels.alertname ?? 'This alert'} is over.`}{' '}
        <button type="button" class="link" onClick={() => { page.setAbout('', {}) }}>
          All alerts
        </button>
      </p>
      {own.length > 0 && <Story transitions={own} named={false} />}
    </section>
  )
}

function History({ page, answer }: { page: Page; answer: Answer<readonly Transition[]> }) {
  if (answer === null) return null
  if ('refused' in answer) return <p class="refused" role="alert">The history of alerts could not be read: {answer.refused}</p>
  const wanted = words(page.query)
  const found = answer.told.filter((one) => matches([...Object.entries(one.labels).flat(), one.change, one.reason].join('\n').toLowerCase(), wanted))
  if (found.length === 0) return null
  return (
    <section class="history" aria-label="History">
      <h2>
        History <span>what happened to alerts, the newest first</span>
        {page.token.value === undefined && <a class="export" href="api/v1/admin/alerts/history?format=csv" download>CSV</a>}
      </h2>
      <Story transitions={found} named />
    </section>
  )
}
