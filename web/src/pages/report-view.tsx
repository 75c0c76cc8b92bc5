/** One report as a whole: verdict, phases, criteria, latencies, errors, all measures. */
import { formatText, MISSING } from '../format/number'
import { matches, words } from '../model/search'
import type { Criterion, Phase, Report, Verdict } from '../model/report'
import { LATENCIES, spread, STATS, unitOfMeasure } from '../model/report-compare'
import type { Latency } from '../model/report-compare'
import type { Page } from '../page'
import { Fact } from '../ui/fact'
import { Histogram } from '../ui/histogram'
import type { Column } from '../ui/table'
import { Table } from '../ui/table'

const WORDS: Readonly<Record<Verdict, string>> = { pass: 'passed', fail: '◆ failed', inconclusive: '◇ inconclusive', aborted: '◇ aborted' }
export const NAMES: Readonly<Record<Latency, string>> = { delivery: 'Delivery', broadcast: 'Broadcast to the last client', rtt: 'Round trip', connect: 'Connect', recovery: 'Recovery' }
const PLOTTED: readonly Latency[] = ['delivery', 'recovery']

export function VerdictWord({ verdict }: { verdict: Verdict }) {
  return <span class={verdict === 'fail' ? 'verdict bad' : 'verdict'}>{WORDS[verdict]}</span>
}

/** A measure of a report in its unit. */
export function measured(name: string, value: number | null | undefined): string {
  if (value === null || value === undefined) return MISSING
  const { unit, factor } = unitOfMeasure(name)
  return formatText(value * factor, unit)
}

export function ReportView({ page, report }: { page: Page; report: Report }) {
  const { target, load, measures, saturated, notes } = report
  const failed = report.criteria.filter(({ verdict }) => verdict === 'fail').length
  return (
    <>
      <dl class="box facts-row">
        <Fact name="Verdict" value={<VerdictWord verdict={report.verdict} />} more={failed === 0 ? `${report.criteria.length} criteria` : `${failed} of ${report.criteria.length} criteria`} />
        <Fact name="Delivery p95" value={measured('delivery.p95', measures.get('delivery.p95'))} />
        <Fact name="Delivery p99" value={measured('delivery.p99', measures.get('delivery.p99'))} />
        <Fact name="Broadcasts" value={measured('broadcast.rate', measures.get('broadcast.rate'))} more={`of ${formatText(load.rate, 'rate')}`} />
        <Fact name="All back within" value={measured('recovery.time', measures.get('recovery.time'))} />
        <Fact name="Errors" value={measured('errors', measures.get('errors'))} />
      </dl>
      <dl class="box pairs panel">
        <dt>Target</dt>
        <dd>{target.url}, {target.protocol === 'any' ? 'any server' : 'gaugecast'}, {target.transport}{target.tls ? ', TLS' : ''}</dd>
        <dt>By</dt>
        <dd>gaugecast {report.version}</dd>
        {saturated.length > 0 && <dt>Generator</dt>}
        {saturated.length > 0 && <dd>could not keep up: {saturated.join('; ')}</dd>}
        {notes.length > 0 && <dt>Notes</dt>}
        {notes.length > 0 && <dd>{notes.join('; ')}</dd>}
      </dl>
      <Phases page={page} phases={report.phases} />
      <Criteria page={page} criteria={report.criteria} />
      <div class="boxes">
        {PLOTTED.map((of) => (
          <Distribution key={of} of={of} reports={[report]} />
        ))}
      </div>
      <Latencies page={page} report={report} />
      <ReportErrors report={report} />
      <Measures page={page} report={report} />
    </>
  )
}

function Phases({ page, phases }: { page: Page; phases: readonly Phase[] }) {
  const cell = (name: string) => (phase: Phase) => measured(name, phase.measures.get(name))
  const rank = (name: string) => (phase: Phase) => phase.measures.get(name) ?? NaN
  const measure = (name: string, label: string): Column<Phase> => ({ name, label, numeric: true, rank: rank(name), cell: cell(name) })
  const columns: readonly Column<Phase>[] = [
    { name: 'name', label: 'Phase', cell: ({ name }) => name },
    { name: 'verdict', label: 'Verdict', cell: ({ verdict, criteria }) => <span title={criteria.filter((one) => one.verdict !== 'pass').map((one) => one.criterion).join('\n')}><VerdictWord verdict={verdict} /></span> },
    { name: 'seconds', label: 'Took', numeric: true, rank: ({ seconds }) => seconds, cell: ({ seconds }) => formatText(seconds, 'seconds') },
    { name: 'live', label: 'Connected', numeric: true, rank: ({ live }) => live, cell: ({ live, planned }) => `${live} of ${planned}` },
    measure('delivery.p95', 'Delivery p95'),
    measure('delivery.max', 'Delivery max'),
    measure('broadcast.complete', 'Got all'),
    measure('rtt.p95', 'Round trip p95'),
    measure('errors', 'Errors'),
    measure('server.cpu', 'Server CPU'),
  ]
  const whole = phases.reduce((sum, { seconds }) => sum + seconds, 0)
  return (
    <section class="panel" aria-label="Phases">
      <h2>Phases</h2>
      <ol class="phases" aria-hidden="true">
        {phases.map(({ name, seconds, verdict }, i) => (
          <li key={i} class={verdict} style={{ flexGrow: String(whole > 0 ? seconds / whole : 1) }} title={`${name}: ${WORDS[verdict]}`}>
            {name}
          </li>
        ))}
      </ol>
      <Table page={page} caption="Phases" columns={columns} rows={phases} id={(phase) => String(phases.indexOf(phase))} otherwise={null} param="phases" />
    </section>
  )
}

