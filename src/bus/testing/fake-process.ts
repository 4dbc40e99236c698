/**
 * How does a process live at a broker in memory? It has a real bus. Its connections are opened
 * here, so that they can be lost.
 */
import type { ClientOptions } from '../../client/index.ts'
import { type ByteStream, type OpenTransport, UsageError, type Warning } from '../../index.ts'
import type { TestBroker, VirtualClock } from '../../testing/index.ts'
import { type Bus, type BusHooks, type BusOptions, createBus } from '../index.ts'

const RECONNECT_MS = 100
/** A process that is killed waits for nothing, and a bus takes no shorter time than this. */
const KILLED_MS = 1

/** What all processes at one broker share. */
export interface FakePlace {
  readonly clock: VirtualClock
  readonly broker: TestBroker
  readonly warnings: Warning[]
  /** Resolves when those who answer are there. */
  ready(): Promise<void>
}

export class FakeProcess {
  readonly bus: Bus
  readonly #place: FakePlace
  readonly #options: BusOptions
  readonly #streams = new Set<ByteStream>()
  #isKilled = false

  constructor(place: FakePlace, options: Omit<BusOptions, 'client'> & Partial<BusOptions>) {
    this.#place = place
    const { client = {}, hooks = [] } = options
    if (typeof client === 'string' || client instanceof URL || 'limits' in client) {
      const what = 'fakeBus: `client` must be an object of options of createClient()'
      throw new UsageError(`${what}; the broker is in memory, so leave out the URL`)
    }
    this.#options = { ...options, client }
    // A process that is killed has no time for its hooks. This one stands outside of all others.
    const life: BusHooks = { stop: (_, next) => (this.#isKilled ? undefined : next()) }
    this.bus = createBus({
      ...this.#options,
      client: {
        keepAlive: 0,
        reconnect: { when: 'always', minMs: RECONNECT_MS, maxMs: RECONNECT_MS },
        onWarning: (warning: Warning) => place.warnings.push(warning),
        platform: place.clock,
        ...(client as ClientOptions),
        transport: this.#open,
      },
      hooks: [life, ...hooks],
    })
  }

  readonly #open: OpenTransport = async (endpoint, signal) => {
    await this.#place.ready()
    signal.throwIfAborted()
    const stream = (await this.#place.broker.transport(endpoint, signal)) as ByteStream
    this.#streams.add(stream)
    stream.on('close', () => this.#streams.delete(stream))
    return stream
  }

  /** Loses all connections. */
  drop(): void {
    const message = 'the fake bus has lost the connection'
    const error = Object.assign(new Error(message), { code: 'ECONNRESET' })
    for (const stream of [...this.#streams]) stream.destroy(error)
  }

  /**
   * Dies without a word. Nothing reaches the broker any more: a bus that closes awaits no other
   * connection.
   * @returns a process with the same name, that has not begun.
   */
  async kill(): Promise<FakeProcess> {
    this.#isKilled = true
    this.drop()
    await letPass(this.#place.clock, this.bus.close({ timeout: KILLED_MS }))
    return new FakeProcess(this.#place, this.#options)
  }
}

/** Waits for something that needs virtual time, or time of the machine, such as that of a disk. */
export async function letPass(clock: VirtualClock, promise: Promise<unknown>): Promise<void> {
  let isSettled = false
  const settle = () => {
    isSettled = true
  }
  promise.then(settle, settle)
  await clock.until(promise).catch((error: unknown) => {
    if (isSettled) throw error
  })
  await promise
}
