/** Where in an expression the cursor is, and so what could be written there. */
import type { Token } from './lex'
import { closed, content, lex } from './lex'
import { AGGREGATIONS, BEHIND_OPERATOR, GROUPING, isMetric } from './words'

/** `label="value"` beside the one that is being written. */
export interface Matcher {
  readonly label: string
  readonly sign: string
  readonly value: string
}

interface Place {
  /** What a choice replaces: from … to. */
  readonly from: number
  readonly to: number
  /** What is written of it, up to the cursor. */
  readonly word: string
}

export type Context = Place &
  (
    | { /** Where a metric, a function, an aggregation may be; `operator`: what stands before is a binary operator. */ readonly kind: 'operand'; readonly operator: boolean }
    | { /** Behind an operand: and, or, by, offset … */ readonly kind: 'behind' }
    | { /** A label name between braces, or in `by (…)`. */ readonly kind: 'label'; readonly metrics: readonly string[]; readonly inBraces: boolean; readonly taken: readonly string[] }
    | { readonly kind: 'value'; readonly metrics: readonly string[]; readonly label: string; readonly others: readonly Matcher[]; /** As it is written, with its quote. */ readonly quote: '"' | "'" | '`' | '' }
    | { /** Between square brackets, or behind `offset`. */ readonly kind: 'range' }
    | { /** A number, a comment, an operator of a matcher: there is nothing to propose. */ readonly kind: 'none' }
  )

const SIGNS = new Set(['=', '!=', '=~', '!~'])
const OPERATORS = new Set(['+', '-', '*', '/', '%', '^', '=', '==', '!=', '<', '>', '<=', '>=', 'and', 'or', 'unless', 'atan2'])
const CLOSERS: Readonly<Record<string, string>> = { '(': ')', '{': '}', '[': ']' }

/** @param cursor before which letter it is. */
export function contextAt(text: string, cursor: number): Context {
  const tokens = lex(text)
  const under = tokens.find(({ from, to }) => from < cursor && cursor <= to)
  // Behind a closing quote, as behind an operator, the word is over.
  const inWord = under !== undefined && (cursor < under.to || (under.kind !== 'sign' && !(under.kind === 'string' && closed(under))))
  const before = tokens.filter(({ to }) => to <= cursor).slice(0, inWord && under.to === cursor ? -1 : undefined)
  const place = inWord && under.kind !== 'sign' ? { from: under.from, to: under.to, word: text.slice(under.from, cursor) } : { from: cursor, to: cursor, word: '' }
  if (inComment(text, cursor, tokens)) return { ...place, kind: 'none' }
  const open = opening(before)
  const last = before.at(-1)
  if (open?.text === '{') return inBraces(place, under, inWord, before, before.indexOf(open))
  // A string outside braces is an argument, or a label name that needs quotes.
  if (inWord && under.kind === 'string') return { ...place, kind: 'none' }
  if (open?.text === '[') return isMeasure(under, inWord) ? { ...place, kind: 'range' } : { ...place, kind: 'none' }
  if (open !== undefined && GROUPING.has(before[before.indexOf(open) - 1]?.text ?? '')) {
    if (inWord && under.kind !== 'name') return { ...place, kind: 'none' }
    const taken = before.slice(before.indexOf(open) + 1).filter(({ kind }) => kind === 'name').map((token) => token.text)
    return { ...place, kind: 'label', metrics: metricsOf(tokens), inBraces: false, taken }
  }
  if (last?.text === 'offset') return { ...place, kind: 'range' }
  if (inWord && under.kind !== 'name') return { ...place, kind: 'none' }
  if (isOperandEnd(before)) return { ...place, kind: 'behind' }
  return { ...place, kind: 'operand', operator: OPERATORS.has(last?.text ?? '') || afterMatching(before) }
}

function inBraces(place: Place, under: Token | undefined, inWord: boolean, before: readonly Token[], at: number): Context {
  const name = before[at - 1]
  const inside = before.slice(at + 1)
  const { matchers, label, sign } = matchersOf(inside)
  const metrics = name?.kind === 'name' && isMetric(name.text) ? [name.text] : namesIn(matchers)
  if (sign !== '') {
    const quote = inWord && under?.kind === 'string' ? (under.text[0] as '"') : ''
    // Of what is not closed, only what stands before the cursor is replaced: behind it may follow anything.
    const to = under !== undefined && inWord && under.kind === 'string' && !closed(under) ? place.from + place.word.length : place.to
    const word = quote === '' ? place.word : place.word.slice(1)
    return { from: place.from, to, word, kind: 'value', metrics, label, others: matchers, quote }
  }
  const last = inside.at(-1)
  const atName = last === undefined || last.text === ','
  if (!atName || (inWord && under?.kind !== 'name')) return { ...place, kind: 'none' }
  return { ...place, kind: 'label', metrics, inBraces: true, taken: matchers.map((one) => one.label) }
}

