/** Who is connected to the streams, how each keeps up, and sending one away. */
import { useRef, useState } from 'preact/hooks'
import { age, formatText, MISSING } from '../format/number'
import type { Client, Pace } from '../model/clients'
import { clientText, pace, readClients, sums } from '../model/clients'
import { matches, words } from '../model/search'
import { useAnswer } from '../ui/answer'
import { Confirm, Said, useCommand } from '../ui/command'
import { Denied } from '../ui/denied'
import { Fact } from '../ui/fact'
import { useTopics } from '../ui/hooks'
import type { PageProps } from '../ui/pages'
import type { Column } from '../ui/table'
import { Table } from '../ui/table'

const ASK_MS = 2_000

interface Row {
  readonly client: Client
  readonly pace: Pace
}

export function Clients({ page }: PageProps) {
  useTopics(page, 'view')
  const command = useCommand(page)
  const answer = useAnswer(page, 'api/v1/admin/clients', readClients, { every: ASK_MS, again: command.count })
  const before = useBefore(answer !== null && 'told' in answer ? answer.told : null)
  const [kicked, setKicked] = useState<Client | null>(null)
  if (answer === null) return <main><h1>Clients</h1></main>
  if ('refused' in answer) {
    return (
      <main>
        <h1>Clients</h1>
        <Denied page={page} what="The clients could not be read" why={answer.refused} />
      </main>
    )
  }
  const all = answer.told
  const wanted = words(page.query)
  const rows: readonly Row[] = all.filter((client) => matches(clientText(client), wanted)).map((client) => ({ client, pace: pace(client, before.get(client.id)) }))
  const { clients, subscriptions, bytes, slow } = sums(rows.map(({ client }) => client), rows.map((row) => row.pace))
  return (
    <main>
      <div class="headline">
        <h1>Clients</h1>
        <p>of the streams: WebSocket, server-sent events, NDJSON</p>
      </div>
      <Said outcome={command.outcome} />
      {all.length === 0 && <p class="nothing">Nobody is connected.</p>}
      {all.length > 0 && rows.length === 0 && <p class="nothing">No client matches “{page.query}”.</p>}
      {rows.length > 0 && (
        <>
          <dl class="box facts-row">
            <Fact name="Connected" value={formatText(clients, 'count')} />
            <Fact name="Subscriptions" value={formatText(subscriptions, 'count')} />
            <Fact name="Sent to them" value={formatText(bytes, 'bytes')} />
            <Fact name="Slow now" value={formatText(slow, 'count')} />
          </dl>
          <div class="panel">
            <Table page={page} caption="Clients" columns={columns(setKicked)} rows={rows} id={({ client }) => client.id} otherwise={{ by: 'since', descending: true }} />
          </div>
        </>
      )}
      {kicked !== null && (
        <Confirm
          title={`Send ${kicked.remote} away?`}
          action="Send away"
          close={() => { setKicked(null) }}
          yes={() => { void command.run('DELETE', `api/v1/admin/clients/${encodeURIComponent(kicked.id)}`, `${kicked.remote} was sent away.`) }}
        >
          <p>Its connection ends with the advice not to come back. It may be this page: then this page stops.</p>
        </Confirm>
      )}
    </main>
  )
}

/** The clients of the answer before the last one, by id. */
function useBefore(clients: readonly Client[] | null): ReadonlyMap<string, Client> {
  const kept = useRef<{ readonly now: readonly Client[]; readonly before: ReadonlyMap<string, Client> }>({ now: [], before: new Map() })
  if (clients !== null && clients !== kept.current.now) kept.current = { now: clients, before: new Map(kept.current.now.map((one) => [one.id, one])) }
  return kept.current.before
}

function columns(kick: (client: Client) => void): readonly Column<Row>[] {
  const seconds = (value: number) => (Number.isNaN(value) || value === 0 ? MISSING : formatText(value, 'seconds'))
  return [
    { name: 'remote', label: 'Address', rank: ({ client }) => client.remote, cell: ({ client }) => <span class="mono" title={client.id}>{client.remote}</span> },
    { name: 'transport', label: 'By', rank: ({ client }) => client.transport, cell: ({ client }) => client.transport },
    { name: 'since', label: 'Connected', title: 'For how long', numeric: true, rank: ({ client }) => client.age, cell: ({ client }) => age(client.age) },
    { name: 'subscriptions', label: 'Subscriptions', numeric: true, rank: ({ client }) => client.subscriptions, cell: ({ client }) => formatText(client.subscriptions, 'count') },
    { name: 'bytes', label: 'Sent', numeric: true, rank: ({ client }) => client.bytes, cell: ({ client }) => formatText(client.bytes, 'bytes') },
    { name: 'frames', label: 'Frames', numeric: true, rank: ({ client }) => client.frames, cell: ({ client }) => formatText(client.frames, 'count') },
    { name: 'rtt', label: 'Round trip', numeric: true, rank: ({ client }) => client.roundTrip, cell: ({ client }) => seconds(client.roundTrip) },
    { name: 'lag', label: 'Behind', title: 'How old the oldest missed frame was when it last fell behind', numeric: true, rank: ({ client }) => client.lag, cell: ({ client }) => seconds(client.lag) },
    { name: 'pace', label: 'Keeps up', rank: (row) => ['slow', 'was slow', 'keeps up'].indexOf(row.pace), cell: ({ client, pace: how }) => <Pacing client={client} pace={how} /> },
    { name: 'errors', label: 'Errors', numeric: true, rank: ({ client }) => client.errors, cell: ({ client }) => formatText(client.errors, 'count') },
    { name: 'agent', label: 'Agent', rank: ({ client }) => client.agent, cell: ({ client }) => <span class="faint agent" title={client.agent}>{client.agent === '' ? MISSING : client.agent}</span> },
    { name: 'token', label: 'Token', rank: ({ client }) => client.token, cell: ({ client }) => (client.token === '' ? MISSING : client.token) },
    {
      name: 'kick',
      label: '',
      cell: ({ client }) => (
        <button type="button" aria-label={`Send away ${client.remote}`} onClick={() => { kick(client) }}>
          Send away
        </button>
      ),
    },
  ]
}

function Pacing({ client, pace: how }: Row) {
  const what = [...(client.conflated > 0 ? [`${client.conflated} joined`] : []), ...(client.resyncs > 0 ? [`${client.resyncs} anew`] : [])].join(', ')
  if (how === 'keeps up') return <span class="faint">yes</span>
  return <span class={how === 'slow' ? 'odd' : 'faint'} title="Frames joined to one, and states sent anew">{how === 'slow' ? `▲ slow: ${what}` : `was slow: ${what}`}</span>
}
