import { expect, test } from 'vitest'
import { KnownNames } from '../src/model/known'
import type { FamilyInfo } from '../src/model/store'

const cpu: FamilyInfo = { name: 'cpu', type: 'counter', help: 'Time.', unit: '', series: [] }
cpu.series.push({ key: 0, name: 'cpu', labels: { mode: 'user', core: '0' }, family: cpu }, { key: 1, name: 'cpu', labels: { mode: 'idle', core: '1' }, family: cpu })

/** What is known, with a server that has told what it is asked; and the paths it was asked. */
function known(answers: Readonly<Record<string, readonly string[]>>) {
  const asked: string[] = []
  let changes = 0
  let now = 0
  const names = new KnownNames(
    { families: new Map([['cpu', cpu]]) },
    (path) => {
      asked.push(decodeURIComponent(path))
      const data = answers[path.slice(0, path.indexOf('?'))]
      return data === undefined ? Promise.reject(new Error('no')) : Promise.resolve({ status: 'success', data })
    },
    () => changes++,
    () => now,
  )
  const settled = () => new Promise((resolve) => setImmediate(resolve))
  return { names, asked, settled, changes: () => changes, pass: (ms: number) => (now += ms) }
}

test('what is live is known at once, and what only the history has when the server has told it', async () => {
  const { names, settled, changes } = known({ 'api/v1/label/__name__/values': ['cpu', 'gone'] })
  expect([...names.metrics()].map(({ name }) => name)).toEqual(['cpu'])
  await settled()
  expect(changes()).toBe(1)
  expect([...names.metrics()]).toEqual([{ name: 'cpu', type: 'counter', help: 'Time.' }, { name: 'gone', type: 'not live', help: '' }])
})

test('values are those of the series that the matchers beside them select', () => {
  const { names, asked } = known({})
  expect([...names.values(['cpu'], 'core', [{ label: 'mode', sign: '=', value: 'user' }])]).toEqual(['0'])
  expect(asked.at(-1)).toBe('api/v1/label/core/values?limit=2000&match[]=cpu{mode="user"}')
  // Half a pattern selects nothing yet, and does no harm.
  expect([...names.values(['cpu'], 'core', [{ label: 'mode', sign: '=~', value: '(' }])]).toEqual([])
})

test('the server is asked once for what it told just now, and not blamed for what it does not tell', async () => {
  const { names, asked, settled, pass } = known({ 'api/v1/labels': ['__name__', 'mode', 'zone'] })
  expect([...names.labels(['cpu'])].sort()).toEqual(['core', 'mode'])
  await settled()
  expect([...names.labels(['cpu'])].sort()).toEqual(['core', 'mode', 'zone'])
  expect(asked).toHaveLength(1)
  pass(60_000)
  expect([...names.labels(['cpu'])]).toContain('zone')
  expect(asked).toHaveLength(2)
  expect([...names.metrics()].map(({ name }) => name)).toEqual(['cpu'])
  await settled()
})
