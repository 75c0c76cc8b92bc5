/** The past of a card: what is missing, how it is asked for, and how it is put together with what is live. */
import { describe, expect, test } from 'vitest'
import type { Points } from '../client/index'
import { Columns } from '../src/model/columns'
import { Filling, historyPaths, Past, rangePath, readSeries, selectors, stepFor } from '../src/model/past'
import { rowsOf, spacing } from '../src/model/rows'
import { holes } from '../src/model/span'
import type { Span } from '../src/model/span'
import type { SeriesInfo } from '../src/model/store'
import { Store } from '../src/model/store'
import { Timeline } from '../src/model/timeline'
import type { Piece } from '../src/model/timeline'

const points = (...all: readonly (readonly [number, number | null])[]): Points => ({ times: Float64Array.from(all, ([time]) => time), values: all.map(([, value]) => value) })
const shown = (columns: Columns, key = 0) => [...columns.times.subarray(0, columns.length)].map((time, i) => [time, columns.column(key)?.[i]])

/** Live rows, a second apart, of one series whose value is the time in seconds. */
function live(from: number, to: number, gaps: readonly Span[] = []) {
  const columns = new Columns()
  columns.add(0)
  for (let time = from; time <= to; time += 1000) {
    const gap = gaps.find((one) => time > one.from && time < one.to)
    if (gap === undefined) columns.push(time, () => time / 1000)
    else if (time === gap.from + 1000) columns.push(gap.from + 1, () => NaN)
  }
  return { columns, gaps: [...gaps], lastTime: to, intervalMs: 1000 }
}

function piece(from: number, to: number, step = 1000): Piece {
  const columns = new Columns()
  columns.add(0)
  for (let time = from; time <= to; time += step) columns.push(time, () => time / 1000)
  return { from, to, columns, step }
}

describe('holes', () => {
  test('are what no span covers, and none that is too short', () => {
    const window = { from: 0, to: 100 }
    expect(holes([], window)).toEqual([window])
    expect(holes([{ from: 50, to: Infinity }], window)).toEqual([{ from: 0, to: 50 }])
    expect(holes([{ from: 60, to: 200 }, { from: -5, to: 20 }, { from: 10, to: 30 }], window)).toEqual([{ from: 30, to: 60 }])
    expect(holes([{ from: 0, to: 98 }], window, 5)).toEqual([])
    expect(holes([{ from: 200, to: 300 }], window)).toEqual([window])
  })
})

describe('rows of points', () => {
  test('have the values of all series; one that is collected less often holds its last', () => {
    const rows = rowsOf(new Map([[0, points([1000, 1], [2000, 2], [3000, 3], [4000, 4])], [1, points([1000, 10], [3000, 30])]]), 1000)
    expect(shown(rows, 0)).toEqual([[1000, 1], [2000, 2], [3000, 3], [4000, 4]])
    expect(shown(rows, 1)).toEqual([[1000, 10], [2000, 10], [3000, 30], [4000, 30]])
  })

  test('end where a series ended, and break where nothing was collected', () => {
    const rows = rowsOf(new Map([[0, points([1000, 1], [2000, null], [3000, 3], [9000, 9])]]), 1000)
    expect(shown(rows)).toEqual([[1000, 1], [2000, NaN], [3000, 3], [3001, NaN], [9000, 9]])
  })

  test('are none for what came between two ticks', () => {
    const rows = rowsOf(new Map([[0, points([1000, 1], [1010, 7], [2000, 2])]]), 1000)
    expect(shown(rows)).toEqual([[1000, 1], [2000, 2]])
  })

  test('are as far apart as the middle of them', () => {
    expect(spacing(Float64Array.of(0, 10, 20, 500))).toBe(10)
    expect(spacing(Float64Array.of(7))).toBe(0)
  })
})

