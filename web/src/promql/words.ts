/** The words of PromQL that the server knows, each with what it does in a few words. */

/** Functions: what they take, and what they do. */
export const FUNCTIONS: Readonly<Record<string, readonly [takes: string, does: string]>> = {
  abs: ['vector', 'without sign'],
  absent: ['vector', '1 if there is no series'],
  absent_over_time: ['range', '1 if there was no sample'],
  acos: ['vector', 'arc cosine'],
  acosh: ['vector', 'inverse hyperbolic cosine'],
  asin: ['vector', 'arc sine'],
  asinh: ['vector', 'inverse hyperbolic sine'],
  atan: ['vector', 'arc tangent'],
  atanh: ['vector', 'inverse hyperbolic tangent'],
  avg_over_time: ['range', 'mean of each series'],
  ceil: ['vector', 'rounded up'],
  changes: ['range', 'how often the value changed'],
  clamp: ['vector, min, max', 'kept between two bounds'],
  clamp_max: ['vector, max', 'at most max'],
  clamp_min: ['vector, min', 'at least min'],
  cos: ['vector', 'cosine'],
  cosh: ['vector', 'hyperbolic cosine'],
  count_over_time: ['range', 'number of samples'],
  day_of_month: ['vector', '1 to 31, UTC'],
  day_of_week: ['vector', '0 is Sunday, UTC'],
  day_of_year: ['vector', '1 to 366, UTC'],
  days_in_month: ['vector', '28 to 31'],
  deg: ['vector', 'radians as degrees'],
  delta: ['range', 'difference of a gauge, first to last'],
  deriv: ['range', 'slope of a gauge per second'],
  double_exponential_smoothing: ['range, sf, tf', 'smoothed value of a gauge'],
  exp: ['vector', 'e to the power of it'],
  first_over_time: ['range', 'oldest sample'],
  floor: ['vector', 'rounded down'],
  histogram_avg: ['vector', 'mean of a native histogram'],
  histogram_count: ['vector', 'observations of a native histogram'],
  histogram_fraction: ['lower, upper, vector', 'share of observations between two bounds'],
  histogram_quantile: ['φ, vector by le', 'quantile of a histogram, φ from 0 to 1'],
  histogram_quantiles: ['vector by le, label, φ …', 'several quantiles of a histogram'],
  histogram_stddev: ['vector', 'spread of a native histogram'],
  histogram_stdvar: ['vector', 'variance of a native histogram'],
  histogram_sum: ['vector', 'sum of a native histogram'],
  hour: ['vector', '0 to 23, UTC'],
  idelta: ['range', 'difference of the last two samples'],
  increase: ['range', 'by how much a counter went up'],
  irate: ['range', 'rate per second of the last two samples'],
  label_join: ['vector, to, separator, from …', 'a label made of others'],
  label_replace: ['vector, to, text, from, regex', 'a label made of another by a pattern'],
  last_over_time: ['range', 'newest sample'],
  ln: ['vector', 'natural logarithm'],
  log10: ['vector', 'decimal logarithm'],
  log2: ['vector', 'binary logarithm'],
  mad_over_time: ['range', 'median distance from the median'],
  max_of: ['scalar, scalar', 'the greater of two'],
  max_over_time: ['range', 'greatest of each series'],
  min_of: ['scalar, scalar', 'the lesser of two'],
  min_over_time: ['range', 'least of each series'],
  minute: ['vector', '0 to 59, UTC'],
  month: ['vector', '1 to 12, UTC'],
  pi: ['', '3.14159…'],
  predict_linear: ['range, seconds', 'a gauge so many seconds from now'],
  present_over_time: ['range', '1 if there was a sample'],
  quantile_over_time: ['φ, range', 'quantile of each series'],
  rad: ['vector', 'degrees as radians'],
  rate: ['range', 'rate per second of a counter'],
  resets: ['range', 'how often a counter began anew'],
  round: ['vector, to', 'rounded to the nearest multiple'],
  scalar: ['vector', 'the value of the only series'],
  sgn: ['vector', '-1, 0 or 1'],
  sin: ['vector', 'sine'],
  sinh: ['vector', 'hyperbolic sine'],
  sort: ['vector', 'least first'],
  sort_by_label: ['vector, label …', 'by the values of labels'],
  sort_by_label_desc: ['vector, label …', 'by the values of labels, last first'],
  sort_desc: ['vector', 'greatest first'],
  sqrt: ['vector', 'square root'],
  stddev_over_time: ['range', 'spread of each series'],
  stdvar_over_time: ['range', 'variance of each series'],
  sum_over_time: ['range', 'sum of each series’ samples'],
  tan: ['vector', 'tangent'],
  tanh: ['vector', 'hyperbolic tangent'],
  time: ['', 'seconds since 1970'],
  timestamp: ['vector', 'when each sample was taken'],
  ts_of_first_over_time: ['range', 'when the oldest sample was taken'],
  ts_of_last_over_time: ['range', 'when the newest sample was taken'],
  ts_of_max_over_time: ['range', 'when the greatest sample was taken'],
  ts_of_min_over_time: ['range', 'when the least sample was taken'],
  vector: ['scalar', 'a scalar as a series without labels'],
  year: ['vector', 'UTC'],
}

export const AGGREGATIONS: Readonly<Record<string, string>> = {
  avg: 'mean',
  bottomk: 'the k least',
  count: 'how many series',
  count_values: 'how many series have each value',
  group: '1 for each group',
  limitk: 'any k series',
  limit_ratio: 'a share of the series',
  max: 'greatest',
  min: 'least',
  quantile: 'quantile over series',
  stddev: 'spread over series',
  stdvar: 'variance over series',
  sum: 'sum',
  topk: 'the k greatest',
}

/** Keywords that stand behind an operand. */
export const BEHIND_OPERAND: Readonly<Record<string, string>> = {
  and: 'those that are also on the right',
  or: 'and those of the right that are not on the left',
  unless: 'those that are not on the right',
  offset: 'so long ago',
  by: 'keep these labels',
  without: 'keep all labels but these',
}

/** Keywords that stand behind an operator. */
export const BEHIND_OPERATOR: Readonly<Record<string, string>> = {
  on: 'match by these labels alone',
  ignoring: 'match by all labels but these',
  group_left: 'many on the left to one on the right',
  group_right: 'one on the left to many on the right',
  bool: '0 or 1 in place of a filter',
}

/** Before a bracket with names of labels in it. */
export const GROUPING: ReadonlySet<string> = new Set(['by', 'without', 'on', 'ignoring', 'group_left', 'group_right'])

export const KEYWORDS: ReadonlySet<string> = new Set([...Object.keys(BEHIND_OPERAND), ...Object.keys(BEHIND_OPERATOR)])

/** Ranges that are asked for. */
export const RANGES: Readonly<Record<string, string>> = {
  '10s': '10 seconds',
  '30s': '30 seconds',
  '1m': 'a minute',
  '5m': '5 minutes',
  '15m': '15 minutes',
  '1h': 'an hour',
}

/** Whether a name in an expression can be that of a metric. */
export function isMetric(name: string): boolean {
  return !(name in FUNCTIONS) && !(name in AGGREGATIONS) && !KEYWORDS.has(name) && !/^(inf|nan|start|end|step|range)$/i.test(name)
}
