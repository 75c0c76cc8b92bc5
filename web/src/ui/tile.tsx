/** A number that matters, large, and how it came to that. */
import { useEffect, useMemo } from 'preact/hooks'
import { format } from '../format/number'
import type { Scale } from '../format/number'
import type { Filling } from '../model/past'
import type { SeriesInfo } from '../model/store'
import type { Tile } from '../model/tiles'
import { fillTile } from '../model/tiles'
import type { Page } from '../page'
import { hrefOf } from '../route'
import { LiveText } from './live-text'
import { pastOf, Sparkline, windowOf } from './sparkline'
import type { Numbers } from './sparkline'

/** @param tiles the same object as long as they are the same. */
export function Tiles({ page, tiles }: { page: Page; tiles: readonly Tile[] }) {
  return (
    <ul class="tiles">
      {tiles.map((tile) => <OneTile key={tile.title} page={page} tile={tile} />)}
    </ul>
  )
}

function OneTile({ page, tile }: { page: Page; tile: Tile }) {
  const past = useMemo(() => {
    const series = seriesOf(page, tile)
    return pastOf(page, page.store, () => series)
  }, [page, tile])
  const numbers = useMemo(() => numbersOf(page, tile, past), [past])
  useEffect(
    () => () => {
      past.stop()
    },
    [past],
  )
  const scale = useMemo<Scale>(() => ({ index: -1 }), [tile.title])
  return (
    <li class="tile">
      <a href={hrefOf('metric', tile.family)} title={tile.family}>
        <span class="head">
          <b>{tile.title}</b> <span class="word">{tile.word}</span>
        </span>
        <span class="number">
          <LiveText page={page} read={() => format(last(page, numbers), tile.unit, scale)} />
        </span>
        <Sparkline page={page} numbers={numbers} label={`${tile.title} in the window`} />
      </a>
    </li>
  )
}

function seriesOf(page: Page, { parts }: Tile): readonly SeriesInfo[] {
  const keys = new Set(parts.flatMap((part) => part.keys))
  return [...page.store.families.values()].flatMap(({ series }) => series.filter(({ key }) => keys.has(key)))
}

function numbersOf(page: Page, tile: Tile, past: Filling): Numbers {
  let scratch = new Float64Array(256)
  const columns = () => past.columns(windowOf(page))
  return {
    columns,
    fill: (from, to, out) => {
      if (scratch.length < to - from) scratch = new Float64Array(2 ** Math.ceil(Math.log2(to - from)))
      fillTile(columns(), tile, from, to, out, scratch)
    },
  }
}

function last(page: Page, numbers: Numbers): number {
  const row = numbers.columns().indexAt(page.windowEnd + 1) - 1
  if (row < 0) return NaN
  const out = new Float64Array(1)
  numbers.fill(row, row + 1, out)
  return out[0] ?? NaN
}
