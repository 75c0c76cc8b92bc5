/** A number that matters, large, and how it came to that. */
import { useMemo } from 'preact/hooks'
import { format } from '../format/number'
import type { Scale } from '../format/number'
import type { Tile } from '../model/tiles'
import { fillTile } from '../model/tiles'
import type { Page } from '../page'
import { hrefOf } from '../route'
import { LiveText } from './live-text'
import { numbersOf, Sparkline } from './sparkline'
import type { Numbers } from './small-card'

export function Tiles({ page, tiles }: { page: Page; tiles: readonly Tile[] }) {
  return (
    <ul class="tiles">
      {tiles.map((tile) => <OneTile key={tile.title} page={page} tile={tile} />)}
    </ul>
  )
}

function OneTile({ page, tile }: { page: Page; tile: Tile }) {
  // The same as long as it is made of the same series: other numbers would be asked for anew.
  const made = JSON.stringify(tile)
  const numbers = useMemo(() => numbersOfTile(page, tile), [page, made])
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

function numbersOfTile(page: Page, tile: Tile): Numbers {
  let scratch = new Float64Array(256)
  const series = page.store.seriesWith([...tile.parts.flatMap(({ keys }) => keys), ...tile.whole])
  return numbersOf(page, page.store, series, (columns, from, to, out) => {
    if (scratch.length < to - from) scratch = new Float64Array(2 ** Math.ceil(Math.log2(to - from)))
    fillTile(columns, tile, from, to, out, scratch)
  })
}

function last(page: Page, numbers: Numbers): number {
  const columns = page.pausedAt === null ? page.store.columns : numbers.columns()
  const row = columns.indexAt(page.windowEnd + 1) - 1
  if (row < 0) return NaN
  const out = new Float64Array(1)
  numbers.fill(columns, row, row + 1, out)
  return out[0] ?? NaN
}
