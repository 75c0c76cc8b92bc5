/** Two reports side by side: which is better, in what, by how much. */
import { formatText, MISSING } from '../format/number'
import type { Report } from '../model/report'
import type { Difference } from '../model/report-compare'
import { compareReports, judged, LATENCIES, MAIN, unitOfMeasure } from '../model/report-compare'
import { matches, words } from '../model/search'
import type { Page } from '../page'
import type { Column } from '../ui/table'
import { Table } from '../ui/table'
import { signed } from './compare'
import { Distribution, VerdictWord } from './report-view'

const WORDS = { better: '▲ better', worse: '▼ worse', same: 'same', other: '' } as const
const SENSES = ['worse', 'better', 'same', 'other'] as const

export function ReportCompare({ page, a, b }: { page: Page; a: Report; b: Report }) {
  const all = compareReports(a, b)
  const every = page.route.params.get('all') === 'on' || page.query !== ''
  const wanted = words(page.query)
  const main: readonly string[] = MAIN
  const rows = (every ? all : main.flatMap((name) => all.filter((one) => one.name === name))).filter(({ name }) => matches(name.toLowerCase(), wanted))
  const { better, worse, same } = judged(all)
  return (
    <>
      <section class="panel" aria-label="Differences">
        <h2>
          {better === 0 && worse === 0 ? 'B is like A' : `B is ${better > worse ? 'better' : worse > better ? 'worse' : 'better in some, worse in others'}`}
          <span>
            of the main measures {better} better, {worse} worse, {same} the same (within 5 %)
          </span>
        </h2>
        {a.load.connections === b.load.connections && a.load.rate === b.load.rate ? null : (
          <p class="box note">
            The loads differ: A has {a.load.connections} connections at {formatText(a.load.rate, 'rate')}, B {b.load.connections} at {formatText(b.load.rate, 'rate')}.
          </p>
        )}
        <div class="filters">
          <button type="button" aria-pressed={every} onClick={() => { page.setParams({ all: every ? '' : 'on' }) }}>
            All measures
          </button>
        </div>
        <Table page={page} caption="Differences" columns={COLUMNS} rows={rows} id={({ name }) => name} otherwise={null} />
      </section>
      <div class="boxes">
        {LATENCIES.filter((of) => of === 'delivery' || of === 'recovery').map((of) => (
          <Distribution key={of} of={of} reports={[a, b]} />
        ))}
      </div>
      <Side page={page} a={a} b={b} />
    </>
  )
}

const COLUMNS: readonly Column<Difference>[] = [
  { name: 'name', label: 'Measure', rank: ({ name }) => name, cell: ({ name }) => <span class="mono">{name}</span> },
  { name: 'a', label: 'A', numeric: true, cell: ({ name, a }) => inUnit(name, a) },
  { name: 'b', label: 'B', numeric: true, cell: ({ name, b }) => inUnit(name, b) },
  { name: 'change', label: 'B against A', numeric: true, rank: ({ change }) => Math.abs(change), cell: ({ a, b, change }) => (a === b ? <span class="faint">equal</span> : signed(change)) },
  { name: 'sense', label: '', rank: ({ sense }) => SENSES.indexOf(sense), cell: ({ sense }) => <span class={sense === 'worse' ? 'bad' : sense === 'same' ? 'faint' : ''}>{WORDS[sense]}</span> },
]

function inUnit(name: string, value: number): string {
  return Number.isNaN(value) ? MISSING : formatText(value, unitOfMeasure(name).unit)
}

interface Pair {
  readonly name: string
  readonly a: Report['criteria'][number] | undefined
  readonly b: Report['criteria'][number] | undefined
}

/** Verdicts of phases and criteria, one beside the other. */
function Side({ page, a, b }: { page: Page; a: Report; b: Report }) {
  const names = [...new Set([...a.criteria, ...b.criteria].map(({ criterion }) => criterion))]
  const rows: readonly Pair[] = names.map((name) => ({ name, a: a.criteria.find((one) => one.criterion === name), b: b.criteria.find((one) => one.criterion === name) }))
  const verdict = (one: Pair['a']) => (one === undefined ? MISSING : <VerdictWord verdict={one.verdict} />)
  const columns: readonly Column<Pair>[] = [
    { name: 'name', label: 'Criterion', cell: ({ name }) => <span class="mono">{name}</span> },
    { name: 'a', label: 'A', cell: (pair) => verdict(pair.a) },
    { name: 'b', label: 'B', cell: (pair) => verdict(pair.b) },
  ]
  return (
    <section class="panel" aria-label="Criteria">
      <h2>Criteria</h2>
      <Table page={page} caption="Criteria" columns={columns} rows={rows} id={({ name }) => name} otherwise={null} param="criteria" />
    </section>
  )
}
