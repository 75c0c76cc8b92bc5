/** What the server embeds: the files, their size, and nothing that a strict CSP would refuse. */
import { readdirSync, readFileSync } from 'node:fs'
import { gzipSync } from 'node:zlib'
import { expect, test } from 'vitest'

const dist = new URL('../dist/', import.meta.url)
const read = (name: string) => readFileSync(new URL(name, dist))

/** What a script asks for before it runs. */
const imported = (name: string): readonly string[] => [...read(name).toString().matchAll(/(?:import|from)\s*["'`]\.\/([^"'`]+)["'`]/g)].map(([, other]) => other ?? '')

/** A script with all that it needs. */
function whole(...names: readonly string[]): ReadonlySet<string> {
  const found = new Set(names)
  for (const name of found) for (const other of imported(name)) found.add(other)
  return found
}

const packed = (names: Iterable<string>) => [...names].reduce((sum, name) => sum + gzipSync(read(name), { level: 9 }).length, 0)

test('has the files that the server knows, and no others', () => {
  const known = readFileSync(new URL('../../src/server/assets.rs', import.meta.url), 'utf8')
  const named = [...known.matchAll(/^ {4}(?:script|file)!\("([^"]+)"/gm)].map(([, name]) => name)
  expect(readdirSync(dist).sort()).toEqual([...named, 'index.html', 'runbooks.html'].sort())
})

const PAGES = [...readFileSync(new URL('../src/ui/pages.ts', import.meta.url), 'utf8').matchAll(/import\('\.\.\/pages\/(\w+)'\)/g)].map(([, name]) => `${name ?? ''}.js`)

test('most pages are files of their own', () => {
  expect(PAGES.length).toBeGreaterThan(5)
})

// As a browser's budget counts: what is fetched until the page is there.
test.each(['app.js', ...PAGES])('all scripts and styles that a visit to %s fetches are under 150 kB gzipped', (page) => {
  const fetched = whole('app.js', page)
  expect(fetched.has('app.js')).toBe(true)
  expect(packed([...fetched, 'theme.js', 'app.css'])).toBeLessThan(150_000)
})

test('the client is under 10 kB gzipped, asks for no other module, and names no other host', () => {
  const client = read('client.js')
  expect(gzipSync(client).length).toBeLessThan(10_000)
  expect(client.toString()).not.toMatch(/\bimport\s*[{*"']|\bimport\(|\bfrom\s*["'`]|https?:\/\//)
})

test('the element is under 8 kB gzipped, asks for the client and for no other module, and puts in no inline style or markup', () => {
  const element = read('gauge-cast.js')
  expect(gzipSync(element).length).toBeLessThan(8_000)
  expect([...element.toString().matchAll(/\bimport\s*\{[^}]*\}\s*from\s*["'`]([^"'`]+)|\bimport\s*\(?["'`]([^"'`]+)/g)].map(([, from, other]) => from ?? other)).toEqual(['./client.js'])
  expect(element.toString().replaceAll('http://www.w3.org/2000/svg', '')).not.toMatch(/https?:\/\/|innerHTML|insertAdjacentHTML|<style/)
})

test('the reader of YAML is a file that only who imports a board loads', () => {
  expect(read('boards.js').toString().includes('import(`./yaml.js`)')).toBe(true)
  for (const page of ['app.js', ...PAGES]) expect(whole(page).has('yaml.js'), page).toBe(false)
  expect(gzipSync(read('yaml.js')).length).toBeLessThan(13_000)
})

test.each(['index.html', 'runbooks.html'])('%s has no inline script or style and asks no other origin', (page) => {
  const html = read(page).toString()
  expect(html).not.toMatch(/<script(?![^>]*\bsrc=)/)
  expect(html).not.toMatch(/<style|\sstyle=|\son\w+=/)
  expect(html).not.toMatch(/(?:src|href)="(?:https?:)?\/\//)
  expect(read('app.css').toString()).not.toMatch(/url\(|@import/)
})

test.each(['index.html', 'runbooks.html'])('addresses of %s are relative, so that a route prefix works', (page) => {
  expect(read(page).toString()).not.toMatch(/(?:src|href)="\//)
})

test('without JavaScript the page has links to the endpoints there are, and to no others', () => {
  const html = read('index.html').toString()
  const links = [...html.matchAll(/<a href="([^"]*)"/g)].map(([, path]) => path)
  expect(links).toEqual([
    'metrics', 'federate?match[]={__name__!=%22%22}', 'api/v1/metrics', 'api/v1/alerts', 'api/v1/rules', 'api/v1/anomalies', 'runbooks', 'api/v1/targets', 'api/v1/baselines',
    'api/v1/admin/performance/report?format=html', 'api/v1/admin/clients', 'api/v1/admin/config', 'api/v1/status', 'api/v1/openapi.json', '-/healthy', '-/ready',
  ])
})
