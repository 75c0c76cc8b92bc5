import { expect, test } from 'vitest'
import { byName, byQuestion } from '../src/model/order'
import type { FamilyInfo } from '../src/model/store'

const families = (...names: string[]): FamilyInfo[] => names.map((name) => ({ name, type: 'gauge', help: '', unit: '', series: [] }))
const names = (list: readonly FamilyInfo[]) => list.map((one) => one.name)

test('by name, numbers in a name are in their order', () => {
  expect(names(byName(families('node_load15', 'node_load5', 'node_load1')))).toEqual(['node_load1', 'node_load5', 'node_load15'])
})

test('where everything is shown the state of the host comes first, the watcher itself and what rules recorded last', () => {
  expect(names(byQuestion(families('instance:node_cpu:rate1m', 'gaugecast_build_info', 'node_arp_entries', 'shop_orders_total', 'node_load1', 'process_threads', 'node_cpu_seconds_total')))).toEqual([
    'node_cpu_seconds_total',
    'node_load1',
    'shop_orders_total',
    'node_arp_entries',
    'gaugecast_build_info',
    'process_threads',
    'instance:node_cpu:rate1m',
  ])
})
