/**
 * The unit of what a PromQL expression gives, guessed from the names in it: a rate of bytes is bytes a second, seconds a
 * second are a share of time, a quantile of a histogram of seconds is seconds, a quotient of equal units is a ratio.
 *
 * A measure is a base unit and how often it is divided by time; products and quotients add and subtract. Where a number
 * converts (times 1000, by 60, times 8) the unit is one that is not known here, and nothing is better than a wrong one.
 */
import type { Token } from '../promql/lex'
import { content, lex } from '../promql/lex'
import { AGGREGATIONS, FUNCTIONS, GROUPING } from '../promql/words'
import type { Unit } from './number'
import { unitOf } from './unit'

interface Measure {
  /** `number`: a plain number, which takes on the unit of what it meets. */
  readonly base: Unit | 'number'
  /** How often it is divided by seconds. */
  readonly per: number
  /** Of the buckets of a histogram: what it measures. */
  readonly observed?: Unit
  /** Of a literal: what it is. */
  readonly literal?: number
}

const NUMBER: Measure = { base: 'number', per: 0 }
const COUNT: Measure = { base: 'count', per: 0 }
const SECONDS: Measure = { base: 'seconds', per: 0 }
const RATIO: Measure = { base: 'ratio', per: 0 }

/** Factors from one unit to another: bits, per cent, minutes, hours, days, and the powers of 1000 and 1024. */
const FACTORS = [8, 60, 100, 3600, 86400, ...[1, 2, 3, 4].flatMap((power) => [1000 ** power, 1024 ** power])]

/** @param unitOfMetric the unit of a metric as exposed; by its name alone where nobody knows more. */
export function unitOfQuery(expression: string, unitOfMetric: (name: string) => Unit = (name) => unitOf(name, '')): Unit {
  try {
    return said(new Reader(lex(expression), unitOfMetric).whole())
  } catch (error) {
    if (error instanceof SyntaxError) return 'count'
    throw error
  }
}

function said({ base, per }: Measure): Unit {
  switch (base) {
    case 'number':
    case 'count':
      return per === 1 ? 'rate' : per === -1 ? 'seconds' : 'count'
    case 'bytes':
      return per === 1 ? 'bytes/s' : per === 0 ? 'bytes' : 'count'
    case 'seconds':
      return per === 1 ? 'ratio' : per === 0 ? 'seconds' : 'count'
    case 'joules':
      return per === 1 ? 'watts' : per === 0 ? 'joules' : 'count'
    default:
      return per === 0 ? base : 'count'
  }
}

/** Loosest first. */
const LEVELS: readonly ReadonlySet<string>[] = [
  new Set(['or']),
  new Set(['and', 'unless']),
  new Set(['==', '!=', '<', '>', '<=', '>=']),
  new Set(['+', '-']),
  new Set(['*', '/', '%', 'atan2']),
]

/** Functions by what they make of the measure of what they are given. */
const SAME = /^(abs|ceil|floor|round|clamp(_m(ax|in))?|sort(_desc|_by_label(_desc)?)?|scalar|vector|label_(replace|join)|(avg|min|max|sum|last|first|quantile|stddev|mad)_over_time|increase|i?delta|predict_linear|double_exponential_smoothing|m(ax|in)_of)$/
const OF_TIME = /^(i?rate|deriv)$/
const MOMENT = /^(time|timestamp|start|end|step|range|ts_of_\w+)$/
const OF_OBSERVED = /^histogram_(quantiles?|avg|stddev)$/
const SAME_OVER_SERIES = new Set(['sum', 'avg', 'min', 'max', 'topk', 'bottomk', 'limitk', 'limit_ratio', 'quantile', 'stddev'])

class Reader {
  private at = 0

  constructor(
    private readonly tokens: readonly Token[],
    private readonly unitOfMetric: (name: string) => Unit,
  ) {}

  whole(): Measure {
    const measure = this.level(0)
    if (this.at < this.tokens.length) throw new SyntaxError('something is behind the expression')
    return measure
  }

