/**
 * The page one lands on, in the order of questions: is something wrong? how is the host? how did it come to that? what else is
 * odd? who is missing? What does not exist has no place: a healthy page is calm, and a small one is short.
 */
import { useEffect, useMemo } from 'preact/hooks'
import { age, clock, format } from '../format/number'
import type { Alert } from '../model/alerts'
import { count, firing, headline, inOrder, lastResolved, placeOf } from '../model/alerts'
import type { Anomalies } from '../model/anomalies'
import { NO_ANOMALIES, anomalyOf, readAnomalies } from '../model/anomalies'
import { chosenCards } from '../model/chosen'
import type { Store } from '../model/store'
import { readTargets } from '../model/targets'
import type { Tile } from '../model/tiles'
import { applicationTiles, bridgeTiles, cores, hostTiles } from '../model/tiles'
import type { Page } from '../page'
import { hrefOf } from '../route'
import { serverNow, useAlerts } from '../ui/alert-feed'
import { useAlertKeys } from '../ui/alert/keys'
import { AlertRow } from '../ui/alert/row'
import { useAnswer } from '../ui/answer'
import { useClock, useTopics } from '../ui/hooks'
import type { PageProps } from '../ui/pages'
import { SpecCard } from '../ui/spec-card'
import { TargetRows } from '../ui/target-rows'
import { Tiles } from '../ui/tile'
import { Unusual } from '../ui/unusual'

/** So many alerts have a row; the rest a number. */
const MOST_ALERTS = 5
/** A row of them where there is room. */
const MOST_TILES = 6
const ASK_MS = 10_000

export function Overview({ page }: PageProps) {
  useTopics(page, 'view', 'structure')
  const feed = useAlerts(page)
  const odd = useAnswer(page, 'api/v1/anomalies?limit=20', readAnomalies, { every: ASK_MS, on: ['anomaly'] })
  const scraped = useAnswer(page, 'api/v1/targets?state=active', readTargets, { every: ASK_MS, on: ['target'] })
  const anomalies = odd !== null && 'told' in odd ? odd.told : NO_ANOMALIES
  const targets = scraped !== null && 'told' in scraped ? scraped.told : []
  useEffect(() => {
    if (page.query === '') return
    // What is looked for by its name is on the page of all. Back leads here, where nothing is looked for.
    history.replaceState(null, '', hrefOf('overview'))
    location.hash = hrefOf('explore', '', [['find', page.query]])
  }, [page.query])

  const { store } = page
  const alive = store.lastTime > 0
  const shape = `${store.families.size} ${store.seriesCount} ${alive}`
  // The same tiles and cards until series come or go.
  const { tiles, bridge, cards } = useMemo(() => {
    const value = (key: number) => store.value(key)
    return {
      tiles: [...hostTiles(store.families, value), ...applicationTiles(store.families)].slice(0, MOST_TILES),
      bridge: bridgeTiles(store.families),
      cards: chosenCards(store.families),
    }
  }, [store, shape])
  const up = targets.filter(({ health }) => health === 'up').length

  return (
    <main class="overview">
      <div class="headline">
        <h1>{feed.told ? headline(feed.alerts) : feed.refused === '' ? 'Overview' : 'Alerts unknown'}</h1>
        <p>
          <Facts page={page} alerts={feed.told ? feed.alerts : []} up={up} of={targets.length} />
        </p>
      </div>
      {page.serverError !== '' && <p class="refused" role="alert">{page.serverError}</p>}
      {feed.refused !== '' && <p class="refused" role="alert">The alerts could not be read: {feed.refused}</p>}
      <Firing page={page} alerts={feed.alerts} anomalies={anomalies} />
      {!alive ? (
        <p class="nothing calm">Collecting. The first values come with the next tick.</p>
      ) : (
        <>
          <Part page={page} title="This host" words={hostWords(page)} tiles={tiles} />
          {cards.length > 0 && (
            <section class="lately" aria-label="The window">
              <h2>
                Now and the last {windowWords(page)} <span>one point {store.intervalMs === 1_000 ? 'a second' : `each ${age(store.intervalMs / 1000)}`}</span>
                <a href={hrefOf('explore')}>all {count(store.families.size)} families</a>
              </h2>
              <div class="cards broad">
                {cards.map((spec, i) => <SpecCard key={spec.family ?? spec.families?.join(' ')} page={page} spec={spec} place={i} />)}
              </div>
            </section>
          )}
          <Unusual page={page} anomalies={anomalies} />
          <TargetRows page={page} targets={targets} />
          <Part page={page} title="gaugecast" words="what watching costs" tiles={bridge} />
        </>
      )}
    </main>
  )
}

