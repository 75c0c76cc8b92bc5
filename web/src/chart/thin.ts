/**
 * Fewer points than there are, without losing a peak: the least and the greatest of each column of time.
 *
 * Columns are aligned to absolute time, so that the picture slides and does not shimmer.
 */

/** More points a pixel than this are thinned. */
const POINTS_PER_PIXEL = 2

/** The width (ms) of a column for `points` points over `spanMs` on `pixels` pixels; 0 if there is no need to thin. */
export function columnWidth(points: number, spanMs: number, pixels: number): number {
  if (points <= pixels * POINTS_PER_PIXEL || pixels <= 0) return 0
  return Math.ceil(spanMs / pixels)
}

/**
 * Thins lines that share their times.
 *
 * @returns the times and lines, two points a column: at its first and its last time, least and greatest in the order in
 * which they came. A column in which a line has no value is NaN.
 */
export function thin(times: Float64Array, lines: readonly Float64Array[], width: number): { times: Float64Array; lines: Float64Array[] } {
  const n = times.length
  const outTimes = new Float64Array(2 * n)
  const outLines = lines.map(() => new Float64Array(2 * n))
  let out = 0
  for (let from = 0; from < n; ) {
    const column = Math.floor((times[from] ?? 0) / width)
    let to = from + 1
    while (to < n && Math.floor((times[to] ?? 0) / width) === column) to++
    const single = to - from === 1
    outTimes[out] = times[from] ?? 0
    if (!single) outTimes[out + 1] = times[to - 1] ?? 0
    for (let k = 0; k < lines.length; k++) {
      const line = lines[k]
      const target = outLines[k]
      if (line === undefined || target === undefined) continue
      let least = -1
      let greatest = -1
      for (let i = from; i < to; i++) {
        const value = line[i] ?? NaN
        if (Number.isNaN(value)) continue
        if (least < 0 || value < (line[least] ?? 0)) least = i
        if (greatest < 0 || value > (line[greatest] ?? 0)) greatest = i
      }
      target[out] = least < 0 ? NaN : (line[Math.min(least, greatest)] ?? NaN)
      if (!single) target[out + 1] = least < 0 ? NaN : (line[Math.max(least, greatest)] ?? NaN)
    }
    out += single ? 1 : 2
    from = to
  }
  return { times: outTimes.subarray(0, out), lines: outLines.map((line) => line.subarray(0, out)) }
}
