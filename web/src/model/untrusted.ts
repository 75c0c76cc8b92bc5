/** Ways to read what somebody else has sent: what is missing or of another kind is empty, never an exception. */

export type Labels = Readonly<Record<string, string>>

export function object(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? (value as Readonly<Record<string, unknown>>) : {}
}

export function text(value: unknown): string {
  return typeof value === 'string' ? value : ''
}

/** A number, or the text of one as the API writes what JSON has no number for (`"+Inf"`); else NaN. */
export function number(value: unknown): number {
  if (typeof value === 'number') return value
  if (typeof value !== 'string' || value.trim() === '') return NaN
  return Number(value.replace(/^([+-]?)inf$/i, '$1Infinity'))
}

export function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : []
}

export function texts(value: unknown): readonly string[] {
  return list(value).filter((one) => typeof one === 'string')
}

export function labels(value: unknown): Labels {
  return Object.fromEntries(Object.entries(object(value)).map(([name, one]) => [name, text(one)]))
}

/** `data` of an answer of the API. Throws the server's own words where it refuses, `otherwise` where it says nothing at all. */
export function dataOf(answer: unknown, otherwise: string): unknown {
  const { status, error, data } = object(answer)
  if (status !== 'success') throw new Error(text(error) || otherwise)
  return data
}
