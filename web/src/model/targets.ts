/**
 * The targets that are scraped, as `/api/v1/targets` tells them (the shape is Prometheus'), in the order of the page:
 * what is down first. Reads without trust: what is missing is empty, never an exception.
 */
import { dataOf, labels as asLabels, list, number, object, text } from './untrusted'

export type Health = 'up' | 'down' | 'unknown'

export interface Target {
  readonly pool: string
  readonly url: string
  readonly labels: Readonly<Record<string, string>>
  readonly health: Health
  /** Why the last scrape failed, in full; empty if it did not. */
  readonly error: string
  /** When it was last scraped, ms since 1970; NaN if never. */
  readonly scrapedAt: number
  /** How long that took, in seconds. */
  readonly took: number
  /** As configured, `15s`. */
  readonly interval: string
  readonly timeout: string
}

export interface Pool {
  readonly name: string
  readonly targets: readonly Target[]
  readonly down: number
}

/** The targets of an answer of the API. Throws a text for people where it is no such answer. */
export function readTargets(answer: unknown): readonly Target[] {
  const { activeTargets } = object(dataOf(answer, 'The server tells no targets.'))
  return list(activeTargets).map(readTarget)
}

function readTarget(told: unknown): Target {
  const { scrapePool, scrapeUrl, labels, health, lastError, lastScrape, lastScrapeDuration, scrapeInterval, scrapeTimeout } = object(told)
  const scrapedAt = Date.parse(text(lastScrape))
  return {
    pool: text(scrapePool),
    url: text(scrapeUrl),
    labels: asLabels(labels),
    health: health === 'up' || health === 'down' ? health : 'unknown',
    error: text(lastError),
    // "Never" is the year 1 in Go, and so in Prometheus' API.
    scrapedAt: scrapedAt > 0 ? scrapedAt : NaN,
    took: number(lastScrapeDuration),
    interval: text(scrapeInterval),
    timeout: text(scrapeTimeout),
  }
}

/** Targets by pool: down before not yet known before up, and so the pools; else by name. */
export function byPool(targets: readonly Target[]): readonly Pool[] {
  const pools = new Map<string, Target[]>()
  for (const target of targets) {
    const pool = pools.get(target.pool)
    if (pool === undefined) pools.set(target.pool, [target])
    else pool.push(target)
  }
  const sorted = [...pools].map(([name, own]) => ({
    name,
    targets: own.sort((a, b) => rank(a) - rank(b) || instance(a).localeCompare(instance(b))),
    down: own.filter((target) => target.health === 'down').length,
  }))
  return sorted.sort((a, b) => Number(b.down > 0) - Number(a.down > 0) || a.name.localeCompare(b.name))
}

function rank({ health }: Target): number {
  return health === 'down' ? 0 : health === 'unknown' ? 1 : 2
}

/** What a target is called. */
export function instance(target: Target): string {
  return target.labels.instance ?? target.url
}

/** All that can be found of a target, in lower case. */
export function haystack(target: Target): string {
  return [target.pool, target.url, target.error, target.health, ...Object.entries(target.labels).flat()].join('\n').toLowerCase()
}

/** A stretch of time in which a target was up or down; from 0 to 1 of the window. */
export interface Stretch {
  readonly from: number
  readonly to: number
  readonly up: boolean
}

/**
 * The stretches of the series `up` from `start` to `end`. A value holds until the next one; where there is none (NaN)
 * nothing is said. Equal neighbours are one stretch.
 */
export function stretches(times: ArrayLike<number>, values: ArrayLike<number>, length: number, start: number, end: number): readonly Stretch[] {
  const found: Stretch[] = []
  const share = (time: number) => Math.min(1, Math.max(0, (time - start) / (end - start)))
  for (let i = 0; i < length; i++) {
    const value = values[i] ?? NaN
    const next = i + 1 < length ? (times[i + 1] ?? end) : end
    if (Number.isNaN(value) || next <= start || (times[i] ?? end) >= end) continue
    const [from, to, up] = [share(times[i] ?? end), share(next), value !== 0]
    const last = found.at(-1)
    if (last?.up === up && last.to === from) found[found.length - 1] = { from: last.from, to, up }
    else found.push({ from, to, up })
  }
  return found
}
