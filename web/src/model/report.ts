/**
 * A report of `gaugecast loadtest`, read from a file somebody opens (docs/loadtest.schema.json). A file that is none says
 * what is wrong and where; what a later minor version adds is passed over.
 */

export const VERDICTS = ['pass', 'fail', 'inconclusive', 'aborted'] as const
export type Verdict = (typeof VERDICTS)[number]

/** By their names, as `--expect` has them: milliseconds, percent, MiB; null without samples. */
export type Measures = ReadonlyMap<string, number | null>

export interface Criterion {
  readonly criterion: string
  readonly metric: string
  readonly actual: number | null
  readonly verdict: Verdict
  readonly reason: string
}

export interface Phase {
  readonly name: string
  readonly seconds: number
  /** Connections at its end, and how many there should be. */
  readonly live: number
  readonly planned: number
  readonly verdict: Verdict
  readonly measures: Measures
  readonly criteria: readonly Criterion[]
}

export interface Usage {
  readonly cpu: number
  readonly memory: number
}

/** Both sides at one moment. */
export interface Moment {
  readonly at: number
  readonly live: number
  readonly server: Usage | null
  readonly generator: Usage | null
}

export interface Report {
  readonly version: string
  /** ms since 1970. */
  readonly started: number
  readonly seconds: number
  readonly target: { readonly url: string; readonly protocol: string; readonly transport: string; readonly tls: boolean }
  readonly load: { readonly preset: string; readonly connections: number; readonly rate: number; readonly granted: number | null; readonly cycle: number }
  readonly verdict: Verdict
  /** Why the generator could not keep up; empty if it did. */
  readonly saturated: readonly string[]
  readonly measures: Measures
  readonly unmeasured: ReadonlyMap<string, string>
  readonly criteria: readonly Criterion[]
  readonly phases: readonly Phase[]
  readonly errors: ReadonlyMap<string, number>
  readonly firstErrors: readonly string[]
  readonly resources: readonly Moment[]
  readonly notes: readonly string[]
}

/** What is wrong with a file, and where in it. */
export class ReportFault extends Error {
  constructor(
    readonly where: string,
    what: string,
  ) {
    super(what)
  }
}

/** Reads a file. Throws a `ReportFault`. */
export function parseReport(text: string): Report {
  let told: unknown
  try {
    told = JSON.parse(text)
  } catch (error) {
    throw new ReportFault(placeOf(error, text), text.trim() === '' ? 'The file is empty.' : 'This is no JSON.')
  }
  return readReport(told)
}

/** Line and column of a fault of JSON, as browsers tell it in their ways; empty where they do not. */
function placeOf(error: unknown, text: string): string {
  const said = error instanceof Error ? error.message : ''
  const lineAndColumn = /line (\d+) column (\d+)/.exec(said)
  if (lineAndColumn !== null) return `line ${lineAndColumn[1] ?? ''}, column ${lineAndColumn[2] ?? ''}`
  const position = /position (\d+)/.exec(said)
  // Without a position it ends too early.
  const before = text.slice(0, position === null ? text.length : Number(position[1]))
  const lines = before.split('\n')
  return `line ${lines.length}, column ${(lines.at(-1) ?? '').length + 1}`
}

/** A value and the way to it. */
class At {
  constructor(
    readonly value: unknown,
    readonly path: string,
  ) {}

  private fail(wanted: string): never {
    throw new ReportFault(this.path === '' ? 'at the top' : this.path, this.value === undefined ? 'This is missing.' : `Here should be ${wanted}, not ${kind(this.value)}.`)
  }

  get object(): Readonly<Record<string, unknown>> {
    const { value } = this
    if (typeof value !== 'object' || value === null || Array.isArray(value)) this.fail('an object')
    return value as Readonly<Record<string, unknown>>
  }

  of(name: string): At {
    const { object } = this
    return new At(Object.hasOwn(object, name) ? object[name] : undefined, `${this.path}/${name}`)
  }

