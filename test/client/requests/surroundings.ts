/** Clients of it-mqtt at a small broker and a virtual clock. */
import { afterEach } from 'vitest'
import { type Client, type ClientOptions, createClient } from '../../../src/client/index.ts'
import { VirtualClock } from '../../support/clock.ts'
import { randomOf } from '../../support/random.ts'
import { SmallBroker } from './small-broker.ts'

export class Surroundings {
  readonly clock = new VirtualClock()
  readonly broker = new SmallBroker(this.clock)
  readonly clients: Client[] = []
  readonly warnings: { readonly code: string; readonly message: string }[] = []

  constructor() {
    this.clock.random = randomOf(1)
  }

  client(clientId: string, options: ClientOptions = {}): Client {
    const client = createClient({
      clientId,
      keepAlive: 0,
      platform: this.clock,
      transport: this.broker.transport,
      reconnect: { when: 'always', minMs: 100, maxMs: 0 },
      onWarning: (warning) => this.warnings.push(warning),
      ...options,
    })
    this.clients.push(client)
    return client
  }

  /** A client that runs until the test ends. */
  running(clientId: string, options: ClientOptions = {}): Client {
    const client = this.client(clientId, options)
    client.run().catch(() => {})
    return client
  }

  /** @returns what a promise came to after `ms`. */
  async within<T>(ms: number, promise: Promise<T>): Promise<Outcome<T>> {
    let outcome: Outcome<T> = 'pending'
    promise.then(
      (value) => {
        outcome = { value }
      },
      (error: unknown) => {
        outcome = { error: error as Outcome.Failure }
      },
    )
    await this.clock.advance(ms)
    return outcome
  }

  async value<T>(ms: number, promise: Promise<T>): Promise<T> {
    const outcome = await this.within(ms, promise)
    if (typeof outcome === 'object' && 'value' in outcome) return outcome.value
    if (outcome === 'pending') throw new Error('the promise is pending')
    throw outcome.error
  }

  // biome-ignore lint/suspicious/noExplicitAny: what errors have is what tests look at
  async error(ms: number, promise: Promise<unknown>): Promise<any> {
    const outcome = await this.within(ms, promise)
    if (typeof outcome === 'object' && 'error' in outcome) return outcome.error
    throw new Error(`no error, but ${JSON.stringify(outcome)}`)
  }

  async end(): Promise<void> {
    const ends = Promise.all(this.clients.map((client) => client.close({ timeout: 1 })))
    await this.within(20_000, ends)
  }
}

export type Outcome<T> = 'pending' | { readonly value: T } | { readonly error: Outcome.Failure }
export declare namespace Outcome {
  type Failure = Error & Record<string, unknown>
}

/** Surroundings that end with the test. */
export function surround(): Surroundings {
  const surroundings = new Surroundings()
  open.push(surroundings)
  return surroundings
}

const open: Surroundings[] = []

afterEach(async () => {
  for (const surroundings of open.splice(0)) await surroundings.end()
})

export const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes)
