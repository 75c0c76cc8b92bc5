/**
 * PromQL expressions that are shown: one subscription for all cards that ask for the same, ended when the last of them
 * goes. A result is a `Store` of its own, and one family, whatever its series are called.
 */
import type { Live, Subscription } from '../../client/index'
import { unitOfQuery } from '../format/query-unit'
import { unitOf } from '../format/unit'
import type { FamilyInfo } from './store'
import { Store } from './store'

export class LiveQuery {
  readonly store: Store
  /** All series of the result. Its name is the expression, or the metric if all have one. */
  readonly family: { -readonly [K in keyof FamilyInfo]: FamilyInfo[K] }
  /** Why there is no result, in the server's words; empty if there is one. */
  error = ''

  /** @param described what is known of a metric that the expression names; its unit is that of the result. */
  constructor(
    readonly expression: string,
    changed: () => void,
    described: (name: string) => Pick<FamilyInfo, 'unit'> | undefined = () => undefined,
  ) {
    const unit = unitOfQuery(expression, (name) => unitOf(name, described(name)?.unit ?? ''))
    this.family = { name: expression, type: 'gauge', help: '', unit: unit === 'count' ? '' : unit, series: [] }
    this.store = new Store(changed, () => {
      this.gather()
      changed()
    })
    this.store.expression = expression
  }

  private gather(): void {
    const families = [...this.store.families.values()]
    const [only] = families
    if (families.length === 1 && only !== undefined && only.name !== '') {
      const { name, type, help, unit } = only
      Object.assign(this.family, { name, type, help, unit })
    }
    this.family.series.splice(0, Infinity, ...families.flatMap((family) => family.series))
  }
}

interface Followed {
  readonly query: LiveQuery
  readonly history: string
  subscription: Subscription | null
  users: number
  /** Refused since the connection has as many as it may. */
  waits: boolean
}

export class LiveQueries {
  private readonly followed = new Map<string, Followed>()
  private interval = '1s'
  /** So many ended in this turn. */
  private ended = 0

  /** @param changed told at each frame of any of them. */
  constructor(
    private readonly live: () => Live,
    private readonly changed: () => void,
    private readonly described: (name: string) => FamilyInfo | undefined,
  ) {}

  /** The result of `expression`, from now on until `leave` was called as often. `history` as `5m`, of the first who asks. */
  follow(expression: string, history: string): LiveQuery {
    const known = this.followed.get(expression)
    if (known !== undefined) {
      known.users++
      return known.query
    }
    const query = new LiveQuery(expression, this.changed, this.described)
    const one = { query, history, subscription: null, users: 1, waits: false }
    this.followed.set(expression, one)
    this.subscribe(one)
    return query
  }

  /** How often all of them are evaluated from now on. */
  pace(interval: string): void {
    this.interval = interval
    for (const { subscription } of this.followed.values()) subscription?.update({ interval })
  }

  leave({ expression }: LiveQuery): void {
    const one = this.followed.get(expression)
    if (one === undefined || --one.users > 0) return
    this.followed.delete(expression)
    one.subscription?.unsubscribe()
    // A page that goes ends all of its own; only what is followed after that wants their place.
    if (!one.waits && this.ended++ === 0) queueMicrotask(() => { this.again() })
  }

  private subscribe(one: Followed): void {
    const { query, history } = one
    one.waits = false
    one.subscription = this.live().query(query.expression, {
      history,
      interval: this.interval,
      onMessages: (messages) => {
        query.error = ''
        for (const message of messages) query.store.take(message)
      },
      onError: ({ code, message }) => {
        one.waits = code === 'limit_exceeded'
        query.error = message === '' ? code : message
        this.changed()
      },
    })
  }

  /** Asks again for as many of those that wait as have ended; who is refused once more is the last of them. */
  private again(): void {
    const next = [...this.followed].filter(([, { waits }]) => waits).slice(0, this.ended)
    this.ended = 0
    for (const [expression, one] of next) {
      this.followed.delete(expression)
      this.followed.set(expression, one)
      this.subscribe(one)
    }
  }
}