describe('a timeline', () => {
  test('is the live rows themselves while they have the window', () => {
    const source = live(0, 100_000)
    const timeline = new Timeline(source, () => [0])
    const window = { from: 40_000, to: 100_000 }
    expect(timeline.wanted(window)).toEqual([])
    expect(timeline.columns(window, 1000)).toBe(source.columns)
  })

  test('wants what was before the page was opened, the newest hole first', () => {
    const timeline = new Timeline(live(50_000, 100_000, [{ from: 70_000, to: 80_000 }]), () => [0])
    expect(timeline.wanted({ from: 30_000, to: 100_000 })).toEqual([{ from: 70_000, to: 80_000 }, { from: 10_000, to: 50_000 }])
  })

  test('wants nothing that is still to come', () => {
    const timeline = new Timeline(live(50_000, 100_000), () => [0])
    expect(timeline.wanted({ from: 90_000, to: 200_000 })).toEqual([])
  })

  test('puts past and present together without a seam, and goes on', () => {
    const source = live(50_000, 60_000)
    const timeline = new Timeline(source, () => [0])
    timeline.add(piece(20_000, 50_000))
    const columns = timeline.columns({ from: 40_000, to: 60_000 }, 1000)
    expect(shown(columns)).toEqual(Array.from({ length: 41 }, (_, i) => [20_000 + i * 1000, 20 + i]))
    expect(timeline.missing).toEqual([])
    source.columns.push(61_000, () => 61)
    source.lastTime = 61_000
    const next = timeline.columns({ from: 41_000, to: 61_000 }, 1000)
    expect(next).toBe(columns)
    expect(shown(next).at(-1)).toEqual([61_000, 61])
  })

  test('fills a gap, and what stays missing is told and not bridged', () => {
    const source = live(0, 100_000, [{ from: 30_000, to: 60_000 }])
    const timeline = new Timeline(source, () => [0])
    const window = { from: 20_000, to: 100_000 }
    timeline.columns(window, 1000)
    expect(timeline.missing).toEqual([{ from: 30_000, to: 60_000 }])
    // The server was gone for ten seconds of it itself.
    const found = piece(30_000, 60_000)
    found.columns.length = 0
    for (const time of [30_000, 31_000, 32_000]) found.columns.push(time, () => time / 1000)
    found.columns.push(32_001, () => NaN)
    for (let time = 42_000; time <= 60_000; time += 1000) found.columns.push(time, () => time / 1000)
    timeline.add(found)
    const columns = timeline.columns(window, 1000)
    expect(timeline.missing).toEqual([{ from: 32_000, to: 42_000 }])
    expect(shown(columns).filter(([, value]) => Number.isNaN(value))).toEqual([[32_001, NaN]])
    expect(shown(columns).at(-1)).toEqual([100_000, 100])
  })

  test('tells a gap of a few rows, between two pieces as well', () => {
    const timeline = new Timeline(live(60_000, 70_000), () => [0])
    timeline.add(piece(10_000, 40_000))
    const two = piece(44_000, 60_000)
    timeline.add({ ...two, from: 40_000 })
    timeline.columns({ from: 30_000, to: 70_000 }, 1000)
    expect(timeline.missing).toEqual([{ from: 40_000, to: 44_000 }])
  })

  test('has no two rows where two sources meet a moment apart: a rate between them would be a tower', () => {
    const before = new Timeline(live(60_003, 70_003), () => [0])
    before.add(piece(10_000, 60_000))
    const between = new Timeline(live(0, 100_000, [{ from: 30_000, to: 60_000 }]), () => [0])
    between.add({ ...piece(30_003, 59_003), from: 30_000, to: 60_000 })
    for (const [timeline, window] of [[before, { from: 40_000, to: 70_003 }], [between, { from: 20_000, to: 100_000 }]] as const) {
      const times = shown(timeline.columns(window, 1000)).map(([time]) => time ?? 0)
      expect(times.filter((time, i) => i > 0 && time - (times[i - 1] ?? 0) < 500)).toEqual([])
      expect(timeline.missing).toEqual([])
    }
  })

  test('is told as a gap too where the history has nothing of it', () => {
    const timeline = new Timeline(live(0, 100_000, [{ from: 30_000, to: 60_000 }]), () => [0])
    timeline.add({ from: 30_000, to: 60_000, columns: new Columns(), step: 1000 })
    const window = { from: 20_000, to: 100_000 }
    timeline.columns(window, 1000)
    expect(timeline.missing).toEqual([{ from: 30_000, to: 60_000 }])
    expect(timeline.wanted(window)).toEqual([])
  })

  test('looks further back and comes to the present again', () => {
    const source = live(1_000_000, 1_100_000)
    const timeline = new Timeline(source, () => [0])
    const past = { from: 100_000, to: 200_000 }
    expect(timeline.wanted(past)).toEqual([{ from: 80_000, to: 200_000 }])
    timeline.add(piece(80_000, 200_000))
    expect(shown(timeline.columns(past, 1000)).length).toBe(121)
    expect(timeline.wanted(past)).toEqual([])
    expect(timeline.columns({ from: 1_050_000, to: 1_100_000 }, 1000)).toBe(source.columns)
  })

  test('fetches anew what is far coarser than it could be', () => {
    const timeline = new Timeline(live(1_000_000, 1_100_000), () => [0])
    const wide = { from: 100_000, to: 900_000 }
    timeline.add(piece(80_000, 900_000, 10_000))
    timeline.columns(wide, 10_000)
    expect(timeline.wanted(wide)).toEqual([])
    const narrow = { from: 300_000, to: 400_000 }
    timeline.columns(narrow, 1000)
    expect(timeline.wanted(narrow)).toEqual([{ from: 280_000, to: 400_000 }])
  })

  test('has no values of series that came later, and asks for nobody else', () => {
    const keys = [0]
    const timeline = new Timeline(live(50_000, 60_000), () => keys)
    timeline.add(piece(20_000, 50_000))
    timeline.columns({ from: 40_000, to: 60_000 }, 1000)
    keys.push(1)
    const columns = timeline.columns({ from: 40_000, to: 60_000 }, 1000)
    expect(columns.column(1)?.[0]).toBeNaN()
  })
})

