/** An alert in a row, the same on the overview and on the page of alerts: how bad, what, how it came, how much, since when. */
import type { ComponentChildren } from 'preact'
import { useEffect, useRef } from 'preact/hooks'
import { age, clock, format } from '../../format/number'
import type { Alert } from '../../model/alerts'
import { fires, ownLabels, placeOf, since } from '../../model/alerts'
import type { Anomaly } from '../../model/anomalies'
import type { Page } from '../../page'
import { hrefOf } from '../../route'
import { alertFeed, serverNow } from '../alert-feed'
import { useClock } from '../hooks'
import { useLine } from '../line'
import { LiveText } from '../live-text'
import { useOrders } from '../order'
import { Level } from '../severity'
import { Sparkline } from '../sparkline'
import { watchedOf } from '../watched'
import { signed } from './author'
import { alertRows } from './keys'
import { Menu } from './menu'
import type { Item } from './menu'

interface Props {
  readonly page: Page
  readonly alert: Alert
  /** What it is about, where a detector has raised it. */
  readonly anomaly: Anomaly | null
  /** Whether it may have a line: the server follows so many queries at most. */
  readonly lined: boolean
  /** Opens and closes it here; without, it is a link to its page. */
  readonly toggle?: () => void
  /** What is shown below it, where it is open. */
  readonly children?: ComponentChildren
}

const path = (alert: Alert, what: string) => `api/v1/admin/alerts/${encodeURIComponent(alert.id)}/${what}`

export function AlertRow({ page, alert, anomaly, lined, toggle, children }: Props) {
  const feed = alertFeed(page)
  const orders = useOrders(page, () => {
    feed.ask()
  })
  const watched = watchedOf(page, alert, anomaly)
  const line = useLine(page, lined ? watched.source : null)
  const open = children !== undefined && children !== null
  const labels = ownLabels(alert.labels).map(([name, value]) => `${name}="${value}"`).join(' ')
  const go = (todo: string) => {
    location.hash = hrefOf('alerts', alert.id, [['do', todo]])
  }
  const active = fires(alert)
  const pending = alert.state === 'pending'
  const classes = ['alert', pending || alert.state === 'resolved' ? 'pending' : alert.severity, ...(open ? ['open'] : []), ...(feed.fresh.has(alert.id) ? ['fresh'] : [])]

  const items: Item[] = [
    ...(alert.state === 'resolved' || placeOf(alert) === 'silenced' ? [] : [{ label: 'Silence…', act: () => { go('silence') } }]),
    ...(placeOf(alert) === 'silenced' ? [{ label: 'End the silence', act: () => { void endSilences() } }] : []),
    ...(active && alert.acknowledged === null ? [{ label: 'Acknowledge with a note…', act: () => { go('acknowledge') } }] : []),
    ...(alert.acknowledged === null ? [] : [{ label: 'Give it back', act: () => { void orders.give('DELETE', path(alert, 'acknowledge')) } }]),
    ...(active && alert.next !== null ? [{ label: `Escalate: tell ${alert.next.receiver} now`, act: () => { void orders.give('POST', path(alert, 'escalate'), signed()) } }] : []),
    { label: open ? 'Close' : 'Open', act: toggle ?? (() => { location.hash = hrefOf('alerts', alert.id) }) },
    { label: 'Copy link', act: () => { void navigator.clipboard.writeText(new URL(hrefOf('alerts', alert.id), location.href).href) } },
  ]
  const endSilences = async () => {
    for (const id of alert.silencedBy) if (!(await orders.give('DELETE', `api/v1/admin/silences/${encodeURIComponent(id)}`))) return
  }
  const acknowledge = () => {
    void orders.give('POST', path(alert, 'acknowledge'), signed())
  }
  const root = useRef<HTMLLIElement>(null)
  useEffect(() => {
    const acts = (can: boolean, act: () => void) => () => {
      if (can) act()
      return can
    }
    if (root.current !== null) alertRows.set(root.current, { acknowledge: acts(active && alert.acknowledged === null, acknowledge), silence: acts(placeOf(alert) === 'active', () => { go('silence') }) })
  })
  const name = (
    <>
      <b title={alert.name}>{alert.name === '' ? 'without a name' : alert.name}</b>
      <span class="source" title={labels}>{labels}</span>
    </>
  )
  return (
    <li class={classes.join(' ')} data-alert={alert.id} ref={root}>
      <div class="row">
        <Level severity={alert.severity} pending={pending} />
        {toggle === undefined ? (
          <a class="what" href={hrefOf('alerts', alert.id)}>{name}</a>
        ) : (
          <button type="button" class="what" aria-expanded={open} onClick={toggle}>{name}</button>
        )}
        {line === null ? <span class="spark" /> : <Sparkline page={page} numbers={line} label={`${alert.name} in the window`} colour="other" limit={watched.limit} />}
        <p class="now">
          <LiveText
            page={page}
            read={() => {
              const now = active || pending ? (line?.now() ?? NaN) : NaN
              return format(Number.isNaN(now) ? alert.value : now, watched.unit)
            }}
          />
          <span class="under" title={watched.words}>{watched.words}</span>
        </p>
        <Since page={page} alert={alert} />
        <div class="acts">
          {alert.acknowledged !== null ? (
            <span class="taken" title={alert.acknowledged.note}>{alert.acknowledged.by} has it</span>
          ) : active ? (
            <button type="button" class={open ? 'primary' : ''} disabled={orders.busy} onClick={acknowledge}>
              Acknowledge
            </button>
          ) : null}
          <Menu label={`More about ${alert.name}`} items={items} />
        </div>
      </div>
      {orders.refused !== '' && <p class="refused" role="alert">{orders.refused}</p>}
      {children}
    </li>
  )
}

/** How long, and since when; of one that is over, when it was. */
function Since({ page, alert }: { page: Page; alert: Alert }) {
  useClock(1_000)
  const begin = since(alert)
  if (alert.state === 'resolved') {
    return (
      <p class="since">
        <span class="long">{age((alert.endsAt - begin) / 1000)}</span>
        <span class="under">over {clock(alert.endsAt, true)}</span>
      </p>
    )
  }
  return (
    <p class="since">
      <span class="long">{age((serverNow(page) - begin) / 1000)}</span>
      <span class="under">{alert.state === 'flapping' ? 'comes and goes' : `since ${clock(begin, true)}`}</span>
    </p>
  )
}
