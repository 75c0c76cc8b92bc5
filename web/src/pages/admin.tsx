/**
 * The server itself: how it is, how much its log says, what it could not deliver, its configuration, its report, its end.
 * What the token may not do says so in the server's words.
 */
import { useState } from 'preact/hooks'
import type { ConfigLine, DeadLetter, Status } from '../model/admin'
import { chosen, LEVELS, readConfig, readDeadLetters, readLevel, readStatus, settingOf } from '../model/admin'
import { age, clock, day, formatText, MISSING } from '../format/number'
import { matches, words } from '../model/search'
import type { Page } from '../page'
import type { Answer } from '../ui/answer'
import { useAnswer } from '../ui/answer'
import type { Command } from '../ui/command'
import { Confirm, Said, useCommand, wordsOf } from '../ui/command'
import { Denied } from '../ui/denied'
import { Fact } from '../ui/fact'
import { useClock, useTopics } from '../ui/hooks'
import type { PageProps } from '../ui/pages'
import type { Column } from '../ui/table'
import { Table } from '../ui/table'

const ASK_MS = 5_000

export function Admin({ page }: PageProps) {
  useTopics(page, 'view', 'connection')
  useClock(1_000)
  const command = useCommand(page)
  const again = command.count
  const status = useAnswer(page, 'api/v1/status', readStatus, { every: ASK_MS })
  const level = useAnswer(page, 'api/v1/admin/loglevel', readLevel, { every: 2 * ASK_MS, again })
  const letters = useAnswer(page, 'api/v1/admin/deadletters', readDeadLetters, { every: ASK_MS, again })
  const config = useAnswer(page, 'api/v1/admin/config', readConfig, { every: 6 * ASK_MS, again })
  const refused = [level, letters, config].flatMap((answer) => (answer !== null && 'refused' in answer ? [answer.refused] : []))
  const [why] = refused
  const lines = told(config) ?? []
  return (
    <main class="admin">
      <div class="headline">
        <h1>Administration</h1>
        <p>of this gaugecast</p>
      </div>
      {why !== undefined && <Denied page={page} what={refused.length === 3 ? 'Administration is not for this page' : 'Some of it cannot be shown here'} why={why} />}
      <Said outcome={command.outcome} />
      <State page={page} status={told(status)} lines={lines} />
      <div class="boxes">
        {told(level) !== null && <Log command={command} level={told(level) ?? ''} lines={lines} />}
        {refused.length < 3 && <PerformanceReport page={page} />}
      </div>
      {told(letters) !== null && <DeadLetters page={page} command={command} letters={told(letters) ?? []} />}
      {told(config) !== null && <Configuration page={page} lines={lines} />}
      {told(level) !== null && <End command={command} />}
    </main>
  )
}

function told<T>(answer: Answer<T>): T | null {
  return answer !== null && 'told' in answer ? answer.told : null
}

/** The last value of a metric of one series; NaN without. */
function single(page: Page, name: string): number {
  const series = page.store.families.get(name)?.series.find((one) => one.name === name && one.labels.instance === undefined)
  return series === undefined ? NaN : page.store.value(series.key)
}

