/**
 * `fakeBus()`: a real bus for tests of a service. Its broker is in memory and its time is virtual;
 * the other services are mocks. Whatever a test asks for happens through the broker, so that codec,
 * validation, hooks and repetitions are those of a bus in production. (B17, what passes with a fake
 * bus behaves the same at a broker)
 */
import { type ClientOptions, type Codec, json } from '../../client/index.ts'
import { UsageError, type Warning } from '../../index.ts'
import {
  createBroker,
  type TestBroker,
  type VirtualClock,
  virtualClock,
} from '../../testing/index.ts'
import type {
  Api,
  ApiEvents,
  ApiRpcs,
  Bus,
  BusOptions,
  CallArguments,
  FireArguments,
  Fired,
  FiredPayload,
  FireOptions,
} from '../index.ts'
import { checkRecords } from './expectation.ts'
import { type FakePlace, FakeProcess, letPass } from './fake-process.ts'
import type {
  CallRecord,
  Expectation,
  FakeBusOptions,
  FireRecord,
  MockAnswer,
} from './fake-types.ts'
import { MOCK_NAMES, MockedServices } from './mocked-services.ts'
import { callsSeen, eventsSeen, latestEvent, type SeenBy } from './seen-messages.ts'

const FAKE_FIELDS = ['apis', 'requireMocks', 'stubs', 'bus', 'broker', 'clock']
/** How long handlers may still run when a fake bus is closed, in ms of its clock. */
const FAKE_CLOSE_MS = 1000

/** A bus in a test. `fakeBus()` makes one. */
export class FakeBus implements AsyncDisposable {
  /** The clock of buses and broker. Time passes with `advance()` only. */
  readonly clock: VirtualClock
  /** The broker in memory, with its log and its faults. */
  readonly broker: TestBroker
  /** The warnings of all buses, oldest first; among them why a mock failed. */
  readonly warnings: Warning[] = []
  readonly #options: Partial<BusOptions>
  readonly #place: FakePlace
  readonly #processes: FakeProcess[] = []
  readonly #mocks: MockedServices
  readonly #ownsBroker: boolean
  readonly #seenBy: SeenBy
  readonly #mqtt5: boolean
  #main: FakeProcess | null = null
  #closed: Promise<void> | null = null

