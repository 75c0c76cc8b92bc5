/** What the specs share: the binary named by GAUGECAST_BIN, Debian's Chromium (or CHROMIUM), and a proxy in between. */
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { createServer, request } from 'node:http'
import type { Server as HttpServer } from 'node:http'
import { connect } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import { extname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { chromium } from 'playwright-core'
import type { Browser, BrowserContext, BrowserContextOptions, ConsoleMessage, Page } from 'playwright-core'

const TYPES: Readonly<Record<string, string>> = { '.html': 'text/html; charset=utf-8', '.js': 'text/javascript; charset=utf-8', '.css': 'text/css; charset=utf-8', '.svg': 'image/svg+xml' }
const CSP = "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"

export interface Server {
  readonly process: ChildProcess
  readonly url: string
  readonly port: number
}

/**
 * Starts the binary and waits until it says where the page is. With `PAGE_DIST`, a folder, its files stand in for those in
 * the binary, so that the page can be worked on without building that.
 */
export async function start(port: number, ...flags: readonly string[]): Promise<Server> {
  // The rest of the environment is the binary's: it warns of GAUGECAST_ variables it does not know.
  const { GAUGECAST_BIN: binary, ...env } = process.env
  if (binary === undefined) throw new Error('GAUGECAST_BIN names the binary under test')
  return fronted(await run(binary, [`--web.listen-address=127.0.0.1:${port}`, ...flags], env))
}

/** An application with operations: the example `chat_server` (`CHAT_BIN`), and where it chats. */
export async function startChat(...flags: readonly string[]): Promise<Server & { readonly chat: number }> {
  const { GAUGECAST_BIN: _, CHAT_BIN: binary = fileURLToPath(new URL('../../target/debug/examples/chat_server', import.meta.url)), ...env } = process.env
  if (!existsSync(binary)) throw new Error(`${binary} is missing; cargo build --examples makes it`)
  const told = await run(binary, ['--faults', '--web.listen-address=127.0.0.1:0', '--log.level=warn', ...flags], env)
  const chat = Number(/chat 127\.0\.0\.1:(\d+)/.exec(told.said)?.[1])
  return { ...(await fronted(told)), chat }
}

async function fronted(server: Server): Promise<Server> {
  const { PAGE_DIST: folder } = process.env
  if (folder === undefined) return server
  // A server that is started again is found where it was.
  const front = fronts.get(server.port) ?? (await Proxy.to(server, folder))
  fronts.set(server.port, front)
  return { ...server, url: front.url }
}

const fronts = new Map<number, Proxy>()

/** Starts a program and waits until it says where its page is. `said` is what it said before. */
async function run(binary: string, args: readonly string[], env: NodeJS.ProcessEnv): Promise<Server & { readonly said: string }> {
  const child = spawn(binary, args, { stdio: ['ignore', 'pipe', 'inherit'], env })
  let said = ''
  for await (const line of createInterface({ input: child.stdout })) {
    const found = /(?:page|live)\s+(http:\/\/127\.0\.0\.1:(\d+)\/\S*)/.exec(line)
    if (found === null) {
      said += `${line}\n`
      continue
    }
    child.stdout.resume()
    return { process: child, url: found[1] ?? '', port: Number(found[2]), said }
  }
  throw new Error('the binary ended without saying where its page is')
}

export async function stop(one: Server): Promise<void> {
  const ended = once(one.process, 'exit')
  one.process.kill('SIGKILL')
  await ended
}

export function launch(): Promise<Browser> {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking', '--disable-component-update', '--no-first-run'],
  })
}

/** The value of a metric without labels, or with those in `name`, as the server tells it now. */
export async function metric(server: Server, name: string): Promise<number> {
  const text = await (await fetch(`${server.url}metrics`)).text()
  const line = text.split('\n').find((one) => one.startsWith(`${name} `))
  return line === undefined ? 0 : Number(line.slice(name.length + 1))
}

/** Waits until a metric of the server has this value. Each scrape is fresh, so asking is all there is to do. */
export async function until(server: Server, name: string, value: number): Promise<void> {
  while ((await metric(server, name)) !== value);
}

/** Passes HTTP on to the server, and WebSockets unless they are refused. */
export class Proxy {
  webSockets = true
  readonly opened = { http: 0, webSocket: 0 }
  private readonly sockets = new Set<Socket>()

  private constructor(
    private readonly http: HttpServer,
    readonly url: string,
  ) {}

