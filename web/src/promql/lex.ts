/**
 * The words of a PromQL text, with their places. It takes any text, finished or not: what is being typed is seldom whole.
 * The server judges what is right; this only tells where the cursor is and what a result is measured in.
 */

export type TokenKind =
  /** A name: of a metric, a label, a function, a keyword. */
  | 'name'
  | 'number'
  /** `5m`, `1h30m` */
  | 'duration'
  /** With its quotes; the closing one may be missing. */
  | 'string'
  /** Brackets, commas, operators. */
  | 'sign'

export interface Token {
  readonly kind: TokenKind
  readonly text: string
  readonly from: number
  /** Behind its last letter. */
  readonly to: number
}

/** Tried in this order at each place; all are sticky. */
const FORMS: readonly (readonly [TokenKind | null, RegExp])[] = [
  [null, /\s+|#[^\n]*/y],
  ['string', /"(?:[^"\\\n]|\\.)*"?|'(?:[^'\\\n]|\\.)*'?|`[^`]*`?/y],
  ['duration', /(?:\d+(?:ms|[smhdwy]))+(?![\w.])/y],
  ['number', /0x[\da-fA-F]+|(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?/y],
  ['name', /[a-zA-Z_:][\w:]*/y],
  ['sign', /=~|!~|!=|==|<=|>=|[^\s]/y],
]

export function lex(text: string): readonly Token[] {
  const tokens: Token[] = []
  for (let at = 0; at < text.length; ) {
    for (const [kind, form] of FORMS) {
      form.lastIndex = at
      const found = form.exec(text)?.[0]
      if (found === undefined || found === '') continue
      if (kind !== null) tokens.push({ kind, text: found, from: at, to: at + found.length })
      at += found.length
      break
    }
  }
  return tokens
}

/** Whether a string token has its closing quote. */
export function closed({ text }: Token): boolean {
  if (text.length < 2 || text.at(-1) !== text[0]) return false
  // A quote behind an odd number of backslashes is one of the text.
  return text.startsWith('`') || (/\\*$/.exec(text.slice(0, -1))?.[0].length ?? 0) % 2 === 0
}

/** What a string token says. Escapes beyond those of quotes and backslashes stay as they are written. */
export function content(token: Token): string {
  const inside = token.text.slice(1, closed(token) ? -1 : undefined)
  return token.text.startsWith('`') ? inside : inside.replace(/\\(["'\\])/g, '$1')
}

/** A label value as PromQL writes it. */
export function quoted(value: string): string {
  return `"${value.replace(/[\\"]/g, '\\$&').replace(/\n/g, '\\n')}"`
}
