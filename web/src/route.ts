/**
 * What the address says behind `#`: the page, what on it, and how: `#metric/node_load1?view=table&w=15m`. The address is
 * the state that a link carries; `Page` reads it when it changes and writes it through `hrefOf`.
 */

export interface Route {
  /** The page; one that does not exist is the first. */
  readonly view: string
  /** What on it, a name of a family or an id; empty without one. */
  readonly about: string
  readonly params: ReadonlyMap<string, string>
}

export function parseRoute(hash: string): Route {
  const [path, query] = split(hash.replace(/^#/, ''), '?')
  const [view, about] = split(path, '/')
  return { view, about: decoded(about), params: new Map(new URLSearchParams(query)) }
}

/** The address of a route. Parameters that are empty are left out. */
export function hrefOf(view: string, about = '', params: Iterable<readonly [string, string]> = []): string {
  const query = new URLSearchParams([...params].filter(([, value]) => value !== '').map(([name, value]) => [name, value])).toString()
  return `#${view}${about === '' ? '' : `/${encodeURIComponent(about)}`}${query === '' ? '' : `?${query}`}`
}

function split(text: string, at: string): readonly [string, string] {
  const i = text.indexOf(at)
  return i < 0 ? [text, ''] : [text.slice(0, i), text.slice(i + 1)]
}

/** Somebody may have typed it. */
function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
