/** What could be written at a place of an expression, the likeliest first. */
import type { Context, Matcher } from './context'
import { quoted } from './lex'
import { AGGREGATIONS, BEHIND_OPERAND, BEHIND_OPERATOR, FUNCTIONS, RANGES } from './words'

export interface Suggestion {
  /** As it is listed. */
  readonly text: string
  /** What it is, in a word: counter, function, label … */
  readonly is: string
  /** What it does or measures; may be empty. */
  readonly says: string
  readonly insert: string
  /** How far before the end of `insert` the cursor then stands. */
  readonly back: number
}

/** What there is to be written of: names, labels, values. */
export interface Known {
  metrics(): Iterable<{ readonly name: string; readonly type: string; readonly help: string }>
  /** Names of labels of these metrics; of all if none is named. */
  labels(metrics: readonly string[]): Iterable<string>
  values(metrics: readonly string[], label: string, others: readonly Matcher[]): Iterable<string>
}

/** More than so many nobody reads. */
export const MOST = 50

/** @param next the letter behind what would be replaced, so that no bracket is written twice. */
export function suggest(context: Context, known: Known, next: string): readonly Suggestion[] {
  const { word } = context
  switch (context.kind) {
    case 'none':
      return []
    case 'range':
      return ranked(word, Object.entries(RANGES).filter(([text]) => text.startsWith(word)).map(([text, says]) => ({ text, is: 'range', says, insert: text, back: 0 })), true)
    case 'behind':
      return word === '' ? [] : ranked(word, keywords(BEHIND_OPERAND, next))
    case 'label': {
      const taken = new Set(context.taken)
      const labels = [...known.labels(context.metrics)].filter((label) => !taken.has(label)).sort()
      return ranked(word, labels.map((text) => ({ text, is: 'label', says: '', insert: context.inBraces && !/[=!]/.test(next) ? `${text}=` : text, back: 0 })), true)
    }
    case 'value': {
      const values = [...known.values(context.metrics, context.label, context.others)].sort(byNumber.compare)
      return ranked(word, values.map((text) => ({ text, is: 'value', says: '', insert: quoted(text), back: 0 })), true)
    }
    case 'operand':
      return word === '' ? [] : operands(word, known, context.operator, next)
  }
}

const byNumber = new Intl.Collator('en', { numeric: true })

function operands(word: string, known: Known, operator: boolean, next: string): readonly Suggestion[] {
  const call = next === '(' ? '' : '()'
  const words: Suggestion[] = operator ? [...keywords(BEHIND_OPERATOR, next)] : []
  for (const [text, says] of Object.entries(AGGREGATIONS)) words.push({ text, is: 'aggregation', says, insert: text + call, back: call.length / 2 })
  for (const [text, [takes, does]] of Object.entries(FUNCTIONS)) {
    words.push({ text, is: 'function', says: `${does} (${takes})`, insert: text + call, back: takes === '' ? 0 : call.length / 2 })
  }
  for (const { name, type, help } of known.metrics()) words.push({ text: name, is: type, says: help, insert: name, back: 0 })
  return ranked(word, words)
}

function keywords(words: Readonly<Record<string, string>>, next: string): readonly Suggestion[] {
  return Object.entries(words).map(([text, says]) => {
    const bracket = ['by', 'without', 'on', 'ignoring'].includes(text)
    return bracket && next !== '(' ? { text, is: 'keyword', says, insert: `${text} ()`, back: 1 } : { text, is: 'keyword', says, insert: bracket ? text : `${text} `, back: 0 }
  })
}

/**
 * Those that have the word in them: as their beginning, as that of one of their parts, anywhere; of equals the shorter.
 *
 * @param kept whether those of equal rank keep the order they came in.
 */
function ranked(word: string, all: readonly Suggestion[], kept = false): readonly Suggestion[] {
  const wanted = word.toLowerCase()
  const found: { readonly one: Suggestion; readonly rank: number }[] = []
  for (const one of all) {
    const text = one.text.toLowerCase()
    const at = text.indexOf(wanted)
    if (at < 0) continue
    const rank = at === 0 ? (text === wanted ? 0 : 1) : text.includes(`_${wanted}`) ? 2 : 3
    found.push({ one, rank })
  }
  found.sort((a, b) => a.rank - b.rank || (kept ? 0 : a.one.text.length - b.one.text.length || (a.one.text < b.one.text ? -1 : 1)))
  // What is written whole and stands alone needs no help.
  if (found.length === 1 && found[0]?.rank === 0) return []
  return found.slice(0, MOST).map(({ one }) => one)
}
