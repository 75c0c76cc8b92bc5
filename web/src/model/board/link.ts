/**
 * A board in a link: its JSON, deflated, in the letters that addresses take as they are; or the JSON itself, for those who
 * write links by hand. Whatever somebody puts there is bounded before it is unpacked, and judged after.
 */
import type { Board } from './schema'
import { checkBoard, plainBoard } from './schema'

/** Longer ones are cut by messengers and proxies. */
export const MOST_LINK = 16_000
/** What a link may unpack to (bytes). */
export const MOST_UNPACKED = 256 * 1024

/** Says which form follows. */
const DEFLATED = 'z'

export class LinkError extends Error {}

/** @throws LinkError if the board is too large for a link. */
export async function toLink(board: Board): Promise<string> {
  const json = new TextEncoder().encode(JSON.stringify(plainBoard(board)))
  const packed = await through(json, new CompressionStream('deflate'), Infinity)
  const text = DEFLATED + btoa(Array.from(packed, (byte) => String.fromCharCode(byte)).join('')).replace(/\+/g, '-').replace(/\//g, '_').replace(/=+$/, '')
  if (text.length > MOST_LINK) throw new LinkError(`This board needs a link of ${text.length} characters, and the most is ${MOST_LINK}. Export it as a file.`)
  return text
}

/** @throws LinkError which says what is wrong with it. */
export async function fromLink(text: string): Promise<Board> {
  if (text.length > MOST_LINK) throw new LinkError(`The link is longer than ${MOST_LINK} characters.`)
  const checked = checkBoard(parsed(text.startsWith(DEFLATED) ? await unpacked(text.slice(DEFLATED.length)) : text))
  if ('good' in checked) return checked.good
  throw new LinkError(checked.problems.map(({ path, text: words }) => (path.length === 0 ? words : `${path.join(' ')}: ${words}`)).join(' '))
}

function parsed(json: string): unknown {
  try {
    return JSON.parse(json)
  } catch (error) {
    throw new LinkError(`The link holds no board: ${(error as Error).message}.`)
  }
}

async function unpacked(text: string): Promise<string> {
  try {
    const bytes = Uint8Array.from(atob(text.replace(/-/g, '+').replace(/_/g, '/')), (one) => one.charCodeAt(0))
    return new TextDecoder('utf-8', { fatal: true }).decode(await through(bytes, new DecompressionStream('deflate'), MOST_UNPACKED))
  } catch (error) {
    if (error instanceof LinkError) throw error
    throw new LinkError('The link is damaged: a part of it is missing or was changed.')
  }
}

async function through(bytes: Uint8Array<ArrayBuffer>, stream: CompressionStream | DecompressionStream, most: number): Promise<Uint8Array> {
  const writer = stream.writable.getWriter()
  // What fails here fails the reader too, which says so.
  writer.write(bytes).catch(() => undefined)
  writer.close().catch(() => undefined)
  const reader = stream.readable.getReader()
  const parts: Uint8Array[] = []
  let size = 0
  for (;;) {
    const { done, value } = await reader.read()
    if (done) break
    size += value.length
    if (size > most) {
      void reader.cancel()
      throw new LinkError(`The link holds more than ${most / 1024} KiB.`)
    }
    parts.push(value)
  }
  const whole = new Uint8Array(size)
  let at = 0
  for (const part of parts) {
    whole.set(part, at)
    at += part.length
  }
  return whole
}
