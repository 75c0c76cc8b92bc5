/**
 * The build: fixed names without hashes, since the server embeds these files and answers with an ETag each, and
 * relative addresses, so that the page works under any route prefix. What only some need is a file of its own, fetched when
 * it is wanted: most pages (`ui/pages.ts`), the reader of YAML.
 */
import { defineConfig } from 'vite'
import { runbooks } from './runbooks.ts'

export default defineConfig({
  base: './',
  build: {
    target: 'es2022',
    // `light-dark()` is kept as written: the canvas reads both halves of each token.
    cssTarget: ['chrome123', 'firefox120', 'safari17.5'],
    modulePreload: false,
    cssCodeSplit: false,
    assetsInlineLimit: 0,
    chunkSizeWarningLimit: 400,
    rolldownOptions: {
      output: {
        entryFileNames: 'app.js',
        chunkFileNames: '[name].js',
        assetFileNames: 'app[extname]',
        // What several of those pages share and the first ones do not need; and what all files need.
        codeSplitting: {
          includeDependenciesRecursively: false,
          groups: [
            { name: 'parts', test: /src[\\/](ui|model)[\\/](fact|table|denied|series-table|series-rows|command)\.tsx?$/ },
            { name: 'format', test: /src[\\/](format[\\/]|promql[\\/](lex|words))/ },
          ],
        },
      },
    },
  },
  plugins: [runbooks()],
  oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
})