  private level(depth: number): Measure {
    const signs = LEVELS[depth]
    if (signs === undefined) return this.power()
    let left = this.level(depth + 1)
    for (let sign = this.peek(); sign !== undefined && signs.has(sign); sign = this.peek()) {
      this.at++
      const bool = this.matching()
      left = combined(sign, left, this.level(depth + 1), bool)
    }
    return left
  }

  private power(): Measure {
    const left = this.unary()
    if (this.peek() !== '^') return left
    this.at++
    this.matching()
    const right = this.power()
    if (left.literal !== undefined && right.literal !== undefined) return { ...NUMBER, literal: left.literal ** right.literal }
    return left.base === 'number' && right.base === 'number' ? NUMBER : COUNT
  }

  private unary(): Measure {
    if (this.peek() !== '-' && this.peek() !== '+') return this.operand()
    this.at++
    const { literal, ...measure } = this.unary()
    return literal === undefined ? measure : { ...measure, literal: -literal }
  }

  /** `bool`, `on (…)`, `group_left (…)`: whether `bool` was among them. */
  private matching(): boolean {
    let bool = false
    for (;;) {
      const word = this.peek()
      if (word === 'bool') bool = true
      else if (word === undefined || !GROUPING.has(word)) return bool
      this.at++
      if (this.peek() === '(') this.skip()
    }
  }

  private operand(): Measure {
    let measure = this.primary()
    for (;;) {
      const next = this.peek()
      if (next === '[' || next === '{') this.skip()
      else if (next === 'offset' || next === '@') {
        this.at++
        if (this.peek() === '-') this.at++
        this.at++
        if (this.peek() === '(') this.skip()
      } else return measure
      // What stands in brackets says which and how much of it, not what it is.
      measure = plain(measure)
    }
  }

  private primary(): Measure {
    const token = this.take()
    switch (token.kind) {
      case 'number':
        return { ...NUMBER, literal: Number(token.text) }
      case 'duration':
      case 'string':
        return NUMBER
      case 'name':
        return this.named(token.text)
      default:
    }
    if (token.text === '(') {
      const measure = this.level(0)
      this.expect(')')
      return measure
    }
    if (token.text === '{') {
      this.at--
      return this.unnamed()
    }
    throw new SyntaxError(`${token.text} begins nothing`)
  }

  private named(name: string): Measure {
    if (name in AGGREGATIONS) return this.aggregation(name)
    if (name in FUNCTIONS && this.peek() === '(') return this.call(name)
    if (/^(inf|nan)$/i.test(name)) return NUMBER
    return this.metric(name)
  }

  private metric(name: string): Measure {
    const observed = this.unitOfMetric(name.replace(/_bucket$/, ''))
    // How many were observed is a number, whatever was observed.
    if (/_(bucket|count)$/.test(name)) return { ...COUNT, observed }
    return { base: observed, per: 0, observed }
  }

  /** `{__name__="x"}`, `{"x"}`. */
  private unnamed(): Measure {
    const begin = this.at
    this.skip()
    const inside = this.tokens.slice(begin + 1, this.at - 1)
    const name = inside.find((token, i) => token.kind === 'string' && (i === 0 || (inside[i - 1]?.text === '=' && inside[i - 2]?.text === '__name__')))
    return name === undefined ? COUNT : this.metric(content(name))
  }

  private aggregation(name: string): Measure {
    this.grouping()
    const of = this.arguments().at(-1) ?? NUMBER
    this.grouping()
    if (SAME_OVER_SERIES.has(name)) return plain(of)
    // A sum divided by how many there are is still what it was.
    return name === 'count' || name === 'group' ? NUMBER : COUNT
  }

  private grouping(): void {
    if (this.peek() !== 'by' && this.peek() !== 'without') return
    this.at++
    this.skip()
  }

  private call(name: string): Measure {
    const given = this.arguments()
    const of = given.find(({ base }) => base !== 'number') ?? given[0] ?? NUMBER
    if (SAME.test(name)) return plain(of)
    if (OF_TIME.test(name)) return { ...plain(of), per: of.per + 1 }
    if (MOMENT.test(name)) return SECONDS
    if (OF_OBSERVED.test(name)) return of.observed === undefined ? COUNT : { base: of.observed, per: 0 }
    if (name === 'histogram_sum') return of.observed === undefined ? COUNT : { base: of.observed, per: of.per }
    if (name === 'histogram_count') return { ...COUNT, per: of.per }
    if (name === 'histogram_fraction') return RATIO
    return name === 'pi' ? NUMBER : COUNT
  }

