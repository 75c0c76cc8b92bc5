/** What the comparison with a baseline says of the rows of a table. */
import type { Row, Shape } from './series-rows'

/** A series, or a histogram, as a baseline judges it. */
export interface Judged {
  readonly labels: Readonly<Record<string, string>>
  readonly verdict: string
  /** How far the mean moved, 0.1 is 10 %; null where it was zero. */
  readonly change: number | null
}

/** @param answer of `/api/v1/baselines`: the names there are. */
export function readBaselines(answer: unknown): readonly string[] {
  return list(field(answer, 'data')).flatMap((one) => {
    const name = field(one, 'name')
    return typeof name === 'string' ? [name] : []
  })
}

/** @param answer of `/api/v1/baselines/NAME/compare`. Throws the server's words where it refuses. */
export function readComparison(answer: unknown): readonly Judged[] {
  const error = field(answer, 'error')
  if (typeof error === 'string') throw new Error(error)
  return list(field(field(answer, 'data'), 'series')).flatMap((one) => {
    const series = field(one, 'series')
    const verdict = field(one, 'verdict')
    const change = field(one, 'change')
    if (typeof series !== 'string' || typeof verdict !== 'string') return []
    return [{ labels: labelsIn(series), verdict, change: typeof change === 'number' ? change : null }]
  })
}

/** The one of these that is the row: it has its labels, and no other has them too. */
export function judgedOf(judged: readonly Judged[], row: Row, { labels }: Shape): Judged | undefined {
  const found = judged.filter((one) => labels.every((label, i) => label === '__name__' || (one.labels[label] ?? '') === row.labels[i]))
  return found.length === 1 ? found[0] : undefined
}

/** The labels of `name{a="b"}`. */
function labelsIn(series: string): Readonly<Record<string, string>> {
  const labels: Record<string, string> = {}
  for (const [, label = '', value = ''] of series.matchAll(/([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"/g)) labels[label] = value.replace(/\\(.)/g, (_, letter: string) => (letter === 'n' ? '\n' : letter))
  return labels
}

function field(of: unknown, name: string): unknown {
  return typeof of === 'object' && of !== null ? (of as Readonly<Record<string, unknown>>)[name] : undefined
}

function list(of: unknown): readonly unknown[] {
  return Array.isArray(of) ? of : []
}
