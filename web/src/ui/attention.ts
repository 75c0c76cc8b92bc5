/** What asks for attention among all families, looked at anew from time to time. */
import { useEffect, useState } from 'preact/hooks'
import { changeOf, piecesOf } from '../model/change'
import { alertsByMetric, alertsOn, hasStale, scoreOf, scores } from '../model/attention'
import type { FamilyInfo } from '../model/store'
import type { Page } from '../page'
import { useAnswer } from './answer'

/** Ten thousand series cost some milliseconds. */
const EVERY_MS = 5_000

export interface Attention {
  /** How much it changes now (`model/change.ts`). */
  readonly change: ReadonlyMap<string, number>
  /** How unusual it is; 1 is the threshold. */
  readonly unusual: ReadonlyMap<string, number>
  readonly alerting: ReadonlySet<string>
  readonly stale: ReadonlySet<string>
}

const NONE: Attention = { change: new Map(), unusual: new Map(), alerting: new Set(), stale: new Set() }

/** While somebody points at a card or has it in focus, nothing is looked at anew, so that nothing moves under the hand. */
export function useAttention(page: Page): Attention {
  const answer = useAnswer(page, 'api/v1/rules?type=alert', alertsByMetric, { every: 15_000, on: ['alert'] })
  const alerts = answer !== null && 'told' in answer ? answer.told : null
  const [attention, setAttention] = useState(NONE)
  useEffect(() => {
    const look = () => {
      if (page.store.lastTime === 0) return
      const change = new Map<string, number>()
      const unusual = new Map<string, number>()
      const alerting = new Set<string>()
      const stale = new Set<string>()
      const { columns, families } = page.store
      const pieces = piecesOf(columns, page.windowEnd)
      const found = scores(page.store)
      for (const family of families.values()) {
        change.set(family.name, changeOf(columns, pieces, family.series, counts(family)))
        unusual.set(family.name, scoreOf(found, family.name))
        if (alerts !== null && alertsOn(alerts, family.name).length > 0) alerting.add(family.name)
        if (hasStale(page.store, family)) stale.add(family.name)
      }
      setAttention({ change, unusual, alerting, stale })
    }
    look()
    const timer = setInterval(() => {
      if (!document.hidden && page.pausedAt === null && document.querySelector('.cards:hover, .cards :focus') === null) look()
    }, EVERY_MS)
    return () => {
      clearInterval(timer)
    }
  }, [page, alerts, page.store.lastTime === 0])
  return attention
}

function counts({ name, type }: FamilyInfo): boolean {
  return type === 'counter' || type === 'histogram' || type === 'summary' || name.endsWith('_total')
}
