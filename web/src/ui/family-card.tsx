/** The elements of one family's card. What moves in them is set by `LiveCard`. */
import { memo } from 'preact/compat'
import { useEffect, useRef } from 'preact/hooks'
import type { FamilyInfo, Store } from '../model/store'
import type { Page } from '../page'
import { LiveCard } from './card/live'
import { titleOf } from './title'
import { watch } from './watch'

interface Props {
  readonly page: Page
  /** Where the family's numbers are; without, the registry. */
  readonly source?: Store
  readonly family: FamilyInfo
  /** In place of the family's own title. */
  readonly title?: string
  readonly place: number
}

/** The live part of a card's element, for the keyboard. */
export const liveCards = new WeakMap<Element, LiveCard>()

function FamilyCardPlain({ page, source = page.store, family, title = titleOf(family), place }: Props) {
  const root = useRef<HTMLElement>(null)
  const live = useRef<LiveCard | null>(null)
  useEffect(() => {
    const element = root.current
    if (element === null) return
    const part = (name: string): HTMLElement => {
      const found = element.querySelector<HTMLElement>(`.${name}`)
      if (found === null) throw new Error(`a card has a .${name}`)
      return found
    }
    const card = new LiveCard(page, source, family, {
      root: element,
      source: part('source'),
      value: part('value'),
      unit: part('unit'),
      word: part('word'),
      body: part('body'),
      legend: part('legend'),
    })
    card.place = place
    live.current = card
    liveCards.set(element, card)
    const end = watch(element, part('body'), card)
    return () => {
      end()
      card.destroy()
    }
  }, [page, source, family])
  useEffect(() => {
    if (live.current !== null) live.current.place = place
  }, [place])

  const whole = family.help === '' ? family.name : `${family.name}\n${family.help}`
  return (
    <article class="card" ref={root} tabIndex={0} data-title={title} data-family={family.name} aria-label={title}>
      <header>
        <div class="names" title={whole}>
          <h2>{title}</h2>
          <p class="source">{family.name}</p>
        </div>
        <div class="now">
          <p>
            <span class="value">—</span> <span class="unit" />
          </p>
          <p class="word" />
        </div>
      </header>
      <div class="body" role="img" aria-label={title} />
      <footer class="legend" />
    </article>
  )
}

export const FamilyCard = memo(FamilyCardPlain)
