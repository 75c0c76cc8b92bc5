/** Boards as text: JSON and YAML out, both in. Reading takes the YAML reader along, a file of its own that is fetched when it is wanted. */
import type { Board, Checked, Problem } from './schema'
import { checkBoard, plainBoard } from './schema'

/** No board is longer (characters). */
export const MOST_TEXT = 256 * 1024

export function toJson(board: Board): string {
  return `${JSON.stringify(plainBoard(board), null, 2)}\n`
}

/** YAML with a line a key. Texts that could be anything else are quoted, as JSON quotes them, which YAML reads alike. */
export function toYaml(board: Board): string {
  const { cards, ...head } = plainBoard(board)
  const list = cards as readonly Readonly<Record<string, unknown>>[]
  const lines = [...entries(head), list.length === 0 ? 'cards: []' : 'cards:']
  for (const card of list) entries(card).forEach((line, i) => lines.push(`${i === 0 ? '  - ' : '    '}${line}`))
  return `${lines.join('\n')}\n`
}

function entries(mapping: Readonly<Record<string, unknown>>): readonly string[] {
  return Object.entries(mapping).map(([key, value]) => `${key}: ${typeof value === 'string' ? scalar(value) : String(value)}`)
}

/** Letters first, then nothing that YAML knows a meaning of, and no word that is not a text. */
function scalar(text: string): string {
  const plain = /^[A-Za-z_][\w .()/%-]*$/.test(text) && !text.endsWith(' ') && !/^(true|false|null|yes|no|on|off|y|n)$/i.test(text)
  // U+2028 and its like end lines in YAML 1.1.
  return plain ? text : JSON.stringify(text).replace(/[\u007f-\u009f\u2028\u2029\ufeff]/g, (one) => `\\u${one.charCodeAt(0).toString(16).padStart(4, '0')}`)
}

/** Reads a board from JSON or YAML; what is wrong is told with line and column. */
export async function readBoard(text: string): Promise<Board | { readonly refused: readonly string[] }> {
  if (text.length > MOST_TEXT) return { refused: [`A board has at most ${MOST_TEXT / 1024} KiB.`] }
  const { readYaml } = await import('./yaml')
  const read = readYaml(text)
  if ('refused' in read) return { refused: [read.refused] }
  const checked: Checked<Board> = checkBoard(read.value)
  if ('good' in checked) return checked.good
  return { refused: checked.problems.map((problem: Problem) => `${read.at(problem.path)}: ${problem.text}`) }
}
