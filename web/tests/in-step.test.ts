/**
 * Whatever is cut, delayed, lost or resumed: what a subscription shows is at every moment what the server had at that
 * offset, and in the end what it has now. A server of the protocol in little, driven with the client by seeded dice.
 */
import { expect, test } from 'vitest'
import { decode } from '../client/decode'
import { Machine } from '../client/machine'
import type { Effect } from '../client/machine'
import type { ClientMessage } from '../client/message'
import { Model, UnknownSeries } from '../client/model'

/** mulberry32: the same dice for the same seed. */
function dice(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
}

interface Member {
  readonly id: number
  readonly name: string
  value: number
  changed: number
  readonly born: number
  /** At which offset it went. */
  gone: number | null
}

/** The server: names `a0` … `b3` come and go and change; a selection is the first letter. */
class Server {
  epoch = ''
  offset = 0
  private members: Member[] = []
  private nextId = 0
  private oldest = 0
  /** What each selection showed, by `epoch:offset:letter`. */
  readonly history = new Map<string, string>()

  constructor(private readonly random: () => number) {
    this.restart()
  }

  restart(): void {
    this.epoch = Math.floor(this.random() * 1e9).toString(16)
    this.offset = 0
    this.oldest = 0
    this.members = []
    // Numbers mean something else in each epoch.
    this.nextId = Math.floor(this.random() * 4)
    this.tick()
  }

  tick(): void {
    this.offset++
    for (const letter of 'ab') {
      for (let i = 0; i < 4; i++) {
        const name = `${letter}${i}`
        const there = this.members.find((one) => one.name === name && one.gone === null)
        const roll = this.random()
        if (there === undefined) {
          if (roll < 0.3) this.members.push({ id: this.nextId++, name, value: roll, changed: this.offset, born: this.offset, gone: null })
        } else if (roll < 0.1) there.gone = this.offset
        else if (roll < 0.5) Object.assign(there, { value: roll, changed: this.offset })
      }
      this.history.set(`${this.epoch}:${this.offset}:${letter}`, this.shows(letter))
    }
    // Tombstones are forgotten.
    if (this.random() < 0.05) {
      this.oldest = this.offset
      this.members = this.members.filter((one) => one.gone === null)
    }
  }

  shows(letter: string): string {
    return show(this.of(letter).map(({ name, value }) => [name, value]))
  }

  private of(letter: string): Member[] {
    return this.members.filter((one) => one.name.startsWith(letter) && one.gone === null)
  }

  private schema(channel: number, members: readonly Member[]): unknown[] {
    if (members.length === 0) return []
    const families = Object.fromEntries(members.map(({ name }) => [name, { type: 'gauge', help: '', unit: '' }]))
    return [{ type: 'schema', channel, families, series: members.map(({ id, name }) => ({ id, name, labels: {} })) }]
  }

  private inParts(frame: Readonly<Record<string, unknown>>, values: readonly unknown[], stale?: readonly number[]): unknown[] {
    const last = stale === undefined ? {} : { stale }
    if (values.length < 2 || this.random() < 0.5) return [{ ...frame, values, ...last }]
    return [
      { ...frame, values: values.slice(0, 1), part: 1, parts: 2 },
      { ...frame, values: values.slice(1), part: 2, parts: 2, ...last },
    ]
  }

  full(channel: number, letter: string): unknown[] {
    const members = this.of(letter)
    const frame = { type: 'snapshot', channel, epoch: this.epoch, offset: this.offset, t: this.offset }
    return [...this.schema(channel, members), ...this.inParts(frame, members.map(({ id, value }) => [id, value]))]
  }

  since(channel: number, letter: string, prev: number): unknown[] | null {
    if (prev < this.oldest) return null
    const members = this.of(letter).filter(({ changed }) => changed > prev)
    const stale = this.members.filter((one) => one.name.startsWith(letter) && one.gone !== null && one.gone > prev).map(({ id }) => id)
    const frame = { type: 'delta', channel, prev, offset: this.offset, t: this.offset }
    return [...this.schema(channel, members.filter(({ born }) => born > prev)), ...this.inParts(frame, members.map(({ id, value }) => [id, value]), stale)]
  }
}

const show = (values: readonly (readonly [string, number])[]) => values.map(([name, value]) => `${name}=${value}`).sort().join(' ')

/** A connection at the server's end: subscriptions by name, and what each channel has been sent. */
class Session {
  private readonly subs = new Map<string, string>()
  private readonly has = new Map<string, number>()

  constructor(
    private readonly server: Server,
    private readonly send: (message: unknown) => void,
  ) {
    send({ type: 'welcome', session: 's', epoch: server.epoch, server_time: 0, ping_ms: 25_000 })
  }

  private channel(letter: string): number {
    return letter === 'a' ? 1 : 2
  }

  receive(message: ClientMessage): void {
    const { server } = this
    if (message.type === 'unsubscribe') {
      const letter = this.subs.get(message.sub)
      this.subs.delete(message.sub)
      if (letter !== undefined && ![...this.subs.values()].includes(letter)) this.has.delete(letter)
    }
    if (message.type !== 'subscribe' && message.type !== 'update') return
    expect(this.subs.has(message.sub)).toBe(message.type === 'update')
    const letter = message.match?.[0] ?? ''
    const channel = this.channel(letter)
    const { resume } = message
    const missed = resume?.epoch === server.epoch && resume.offset <= server.offset ? server.since(channel, letter, resume.offset) : null
    this.send({ type: 'subscribed', sub: message.sub, id: message.id, channel, interval_ms: 1000, matched: 0, recovered: missed !== null })
    for (const one of missed ?? server.full(channel, letter)) this.send(one)
    this.subs.set(message.sub, letter)
    this.has.set(letter, server.offset)
  }

