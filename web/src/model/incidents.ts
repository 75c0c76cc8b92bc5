/**
 * What happened on the server, for what is drawn over charts and for the time strip: the rules there are, when alerts fired,
 * when something was unusual. Asked from time to time, and when the server says that something happened.
 */
import type { Episode } from './alert-history'
import { episodes, readTransitions } from './alert-history'
import { readAlerts } from './alerts'
import type { Anomaly } from './anomalies'
import { readAnomalies } from './anomalies'
import type { Happened, Rule } from './marks'
import { readRules } from './marks'

type Fetch = (path: string) => Promise<Response>

/** Only the newest of them matter. */
const MOST_TRANSITIONS = 500

export class Incidents implements Happened {
  rules: readonly Rule[] = []
  episodes: readonly Episode[] = []
  anomalies: readonly Anomaly[] = []
  private asking = false
  private again = false

  constructor(
    private readonly fetch: Fetch,
    private readonly changed: () => void,
  ) {}

  /** Asks anew; once more at the end if it is told to meanwhile. */
  async refresh(): Promise<void> {
    if (this.asking) {
      this.again = true
      return
    }
    this.asking = true
    const read = async <T>(path: string, take: (answer: unknown) => T, otherwise: T): Promise<T> => {
      try {
        return take(await (await this.fetch(path)).json())
      } catch {
        // Not let in, switched off or gone: what was told last stays.
        return otherwise
      }
    }
    const [rules, found, anomalies] = await Promise.all([
      read('api/v1/rules?type=alert', readRules, this.rules),
      read('api/v1/admin/performance/alerts', readAlerts, []),
      read('api/v1/anomalies', (answer) => {
        const { current, recent } = readAnomalies(answer)
        return [...current, ...recent]
      }, this.anomalies),
    ])
    const transitions = await read(`api/v1/admin/alerts/history?limit=${MOST_TRANSITIONS}`, readTransitions, [])
    Object.assign(this, { rules, anomalies, episodes: episodes(transitions, found) })
    this.asking = false
    this.changed()
    if (this.again) {
      this.again = false
      void this.refresh()
    }
  }
}
