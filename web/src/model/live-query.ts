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
  readonly subscription: Subscription
  users: number
}

export class LiveQueries {
  private readonly followed = new Map<string, Followed>()

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
    const subscription = this.live().query(expression, {
      history,
      interval: '1s',
      onMessages: (messages) => {
        query.error = ''
        for (const message of messages) query.store.take(message)
      },
      onError: ({ code, message }) => {
        query.error = message === '' ? code : message
        this.changed()
      },
    })
    this.followed.set(expression, { query, subscription, users: 1 })
    return query
  }

  /** How often all of them are evaluated from now on. */
  pace(interval: string): void {
    for (const { subscription } of this.followed.values()) subscription.update({ interval })
  }

  leave({ expression }: LiveQuery): void {
    const one = this.followed.get(expression)
    if (one === undefined || --one.users > 0) return
    this.followed.delete(expression)
    one.subscription.unsubscribe()
  }
}
