/** An opened alert: its chart, what it is, what began with it, who knows of it, and what can be done. */
import { useEffect, useState } from 'preact/hooks'
import { age, clock, formatText } from '../../format/number'
import type { Alert } from '../../model/alerts'
import { fires, ownLabels, since } from '../../model/alerts'
import type { Episode, Transition } from '../../model/alert-history'
import type { Anomalies, Anomaly, Moved } from '../../model/anomalies'
import { selectorOf } from '../../model/anomalies'
import { safeLink } from '../../model/links'
import type { Silence } from '../../model/silences'
import { linkOf } from '../../model/spec'
import type { Page } from '../../page'
import { hrefOf } from '../../route'
import { alertFeed, serverNow } from '../alert-feed'
import { useLine } from '../line'
import { useOrders } from '../order'
import { Sparkline } from '../sparkline'
import { observedOf, range, sourceOf, unitOf, watchedOf } from '../watched'
import { AcknowledgeForm, SilenceForm } from './forms'
import { LimitChart } from './limit-chart'
import { signed } from './author'
import { Story } from './story'

/** What begins within this time of an alert is told with it (ms). */
const TOGETHER_MS = 60_000
/** So many of those are named. */
const MOST_TOGETHER = 5

export interface Around {
  readonly episodes: readonly Episode[]
  readonly transitions: readonly Transition[]
  readonly anomalies: Anomalies
  readonly silences: readonly Silence[]
}

interface Props {
  readonly page: Page
  readonly alert: Alert
  readonly anomaly: Anomaly | null
  readonly around: Around
}

export function Details({ page, alert, anomaly, around }: Props) {
  const feed = alertFeed(page)
  const [said, setSaid] = useState('')
  const asked = page.route.params.get('do') ?? ''
  const watched = watchedOf(page, alert, anomaly)
  const line = useLine(page, watched.source)
  const orders = useOrders(page, () => {
    feed.ask()
  })
  useEffect(() => {
    setSaid('')
  }, [alert.id])
  const todo = (what: string) => {
    setSaid('')
    page.setParams({ do: what })
  }
  const close = () => {
    todo('')
  }
  const done = (words: string) => {
    close()
    setSaid(words)
    feed.ask()
  }
  const own = around.transitions.filter(({ id }) => id === alert.id)
  const spans = around.episodes.filter(({ id, pending }) => id === alert.id && !pending)
  const mutes = around.silences.filter(({ id }) => alert.silencedBy.includes(id))
  return (
    <div class="details">
      {watched.source === null ? null : line === null || !(line.exists || line.error !== '') ? (
        <div class="limit-chart"><p class="nothing">{line === null ? '' : 'No series of it now.'}</p></div>
      ) : line.error !== '' ? (
        <div class="limit-chart"><p class="refused">{line.error}</p></div>
      ) : (
        <LimitChart
          page={page}
          line={line}
          unit={watched.unit}
          label={`${alert.name}: ${watched.words}`}
          over={{
            limit: watched.limit,
            words: watched.words,
            severity: alert.severity,
            spans,
            band: anomaly === null ? null : { lower: anomaly.lower, upper: anomaly.upper, expected: anomaly.expected },
          }}
        />
      )}
      <dl class="facts">
        <What alert={alert} anomaly={anomaly} />
        {anomaly !== null && <Unusual page={page} anomaly={anomaly} />}
        {alert.expression !== '' && alert.origin === 'rule' && (
          <Fact name="Rule">
            <code>
              <a href={linkOf({ query: alert.expression })}>{alert.expression}</a>
            </code>
          </Fact>
        )}
        <BeganWith page={page} alert={alert} anomaly={anomaly} around={around} />
        <Told alert={alert} transitions={own} now={serverNow(page)} />
        {alert.acknowledged !== null && (
          <Fact name="Taken">
            {alert.acknowledged.by} at {at(alert.acknowledged.at)}
            {Number.isNaN(alert.acknowledged.until) ? '' : `, until ${at(alert.acknowledged.until)}`}
            {alert.acknowledged.note === '' ? '' : `: ${alert.acknowledged.note}`}
          </Fact>
        )}
        {mutes.map((silence) => (
          <Fact key={silence.id} name="Silenced">
            by {silence.createdBy === '' ? 'somebody' : silence.createdBy} until {at(silence.endsAt)}
            {silence.comment === '' ? '' : `: ${silence.comment}`}
          </Fact>
        ))}
        {alert.inhibitedBy.length > 0 && (
          <Fact name="Held back">
            by{' '}
            {alert.inhibitedBy.slice(0, MOST_TOGETHER).map((id, i) => (
              <>
                {i > 0 && ', '}
                <a href={hrefOf('alerts', id)}>{feed.alerts.find((one) => one.id === id)?.name ?? id}</a>
              </>
            ))}
          </Fact>
        )}
        <Fact name="Labels">
          <span class="labels">
            {[['severity', alert.severity] as const, ...ownLabels(alert.labels)].map(([name, value]) => (
              <span key={name} class="chip" title={`${name}="${value}"`}>{name}="{value}"</span>
            ))}
          </span>
        </Fact>
        <Links alert={alert} />
      </dl>
      <div class="orders">
        {asked === 'silence' && <SilenceForm page={page} alert={alert} close={close} done={done} />}
        {asked === 'acknowledge' && fires(alert) && <AcknowledgeForm page={page} alert={alert} close={close} done={done} />}
        {asked === '' && (
          <p class="buttons">
            {fires(alert) && <button type="button" onClick={() => { todo('acknowledge') }}>{alert.acknowledged === null ? 'Acknowledge with a note…' : 'Acknowledge anew…'}</button>}
            {alert.acknowledged !== null && (
              <button type="button" disabled={orders.busy} onClick={() => { void orders.give('DELETE', `api/v1/admin/alerts/${encodeURIComponent(alert.id)}/acknowledge`) }}>
                Give it back
              </button>
            )}
            {fires(alert) && alert.next !== null && (
              <button type="button" disabled={orders.busy} onClick={() => { void orders.give('POST', `api/v1/admin/alerts/${encodeURIComponent(alert.id)}/escalate`, signed()) }}>
                Escalate: tell {alert.next.receiver} now
              </button>
            )}
            {alert.state !== 'resolved' && alert.silencedBy.length === 0 && <button type="button" onClick={() => { todo('silence') }}>Silence…</button>}
            {mutes.map((silence) => (
              <button key={silence.id} type="button" disabled={orders.busy} onClick={() => { void orders.give('DELETE', `api/v1/admin/silences/${encodeURIComponent(silence.id)}`) }}>
                End the silence
              </button>
            ))}
          </p>
        )}
        <p class="said" role="status">{said}</p>
        {orders.refused !== '' && <p class="refused" role="alert">{orders.refused}</p>}
      </div>
      {own.length > 0 && <Story transitions={own} named={false} />}
    </div>
  )
}

