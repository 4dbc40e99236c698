/**
 * Buses at a broker in memory, on a virtual clock, that end with the test.
 */
import type { Bus, BusOptions } from '../../src/bus/index.ts'
import { type FakeBus, fakeBus } from '../../src/bus/testing/index.ts'
import type { ClientOptions } from '../../src/client/index.ts'
import type { BrokerOptions } from '../../src/testing/index.ts'
import { World } from '../client/world.ts'
import { answers, auth } from './auth-api.ts'

export { answers, auth }

// Time is virtual, and to load a package takes real time, in which calls would time out.
await Promise.all([
  import('ajv'),
  import('ajv/dist/2020.js'),
  import('@cfworker/json-schema'),
  import('croner'),
])

export class BusWorld extends World {
  readonly fake: FakeBus
  /** What `run()` of a bus rejected with. */
  readonly failures: unknown[] = []
  readonly #busVersion: 4 | 5

  constructor(version: 4 | 5 = 5, options: BrokerOptions = {}) {
    super(version, options)
    this.#busVersion = version
    this.fake = fakeBus({ clock: this.clock, broker: this.broker })
  }

  bus(service: string, options: Partial<BusOptions> = {}, client: ClientOptions = {}): Bus {
    return this.fake.join(service, {
      // Tests count packets and retained messages; those of schemas ask for them.
      schema: false,
      client: {
        protocolVersion: this.#busVersion,
        onWarning: (warning) => this.warnings.push(warning),
        ...client,
      },
      ...options,
    })
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
    await this.fake.close()
    await super.end()
  }
}
