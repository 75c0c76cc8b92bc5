/**
 * What a subscription shows: its series by name and labels, with their values at one offset. Fed with what the state
 * machine delivers, so it is at every moment a state that the server had.
 *
 * Ids of the wire hold for one life of the server; a series is known to the user by its `key`, and is the same object
 * for as long as the subscription has it, over a restart of the server too.
 */
import type { SubscriptionMessage } from './machine.js'
import type { Family, Message, MetricType, Points } from './message.js'

/** A series and its newest value. The object lives: keep copies of what shall not change. */
export interface Series {
  /** `name{label="value",…}`, labels in order: what the series is called in PromQL. */
  readonly key: string
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  /** The metric family, which is the name save for parts of histograms and summaries. */
  readonly family: string
  readonly type: MetricType
  readonly help: string
  /** Base unit in the plural, `seconds`; empty if the exposition names none. */
  readonly unit: string
  /** The newest value; NaN and the infinities are themselves. */
  readonly value: number
  /** The digits of a whole number beyond 2⁵³, with `exact`; else null. */
  readonly digits: string | null
  /** When the value was taken, Unix milliseconds of the server's clock. */
  readonly time: number
}

type Known = { -readonly [K in keyof Series]: Series[K] } & { id: number }

const NO_FAMILY: Family = { type: 'unknown', help: '', unit: '' }

/** What messages did to the model. */
export interface Change {
  /** All values came anew: after the beginning, a restart of the server, or a long time away. */
  snapshot: boolean
  readonly changed: Set<Series>
  readonly gone: Set<Series>
  /** The past of series, where it came. */
  readonly history: Map<Series, Points>
}

/** The messages name a series that was not described. */
export class UnknownSeries extends Error {}

export class Model {
  epoch = ''
  offset = 0
  /** Time of the last frame, Unix milliseconds of the server's clock; 0 before the first. */
  time = 0
  intervalMs = 0
  /** More series match than are sent. */
  truncated = false
  private readonly shown = new Map<string, Known>()
  private families = new Map<string, Family>()
  private byId = new Map<number, Known>()

  /** Those that have a value, by key. */
  get series(): ReadonlyMap<string, Series> {
    return this.shown
  }

  /**
   * Applies what leads to the next state.
   *
   * @throws UnknownSeries if it cannot be applied; the subscription then has to begin anew.
   */
  apply(messages: readonly SubscriptionMessage[]): Change {
    const change: Change = { snapshot: false, changed: new Set(), gone: new Set(), history: new Map() }
    for (const message of messages) {
      switch (message.type) {
        case 'subscribed':
          this.intervalMs = message.intervalMs
          this.truncated = message.truncated
          if (!message.recovered) {
            // Ids may be those of another epoch now.
            this.byId = new Map()
            this.families = new Map()
          }
          break
        case 'schema':
          this.describe(message)
          break
        case 'history':
          for (const [id, points] of message.points) change.history.set(this.known(id), points)
          break
        case 'snapshot':
          if (message.part === 1) {
            change.snapshot = true
            for (const series of this.shown.values()) change.gone.add(series)
            this.shown.clear()
          }
          this.epoch = message.epoch
          this.set(message, change)
          break
        case 'delta':
          this.set(message, change)
          for (const id of message.stale) this.remove(id, change)
      }
    }
    return change
  }

  private describe({ families, series }: Message<'schema'>): void {
    for (const [name, family] of families) {
      this.families.set(name, family)
      for (const known of this.byId.values()) if (known.family === name) Object.assign(known, family)
    }
    for (const { id, name, family, labels } of series) {
      const key = keyOf(name, labels)
      const known = this.shown.get(key) ?? { key, name, value: NaN, digits: null, time: 0, labels, family, id, ...NO_FAMILY }
      Object.assign(known, { id, family, labels }, this.families.get(family))
      this.byId.set(id, known)
    }
  }

  private known(id: number): Known {
    const known = this.byId.get(id)
    if (known === undefined) throw new UnknownSeries(`a value for series ${id}, which was not described`)
    return known
  }

  private set({ samples, time, offset }: Message<'snapshot'> | Message<'delta'>, { changed, gone }: Change): void {
    const { ids, values, times, digits } = samples
    for (let i = 0; i < ids.length; i++) {
      const id = ids[i] ?? -1
      const known = this.known(id)
      known.value = values[i] ?? NaN
      known.time = times?.get(id) ?? time
      known.digits = digits?.get(id) ?? null
      this.shown.set(known.key, known)
      changed.add(known)
      gone.delete(known)
    }
    this.offset = offset
    this.time = time
  }

  private remove(id: number, { changed, gone }: Change): void {
    const known = this.byId.get(id)
    this.byId.delete(id)
    // It may have come back under another number already.
    if (known?.id !== id || !this.shown.delete(known.key)) return
    changed.delete(known)
    gone.add(known)
  }
}

/**
 * `name{label="value",…}` with the labels in order and escaped as in the text format; without labels the name alone, and
 * `{…}` for what has no name, as most queries give it.
 */
export function keyOf(name: string, labels: Readonly<Record<string, string>>): string {
  const parts = Object.entries(labels)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([label, value]) => `${label}="${value.replace(/[\\"\n]/g, (one) => (one === '\n' ? '\\n' : `\\${one}`))}"`)
  return parts.length === 0 && name !== '' ? name : `${name}{${parts.join()}}`
}
