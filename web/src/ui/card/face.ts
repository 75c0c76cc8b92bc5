/** The words and numbers around a chart: header and legend. Elements are made when their shape changes, else only texts. */
import { age, format, formatText } from '../../format/number'
import type { Shown, Unit } from '../../format/number'
import { groupLabels } from '../../model/lines'
import type { Line, Plan } from '../../model/plan'
import { element, labelled, setText } from '../dom'
import type { Ground, LinePlan } from './ground'

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
  private restShape = ''

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
    if (!page.connected && !cursor && page.pausedAt === null) return `${age(page.silenceMs / 1000)} ago`
    if (page.late && !cursor && page.pausedAt === null) return `late ${age(page.silenceMs / 1000)}`
    if (!ended || !('lines' in plan)) return word
    const since = plan.lines.flatMap((line: Line) => line.keys.map((key) => source.stale(key) ?? 0))
    return `stale ${age((source.lastTime - Math.max(...since)) / 1000)}`
  }

  /** What has no place in the picture: how many of how many are shown, and a way to put them together. */
  rest(plan: LinePlan, shown: number, others = ''): void {
    const { parts, choose, series } = this.ground
    const total = countOf(plan)
    const text = others !== '' ? others : total > shown ? `${whole(shown)} of ${whole(total)} shown` : ''
    const by = total > plan.lines.length && !('by' in plan) ? groupLabels(series()).find(({ groups }) => groups > 1 && groups < total) : undefined
    const shape = `rest ${by?.label ?? ''}`
    if (this.restShape !== shape || parts.legend.querySelector('.rest') === null) {
      this.restShape = shape
      const said = element('span', 'rest')
      parts.legend.replaceChildren(said)
      if (by !== undefined) parts.legend.append(this.groupButton(by.label, choose))
    }
    setText(parts.legend.querySelector('.rest'), text)
  }

  private groupButton(label: string, choose: Ground['choose']): HTMLElement {
    const button = element('button', 'link')
    button.setAttribute('type', 'button')
    button.textContent = `by ${label}`
    button.title = `Put together by ${label}`
    button.addEventListener('click', () => {
      choose({ by: label })
    })
    return button
  }

  /** As many entries as fit, each with its value, then how many of `total` there are more. */
  legend(entries: readonly Entry[], plan: LinePlan, unit: Unit, value: (entry: number) => number, valued = true): void {
    const total = countOf(plan)
    const most = total > plan.lines.length ? `${whole(plan.lines.length)} of ${whole(total)}` : ''
    const by = most === '' || 'by' in plan ? undefined : groupLabels(this.ground.series()).find(({ groups }) => groups > 1 && groups < total)
    const aside = most === '' ? 0 : (most.length + (by === undefined ? 0 : by.label.length + 5)) * 6.6
    const shown = fitting(entries.map((entry) => entry.label), this.ground.width - PADDING - aside, valued)
    if (!this.shaped(`${shown} ${total} ${by?.label ?? ''}`)) {
      this.values = []
      const items: Node[] = entries.slice(0, shown).map(({ label, slot, dashed }) => {
        const item = element('span', 'key')
        const number = element('b')
        this.values.push(number)
        item.append(element('i', `swatch ${slot === null ? 'ink' : slot < 0 ? 'other' : `s${slot + 1}`}${dashed ? ' dashed' : ''}`), labelled('span', 'label', label), number)
        return item
      })
      if (most !== '') {
        const more = element('span', 'more')
        more.textContent = most
        more.title = `${whole(plan.lines.length)} of ${whole(total)} series shown, the largest in colour`
        items.push(more, ...(by === undefined ? [] : [this.groupButton(by.label, this.ground.choose)]))
      } else if (total > shown) {
        const more = element('span', 'more')
        more.textContent = `+${total - shown}`
        more.title = `${total - shown} more`
        items.push(more)
      }
      this.ground.parts.legend.replaceChildren(...items)
    }
    this.values.forEach((number, i) => {
      setText(number, valued ? formatText(value(i), unit) : '')
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
function fitting(labels: readonly string[], width: number, valued: boolean): number {
  let used = 0
  for (let i = 0; i < labels.length; i++) {
    used += 28 + Math.min(96, (labels[i]?.length ?? 0) * 6.6) + (valued ? 58 : 0)
    const room = i === labels.length - 1 ? width : width - 28
    if (used > room + 10) return Math.max(1, i)
  }
  return labels.length
}

function whole(count: number): string {
  return format(count, 'count').text
}

/** How many lines there could be: a share and the quantiles of all are whole as they are. */
export function countOf(plan: LinePlan): number {
  return plan.kind === 'share' || (plan.kind === 'quantiles' && plan.by === undefined) ? plan.lines.length : plan.total
}
