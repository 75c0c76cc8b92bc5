/**
 * What an alerting expression watches and against which limit: `x / y > 0.9 unless …` watches `x / y` and has the limit 0.9.
 * For charts and values beside it, so it may say that it does not know; the server alone judges.
 */

export interface Watched {
  /** The expression whose value is compared; the whole one where no comparison with a number is found. */
  readonly expression: string
  /** `>`, `>=`, `<`, `<=`, `==`, `!=`; empty where there is none. */
  readonly operator: string
  /** NaN where there is none. */
  readonly limit: number
}

const MIRRORED: Readonly<Record<string, string>> = { '>': '<', '<': '>', '>=': '<=', '<=': '>=', '==': '==', '!=': '!=' }

export function watchedBy(expression: string): Watched {
  const whole = { expression: expression.trim(), operator: '', limit: NaN }
  const inner = unwrapped(whole.expression)
  // Of "a > 1 or b > 2" nobody can say which.
  if (cut(inner, /\bor\b/iy) !== null) return whole
  const set = cut(inner, /\b(and|unless)\b/iy)
  if (set !== null) {
    const first = watchedBy(set.before)
    return first.operator === '' ? whole : first
  }
  const compared = cut(inner, /==|!=|>=|<=|>|</y)
  if (compared === null) return whole
  const after = compared.after.replace(/^\s*bool\b/i, '')
  const [left, right] = [numeral(compared.before), numeral(after)]
  if (!Number.isNaN(right) && Number.isNaN(left)) return { expression: unwrapped(compared.before), operator: compared.found, limit: right }
  if (!Number.isNaN(left) && Number.isNaN(right)) return { expression: unwrapped(after), operator: MIRRORED[compared.found] ?? '', limit: left }
  return whole
}

/** Without parentheses around all of it. */
function unwrapped(text: string): string {
  const trimmed = text.trim()
  if (!trimmed.startsWith('(')) return trimmed
  let end = -1
  scan(trimmed, (at, depth) => {
    if (at > 0 && depth === 0 && end < 0) end = at
  })
  // The character after the parenthesis that closes the first one: there is none if it is the last.
  return end < 0 && trimmed.endsWith(')') ? unwrapped(trimmed.slice(1, -1)) : trimmed
}

/** The text before and after the first place outside parentheses and quotes where `what` (sticky) is found. */
function cut(text: string, what: RegExp): { readonly before: string; readonly found: string; readonly after: string } | null {
  let found: { before: string; found: string; after: string } | null = null
  scan(text, (at, depth) => {
    if (found !== null || depth !== 0) return
    what.lastIndex = at
    const [match] = what.exec(text) ?? []
    if (match !== undefined) found = { before: text.slice(0, at), found: match, after: text.slice(at + match.length) }
  })
  return found
}

/** Each place outside quotes, with how many parentheses are open before it. */
function scan(text: string, each: (at: number, depth: number) => void): void {
  let depth = 0
  for (let i = 0; i < text.length; i++) {
    const letter = text[i] ?? ''
    if (letter === '"' || letter === "'" || letter === '`') {
      for (i++; i < text.length && text[i] !== letter; i++) if (text[i] === '\\' && letter !== '`') i++
      continue
    }
    if (')]}'.includes(letter)) depth--
    else each(i, depth)
    if ('([{'.includes(letter)) depth++
  }
}

/** The value of a number, or of a product of numbers such as `24 * 3600`; else NaN. */
function numeral(text: string): number {
  const parts = unwrapped(text).split('*')
  return parts.reduce((product, part) => {
    const plain = part.trim().replaceAll('_', '')
    return /^[+-]?(\d+(\.\d*)?|\.\d+)(e[+-]?\d+)?$/i.test(plain) ? product * Number(plain) : NaN
  }, 1)
}

/** A bare selector, `name` or `name{…}`: the values are those of the series. Empty if it is none. */
export function bareName(expression: string): string {
  return /^([a-zA-Z_:][a-zA-Z0-9_:]*)(\{[^{}]*\})?$/.exec(expression.trim())?.[1] ?? ''
}
