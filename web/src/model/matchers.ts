/** Label filters as PromQL has them, `{device="eth0", mode!~"idle|iowait"}`, applied to what the page has. */
import { closed, content, lex, quoted } from '../promql/lex'

export interface LabelMatcher {
  readonly label: string
  readonly sign: '=' | '!=' | '=~' | '!~'
  readonly value: string
}

const SIGNS: ReadonlySet<string> = new Set(['=', '!=', '=~', '!~'])

/**
 * Reads `{a="b", c=~"d.*"}`; the braces may be left out. Nothing, or empty braces, are no filter.
 *
 * @throws SyntaxError in words for people.
 */
export function parseMatchers(text: string): readonly LabelMatcher[] {
  const tokens = [...lex(text)]
  if (tokens[0]?.text === '{') {
    tokens.shift()
    if (tokens.pop()?.text !== '}') throw new SyntaxError('the label filter needs a closing brace: {device="eth0"}')
  }
  const matchers: LabelMatcher[] = []
  for (let i = 0; i < tokens.length; i += 4) {
    const [label, sign, value, comma] = tokens.slice(i, i + 4)
    if (label?.kind !== 'name') throw new SyntaxError(`a label filter begins with the name of a label, not with ${label?.text ?? 'nothing'}`)
    if (sign === undefined || !SIGNS.has(sign.text)) throw new SyntaxError(`behind ${label.text} stands =, !=, =~ or !~`)
    if (value?.kind !== 'string' || !closed(value)) throw new SyntaxError(`the value of ${label.text} stands in quotes: ${label.text}${sign.text}"…"`)
    if (comma !== undefined && comma.text !== ',') throw new SyntaxError(`filters are separated by commas, and here stands ${comma.text}`)
    const matcher = { label: label.text, sign: sign.text as LabelMatcher['sign'], value: content(value) }
    if (matcher.sign.endsWith('~')) pattern(matcher)
    matchers.push(matcher)
  }
  return matchers
}

/** Whether labels are as all of these say. A label that a series has not is empty. */
export function selects(matchers: readonly LabelMatcher[]): (labels: Readonly<Record<string, string>>, name?: string) => boolean {
  const tests = matchers.map((matcher) => {
    const test = tested(matcher)
    return ({ label }: LabelMatcher, labels: Readonly<Record<string, string>>, name: string) => test((label === '__name__' ? name : labels[label]) ?? '')
  })
  return (labels, name = '') => matchers.every((matcher, i) => tests[i]?.(matcher, labels, name) === true)
}

function tested(matcher: LabelMatcher): (value: string) => boolean {
  const wanted = matcher.value
  switch (matcher.sign) {
    case '=':
      return (value) => value === wanted
    case '!=':
      return (value) => value !== wanted
    case '=~':
    case '!~': {
      const form = pattern(matcher)
      const positive = matcher.sign === '=~'
      return (value) => form.test(value) === positive
    }
  }
}

/** The whole value must match, as in PromQL. */
function pattern({ label, value }: LabelMatcher): RegExp {
  try {
    return new RegExp(`^(?:${value})$`, 'su')
  } catch {
    throw new SyntaxError(`the pattern of ${label} is no regular expression: ${value}`)
  }
}

/** As PromQL writes them, with braces; empty without any. */
export function printMatchers(matchers: readonly LabelMatcher[]): string {
  return matchers.length === 0 ? '' : `{${matchers.map(({ label, sign, value }) => `${label}${sign}${quoted(value)}`).join(', ')}}`
}

/** What somebody typed to find: words, and where a brace begins, a label filter. */
export function splitFind(text: string): { readonly words: string; readonly filter: string } {
  const brace = text.indexOf('{')
  if (brace < 0) return { words: text, filter: '' }
  const end = text.lastIndexOf('}')
  const until = end < brace ? text.length : end + 1
  return { words: `${text.slice(0, brace)} ${text.slice(until)}`.trim(), filter: text.slice(brace, until) }
}
