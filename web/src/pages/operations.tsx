/**
 * What the application does: a row for each operation, live from the stream, so that it moves in the same second as the
 * charts; below it what the admin API adds: verdicts, security, connections, allocations.
 */
import { useMemo } from 'preact/hooks'
import { age, clock, formatText, MISSING } from '../format/number'
import type { OperationRow, Performance, Verdict } from '../model/operations'
import { DURATION, kindRows, operationRow, operationSeries, readPerformance } from '../model/operations'
import { matches, words } from '../model/search'
import type { Page } from '../page'
import { hrefOf } from '../route'
import type { Answer } from '../ui/answer'
import { useAnswer } from '../ui/answer'
import { Fact } from '../ui/fact'
import { FamilyCard, useSubset } from '../ui/family-card'
import { useClock, useTopics } from '../ui/hooks'
import type { PageProps } from '../ui/pages'
import { seriesNumbers, Sparkline } from '../ui/sparkline'
import type { Column } from '../ui/table'
import { Table } from '../ui/table'
import { Errors, Operation } from './operation'

const ASK_MS = 5_000

export function Operations(props: PageProps) {
  const { page } = props
  useTopics(page, 'view', 'structure')
  const { about } = page.route
  return about === '' ? <All page={page} /> : <Operation page={page} name={about} />
}

function All({ page }: { page: Page }) {
  useClock(1_000)
  const answer = useAnswer(page, 'api/v1/admin/performance/metrics', readPerformance, { every: ASK_MS })
  const told = answer !== null && 'told' in answer ? answer.told : null
  const all = operationSeries(page.store)
  const duration = useSubset(page, DURATION, () => true)
  const wanted = words(page.query)
  const found = all.filter(({ name, of }) => matches(`${name}\n${of}`.toLowerCase(), wanted))
  const [from, to] = [page.windowEnd - page.windowMs, page.windowEnd]
  const rows = found.map((series) => operationRow(page.store, series, from, to))
  const rate = rows.reduce((sum, row) => sum + (row.rate || 0), 0)
  return (
    <main class="operations">
      <div class="headline">
        <h1>Operations</h1>
        {rows.length > 0 && (
          <p>
            {rows.length} {rows.length === 1 ? 'operation' : 'operations'} · {formatText(rate, 'rate')} · figures of the last {age(page.windowMs / 1000)}
          </p>
        )}
      </div>
      {all.length === 0 ? page.store.lastTime > 0 && <HowTo /> : null}
      {all.length > 0 && found.length === 0 && <p class="nothing">No operation matches “{page.query}”.</p>}
      {told !== null && all.length > 0 && <Verdicts verdicts={told.verdicts} />}
      {rows.length > 0 && <Table page={page} caption="Operations" columns={columns(page)} rows={rows} id={({ name, of }) => `${name}\n${of}`} otherwise={{ by: 'rate', descending: true }} />}
      {all.length > 0 && (
        <div class="boxes">
          <section class="panel" aria-label="Latency of all operations">
            <h2>Latency of all</h2>
            {duration !== null && <FamilyCard page={page} family={duration} title="All operations" place={0} />}
          </section>
          <Errors page={page} rows={kindRows(page.store, found, from, to)} />
        </div>
      )}
      <Application answer={answer} page={page} used={all.length > 0} />
    </main>
  )
}

function HowTo() {
  return (
    <div class="nothing">
      <p>No application tells of operations here. Three lines in a Rust program that has gaugecast inside:</p>
      <pre>
        {'let monitor = Monitor::new(&registry, config.monitor.clone())?;\nlet send = monitor.operation("send_message");\nlet answer = send.time(|| work());'}
      </pre>
      <p>Rate, errors, percentiles and the last hundred runs follow from that; docs/monitor.md has the rest.</p>
    </div>
  )
}

function columns(page: Page): readonly Column<OperationRow>[] {
  const seconds = (value: number) => formatText(value, 'seconds')
  return [
    {
      name: 'name',
      label: 'Operation',
      rank: ({ name }) => name,
      cell: ({ name, of }) => (
        <>
          <a href={hrefOf('operations', name)}>{name}</a>
          {of !== '' && <span class="faint"> {of}</span>}
        </>
      ),
    },
    { name: 'spark', label: 'Rate', cell: (row) => <RateLine page={page} row={row} /> },
    { name: 'rate', label: 'a second', title: 'Runs a second, mean over the window', numeric: true, rank: ({ rate }) => rate, cell: ({ rate }) => formatText(rate, 'rate') },
    { name: 'failed', label: 'Failed', title: 'Share of the runs of the window that failed', numeric: true, rank: ({ failed }) => failed, cell: ({ failed }) => (Number.isNaN(failed) ? MISSING : formatText(failed, 'ratio')) },
    { name: 'p50', label: 'p50', numeric: true, rank: ({ p50 }) => p50, cell: ({ p50 }) => seconds(p50) },
    { name: 'p95', label: 'p95', numeric: true, rank: ({ p95 }) => p95, cell: ({ p95 }) => seconds(p95) },
    { name: 'p99', label: 'p99', numeric: true, rank: ({ p99 }) => p99, cell: ({ p99 }) => seconds(p99) },
    { name: 'flight', label: 'In flight', numeric: true, rank: ({ inFlight }) => inFlight, cell: ({ inFlight }) => formatText(inFlight, 'count') },
    { name: 'total', label: 'Runs', title: 'Since the start of the process', numeric: true, rank: ({ total }) => total, cell: ({ total }) => formatText(total, 'count') },
  ]
}