describe('thinned columns', () => {
  test('keep the rows that break lines', () => {
    const columns = new Columns(240)
    columns.add(0)
    const breaks: number[] = []
    for (let i = 0; i < 2000; i++) {
      columns.push(i * 1000, () => (i % 100 === 51 ? NaN : i))
      if (i % 100 === 51) breaks.push(i * 1000)
    }
    const kept = [...columns.times.subarray(0, columns.length)]
    const oldest = kept[0] ?? 0
    expect(kept.filter((_, i) => columns.empty(i))).toEqual(breaks.filter((time) => time >= oldest))
  })
})

const family = { name: 'net', type: 'counter' as const, help: '', unit: '', series: [] }
const series = (name: string, labels: Readonly<Record<string, string>> = {}): SeriesInfo => ({ key: 0, name, labels, family })

describe('requests', () => {
  test('take points as they are, or a step where there would be too many', () => {
    const store = { intervalMs: 1000, expression: '' }
    const of = (minutes: number, count: number) => stepFor({ from: 0, to: minutes * 60_000 }, store, new Array(count))
    expect(of(5, 1)).toBe(1000)
    expect(of(60, 1)).toBe(1000)
    expect(of(60, 20)).toBe(4000)
    expect(of(60, 500)).toBe(15_000)
    expect(stepFor({ from: 0, to: 3_600_000 }, { intervalMs: 1000, expression: 'up' }, [1])).toBe(6000)
  })

  test('name all metrics of a family at once, whatever they are called', () => {
    const [path, ...more] = historyPaths([selectors([series('h_bucket', { le: '1' }), series('h_sum'), series('h_created')])], { from: 1500, to: 2500 }, 0)
    expect(decodeURIComponent(path ?? '')).toBe('api/v1/history?match[]=h_bucket&match[]=h_sum&start=1.5&end=2.5')
    expect(more).toEqual([])
    expect(decodeURIComponent(historyPaths([selectors([series('a"b')])], { from: 0, to: 1000 }, 5000)[0] ?? '')).toBe('api/v1/history?match[]={"a\\"b"}&start=0&end=1&step=5000ms&agg=last')
  })

  test('have what several cards want once', () => {
    const [path, ...more] = historyPaths([[series('x'), series('y')], [series('x')], [series('z', { a: 'b' })], []].map(selectors), { from: 0, to: 1000 }, 0)
    expect(decodeURIComponent(path ?? '')).toBe('api/v1/history?match[]=x&match[]=y&match[]=z{a="b"}&start=0&end=1')
    expect(more).toEqual([])
    expect(historyPaths([selectors([])], { from: 0, to: 1000 }, 0)).toEqual([])
  })

  test('take a large histogram some buckets at a time, and too many series not at all', () => {
    const buckets = (les: number, each: number) => Array.from({ length: les * each }, (_, i) => series('h_bucket', { le: String(i % les), route: String(i) }))
    const paths = historyPaths([selectors(buckets(12, 100))], { from: 0, to: 1000 }, 0)
    expect(paths.length).toBe(3)
    expect(paths.every((path) => (path.match(/match/g) ?? []).length <= 5)).toBe(true)
    expect(historyPaths([selectors(buckets(2, 600))], { from: 0, to: 1000 }, 0)).toEqual([])
    expect(historyPaths([selectors(Array.from({ length: 501 }, (_, i) => series('x', { i: String(i) })))], { from: 0, to: 1000 }, 0)).toEqual([])
  })

  test('evaluate at whole steps', () => {
    expect(rangePath('rate(x[1m])', { from: 1500, to: 9000 }, 2000)).toBe('api/v1/query_range?query=rate(x%5B1m%5D)&start=2&end=9&step=2')
  })

  test('are read without trust, of both routes', () => {
    expect(readSeries({ status: 'success', data: { series: [{ labels: { __name__: 'x', a: 'b' }, points: [[1000, 1], [2000, null], [3000, '+Inf']] }] } })).toEqual([
      [{ name: 'x', labels: { a: 'b' } }, { times: Float64Array.of(1000, 2000, 3000), values: [1, null, Infinity] }],
    ])
    expect(readSeries({ status: 'success', data: { resultType: 'matrix', result: [{ metric: {}, values: [[1.5, '2']] }] } })).toEqual([[{ name: '', labels: {} }, { times: Float64Array.of(1500), values: [2] }]])
    expect(readSeries({ status: 'success', data: {} })).toEqual([])
    expect(() => readSeries({ status: 'error', error: 'no' })).toThrow('no')
  })
})

