/** One operation: its charts, its last hundred runs, what went wrong. */
import { clock, formatText, MISSING } from '../format/number'
import type { KindRow, Run } from '../model/operations'
import { DURATION, ERRORS, kindRows, operationRow, operationSeries, readRuns, RUNS } from '../model/operations'
import type { SeriesInfo } from '../model/store'
import type { Page } from '../page'
import { hrefOf } from '../route'
import { useAnswer } from '../ui/answer'
import { Fact } from '../ui/fact'
import { FamilyCard, useSubset } from '../ui/family-card'
import { useClock } from '../ui/hooks'
import type { Column } from '../ui/table'
import { Table } from '../ui/table'

const ASK_MS = 2_000
/** Runs that are remembered, and so the places of the strip. */
const REMEMBERED = 100

export function Operation({ page, name }: { page: Page; name: string }) {
  useClock(1_000)
  const own = ({ labels }: SeriesInfo) => labels.operation === name
  const duration = useSubset(page, DURATION, own)
  const runs = useSubset(page, RUNS, own)
  const errors = useSubset(page, ERRORS, own)
  const all = operationSeries(page.store).filter((one) => one.name === name)
  const [series] = all
  const [from, to] = [page.windowEnd - page.windowMs, page.windowEnd]
  const row = series === undefined ? null : operationRow(page.store, series, from, to)
  return (
    <main class="operations">
      <div class="headline">
        <a class="back" href={hrefOf('operations')}>Operations</a>
        <h1>{name}</h1>
      </div>
      {row === null && page.store.lastTime > 0 && <p class="nothing">There is no operation “{name}” now.</p>}
      {row !== null && (
        <>
          <dl class="box facts-row">
            <Fact name="Runs" value={formatText(row.rate, 'rate')} more={`${formatText(row.total, 'count')} in all`} />
            <Fact name="Failed" value={Number.isNaN(row.failed) ? MISSING : formatText(row.failed, 'ratio')} />
            <Fact name="p50" value={formatText(row.p50, 'seconds')} />
            <Fact name="p95" value={formatText(row.p95, 'seconds')} />
            <Fact name="p99" value={formatText(row.p99, 'seconds')} />
            <Fact name="In flight" value={formatText(row.inFlight, 'count')} />
          </dl>
          <div class="cards panel">
            {duration !== null && <FamilyCard page={page} family={duration} title="Duration" place={0} />}
            {runs !== null && <FamilyCard page={page} family={runs} title="Runs a second" place={1} />}
            {errors !== null && <FamilyCard page={page} family={errors} title="Errors a second" place={2} />}
          </div>
          <div class="boxes">
            <Runs page={page} name={name} />
            <Errors page={page} rows={kindRows(page.store, all, from, to)} />
          </div>
        </>
      )}
    </main>
  )
}

function Runs({ page, name }: { page: Page; name: string }) {
  const answer = useAnswer(page, `api/v1/admin/performance/operations/${encodeURIComponent(name)}`, readRuns, { every: ASK_MS })
  if (answer === null) return null
  if ('refused' in answer) return <p class="refused panel" role="alert">The last runs could not be read: {answer.refused}</p>
  const runs = answer.told
  const failed = runs.filter(({ error }) => error !== '').length
  const columns: readonly Column<Run & { readonly place: number }>[] = [
    { name: 'at', label: 'Ended', rank: ({ place }) => place, cell: ({ at }) => clock(at, true) },
    { name: 'took', label: 'Took', rank: ({ took }) => took, numeric: true, cell: ({ took }) => formatText(took, 'seconds') },
    { name: 'result', label: 'Result', rank: ({ error }) => error, cell: ({ error }) => (error === '' ? <span class="faint">well</span> : <span class="bad">◆ {error}</span>) },
  ]
  return (
    <section class="panel" aria-label="Last runs">
      <h2>
        Last {runs.length} runs <span>{failed === 0 ? 'none failed' : `${failed} failed`}, the newest at the right</span>
      </h2>
      <Strip runs={runs} />
      <Table page={page} caption="Last runs" columns={columns} rows={runs.map((run, i) => ({ ...run, place: runs.length - i }))} id={({ place }) => String(place)} otherwise={{ by: 'at', descending: true }} param="runs" />
    </section>
  )
}

/** A bar for each run, the oldest at the left; how high says how long it took, on a logarithmic scale. */
function Strip({ runs }: { runs: readonly Run[] }) {
  const took = runs.map((run) => Math.max(run.took, 1e-9)).filter((value) => !Number.isNaN(value))
  const [least, greatest] = [Math.min(...took), Math.max(...took)]
  const height = (seconds: number) => (greatest > least ? 0.15 + (0.85 * Math.log(Math.max(seconds, 1e-9) / least)) / Math.log(greatest / least) : 0.5)
  const failed = runs.filter(({ error }) => error !== '').length
  return (
    <div class="runs box">
      <div class="strip-of-runs" role="img" aria-label={`${runs.length - failed} went well, ${failed} failed; they took ${formatText(least, 'seconds')} to ${formatText(greatest, 'seconds')}`}>
        {Array.from({ length: REMEMBERED }, (_, i) => {
          const run = runs[REMEMBERED - 1 - i]
          return run === undefined ? (
            <i key={i} class="none" />
          ) : (
            <i key={i} class={run.error === '' ? '' : 'failed'} style={{ height: `${height(run.took) * 100}%` }} title={`${clock(run.at, true)} ${formatText(run.took, 'seconds')} ${run.error}`} />
          )
        })}
      </div>
      {took.length > 0 && (
        <p class="faint">
          {formatText(least, 'seconds')} to {formatText(greatest, 'seconds')}
        </p>
      )}
    </div>
  )
}

export function Errors({ page, rows }: { page: Page; rows: readonly KindRow[] }) {
  const count = (value: number) => formatText(value, 'count')
  const kinds: readonly Column<KindRow>[] = [
    { name: 'kind', label: 'Kind', rank: ({ kind }) => kind, cell: ({ kind }) => <span class="mono">{kind}</span> },
    { name: 'operation', label: 'Operation', rank: ({ operation }) => operation, cell: ({ operation }) => <a href={hrefOf('operations', operation)}>{operation}</a> },
    { name: 'count', label: 'In the window', numeric: true, rank: ({ count }) => count, cell: (row) => count(row.count) },
    { name: 'total', label: 'Since the start', numeric: true, rank: ({ total }) => total, cell: (row) => count(row.total) },
  ]
  return (
    <section class="panel" aria-label="Errors by kind">
      <h2>Errors by kind</h2>
      {rows.length === 0 ? (
        <p class="box faint">None since the start.</p>
      ) : (
        <Table page={page} caption="Errors by kind" columns={kinds} rows={rows} id={({ operation, kind }) => `${operation}\n${kind}`} otherwise={{ by: 'count', descending: true }} param="kinds" most={50} />
      )}
    </section>
  )
}
