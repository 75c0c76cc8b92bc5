import { describe, expect, test } from 'vitest'
import { byPrefix } from '../src/model/prefix'
import { haystack, matches, nearest, words } from '../src/model/search'
import type { FamilyInfo } from '../src/model/store'

const family: FamilyInfo = { name: 'node_network_receive_bytes_total', type: 'counter', help: 'Bytes received.', unit: '', series: [] }
family.series.push({ key: 0, name: family.name, labels: { device: 'eth0' }, family })

describe('search', () => {
  const finds = (query: string) => matches(haystack(family), words(query))

  test('finds words in any order in name, help, label names and values', () => {
    expect(finds('RECEIVE network')).toBe(true)
    expect(finds('received bytes')).toBe(true)
    expect(finds('device')).toBe(true)
    expect(finds('  eth0   node_ ')).toBe(true)
    expect(finds('')).toBe(true)
  })

  test('every word must be found', () => {
    expect(finds('network eth1')).toBe(false)
  })

  test('what finds nothing has a nearest name', () => {
    expect(nearest('node_laod1', ['up', 'node_load1', 'node_forks_total'])).toBe('node_load1')
    expect(nearest('', ['up'])).toBeNull()
  })
})

describe('prefixes', () => {
  test('every name is in one group, large groups are split, single names are other', () => {
    const names = ['up', ...Array.from({ length: 15 }, (_, i) => `node_memory_${i}`), ...Array.from({ length: 9 }, (_, i) => `node_disk_${i}`), 'node_load1', 'process_a', 'process_b']
    const groups = byPrefix(names)
    expect(groups.map((group) => [group.prefix, group.names.size])).toEqual([
      ['node_disk_', 9],
      ['node_memory_', 15],
      ['process_', 2],
      ['other node_', 1],
      ['other', 1],
    ])
    expect(groups.flatMap((group) => [...group.names]).sort()).toEqual([...names].sort())
  })
})
