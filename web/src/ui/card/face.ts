/** The words and numbers around a chart: header and legend. Elements are made when their shape changes, else only texts. */
import { age, formatText } from '../../format/number'
import type { Shown, Unit } from '../../format/number'
import type { Line, Plan } from '../../model/plan'
import { element, labelled, setText } from '../dom'
import type { Ground } from './ground'

/** Text changes at most so often (ms), however fast the charts. */
const TEXT_MS = 500
/** Space left and right of the legend. */
const PADDING = 24

/** An entry of the legend: `slot` is a series colour, −1 *other*, null the colour of text. */
export interface Entry {
  readonly label: string
  readonly slot: number | null
  readonly dashed: boolean
}

export class Face {
  private textAt = -Infinity
  private values: HTMLElement[] = []
  private shape = ''

  constructor(private readonly ground: Ground) {}

  /** Whether the texts may change now; then they do. `must` while somebody moves the cursor. */
  due(must = false): boolean {
    const now = performance.now()
    if (now - this.textAt < TEXT_MS - 20 && !must) return false
    this.textAt = now
    return true
  }

  /** The next draw sets the digits, however lately it did. */
  textsDue(): void {
    this.textAt = -Infinity
  }

  /** The legend is made anew by the next who sets it. */
  reshape(): void {
    this.shape = ''
  }

  /** Whether what stands in body or legend has this shape already; from now on it has. */
  shaped(shape: string): boolean {
    if (this.shape === shape) return true
    this.shape = shape
    return false
  }

  header(shown: Shown, word: string): void {
    const { parts } = this.ground
    setText(parts.value, shown.text)
    setText(parts.unit, shown.unit)
    setText(parts.word, word)
  }

  /** The word under the number; or how old the number is while it is not that of now. */
  word(plan: Plan, ended: boolean, word: string, cursor = false): string {
    const { page, source } = this.ground
    if (!page.connected && !cursor) return `${age(page.silenceMs / 1000)} ago`
    if (!ended || !('lines' in plan)) return word
    const since = plan.lines.flatMap((line: Line) => line.keys.map((key) => source.stale(key) ?? 0))
    return `stale ${age((source.lastTime - Math.max(...since)) / 1000)}`
  }

  /** As many entries as fit, each with its value, then how many of `total` there are more. */
  legend(entries: readonly Entry[], total: number, unit: Unit, value: (entry: number) => number): void {
    const shown = fitting(entries.map((entry) => entry.label), this.ground.width - PADDING)
    if (!this.shaped(`${shown} ${total}`)) {
      this.values = []
      const items: Node[] = entries.slice(0, shown).map(({ label, slot, dashed }) => {
        const item = element('span', 'key')
        const number = element('b')
        this.values.push(number)
        item.append(element('i', `swatch ${slot === null ? 'ink' : `s${slot + 1}`}${dashed ? ' dashed' : ''}`), labelled('span', 'label', label), number)
        return item
      })
      if (total > shown) {
        const more = element('span', 'more')
        more.textContent = `+${total - shown}`
        more.title = `${total - shown} more`
        items.push(more)
      }
      this.ground.parts.legend.replaceChildren(...items)
    }
    this.values.forEach((number, i) => {
      setText(number, formatText(value(i), unit))
    })
  }

  /** Names with values, or names alone. */
  stats(stats: readonly (readonly [string, string])[]): void {
    if (!this.shaped(`stats ${stats.map(([name, value]) => (value === '' ? '' : name)).join()}`)) {
      this.values = []
      this.ground.parts.legend.replaceChildren(
        ...stats.map(([, value]) => {
          const item = element('span', 'key')
          const label = element('span', 'label')
          this.values.push(label)
          item.append(label)
          if (value !== '') {
            const number = element('b')
            this.values.push(number)
            item.append(number)
          }
          return item
        }),
      )
    }
    let i = 0
    for (const [name, value] of stats) {
      setText(this.values[i++], name)
      if (value !== '') setText(this.values[i++], value)
    }
  }
}

/** How many legend entries fit in `width` pixels, by the mean width of a digit and a letter at 12 px. */
function fitting(labels: readonly string[], width: number): number {
  let used = 0
  for (let i = 0; i < labels.length; i++) {
    used += 28 + Math.min(96, (labels[i]?.length ?? 0) * 6.6) + 58
    const room = i === labels.length - 1 ? width : width - 28
    if (used > room + 10) return Math.max(1, i)
  }
  return labels.length
}
