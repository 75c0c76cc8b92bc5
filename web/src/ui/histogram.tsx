/**
 * Distributions as percentiles tell them, one under the other on one logarithmic scale: the area of a bar is the share of
 * all that took so long. For files that are opened once; what moves is drawn on canvases.
 */
import { formatText } from '../format/number'
import type { Spread } from '../model/report-compare'
import { bars, STATS } from '../model/report-compare'

const WIDTH = 600
const HEIGHT = 72
/** The narrowest bar, so that a share that took one time is seen. */
const LEAST = 3

export function Histogram({ name, spreads }: { name: string; spreads: readonly (Spread | null)[] }) {
  const found = spreads.flatMap((one) => (one === null ? [] : one.at.filter((value) => value > 0)))
  const [least, greatest] = [Math.min(...found), Math.max(...found)]
  // One value alone would have no width.
  const [low, high] = greatest > least * 1.01 ? [least, greatest] : [least / 2, greatest * 2]
  const x = (seconds: number) => (WIDTH * Math.log(Math.max(seconds, low) / low)) / Math.log(high / low)
  return (
    <div class="box">
      {spreads.map((one, i) => one !== null && <Rows key={i} name={name} spread={one} x={x} slot={i} letter={spreads.length > 1 ? 'AB'.charAt(i) : ''} />)}
      <p class="scale">
        <span>{formatText(low, 'seconds')}</span>
        <span>{formatText(Math.sqrt(low * high), 'seconds')}</span>
        <span>{formatText(high, 'seconds')}</span>
      </p>
    </div>
  )
}

function Rows({ name, spread, x, slot, letter }: { name: string; spread: Spread; x: (seconds: number) => number; slot: number; letter: string }) {
  const shapes = bars(spread).map(({ from, to, share }) => {
    const left = x(from)
    const width = Math.max(LEAST, x(to) - left)
    return { left: Math.min(left, WIDTH - width), width, density: share / width, share }
  })
  const densest = Math.max(...shapes.map(({ density }) => density))
  const said = STATS.map(({ stat }, i) => [stat === 'p999' ? 'p99.9' : stat, spread.at[i] ?? NaN] as const).filter(([stat]) => stat === 'p50' || stat === 'p95' || stat === 'p99' || stat === 'max')
  const text = said.map(([stat, value]) => `${stat} ${formatText(value, 'seconds')}`).join(', ')
  return (
    <div class="distribution">
      <p>
        {letter !== '' && <b class="letter">{letter}</b>}
        {formatText(spread.count, 'count')} <span class="faint">{text}</span>
      </p>
      <svg viewBox={`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" role="img" aria-label={`${name}${letter === '' ? '' : ` of ${letter}`}: ${text}`} class={slot === 0 ? 'first' : 'second'}>
        {shapes.map(({ left, width, density, share }, i) => {
          // Through a square root, as in heatmaps: what is rare is what is looked for.
          const height = Math.max(1.5, HEIGHT * Math.sqrt(density / densest))
          return (
            <rect key={i} x={left} y={HEIGHT - height} width={width} height={height}>
              <title>{formatText(share, 'ratio')}</title>
            </rect>
          )
        })}
      </svg>
    </div>
  )
}
