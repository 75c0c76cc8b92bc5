/** The page against the real binary (`GAUGECAST_BIN`) in Debian's Chromium; the specs stand in `tests/web`. */
import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'

const module = (path: string) => fileURLToPath(new URL(`node_modules/${path}`, import.meta.url))

export default defineConfig({
  root: fileURLToPath(new URL('../tests/web', import.meta.url)),
  // The specs stand outside this folder, so its modules are named to them.
  resolve: { alias: { 'playwright-core': module('playwright-core/index.mjs') } },
  test: {
    include: ['*.spec.ts'],
    environment: 'node',
    // Two at a time: most of the time is waiting for ticks.
    maxWorkers: 2,
    testTimeout: 90_000,
    hookTimeout: 90_000,
  },
})
