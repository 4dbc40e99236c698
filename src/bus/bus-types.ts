/**
 * What do users of a bus write, and what are they given? Types only; those of listeners are in
 * listener-types.ts.
 */
import type { ClientOptions, Codec, ResponderStats } from '../client/index.ts'
import type { Transition, UserProperties } from '../index.ts'
import type { Presence } from '../presence/index.ts'
import type {
  Api,
  ApiEvent,
  ApiEvents,
  ApiRpc,
  ApiRpcs,
  CallArguments,
  CallResult,
  ErrorCodesOf,
  ErrorInput,
  HandlerInput,
  HandlerResult,
  HeardPayload,
} from './api-types.ts'
import type { DiscoveredProcess, DiscoverOptions } from './discover-types.ts'
import type { EventOutbox, FireArguments, Fired } from './fire-types.ts'
import type { BusHooks } from './hook-types.ts'
import type {
  BusEvent,
  BusListener,
  EventIterator,
  ListenerOptions,
  ListenerSettings,
} from './listener-types.ts'
import type { BusLogger, BusLogLevel } from './report-types.ts'
import type { AskSchemaOptions, SchemaPublishing } from './schema/schema-options.ts'
import type { SchemaDocument } from './schema/schema-types.ts'
import type { JsonSchemaCompiler } from './schema-check.ts'
import type { BusTask, CronOptions, Interval, TaskOptions, TaskRun, Times } from './task-types.ts'
import type { BusValidation } from './validation-types.ts'

/** Settings of one API. What is left out is as for the others. */
export interface ApiSettings {
  /** Replaces the `timeout` of the bus for calls of the API, in ms. */
  readonly timeout?: number | undefined
  /** Replaces `validate` of the bus as a whole. */
  readonly validate?: BusValidation | undefined
  /** Replaces `log` of the bus for lines about the API. */
  readonly log?: BusLogLevel | undefined
  /** Replaces `strict` of the bus. */
  readonly strict?: boolean | undefined
  /** Replaces the `codec` of the bus for values of the API. Both sides need the same one. */
  readonly codec?: Codec<unknown> | undefined
  /** Replaces `qos` of the bus for calls and events of the API. */
  readonly qos?: 0 | 1 | undefined
}

/** What `run()` does: answer calls, handle events, run tasks. The outbox is always sent. */
export type BusFeature = 'rpcs' | 'events' | 'tasks'

/** Which of the features run. */
export interface BusFeatures {
  /** These and no others. Default: all. */
  readonly only?: readonly BusFeature[] | undefined
  /** All but these. With `only`: those of `only` that are not here. */
  readonly skip?: readonly BusFeature[] | undefined
}

/** The options of `bus.run()`. */
export interface BusRunOptions extends BusFeatures {
  /** Ends the run. */
  readonly signal?: AbortSignal | undefined
}

