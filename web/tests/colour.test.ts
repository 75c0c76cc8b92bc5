/** The token table, computed: contrast (WCAG 2) and how well series can be told apart (OKLab, Machado 2009). */
import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { parseToken } from '../src/theme'

type Triple = readonly [number, number, number]

const css = readFileSync(new URL('../src/style/tokens.css', import.meta.url), 'utf8')
const tokens = new Map([...css.matchAll(/--([\w-]+):\s*(light-dark\([^;]*\));/g)].map(([, name = '', value = '']) => [name, parseToken(value)]))

const THEMES = ['light', 'dark'] as const
type ThemeName = (typeof THEMES)[number]

function colour(name: string, theme: ThemeName): Triple {
  const hex = tokens.get(name)?.[theme === 'light' ? 0 : 1]
  if (hex === undefined) throw new Error(`no token --${name}`)
  return [1, 3, 5].map((i) => linear(parseInt(hex.slice(i, i + 2), 16) / 255)) as unknown as Triple
}

const linear = (c: number) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
const luminance = ([r, g, b]: Triple) => 0.2126 * r + 0.7152 * g + 0.0722 * b
function contrast(a: Triple, b: Triple): number {
  const [dark = 0, light = 0] = [luminance(a), luminance(b)].sort((x, y) => x - y)
  return (light + 0.05) / (dark + 0.05)
}

function times(matrix: readonly Triple[], v: Triple): Triple {
  return matrix.map((row) => row[0] * v[0] + row[1] * v[1] + row[2] * v[2]) as unknown as Triple
}
/** OKLab of linear sRGB (Ottosson 2020). */
function oklab(rgb: Triple): Triple {
  const lms = times([[0.4122214708, 0.5363325363, 0.0514459929], [0.2119034982, 0.6806995451, 0.1073969566], [0.0883024619, 0.2817188376, 0.6299787005]], rgb).map(Math.cbrt) as unknown as Triple
  return times([[0.2104542553, 0.793617785, -0.0040720468], [1.9779984951, -2.428592205, 0.4505937099], [0.0259040371, 0.7827717662, -0.808675766]], lms)
}
const distance = (a: Triple, b: Triple) => Math.hypot(a[0] - b[0], a[1] - b[1], a[2] - b[2])

/** Machado, Oliveira, Fernandes 2009, severity 1.0, and the weight of each kind of sight. */
const SIGHT: readonly (readonly [string, readonly Triple[], number])[] = [
  ['plain', [[1, 0, 0], [0, 1, 0], [0, 0, 1]], 0.8],
  ['protan', [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]], 1],
  ['deutan', [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]], 1],
  ['tritan', [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]], 1.5],
]
const clamp = (v: Triple) => v.map((c) => Math.max(0, Math.min(1, c))) as unknown as Triple
const series = Array.from({ length: 8 }, (_, i) => `series-${i + 1}`)

describe.each(THEMES)('%s', (theme) => {
  test.each(['text', 'text2', 'text3'])('%s is readable on every ground', (name) => {
    for (const ground of ['bg', 'card', 'raise', 'sunk']) expect(contrast(colour(name, theme), colour(ground, theme)), ground).toBeGreaterThanOrEqual(4.5)
  })

  test('status text is readable on its soft ground and on cards', () => {
    for (const status of ['warning', 'critical']) {
      for (const ground of [`${status}-soft`, 'card']) expect(contrast(colour(status, theme), colour(ground, theme)), ground).toBeGreaterThanOrEqual(4.5)
    }
    expect(contrast(colour('emergency', theme), colour('card', theme))).toBeGreaterThanOrEqual(4.5)
    expect(contrast([1, 1, 1], colour('emergency-fill', theme))).toBeGreaterThanOrEqual(4.5)
    expect(contrast(colour('accent', theme), colour('card', theme))).toBeGreaterThanOrEqual(4.5)
    expect(contrast(colour('on-accent', theme), colour('accent', theme))).toBeGreaterThanOrEqual(4.5)
  })

  test.each([...series, 'other', 'ok', 'warning-mark', 'critical-mark', 'emergency', 'emergency-fill'])('%s is seen on a card', (name) => {
    expect(contrast(colour(name, theme), colour('card', theme))).toBeGreaterThanOrEqual(3)
  })

  test.each(SIGHT)('any two series can be told apart with %s sight', (_, matrix, weight) => {
    const seen = series.map((name) => oklab(clamp(times(matrix, colour(name, theme)))))
    for (let a = 0; a < seen.length; a++) {
      for (let b = 0; b < a; b++) {
        const [one, two] = [seen[a], seen[b]]
        if (one === undefined || two === undefined) throw new Error('eight series')
        expect(distance(one, two) * weight, `${series[a] ?? ''} and ${series[b] ?? ''}`).toBeGreaterThanOrEqual(0.1)
      }
    }
  })
})

test('no colour is written outside the tokens', () => {
  const folder = new URL('../src/style/', import.meta.url)
  const others = readdirSync(folder).filter((name) => name !== 'tokens.css')
  expect(others.length).toBeGreaterThan(0)
  const style = others.map((name) => readFileSync(new URL(name, folder), 'utf8')).join('')
  expect(style.match(/#[0-9a-f]{6}\b/gi)).toBeNull()
})