function Fact({ name, children }: { name: string; children: preact.ComponentChildren }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  )
}

function What({ alert, anomaly }: { alert: Alert; anomaly: Anomaly | null }) {
  const { summary = '', description = '' } = alert.annotations
  const texts = [...new Set([summary, description === '' ? (anomaly?.explanation ?? '') : description])].filter((one) => one !== '')
  if (texts.length === 0) return null
  return (
    <Fact name="What">
      {texts.map((one) => <p key={one}>{one}</p>)}
    </Fact>
  )
}

/** What a detector saw. */
function Unusual({ page, anomaly }: { page: Page; anomaly: Anomaly }) {
  const unit = unitOf(page, anomaly)
  const usual = range(page, anomaly)
  const facts = [
    `${anomaly.observed === 'value' ? '' : `${anomaly.observed} `}${formatText(anomaly.value, unit)}`,
    ...(Number.isNaN(anomaly.expected) ? [] : [`expected ${formatText(anomaly.expected, unit)}`]),
    ...(usual === '' ? [] : [`usual ${usual}`]),
    `score ${score(anomaly.score)}`,
    anomaly.detector,
  ]
  return <Fact name="Seen">{facts.join(' · ')}</Fact>
}

export function score(value: number): string {
  return Number.isFinite(value) ? value.toFixed(1) : '—'
}

