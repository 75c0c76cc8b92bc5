/** One family, whole: what it is, how it moves, each of its series. The link holds view, grouping and filter. */
import { useEffect, useMemo, useRef, useState } from 'preact/hooks'
import { format } from '../format/number'
import { unitOf } from '../format/unit'
import { severityOf } from '../model/alerts'
import { alertsByMetric, alertsOn } from '../model/attention'
import { judgedOf, readBaselines, readComparison } from '../model/baseline-rows'
import { parseMatchers, printMatchers, selects } from '../model/matchers'
import { distinguishing } from '../model/lines'
import { shownViews, specOf } from '../model/metric-views'
import { nearest } from '../model/search'
import type { CardSpec } from '../model/spec'
import type { FamilyInfo } from '../model/store'
import type { Page } from '../page'
import { hrefOf } from '../route'
import { useAnswer } from '../ui/answer'
import { ACTIONS } from '../ui/card-actions'
import { liveCards } from '../ui/card-frame'
import { SpecCard } from '../ui/spec-card'
import { useTopics } from '../ui/hooks'
import { useKeyUses } from '../ui/key-table'
import type { PageProps } from '../ui/pages'
import { Shape } from '../ui/severity'
import { SeriesTable } from '../ui/series-table'
import type { Verdict } from '../ui/series-table'
import { titleOf } from '../ui/title'

export function Metric({ page }: PageProps) {
  useTopics(page, 'structure', 'view')
  const { about } = page.route
  const family = page.store.families.get(about)
  useKeyUses([
    {
      keys: ['Escape'],
      shown: '',
      does: '',
      act: () => {
        if (history.length > 1) history.back()
        else location.hash = hrefOf('explore')
        return true
      },
    },
  ])
  if (family === undefined) return <Unknown page={page} name={about} />
  return <Known key={about} page={page} family={family} />
}

/** There is no such family: the one whose series is called so, else the nearest. */
function Unknown({ page, name }: { page: Page; name: string }) {
  const { families } = page.store
  if (page.store.lastTime === 0) {
    return (
      <main class="metric">
        <div class="headline">
          <h1>{name}</h1>
        </div>
        <p class="nothing">Collecting. The first values come with the next tick.</p>
      </main>
    )
  }
  const owner = [...families.values()].find((family) => family.series.some((one) => one.name === name))?.name
  const near = owner ?? nearest(name, families.keys())
  return (
    <main class="metric">
      <div class="headline">
        <h1>{name === '' ? 'No metric' : name}</h1>
      </div>
      <p class="nothing">
        There is no metric of this name now.
        {near !== null && (
          <>
            {' '}
            {owner === undefined ? 'Nearest' : 'It belongs to'}: <a href={hrefOf('metric', near)}>{near}</a>
          </>
        )}
      </p>
    </main>
  )
}

