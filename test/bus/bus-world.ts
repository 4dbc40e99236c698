/**
 * Buses at a broker in memory, on a virtual clock, and what tests give them: an API, and programs
 * that end with the test.
 */
import { z } from 'zod'
import { type Bus, type BusOptions, createBus, defineApi } from '../../src/bus/index.ts'
import type { ClientOptions } from '../../src/client/index.ts'
import type { BrokerOptions } from '../../src/testing/index.ts'
import { World } from '../client/world.ts'

export const auth = defineApi({
  name: 'auth',
  version: '1.2.0',
  rpcs: {
    check: {
      input: z.object({ name: z.string(), at: z.string().transform((at) => new Date(at)) }),
      output: z.object({ ok: z.boolean(), since: z.string().transform(Number) }),
      errors: { LOCKED: z.object({ until: z.string().transform(Number) }), GONE: z.null() },
    },
    echo: { input: z.unknown(), output: z.unknown() },
    length: { input: z.string(), output: z.number(), idempotent: true },
    reset: {},
  },
  events: {
    registered: { payload: z.object({ name: z.string(), age: z.string().transform(Number) }) },
    cleared: {},
  },
})

/** What a service answers if a test says nothing else. */
export const answers = {
  check: ({ at }: { readonly at: Date }) => ({ ok: true, since: String(at.getTime()) }),
  echo: (value: unknown) => value,
  length: (text: string) => text.length,
  reset: () => {},
}

export class BusWorld extends World {
  readonly #buses: Bus[] = []
  /** What `run()` of a bus rejected with. */
  readonly failures: unknown[] = []
  readonly #busVersion: 4 | 5

  constructor(version: 4 | 5 = 5, options: BrokerOptions = {}) {
    super(version, options)
    this.#busVersion = version
  }

  bus(service: string, options: Partial<BusOptions> = {}, client: ClientOptions = {}): Bus {
    const bus = createBus({
      service,
      process: `p${this.#buses.length}`,
      // Tests count packets and retained messages; those of schemas ask for them.
      schema: false,
      client: {
        protocolVersion: this.#busVersion,
        keepAlive: 0,
        platform: this.clock,
        transport: this.broker.transport,
        reconnect: { when: 'always', minMs: 100, maxMs: 100 },
        onWarning: (warning) => this.warnings.push(warning),
        ...client,
      },
      ...options,
    })
    this.#buses.push(bus)
    return bus
  }

  /** Runs a bus until the test ends. */
  async run(bus: Bus): Promise<Bus> {
    bus.run().catch((error: unknown) => this.failures.push(error))
    await this.clock.advance(100)
    return bus
  }

  /** A bus that answers, and one that asks. */
  async pair(implementation: Partial<typeof answers> = {}): Promise<{ server: Bus; client: Bus }> {
    const server = this.bus('server')
    server.serve(auth, { ...answers, ...implementation } as never)
    await this.run(server)
    return { server, client: this.bus('client') }
  }

  override async end(): Promise<void> {
    const closed = Promise.all(this.#buses.map((bus) => bus.close({ timeout: 1000 })))
    await this.value(closed, 20_000)
    await super.end()
  }
}