function RateLine({ page, row }: { page: Page; row: OperationRow }) {
  const { runs } = row.series
  const numbers = useMemo(() => seriesNumbers(() => page.store.columns, runs, true), [page, runs.join()])
  return <Sparkline page={page} numbers={numbers} label={`${row.name}, runs a second`} />
}

const CRITERIA: Readonly<Record<string, string>> = { mean_response: 'Response time', error_ratio: 'Errors', leak: 'Leaks', allocation_rate: 'Allocations' }

function Verdicts({ verdicts }: { verdicts: readonly Verdict[] }) {
  return (
    <ul class="verdicts" aria-label="Verdicts">
      {verdicts.map(({ criterion, ok, reasons }) => (
        <li key={criterion} class="box">
          <p>
            <b>{CRITERIA[criterion] ?? criterion}</b>
            <span class={ok === false ? 'bad' : 'faint'}>{ok === null ? 'not judged' : ok ? 'holds' : '◆ does not hold'}</span>
          </p>
          {reasons.map((reason) => <p key={reason} class="reason">{reason}</p>)}
        </li>
      ))}
    </ul>
  )
}

/** What only the admin API tells. */
function Application({ page, answer, used }: { page: Page; answer: Answer<Performance>; used: boolean }) {
  if (answer === null) return null
  if ('refused' in answer) return used ? <p class="refused panel" role="alert">Verdicts, security and connections could not be read: {answer.refused}</p> : null
  const { security, connections, allocations } = answer.told
  if (!used && security.total === 0) return null
  return (
    <div class="boxes">
      <Security page={page} security={security} />
      {used && <Connections connections={connections} />}
      {used && allocations !== null && <Allocations allocations={allocations} />}
    </div>
  )
}

const EVENTS: Readonly<Record<string, string>> = { failed_login: 'Failed logins', blocked: 'Blocked', rate_limited: 'Rate limited', suspicious_pattern: 'Suspicious' }

type Event = Performance['security']['last'][number] & { readonly at_place: number }

function Security({ page, security }: { page: Page; security: Performance['security'] }) {
  const columns: readonly Column<Event>[] = [
    { name: 'at', label: 'At', rank: ({ at }) => at, cell: ({ at }) => clock(at, true) },
    { name: 'kind', label: 'What', rank: ({ kind }) => kind, cell: ({ kind }) => EVENTS[kind] ?? kind },
    { name: 'source', label: 'From', rank: ({ source }) => source, cell: ({ source }) => <span class="mono">{source}</span> },
    { name: 'detail', label: 'Detail', cell: ({ detail }) => <span class="faint">{detail}</span> },
  ]
  const last = security.last.slice(0, 10).map((event, i) => ({ ...event, at_place: security.last.length - i }))
  return (
    <section class="panel" aria-label="Security">
      <h2>
        Security <span>events since the start, in the last minute</span>
      </h2>
      <dl class="box facts-row">
        {security.kinds.map(({ kind, count, lastMinute }) => (
          <Fact key={kind} name={EVENTS[kind] ?? kind} value={formatText(count, 'count')} more={lastMinute > 0 ? `+${lastMinute}` : ''} />
        ))}
      </dl>
      {last.length > 0 && <Table page={page} caption="Last events of security" columns={columns} rows={last} id={({ at_place }) => String(at_place)} otherwise={null} param="events" />}
    </section>
  )
}

function Connections({ connections }: { connections: Performance['connections'] }) {
  const { active, peak, total, errors, lasted, messagesIn, messagesOut, bytesIn, bytesOut } = connections
  const count = (value: number) => formatText(value, 'count')
  return (
    <section class="panel" aria-label="Connections">
      <h2>Connections</h2>
      <dl class="box facts-row">
        <Fact name="Open" value={count(active)} more={`of ${count(peak)} at most`} />
        <Fact name="Since the start" value={count(total)} />
        <Fact name="Errors" value={count(errors)} />
        <Fact name="Lasted in the mean" value={lasted > 0 ? formatText(lasted, 'seconds') : MISSING} />
        <Fact name="Messages in, out" value={`${count(messagesIn)}, ${count(messagesOut)}`} />
        <Fact name="Bytes in, out" value={`${formatText(bytesIn, 'bytes')}, ${formatText(bytesOut, 'bytes')}`} />
      </dl>
    </section>
  )
}

function Allocations({ allocations }: { allocations: NonNullable<Performance['allocations']> }) {
  const { rate, bytesRate, live, scopes } = allocations
  return (
    <section class="panel" aria-label="Allocations">
      <h2>Allocations</h2>
      <dl class="box facts-row">
        <Fact name="A second" value={formatText(rate, 'rate')} />
        <Fact name="Bytes a second" value={formatText(bytesRate, 'bytes/s')} />
        <Fact name="Held" value={formatText(live, 'bytes')} />
        {scopes.slice(0, 5).map(({ at, name, count, bytes }) => (
          <Fact key={`${name} ${at}`} name={`Scope ${name}`} value={count <= 0 ? 'nothing left' : `${count} left`} more={count <= 0 ? clock(at, true) : formatText(bytes, 'bytes')} />
        ))}
      </dl>
    </section>
  )
}
