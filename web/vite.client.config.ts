/**
 * Builds what others load: the client as one module, `client.js`, and the element beside it, `gauge-cast.js`, which imports
 * the client rather than having it in itself. Both into `dist`, which the server embeds, and into the package's own
 * `client/dist`, where `tsc` puts the client's types; those of the element are of one file and made here. The licences too,
 * which npm packs only from the package's folder.
 */
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { transpileDeclaration } from 'typescript'
import { defineConfig } from 'vite'

const path = (name: string) => fileURLToPath(new URL(name, import.meta.url))
const element = process.env.BUILD === 'element'
const file = element ? 'gauge-cast.js' : 'client.js'

export default defineConfig({
  publicDir: false,
  build: {
    target: 'es2022',
    emptyOutDir: false,
    lib: { entry: path(element ? 'element/index.ts' : 'client/index.ts'), formats: ['es'], fileName: () => file },
    minify: 'oxc',
    rolldownOptions: {
      ...(element && { external: (id: string) => id === '../client/index' }),
      output: { minify: true, paths: { [path('client/index')]: './client.js' } },
    },
  },
  plugins: [
    {
      name: 'the package has it too',
      closeBundle() {
        mkdirSync(path('client/dist'), { recursive: true })
        copyFileSync(path(`dist/${file}`), path(`client/dist/${file}`))
        if (element) {
          const source = readFileSync(path('element/index.ts'), 'utf8')
          writeFileSync(path('client/dist/gauge-cast.d.ts'), transpileDeclaration(source, { compilerOptions: { stripInternal: true } }).outputText)
        }
        for (const licence of ['LICENSE-APACHE', 'LICENSE-MIT']) copyFileSync(path(`../${licence}`), path(`client/${licence}`))
      },
    },
  ],
})
