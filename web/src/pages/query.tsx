/** PromQL, live: the field, what came of it, its chart and its series. The link holds all of it. */
import { useEffect, useMemo, useRef, useState } from 'preact/hooks'
import { age, formatText } from '../format/number'
import { readAnswer, wrongIn } from '../model/query-answer'
import type { Told, Wrong } from '../model/query-answer'
import { forgetRecent, recentQueries, remember } from '../model/recent'
import { fitting } from '../model/fit'
import { makePlan } from '../model/plan'
import { VIEW_NAMES } from '../model/spec'
import type { Page } from '../page'
import { hrefOf } from '../route'
import { Expression } from '../ui/expression'
import { useTopics } from '../ui/hooks'
import type { PageProps } from '../ui/pages'
import { SeriesTable } from '../ui/series-table'
import { SpecCard, useQuery } from '../ui/spec-card'

/** Queries beside each other; a connection has 32, and cards of other pages want some. */
const MOST_QUERIES = 4

const EXAMPLES: readonly (readonly [expression: string, says: string])[] = [
  ['sum by (mode) (rate(node_cpu_seconds_total{mode!="idle"}[30s]))', 'What the processors do, in seconds a second'],
  ['1 - node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes', 'Share of the memory in use'],
  ['rate(node_network_receive_bytes_total{device!="lo"}[30s])', 'What comes in over each network device'],
  ['topk(5, rate(node_netstat_IpExt_InOctets[1m]) or rate(node_disk_written_bytes_total[1m]))', 'The largest of several rates'],
  ['histogram_quantile(0.99, sum by (le) (rate(gaugecast_http_request_duration_seconds_bucket[1m])))', 'The 99th percentile of a histogram'],
  ['predict_linear(node_filesystem_avail_bytes{mountpoint="/"}[15m], 24 * 3600)', 'What will be free on the disk in a day'],
]

/** `expr`, `expr2`, `expr3`. */
function param(name: string, at: number): string {
  return at === 0 ? name : `${name}${at + 1}`
}

export function Query({ page }: PageProps) {
  useTopics(page, 'view')
  const { params } = page.route
  const [added, setAdded] = useState(0)
  const given = Array.from({ length: MOST_QUERIES }, (_, i) => params.get(param('expr', i)) ?? '')
  const count = Math.min(MOST_QUERIES, Math.max(1, given.findLastIndex((one) => one !== '') + 1, added))
  const nothing = given.every((one) => one === '')
  const run = (at: number) => (expression: string) => {
    remember(expression)
    page.setParams({ [param('expr', at)]: expression.trim() })
  }
  const remove = (at: number) => {
    const changed: Record<string, string> = {}
    for (let i = at; i < MOST_QUERIES; i++) {
      changed[param('expr', i)] = params.get(param('expr', i + 1)) ?? ''
      changed[param('view', i)] = params.get(param('view', i + 1)) ?? ''
    }
    setAdded(Math.max(0, count - 1))
    page.setParams(changed)
  }
  return (
    <main class="queries">
      <div class="headline">
        <h1>Query</h1>
        <p>PromQL, evaluated at every tick. Enter runs it, Shift and Enter begin a line.</p>
      </div>
      {Array.from({ length: count }, (_, i) => (
        <Panel key={i} page={page} at={i} expression={given[i] ?? ''} run={run(i)} {...(count > 1 ? { remove: () => { remove(i) } } : {})} />
      ))}
      {!nothing && count < MOST_QUERIES && (
        <button type="button" onClick={() => { setAdded(count + 1) }}>
          Add query
        </button>
      )}
      {nothing && <Begin />}
    </main>
  )
}

/** What there is before the first query: examples, and the last ones of this browser. */
function Begin() {
  const [recent, setRecent] = useState(recentQueries)
  return (
    <div class="begin">
      <section aria-label="Examples">
        <h2>To begin with</h2>
        <ul>
          {EXAMPLES.map(([expression, says]) => (
            <li key={expression}>
              <a href={hrefOf('query', '', [['expr', expression]])}>{expression}</a>
              <span>{says}</span>
            </li>
          ))}
        </ul>
      </section>
      {recent.length > 0 && (
        <section aria-label="Last queries">
          <h2>
            Last in this browser{' '}
            <button
              type="button"
              class="link"
              onClick={() => {
                forgetRecent()
                setRecent([])
              }}
            >
              Forget them
            </button>
          </h2>
          <ul>
            {recent.map((expression) => (
              <li key={expression}>
                <a href={hrefOf('query', '', [['expr', expression]])}>{expression}</a>
              </li>
            ))}
          </ul>
        </section>
      )}
    </div>
  )
}

interface PanelProps {
  readonly page: Page
  readonly at: number
  readonly expression: string
  readonly run: (expression: string) => void
  readonly remove?: () => void
}

function Panel({ page, at, expression, run, remove }: PanelProps) {
  const [runs, setRuns] = useState(0)
  const asked = useAsked(page, expression, runs)
  const wrong = asked !== null && 'message' in asked ? asked : null
  const told = asked !== null && 'result' in asked ? asked : null
  const id = `query-${at}`
  const form = useRef<HTMLFormElement>(null)
  const runIt = (text: string) => {
    // The same again is asked again.
    setRuns(runs + 1)
    run(text)
  }
  return (
    <section class="query" aria-label={expression === '' ? 'Query' : expression}>
      <form
        ref={form}
        onSubmit={(event) => {
          event.preventDefault()
          runIt(form.current?.querySelector('textarea')?.value ?? '')
        }}
      >
        <Expression
          page={page}
          id={id}
          expression={expression}
          label="PromQL expression"
          placeholder="A metric, or an expression: rate(node_network_receive_bytes_total[30s])"
          wrongAt={wrong?.at ?? null}
          first={expression === ''}
          {...(wrong === null ? {} : { wrongId: `${id}-wrong` })}
          run={runIt}
        />
        <button type="submit" class="primary">Run</button>
        {remove !== undefined && (
          <button type="button" class="square" aria-label="Remove this query" title="Remove this query" onClick={remove}>
            ×
          </button>
        )}
      </form>
      {wrong !== null && (
        <p id={`${id}-wrong`} class="refused" role="alert">
          {wrong.at !== null && <b>{placeWords(expression, wrong.at)}: </b>}
          {wrong.message}
        </p>
      )}
      {told !== null && <Remarks told={told} />}
      {told !== null && <Result key={expression} page={page} at={at} expression={expression} told={told} />}
    </section>
  )
}

