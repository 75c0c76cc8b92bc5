/**
 * Several families that are one thing: what goes in and what goes out, the parts of memory. They share a card.
 */
import { rateUnit, unitOf } from '../format/unit'
import { isCounter } from './kinds'
import { asLines, chartRoom, distinguishing, ranked } from './lines'
import type { Line, Size } from './lines'
import type { Asked, LinesPlan, Plan } from './plan'
import { linesOf } from './plan'
import type { CardSpec } from './spec'
import type { FamilyInfo, SeriesInfo } from './store'
import { NO_NETWORK } from './tiles'

/** Parts of names: of what goes out, of what comes in, and what the two are called on a card. */
const DIRECTIONS: readonly (readonly [out: string, into: string, outWord: string, inWord: string])[] = [
  ['transmit', 'receive', 'out', 'in'],
  ['tx', 'rx', 'out', 'in'],
  ['egress', 'ingress', 'out', 'in'],
  ['sent', 'received', 'sent', 'received'],
  ['written', 'read', 'written', 'read'],
  ['writes', 'reads', 'writes', 'reads'],
  ['write', 'read', 'writing', 'reading'],
  ['out', 'in', 'out', 'in'],
  ['pgpgout', 'pgpgin', 'out', 'in'],
  ['pswpout', 'pswpin', 'out', 'in'],
]
/** `IpExt_OutOctets`: the direction begins a word of its own. */
const CAMEL = /(^|_)Out(?=[A-Z])/

interface Pair {
  readonly out: FamilyInfo
  readonly into: FamilyInfo
  readonly words: readonly [string, string]
}

/** The name of the other direction of what goes out, with the words of both; null where the name has no direction. */
export function inwards(name: string): { readonly name: string; readonly words: readonly [string, string] } | null {
  if (CAMEL.test(name)) return { name: name.replace(CAMEL, '$1In'), words: ['out', 'in'] }
  const parts = name.split('_')
  for (const [out, into, outWord, inWord] of DIRECTIONS) {
    const at = parts.indexOf(out)
    if (at >= 0) return { name: [...parts.slice(0, at), into, ...parts.slice(at + 1)].join('_'), words: [outWord, inWord] }
  }
  return null
}

function pairOf(out: FamilyInfo, into: FamilyInfo | undefined): Pair | null {
  const found = inwards(out.name)
  if (found === null || into?.name !== found.name || into.type !== out.type) return null
  return { out, into, words: found.words }
}

/** Parts of memory: what is used is the rest. */
const MEMORY = ['MemTotal', 'MemFree', 'Buffers', 'Cached', 'SReclaimable', 'MemAvailable'].map((part) => `node_memory_${part}_bytes`)
const NEEDED = 4

/** How a group is called; its members' own titles say but a part. */
const TITLES: Readonly<Record<string, string>> = {
  node_memory_MemTotal_bytes: 'Memory',
  node_network_transmit_bytes_total: 'Network',
  node_network_transmit_packets_total: 'Packets',
  node_disk_written_bytes_total: 'Disk',
  node_disk_writes_completed_total: 'Disk operations',
  node_disk_write_time_seconds_total: 'Disk time',
  node_vmstat_pgpgout: 'Paging',
  node_vmstat_pswpout: 'Swapping',
  node_netstat_IpExt_OutOctets: 'IPv4 bytes',
  node_netstat_Ip6_OutOctets: 'IPv6 bytes',
}

/** What a group is called, if it has a name of its own. */
export function groupTitle(names: readonly string[]): string | null {
  const [first = ''] = names
  return TITLES[first] ?? null
}

/** `node_network_{transmit,receive}_bytes_total`: several names as one. */
export function joinedName(names: readonly string[]): string {
  const [first = '', second] = names
  if (second === undefined) return first
  if (names.every((name) => MEMORY.includes(name))) return 'node_memory_*_bytes'
  let start = 0
  while (start < first.length && names.every((name) => name[start] === first[start])) start++
  let end = 0
  while (end < first.length - start && names.every((name) => name.length - end > start && name.at(-1 - end) === first.at(-1 - end))) end++
  return `${first.slice(0, start)}{${names.map((name) => name.slice(start, name.length - end)).join()}}${end === 0 ? '' : first.slice(-end)}`
}

/**
 * What stands on cards: families in the order given, those that are one thing together where the first of them stood.
 * Nothing is left out.
 */
export function cardsOf(families: readonly FamilyInfo[], find: (name: string) => FamilyInfo | undefined): readonly CardSpec[] {
  const given = new Set(families.map((family) => family.name))
  const taken = new Set<string>()
  const cards: CardSpec[] = []
  const outwards = new Map<string, FamilyInfo>()
  for (const family of families) {
    const into = inwards(family.name)
    if (into !== null && pairOf(family, find(into.name)) !== null) outwards.set(into.name, family)
  }
  for (const family of families) {
    if (taken.has(family.name)) continue
    const out = outwards.get(family.name) ?? family
    const into = inwards(out.name)
    const other = into === null ? undefined : find(into.name)
    const pair = other === undefined ? null : pairOf(out, other)
    const memory = MEMORY.includes(family.name) ? MEMORY.filter((name) => find(name) !== undefined && (name === MEMORY[0] || given.has(name))) : []
    const names = pair !== null && given.has(pair.into.name) ? [pair.out.name, pair.into.name] : memory.length >= NEEDED && MEMORY.slice(0, NEEDED).every((name) => memory.includes(name)) ? memory : [family.name]
    for (const name of names) taken.add(name)
    const [first = '', second] = names
    cards.push(second === undefined ? { family: first } : { families: names })
  }
  return cards
}

