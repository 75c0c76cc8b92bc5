/**
 * The one decoder: text of a frame in, a checked message or a `DecodeError` with the place out.
 *
 * Fields that are not known are passed over, so that a newer server can add some; a type that is not known gives
 * `null`. What is known must have the right shape, or the whole frame is refused: half a frame would be a wrong picture.
 */
import type { Family, MetricType, Part, Points, Samples, Series, ServerMessage } from './message.js'

/** A frame that is not what docs/protocol.md says; `path` is the place in it. */
export class DecodeError extends Error {
  constructor(
    readonly path: string,
    expected: string,
    found: unknown,
  ) {
    super(`${path}: expected ${expected}, found ${describe(found)}`)
    this.name = 'DecodeError'
  }
}

type Fields = Readonly<Record<string, unknown>>

const METRIC_TYPES: ReadonlySet<string> = new Set<MetricType>([
  'counter',
  'gauge',
  'histogram',
  'gaugehistogram',
  'summary',
  'info',
  'stateset',
  'unknown',
])

/**
 * Decodes one text frame.
 *
 * @returns the message, or `null` for a type this client does not know.
 * @throws DecodeError if the text is not JSON or a known message has a wrong shape.
 */
export function decode(text: string): ServerMessage | null {
  let parsed: unknown
  try {
    parsed = JSON.parse(text)
  } catch {
    throw new DecodeError('frame', 'JSON', text.slice(0, 40))
  }
  const frame = object(parsed, 'frame')
  const type = string(frame.type, 'type')
  switch (type) {
    case 'welcome':
      return {
        type,
        session: name(frame.session, 'session'),
        epoch: name(frame.epoch, 'epoch'),
        serverTime: finite(frame.server_time, 'server_time'),
        pingMs: frame.ping_ms === undefined ? 25_000 : finite(frame.ping_ms, 'ping_ms'),
        version: text_(frame.version),
        seq: frame.seq === undefined ? 0 : whole(frame.seq, 'seq'),
      }
    case 'subscribed':
      return {
        type,
        sub: string(frame.sub, 'sub'),
        id: idOf(frame),
        channel: whole(frame.channel, 'channel'),
        intervalMs: finite(frame.interval_ms, 'interval_ms'),
        matched: whole(frame.matched, 'matched'),
        recovered: frame.recovered === true,
        truncated: frame.truncated === true,
        reason: text_(frame.reason),
      }
    case 'unsubscribed':
      return { type, sub: string(frame.sub, 'sub') }
    case 'schema':
      return { type, channel: whole(frame.channel, 'channel'), ...schema(frame) }
    case 'history':
      return { type, channel: whole(frame.channel, 'channel'), points: points(frame.points), ...part(frame) }
    case 'snapshot':
      return {
        type,
        channel: whole(frame.channel, 'channel'),
        epoch: name(frame.epoch, 'epoch'),
        offset: whole(frame.offset, 'offset'),
        time: finite(frame.t, 't'),
        samples: samples(frame.values),
        ...part(frame),
      }
    case 'delta':
      return {
        type,
        channel: whole(frame.channel, 'channel'),
        offset: whole(frame.offset, 'offset'),
        prev: whole(frame.prev, 'prev'),
        time: finite(frame.t, 't'),
        samples: samples(frame.values ?? []),
        stale: ids(frame.stale ?? []),
        ...part(frame),
      }
    case 'event':
      return { type, seq: frame.seq === undefined ? null : whole(frame.seq, 'seq'), kind: string(frame.kind, 'kind'), time: finite(frame.t, 't'), body: frame }
    case 'notice':
      return { type, channel: typeof frame.channel === 'number' ? frame.channel : null, code: text_(frame.code), message: text_(frame.message) }
    case 'error':
      return {
        type,
        code: name(frame.code, 'code'),
        message: text_(frame.message),
        sub: typeof frame.sub === 'string' ? frame.sub : null,
        id: idOf(frame),
        column: typeof frame.column === 'number' ? frame.column : null,
        retryable: frame.retryable === true,
      }
    case 'ping':
      return { type, serverTime: finite(frame.server_time, 'server_time') }
    case 'ok':
    case 'pong':
      return { type }
    case 'bye':
      return {
        type,
        code: name(frame.code ?? '', 'code'),
        reason: text_(frame.reason),
        reconnect: frame.reconnect !== false,
        retryAfterMs: frame.retry_after_ms === undefined ? null : finite(frame.retry_after_ms, 'retry_after_ms'),
      }
    default:
      return null
  }
}

function part(frame: Fields): Part {
  if (frame.parts === undefined) return { part: 1, parts: 1 }
  return { part: whole(frame.part, 'part'), parts: whole(frame.parts, 'parts') }
}

