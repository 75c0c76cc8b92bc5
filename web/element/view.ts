/**
 * What an element looks like: a title, the number, and by type a line, an arc or bars. SVG and CSS rather than a canvas: a
 * few hundred points a second cost nothing, and colours follow the page by themselves.
 */
import { format, formatText } from '../src/format/number'
import type { Unit } from '../src/format/number'
import { unitOf } from '../src/format/unit'
import type { Line, Lines } from './lines'
import { levelOf } from './settings'
import type { Settings } from './settings'
import { CSS, SERIES } from './style'

/** More bars have no room; what is beyond is said. */
const MOST_BARS = 8
const LEVELS = ['', 'warning', 'critical'] as const
/** The drawing's own coordinates; CSS says how large that is. */
const WIDTH = 300
const HEIGHT = 100

let sheet: CSSStyleSheet | undefined

export class View {
  private readonly box = element('div', 'box')
  private readonly title = element('p', 'title')
  private readonly value = element('b', 'value')
  private readonly unit = element('span', 'unit')
  private readonly word = element('span', 'word')
  private readonly level = element('span', 'level')
  private readonly body = element('div', 'body')
  private readonly state = element('p', 'state')
  private shape = ''

  constructor(root: ShadowRoot) {
    if (sheet === undefined) {
      sheet = new CSSStyleSheet()
      sheet.replaceSync(CSS)
    }
    root.adoptedStyleSheets = [sheet]
    const now = element('p', 'now')
    for (const part of [this.title, this.value, this.unit, this.state, this.body]) part.setAttribute('part', part.className)
    // Read out when they change; the number itself is not, once a second.
    for (const part of [this.level, this.state]) part.setAttribute('role', 'status')
    now.append(this.value, ' ', this.unit, ' ', this.word, ' ', this.level)
    this.box.append(this.title, now, this.body, this.state)
    root.append(this.box)
  }

  draw(settings: Settings, lines: Lines, state: string, words: string): void {
    const { all } = lines
    const unit = unitFor(settings.unit, all[0])
    const number = highest(all)
    const shown = write(number, settings.unit, unit)
    const level = levelOf(number, settings.thresholds)
    this.box.className = `box of-${settings.type} ${state} ${LEVELS[level]}`
    set(this.title, settings.title)
    this.title.title = settings.title
    set(this.value, shown.text)
    set(this.unit, shown.unit)
    set(this.word, all.length > 1 && settings.type !== 'bar' ? `highest of ${all.length}` : '')
    set(this.level, LEVELS[level])
    set(this.state, words)
    if (this.shape !== settings.type) {
      this.shape = settings.type
      this.body.replaceChildren()
    }
    if (settings.type === 'line') this.drawLine(settings, lines, unit)
    else if (settings.type === 'gauge') this.drawGauge(settings, number, unit)
    else if (settings.type === 'bar') this.drawBars(settings, all, unit)
  }

  private drawLine(settings: Settings, { all, time }: Lines, unit: Unit): void {
    const { windowMs, thresholds } = settings
    const shown = all.slice(0, SERIES)
    const values = shown.flatMap((line) => line.values).filter(Number.isFinite)
    const low = settings.min ?? Math.min(0, ...values)
    const high = settings.max ?? top(Math.max(low, ...values), low, unit)
    const x = (at: number) => (1 - (time - at) / windowMs) * WIDTH
    const y = (value: number) => (1 - (value - low) / (high - low)) * HEIGHT
    const picture = this.picture(`0 0 ${WIDTH} ${HEIGHT}`)
    picture.setAttribute('preserveAspectRatio', 'none')
    const limits = thresholds.map((limit, i) => ['path', `limit ${LEVELS[i + 1] ?? ''}`, `M0 ${y(limit).toFixed(1)}H${WIDTH}`] as const)
    keep(picture, [['path', 'grid', `M0 0H${WIDTH}M0 ${HEIGHT / 2}H${WIDTH}M0 ${HEIGHT}H${WIDTH}`], ...limits, ...shown.map((line, i) => ['path', `line s${i + 1}`, path(line, x, y)] as const)])
    const range = values.length === 0 ? 'no values yet' : `${formatText(Math.min(...values), unit)} to ${formatText(Math.max(...values), unit)} in ${settings.window}`
    picture.setAttribute('aria-label', range)
    this.labels([write(high, settings.unit, unit), write(low, settings.unit, unit)].map(({ text, unit: after }) => `${text} ${after}`.trim()))
  }

  private drawGauge(settings: Settings, value: number, unit: Unit): void {
    const low = settings.min ?? 0
    const high = settings.max ?? top(value, low, unit)
    const share = Math.max(0, Math.min(1, (value - low) / (high - low))) || 0
    const picture = this.picture('0 0 100 78')
    // 240 degrees around (50, 50), from the lower left to the lower right.
    const arc = 'M12.8 71.5A43 43 0 1 1 87.2 71.5'
    keep(picture, [['path', 'track', arc], ['path', 'line s1 arc', arc]])
    for (const part of picture.children) part.setAttribute('pathLength', '100')
    picture.lastElementChild?.setAttribute('stroke-dasharray', `${(share * 100).toFixed(2)} 200`)
    picture.setAttribute('aria-label', `${Math.round(share * 100)} % of the range from ${formatText(low, unit)} to ${formatText(high, unit)}`)
    this.labels([low, high].map((end) => write(end, settings.unit, unit)).map(({ text, unit: after }) => `${text} ${after}`.trim()))
  }

