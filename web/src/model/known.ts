/**
 * The names, labels and values that an expression can be written of: those that the page has live, at once, and those that
 * only the server's history still has, when it has told them.
 */
import { printMatchers } from './matchers'
import type { LabelMatcher } from './matchers'
import { selects } from './matchers'
import type { Matcher } from '../promql/context'
import type { Known } from '../promql/suggest'
import type { FamilyInfo, SeriesInfo, Store } from './store'

/** What was told is good for so long (ms). */
const GOOD_MS = 30_000
/** More of one label nobody looks through. */
const MOST_TOLD = 2_000

interface Told {
  at: number
  list: readonly string[]
}

export class KnownNames implements Known {
  private readonly told = new Map<string, Told>()
  private readonly named = new WeakMap<FamilyInfo, { readonly series: number; readonly names: readonly string[] }>()

  /**
   * @param ask asks the API; what it throws is taken for "nothing more".
   * @param changed told when more is known than before.
   */
  constructor(
    private readonly store: Pick<Store, 'families'>,
    private readonly ask: (path: string) => Promise<unknown>,
    private readonly changed: () => void,
    private readonly now: () => number = () => performance.now(),
  ) {}

  *metrics(): Iterable<{ readonly name: string; readonly type: string; readonly help: string }> {
    const live = new Set<string>()
    for (const family of this.store.families.values()) {
      for (const name of this.namesOf(family)) {
        live.add(name)
        yield { name, type: family.type, help: family.help }
      }
    }
    for (const name of this.fromServer('label/__name__/values')) if (!live.has(name)) yield { name, type: 'not live', help: '' }
  }

  labels(metrics: readonly string[]): Iterable<string> {
    const found = new Set<string>()
    for (const { labels } of this.seriesOf(metrics)) for (const label of Object.keys(labels)) found.add(label)
    for (const label of this.fromServer('labels', metrics.map((name) => selector(name, [])))) if (label !== '__name__') found.add(label)
    return found
  }

  values(metrics: readonly string[], label: string, others: readonly Matcher[]): Iterable<string> {
    const matchers = others.filter((one) => one.label !== label) as readonly LabelMatcher[]
    const found = new Set<string>()
    try {
      const selected = selects(matchers)
      for (const { name, labels } of this.seriesOf(metrics)) {
        const value = label === '__name__' ? name : labels[label]
        if (value !== undefined && selected(labels, name)) found.add(value)
      }
    } catch (error) {
      // Half a pattern selects nothing yet.
      if (!(error instanceof SyntaxError)) throw error
    }
    const asked = metrics.length > 0 ? metrics.map((name) => selector(name, matchers)) : matchers.length > 0 ? [printMatchers(matchers)] : []
    for (const value of this.fromServer(`label/${encodeURIComponent(label)}/values`, asked)) found.add(value)
    return found
  }

  private namesOf(family: FamilyInfo): readonly string[] {
    const kept = this.named.get(family)
    if (kept?.series === family.series.length) return kept.names
    const names = [...new Set(family.series.map(({ name }) => name))]
    this.named.set(family, { series: family.series.length, names })
    return names
  }

  private *seriesOf(metrics: readonly string[]): Iterable<SeriesInfo> {
    const wanted = new Set(metrics)
    for (const family of this.store.families.values()) {
      if (wanted.size > 0 && !this.namesOf(family).some((name) => wanted.has(name))) continue
      for (const one of family.series) if (wanted.size === 0 || wanted.has(one.name)) yield one
    }
  }

  /** What the server said the last time, and asks it again if that was long ago. */
  private fromServer(what: string, match: readonly string[] = []): readonly string[] {
    const query = [`limit=${MOST_TOLD}`, ...match.map((one) => `match[]=${encodeURIComponent(one)}`)].join('&')
    const path = `api/v1/${what}?${query}`
    const kept = this.told.get(path)
    if (kept !== undefined && this.now() - kept.at < GOOD_MS) return kept.list
    const asked: Told = { at: this.now(), list: kept?.list ?? [] }
    // The paths asked for are those of this minute, not of the whole day.
    if (this.told.size >= 64) this.told.clear()
    this.told.set(path, asked)
    void this.ask(path).then(
      (answer) => {
        const data = typeof answer === 'object' && answer !== null && 'data' in answer ? answer.data : []
        asked.list = Array.isArray(data) ? data.filter((one) => typeof one === 'string') : []
        this.changed()
      },
      () => undefined,
    )
    return asked.list
  }
}

function selector(name: string, matchers: readonly LabelMatcher[]): string {
  return name + printMatchers(matchers)
}