function Known({ page, family }: { page: Page; family: FamilyInfo }) {
  const { params } = page.route
  const where = params.get('where') ?? ''
  const by = params.get('by') ?? ''
  const filtered = useFiltered(family, where)
  const count = family.series.length
  const labels = useMemo(() => distinguishing(family.series).filter((label) => !(label === 'le' && family.type === 'histogram') && label !== 'quantile'), [family, count])
  const grouped = labels.includes(by) ? by : ''
  const title = titleOf(family)
  const companions = (params.get('with') ?? '').split(',').flatMap((name) => (name === family.name ? [] : page.store.families.get(name) ?? []))
  const families = [filtered.family, ...companions]
  const value = (key: number) => page.store.value(key)
  const find = (name: string) => page.store.families.get(name)
  // What suits is told by type, name and values; it is the same from tick to tick.
  const suiting = useMemo(() => shownViews(filtered.family, companions, value, find), [filtered.family, count, companions.length, page.store.lastTime === 0])
  const against = params.get('against') ?? ''
  // A scatter plot is one against something, which is asked for beside.
  const views = suiting.filter(({ view }) => view !== 'scatter' || against !== '')
  const asked = params.get('view') ?? ''
  const chosen = views.find(({ view }) => view === asked)?.view ?? views[0]?.view ?? ''
  const spec = specOf({ families, view: asked === '' ? '' : chosen, by: grouped, where: filtered.wrong === '' ? where : '', against })
  const heading = useRef<HTMLHeadingElement>(null)
  // Who came with the keyboard goes on from here.
  useEffect(() => {
    heading.current?.focus({ preventScroll: true })
  }, [family])
  const [baseline, setBaseline] = useState('')
  const baselines = useAnswer(page, 'api/v1/baselines', readBaselines, { every: 60_000 })
  const names = baselines !== null && 'told' in baselines ? baselines.told : []
  const groups = ['', ...labels.slice(0, MOST_LABELS)]
  useKeyUses([
    {
      keys: ['b'],
      shown: 'b',
      does: 'group by the next label',
      act: () => {
        page.setParams({ by: groups[(groups.indexOf(grouped) + 1) % groups.length] ?? '' })
        return true
      },
    },
  ])
  const choose = (chosen: Readonly<Record<string, string>>) => {
    const matchers = Object.entries(chosen).filter(([label]) => label !== '__name__').map(([label, value]) => ({ label, sign: '=' as const, value }))
    const text = printMatchers(matchers)
    // The row that is shown alone gives way to all again.
    page.setParams({ where: text === where ? '' : text })
  }
  return (
    <main class="metric">
      <div class="headline">
        <h1 ref={heading} tabIndex={-1}>{title}</h1>
        <p class="raw">{family.name}</p>
      </div>
      {family.help !== '' && <p class="help">{family.help}</p>}
      <Facts page={page} family={family} />
      <div class="choices">
        {views.length > 1 && (
          <div class="segment" role="group" aria-label="View">
            {views.map(({ view, label }, i) => (
              <button key={view} type="button" aria-pressed={view === chosen} onClick={() => { page.setParams({ view: i === 0 ? '' : view }) }}>
                {label}
              </button>
            ))}
          </div>
        )}
        {labels.length > 0 && (
          <div class="segment" role="group" aria-label="Group by">
            {groups.map((label) => (
              <button key={label} type="button" aria-pressed={label === grouped} onClick={() => { page.setParams({ by: label }) }}>
                {label === '' ? 'All series' : `By ${label}`}
              </button>
            ))}
          </div>
        )}
        {labels.length > 0 && <Where page={page} where={where} wrong={filtered.wrong} hint={labels[0] ?? ''} />}
        <Tools page={page} spec={spec} against={against} scatters={suiting.some(({ view }) => view === 'scatter')} />
        {names.length > 0 && (
          <select
            aria-label="Compare with baseline"
            value={baseline}
            onChange={(event) => {
              setBaseline(event.currentTarget.value)
            }}
          >
            <option value="">Compare with baseline</option>
            {names.map((name) => (
              <option key={name} value={name}>{name}</option>
            ))}
          </select>
        )}
      </div>
      {filtered.family.series.length === 0 ? (
        <p class="nothing">
          No series of {family.name} is as {where} says.{' '}
          <button type="button" class="link" onClick={() => { page.setParams({ where: '' }) }}>
            Show all {count}
          </button>
        </p>
      ) : (
        <>
          <div class="tall">
            <SpecCard
              key={`${chosen} ${grouped} ${against}`}
              page={page}
              spec={{ ...spec, ...(where === '' || filtered.wrong !== '' ? {} : { title: where }) }}
              find={(name) => (name === family.name ? filtered.family : find(name))}
              onSpec={({ view = '', by = '', against = '' }) => {
                page.setParams({ view, by, against })
              }}
              place={0}
            />
          </div>
          {families.map((one) => (
            <section key={one.name} aria-label={`Series of ${one.name}`}>
              <h2>
                Series{families.length > 1 && <span class="raw"> {one.name}</span>}
              </h2>
              <Table page={page} family={one} by={grouped} baseline={baseline} choose={choose} />
            </section>
          ))}
        </>
      )}
    </main>
  )
}

/** What can be done with what is shown: set it against something else, take it along. */
function Tools({ page, spec, against, scatters }: { page: Page; spec: CardSpec; against: string; scatters: boolean }) {
  const [asking, setAsking] = useState(false)
  const live = () => {
    const card = document.querySelector('.metric .tall .card')
    return card === null ? null : (liveCards.get(card) ?? null)
  }
  const nothing = () => undefined
  const acting = { page, spec, live, choose: nothing, full: false, setFull: nothing, setMenu: nothing }
  return (
    <div class="tools end">
      {scatters && asking && (
        <input
          class="where"
          type="text"
          aria-label="Compare with"
          placeholder="a metric, or PromQL"
          list="families"
          spellcheck={false}
          autocomplete="off"
          autofocus
          value={against}
          onKeyDown={(event) => {
            if (event.key === 'Escape') setAsking(false)
            if (event.key !== 'Enter') return
            const text = event.currentTarget.value.trim()
            page.setParams({ against: text, view: text === '' ? '' : 'scatter' })
            setAsking(false)
          }}
        />
      )}
      {scatters && asking && (
        <datalist id="families">
          {[...page.store.families.keys()].map((name) => (
            <option key={name} value={name} />
          ))}
        </datalist>
      )}
      {scatters && !asking && (
        <button type="button" onClick={() => { setAsking(true) }}>
          Compare with…
        </button>
      )}
      {ACTIONS.filter(({ label }) => TAKEN_ALONG.includes(label)).map(({ label, act }) => (
        <button key={label} type="button" onClick={() => { act(acting) }}>
          {label}
        </button>
      ))}
    </div>
  )
}

const TAKEN_ALONG = ['Copy PromQL', 'CSV', 'JSON', 'Add to board']

/** More labels than this are for the filter. */
const MOST_LABELS = 5