/** The finished matchers, and what there is of the one being written. */
function matchersOf(inside: readonly Token[]): { readonly matchers: readonly Matcher[]; readonly label: string; readonly sign: string } {
  const matchers: Matcher[] = []
  let label = ''
  let sign = ''
  for (const token of inside) {
    if (token.text === ',') {
      label = ''
      sign = ''
    } else if (token.kind === 'sign' && SIGNS.has(token.text)) sign = token.text
    else if (sign === '') label = token.kind === 'string' ? content(token) : token.text
    else if (token.kind === 'string') {
      matchers.push({ label, sign, value: content(token) })
      label = ''
      sign = ''
    }
  }
  return { matchers, label, sign }
}

/** `{__name__="x"}` names a metric too. */
function namesIn(matchers: readonly Matcher[]): readonly string[] {
  return matchers.filter(({ label, sign }) => label === '__name__' && sign === '=').map(({ value }) => value)
}

/** The innermost bracket that is not closed. */
function opening(before: readonly Token[]): Token | undefined {
  const open: Token[] = []
  for (const token of before) {
    if (token.kind !== 'sign') continue
    if (token.text in CLOSERS) open.push(token)
    else if (CLOSERS[open.at(-1)?.text ?? ''] === token.text) open.pop()
  }
  return open.at(-1)
}

/** All metrics that the expression names; labels and matchers are none. */
export function metricsOf(tokens: readonly Token[]): readonly string[] {
  const found = new Set<string>()
  const open: boolean[] = []
  tokens.forEach((token, i) => {
    if (token.kind === 'sign') {
      if (token.text === '(' || token.text === '{') open.push(token.text === '{' || GROUPING.has(tokens[i - 1]?.text ?? ''))
      else if (token.text === ')' || token.text === '}') open.pop()
    } else if (token.kind === 'name' && open.at(-1) !== true && isMetric(token.text)) found.add(token.text)
  })
  return [...found]
}

function isOperandEnd(before: readonly Token[]): boolean {
  const last = before.at(-1)
  if (last === undefined) return false
  if (last.kind === 'sign') {
    // The bracket of `on (…)` ends no operand, and that of `by (…)` only behind one.
    return last.text === ']' || last.text === '}' || (last.text === ')' && !afterMatching(before) && !afterPrefixed(before))
  }
  // `sum` waits for its bracket, or for `by`.
  if (last.kind === 'name') return isMetric(last.text) || last.text in AGGREGATIONS
  return true
}

/** Behind `on (…)`, `group_left (…)` or `bool`. */
function afterMatching(before: readonly Token[]): boolean {
  const last = before.at(-1)
  if (last?.text === 'bool' || (last !== undefined && last.text in BEHIND_OPERATOR)) return true
  const word = wordBefore(before)
  return word !== undefined && word.text in BEHIND_OPERATOR
}

/** Behind the bracket of `sum by (…)`. */
function afterPrefixed(before: readonly Token[]): boolean {
  const word = wordBefore(before)
  if (word === undefined || (word.text !== 'by' && word.text !== 'without')) return false
  return before[before.indexOf(word) - 1]?.kind === 'name'
}

/** The word before the bracket that the last token closes. */
function wordBefore(before: readonly Token[]): Token | undefined {
  if (before.at(-1)?.text !== ')') return undefined
  let depth = 0
  for (let i = before.length - 1; i >= 0; i--) {
    if (before[i]?.text === ')') depth++
    else if (before[i]?.text === '(' && --depth === 0) return before[i - 1]
  }
  return undefined
}

function isMeasure(under: Token | undefined, inWord: boolean): boolean {
  return !inWord || under?.kind === 'duration' || under?.kind === 'number' || under?.kind === 'name'
}

function inComment(text: string, cursor: number, tokens: readonly Token[]): boolean {
  const hash = text.lastIndexOf('#', cursor - 1)
  if (hash < 0 || text.slice(hash, cursor).includes('\n')) return false
  return !tokens.some(({ from, to }) => from <= hash && hash < to)
}
