/** Addresses that somebody else has written. */

/** The address, if it is one that a link may lead to; an alert may say `javascript:…`, and that stays text. */
export function safeLink(text: string): string | null {
  const trimmed = text.trim()
  // Without a scheme it would lead to a page of this server.
  if (!/^https?:\/\//i.test(trimmed)) return null
  try {
    const { protocol, href } = new URL(trimmed)
    return protocol === 'http:' || protocol === 'https:' ? href : null
  } catch {
    return null
  }
}
