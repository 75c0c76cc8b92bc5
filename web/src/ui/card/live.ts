/**
 * The moving part of a card: makes the plan of its families, chooses what draws it and lets that draw when the queue says so.
 * Preact made the elements and never sees a value.
 */
import { cloudSheet, factSheet, spreadSheet, timeSheet } from '../../export/sheet'
import type { Facts, Sheet } from '../../export/sheet'
import type { LegendItem, Picture } from '../../export/png'
import { QUANTILE_SPAN_MS } from '../../model/derive'
import { fitting, misfit } from '../../model/fit'
import { joinedName, makeGroup } from '../../model/group'
import { groupLabels } from '../../model/lines'
import { makePlan } from '../../model/plan'
import type { Plan } from '../../model/plan'
import { promqlOf } from '../../model/promql'
import type { CardSpec, Choice, View } from '../../model/spec'
import type { FamilyInfo, Store } from '../../model/store'
import type { Card, Page } from '../../page'
import { say } from '../say'
import { Sight } from '../sight'
import type { Watched } from '../watch'
import { AgeBody } from './age'
import { BarsBody } from './bars'
import { ChipsBody } from './chips'
import { Face } from './face'
import { GaugeBody } from './gauge'
import { Ground } from './ground'
import type { Body, Parts } from './ground'
import { unitOfPlan } from './headline'
import { HistogramBody } from './histogram'
import { LinesBody } from './lines'
import { MisfitBody } from './misfit'
import { ScatterBody } from './scatter'
import { TableBody } from './table'
import { ValueBody } from './value'

/** One picture each; others hold rows, buttons, or words over a chart that lead to an alert. */
const PICTURES: ReadonlySet<string> = new Set(['bars', 'gauge', 'histogram', 'scatter', 'value'])

/** Put before the place of what is not on the screen: more than there are cards. */
const OFF_SCREEN = 1e5

export class LiveCard implements Card, Watched {
  /** Place among the cards, set when they are laid out. */
  place = 0
  private plan: Plan | null = null
  private planned = 0
  private body: Body | null = null
  private readonly sight = new Sight()
  private hovered = false
  private readonly ground: Ground
  private readonly face: Face

  constructor(
    private readonly page: Page,
    source: Store,
    /** What is shown: one family, or several that are one thing. */
    private readonly families: readonly FamilyInfo[],
    parts: Parts,
  ) {
    this.ground = new Ground(page, source, () => (families.length === 1 ? (families[0]?.series ?? []) : families.flatMap((family) => family.series)), parts, this)
    this.face = new Face(this.ground)
    page.cards.add(this)
    parts.root.addEventListener('pointerenter', () => (this.hovered = true))
    parts.root.addEventListener('pointerleave', () => (this.hovered = false))
    parts.root.addEventListener('focus', () => {
      this.describe()
    })
    parts.root.addEventListener('blur', () => {
      this.body?.clearCursor?.()
      page.point(null)
    })
  }

  /** How it is shown from now on. */
  show(spec: CardSpec, choose: (choice: Choice) => void): void {
    this.ground.spec = spec
    this.ground.choose = choose
    this.plan = null
    this.changed()
  }

  /** What is on the screen goes first, of that the topmost. */
  rank(): number {
    return this.hovered ? -1 : this.sight.seen ? this.place : this.place + OFF_SCREEN
  }

  /** The card came near the screen or left it: charts are made on sight and destroyed far away. */
  setNear(near: boolean): void {
    if (near === this.sight.near) return
    this.sight.setNear(near)
    if (near) this.page.queue.mark(this)
    else {
      this.ground.past.stop()
      this.dropBody()
    }
  }

  setSeen(seen: boolean): void {
    this.sight.seen = seen
    if (!seen) return
    this.cursorMoved()
    this.page.queue.mark(this)
  }

  setSize(width: number, height: number): void {
    if (width === this.ground.width && height === this.ground.height) return
    this.ground.width = width
    this.ground.height = height
    this.face.reshape()
    this.body?.resize?.()
    this.changed()
  }

  /** It is worth drawing, seen or not. */
  changed(): void {
    this.sight.changed()
    if (this.sight.near) this.page.queue.mark(this)
  }

  restyle(): void {
    this.sight.changed()
    this.body?.restyle?.()
    this.textsDue()
  }

  textsDue(): void {
    this.face.textsDue()
  }

  cursorMoved(): void {
    if (!this.sight.seen) return
    // What has no axis of time tells of another moment all the same.
    if (this.body?.followCursor !== undefined) this.body.followCursor()
    else {
      this.textsDue()
      this.page.queue.mark(this)
    }
  }

  happened(): void {
    this.sight.changed()
    this.body?.restyle?.()
  }

  /** Moves the cursor by points and says what stands there. */
  moveCursor(by: number): void {
    this.body?.moveCursor?.(by)
    this.describe()
    say(this.said())
  }

  destroy(): void {
    this.page.cards.delete(this)
    this.page.queue.forget(this)
    this.ground.past.stop()
    this.dropBody()
  }

  draw(): void {
    const { ground, sight } = this
    if (!sight.wanted || ground.width <= 0 || ground.source.lastTime === 0) return
    const plan = this.currentPlan()
    // While paused there may be no draw after this one that would set the digits.
    if (ground.renew()) this.restyle()
    this.body ??= this.makeBody(plan)
    this.body.draw()
    sight.drawn()
  }

  /** The views that suit what is shown, its own first; empty before it was drawn. */
  get views(): readonly View[] {
    const { view: _, ...rest } = this.ground.spec
    return fitting(this.makePlan(undefined, rest))
  }