  private drawBars(settings: Settings, all: readonly Line[], unit: Unit): void {
    const sorted = [...all].sort((a, b) => zero(b.series.value) - zero(a.series.value))
    // Where all have room none changes its place.
    const shown = all.length <= MOST_BARS ? all : sorted.slice(0, MOST_BARS)
    const low = settings.min ?? 0
    const high = settings.max ?? Math.max(low, ...shown.map(({ series }) => zero(series.value)))
    let list = this.body.querySelector('ul')
    if (list === null) {
      list = element('ul', 'bars')
      this.body.append(list, element('p', 'more'))
    }
    while (list.children.length > shown.length) list.lastElementChild?.remove()
    while (list.children.length < shown.length) {
      const row = element('li', '')
      row.append(element('span', 'label'), element('i', 'bar'), element('b', ''))
      list.append(row)
    }
    const labels = namesOf(shown)
    shown.forEach(({ series }, i) => {
      const row = list.children[i]
      const [label, bar, number] = row?.children ?? []
      if (row === undefined || !(label instanceof HTMLElement) || !(bar instanceof HTMLElement)) return
      const word = LEVELS[levelOf(series.value, settings.thresholds)]
      row.className = word
      set(label, labels[i] ?? '')
      label.title = series.key
      bar.style.setProperty('--share', String(Math.max(0, Math.min(1, (series.value - low) / (high - low))) || 0))
      const { text, unit: after } = write(series.value, settings.unit, unit)
      set(number, `${text} ${after}${word === '' ? '' : `, ${word}`}`.trim())
    })
    set(this.body.querySelector('.more'), all.length > shown.length ? `${all.length - shown.length} more` : '')
  }

  /** The drawing of this element, made once. */
  private picture(viewBox: string): SVGSVGElement {
    let picture = this.body.querySelector('svg')
    if (picture === null) {
      picture = document.createElementNS('http://www.w3.org/2000/svg', 'svg')
      picture.setAttribute('role', 'img')
      picture.setAttribute('viewBox', viewBox)
      const ends = element('p', 'ends')
      ends.append(element('span', ''), element('span', ''))
      // They are in the label of the drawing too.
      ends.setAttribute('aria-hidden', 'true')
      this.body.append(picture, ends)
    }
    return picture
  }

  private labels(texts: readonly string[]): void {
    this.body.querySelectorAll('.ends span').forEach((span, i) => {
      set(span, texts[i] ?? '')
    })
  }
}

/** Makes the children of a drawing these, and touches only what is new. */
function keep(picture: SVGSVGElement, parts: readonly (readonly [name: 'path', className: string, d: string])[]): void {
  while (picture.children.length > parts.length) picture.lastElementChild?.remove()
  parts.forEach(([name, className, d], i) => {
    let part = picture.children[i]
    if (part === undefined) {
      part = document.createElementNS('http://www.w3.org/2000/svg', name)
      picture.append(part)
    }
    part.setAttribute('class', className)
    part.setAttribute('d', d)
  })
}

function path({ times, values }: Line, x: (time: number) => number, y: (value: number) => number): string {
  let d = ''
  let pen = 'M'
  times.forEach((time, i) => {
    const value = values[i] ?? NaN
    if (!Number.isFinite(value)) {
      pen = 'M'
      return
    }
    d += `${pen}${x(time).toFixed(1)} ${y(value).toFixed(1)}`
    pen = 'L'
  })
  return d
}

/** The upper end of an axis: the next of 1, 1.5, 2, 3, 5 × 10ⁿ, or of powers of two where bytes are counted; all of a share. */
function top(greatest: number, low: number, unit: Unit): number {
  if (unit === 'ratio' && greatest <= 1) return 1
  if (unit === 'percent' && greatest <= 100) return 100
  if (!(greatest > 0) || !Number.isFinite(greatest)) return low + 1
  if (unit === 'bytes' || unit === 'bytes/s') return 2 ** Math.ceil(Math.log2(greatest))
  const step = 10 ** Math.floor(Math.log10(greatest))
  return ([1, 1.5, 2, 3, 5].find((one) => one * step >= greatest) ?? 10) * step
}

function highest(all: readonly Line[]): number {
  const values = all.map(({ series }) => series.value).filter((value) => !Number.isNaN(value))
  return values.length === 0 ? NaN : Math.max(...values)
}

/** The unit that is named, if it is one that is known; else that of the metric. */
function unitFor(named: string, line: Line | undefined): Unit {
  const { name = '', unit = '' } = line?.series ?? {}
  return named === 'bytes/s' || named === 'rate' ? named : unitOf(named === '' ? name : '', named === '' ? unit : named)
}

/** A unit that nobody knows stands after the number as it is. */
function write(value: number, named: string, unit: Unit): { readonly text: string; readonly unit: string } {
  const shown = format(value, unit)
  return unit === 'count' && named !== '' && named !== 'count' ? { ...shown, unit: `${shown.unit}${shown.unit === '' ? '' : ' '}${named}` } : shown
}

/** By what the series differ: the values of their labels, or the name. */
function namesOf(lines: readonly Line[]): readonly string[] {
  const all = lines.map(({ series }) => series.labels)
  const differing = [...new Set(all.flatMap((labels) => Object.keys(labels)))].filter((label) => new Set(all.map((labels) => labels[label])).size > 1)
  return lines.map(({ series }) => differing.map((label) => series.labels[label] ?? '').filter((value) => value !== '').join(' ') || series.key)
}

function zero(value: number): number {
  return Number.isNaN(value) ? 0 : value
}

function element<K extends keyof HTMLElementTagNameMap>(name: K, className: string): HTMLElementTagNameMap[K] {
  const made = document.createElement(name)
  made.className = className
  return made
}

function set(element: Element | null | undefined, text: string): void {
  if (element != null && element.textContent !== text) element.textContent = text
}