interface Asked {
  readonly path: string
  readonly signal: AbortSignal
  answer(series: unknown, status?: number): Promise<void>
  fail(): Promise<void>
}

/** What is asked for in a frame goes out after it. */
const settled = () => new Promise<void>((done) => setTimeout(done))

/** A store with one series that has rows from 50 s to 60 s, and a server that answers when it is told to. */
function world() {
  const asked: Asked[] = []
  let clock = 0
  const past = new Past(
    (path, signal) =>
      new Promise((resolve, reject) => {
        asked.push({
          path,
          signal,
          answer: (told, status = 200) => {
            resolve(new Response(JSON.stringify({ status: 'success', data: { series: told } }), { status }))
            return settled()
          },
          fail: () => {
            reject(new TypeError('gone'))
            return settled()
          },
        })
      }),
    () => clock,
  )
  const store = new Store(() => undefined, () => undefined)
  store.take({ type: 'schema', channel: 1, families: new Map([['x', { type: 'gauge', help: '', unit: '' }]]), series: [{ id: 1, name: 'x', family: 'x', labels: {} }] } as never)
  store.take({ type: 'snapshot', channel: 1, epoch: 'a', offset: 1, time: 50_000, part: 1, parts: 1, samples: { ids: Uint32Array.of(1), values: Float64Array.of(50) } } as never)
  for (let time = 51_000; time <= 60_000; time += 1000) {
    store.take({ type: 'delta', channel: 1, offset: 2, prev: 1, time, part: 1, parts: 1, samples: { ids: Uint32Array.of(1), values: Float64Array.of(time / 1000) }, stale: new Uint32Array() } as never)
  }
  const card = (rank = 0) => {
    const told = { changes: 0 }
    return { told, filling: new Filling(past, store, () => store.families.get('x')?.series ?? [], () => rank, () => told.changes++) }
  }
  const answer = Array.from({ length: 51 }, (_, i) => [i * 1000, i])
  return { asked, past, card, answer: [{ labels: { __name__: 'x' }, points: answer }], pass: (ms: number) => (clock += ms) }
}