  private arguments(): readonly Measure[] {
    this.expect('(')
    const given: Measure[] = []
    while (this.peek() !== ')') {
      given.push(this.level(0))
      if (this.peek() === ',') this.at++
      else break
    }
    this.expect(')')
    return given
  }

  /** Goes past a bracket and what is in it. */
  private skip(): void {
    let depth = 0
    do {
      const { kind, text } = this.take()
      if (kind !== 'sign') continue
      if ('([{'.includes(text)) depth++
      else if (')]}'.includes(text)) depth--
    } while (depth > 0)
  }

  private peek(): string | undefined {
    const token = this.tokens[this.at]
    return token?.kind === 'string' ? '"' : token?.text
  }

  private take(): Token {
    const token = this.tokens[this.at++]
    if (token === undefined) throw new SyntaxError('the expression ends early')
    return token
  }

  private expect(sign: string): void {
    if (this.take().text !== sign) throw new SyntaxError(`${sign} was expected`)
  }
}

/** Without the number it was: the result of a function is no literal. */
function plain({ literal: _, ...measure }: Measure): Measure {
  return measure
}

function combined(sign: string, left: Measure, right: Measure, bool: boolean): Measure {
  switch (sign) {
    case '*':
      return product(left, right)
    case '/':
      return quotient(left, right)
    case '+':
    case '-':
    case 'or':
      if (left.base === 'number') return plain(right)
      if (right.base === 'number' || (left.base === right.base && left.per === right.per) || sign === 'or') return plain(left)
      // A share of time from a ratio, as in 1 - share, is one.
      return said(left) === said(right) ? plain(left) : COUNT
    case 'atan2':
      return COUNT
    default:
      return bool ? COUNT : plain(left)
  }
}

function product(left: Measure, right: Measure): Measure {
  const [number, other] = left.base === 'number' ? [left, right] : [right, left]
  const per = left.per + right.per
  if (number.base === 'number') {
    if (number.literal !== undefined && other.literal !== undefined) return { ...NUMBER, literal: number.literal * other.literal }
    if (number.literal === 100 && said(other) === 'ratio') return { base: 'percent', per: 0 }
    return converts(number, other) ? { base: 'count', per } : plain(other)
  }
  if (isCount(left.base)) return { base: right.base, per }
  if (isCount(right.base)) return { base: left.base, per }
  // So many a second for so long, and a share of them.
  if (left.base === 'seconds') return { base: right.base, per: per - 1 }
  if (right.base === 'seconds') return { base: left.base, per: per - 1 }
  return COUNT
}

function quotient(left: Measure, right: Measure): Measure {
  const per = left.per - right.per
  // A number of series by another.
  if (left.base === 'number' && right.base === 'number' && left.literal === undefined && right.literal === undefined) return RATIO
  if (right.base === 'number') return converts(right, left) ? { base: 'count', per } : { ...plain(left), per }
  if (left.base === right.base) return per === 0 ? RATIO : { base: 'count', per }
  if (left.base === 'number') return right.base === 'count' ? { base: 'count', per } : right.base === 'ratio' ? NUMBER : right.base === 'seconds' ? { base: 'count', per: per + 1 } : COUNT
  if (isCount(right.base)) return { base: left.base, per }
  // Something by the seconds that it took.
  if (right.base === 'seconds') return { base: left.base, per: per + 1 }
  return COUNT
}

function isCount(base: Measure['base']): boolean {
  return base === 'count' || base === 'number' || base === 'ratio'
}

/** Whether a number makes another unit of one that has a name. */
function converts({ literal = 1 }: Measure, { base }: Measure): boolean {
  if (base === 'count' || base === 'number') return false
  return FACTORS.some((factor) => close(literal, factor) || close(literal, 1 / factor))
}

function close(a: number, b: number): boolean {
  return Math.abs(a - b) < 1e-6 * Math.abs(b)
}