/** The plan of several families: a pair, memory, else the lines of each. */
export function makeGroup(families: readonly FamilyInfo[], size: Size, before: Plan | undefined, asked: Asked): Plan {
  const [first, second] = families
  const pair = first === undefined ? null : (pairOf(first, second) ?? (second === undefined ? null : pairOf(second, first)))
  if (pair !== null) return mirrored(pair, size, before, asked)
  if (NEEDED <= families.length && families.every((family) => MEMORY.includes(family.name))) return memory(families, asked)
  return together(families, size, before, asked)
}

/** In as many devices as have a colour for each direction. */
const MOST_PAIRS = 4

function mirrored({ out, into, words }: Pair, size: Size, before: Plan | undefined, asked: Asked): LinesPlan {
  const rate = isCounter(out)
  const unit = unitOf(out.name, out.unit)
  const labels = distinguishing(out.series)
  const devices = new Map<string, { out: number[]; into: number[] }>()
  const nameOf = (one: SeriesInfo) => labels.map((label) => one.labels[label] ?? '').filter((text) => text !== '').join(' ')
  for (const [family, side] of [[out, 'out'], [into, 'into']] as const) {
    for (const one of family.series) {
      if (one.name.endsWith('_created')) continue
      const device = devices.get(nameOf(one)) ?? { out: [], into: [] }
      device[side].push(one.key)
      devices.set(nameOf(one), device)
    }
  }
  const [outWord, inWord] = words
  const order = ranked([...devices].map(([label, sides]) => ({ label, keys: [...sides.out, ...sides.into], sides })), size, [], { named: MOST_PAIRS, other: 0 })
  const call = (device: string, word: string) => (devices.size === 1 ? word : `${device} ${word}`)
  const lines = order.flatMap(({ label, sides }): Line[] => [
    { label: call(label, outWord), keys: sides.out, other: false },
    { label: call(label, inWord), keys: sides.into, other: false, below: true },
  ])
  // What a host sends to itself is a line, and nothing that went out: the tile of the overview says the same.
  const gone = out.series.filter(({ name, labels: { device = '' } }) => !(name.startsWith('node_network_') && NO_NETWORK.test(device)))
  const places = new Map(linesOf(before).map((line, i) => [line.label, i]))
  return {
    kind: 'lines',
    view: asked.view ?? 'lines',
    rate,
    unit: rate ? rateUnit(unit) : unit,
    lines: lines.sort((a, b) => (places.get(a.label) ?? Infinity) - (places.get(b.label) ?? Infinity) || 0),
    summary: 'sum',
    word: outWord,
    headline: (gone.length > 0 ? gone : out.series).map((one) => one.key),
    whole: false,
    total: devices.size * 2,
    limit: null,
  }
}

function memory(families: readonly FamilyInfo[], asked: Asked): LinesPlan {
  const keys = (...parts: readonly string[]) => families.filter((family) => parts.some((part) => family.name === `node_memory_${part}_bytes`)).flatMap((family) => family.series.map((one) => one.key))
  const total = keys('MemTotal')
  return {
    kind: 'lines',
    view: asked.view ?? 'area',
    rate: false,
    unit: 'bytes',
    lines: [
      { label: 'used', keys: total, minus: keys('MemFree', 'Buffers', 'Cached', 'SReclaimable'), other: false },
      { label: 'cached', keys: keys('Cached', 'SReclaimable'), other: false, grey: true },
      { label: 'buffers', keys: keys('Buffers'), other: false, grey: true },
    ],
    summary: 'first',
    word: 'used',
    whole: false,
    total: 3,
    limit: { keys: total },
  }
}

function together(families: readonly FamilyInfo[], size: Size, before: Plan | undefined, asked: Asked): LinesPlan {
  const [first] = families
  const series = families.flatMap((family) => family.series).filter((one) => !one.name.endsWith('_created'))
  const rate = first !== undefined && isCounter(first)
  const unit = first === undefined ? 'count' : unitOf(first.name, first.unit)
  // Each is known by its family's name, so that two of the same labels are not one.
  const named = asLines(series, size, [], { named: series.length, other: 0 }).map((line) => {
    const one = series.find(({ key }) => key === line.keys[0])
    return { ...line, label: one === undefined || line.label.startsWith(one.name) ? line.label : `${one.name} ${line.label}` }
  })
  return {
    kind: 'lines',
    view: asked.view ?? 'lines',
    rate,
    unit: rate ? rateUnit(unit) : unit,
    lines: ranked(named, size, linesOf(before), chartRoom(named.length)),
    summary: 'highest',
    whole: false,
    total: series.length,
    limit: null,
  }
}
