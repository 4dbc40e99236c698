/**
 * Programs of services, each of which notes what it observes; and two stages on which they run: a
 * fake bus, and a real broker. What a program notes on both is compared (B17).
 */
import { z } from 'zod'
import {
  type Bus,
  type BusEvent,
  type BusOptions,
  createBus,
  declaredError,
  defineApi,
  type EventDedupe,
  type ListenerOptions,
} from '../../src/bus/index.ts'
import { type FakeBus, fakeBus } from '../../src/bus/testing/index.ts'
import { type Client, type ClientOptions, createClient } from '../../src/client/index.ts'
import type { Spoken } from './each-broker.ts'
import { until } from './process.ts'
import { soon } from './real-clients.ts'
import { Relay } from './relay.ts'

const users = defineApi({
  name: 'users',
  version: '1.1.0',
  rpcs: {
    find: {
      input: z.object({ name: z.string(), at: z.string().transform((at) => new Date(at)) }),
      output: z.object({ age: z.number(), since: z.string().transform(Number) }),
      errors: { LOCKED: z.object({ minutes: z.number() }) },
      idempotent: true,
    },
  },
})
/** A later version, with an rpc that the service does not have. */
const laterUsers = defineApi({
  ...{ name: 'users', version: '1.2.0' },
  rpcs: { ...users.rpcs, forget: { idempotent: true } },
})
const nobody = defineApi({ name: 'nobody', version: '1.0.0', rpcs: { ask: {} } })
/** Events alone, so that it is served where there are no Shared Subscriptions. */
const mails = defineApi({
  name: 'mails',
  version: '1.0.0',
  events: { sent: { payload: z.object({ to: z.string(), size: z.string().transform(Number) }) } },
})

/** Where programs run. */
export interface Stage {
  /** Whether there are Shared Subscriptions. */
  readonly shares: boolean
  /** Whether what is sent again after a loss comes before later messages. */
  readonly resendsInOrder: boolean
  bus(service: string, options?: Partial<BusOptions>): Bus
  /** A client at the same broker, which is no part of the bus. */
  client(): Client
  /** Crashes. @returns the bus of the next life. */
  kill(bus: Bus): Promise<Bus>
  /** Waits for something; what needs time gets it. */
  value<T>(promise: Promise<T>): Promise<T>
  when(condition: () => boolean, what: string): Promise<void>
}

type Program = (stage: Stage, note: (line: string) => void) => Promise<void>

/** @returns what a promise became, in words. */
async function outcome(stage: Stage, promise: Promise<unknown>): Promise<string> {
  try {
    return JSON.stringify(await stage.value(promise)) ?? 'nothing'
  } catch (error) {
    const { name, code } = error as { readonly name: string; readonly code: string }
    return `${name} ${code}`
  }
}

function run(bus: Bus): void {
  bus.run().catch(() => {})
}

/** @returns a caller, or null if the broker has no Shared Subscriptions, which is noted. */
async function calling(stage: Stage, note: (line: string) => void): Promise<Bus | null> {
  const server = stage.bus('users')
  const served = server.serve(users, {
    find: ({ name, at }, call) => {
      if (name === 'eve') call.fail('LOCKED', { minutes: 5 }, 'too many tries')
      if (name === 'mallory') throw new Error('secret')
      return { age: 36, since: String(at.getTime()) }
    },
  })
  run(server)
  const granted = await outcome(stage, served.granted)
  if (granted === 'nothing') return stage.bus('client')
  // Brokers without Shared Subscriptions refuse one, or never send anything for it.
  const isUnshared = /SUBSCRIBE_REFUSED|SHARED_UNAVAILABLE/.test(granted)
  note(isUnshared && !stage.shares ? 'not served' : `serve: ${granted}`)
  return null
}

/** A service that fires, and a listener of another one. */
async function listening(
  stage: Stage,
  options: ListenerOptions<{ to: string; size: number }>,
  handler: (event: BusEvent<{ to: string; size: number }>) => unknown,
) {
  const server = stage.bus('mails')
  server.serve(mails, {})
  const mailer = stage.bus('mailer')
  const listen = (bus: Bus) => {
    const given = { share: stage.shares, sessionExpiryInterval: 60, ...options }
    const listener = bus.api(mails).sent.listen('log', given, handler)
    run(bus)
    return listener
  }
  const listener = listen(mailer)
  await stage.value(listener.granted)
  const fire = (to: string) => stage.value(server.fire(mails, 'sent', { to, size: '7' }))
  return { fire, listener, mailer, listen }
}