/** Where, how much, how often; and on a quiet page what was over last. */
function Facts({ page, alerts, up, of }: { page: Page; alerts: readonly Alert[]; up: number; of: number }) {
  const { store } = page
  if (store.lastTime === 0) return <>waiting for the first frame</>
  const host = hostName(store)
  const silenced = alerts.filter((alert) => placeOf(alert) === 'silenced').length
  const resolved = firing(alerts).length === 0 ? lastResolved(alerts) : null
  const restarted = store.restarts.at(-1)
  const facts = [
    ...(resolved === null ? [] : [`last over: ${resolved.name}${Number.isNaN(resolved.endsAt) ? '' : ` at ${clock(resolved.endsAt, false)}`}`]),
    ...(silenced === 0 ? [] : [`${count(silenced)} silenced`]),
    ...(host === '' ? [] : [host]),
    `${format(store.seriesCount, 'count').text}${store.truncated ? ` of ${format(store.matched, 'count').text}` : ''} series`,
    ...(of === 0 ? [] : [up === of ? `${of === 1 ? 'target' : `all ${of} targets`} up` : `${up} of ${of} targets up`]),
    `every ${store.intervalMs < 1000 ? `${store.intervalMs}\u202fms` : age(store.intervalMs / 1000)}`,
    ...(restarted === undefined ? [] : [`restarted ${clock(restarted, true)}`]),
  ]
  return <>{facts.join(' · ')}</>
}

function hostName(store: Store): string {
  const series = store.families.get('node_uname_info')?.series ?? []
  const own = series.find(({ labels }) => !('instance' in labels)) ?? series[0]
  return own?.labels.nodename ?? ''
}

function hostWords(page: Page): string {
  const { store } = page
  const of = cores(store.families)
  const series = store.families.get('node_boot_time_seconds')?.series ?? []
  const own = series.find(({ labels }) => !('instance' in labels)) ?? series[0]
  const booted = own === undefined ? NaN : store.value(own.key)
  return [...(of === 0 ? [] : [`${of} ${of === 1 ? 'core' : 'cores'}`]), ...(Number.isFinite(booted) ? [`up ${age(serverNow(page) / 1000 - booted)}`] : [])].join(', ')
}

function windowWords(page: Page): string {
  const minutes = page.windowMs / 60_000
  if (minutes === 1 || minutes === 60) return minutes === 1 ? 'minute' : 'hour'
  return Number.isInteger(minutes) && minutes < 60 ? `${minutes} minutes` : age(page.windowMs / 1000)
}

function Firing({ page, alerts, anomalies }: { page: Page; alerts: readonly Alert[]; anomalies: Anomalies }) {
  useAlertKeys()
  const fire = inOrder(firing(alerts))
  if (fire.length === 0) return null
  const rest = fire.length - MOST_ALERTS
  return (
    <section class="firing" aria-label="Alerts firing">
      <ul class="alerts">
        {fire.slice(0, MOST_ALERTS).map((alert) => (
          <AlertRow key={alert.id} page={page} alert={alert} anomaly={alert.origin === 'anomaly' ? anomalyOf(anomalies, alert) : null} lined />
        ))}
      </ul>
      {rest > 0 && (
        <p class="rest">
          <a href={hrefOf('alerts')}>{count(rest)} more</a>
        </p>
      )}
    </section>
  )
}

function Part({ page, title, words, tiles }: { page: Page; title: string; words: string; tiles: readonly Tile[] }) {
  useClock(60_000)
  if (tiles.length === 0) return null
  return (
    <section aria-label={title}>
      <h2>
        {title} <span>{words}</span>
      </h2>
      <Tiles page={page} tiles={tiles} />
    </section>
  )
}