  get view(): View | null {
    return this.plan !== null && 'view' in this.plan ? this.plan.view : null
  }

  /** Labels by which the series can be put together. */
  get labels(): readonly string[] {
    return this.families.length === 1 ? groupLabels(this.ground.series()).map(({ label }) => label) : []
  }

  get promql(): string {
    return promqlOf(this.ground.spec, this.families, this.plan)
  }

  /** What is shown, as rows. */
  sheet(): Sheet {
    const { ground, plan, body } = this
    const { from, to } = ground
    const facts: Facts = { title: ground.parts.root.dataset.title ?? '', query: this.promql, unit: plan === null ? '' : unitOfPlan(plan), from, to }
    if (body instanceof HistogramBody) return spreadSheet(facts, body.spread)
    if (body instanceof ScatterBody) return cloudSheet(facts, ground.spec.against ?? 'x', facts.query, body.cloud)
    if (plan === null || !('lines' in plan)) return factSheet(facts, ground.series())
    return timeSheet(facts, ground.columns, plan, (key, time) => ground.source.digits(key, time))
  }

  /** What is shown, as a drawing. */
  picture(): Picture {
    const { ground, body } = this
    const { parts } = ground
    const text = (part: HTMLElement) => part.textContent.trim()
    return {
      title: parts.root.dataset.title ?? '',
      source: text(parts.source),
      value: `${text(parts.value)} ${text(parts.unit)}`,
      word: text(parts.word),
      legend: [...parts.legend.children].filter((item) => item.tagName !== 'BUTTON').map((item): LegendItem => {
        const swatch = item.querySelector('.swatch')
        const words = item.children.length === 0 ? item.textContent : [...item.children].map((part) => part.textContent).filter((part) => part !== '').join(' ')
        return { text: words, colour: swatch === null ? null : getComputedStyle(swatch).getPropertyValue('--ink') || getComputedStyle(swatch).backgroundColor }
      }),
      width: ground.width,
      height: ground.height,
      paint: (context, width, height) => body?.paint(context, width, height),
    }
  }

  private currentPlan(): Plan {
    const { ground } = this
    const count = ground.series().length
    if (this.plan === null || this.planned !== count) {
      this.plan = this.makePlan(this.plan ?? undefined, ground.spec)
      this.planned = count
      this.dropBody()
      const { parts, spec } = ground
      parts.source.textContent = sourceLine(spec.query ?? joinedName(this.families.map((family) => family.name)), this.plan)
      parts.root.dataset.kind = this.plan.kind
      const view = misfit(this.plan, spec) === null ? (this.view ?? this.plan.kind) : 'misfit'
      parts.root.dataset.view = view
      parts.body.setAttribute('role', PICTURES.has(view) ? 'img' : 'group')
    }
    return this.plan
  }

  private makePlan(before: Plan | undefined, spec: CardSpec): Plan {
    const { ground: { source }, families } = this
    const [only] = families
    const size = (key: number) => source.value(key)
    return only !== undefined && families.length === 1 ? makePlan(only, size, before, spec, (name) => source.families.get(name)) : makeGroup(families, size, before, spec)
  }

  private makeBody(plan: Plan): Body {
    const { ground, face } = this
    const wrong = misfit(plan, ground.spec)
    if (wrong !== null) return new MisfitBody(ground, face, wrong)
    if (plan.kind === 'chips') return new ChipsBody(ground, face, plan)
    if (plan.kind === 'age') return new AgeBody(ground, face, plan)
    switch (plan.view) {
      case 'bars':
        return new BarsBody(ground, face, plan)
      case 'gauge':
        return new GaugeBody(ground, face, plan)
      case 'histogram':
        return new HistogramBody(ground, face, plan)
      case 'scatter':
        return new ScatterBody(ground, face, plan, ground.spec.against ?? '')
      case 'table':
        return new TableBody(ground, face, plan)
      case 'value':
        return new ValueBody(ground, face, plan)
      default:
        return new LinesBody(ground, face, plan)
    }
  }

  private dropBody(): void {
    this.body?.destroy?.()
    this.body = null
    this.face.reshape()
    this.face.textsDue()
  }

  /** What a screen reader is told, renewed on focus and not per tick. */
  private describe(): void {
    this.ground.parts.body.setAttribute('aria-label', this.said())
  }

  private said(): string {
    const { parts } = this.ground
    const number = [parts.value, parts.unit, parts.word, parts.root.querySelector('.time-tag:not([hidden])')].map((part) => part?.textContent ?? '').filter((text) => text !== '').join(' ')
    const legend = [...parts.legend.children].map((item) => [...(item.children.length === 0 ? [item] : item.children)].map((part) => part.textContent).filter((text) => text !== '').join(' '))
    return `${parts.root.dataset.title ?? ''} ${number}, ${legend.join(', ')}`
  }
}

/** The line under the title: the raw name and how the series are shown. */
function sourceLine(source: string, plan: Plan): string {
  const parts = [source]
  if ('by' in plan) parts.push(`by ${plan.by}`)
  if (plan.kind === 'quantiles') parts.push(plan.view === 'histogram' ? 'last 60 s' : `last ${QUANTILE_SPAN_MS / 1000} s`)
  if (plan.kind === 'lines' && (plan.view === 'lines' || plan.view === 'area')) {
    const named = plan.lines.filter((line) => !line.other && line.grey !== true).length
    if (named < plan.total && plan.total > 3) parts.push(`top ${named} of ${plan.total}`)
  }
  return parts.join(' · ')
}
