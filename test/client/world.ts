/**
 * Clients of it-mqtt at a broker in memory, on a virtual clock. The end of each test closes them
 * and looks for what is left: timers, rejections that nobody took, rules that were broken.
 */
import { afterEach, expect } from 'vitest'
import {
  type Client,
  type ClientOptions,
  createClient,
  type Message,
} from '../../src/client/index.ts'
import type { Warning } from '../../src/index.ts'
import {
  type BrokerOptions,
  createBroker,
  type TestBroker,
  type VirtualClock,
  virtualClock,
} from '../../src/testing/index.ts'

export type Seen<T> = 'pending' | { readonly value: T } | { readonly error: unknown }

export const VERSIONS = [5, 4] as const

/** Longer than any test. */
const FOREVER_S = 3600

const open: World[] = []
const rejections: unknown[] = []
process.on('unhandledRejection', (reason) => rejections.push(reason))

export class World {
  readonly clock: VirtualClock = virtualClock()
  readonly broker: TestBroker
  readonly warnings: Warning[] = []
  readonly clients: Client[] = []
  /** How a client reads its messages in a test that looks at what it holds. */
  readonly #version: 4 | 5

  constructor(version: 4 | 5 = 5, options: BrokerOptions = {}) {
    this.#version = version
    this.broker = createBroker({ clock: this.clock, ...options })
    open.push(this)
  }

  client(options: ClientOptions = {}): Client {
    const client = createClient({
      clientId: `c${this.clients.length}`,
      protocolVersion: this.#version,
      keepAlive: 0,
      platform: this.clock,
      transport: this.broker.transport,
      reconnect: { when: 'always', minMs: 100, maxMs: 100 },
      onWarning: (warning) => this.warnings.push(warning),
      ...options,
    })
    this.clients.push(client)
    return client
  }

  /** A client whose session outlives its connections. */
  keeping(options: ClientOptions = {}): Client {
    const expiry = this.#version === 5 ? { sessionExpiryInterval: FOREVER_S } : {}
    return this.client({ cleanStart: false, ...expiry, ...options })
  }

  /** A client that reads until the test ends. */
  running(client: Client): Client {
    client.run().catch(() => {})
    return client
  }

  /** @returns what became of a promise after `ms`. */
  async after<T>(ms: number, promise: Promise<T>): Promise<Seen<T>> {
    let seen: Seen<T> = 'pending'
    promise.then(
      (value) => {
        seen = { value }
      },
      (error: unknown) => {
        seen = { error }
      },
    )
    await this.clock.advance(ms)
    return seen
  }

  async value<T>(promise: Promise<T>, ms = 0): Promise<T> {
    const seen = await this.after(ms, promise)
    if (seen === 'pending') throw new Error('the promise is pending')
    if ('error' in seen) throw seen.error
    return seen.value
  }

  // biome-ignore lint/suspicious/noExplicitAny: what errors have is what tests look at
  async error(promise: Promise<unknown>, ms = 0): Promise<any> {
    const seen = await this.after(ms, promise)
    if (typeof seen === 'object' && 'error' in seen) return seen.error
    throw new Error(`no error, but ${JSON.stringify(seen)}`)
  }

  // biome-ignore lint/suspicious/noExplicitAny: as above
  async errors(promises: readonly Promise<unknown>[], ms = 0): Promise<any[]> {
    const outcomes = await this.value(Promise.allSettled(promises), ms)
    return outcomes.map((one) => {
      if (one.status === 'rejected') return one.reason
      throw new Error(`no error, but ${JSON.stringify(one.value)}`)
    })
  }

  codes(): string[] {
    return this.warnings.map(({ code }) => code)
  }

  async end(): Promise<void> {
    const closed = Promise.allSettled(this.clients.map((client) => client.close({ timeout: 1 })))
    const seen = await this.after(20_000, closed)
    expect(seen, 'every client ends').not.toBe('pending')
    this.broker.close()
    await this.clock.settle()
    expect(this.clock.pendingTimers, 'timers that are left').toBe(0)
    expect(this.broker.violations, 'rules that clients broke').toEqual([])
    expect(rejections.splice(0), 'rejections that nobody took').toEqual([])
  }
}

afterEach(async () => {
  for (const world of open.splice(0)) await world.end()
})

/** @returns the payload as text. */
export function text(message: { readonly payload: Uint8Array } | undefined): string {
  return new TextDecoder().decode(message?.payload)
}

/** Takes the messages of a subscription in the background, for as long as it runs. */
export function collect(subscription: AsyncIterable<Message>): {
  readonly messages: Message[]
  readonly texts: string[]
  readonly state: { ended: boolean; error: unknown }
} {
  const messages: Message[] = []
  const texts: string[] = []
  const state: { ended: boolean; error: unknown } = { ended: false, error: undefined }
  const take = async () => {
    try {
      for await (const message of subscription) {
        messages.push(message)
        texts.push(text(message))
      }
    } catch (error) {
      state.error = error
    }
    state.ended = true
  }
  void take()
  return { messages, texts, state }
}
