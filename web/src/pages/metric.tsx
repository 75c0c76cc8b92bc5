/** One family, whole: what it is, how it moves, each of its series. The link holds view, grouping and filter. */
import { useEffect, useMemo, useRef, useState } from 'preact/hooks'
import { format } from '../format/number'
import { unitOf } from '../format/unit'
import { alertsByMetric, alertsOn } from '../model/attention'
import { judgedOf, readBaselines, readComparison } from '../model/baseline-rows'
import { parseMatchers, printMatchers, selects } from '../model/matchers'
import { distinguishing } from '../model/plan'
import { nearest } from '../model/search'
import type { FamilyInfo } from '../model/store'
import type { Page } from '../page'
import { hrefOf } from '../route'
import { useAnswer } from '../ui/answer'
import { FamilyCard } from '../ui/family-card'
import { useTopics } from '../ui/hooks'
import { useKeyUses } from '../ui/key-table'
import type { PageProps } from '../ui/pages'
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
        {names.length > 0 && (
          <select
            class="end"
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
            <FamilyCard page={page} family={filtered.family} title={where === '' || filtered.wrong !== '' ? title : where} href="" place={0} />
          </div>
          <section aria-label="Series">
            <h2>Series</h2>
            <Table page={page} family={filtered.family} by={grouped} baseline={baseline} choose={choose} />
          </section>
        </>
      )}
    </main>
  )
}

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
      {alerts.map(({ name, state, severity, count }) => (
        <li key={name}>
          <a class={`chip alert ${severity} ${state}`} href={hrefOf('alerts')}>
            {severity === 'warning' ? '▲' : severity === 'emergency' ? '⬣' : severity === 'info' ? '○' : '◆'} {name}
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
