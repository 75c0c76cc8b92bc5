/**
 * Builds the client as one module: `dist/client.js`, which the server embeds, and the same in the package's own
 * `client/dist`, where `tsc` puts the types beside it; the licences too, which npm
 * packs only from the package's folder.
 */
import { copyFileSync, mkdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vite'

const path = (name: string) => fileURLToPath(new URL(name, import.meta.url))

export default defineConfig({
  publicDir: false,
  build: {
    target: 'es2022',
    emptyOutDir: false,
    lib: { entry: path('client/index.ts'), formats: ['es'], fileName: () => 'client.js' },
    minify: 'oxc',
    rolldownOptions: { output: { minify: true } },
  },
  plugins: [
    {
      name: 'the package has it too',
      closeBundle() {
        mkdirSync(path('client/dist'), { recursive: true })
        copyFileSync(path('dist/client.js'), path('client/dist/client.js'))
        for (const licence of ['LICENSE-APACHE', 'LICENSE-MIT']) copyFileSync(path(`../${licence}`), path(`client/${licence}`))
      },
    },
  ],
})