/** The options of `createBus()`. */
export interface BusOptions {
  /** The name of the service: `A-Z`, `a-z`, `0-9`, `_` and `-`. All of its processes share it. */
  readonly service: string
  /**
   * The name of this process, the same after a restart, different for each process of a service, 1
   * to 200 characters without control characters. Default: the name of the machine, where it has
   * one, else random.
   */
  readonly process?: string | undefined
  /** The levels before all topics. Default `bus`. */
  readonly prefix?: string | undefined
  /**
   * The server: a URL, or the options of `createClient()`. `sessionExpiryInterval` is 0 by default,
   * so that the server gives calls to those that are there: the session of calls and answers ends
   * with its connection, those of listeners do not.
   */
  readonly client: string | URL | ClientOptions
  /** After how many ms a call is rejected with `TIMEOUT`, 1 to 86,400,000. Default 5,000. */
  readonly timeout?: number | undefined
  /** Which values are validated. Default: all. */
  readonly validate?: BusValidation | undefined
  /** Settings of single APIs, by their names. Default: none. */
  readonly apis?: Readonly<Record<string, ApiSettings>> | undefined
  /** Options of listeners, by their names; those that `listen()` is given come first. */
  readonly listeners?: Readonly<Record<string, ListenerSettings>> | undefined
  /** What `run()` does if it is given neither `only` nor `skip`. Default: everything. */
  readonly features?: BusFeatures | undefined
  /** How values become payloads. Default: JSON. */
  readonly codec?: Codec<unknown> | undefined
  /**
   * How the events that this process fires say what they are: `itm` in User Properties of our own,
   * `cloudevents` as CloudEvents 1.0 in binary mode, which needs MQTT 5. Listeners understand both,
   * whatever is chosen here. Default `itm`.
   */
  readonly envelope?: 'itm' | 'cloudevents' | undefined
  /** What surrounds calls, handlers and events. Hooks that come first are outermost. */
  readonly hooks?: readonly BusHooks[] | undefined
  /**
   * An instance of Ajv 8 that compiles JSON Schemas. Default: one of the package `ajv`, without
   * formats, which is loaded when it is first needed.
   */
  readonly ajv?: JsonSchemaCompiler | undefined
  /** Where events with `durable: true` wait until they are sent. Default: there is none. */
  readonly outbox?: EventOutbox | undefined
  /**
   * Where the bus writes what it does: names, ids, sizes, durations and codes, and no payloads.
   * With it, warnings of the bus and its connections go there, and to `onWarning` of the client if
   * there is one. An error that it throws is an unhandled rejection. Default: nowhere.
   */
  readonly logger?: BusLogger | undefined
  /**
   * From which level on lines about APIs go to the `logger`: their calls, events and schemas, and
   * warnings about them. What is about the bus itself and its connections is always written.
   * Default `debug`: everything.
   */
  readonly log?: BusLogLevel | undefined
  /**
   * Whether `serve()` refuses an API that has a schema without a JSON Schema form: it would be
   * missing from the published document, and could not be compared. Default false: the API is
   * served, and the warning `SCHEMA_INCOMPLETE` says so.
   */
  readonly strict?: boolean | undefined
  /**
   * The QoS with which calls and events are sent. 0: the server acknowledges nothing, so that
   * `fire()` resolves when the event was handed to the connection, and a call or an event may be
   * lost; events with `durable` are sent with 1 all the same. Default 1.
   */
  readonly qos?: 0 | 1 | undefined
  /**
   * Whether this process answers `discover()` and `forgetListener()` while it runs. It subscribes
   * to three control topics for that. Default true.
   */
  readonly control?: boolean | undefined
  /**
   * Whether others see by `it-mqtt/presence` that this process is there, from its first `run()`,
   * when its calls are granted or a second later, until `close()`, and hear of each loss of its
   * connection at once. It costs a will, two retained messages that are renewed, and a
   * subscription, and the server must keep retained messages. Default false.
   */
  readonly presence?: boolean | undefined
  /**
   * How the schemas of what is served are published while `run()` is awaited; false: not at all.
   * Default: retained, with a warning if one breaks what lay there.
   */
  readonly schema?: SchemaPublishing | false | undefined
}

/** The options of a call. */
export interface CallOptions {
  /** Replaces the `timeout` of the bus. In ms, 1 to 86,400,000. */
  readonly timeout?: number | undefined
  /** Gives the call up. */
  readonly signal?: AbortSignal | undefined
  /** The name of the operation, 1 to 1,024 characters: within the time-out it is executed once. */
  readonly key?: string | undefined
  /** User Properties of the request, which the handler finds in `call.headers`. */
  readonly headers?: UserProperties | undefined
}

/** What a handler is given beside its input. */
export interface ServedCall<Rpc = ApiRpc> {
  /** The name of the API. */
  readonly api: string
  /** The name of the rpc. */
  readonly rpc: string
  /** The version of the caller's API, as it says, or null. */
  readonly version: string | null
  /** Who calls, as `service/process`: a claim. Null if the caller does not say. */
  readonly by: string | null
  /** The name of the operation. */
  readonly key: string
  /** Which attempt of the caller it is, from 1. */
  readonly attempt: number
  /** When it is too late for an answer, in ms on the clock of the client (`platform.now()`). */
  readonly deadline: number
  /** Aborted at the deadline, and when the bus closes. */
  readonly signal: AbortSignal
  /** The User Properties of the request. */
  readonly headers: UserProperties
  /**
   * Ends the handler with an error that the API declares.
   * @param message for people; what is longer than 4 KiB is cut.
   * @throws always: the caller is rejected with this code and these data.
   */
  fail<Code extends ErrorCodesOf<Rpc>>(
    code: Code,
    data: ErrorInput<Rpc, Code>,
    message?: string,
  ): never
}