const SEVERITY: readonly Verdict[] = ['fail', 'aborted', 'inconclusive', 'pass']

function Criteria({ page, criteria }: { page: Page; criteria: readonly Criterion[] }) {
  const columns: readonly Column<Criterion>[] = [
    { name: 'criterion', label: 'Criterion', rank: ({ criterion }) => criterion, cell: ({ criterion }) => <span class="mono">{criterion}</span> },
    { name: 'actual', label: 'Measured', numeric: true, cell: ({ metric, actual }) => measured(metric, actual) },
    { name: 'verdict', label: 'Verdict', rank: ({ verdict }) => SEVERITY.indexOf(verdict), cell: ({ verdict }) => <VerdictWord verdict={verdict} /> },
    { name: 'reason', label: 'Why', cell: ({ reason }) => <span class="faint">{reason}</span> },
  ]
  return (
    <section class="panel" aria-label="Criteria">
      <h2>Criteria</h2>
      <Table page={page} caption="Criteria" columns={columns} rows={criteria} id={({ criterion }) => criterion} otherwise={{ by: 'verdict', descending: false }} param="criteria" />
    </section>
  )
}

/** The distributions of a latency, on one scale; those of reports that have none are left out. */
export function Distribution({ of, reports }: { of: Latency; reports: readonly Report[] }) {
  const spreads = reports.map(({ measures }) => spread(measures, of))
  const first = reports[0]
  if (spreads.every((one) => one === null)) {
    const why = [...(first?.unmeasured ?? [])].find(([name]) => name === of)?.[1]
    return (
      <section class="panel" aria-label={NAMES[of]}>
        <h2>{NAMES[of]}</h2>
        <p class="box faint">Not measured{why === undefined ? '' : `: ${why}`}.</p>
      </section>
    )
  }
  return (
    <section class="panel" aria-label={NAMES[of]}>
      <h2>
        {NAMES[of]} <span>how much took how long, between the percentiles that the report has</span>
      </h2>
      <Histogram name={NAMES[of]} spreads={spreads} />
    </section>
  )
}

function Latencies({ page, report }: { page: Page; report: Report }) {
  const seconds = (value: number) => formatText(value, 'seconds')
  const rows = LATENCIES.flatMap((of) => {
    const found = spread(report.measures, of)
    return found === null ? [] : [{ of, ...found }]
  })
  type Row = (typeof rows)[number]
  const columns: readonly Column<Row>[] = [
    { name: 'of', label: 'Latency', cell: ({ of }) => NAMES[of] },
    { name: 'count', label: 'Count', numeric: true, cell: ({ count }) => formatText(count, 'count') },
    { name: 'mean', label: 'mean', numeric: true, cell: ({ mean }) => seconds(mean) },
    ...STATS.map(({ stat }, i): Column<Row> => ({ name: stat, label: stat === 'p999' ? 'p99.9' : stat, numeric: true, cell: ({ at }) => seconds(at[i] ?? NaN) })),
  ]
  return (
    <section class="panel" aria-label="Latencies">
      <h2>Latencies</h2>
      <Table page={page} caption="Latencies" columns={columns} rows={rows} id={({ of }) => of} otherwise={null} param="latencies" />
    </section>
  )
}

export function ReportErrors({ report }: { report: Report }) {
  const { errors, firstErrors } = report
  return (
    <section class="panel" aria-label="Errors">
      <h2>Errors</h2>
      <div class="box">
        {errors.size === 0 ? (
          <p class="faint">None.</p>
        ) : (
          <dl class="facts-row">
            {[...errors].map(([name, count]) => <Fact key={name} name={name} value={formatText(count, 'count')} />)}
          </dl>
        )}
        {firstErrors.map((text) => <p key={text} class="mono">{text}</p>)}
      </div>
    </section>
  )
}

function Measures({ page, report }: { page: Page; report: Report }) {
  const wanted = words(page.query)
  const rows = [...report.measures].filter(([name]) => matches(name.toLowerCase(), wanted)).map(([name, value]) => ({ name, value }))
  const columns: readonly Column<(typeof rows)[number]>[] = [
    { name: 'name', label: 'Measure', rank: ({ name }) => name, cell: ({ name }) => <span class="mono">{name}</span> },
    { name: 'value', label: 'Whole test', numeric: true, cell: ({ name, value }) => measured(name, value) },
    ...report.phases.map((phase, i): Column<(typeof rows)[number]> => ({ name: String(i), label: phase.name, numeric: true, cell: ({ name }) => measured(name, phase.measures.get(name)) })),
  ]
  return (
    <details class="panel" open={page.query !== ''}>
      <summary>All {report.measures.size} measures, by phase</summary>
      <Table page={page} caption="All measures" columns={columns} rows={rows} id={({ name }) => name} otherwise={{ by: 'name', descending: false }} param="measures" />
    </details>
  )
}