  /** @param folder whose files are given in place of the server's. */
  static async to(server: Server, folder?: string): Promise<Proxy> {
    const http = createServer((asked, answer) => {
      const file = folder === undefined ? undefined : join(folder, asked.url === '/' ? 'index.html' : (asked.url ?? ''))
      if (file !== undefined && existsSync(file)) {
        // Pages of other origins load the element from here; whether they are allowed to, the server itself is asked.
        answer.writeHead(200, { 'content-type': TYPES[extname(file)] ?? 'text/plain', 'content-security-policy': CSP, 'access-control-allow-origin': '*' })
        answer.end(readFileSync(file))
        return
      }
      if (asked.url?.includes('/stream/') === true) proxy.opened.http++
      const onward = request({ host: '127.0.0.1', port: server.port, path: asked.url, method: asked.method, headers: asked.headers }, (came) => {
        answer.writeHead(came.statusCode ?? 502, came.headers)
        came.pipe(answer)
      })
      onward.on('error', () => answer.destroy())
      answer.on('close', () => onward.destroy())
      asked.pipe(onward)
    })
    http.on('connection', (socket) => {
      proxy.sockets.add(socket)
      socket.on('close', () => proxy.sockets.delete(socket))
    })
    http.on('upgrade', (asked, socket: Socket) => {
      if (!proxy.webSockets) {
        socket.end('HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n')
        return
      }
      proxy.opened.webSocket++
      const onward = connect(server.port, '127.0.0.1', () => {
        const headers = asked.rawHeaders.map((text, i) => (i % 2 === 0 ? `${text}: ` : `${text}\r\n`)).join('')
        onward.write(`GET ${asked.url ?? '/'} HTTP/1.1\r\n${headers}\r\n`)
        socket.pipe(onward).pipe(socket)
      })
      for (const [one, other] of [[socket, onward], [onward, socket]] as const) {
        one.on('error', () => other.destroy())
        one.on('close', () => other.destroy())
      }
    })
    http.listen(0, '127.0.0.1')
    await once(http, 'listening')
    const proxy = new Proxy(http, `http://127.0.0.1:${(http.address() as AddressInfo).port}/`)
    return proxy
  }

  /** Cuts all connections there are. */
  cut(): void {
    for (const socket of this.sockets) socket.destroy()
  }

  async close(): Promise<void> {
    const closed = once(this.http, 'close')
    this.http.close()
    this.cut()
    await closed
  }
}

/** How a browser looks at a page: its viewport, its theme, and what else Playwright can set. */
export interface Look extends Omit<BrowserContextOptions, 'viewport' | 'colorScheme'> {
  readonly width?: number
  readonly height?: number
  readonly theme?: 'dark' | 'light'
}

/** Whether the console warns of something, or worse. */
export const warns = (message: ConsoleMessage) => message.type() === 'error' || message.type() === 'warning'
/** What the server refuses, the browser writes to the console too; the page says it in its own way. */
const fails = (message: ConsoleMessage) => message.type() === 'error' && !message.text().startsWith('Failed to load resource')

/** Pages of a browser that are closed together, with what went wrong on them. */
export class Pages {
  readonly complaints: string[] = []
  private readonly contexts: BrowserContext[] = []

  /** @param complains says which messages of the console are complaints, besides errors that nobody catches. */
  constructor(
    private readonly browser: () => Browser,
    private readonly complains: (message: ConsoleMessage) => boolean = fails,
  ) {}

  /** For pages that share what a browser keeps, or that are set up before they load. */
  async context({ width = 1280, height = 800, theme = 'light', ...rest }: Look = {}): Promise<BrowserContext> {
    const context = await this.browser().newContext({ ...rest, viewport: { width, height }, colorScheme: theme })
    this.contexts.push(context)
    context.on('weberror', (error) => this.complaints.push(error.error().message))
    context.on('console', (message) => {
      if (this.complains(message)) this.complaints.push(message.text())
    })
    return context
  }

  async open(url: string, look: Look = {}): Promise<Page> {
    const page = await (await this.context(look)).newPage()
    await page.goto(url)
    return page
  }

  async close(): Promise<void> {
    for (const context of this.contexts.splice(0)) await context.close()
    this.complaints.length = 0
  }
}

/** How many pixels the page scrolls sideways; it never should. */
export function sideways(page: Page): Promise<number> {
  return page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth)
}

/** Takes a picture of a page in each theme, of which it follows the system's: `NAME-light.png`, `NAME-dark.png`. */
export async function portray(page: Page, path: string, fullPage = false): Promise<void> {
  for (const colorScheme of ['light', 'dark'] as const) {
    await page.emulateMedia({ colorScheme })
    // Charts are drawn anew in the next frame.
    await page.evaluate(() => new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn))))
    await page.screenshot({ path: `${path}-${colorScheme}.png`, fullPage })
  }
}
