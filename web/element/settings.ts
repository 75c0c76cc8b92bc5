/** What the attributes of an element say, judged: the rest of it works with this alone. */

export const TYPES = ['value', 'line', 'gauge', 'bar'] as const
export type Type = (typeof TYPES)[number]

/** The attributes that are looked at. */
export const WATCHED = ['query', 'match', 'type', 'unit', 'title', 'server', 'window', 'interval', 'min', 'max', 'thresholds']

export interface Settings {
  readonly query: string
  readonly match: string
  readonly type: Type
  readonly unit: string
  readonly title: string
  /** Empty: where the module came from. */
  readonly server: string
  readonly window: string
  readonly windowMs: number
  readonly interval: string
  readonly min: number | null
  readonly max: number | null
  /** From which value it is a warning, and from which critical; falling ones count downwards. */
  readonly thresholds: readonly number[]
  /** What is wrong with the attributes, in words; empty if nothing. */
  readonly problem: string
}

/** So many points of a line are asked for: about one a pixel of a small chart. */
const POINTS = 300
const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1e3, m: 6e4, h: 3.6e6, d: 8.64e7 }

export function parseSettings(attribute: (name: string) => string | null): Settings {
  const text = (name: string) => attribute(name)?.trim() ?? ''
  const problems: string[] = []
  const number = (name: string) => {
    const given = text(name)
    if (given === '') return null
    if (!Number.isFinite(Number(given))) problems.push(`${name} is a number, and this is “${given}”`)
    return Number(given)
  }
  const query = text('query')
  const match = text('match')
  if ((query === '') === (match === '')) problems.push('either query or match says what is shown')
  const wanted = text('type') || 'value'
  const type = TYPES.find((one) => one === wanted)
  if (type === undefined) problems.push(`type is one of ${TYPES.join(', ')}, and this is “${wanted}”`)
  const window = text('window') || '5m'
  const windowMs = span(window)
  if (Number.isNaN(windowMs)) problems.push(`window is a time such as 5m, and this is “${window}”`)
  const interval = text('interval') || (type === 'line' ? `${Math.max(1_000, Math.ceil((windowMs || 0) / POINTS))}ms` : '1s')
  if (Number.isNaN(span(interval))) problems.push(`interval is a time such as 1s, and this is “${interval}”`)
  const limits = text('thresholds').split(/[\s,]+/).filter((one) => one !== '').map(Number)
  if (limits.length > 2 || limits.some(Number.isNaN)) problems.push('thresholds are one or two numbers')
  return {
    query,
    match,
    type: type ?? 'value',
    unit: text('unit'),
    title: text('title') || query || match,
    server: text('server'),
    window,
    windowMs,
    interval,
    min: number('min'),
    max: number('max'),
    thresholds: limits,
    problem: problems.join('; '),
  }
}

function span(text: string): number {
  const found = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/.exec(text)
  return found === null ? NaN : Number(found[1]) * (UNITS[found[2] ?? ''] ?? NaN)
}

/** 0: as it should be, 1: a warning, 2: critical. */
export function levelOf(value: number, [warning, critical]: readonly number[]): 0 | 1 | 2 {
  if (warning === undefined || Number.isNaN(value)) return 0
  const beyond = (limit: number) => (critical !== undefined && critical < warning ? value <= limit : value >= limit)
  if (critical !== undefined && beyond(critical)) return 2
  return beyond(warning) ? 1 : 0
}
