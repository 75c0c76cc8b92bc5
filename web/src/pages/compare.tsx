/**
 * A baseline and another range side by side: what is worse first, by the size of the effect. The range is the page's window,
 * one from a form, or another baseline; all of it stands in the address.
 */
import { useState } from 'preact/hooks'
import { age, clock, formatText, MISSING } from '../format/number'
import type { Baseline, Change, Comparison, Figures, Trend, Verdict } from '../model/baselines'
import { byConcern, rangeQuery, readComparison, readTrends, VERDICTS } from '../model/baselines'
import { matches, words } from '../model/search'
import type { Page } from '../page'
import { hrefOf } from '../route'
import { useAnswer } from '../ui/answer'
import type { Column } from '../ui/table'
import { Table } from '../ui/table'
import { rangeText, windowQuery, zoned } from './baselines'

const LIVE_MS = 10_000
const WORDS: Readonly<Record<Verdict, string>> = { worse: '▼ worse', changed: '◇ changed', better: '▲ better', new: 'new', gone: 'gone', unknown: 'too few', same: 'same' }

type Query = readonly (readonly [string, string])[]

export function Compare({ page, name, baselines }: { page: Page; name: string; baselines: readonly Baseline[] }) {
  const baseline = baselines.find((one) => one.name === name)
  const { params } = page.route
  const [other, from, to] = [params.get('with') ?? '', params.get('from') ?? '', params.get('to') ?? '']
  let range: Query | string
  try {
    range = other !== '' ? [['with', other]] : from === '' ? windowQuery(page) : rangeQuery('', from, to, zoned)
  } catch (error) {
    range = error instanceof Error ? error.message : String(error)
  }
  return (
    <main class="compare">
      <div class="headline">
        <a class="back" href={hrefOf('baselines')}>Baselines</a>
        <h1>{name}</h1>
        {baseline !== undefined && <p>{rangeText(baseline)}{baseline.note === '' ? '' : ` · ${baseline.note}`}</p>}
      </div>
      <Against page={page} name={name} baselines={baselines} />
      {typeof range === 'string' ? <p class="refused" role="alert">{range}</p> : <Judged page={page} name={name} match={baseline?.match ?? []} range={range} />}
    </main>
  )
}

/** With what it is compared. */
function Against({ page, name, baselines }: { page: Page; name: string; baselines: readonly Baseline[] }) {
  const { params } = page.route
  const others = baselines.filter((one) => one.name !== name)
  const fixed = params.get('from') !== undefined
  const [asked, setAsked] = useState(fixed)
  const chosen = params.get('with') !== undefined ? `with ${params.get('with') ?? ''}` : asked ? 'fixed' : 'window'
  return (
    <form
      class="form box"
      aria-label="Compare with"
      onSubmit={(event) => {
        event.preventDefault()
      }}
    >
      <label>
        Compare with
        <select
          class="field"
          value={chosen}
          onChange={({ currentTarget: { value } }) => {
            setAsked(value === 'fixed')
            if (value !== 'fixed') page.setParams({ from: '', to: '', with: value.startsWith('with ') ? value.slice(5) : '' })
            else page.setParams({ with: '' })
          }}
        >
          <option value="window">now, {page.pausedAt === null ? `the last ${age(page.windowMs / 1000)}` : `the window to ${clock(page.pausedAt, true)}`}</option>
          <option value="fixed">from, to</option>
          {others.map((one) => <option key={one.name} value={`with ${one.name}`}>baseline {one.name}</option>)}
        </select>
      </label>
      {chosen === 'fixed' && (
        <>
          <label>
            From
            <input class="field" type="datetime-local" step="1" value={params.get('from') ?? ''} onChange={({ currentTarget: { value } }) => { page.setParams({ from: value }) }} />
          </label>
          <label>
            To
            <input class="field" type="datetime-local" step="1" value={params.get('to') ?? ''} onChange={({ currentTarget: { value } }) => { page.setParams({ to: value }) }} />
          </label>
        </>
      )}
      <button type="button" aria-pressed={params.get('trend') === 'on'} onClick={() => { page.setParams({ trend: params.get('trend') === 'on' ? '' : 'on' }) }}>
        Trends
      </button>
    </form>
  )
}

function Judged({ page, name, match, range }: { page: Page; name: string; match: readonly string[]; range: Query }) {
  const query = (pairs: Query) => new URLSearchParams(pairs.map(([key, value]) => [key, value])).toString()
  const answer = useAnswer(page, `api/v1/baselines/${encodeURIComponent(name)}/compare?${query(range)}`, readComparison, { every: LIVE_MS })
  const trends = page.route.params.get('trend') === 'on' && range[0]?.[0] !== 'with'
  if (answer === null) return null
  if ('refused' in answer) return <p class="refused panel" role="alert">They could not be compared: {answer.refused}</p>
  return trends ? <Trended page={page} comparison={answer.told} path={`api/v1/trend?${query([...match.map((one) => ['match[]', one] as const), ...range])}`} /> : <Changes page={page} comparison={answer.told} trends={null} />
}

