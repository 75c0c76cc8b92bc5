/** The name under which this browser acknowledges and silences; the server's word for whoever asks where there is none. */
const KEY = 'gaugecast.author'

export function author(): string {
  try {
    return localStorage.getItem(KEY) ?? ''
  } catch {
    return ''
  }
}

export function rememberAuthor(name: string): void {
  try {
    if (name === '') localStorage.removeItem(KEY)
    else localStorage.setItem(KEY, name)
  } catch {
    // It is asked for again.
  }
}

/** `by` of an order, where there is a name. */
export function signed(): { readonly by?: string } {
  const by = author().trim()
  return by === '' ? {} : { by }
}