/** What else began at that time: that is coincidence, and says no more. */
function BeganWith({ page, alert, anomaly, around }: Props) {
  const begin = since(alert)
  const near = (time: number) => Math.abs(time - begin) <= TOGETHER_MS
  // One that came and went several times is named once, by the begin nearest to this one.
  const nearest = new Map<string, Episode>()
  for (const one of around.episodes) {
    if (one.id === alert.id || one.pending || !near(one.from)) continue
    const before = nearest.get(one.id)
    if (before === undefined || Math.abs(one.from - begin) < Math.abs(before.from - begin)) nearest.set(one.id, one)
  }
  const others = [...nearest.values()]
  const odd = [...around.anomalies.current, ...around.anomalies.recent].filter((one) => one.id !== anomaly?.id && near(one.since))
  const moved = anomaly?.together ?? []
  const total = others.length + odd.length + moved.length
  if (total === 0) return null
  const shown = { moved: moved.slice(0, MOST_TOGETHER), others: others.slice(0, MOST_TOGETHER), odd: moved.length > 0 ? [] : odd.slice(0, MOST_TOGETHER) }
  const rest = total - shown.moved.length - shown.others.length - shown.odd.length
  return (
    <Fact name="Began with">
      <ul class="together">
        {shown.moved.map((one) => <MovedRow key={selectorOf(one.metric, one.labels)} page={page} moved={one} />)}
        {shown.odd.map((one) => (
          <li key={one.id}>
            <code>{selectorOf(one.metric, one.labels)}</code>
            <span class="under">unusual at {at(one.since)}, score {score(one.score)}</span>
          </li>
        ))}
        {shown.others.map((one) => (
          <li key={`${one.id} ${one.from}`}>
            <a href={hrefOf('alerts', one.id)}>{one.name}</a>
            <span class="under">fired at {at(one.from)}</span>
          </li>
        ))}
        {rest > 0 && <li class="under">and {rest} more</li>}
      </ul>
    </Fact>
  )
}

function MovedRow({ page, moved }: { page: Page; moved: Moved }) {
  const line = useLine(page, sourceOf({ ...moved, observed: observedOf(page, moved.metric) }))
  const name = selectorOf(moved.metric, moved.labels)
  return (
    <li>
      <code title={name}>{name}</code>
      {line !== null && <Sparkline page={page} numbers={line} label={name} colour="other" />}
      <span class="under">{Number.isNaN(moved.sigmas) ? '' : `${moved.sigmas < 0 ? 'down' : 'up'} ${Math.abs(moved.sigmas).toFixed(1)}\u202fσ`}</span>
    </li>
  )
}

/** Who was told, what came of it, and who is next. */
function Told({ alert, transitions, now }: { alert: Alert; transitions: readonly Transition[]; now: number }) {
  const deliveries = transitions.flatMap((one) => one.deliveries).sort((a, b) => b.at - a.at)
  const { next } = alert
  const parts = deliveries.slice(0, MOST_TOGETHER).map((one) => (
    <p key={`${one.at} ${one.receiver} ${one.integration}`}>
      {at(one.at)} {one.receiver} by {one.integration}
      {one.error !== '' && <span class="failed">: {one.error}</span>}
    </p>
  ))
  if (parts.length === 0 && alert.receivers.length > 0) parts.push(<p key="none">nobody yet; goes to {alert.receivers.join(', ')}</p>)
  if (alert.receivers.length === 0 && deliveries.length === 0) parts.push(<p key="nobody">nobody: no route leads to a receiver</p>)
  if (next !== null && alert.state !== 'resolved') {
    const raised = next.severity === null ? '' : `, raised to ${next.severity}`
    const when = Number.isNaN(next.at) ? 'once its time counts again' : `at ${at(next.at)}, in ${age((next.at - now) / 1000)}`
    parts.push(<p key="next">next: {next.receiver} {when}{raised}</p>)
  }
  return <Fact name="Told">{parts}</Fact>
}

/** Annotations that are said elsewhere. */
const SAID = new Set(['summary', 'description', 'together'])

/** Annotations that lead somewhere. What is no address of the web stays text. */
function Links({ alert }: { alert: Alert }) {
  const others = Object.entries(alert.annotations).filter(([name, value]) => !SAID.has(name) && value !== '')
  return (
    <>
      {others.map(([name, value]) => {
        const href = safeLink(value)
        return (
          <Fact key={name} name={nameOf(name)}>
            {href === null ? value : <a href={href} target="_blank" rel="noreferrer noopener">{value}</a>}
          </Fact>
        )
      })}
    </>
  )
}

function nameOf(annotation: string): string {
  const words = annotation.replace(/_url$/, '').replaceAll('_', ' ')
  return words.charAt(0).toUpperCase() + words.slice(1)
}

function at(ms: number): string {
  return Number.isFinite(ms) ? clock(ms, true) : '—'
}