/** With the trends of the later range; they cost the server more, so only who wants them has them. */
function Trended({ page, comparison, path }: { page: Page; comparison: Comparison; path: string }) {
  const trends = useAnswer(page, path, readTrends, { every: 3 * LIVE_MS })
  return (
    <>
      {trends !== null && 'refused' in trends && <p class="refused panel" role="alert">Trends: {trends.refused}</p>}
      <Changes page={page} comparison={comparison} trends={trends !== null && 'told' in trends ? trends.told : new Map()} />
    </>
  )
}

function Changes({ page, comparison, trends }: { page: Page; comparison: Comparison; trends: ReadonlyMap<string, Trend> | null }) {
  const { counts, changes, after } = comparison
  const only = VERDICTS.find((one) => one === page.route.params.get('verdict'))
  const wanted = words(page.query)
  const found = byConcern(changes).filter((change) => (only === undefined || change.verdict === only) && matches(change.series.toLowerCase(), wanted))
  const concern = VERDICTS.filter((one) => counts[one] > 0)
  return (
    <section class="panel" aria-label="What has changed">
      <h2>
        {counts.worse > 0 ? `${counts.worse} worse` : counts.changed > 0 ? `${counts.changed} changed, none worse` : counts.better > 0 ? `${counts.better} better, none worse` : 'Nothing has changed'}
        <span>against {rangeText(after)}</span>
      </h2>
      <div class="filters" role="group" aria-label="Verdict">
        {concern.map((verdict) => (
          <button key={verdict} type="button" aria-pressed={only === verdict} onClick={() => { page.setParams({ verdict: only === verdict ? '' : verdict }) }}>
            {verdict} {counts[verdict]}
          </button>
        ))}
      </div>
      {found.length === 0 ? (
        <p class="nothing">{changes.length === 0 ? 'It has no series.' : 'No series is like that.'}</p>
      ) : (
        <Table page={page} caption="Changes" columns={columns(trends)} rows={found} id={({ series, measure }) => `${series} ${measure}`} otherwise={null} />
      )}
    </section>
  )
}

function columns(trends: ReadonlyMap<string, Trend> | null): readonly Column<Change>[] {
  const pair = (label: string, of: (figures: Figures) => number): Column<Change> => ({
    name: label,
    label,
    numeric: true,
    rank: ({ after }) => (after === null ? NaN : of(after)),
    cell: ({ before, after, unit }) => (
      <>
        <span class="faint">{before === null ? MISSING : formatText(of(before), unit)} → </span>
        {after === null ? MISSING : formatText(of(after), unit)}
      </>
    ),
  })
  const way: Column<Change> = {
    name: 'trend',
    label: 'Trend',
    title: 'Of the later range',
    rank: ({ series }) => trends?.get(series)?.change ?? NaN,
    cell: ({ series }) => {
      const trend = trends?.get(series)
      if (trend === undefined) return MISSING
      return trend.way === 'rising' || trend.way === 'falling' ? `${trend.way === 'rising' ? '↗' : '↘'} ${trend.way} ${signed(trend.change)}` : <span class="faint">{trend.way}</span>
    },
  }
  return [
    {
      name: 'series',
      label: 'Series',
      rank: ({ series }) => series,
      cell: ({ series, name, measure }) => (
        <span class="mono" title={series}>
          {measure === 'rate' && <span class="faint">rate of </span>}
          {name === '' ? series : <a href={hrefOf('metric', name)}>{series}</a>}
        </span>
      ),
    },
    { name: 'verdict', label: 'Verdict', rank: ({ verdict }) => VERDICTS.indexOf(verdict), cell: ({ verdict }) => <span class={verdict === 'worse' ? 'bad' : verdict === 'same' ? 'faint' : ''}>{WORDS[verdict]}</span> },
    { name: 'effect', label: 'Effect', title: 'Cliff’s delta: how much of the later values is greater, less what is less', numeric: true, rank: ({ effect }) => Math.abs(effect), cell: ({ effect, magnitude }) => (Number.isNaN(effect) ? MISSING : <>{sign(effect)}{Math.abs(effect).toFixed(2)} <span class="faint">{magnitude}</span></>) },
    { name: 'change', label: 'Mean by', numeric: true, rank: ({ change }) => change, cell: ({ change }) => signed(change) },
    pair('mean', ({ mean }) => mean),
    pair('p50', ({ p50 }) => p50),
    pair('p95', ({ p95 }) => p95),
    pair('p99', ({ p99 }) => p99),
    ...(trends === null ? [] : [way]),
  ]
}

function sign(value: number): string {
  return value < 0 ? '−' : '+'
}

/** A share with its sign: "+12.3 %". */
export function signed(share: number): string {
  return Number.isNaN(share) ? MISSING : `${sign(share)}${formatText(Math.abs(share), 'ratio')}`
}
