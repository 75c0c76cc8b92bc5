/**
 * Reports of the load tester, opened from files: one as a whole, two side by side. They are read in this browser, sent
 * nowhere and kept nowhere but in this tab, until it is closed.
 */
import { useReducer, useRef, useState } from 'preact/hooks'
import { age, clock, day } from '../format/number'
import { parseReport, ReportFault } from '../model/report'
import type { Report } from '../model/report'
import { useTopics } from '../ui/hooks'
import type { PageProps } from '../ui/pages'
import { ReportCompare } from './report-compare'
import { ReportView, VerdictWord } from './report-view'

/** A file that was opened. */
export interface Opened {
  readonly name: string
  readonly report: Report
}

interface Fault {
  readonly name: string
  readonly where: string
  readonly what: string
}

/** Two at most; they stay while other pages are looked at. */
let opened: readonly Opened[] = []
/** No report is larger; a film dropped by mistake is not read. */
const MOST_BYTES = 32 * 2 ** 20

export function Reports({ page }: PageProps) {
  useTopics(page, 'view')
  const [, again] = useReducer<number, null>((n) => n + 1, 0)
  const [faults, setFaults] = useState<readonly Fault[]>([])
  const [over, setOver] = useState(false)
  const picker = useRef<HTMLInputElement>(null)
  const keep = (next: readonly Opened[]) => {
    opened = next
    again(null)
  }
  const take = async (files: readonly File[]) => {
    const wrong: Fault[] = []
    let next = opened
    for (const file of files.slice(0, 2)) {
      const found = await read(file)
      if ('report' in found) next = [...next, found].slice(-2)
      else wrong.push(found)
    }
    setFaults(wrong)
    keep(next)
  }
  const [first, second] = opened
  return (
    <main
      class={over ? 'reports over' : 'reports'}
      onDragOver={(event) => {
        event.preventDefault()
        setOver(true)
      }}
      onDragLeave={() => { setOver(false) }}
      onDrop={(event) => {
        event.preventDefault()
        setOver(false)
        void take([...(event.dataTransfer?.files ?? [])])
      }}
    >
      <div class="headline">
        <h1>Load-test reports</h1>
        <p>read in this browser, sent nowhere</p>
        <div class="opening">
          <input
            ref={picker}
            class="unseen"
            type="file"
            multiple
            accept=".json,application/json"
            aria-label="Open reports"
            tabIndex={-1}
            onChange={({ currentTarget }) => {
              void take([...(currentTarget.files ?? [])]).then(() => {
                currentTarget.value = ''
              })
            }}
          />
          <button type="button" class={opened.length === 0 ? 'primary' : ''} onClick={() => picker.current?.click()}>
            {opened.length === 0 ? 'Open a report' : opened.length === 1 ? 'Compare with another' : 'Open another'}
          </button>
          {second !== undefined && <button type="button" onClick={() => { keep([...opened].reverse()) }}>Swap</button>}
        </div>
      </div>
      {faults.map(({ name, where, what }) => (
        <p key={name} class="refused" role="alert">
          <b>{name}</b>: {what}
          {where !== '' && <> <span class="mono">({where})</span></>}
        </p>
      ))}
      {opened.length > 0 && (
        <ul class="opened" aria-label="Open reports">
          {opened.map((one, i) => (
            <li key={i} class="box">
              {second !== undefined && <b class="letter">{i === 0 ? 'A' : 'B'}</b>}
              <span class="names">
                <b title={one.name}>{one.name}</b>
                <span class="faint">
                  {one.report.load.preset}, {one.report.load.connections} connections · {day(one.report.started)} {clock(one.report.started, true)} · {age(one.report.seconds)}
                </span>
              </span>
              <VerdictWord verdict={one.report.verdict} />
              <button type="button" aria-label={`Close ${one.name}`} onClick={() => { keep(opened.filter((other) => other !== one)) }}>
                Close
              </button>
            </li>
          ))}
        </ul>
      )}
      {first === undefined && <HowTo />}
      {first !== undefined && second === undefined && <ReportView page={page} report={first.report} />}
      {first !== undefined && second !== undefined && <ReportCompare page={page} a={first.report} b={second.report} />}
    </main>
  )
}

function HowTo() {
  return (
    <div class="nothing">
      <p>Drop a report here, or two to compare them. The load tester writes them:</p>
      <pre tabIndex={0}>gaugecast loadtest --serve --preset light --json report.json</pre>
    </div>
  )
}

async function read(file: File): Promise<Opened | Fault> {
  const { name } = file
  if (file.size > MOST_BYTES) return { name, where: '', what: 'This is larger than any report.' }
  try {
    return { name, report: parseReport(await file.text()) }
  } catch (error) {
    if (error instanceof ReportFault) return { name, where: error.where, what: error.message }
    return { name, where: '', what: error instanceof Error ? error.message : String(error) }
  }
}
