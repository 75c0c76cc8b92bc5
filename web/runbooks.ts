/**
 * `docs/runbooks.md` as a page, which the server has at `/runbooks`: the link `runbook_url` of an alert leads to its section, also
 * where nobody has the repository. Plain HTML that needs no script but that of the theme.
 */
import { readFileSync } from 'node:fs'
import { Marked } from 'marked'
import type { Plugin } from 'vite'

const SOURCE = new URL('../docs/runbooks.md', import.meta.url)

/** What the link of an alert ends in: its name in small letters, as a forge makes it too. */
function anchorOf(heading: string): string {
  return heading.toLowerCase().replaceAll(' ', '-')
}

function pageOf(markdown: string): string {
  const marked = new Marked({
    renderer: {
      heading({ depth, text, tokens }) {
        return `<h${depth} id="${anchorOf(text)}">${this.parser.parseInline(tokens)}</h${depth}>\n`
      },
      // Other documents are in the repository, and this page is where that may not be.
      link({ href, tokens }) {
        const text = this.parser.parseInline(tokens)
        return /^(#|https:)/.test(href) ? `<a href="${href}">${text}</a>` : text
      },
    },
  })
  return `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8" />
    <meta name="viewport" content="width=device-width, initial-scale=1" />
    <meta name="color-scheme" content="light dark" />
    <title>Runbooks · gaugecast</title>
    <link rel="icon" href="./icon.svg" type="image/svg+xml" />
    <link rel="stylesheet" href="./app.css" />
    <script src="./theme.js"></script>
  </head>
  <body>
    <main class="document">
      <p><a href="./#alerts">Alerts</a></p>
${marked.parse(markdown, { async: false })}    </main>
  </body>
</html>
`
}

/** Adds the page to what is built. */
export function runbooks(): Plugin {
  return {
    name: 'runbooks',
    generateBundle() {
      this.emitFile({ type: 'asset', fileName: 'runbooks.html', source: pageOf(readFileSync(SOURCE, 'utf8')) })
    },
  }
}
