/**
 * What lies over and under the lines of a chart: when something was unusual (grey), when an alert fired (a tint and a bar on
 * top, in the colour of its severity), the limits of rules (dashed), and gaps. The words are links to the alert.
 */
import uPlot from 'uplot'
import { withAlpha } from '../theme'
import type { Palette } from '../theme'
import type { Marks, Mark } from '../model/marks'

/** How dense a tint is. */
const TINT = 0.13
const UNUSUAL = 0.14
const BAR = 2
/** So many words have room. */
const MOST_WORDS = 3
/** A gap narrower than this (CSS pixels) is seen without being said. */
const GAP_WORD = 56

export class Overlay {
  private readonly words: HTMLElement
  private shape = ''

  /**
   * @param tinted whether time is tinted: of a heatmap the colours are values.
   * @param place where a value of a limit is on the y scale; NaN if it cannot be.
   */
  constructor(
    private readonly plot: uPlot,
    private readonly palette: () => Palette,
    private readonly tinted: boolean,
    private readonly place: (value: number) => number,
  ) {
    this.words = document.createElement('div')
    this.words.className = 'marks'
    plot.over.append(this.words)
  }

  /** Under the lines. */
  drawUnder(marks: Marks): void {
    const { plot: { ctx, bbox } } = this
    const palette = this.palette()
    for (const { from, to } of marks.unusual) {
      const [left, width] = this.across(from, to)
      if (width <= 0) continue
      ctx.fillStyle = withAlpha(palette.other, UNUSUAL)
      ctx.fillRect(left, bbox.top, width, bbox.height)
    }
    for (const { from, to, severity } of this.tinted ? marks.fired : []) {
      const [left, width] = this.across(from, to)
      if (width <= 0) continue
      ctx.fillStyle = withAlpha(palette.severity[severity], TINT)
      ctx.fillRect(left, bbox.top, width, bbox.height)
    }
  }

  /** Over the lines. */
  drawOver(marks: Marks): void {
    const { plot: { ctx, bbox } } = this
    const palette = this.palette()
    const ratio = devicePixelRatio
    for (const { from, to, severity } of marks.fired) {
      const [left, width] = this.across(from, to)
      if (width <= 0) continue
      ctx.fillStyle = palette.severity[severity]
      ctx.fillRect(left, bbox.top, Math.max(ratio, width), BAR * ratio)
    }
    ctx.save()
    ctx.lineWidth = ratio
    ctx.setLineDash([4 * ratio, 3 * ratio])
    for (const { value, severity } of marks.limits) {
      const y = Math.round(this.plot.valToPos(this.place(value), 'y', true)) + ratio / 2
      if (!(y >= bbox.top && y <= bbox.top + bbox.height)) continue
      ctx.strokeStyle = palette.severity[severity]
      ctx.beginPath()
      ctx.moveTo(bbox.left, y)
      ctx.lineTo(bbox.left + bbox.width, y)
      ctx.stroke()
    }
    ctx.restore()
    this.setWords(marks)
  }

  /** Left and width of a span in the canvas, within the plot. */
  private across(from: number, to: number): [number, number] {
    const { bbox } = this.plot
    const at = (time: number) => Math.max(bbox.left, Math.min(bbox.left + bbox.width, this.plot.valToPos(time, 'x', true)))
    const left = at(from)
    return [left, at(to) - left]
  }

  private setWords(marks: Marks): void {
    const height = this.plot.over.clientHeight
    const said = marks.limits
      .map((limit) => ({ limit, y: this.plot.valToPos(this.place(limit.value), 'y') }))
      .filter(({ y }) => y >= 0 && y <= height)
      .slice(0, MOST_WORDS)
    // An alert whose limit is on the chart needs no other word.
    const named = marks.alerts.filter(({ id, to, from }) => !said.some(({ limit }) => limit.id === id) && this.across(from, to)[1] > 0).slice(-MOST_WORDS)
    // One name once, however many series it fires for.
    const unique = [...new Map(named.map((one) => [`${one.words} ${one.severity}`, one])).values()]
    const gaps = marks.gaps.map((gap) => ({ gap, left: this.plot.valToPos(gap.from, 'x'), right: this.plot.valToPos(gap.to, 'x') })).filter(({ left, right }) => right - left > GAP_WORD)
    const texts = [...said.map(({ limit }) => limit), ...unique]
    const shape = [...texts.map((mark) => `${mark.id}${mark.words}${mark.severity}`), ...gaps.map(({ gap }) => gap.words)].join('\n')
    if (shape !== this.shape) {
      this.shape = shape
      this.words.replaceChildren(...texts.map(link), ...gaps.map(({ gap }) => wordOf(gap.words)))
    }
    const items = [...this.words.children].filter((item) => item instanceof HTMLElement)
    said.forEach(({ y }, i) => {
      // Above its line, or below where there is no room.
      items[i]?.style.setProperty('transform', `translateY(${Math.round(y < 18 ? y + 2 : y - 17)}px)`)
    })
    unique.forEach((_, i) => items[said.length + i]?.style.setProperty('transform', `translateY(${4 + 17 * i}px)`))
    gaps.forEach(({ left, right }, i) => {
      const middle = Math.max(28, Math.min(this.plot.over.clientWidth - 28, (left + right) / 2))
      items[texts.length + i]?.style.setProperty('transform', `translate(${Math.round(middle)}px, ${Math.round(height / 2) - 8}px) translateX(-50%)`)
    })
  }
}

/** Words over the chart, which lead to the alert where there is one. */
function link({ id, words, title, severity }: Mark): HTMLElement {
  const made = document.createElement(id === '' ? 'span' : 'a')
  if (made instanceof HTMLAnchorElement) made.href = `#alerts/${encodeURIComponent(id)}`
  made.className = `mark ${severity}`
  made.textContent = words
  made.title = title
  return made
}

function wordOf(words: string): HTMLElement {
  const made = document.createElement('span')
  made.className = 'mark gap'
  made.textContent = words
  return made
}