/** The family with those series that the filter selects; whole where there is none, or where it is wrong. */
function useFiltered(family: FamilyInfo, where: string): { readonly family: FamilyInfo; readonly wrong: string } {
  const count = family.series.length
  const kept = useMemo(() => {
    if (where === '') return { family, wrong: '' }
    try {
      parseMatchers(where)
      return { family: { ...family, series: [...family.series] }, wrong: '' }
    } catch (error) {
      return { family, wrong: error instanceof Error ? error.message : String(error) }
    }
  }, [family, where])
  // The same object goes on with other series, as a family of the store does.
  useMemo(() => {
    if (kept.family === family) return
    const selected = selects(parseMatchers(where))
    kept.family.series.splice(0, Infinity, ...family.series.filter(({ labels, name }) => selected(labels, name)))
  }, [kept, count])
  return kept
}

/** The filter is taken over by Enter or when the field is left. */
function Where({ page, where, wrong, hint }: { page: Page; where: string; wrong: string; hint: string }) {
  const field = useRef<HTMLInputElement>(null)
  const take = () => {
    const text = field.current?.value.trim() ?? ''
    if (text !== where) page.setParams({ where: text === '' || text.startsWith('{') ? text : `{${text}}` })
  }
  return (
    <>
      <input
        ref={field}
        class="where"
        type="text"
        aria-label="Label filter"
        aria-invalid={wrong !== ''}
        placeholder={`{${hint}="…"}`}
        spellcheck={false}
        autocomplete="off"
        value={where}
        onKeyDown={(event) => {
          if (event.key === 'Enter') take()
          if (event.key === 'Escape') event.currentTarget.blur()
        }}
        onBlur={take}
      />
      {wrong !== '' && <span class="wrong" role="alert">{wrong}</span>}
    </>
  )
}

/** Alerts on it, type, unit, how many series, and where they come from. */
function Facts({ page, family }: { page: Page; family: FamilyInfo }) {
  const answer = useAnswer(page, 'api/v1/rules?type=alert', alertsByMetric, { every: 15_000, on: ['alert'] })
  const alerts = answer !== null && 'told' in answer ? alertsOn(answer.told, family.name) : []
  const unit = family.unit === '' ? unitOf(family.name, '') : family.unit
  const series = family.series.length
  const jobs = new Set(family.series.map(({ labels: { job, instance } }) => [job, instance].filter(Boolean).join(' · ')))
  jobs.delete('')
  const [only] = jobs
  const facts = [
    family.type,
    ...(unit === 'count' ? [] : [unit]),
    `${format(series, 'count').text} series`,
    only === undefined ? 'from this server' : jobs.size === 1 ? only : `${jobs.size} targets`,
  ]
  return (
    <ul class="chips">
      {alerts.map(({ name, state, severity, count }) => ({ name, state, count, level: state === 'pending' ? 'pending' as const : severityOf(severity) })).map(({ name, state, count, level }) => (
        <li key={name}>
          <a class={`level ${level}`} href={hrefOf('alerts')}>
            <Shape of={level} />
            {name}
            {count > 1 ? ` (${count})` : ''}
            {state === 'pending' ? ', pending' : ''}
          </a>
        </li>
      ))}
      {facts.map((fact) => (
        <li key={fact} class="chip">{fact}</li>
      ))}
    </ul>
  )
}

interface TableProps {
  readonly page: Page
  readonly family: FamilyInfo
  readonly by: string
  readonly baseline: string
  readonly choose: (labels: Readonly<Record<string, string>>) => void
}

function Table({ page, family, by, baseline, choose }: TableProps) {
  if (baseline === '') return <SeriesTable page={page} source={page.store} family={family} by={by} choose={choose} />
  return <Against page={page} family={family} by={by} baseline={baseline} choose={choose} />
}

function Against({ page, family, by, baseline, choose }: TableProps) {
  const path = `api/v1/baselines/${encodeURIComponent(baseline)}/compare?last=${page.windowMs / 1000}s&match[]=${encodeURIComponent(`{__name__=~"${family.name.replace(/[^\w:]/g, '\\\\$&')}(_bucket)?"}`)}`
  const answer = useAnswer(page, path, readComparison, { every: 15_000 })
  const title = `Against “${baseline}”`
  if (answer !== null && 'refused' in answer) return <p class="refused" role="alert">{answer.refused}</p>
  const judged = answer?.told ?? []
  return (
    <SeriesTable
      page={page}
      source={page.store}
      family={family}
      by={by}
      choose={choose}
      against={{
        title,
        of: (row, shape): Verdict | undefined => {
          const found = judgedOf(judged, row, shape)
          if (found === undefined) return undefined
          const moved = found.change === null ? '' : `, ${found.change < 0 ? '\u2212' : '+'}${format(Math.abs(found.change), 'ratio').text}\u202f%`
          return { text: `${found.verdict === 'worse' ? '▲ ' : ''}${found.verdict}${moved}`, tone: found.verdict === 'worse' || found.verdict === 'better' ? found.verdict : '' }
        },
      }}
    />
  )
}
