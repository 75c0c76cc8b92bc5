/** What the admin API tells of the server itself: configuration, level of the log, what could not be delivered. */
import { dataOf, list, number, object, text } from './untrusted'

/** The levels of the log, from all to little. */
export const LEVELS = ['debug', 'info', 'warn', 'error'] as const

export interface DeadLetter {
  readonly id: number
  readonly receiver: string
  readonly integration: string
  /** ms since 1970. */
  readonly at: number
  readonly attempts: number
  readonly reason: string
  readonly why: string
  /** Names of the alerts that were to be told. */
  readonly alerts: readonly string[]
}

/** What the server says of itself to everybody who may read. */
export interface Status {
  readonly version: string
  /** In seconds. */
  readonly uptime: number
  readonly series: number
  readonly families: number
  readonly clients: number
  readonly ready: boolean
  readonly degraded: boolean
  readonly sources: readonly string[]
}

export function readStatus(answer: unknown): Status {
  const { version, uptime_seconds, series, families, clients, ready, degraded, sources } = object(dataOf(answer, 'The server tells nothing of itself.'))
  return {
    version: text(version),
    uptime: number(uptime_seconds),
    series: number(series),
    families: number(families),
    clients: number(clients),
    ready: ready === true,
    degraded: degraded === true,
    sources: list(sources).map(text),
  }
}

export function readLevel(answer: unknown): string {
  return text(object(dataOf(answer, 'The server tells no level.')).level)
}

export function readDeadLetters(answer: unknown): readonly DeadLetter[] {
  return list(dataOf(answer, 'The server tells nothing of notifications.')).map((told) => {
    const { id, receiver, integration, at_ms, attempts, reason, why, notification } = object(told)
    const alerts = list(object(notification).alerts).map((one) => text(object(object(one).labels).alertname))
    return { id: number(id), receiver: text(receiver), integration: text(integration), at: number(at_ms), attempts: number(attempts), reason: text(reason), why: text(why), alerts: [...new Set(alerts)].filter((name) => name !== '') }
  })
}

/** A line of the configuration, and who set it: nobody (`default`), a flag, the environment, a file. */
export interface ConfigLine {
  /** With its indentation. */
  readonly text: string
  readonly origin: string
}

/** The lines of the configuration in force. A comment behind a line says where it is from. */
export function readConfig(answer: unknown): readonly ConfigLine[] {
  const { yaml } = object(dataOf(answer, 'The server tells no configuration.'))
  return text(yaml)
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map((line) => {
      const found = /^(.*\S) +# (default|flag .*|environment .*|file .*|.+)$/.exec(line)
      return { text: found?.[1] ?? line, origin: found?.[2] ?? '' }
    })
}

/**
 * The lines that are not the default, with the headings above them: what somebody has chosen.
 */
export function chosen(lines: readonly ConfigLine[]): readonly ConfigLine[] {
  const kept: ConfigLine[] = []
  const above: ConfigLine[] = []
  for (const line of lines) {
    while (above.length > 0 && indent(above.at(-1)) >= indent(line)) above.pop()
    if (line.origin === '' && line.text.endsWith(':')) {
      above.push(line)
    } else if (line.origin !== 'default') {
      kept.push(...above.splice(0), line)
    }
  }
  return kept
}

function indent(line: ConfigLine | undefined): number {
  return line === undefined ? -1 : line.text.length - line.text.trimStart().length
}

/** The value of a setting by its path, `collect.series_limit`; empty if it is not told. */
export function settingOf(lines: readonly ConfigLine[], path: string): string {
  const wanted = path.split('.')
  let depth = 0
  for (const line of lines) {
    // Two blanks a level.
    const level = indent(line) / 2
    if (level < depth) {
      if (depth > 0 && level === 0) depth = 0
      else continue
    }
    const key = wanted[depth]
    if (level !== depth || key === undefined) continue
    const text = line.text.trim()
    if (!text.startsWith(`${key}:`)) continue
    if (depth === wanted.length - 1) return text.slice(key.length + 1).trim().replace(/^'(.*)'$/, '$1')
    depth++
  }
  return ''
}