  /** Use `fakeBus()`. */
  constructor(options: FakeBusOptions = {}) {
    checkOptions(options)
    const { apis = [], requireMocks = true, stubs, bus = {}, broker, clock } = options
    this.#options = bus
    this.clock = clock ?? virtualClock()
    this.#ownsBroker = !isBroker(broker)
    this.broker = brokerOf(broker, this.clock)
    const { prefix = 'bus', codec = json as Codec<unknown>, ajv, client, apis: settings = {} } = bus
    const ownCodecs = Object.entries(settings).map(([api, one]) => [api, one.codec] as const)
    const codecs = new Map(ownCodecs)
    const version = (client as ClientOptions | undefined)?.protocolVersion
    this.#mqtt5 = version === undefined || version === 5
    const codecOf = (api: string) => codecs.get(api) ?? codec
    this.#seenBy = { broker: this.broker, prefix, codecOf }
    const { clock: time, warnings } = this
    const shared = { clock: time, broker: this.broker, warnings }
    const others = {
      ...{ ...MOCK_NAMES, prefix, codec, ajv, client: { protocolVersion: version } },
      apis: Object.fromEntries(ownCodecs.map(([api, own]) => [api, { codec: own }])),
    }
    const missing = { isRequired: requireMocks, stubs: stubs !== undefined }
    this.#mocks = new MockedServices(
      { ...shared, ready: async () => {} },
      apis,
      missing,
      others as BusOptions,
    )
    this.#place = { ...shared, ready: () => this.#mocks.ready() }
  }

  /** The tested bus. After `kill()` it is another one. */
  get bus(): Bus {
    this.#main ??= this.#begin({ service: 'app', process: 'p0', ...this.#options })
    return this.#main.bus
  }

  /**
   * Adds a bus of another process or of another service at the same broker.
   * @param options replace those of the tested bus. Default of `process`: one that is not taken.
   */
  join(service: string, options: Partial<BusOptions> = {}): Bus {
    const process = `p${this.#processes.length}`
    return this.#begin({ ...this.#options, process, ...options, service }).bus
  }

  #begin(options: Partial<BusOptions> & { readonly service: string }): FakeProcess {
    if (this.#closed !== null) {
      throw new UsageError('the fake bus was closed; make another one', { code: 'ENDED' })
    }
    const made = new FakeProcess(this.#place, options)
    this.#processes.push(made)
    return made
  }

  /**
   * Says how the calls of an rpc are answered from now on.
   * @param answer a value, an error, or a function that is a handler as in `bus.serve()`.
   * @throws UsageError if the API is not among `apis`, or has no such rpc.
   */
  mock<Rpcs extends ApiRpcs, Name extends keyof Rpcs & string>(
    api: Api<Rpcs, ApiEvents>,
    rpc: Name,
    answer: MockAnswer<Rpcs[Name]>,
  ): void {
    this.#mocks.mock(api, rpc, answer as MockAnswer)
  }

  /**
   * Fires an event as the service does to which its API belongs. It resolves when everything has
   * happened that takes no time, so that listeners have had the event.
   * @throws UsageError if the API is not among `apis`, or the payload does not fit.
   */
  async fireFrom<Events extends ApiEvents, Name extends keyof Events & string>(
    api: Api<ApiRpcs, Events>,
    event: Name,
    ...[payload, options]: FireArguments<Events[Name]>
  ): Promise<Fired> {
    // Listeners that were added just before it have subscribed then.
    await this.clock.settle()
    const fired = await this.#mocks.fire(api, event, payload, options as FireOptions | undefined)
    await this.clock.settle()
    return fired
  }

  /**
   * @returns the calls of an rpc that have come to the broker, oldest first, each once however
   *   often it was sent.
   */
  called<Rpcs extends ApiRpcs, Name extends keyof Rpcs & string>(
    api: Api<Rpcs, ApiEvents>,
    rpc: Name,
  ): readonly CallRecord<Rpcs[Name]>[] {
    this.#checkLog('called')
    checkListed('called', api.name, rpc, api.rpcs)
    return callsSeen(this.#seenBy, api, rpc) as readonly CallRecord<Rpcs[Name]>[]
  }

  /**
   * @returns the events that have come to the broker, oldest first, each once however often it was
   *   sent. Those of `fireFrom()` are not among them.
   */
  fired<Events extends ApiEvents, Name extends keyof Events & string>(
    api: Api<ApiRpcs, Events>,
    event: Name,
  ): readonly FireRecord<Events[Name]>[] {
    this.#checkLog('fired')
    checkListed('fired', api.name, event, api.events)
    const { service, process } = MOCK_NAMES
    const others = `${this.#seenBy.prefix}.${service}@${process}`
    return eventsSeen(this.#seenBy, api, event, others) as readonly FireRecord<Events[Name]>[]
  }

  /** @throws an error that says what differs, if the calls of an rpc are not as expected. */
  expectCalled<Rpcs extends ApiRpcs, Name extends keyof Rpcs & string>(
    api: Api<Rpcs, ApiEvents>,
    rpc: Name,
    expectation?: Expectation<CallArguments<Rpcs[Name]>[0]>,
  ): void {
    const inputs = this.called(api, rpc).map(({ input }) => input)
    checkRecords(`${api.name} ${rpc}`, 'call', inputs, expectation)
  }

  /** @throws an error that says what differs, if the events are not as expected. */
  expectFired<Events extends ApiEvents, Name extends keyof Events & string>(
    api: Api<ApiRpcs, Events>,
    event: Name,
    expectation?: Expectation<FiredPayload<Events[Name]>>,
  ): void {
    const values = this.fired(api, event).map(({ value }) => value)
    checkRecords(`${api.name} ${event}`, 'event', values, expectation)
  }

  #checkLog(what: string): void {
    if (this.#mqtt5) return
    throw new UsageError(`${what}: before MQTT 5 messages have no names; leave out protocolVersion`)
  }

  /**
   * Lets time pass: retries, time-outs and everything else that is due happens in order.
   * @param ms how much, in ms.
   */
  async advance(ms: number): Promise<void> {
    await this.clock.advance(ms)
  }

  /** Lets everything happen that takes no time. */
  async settle(): Promise<void> {
    await this.clock.settle()
  }

  /**
   * Loses the connections of all buses but that of the mocks. They connect again after 100 ms, if
   * the options of the client do not say otherwise: `advance()` lets that happen.
   */
  async drop(): Promise<void> {
    for (const one of this.#processes) one.drop()
    await this.clock.settle()
  }

  /**
   * Delivers the latest event again, as a sender does that was not told that it arrived.
   * @throws UsageError if there was none.
   */
  async duplicate(): Promise<void> {
    await this.clock.settle()
    const latest = latestEvent(this.#seenBy)
    if (latest === null) throw new UsageError('duplicate: there was no event yet')
    const { topic, payload, properties } = latest
    this.broker.publish(topic, payload, { qos: 1, properties })
    await this.clock.settle()
  }

  /**
   * Kills a process, as a crash does: it acknowledges and answers nothing any more, its `stop`
   * hooks do not run, and its sessions stay at the broker. A handler that runs cannot be stopped,
   * and whatever it calls with the bus of the old life is rejected.
   * @param bus the bus of the process. Default: the tested bus.
   * @returns the bus of its next life: with the same name and options, and with nothing registered.
   *   For the tested bus it is `bus` from now on.
   */
  async kill(bus: Bus = this.bus): Promise<Bus> {
    const index = this.#processes.findIndex((one) => one.bus === bus)
    if (index < 0) throw new UsageError('kill: this bus is not alive, or not of this fake bus')
    const killed = this.#processes[index]!
    const next = await killed.kill()
    this.#processes[index] = next
    if (this.#main === killed) this.#main = next
    return next.bus
  }

  /** Closes all buses and the broker. Nothing is left then. To call it twice is to call it once. */
  close(): Promise<void> {
    this.#closed ??= this.#close()
    return this.#closed
  }

  async #close(): Promise<void> {
    const closing = this.#processes.map(({ bus }) => bus.close({ timeout: FAKE_CLOSE_MS }))
    const outcomes = Promise.allSettled([...closing, this.#mocks.close()])
    await letPass(this.clock, outcomes)
    if (this.#ownsBroker) this.broker.close()
    await this.clock.settle()
    const failed = (await outcomes).find(({ status }) => status === 'rejected')
    if (failed?.status === 'rejected') throw failed.reason
  }

  /** Calls `close()`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }
}

/**
 * Makes a bus for a test: a real one, at a broker in memory, on a virtual clock. It needs neither a
 * network nor a test runner. `await using`, or `close()`, ends it.
 * @throws UsageError for an option that cannot be used, naming it.
 */
export function fakeBus(options: FakeBusOptions = {}): FakeBus {
  return new FakeBus(options)
}

function checkOptions(options: FakeBusOptions): void {
  if (typeof options !== 'object' || options === null) {
    throw new UsageError('fakeBus: the options must be an object')
  }
  const unknown = Object.keys(options).find((field) => !FAKE_FIELDS.includes(field))
  if (unknown !== undefined) {
    throw new UsageError(`fakeBus has no option "${unknown}"; allowed: ${FAKE_FIELDS.join(', ')}`)
  }
  const { apis = [], requireMocks = true, stubs } = options
  if (!Array.isArray(apis)) throw new UsageError('fakeBus: apis must be an array of APIs')
  if (typeof requireMocks !== 'boolean') {
    throw new UsageError('fakeBus: requireMocks must be true or false')
  }
  if (stubs === undefined || stubs === 'fromSchema') return
  throw new UsageError('fakeBus: stubs must be "fromSchema", or be left out')
}

function brokerOf(given: FakeBusOptions['broker'], clock: VirtualClock): TestBroker {
  return isBroker(given) ? given : createBroker({ ...given, clock })
}

function isBroker(given: FakeBusOptions['broker']): given is TestBroker {
  return given !== undefined && 'transport' in given
}

function checkListed(what: string, api: string, name: string, table: object): void {
  if (Object.hasOwn(table, name)) return
  const names = Object.keys(table).join(', ') || 'none'
  throw new UsageError(`${what}: ${api} has no "${name}"; it has: ${names}`)
}
