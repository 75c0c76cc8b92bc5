/**
 * The moving part of a card: makes the plan of its family, chooses what draws it and lets that draw when the queue says so.
 * Preact made the elements and never sees a value.
 */
import { makePlan } from '../../model/plan'
import type { Plan } from '../../model/plan'
import { QUANTILE_SPAN_MS } from '../../model/derive'
import type { FamilyInfo, Store } from '../../model/store'
import type { Card, Page } from '../../page'
import type { Watched } from '../watch'
import { AgeBody } from './age'
import { BarsBody } from './bars'
import { ChipsBody } from './chips'
import { Face } from './face'
import { Ground } from './ground'
import type { Body, Parts } from './ground'
import { LinesBody } from './lines'

export class LiveCard implements Card, Watched {
  /** Place among the cards, set when they are laid out. */
  place = 0
  private plan: Plan | null = null
  private planned = 0
  private body: Body | null = null
  private near = false
  private hovered = false
  private readonly ground: Ground
  private readonly face: Face

  constructor(
    private readonly page: Page,
    source: Store,
    private readonly family: FamilyInfo,
    parts: Parts,
  ) {
    this.ground = new Ground(page, source, () => family.series, parts)
    this.face = new Face(this.ground)
    page.cards.add(this)
    parts.root.addEventListener('pointerenter', () => (this.hovered = true))
    parts.root.addEventListener('pointerleave', () => (this.hovered = false))
    parts.root.addEventListener('focus', () => {
      this.describe()
    })
    parts.root.addEventListener('blur', () => this.body?.clearCursor?.())
  }

  rank(): number {
    return this.hovered ? -1 : this.place
  }

  /** The card came near the screen or left it: charts are made on sight and destroyed far away. */
  setNear(near: boolean): void {
    if (near === this.near) return
    this.near = near
    if (near) this.page.queue.mark(this)
    else this.dropBody()
  }

  setSize(width: number, height: number): void {
    if (width === this.ground.width && height === this.ground.height) return
    this.ground.width = width
    this.ground.height = height
    this.face.reshape()
    this.body?.resize?.()
    if (this.near) this.page.queue.mark(this)
  }

  restyle(): void {
    this.body?.restyle?.()
    this.textsDue()
  }

  textsDue(): void {
    this.face.textsDue()
  }

  moveCursor(by: number): void {
    this.body?.moveCursor?.(by)
    this.describe()
  }

  destroy(): void {
    this.page.cards.delete(this)
    this.page.queue.forget(this)
    this.dropBody()
  }

  draw(): void {
    const { ground } = this
    if (!this.near || ground.width <= 0 || ground.source.lastTime === 0) return
    const plan = this.currentPlan()
    this.body ??= this.makeBody(plan)
    this.body.draw()
  }

  private currentPlan(): Plan {
    const { family, ground } = this
    if (this.plan === null || this.planned !== family.series.length) {
      this.plan = makePlan(family, (key) => ground.source.value(key), this.plan ?? undefined)
      this.planned = family.series.length
      this.dropBody()
      ground.parts.source.textContent = sourceLine(family.name, this.plan)
      ground.parts.root.dataset.kind = this.plan.kind
    }
    return this.plan
  }

  private makeBody(plan: Plan): Body {
    const { ground, face } = this
    switch (plan.kind) {
      case 'chips':
        return new ChipsBody(ground, face, plan)
      case 'age':
        return new AgeBody(ground, face, plan)
      case 'bars':
        return new BarsBody(ground, face, plan)
      default:
        return new LinesBody(ground, face, plan)
    }
  }

  private dropBody(): void {
    this.body?.destroy?.()
    this.body = null
    this.face.reshape()
  }

  /** What a screen reader is told, renewed on focus and not per tick. */
  private describe(): void {
    const { parts } = this.ground
    const number = [parts.value.textContent, parts.unit.textContent, parts.word.textContent].filter(Boolean).join(' ')
    parts.body.setAttribute('aria-label', `${parts.root.dataset.title ?? ''} ${number}, ${parts.legend.textContent}`)
  }
}

/** The line under the title: the raw name and how the series are shown. */
function sourceLine(source: string, plan: Plan): string {
  const parts = [source]
  switch (plan.kind) {
    case 'share':
      parts.push(`by ${plan.by}`)
      break
    case 'quantiles':
      parts.push(`last ${QUANTILE_SPAN_MS / 1000} s`)
      break
    case 'bars':
      parts.push(`top ${plan.lines.length} of ${plan.total}`)
      break
    case 'lines': {
      const named = plan.lines.filter((line) => !line.other).length
      if (named < plan.total) parts.push(`top ${named} of ${plan.total}`)
      break
    }
    default:
  }
  return parts.join(' · ')
}