export const PROGRAMS: Readonly<Record<string, Program>> = {
  'a call': async (stage, note) => {
    const client = await calling(stage, note)
    if (client === null) return
    const api = client.api(users)
    note(await outcome(stage, api.find({ name: 'ada', at: '1970-01-01' })))
    note(await outcome(stage, api.find({ name: 7 as never, at: '1970-01-01' })))
    note(await outcome(stage, api.find({ name: 'mallory', at: '1970-01-01' })))
  },

  'a declared error': async (stage, note) => {
    const client = await calling(stage, note)
    if (client === null) return
    const call = client.api(users).find({ name: 'eve', at: '1970-01-01' })
    const error = await stage.value(call).catch((thrown: unknown) => thrown)
    note(JSON.stringify(declaredError(users.rpcs.find, error)))
  },

  'an rpc that is not there': async (stage, note) => {
    const client = await calling(stage, note)
    const other = client ?? stage.bus('client')
    if (client !== null) note(await outcome(stage, client.api(laterUsers).forget()))
    note(await outcome(stage, other.api(nobody).ask(undefined, { timeout: 500 })))
  },

  'an event that nobody hears': async (stage, note) => {
    const server = stage.bus('mails')
    server.serve(mails, {})
    const { unheard } = await stage.value(server.fire(mails, 'sent', { to: 'a', size: '7' }))
    note(`unheard: ${unheard}`)
  },

  'an event that is handled again': async (stage, note) => {
    let left = 2
    const retry = { minMs: 20, maxMs: 20 }
    const { fire, listener } = await listening(stage, { onError: 'retry', retry }, (event) => {
      note(`${event.value.to} ${event.value.size}, attempt ${event.attempt}`)
      if (left-- > 0) throw new Error('no mail today')
    })
    await fire('a')
    await fire('b')
    await stage.when(() => listener.stats.handled === 2, 'both are handled')
    note(JSON.stringify(listener.stats))
  },

  'a dead letter': async (stage, note) => {
    const watcher = stage.client()
    const dead = watcher.subscribe('+/_dead/#')
    await stage.value(dead.granted)
    const { fire, listener } = await listening(stage, { onError: 'deadLetter' }, ({ value }) => {
      if (value.to === 'a') throw new Error('no mail today')
      note(`handled ${value.to}`)
    })
    await fire('a')
    const { value: letter } = await stage.value(dead.next())
    const { topic, payload, properties } = letter!
    note(`${topic.slice(topic.indexOf('/'))} ${new TextDecoder().decode(payload)}`)
    const { 'itm-code': code, 'itm-message': message } = properties?.userProperties ?? {}
    note(code === undefined ? 'without a reason' : `because of ${code}: ${message}`)
    await fire('b')
    await stage.when(() => listener.stats.handled === 1, 'the other one is handled')
    const { received, handled, dead: count } = listener.stats
    note(JSON.stringify({ received, handled, count }))
    await stage.value(dead.return())
  },

  'an event that comes again after a crash': async (stage, note) => {
    let life = 1
    const { fire, mailer, listen, listener } = await listening(stage, {}, ({ value, attempt }) => {
      note(`life ${life}: ${value.to}, attempt ${attempt}`)
      return life === 1 ? new Promise(() => {}) : undefined
    })
    await fire('a')
    await stage.when(() => listener.stats.running === 1, 'its handler has begun')
    const next = await stage.kill(mailer)
    life = 2
    if (stage.resendsInOrder) await fire('b')
    const second = listen(next)
    await stage.when(() => second.stats.handled > 0, 'the first one is handled')
    if (!stage.resendsInOrder) await fire('b')
    await stage.when(() => second.stats.handled === 2, 'both are handled')
    note(`handled ${second.stats.handled}`)
  },

  'an event that a store knows': async (stage, note) => {
    let life = 1
    const ids = new Set<string>()
    const store: EventDedupe = {
      seen: (id) => ids.has(id),
      // It is remembered, and the crash comes before the acknowledgement.
      done: (id) => {
        ids.add(id)
        return life === 1 ? new Promise(() => {}) : undefined
      },
    }
    const given = { dedupe: { store } }
    const { fire, mailer, listen } = await listening(stage, given, ({ value, dedupeId }) => {
      note(`life ${life}: ${value.to}, ${dedupeId === null ? 'without' : 'with'} a name`)
      // Without a name no store is asked.
      if (dedupeId === null) ids.add('unnamed')
      return life === 1 && dedupeId === null ? new Promise(() => {}) : undefined
    })
    await fire('a')
    await stage.when(() => ids.size === 1, 'it is remembered')
    const next = await stage.kill(mailer)
    life = 2
    const second = listen(next)
    await stage.when(() => second.stats.received === 1, 'the first one has come')
    await fire('b')
    await stage.when(() => second.stats.received === 2, 'both have come')
    await stage.when(() => second.stats.running === 0, 'no handler runs')
    note(JSON.stringify(second.stats))
  },
}

/** @returns what a program notes on a fake bus, whose broker is like the other one. */
export async function noteOnFake(program: Program, kind: FakeKind): Promise<readonly string[]> {
  const { version, shares, saysNobody } = kind
  const broker = {
    ...{ sharedAvailable: shares, sharedInMqtt3: shares, noMatchingSubscribers: saysNobody },
  }
  const lines: string[] = []
  await using fake = fakeBus({ broker, bus: { client: { protocolVersion: version } } })
  const stage = new FakeStage(fake, kind)
  await program(stage, (line) => lines.push(line))
  await stage.end()
  return lines
}