/** What the server remarks: that the result may not be what was meant. */
function Remarks({ told: { warnings, infos } }: { told: Told }) {
  if (warnings.length + infos.length === 0) return null
  return (
    <ul class="remarks">
      {warnings.map((text) => (
        <li key={text} class="warning">▲ {text.replace(/^PromQL warning: /, '')}</li>
      ))}
      {infos.map((text) => (
        <li key={text}>○ {text.replace(/^PromQL info: /, '')}</li>
      ))}
    </ul>
  )
}

function Result({ page, at, expression, told }: { page: Page; at: number; expression: string; told: Told & Took }) {
  const { result, took } = told
  switch (result.told) {
    case 'string':
      return (
        <>
          <p class="result-facts">a text · answered in {formatText(took / 1000, 'seconds')} · texts do not change, so this is not live</p>
          <pre tabIndex={0} class="text-result">{result.text}</pre>
        </>
      )
    case 'matrix':
      return (
        <p class="result-facts">
          A range of samples: {formatText(result.series, 'count')} series, {formatText(result.samples, 'count')} samples. A function makes one value of
          each: <a href={hrefOf('query', '', [['expr', `rate(${expression})`]])}>rate({expression})</a> of a counter,{' '}
          <a href={hrefOf('query', '', [['expr', `avg_over_time(${expression})`]])}>avg_over_time({expression})</a> of a gauge.
        </p>
      )
    default:
      return <LiveResult page={page} at={at} expression={expression} told={told} />
  }
}

function LiveResult({ page, at, expression, told: { result, took } }: { page: Page; at: number; expression: string; told: Told & Took }) {
  useTopics(page, 'query', 'view')
  const query = useQuery(page, expression)
  const name = param('view', at)
  const series = query?.family.series.length ?? 0
  const views = useMemo(() => (query === null || series === 0 ? [] : fitting(makePlan(query.family, (key) => query.store.value(key))).filter((one) => one !== 'table' && one !== 'scatter')), [query, series])
  const view = views.find((one) => one === page.route.params.get(name))
  const live = query !== null && query.store.lastTime > 0
  const counter = query?.family.type === 'counter'
  const facts = [
    result.told === 'scalar' ? 'a scalar' : `${formatText(live ? series : result.told === 'vector' ? result.series : 0, 'count')} series`,
    `answered in ${formatText(took / 1000, 'seconds')}`,
    ...(query !== null && live ? [`live, every ${query.store.intervalMs < 1000 ? `${query.store.intervalMs}\u202fms` : age(query.store.intervalMs / 1000)}`] : []),
    ...(counter ? ['the chart and the table show the rates of these counters'] : []),
  ]
  return (
    <>
      <div class="result-facts">
        <p>{facts.join(' · ')}</p>
        <div class="segment" role="group" aria-label="View">
          {views.map((one, i) => (
            <button
              key={one}
              type="button"
              aria-pressed={one === (view ?? views[0])}
              onClick={() => {
                page.setParams({ [name]: i === 0 ? '' : one })
              }}
            >
              {VIEW_NAMES[one]}
            </button>
          ))}
        </div>
      </div>
      <div class="tall">
        <SpecCard key={view} page={page} spec={{ query: expression, title: 'Result', ...(view === undefined ? {} : { view }) }} place={at} />
      </div>
      {query !== null && series > 0 && result.told === 'vector' && <SeriesTable page={page} source={query.store} family={query.family} by="" />}
    </>
  )
}

interface Took {
  /** Milliseconds until the answer was there. */
  readonly took: number
}

/** What the API says of an expression, asked once, when it is run. */
function useAsked(page: Page, expression: string, runs: number): (Told & Took) | Wrong | null {
  const [asked, setAsked] = useState<{ readonly of: string; readonly answer: (Told & Took) | Wrong } | null>(null)
  useEffect(() => {
    if (expression === '') return
    const ended = new AbortController()
    const ask = async () => {
      const begun = performance.now()
      try {
        const response = await page.token.fetch(`api/v1/query?query=${encodeURIComponent(expression)}`, ended.signal)
        const answer = readAnswer(expression, await response.json())
        const took = performance.now() - begun
        setAsked({ of: expression, answer: 'result' in answer ? { ...answer, took } : answer })
      } catch (error) {
        if (!ended.signal.aborted) setAsked({ of: expression, answer: wrongIn(expression, error instanceof Error ? error.message : String(error)) })
      }
    }
    void ask()
    return () => {
      ended.abort()
    }
  }, [page, expression, runs])
  return asked?.of === expression && expression !== '' ? asked.answer : null
}

/** "column 19", or "line 2, column 7". */
function placeWords(text: string, at: number): string {
  const lines = text.slice(0, at).split('\n')
  const column = Array.from(lines.at(-1) ?? '').length + 1
  return text.includes('\n') ? `line ${lines.length}, column ${column}` : `column ${column}`
}
