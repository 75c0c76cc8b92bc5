/**
 * How long to wait before the next attempt: exponential with full jitter, so that a thousand pages whose server was
 * restarted do not come back in the same instant.
 */

/** The span of the first wait in milliseconds. */
export const FIRST_MS = 500
/** No wait is longer: after an outage of any length a page is back within this. */
export const LONGEST_MS = 20_000
/** No wait is shorter: a refusing server is not asked in a tight loop. */
export const SHORTEST_MS = 100

/**
 * The wait before attempt `attempt` (0 is the first after a loss), for `random` in 0..1: evenly spread over
 * 0 to 0.5 s · 2^attempt, at least 0.1 s, at most 20 s.
 */
export function backoff(attempt: number, random: number): number {
  const span = Math.min(LONGEST_MS, FIRST_MS * 2 ** Math.min(attempt, 16))
  return Math.max(SHORTEST_MS, Math.round(span * random))
}