/** What a broker is like, as far as programs can observe it. */
export interface FakeKind {
  readonly version: 4 | 5
  readonly shares: boolean
  readonly saysNobody: boolean
  readonly resendsInOrder: boolean
}

class FakeStage implements Stage {
  readonly shares: boolean
  readonly resendsInOrder: boolean
  readonly #fake: FakeBus
  readonly #version: 4 | 5
  readonly #clients: Client[] = []

  constructor(fake: FakeBus, { version, shares, resendsInOrder }: FakeKind) {
    this.#fake = fake
    this.shares = shares
    this.resendsInOrder = resendsInOrder
    this.#version = version
  }

  bus(service: string, options?: Partial<BusOptions>): Bus {
    return this.#fake.join(service, options)
  }

  client(): Client {
    const { clock, broker } = this.#fake
    const client = createClient({
      ...{ protocolVersion: this.#version, keepAlive: 0 },
      ...{ platform: clock, transport: broker.transport },
    })
    this.#clients.push(client)
    return client
  }

  kill(bus: Bus): Promise<Bus> {
    return this.#fake.kill(bus)
  }

  value<T>(promise: Promise<T>): Promise<T> {
    return this.#fake.clock.until(promise)
  }

  async when(condition: () => boolean, what: string): Promise<void> {
    for (let tries = 0; !condition(); tries++) {
      if (tries === 1000) throw new Error(`in vain: ${what}`)
      await this.#fake.advance(10)
    }
  }

  async end(): Promise<void> {
    for (const client of this.#clients) await this.value(client.close())
  }
}

interface Scope {
  onTestFinished(done: () => Promise<void> | void): void
}

let prefixes = 0

/** A broker of this machine. Each life of a process reaches it through a relay of its own. */
class RealStage implements Stage {
  readonly shares: boolean
  readonly resendsInOrder: boolean
  readonly #spoken: Spoken
  readonly #scope: Scope
  readonly #prefix = `b17-${++prefixes}`
  readonly #lives = new Map<Bus, { readonly relay: Relay; readonly options: BusOptions }>()
  readonly #relays: Relay[] = []
  #count = 0

  constructor(spoken: Spoken, scope: Scope) {
    this.#spoken = spoken
    this.#scope = scope
    this.shares = spoken.kind.shares.includes(spoken.version)
    this.resendsInOrder = spoken.kind.resendsInOrder
  }

  get #client(): ClientOptions {
    return {
      protocolVersion: this.#spoken.version,
      reconnect: { when: 'always', minMs: 5, maxMs: 100 },
      onWarning: () => {},
    }
  }

  /** Opens the relays that the buses need, since `bus()` cannot wait for that. */
  async prepare(count: number): Promise<void> {
    const port = Number(new URL(this.#spoken.broker.url).port)
    while (this.#relays.length < count) {
      this.#relays.push(await Relay.open(this.#scope, port))
    }
  }

  bus(service: string, options: Partial<BusOptions> = {}): Bus {
    const process = `p${this.#count++}`
    return this.#begin({ service, process, prefix: this.#prefix, client: '', ...options })
  }

  #begin(options: BusOptions): Bus {
    const relay = this.#relays.pop()!
    const url = new URL(this.#spoken.broker.url)
    url.port = String(relay.port)
    const bus = createBus({ ...options, client: { ...this.#client, url } })
    this.#lives.set(bus, { relay, options })
    this.#scope.onTestFinished(() => soon(bus.close({ timeout: 100 }), 'the bus closes'))
    return bus
  }

  client(): Client {
    const { url } = this.#spoken.broker
    const clientId = `${this.#prefix}-watcher`
    const client = createClient({ ...this.#client, clientId, url })
    this.#scope.onTestFinished(() =>
      soon(
        client.close({ timeout: 100 }).then(() => {}),
        'it closes',
      ),
    )
    return client
  }

  async kill(bus: Bus): Promise<Bus> {
    const { relay, options } = this.#lives.get(bus)!
    relay.cut()
    relay.set('closed')
    await bus.close({ timeout: 1 })
    return this.#begin(options)
  }

  value<T>(promise: Promise<T>): Promise<T> {
    return soon(promise, 'what the program awaits')
  }

  when(condition: () => boolean, what: string): Promise<void> {
    return until(async () => condition(), what)
  }
}

/** More than any program has lives. */
const LIVES_MAX = 6

/** @returns what a program notes at a broker of this machine. */
export async function noteAtBroker(
  program: Program,
  spoken: Spoken,
  scope: Scope,
): Promise<readonly string[]> {
  const lines: string[] = []
  const stage = new RealStage(spoken, scope)
  await stage.prepare(LIVES_MAX)
  await program(stage, (line) => lines.push(line))
  return lines
}
