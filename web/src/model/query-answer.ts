/** What the API says when it is asked a query once: what kind of result, how much of it, what is remarked; or what is wrong and where. */

export type QueryAnswer =
  | {
      readonly told: 'vector'
      readonly series: number
    }
  | {
      readonly told: 'matrix'
      readonly series: number
      readonly samples: number
    }
  | { readonly told: 'scalar'; readonly value: number }
  | { readonly told: 'string'; readonly text: string }

export interface Told {
  readonly result: QueryAnswer
  /** Warnings of the server, which say that the result may not be what was meant. */
  readonly warnings: readonly string[]
  /** What else it remarks. */
  readonly infos: readonly string[]
}

export interface Wrong {
  /** In the server's words, without the place. */
  readonly message: string
  /** The place in the expression, in letters from 0; null where none is told. */
  readonly at: number | null
}

/** @throws Error if the answer has another form. */
export function readAnswer(expression: string, answer: unknown): Told | Wrong {
  const { status, error, data, warnings, infos } = record(answer)
  if (status === 'error') return wrongIn(expression, typeof error === 'string' ? error : 'The server refused it.')
  const { resultType, result } = record(data)
  return { result: resultOf(resultType, result), warnings: texts(warnings), infos: texts(infos) }
}

function resultOf(type: unknown, result: unknown): QueryAnswer {
  switch (type) {
    case 'scalar':
      return { told: 'scalar', value: numberOf(list(result)[1]) }
    case 'string':
      return { told: 'string', text: String(list(result)[1]) }
    case 'vector':
      return { told: 'vector', series: list(result).length }
    case 'matrix':
      return { told: 'matrix', series: list(result).length, samples: list(result).reduce<number>((sum, one) => sum + list(record(one).values).length, 0) }
    default:
      throw new Error(`The server gives a result of a kind that this page does not know: ${String(type)}.`)
  }
}

/** Takes the place out of an error of the grammar: `invalid parameter "query": 2:17: parse error: …`. */
export function wrongIn(expression: string, error: string): Wrong {
  const found = /^(?:invalid parameter "query": )?(\d+):(\d+): (?:parse error: )?(.*)$/s.exec(error)
  if (found === null) return { message: error.replace(/^invalid parameter "query": /, ''), at: null }
  const [, line = '1', column = '1', message = error] = found
  return { message, at: placeOf(expression, Number(line), Number(column)) }
}

/** The letter at a line and a column, both from 1, in code points. */
export function placeOf(text: string, line: number, column: number): number {
  const lines = text.split('\n')
  const before = lines.slice(0, line - 1).reduce((sum, one) => sum + one.length + 1, 0)
  const within = Array.from(lines[line - 1] ?? '').slice(0, column - 1).join('').length
  return Math.min(text.length, before + within)
}

/** Prometheus writes numbers as texts, so that NaN and the infinities have a place. */
export function numberOf(text: unknown): number {
  if (text === '+Inf') return Infinity
  if (text === '-Inf') return -Infinity
  return typeof text === 'string' || typeof text === 'number' ? Number(text) : NaN
}

function record(of: unknown): Readonly<Record<string, unknown>> {
  if (typeof of !== 'object' || of === null) throw new Error('The server’s answer is not one of its API.')
  return of as Readonly<Record<string, unknown>>
}

function list(of: unknown): readonly unknown[] {
  return Array.isArray(of) ? of : []
}

function texts(of: unknown): readonly string[] {
  return list(of).filter((one) => typeof one === 'string')
}