function State({ page, status, lines }: { page: Page; status: Status | null; lines: readonly ConfigLine[] }) {
  const count = (name: string) => formatText(single(page, name), 'count')
  const bytes = (name: string) => formatText(single(page, name), 'bytes')
  const revision = page.store.families.get('gaugecast_build_info')?.series[0]?.labels.revision ?? ''
  const most = (path: string, before = 'of ') => {
    const value = settingOf(lines, path)
    return value === '' ? '' : before + (/^\d+$/.test(value) ? formatText(Number(value), 'count') : value)
  }
  const started = single(page, 'process_start_time_seconds')
  const stored = single(page, 'gaugecast_history_store_bytes')
  const reloaded = single(page, 'gaugecast_config_last_reload_success_timestamp_seconds')
  return (
    <section class="panel" aria-label="Status">
      <h2>
        Status <span>{status === null ? '' : status.ready ? (status.degraded ? 'degraded' : 'ready') : 'not ready'}</span>
      </h2>
      <dl class="box facts-row">
        <Fact name="Version" value={status?.version ?? MISSING} more={revision.slice(0, 7)} />
        <Fact name="Running for" value={age((page.store.lastTime || NaN) / 1000 - started)} />
        <Fact name="Memory" value={bytes('process_resident_memory_bytes')} />
        <Fact name="Series" value={count('gaugecast_series')} more={most('collect.series_limit')} />
        <Fact name="Ticks missed" value={count('gaugecast_ticks_missed_total')} more={`of ${count('gaugecast_ticks_total')}, every ${settingOf(lines, 'global.tick') || formatText(page.store.intervalMs / 1000, 'seconds')}`} />
        <Fact name="Clients" value={count('gaugecast_stream_clients')} more={most('stream.max_clients')} />
        <Fact name="History" value={bytes('gaugecast_history_bytes')} more={`${most('history.max_size')}, ${count('gaugecast_history_samples')} samples`.replace(/^, /, '')} />
        <Fact name="Stored" value={Number.isNaN(stored) ? 'nothing' : formatText(stored, 'bytes')} more={settingOf(lines, 'storage.path')} />
        <Fact name="Dead letters" value={count('gaugecast_notification_dead_letters')} />
        {!Number.isNaN(reloaded) && <Fact name="Configuration of" value={clock(reloaded * 1000, true)} more={single(page, 'gaugecast_config_last_reload_successful') === 0 ? 'the last reload failed' : ''} />}
      </dl>
    </section>
  )
}

function Log({ command, level, lines }: { command: Command; level: string; lines: readonly ConfigLine[] }) {
  const audit = settingOf(lines, 'web.audit_file')
  return (
    <section class="panel" aria-label="Log">
      <h2>
        Log <span>until the next reload or start</span>
      </h2>
      <div class="box">
        <div class="segment" role="group" aria-label="Level of the log">
          {LEVELS.map((one) => (
            <button
              key={one}
              type="button"
              aria-pressed={one === level}
              disabled={command.busy}
              onClick={() => {
                if (one !== level) void command.run('PUT', 'api/v1/admin/loglevel', `The log says ${one} now.`, { level: one })
              }}
            >
              {one}
            </button>
          ))}
        </div>
        <p class="faint">Each change made here is a line of the log{audit === '' ? '' : ` and of ${audit}`}: who, what, from where, with what result.</p>
      </div>
    </section>
  )
}

const FORMS = [
  { format: 'html', label: 'HTML', type: 'html' },
  { format: 'markdown', label: 'Markdown', type: 'md' },
  { format: 'json', label: 'JSON', type: 'json' },
] as const

/** A link carries no token: without one the report opens, with one it is fetched and saved. */
function PerformanceReport({ page }: { page: Page }) {
  const [refused, setRefused] = useState('')
  const save = async (path: string, name: string) => {
    try {
      const response = await page.token.fetch(path)
      setRefused(response.ok ? '' : await wordsOf(response))
      if (!response.ok) return
      const url = URL.createObjectURL(await response.blob())
      const link = document.createElement('a')
      link.href = url
      link.download = name
      link.click()
      URL.revokeObjectURL(url)
    } catch (error) {
      setRefused(error instanceof Error ? error.message : String(error))
    }
  }
  return (
    <section class="panel" aria-label="Report">
      <h2>
        Performance report <span>slowest operations, errors, what is worse than a baseline, what to do</span>
      </h2>
      <div class="box">
        <p class="buttons">
          {FORMS.map(({ format, label, type }) => {
            const path = `api/v1/admin/performance/report?format=${format}`
            return page.token.value === undefined ? (
              <a key={format} class="button" href={path} target="_blank" rel="noopener">{label}</a>
            ) : (
              <button key={format} type="button" onClick={() => { void save(path, `gaugecast-report.${type}`) }}>
                Save {label}
              </button>
            )
          })}
        </p>
        {refused !== '' && <p class="refused" role="alert">{refused}</p>}
      </div>
    </section>
  )
}