  /** Each channel goes from what the client has to now. */
  deliver(): void {
    for (const [letter, prev] of this.has) {
      if (prev === this.server.offset) continue
      const channel = this.channel(letter)
      for (const one of this.server.since(channel, letter, prev) ?? this.server.full(channel, letter)) this.send(one)
      this.has.set(letter, this.server.offset)
    }
  }
}

/** The client's end: the real machine and real models over a line that the test can cut. */
class Client {
  now = 0
  readonly machine = new Machine({ name: 'test', transports: ['websocket', 'sse'] })
  readonly models = new Map<string, { letter: string; readonly model: Model }>()
  session: Session | null = null
  line: string[] = []
  frames = 0

  constructor(
    private readonly server: Server,
    private readonly random: () => number,
  ) {
    this.run(this.machine.feed({ type: 'start' }, 0, 1))
  }

  subscribe(sub: string, letter: string): void {
    this.models.set(sub, { letter, model: new Model() })
    this.run(this.machine.feed({ type: 'subscribe', sub, selection: { match: [letter] } }, this.now, 1))
  }

  update(sub: string, letter: string): void {
    const entry = this.models.get(sub)
    if (entry === undefined) return
    entry.letter = letter
    this.run(this.machine.feed({ type: 'update', sub, selection: { match: [letter] } }, this.now, 1))
  }

  cut(): void {
    if (this.session === null) return
    this.session = null
    this.line = []
    this.run(this.machine.feed({ type: 'lost', code: 1006, reason: '' }, this.now, this.random()))
  }

  /** Drops a schema or a frame: something that a line which is not cut never does. */
  lose(): void {
    const at = Math.floor(this.random() * this.line.length)
    if (this.line[at]?.includes('"values"') === true || this.line[at]?.includes('"schema"') === true) this.line.splice(at, 1)
  }

  wait(ms: number): void {
    this.now += ms
    this.run(this.machine.feed({ type: 'wake' }, this.now, this.random()))
  }

  read(count: number): void {
    for (const text of this.line.splice(0, count)) {
      const message = decode(text)
      if (message !== null) this.run(this.machine.feed({ type: 'message', message }, this.now, this.random()))
    }
  }

  private run(effects: readonly Effect[]): void {
    for (const effect of effects) {
      if (effect.type === 'open') {
        this.line = []
        this.session = new Session(this.server, (message) => this.line.push(JSON.stringify(message)))
        this.run(this.machine.feed({ type: 'opened' }, this.now, 1))
      } else if (effect.type === 'drop') {
        this.session = null
        this.line = []
      } else if (effect.type === 'send') this.session?.receive(effect.message)
      else if (effect.type === 'deliver') {
        const entry = this.models.get(effect.sub)
        if (entry === undefined) throw new Error('nobody asked for this')
        try {
          entry.model.apply(effect.messages)
        } catch (error) {
          if (!(error instanceof UnknownSeries)) throw error
          this.run(this.machine.feed({ type: 'bad', reason: error.message }, this.now, 1))
          continue
        }
        this.frames++
        this.check(entry.letter, entry.model)
      } else if (effect.type === 'refused') throw new Error(effect.error.message)
    }
  }

  private check(letter: string, model: Model): void {
    expect(shown(model)).toBe(this.server.history.get(`${model.epoch}:${model.offset}:${letter}`))
  }
}

const shown = (model: Model) => show([...model.series.values()].map(({ name, value }) => [name, value]))

test.each(Array.from({ length: 60 }, (_, seed) => seed))('client and server are in step, dice %i', (seed) => {
  const random = dice(seed)
  const server = new Server(random)
  const client = new Client(server, random)
  for (const [sub, letter] of [['x', 'a'], ['y', 'b'], ['z', 'a']] as const) client.subscribe(sub, letter)
  for (let i = 0; i < 400; i++) {
    const roll = random()
    if (roll < 0.4) {
      server.tick()
      // One that is slow is not served each time.
      if (client.line.length < 6) client.session?.deliver()
    } else if (roll < 0.75) client.read(Math.ceil(random() * 4))
    else if (roll < 0.9) client.wait(Math.round(random() * 1500))
    else if (roll < 0.94) client.cut()
    else if (roll < 0.96) client.lose()
    else if (roll < 0.97) {
      server.restart()
      client.cut()
    } else if (roll < 0.99) client.update('z', random() < 0.5 ? 'a' : 'b')
    else {
      const late = `late${i}`
      client.subscribe(late, 'b')
    }
  }
  // When all is calm everybody has what there is now.
  for (let i = 0; i < 40; i++) {
    server.tick()
    client.session?.deliver()
    client.read(Infinity)
    client.wait(1000)
  }
  client.session?.deliver()
  client.read(Infinity)
  expect(client.frames).toBeGreaterThan(100)
  expect(client.machine.state.phase).toBe('live')
  for (const { letter, model } of client.models.values()) {
    expect([model.epoch, model.offset, shown(model)]).toEqual([server.epoch, server.offset, server.shows(letter)])
  }
})
