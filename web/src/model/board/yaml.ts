/**
 * Reads YAML, and JSON, which is YAML too, into plain values that remember where they stood. The grammar is js-yaml's; of it
 * texts, whole numbers, yes and no, lists and mappings are taken, and no anchors, so that no text unfolds to more than it is.
 *
 * A file of its own in the build (`yaml.js`): only who imports a board needs it.
 */
import { EVENT_ID, getScalarValue, parseEvents, SCALAR_STYLE, YAMLException } from 'js-yaml'
import type { Event, ScalarEvent } from 'js-yaml'

type Node = { readonly start: number } & ({ readonly scalar: unknown } | { readonly items: readonly Node[] } | { readonly pairs: ReadonlyMap<string, { readonly start: number; readonly value: Node }> })

export type ReadYaml =
  | {
      readonly value: unknown
      /** Line and column of the place, or of the nearest above it that there is. */
      readonly at: (path: readonly (string | number)[]) => string
    }
  | { readonly refused: string }

/** Their text begins behind a quote. */
const QUOTED: ReadonlySet<number> = new Set([SCALAR_STYLE.SINGLE_QUOTED, SCALAR_STYLE.DOUBLE_QUOTED])
/** Deeper than any board. */
const MOST_DEPTH = 16

export function readYaml(text: string): ReadYaml {
  try {
    const root = new Reader(text).document()
    return { value: plain(root), at: (path) => place(text, startOf(root, path)) }
  } catch (error) {
    if (error instanceof Refused) return { refused: `${place(text, error.start)}: ${error.message}` }
    if (!(error instanceof YAMLException)) throw error
    const words = error.reason.charAt(0).toUpperCase() + error.reason.slice(1)
    return { refused: error.mark === undefined ? `${words}.` : `line ${error.mark.line + 1}, column ${error.mark.column + 1}: ${words}.` }
  }
}

class Refused extends Error {
  constructor(
    message: string,
    readonly start: number,
  ) {
    super(message)
  }
}

class Reader {
  private readonly events: readonly Event[]
  private next = 0

  constructor(private readonly text: string) {
    this.events = parseEvents(text, { maxDepth: MOST_DEPTH })
  }

  document(): Node {
    if (this.take()?.type !== EVENT_ID.DOCUMENT) throw new Refused('There is nothing in it.', 0)
    if (this.events.filter(({ type }) => type === EVENT_ID.DOCUMENT).length > 1) throw new Refused('One document is read, and there are several.', 0)
    return this.node()
  }

  private take(): Event | undefined {
    return this.events[this.next++]
  }

  private node(): Node {
    const event = this.take()
    if (event?.type === EVENT_ID.ALIAS) throw new Refused('Anchors and aliases are not read here.', event.anchorStart - 1)
    if (event === undefined || event.type === EVENT_ID.DOCUMENT || event.type === EVENT_ID.POP) throw new Refused('There is nothing in it.', 0)
    if (event.anchorStart >= 0) throw new Refused('Anchors and aliases are not read here.', event.anchorStart - 1)
    if (event.tagStart >= 0) throw new Refused('Tags are not read here.', event.tagStart)
    if (event.type === EVENT_ID.SCALAR) return { start: Math.max(0, event.valueStart - Number(QUOTED.has(event.style))), scalar: this.scalar(event) }
    if (event.type === EVENT_ID.SEQUENCE) {
      const items: Node[] = []
      while (!this.ends()) items.push(this.node())
      return { start: event.start, items }
    }
    const pairs = new Map<string, { start: number; value: Node }>()
    while (!this.ends()) {
      const key = this.node()
      if (!('scalar' in key)) throw new Refused('A key is a word.', key.start)
      const name = String(key.scalar)
      if (pairs.has(name)) throw new Refused(`“${name}” is there twice.`, key.start)
      pairs.set(name, { start: key.start, value: this.node() })
    }
    return { start: event.start, pairs }
  }

  private ends(): boolean {
    if (this.events[this.next]?.type !== EVENT_ID.POP) return false
    this.next++
    return true
  }

  private scalar(event: ScalarEvent): unknown {
    if (event.valueStart < 0) return null
    const text = getScalarValue(this.text, event)
    if (event.style !== SCALAR_STYLE.PLAIN) return text
    if (/^(~|null|Null|NULL|)$/.test(text)) return null
    if (/^(true|True|TRUE)$/.test(text)) return true
    if (/^(false|False|FALSE)$/.test(text)) return false
    return /^[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?$/.test(text) ? Number(text) : text
  }
}

function plain(node: Node): unknown {
  if ('scalar' in node) return node.scalar
  if ('items' in node) return node.items.map(plain)
  return Object.fromEntries([...node.pairs].map(([name, { value }]) => [name, plain(value)]))
}

/** Where something begins in the text; a key at its name. */
function startOf(root: Node, path: readonly (string | number)[]): number {
  let node = root
  let { start } = root
  for (const part of path) {
    if (typeof part === 'number') {
      const item = 'items' in node ? node.items[part] : undefined
      if (item === undefined) return start
      node = item
      ;({ start } = item)
    } else {
      const pair = 'pairs' in node ? node.pairs.get(part) : undefined
      if (pair === undefined) return start
      node = pair.value
      ;({ start } = pair)
    }
  }
  return start
}

function place(text: string, start: number): string {
  const before = text.slice(0, Math.max(0, start))
  return `line ${before.split('\n').length}, column ${before.length - before.lastIndexOf('\n')}`
}
