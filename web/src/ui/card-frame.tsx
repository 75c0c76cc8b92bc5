/** The elements of a card, its menu and its keys. What moves in them is set by `LiveCard`. */
import { useEffect, useRef, useState } from 'preact/hooks'
import { chosen, linkOf } from '../model/spec'
import type { CardSpec, Choice } from '../model/spec'
import type { FamilyInfo, Store } from '../model/store'
import type { Page } from '../page'
import { LiveCard } from './card/live'
import { CardMenu } from './card-menu'
import { actOn } from './card-actions'
import { settings } from '../format/settings'
import { watch } from './watch'

interface Props {
  readonly page: Page
  /** Where the numbers are: the registry's, or those of a query. */
  readonly source: Store
  /** The same array as long as they are the same. */
  readonly families: readonly FamilyInfo[]
  readonly spec: CardSpec
  readonly title: string
  readonly place: number
  /** Told when somebody chose another view or group: a board keeps it. */
  readonly onSpec?: ((spec: CardSpec) => void) | undefined
}

/** The live part of a card's element, for the keyboard. */
export const liveCards = new WeakMap<Element, LiveCard>()

export function CardFrame({ page, source, families, spec, title, place, onSpec }: Props) {
  const root = useRef<HTMLElement>(null)
  const live = useRef<LiveCard | null>(null)
  const [choice, setChoice] = useState<Choice>({})
  const [full, setFull] = useState(false)
  const [menu, setMenu] = useState(false)
  const shown = chosen(spec, choice)
  const choose = (more: Choice) => {
    const next = { ...choice, ...more }
    setChoice(next)
    onSpec?.(chosen(spec, next))
  }
  useEffect(() => {
    const element = root.current
    if (element === null) return
    const part = (name: string): HTMLElement => {
      const found = element.querySelector<HTMLElement>(`.${name}`)
      if (found === null) throw new Error(`a card has a .${name}`)
      return found
    }
    const card = new LiveCard(page, source, families, {
      root: element,
      source: part('source'),
      value: part('value'),
      unit: part('unit'),
      word: part('word'),
      body: part('body'),
      legend: part('legend'),
    })
    live.current = card
    liveCards.set(element, card)
    const end = watch(element, part('body'), card)
    return () => {
      end()
      card.destroy()
    }
  }, [page, source, families])
  const asked = JSON.stringify(shown)
  useEffect(() => {
    live.current?.show(shown, choose)
  }, [asked, page, source, families])
  useEffect(() => {
    if (live.current !== null) live.current.place = place
  }, [place])

  const whole = families.map((family) => (family.help === '' ? family.name : `${family.name}\n${family.help}`)).join('\n')
  const act = { page, spec: shown, live: () => live.current, choose, full, setFull, setMenu }
  const pressed = (event: KeyboardEvent) => {
    if (event.key.length === 1 && !settings().keys) return
    if (event.ctrlKey || event.metaKey || event.altKey || event.target !== root.current) return
    if (actOn(event.key, act)) event.preventDefault()
  }
  return (
    <article
      class={full ? 'card full' : 'card'}
      ref={root}
      tabIndex={0}
      data-title={title}
      data-family={families.map((family) => family.name).join(' ')}
      aria-label={title}
      onKeyDown={pressed}
    >
      <header>
        <div class="names" title={whole}>
          <h2>
            {/* The card itself takes the focus, and Enter opens it. */}
            <a href={linkOf(shown)} tabIndex={-1}>
              {title}
            </a>
          </h2>
          <p class="source">{families[0]?.name}</p>
        </div>
        <div class="now">
          <p>
            <span class="value">—</span> <span class="unit" />
          </p>
          <p class="word" />
        </div>
        <CardMenu act={act} open={menu} title={title} />
      </header>
      <div class="body" role="img" aria-label={title} />
      <footer class="legend" />
    </article>
  )
}