/** A function for each rpc of an API. */
export type Implementation<Rpcs extends ApiRpcs> = {
  readonly [Name in keyof Rpcs]: (
    input: HandlerInput<Rpcs[Name]>,
    call: ServedCall<Rpcs[Name]>,
  ) => HandlerResult<Rpcs[Name]> | PromiseLike<HandlerResult<Rpcs[Name]>>
}

/** The options of `bus.serve()`. */
export interface ServeOptions {
  /** How many handlers may run, 1 to 65,535. Default 16. */
  readonly concurrency?: number | undefined
  /** How many calls may wait for a handler, 0 to 65,535; others get 503. Default 1,024. */
  readonly maxPending?: number | undefined
  /**
   * Whether calls of rpcs that this version of the API has not are answered with 404 (`UNKNOWN`).
   * False subscribes to each rpc alone; `concurrency` then counts for each. Default true.
   */
  readonly answerUnknown?: boolean | undefined
  /** How the schema of the API is published; false: not at all. Default: as the bus says. */
  readonly schema?: SchemaPublishing | false | undefined
  /**
   * Whether the processes of the service share the calls. False is for a server without Shared
   * Subscriptions: each process executes every call, and the caller takes the first answer, so that
   * one process should serve the API, or its rpcs should be `idempotent`. Default true.
   */
  readonly share?: boolean | undefined
}

/** An API that this process serves. */
export interface Served {
  /** Resolves when the server has granted its filters. Reading it makes the bus connect. */
  readonly granted: Promise<void>
  /** What became of the calls. */
  readonly stats: ResponderStats
}

/** An event of an API at a bus. */
export interface EventPort<Event = ApiEvent> {
  /** Announces the event. `bus.fire()` says more. */
  fire(...args: FireArguments<Event>): Promise<Fired>
  /** Listens, to be iterated. `bus.listen()` says more. */
  listen(
    listener: string,
    options?: ListenerOptions<HeardPayload<Event>>,
  ): EventIterator<HeardPayload<Event>>
  /** Listens with a handler, which runs while `bus.run()` is awaited. */
  listen(
    listener: string,
    options: ListenerOptions<HeardPayload<Event>>,
    handler: (event: BusEvent<HeardPayload<Event>>) => unknown,
  ): BusListener
}

/** What an event of an API gives to listeners. */
export type ValueOfPort<Port> = Port extends EventPort<infer Event> ? HeardPayload<Event> : never

/** The other side of an API: a function for each rpc, and what can be done with each event. */
export type ApiCaller<Rpcs extends ApiRpcs, Events extends ApiEvents> = {
  readonly [Name in keyof Rpcs]: (
    ...args: [...CallArguments<Rpcs[Name]>, options?: CallOptions]
  ) => Promise<CallResult<Rpcs[Name]>>
} & { readonly [Name in keyof Events]: EventPort<Events[Name]> }

