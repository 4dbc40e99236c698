/** What do tests of services write, and what do they look at? Types only. */
import type { BrokerOptions, TestBroker, VirtualClock } from '../../testing/index.ts'
import type {
  Api,
  ApiEvent,
  ApiRpc,
  BusOptions,
  CallArguments,
  FiredPayload,
  HandlerInput,
  HandlerResult,
  ServedCall,
} from '../index.ts'

/** The options of `fakeBus()`. */
export interface FakeBusOptions {
  /**
   * The APIs of other services. The fake answers their calls, as `mock()` and `stubs` say, and
   * fires their events with `fireFrom()`. APIs that the tested bus serves by itself do not belong
   * here. Default none.
   */
  readonly apis?: readonly Api[] | undefined
  /**
   * What becomes of a call that has neither a mock nor a stub. True: it is rejected with
   * `NOT_MOCKED`, which says how to mock it. False: it is never answered, as if the other service
   * hung, so that it is rejected with `TIMEOUT` once the clock has come so far. Default true.
   */
  readonly requireMocks?: boolean | undefined
  /**
   * `fromSchema`: calls without a mock are answered with a value that is made from the output
   * schema of the rpc: by the package `json-schema-faker` if it is installed, else the smallest one
   * that is valid. Default: there are no stubs.
   */
  readonly stubs?: 'fromSchema' | undefined
  /**
   * Options of the tested bus. Default `service: 'app'`, `process: 'p0'`. `client` may be an object
   * of options for its connections, and no URL.
   */
  readonly bus?: Partial<BusOptions> | undefined
  /** Options of the broker in memory, or a broker that the test has made and closes. */
  readonly broker?: Omit<BrokerOptions, 'clock'> | TestBroker | undefined
  /** The clock of buses and broker. Default: a new one. A broker that is given has to have it. */
  readonly clock?: VirtualClock | undefined
}

/**
 * How a call is answered: with a value, with an error that is thrown (the caller gets
 * `RESPONDER_FAILED`), or with what a function does. The function is a handler as in `bus.serve()`:
 * `call.fail()` declares errors.
 */
export type MockAnswer<Rpc = ApiRpc> =
  | HandlerResult<Rpc>
  | Error
  | ((
      input: HandlerInput<Rpc>,
      call: ServedCall<Rpc>,
    ) => HandlerResult<Rpc> | PromiseLike<HandlerResult<Rpc>>)

/** A call that came to the broker, and was no repetition of an earlier one. */
export interface CallRecord<Rpc = ApiRpc> {
  /** The name of the API. */
  readonly api: string
  /** The name of the rpc. */
  readonly rpc: string
  /** The input, as it was sent. */
  readonly input: CallArguments<Rpc>[0]
  /** The name of the operation. */
  readonly key: string | null
  /** Who called, as `service/process`. */
  readonly by: string | null
  /** The User Properties, those of the bus included. */
  readonly headers: Readonly<Record<string, unknown>>
  /** When it came, in ms of the clock. */
  readonly at: number
}

/** An event that came to the broker, and was no repetition of an earlier one. */
export interface FireRecord<Event = ApiEvent> {
  /** The name of the API. */
  readonly api: string
  /** The name of the event. */
  readonly event: string
  /** The payload, as it was sent. */
  readonly value: FiredPayload<Event>
  /** The name of this very event. */
  readonly id: string | null
  /** The last level of the topic, or null. */
  readonly key: string | null
  /** Who fired it, as `service/process`. */
  readonly by: string | null
  /** The User Properties, those of the bus included. */
  readonly headers: Readonly<Record<string, unknown>>
  /** When it came, in ms of the clock. */
  readonly at: number
}

/** What `expectCalled()` and `expectFired()` compare the records with. */
export interface Expectation<Value> {
  /** How many records there must be; with `with`, how many of this value. Default: one at least. */
  readonly times?: number | undefined
  /**
   * The value: each part must be equal, and there may be no other. A part may also be an asymmetric
   * matcher of vitest or jest, such as `expect.any(String)`.
   */
  readonly with?: Value
}