function schema(frame: Fields): { families: ReadonlyMap<string, Family>; series: readonly Series[] } {
  const families = new Map<string, Family>()
  for (const [key, value] of Object.entries(object(frame.families ?? {}, 'families'))) {
    const at = `families.${key}`
    const fields = object(value, at)
    const type = string(fields.type ?? 'unknown', `${at}.type`)
    families.set(key, {
      // A type of a later protocol is shown as what it is to us.
      type: isMetricType(type) ? type : 'unknown',
      help: text_(fields.help),
      unit: text_(fields.unit),
    })
  }
  const series = array(frame.series ?? [], 'series').map((value, i): Series => {
    const at = `series[${i}]`
    const fields = object(value, at)
    // Not by assignment: a label may be called __proto__.
    const labels = Object.fromEntries(
      Object.entries(object(fields.labels ?? {}, `${at}.labels`)).map(([label, text]) => [label, string(text, `${at}.labels.${label}`)]),
    )
    const own = string(fields.name, `${at}.name`)
    const family = fields.family === undefined ? own : string(fields.family, `${at}.family`)
    return { id: whole(fields.id, `${at}.id`), name: own, family, labels }
  })
  return { families, series }
}

/** Values: `[id, number or "NaN", "+Inf", "-Inf"]`, with a third place for a sample's own time. */
function samples(value: unknown): Samples {
  const pairs = array(value, 'values')
  const sampleIds = new Uint32Array(pairs.length)
  const values = new Float64Array(pairs.length)
  let times: Map<number, number> | undefined
  let digits: Map<number, string> | undefined
  for (let i = 0; i < pairs.length; i++) {
    const pair: unknown = pairs[i]
    if (!Array.isArray(pair) || pair.length < 2) throw new DecodeError(`values[${i}]`, '[id, value]', pair)
    const [first, given, time] = pair as readonly unknown[]
    const id = (sampleIds[i] = whole(first, `values[${i}][0]`))
    const sample = (values[i] = sampleValue(given, i))
    if (typeof given === 'string' && Number.isFinite(sample)) (digits ??= new Map()).set(id, given)
    if (time !== undefined) (times ??= new Map()).set(id, finite(time, `values[${i}][2]`))
  }
  return { ids: sampleIds, values, ...(times && { times }), ...(digits && { digits }) }
}

/** Past points: `[id, [[time, value], …]]`. */
function points(value: unknown): ReadonlyMap<number, Points> {
  const pair = (one: unknown, at: string) => {
    if (!Array.isArray(one) || one.length < 2) throw new DecodeError(at, 'a pair', one)
    return one as readonly unknown[]
  }
  return new Map(
    array(value, 'points').map((one, i) => {
      const [id, all] = pair(one, `points[${i}]`)
      const list = array(all, `points[${i}][1]`).map((point) => pair(point, `points[${i}][1]`))
      const times = Float64Array.from(list, ([time]) => finite(time, `points[${i}][1]`))
      return [whole(id, `points[${i}][0]`), { times, values: list.map(([, v]) => (v === null ? null : sampleValue(v, i))) }]
    }),
  )
}

function sampleValue(value: unknown, i: number): number {
  if (typeof value === 'number') return value
  if (value === 'NaN') return NaN
  if (value === '+Inf' || value === 'Inf') return Infinity
  if (value === '-Inf') return -Infinity
  // Whole numbers beyond 2⁵³ come as text where they were asked for exactly.
  if (typeof value === 'string' && /^-?\d+$/.test(value)) return Number(value)
  throw new DecodeError(`values[${i}][1]`, 'a number, "NaN", "+Inf" or "-Inf"', value)
}

function ids(value: unknown): Uint32Array {
  const list = array(value, 'stale')
  return Uint32Array.from(list, (id, i) => whole(id, `stale[${i}]`))
}

function isMetricType(type: string): type is MetricType {
  return METRIC_TYPES.has(type)
}

function object(value: unknown, path: string): Fields {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new DecodeError(path, 'an object', value)
  return value as Fields
}

function array(value: unknown, path: string): readonly unknown[] {
  if (!Array.isArray(value)) throw new DecodeError(path, 'an array', value)
  return value
}

function string(value: unknown, path: string): string {
  if (typeof value !== 'string') throw new DecodeError(path, 'a string', value)
  return value
}

/** Text for people: absent is empty. */
function text_(value: unknown): string {
  return typeof value === 'string' ? value : ''
}

/** The number of the command that a message answers; ours are numbers. */
function idOf(frame: Fields): number | null {
  return typeof frame.id === 'number' ? frame.id : null
}

/** An identifier: string, or a number taken as its text. */
function name(value: unknown, path: string): string {
  if (typeof value === 'number') return String(value)
  return string(value, path)
}

function finite(value: unknown, path: string): number {
  if (typeof value !== 'number' || !Number.isFinite(value)) throw new DecodeError(path, 'a number', value)
  return value
}

/** A whole number of at least 0, at most 2⁵³ − 1: ids, channels, offsets. */
function whole(value: unknown, path: string): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0) {
    throw new DecodeError(path, 'a whole number', value)
  }
  return value
}

function describe(value: unknown): string {
  if (value === undefined) return 'nothing'
  const text = JSON.stringify(value)
  return text.length > 60 ? `${text.slice(0, 60)}…` : text
}