const WINDOW = { from: 20_000, to: 60_000 }

describe('a card', () => {
  test('asks once for what it lacks, and is told when it is there', async () => {
    const { asked, card, answer } = world()
    const { filling, told } = card()
    filling.columns(WINDOW)
    filling.columns(WINDOW)
    await settled()
    expect(asked.map((one) => one.path)).toEqual(['api/v1/history?match[]=x&start=-20&end=50'])
    await asked[0]?.answer(answer)
    expect(told.changes).toBe(1)
    expect(shown(filling.columns(WINDOW)).length).toBe(61)
    expect(asked.length).toBe(1)
  })

  test('has no past, and asks no more, where the server keeps none or has too many series', async () => {
    const { asked, card } = world()
    const { filling } = card()
    filling.columns(WINDOW)
    await settled()
    await asked[0]?.answer([], 404)
    filling.columns(WINDOW)
    await settled()
    expect(asked.length).toBe(1)
    expect(filling.missing).toEqual([])
  })

  test('asks again when the server is back, or in a while', async () => {
    const { asked, past, card, pass } = world()
    const { filling } = card()
    filling.columns(WINDOW)
    await settled()
    await asked[0]?.fail()
    filling.columns(WINDOW)
    await settled()
    expect(asked.length).toBe(1)
    past.back()
    filling.columns(WINDOW)
    await settled()
    expect(asked.length).toBe(2)
    await asked[1]?.answer([], 503)
    filling.columns(WINDOW)
    await settled()
    expect(asked.length).toBe(2)
    pass(11_000)
    filling.columns(WINDOW)
    await settled()
    expect(asked.length).toBe(3)
  })

  test('ends its request when nobody looks, or looks elsewhere', async () => {
    const { asked, card } = world()
    const { filling } = card()
    filling.columns(WINDOW)
    await settled()
    filling.stop()
    expect(asked[0]?.signal.aborted).toBe(true)
    filling.columns(WINDOW)
    await settled()
    filling.columns({ from: -500_000, to: -400_000 })
    expect(asked[1]?.signal.aborted).toBe(true)
  })

  test('waits while three others ask, the topmost first', async () => {
    const { asked, card, answer } = world()
    const cards = [9, 8, 7, 6, 1].map((rank) => card(rank))
    // Each looks at another time, so none shares the request of another.
    const look = (from: number) => {
      cards.forEach(({ filling }, i) => filling.columns({ from: from - i * 1000, to: 60_000 }))
    }
    look(20_000)
    await settled()
    expect(asked.map(({ path }) => /start=(-?\d+)/.exec(path)?.[1])).toEqual(['-24', '-23', '-22'])
    await asked[0]?.answer(answer)
    expect(asked.length).toBe(4)
    expect(cards.map(({ told }) => told.changes)).toEqual([0, 0, 0, 0, 1])
    await asked[3]?.answer(answer)
    expect(cards.map(({ told }) => told.changes)).toEqual([0, 1, 0, 0, 1])
  })

  test('shares the request of others that want the same time, as long as one of them does', async () => {
    const { asked, card, answer } = world()
    const cards = [card(2), card(1), card(3)]
    for (const { filling } of cards) filling.columns(WINDOW)
    await settled()
    expect(asked.map((one) => one.path)).toEqual(['api/v1/history?match[]=x&start=-20&end=50'])
    cards[0]?.filling.stop()
    cards[1]?.filling.stop()
    expect(asked[0]?.signal.aborted).toBe(false)
    await asked[0]?.answer(answer)
    expect(cards.map(({ told }) => told.changes)).toEqual([0, 0, 1])
    expect(shown(cards[2]?.filling.columns(WINDOW) ?? new Columns()).length).toBe(61)
    cards[0]?.filling.columns(WINDOW)
    await settled()
    expect(asked.length).toBe(2)
    cards[0]?.filling.stop()
    expect(asked[1]?.signal.aborted).toBe(true)
  })
})