function DeadLetters({ page, command, letters }: { page: Page; command: Command; letters: readonly DeadLetter[] }) {
  const [deleted, setDeleted] = useState<DeadLetter | null>(null)
  const path = ({ id }: DeadLetter) => `api/v1/admin/deadletters/${id}`
  const columns: readonly Column<DeadLetter>[] = [
    { name: 'at', label: 'Given up', rank: ({ at }) => at, cell: ({ at }) => `${day(at)} ${clock(at, true)}` },
    { name: 'receiver', label: 'Receiver', rank: ({ receiver }) => receiver, cell: ({ receiver, integration }) => <>{receiver} <span class="faint">{integration}</span></> },
    { name: 'alerts', label: 'Alerts', cell: ({ alerts }) => (alerts.length === 0 ? MISSING : alerts.join(', ')) },
    { name: 'attempts', label: 'Tried', numeric: true, rank: ({ attempts }) => attempts, cell: ({ attempts }) => formatText(attempts, 'count') },
    { name: 'why', label: 'Why', cell: ({ reason, why }) => <span class="wrap" title={why}>{reason}: <span class="faint">{why}</span></span> },
    {
      name: 'orders',
      label: '',
      cell: (letter) => (
        <>
          <button type="button" disabled={command.busy} onClick={() => { void command.run('POST', `${path(letter)}/retry`, `The notification to ${letter.receiver} is tried again.`) }}>
            Send again
          </button>{' '}
          <button type="button" onClick={() => { setDeleted(letter) }}>
            Delete
          </button>
        </>
      ),
    },
  ]
  return (
    <section class="panel" aria-label="Dead letters">
      <h2>
        Dead letters <span>notifications that could not be delivered</span>
      </h2>
      {letters.length === 0 ? (
        <p class="box faint">None.</p>
      ) : (
        <Table page={page} caption="Dead letters" columns={columns} rows={letters} id={({ id }) => String(id)} otherwise={{ by: 'at', descending: true }} param="letters" />
      )}
      {deleted !== null && (
        <Confirm title="Delete this notification?" action="Delete" close={() => { setDeleted(null) }} yes={() => { void command.run('DELETE', path(deleted), 'The notification was deleted.') }}>
          <p>
            To {deleted.receiver}: {deleted.alerts.join(', ')}. Nobody is told of it any more.
          </p>
        </Confirm>
      )}
    </section>
  )
}

function Configuration({ page, lines }: { page: Page; lines: readonly ConfigLine[] }) {
  const all = page.route.params.get('config') === 'all' || page.query !== ''
  const wanted = words(page.query)
  const set = chosen(lines)
  const shown = (all ? lines : set).filter(({ text, origin }) => matches(`${text} ${origin}`.toLowerCase(), wanted))
  return (
    <section class="panel" aria-label="Configuration">
      <h2>
        Configuration in force <span>secrets are not told</span>
      </h2>
      <div class="filters">
        <button type="button" aria-pressed={!all} onClick={() => { page.setParams({ config: '' }) }}>
          What was set
        </button>
        <button type="button" aria-pressed={all} onClick={() => { page.setParams({ config: 'all' }) }}>
          All {lines.length} lines
        </button>
      </div>
      {shown.length === 0 ? (
        <p class="box faint">{page.query === '' ? 'All settings are the defaults.' : `No setting matches “${page.query}”.`}</p>
      ) : (
        <ul class="box config" tabIndex={0} aria-label="Settings">
          {shown.map(({ text, origin }, i) => (
            <li key={i}>
              <span>{text}</span>
              {origin !== '' && <i class="faint">{origin}</i>}
            </li>
          ))}
        </ul>
      )}
    </section>
  )
}

function End({ command }: { command: Command }) {
  const [asked, setAsked] = useState(false)
  return (
    <section class="panel" aria-label="Process">
      <h2>Process</h2>
      <div class="box">
        <p class="buttons">
          <button type="button" disabled={command.busy} onClick={() => { void command.run('POST', '-/reload', 'The configuration was read again.') }}>
            Read the configuration again
          </button>
          <button type="button" class="danger" onClick={() => { setAsked(true) }}>
            Drain and stop
          </button>
        </p>
      </div>
      {asked && (
        <Confirm title="Stop this server?" action="Drain and stop" close={() => { setAsked(false) }} yes={() => { void command.run('POST', 'api/v1/admin/drain', 'The server tells its clients, finishes its answers and stops.') }}>
          <p>It is not ready from now on, tells its streams, finishes its answers and ends, as SIGTERM does. This page cannot start it again.</p>
        </Confirm>
      )}
    </section>
  )
}