  get text(): string {
    return typeof this.value === 'string' ? this.value : this.fail('a text')
  }

  get number(): number {
    return typeof this.value === 'number' ? this.value : this.fail('a number')
  }

  get numberOrNull(): number | null {
    return this.value === null ? null : this.number
  }

  get textOrEmpty(): string {
    return this.value === null ? '' : this.text
  }

  get boolean(): boolean {
    return typeof this.value === 'boolean' ? this.value : this.fail('true or false')
  }

  get verdict(): Verdict {
    return VERDICTS.find((one) => one === this.value) ?? this.fail(`one of ${VERDICTS.join(', ')}`)
  }

  list<T>(read: (one: At) => T): readonly T[] {
    if (!Array.isArray(this.value)) this.fail('a list')
    return this.value.map((one, i) => read(new At(one, `${this.path}/${i}`)))
  }

  map<T>(read: (one: At) => T): ReadonlyMap<string, T> {
    return new Map(Object.keys(this.object).map((name) => [name, read(this.of(name))]))
  }
}

function kind(value: unknown): string {
  if (value === null) return 'null'
  if (Array.isArray(value)) return 'a list'
  switch (typeof value) {
    case 'string':
      return `the text "${value.length > 40 ? `${value.slice(0, 40)}…` : value}"`
    case 'number':
    case 'boolean':
      return String(value)
    default:
      return 'an object'
  }
}

function readReport(told: unknown): Report {
  const top = new At(told, '')
  const { value: schema } = top.of('schema_version')
  if (typeof schema !== 'string') throw new ReportFault('/schema_version', 'This is no report of gaugecast loadtest: it names no version of its form.')
  if (!schema.startsWith('1.')) throw new ReportFault('/schema_version', `The form of this report is ${schema}; this page reads 1.`)
  const target = top.of('target')
  const load = top.of('load')
  const generator = top.of('generator')
  return {
    version: top.of('version').text,
    started: top.of('started_ms').number,
    seconds: top.of('seconds').number,
    target: { url: target.of('url').text, protocol: target.of('protocol').text, transport: target.of('transport').text, tls: target.of('tls').boolean },
    load: {
      preset: load.of('preset').text,
      connections: load.of('connections').number,
      rate: load.of('rate').number,
      granted: load.of('granted_interval_ms').numberOrNull,
      cycle: load.of('cycle').number,
    },
    verdict: top.of('verdict').verdict,
    saturated: generator.of('generator_saturated').boolean ? generator.of('reasons').list((one) => one.text) : [],
    measures: measures(top),
    unmeasured: top.of('unmeasured').map((one) => one.text),
    criteria: criteria(top),
    phases: top.of('phases').list((phase) => ({
      name: phase.of('name').text,
      seconds: phase.of('seconds').number,
      live: phase.of('live').number,
      planned: phase.of('planned').number,
      verdict: phase.of('verdict').verdict,
      measures: measures(phase),
      criteria: criteria(phase),
    })),
    errors: top.of('errors').map((one) => one.number),
    firstErrors: top.of('first_errors').list((one) => one.text),
    resources: top.of('resources').list((one) => ({
      at: one.of('at_seconds').number,
      live: one.of('live').number,
      server: usage(one.of('server')),
      generator: usage(one.of('generator')),
    })),
    notes: top.of('notes').list((one) => one.text),
  }
}

function measures(of: At): Measures {
  return of.of('measures').map((one) => one.numberOrNull)
}

function criteria(of: At): readonly Criterion[] {
  return of.of('criteria').list((one) => ({
    criterion: one.of('criterion').text,
    metric: one.of('metric').text,
    actual: one.of('actual').numberOrNull,
    verdict: one.of('verdict').verdict,
    reason: one.of('reason').textOrEmpty,
  }))
}

function usage(at: At): Usage | null {
  return at.value === null ? null : { cpu: at.of('cpu_percent').number, memory: at.of('rss_bytes').number }
}