/** Services that call each other, and events with named listeners. */
export interface Bus extends AsyncDisposable {
  /** The name of the service. */
  readonly service: string
  /** The name of this process. */
  readonly process: string
  /**
   * Who is there of the processes of this service that have `presence: true`: each is a member with
   * the name of the process, and has `since` in its data, a time in ISO 8601. Null without
   * `presence: true`.
   */
  readonly processes: Presence | null
  /**
   * Makes this process answer the calls of an API, and lets it fire its events. Other processes of
   * the service may do so too: each call comes to one of them.
   * @throws UsageError if a function is missing or surplus, or the API is served already.
   */
  serve<Rpcs extends ApiRpcs, Events extends ApiEvents>(
    api: Api<Rpcs, Events>,
    implementation: Implementation<Rpcs>,
    options?: ServeOptions,
  ): Served
  /** The other side of an API. The same object for the same API. */
  api<Rpcs extends ApiRpcs, Events extends ApiEvents>(
    api: Api<Rpcs, Events>,
  ): ApiCaller<Rpcs, Events>
  /**
   * Announces an event of an API that this process serves.
   * @throws UsageError if it does not, or `INVALID_PAYLOAD`; what `client.publish()` rejects with.
   */
  fire<Events extends ApiEvents, Name extends keyof Events & string>(
    api: Api<ApiRpcs, Events>,
    event: Name,
    ...args: FireArguments<Events[Name]>
  ): Promise<Fired>
  /**
   * Listens to events under a name, which all processes of the service share: each event comes to
   * one of them, and waits for them while they are away. The connection is the listener's own.
   * @throws UsageError if the process has a listener of this name already.
   */
  listen<Ports extends readonly EventPort<never>[]>(
    listener: string,
    events: Ports,
    options?: ListenerOptions<ValueOfPort<Ports[number]>>,
  ): EventIterator<ValueOfPort<Ports[number]>>
  /** Listens with a handler, which runs while `run()` is awaited. */
  listen<Ports extends readonly EventPort<never>[]>(
    listener: string,
    events: Ports,
    options: ListenerOptions<ValueOfPort<Ports[number]>>,
    handler: (event: BusEvent<ValueOfPort<Ports[number]>>) => unknown,
  ): BusListener
  /**
   * Asks all processes of all services that run now who they are, what they serve, listen to and
   * run, and how they fare. It connects, asks when it is iterated, and ends when the time is over.
   * What answers with something else is passed over, and a warning says so.
   * @throws UsageError for an option that cannot be used; ConnectionError without a connection; the
   *   reason of the signal.
   */
  discover(options?: DiscoverOptions): AsyncIterableIterator<DiscoveredProcess, undefined>
  /**
   * Runs a function again and again while `run()` is awaited, the first time after the interval.
   * Times that pass without a run, because the one before goes on or the machine slept, make one
   * run together.
   * @throws UsageError for an interval or an option that cannot be used.
   */
  every(interval: Interval, task: (run: TaskRun) => unknown, options?: TaskOptions): BusTask
  /**
   * Runs a function at the times of an expression of cron, as `every()` does. The package `croner`
   * finds them. A time that the clocks skip in spring comes when they have skipped it, and one that
   * comes twice in autumn counts once, unless the field of hours is `*`.
   * @throws UsageError for options that cannot be used. For an expression that is not understood,
   *   or never due, `run()` rejects before it takes anything.
   */
  cron(expression: string, task: (run: TaskRun) => unknown, options?: CronOptions): BusTask
  /**
   * Runs a function at the times that an iterable yields, as `every()` does. It is asked for the
   * next one when the one before has come.
   * @throws UsageError for what cannot be iterated. `run()` rejects with what the iterable throws.
   */
  schedule(times: Times, task: (run: TaskRun) => unknown, options?: TaskOptions): BusTask
  /**
   * Reads the schemas of an API that services have published: a document for each service and major
   * version, sorted by topic. They are data of others, and never compiled; what is no schema
   * document is left out, with the warning `SCHEMA_UNREADABLE`. At most 256 are read.
   * @param api default: all APIs whose names have at most 8 levels; at most 1,024 documents.
   * @throws UsageError for what is no name of an API; `TIMEOUT`; what `client.subscribe()` rejects
   *   with.
   */
  schema(api?: string, options?: AskSchemaOptions): Promise<readonly SchemaDocument[]>
  /**
   * Watches the connection of calls and answers change, as `client.transitions()`. Listeners have
   * connections of their own.
   */
  transitions(): AsyncIterableIterator<Transition, undefined>
  /** Adds hooks, inside of those that are there. */
  hook(hooks: BusHooks): void
  /**
   * Does everything that is registered: answers calls, handles events, runs tasks, sends the
   * outbox. It resolves when the signal is aborted or the bus was closed. With `only` and `skip` it
   * does a part of this, so that some processes of a service answer calls and others run tasks.
   * @throws what ended a listener or a task (`onError: 'stop'`), or the connection for good; what
   *   the server answers if it does not grant the filters of an API that is served.
   */
  run(options?: BusRunOptions): Promise<void>
  /**
   * Ends the bus: it takes nothing more, and waits at most `timeout` ms (default 10,000) for
   * handlers and tasks. To call it twice is to call it once.
   */
  close(options?: { readonly timeout?: number | undefined }): Promise<void>
}
