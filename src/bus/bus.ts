/**
 * `createBus()`: the object that users get. It has what is registered, and runs it. (B18, a bus
 * ends in order)
 */
import { type Transition, UsageError } from '../index.ts'
import type { Presence } from '../presence/index.ts'
import type { Api, ApiEvent, ApiRpc, ApiSchema } from './api-types.ts'
import { nameTaken, tellUnnamed } from './bus-errors.ts'
import { insidesOf, keepInsides } from './bus-insides.ts'
import { inQuotes } from './bus-names.ts'
import { type BusParts, busParts, checkTimeMs } from './bus-parts.ts'
import { enterService } from './bus-presence.ts'
import { BusSettings } from './bus-settings.ts'
import type {
  Bus,
  BusFeature,
  BusOptions,
  BusRunOptions,
  CallOptions,
  Served,
  ServeOptions,
} from './bus-types.ts'
import { callerOf } from './calling.ts'
import { answerControl } from './control-desk.ts'
import { checkApi } from './define-api.ts'
import { discoverProcesses } from './discover.ts'
import type { DiscoveredProcess, DiscoverOptions } from './discover-types.ts'
import type { Fired, FireOptions } from './fire-types.ts'
import { fireEvent } from './firing.ts'
import { HandlerListener } from './handler-listener.ts'
import { runHooks } from './hook-table.ts'
import type { BusHooks, LifeContext } from './hook-types.ts'
import { IteratedListener } from './iterated-listener.ts'
import type { BusEvent, BusListener, EventIterator, ListenerOptions } from './listener-types.ts'
import { pumpOutbox } from './outbox-pump.ts'
import type { EventSource } from './received-event.ts'
import { RunReminder } from './run-reminder.ts'
import { RunScope } from './run-scope.ts'
import { askSchemas } from './schema/ask-schemas.ts'
import { prepareRemote } from './schema/remote-schemas.ts'
import { type AskSchemaOptions, schemaPlan } from './schema/schema-options.ts'
import { SchemaPublisher } from './schema/schema-publisher.ts'
import type { SchemaDocument } from './schema/schema-types.ts'
import { type ServedApi, serveApi } from './serving.ts'
import { settledWithin, timeBudget } from './settled-within.ts'
import { TaskTable } from './task-table.ts'
import type { BusTask, CronOptions, Interval, TaskOptions, TaskRun, Times } from './task-types.ts'
import { whenAllServed, whenServed } from './when-served.ts'

const BUS_CLOSE_MS = 10_000

type EventHandler = (event: BusEvent<never>) => unknown
type TaskFunction = (run: TaskRun) => unknown
type CallerFunction = (input?: unknown, options?: CallOptions) => Promise<unknown>

/** What is known of an event of an API at a bus. */
interface Port {
  fire(payload?: unknown, options?: FireOptions): Promise<Fired>
  listen(
    listener: string,
    options?: ListenerOptions<never>,
    handler?: EventHandler,
  ): BusListener | EventIterator
}

/**
 * Makes a bus. It connects when somebody awaits something of it: a call, an event, `run()`.
 * @throws UsageError for an option that cannot be used, naming it.
 */
export function createBus(options: BusOptions): Bus {
  return new ServiceBus(options) as unknown as Bus
}

class ServiceBus {
  readonly #parts: BusParts
  readonly #callers = new Map<Api, Readonly<Record<string, CallerFunction | Port>>>()
  readonly #sources = new WeakMap<object, EventSource>()
  readonly #listeners = new Map<string, HandlerListener | IteratedListener>()
  /** The schemas of what this process serves or calls. */
  readonly #schemas = new Set<ApiSchema>()
  readonly #tasks: TaskTable
  readonly #settings: BusSettings
  readonly #publisher: SchemaPublisher
  readonly #served: ServedApi[] = []
  /** What the run does that goes on, or the last one did; null if there was none. */
  #features: ReadonlySet<BusFeature> | null = null
  #scope: RunScope | null = null
  #hasStarted = false
  #isFound = false
  readonly #reminder: RunReminder
  #closed: Promise<void> | null = null

  constructor(options: BusOptions) {
    this.#parts = busParts(options)
    keepInsides(this, {
      parts: this.#parts,
      called: () => this.#callers.keys(),
      listeners: () => this.#listeners.values(),
      listening: () => this.#listening(),
      answersCalls: () => this.#does('rpcs'),
      tasks: () => (this.#does('tasks') ? this.#tasks.all : []),
    })
    this.#reminder = new RunReminder(this.#parts)
    this.#tasks = new TaskTable(this.#parts)
    this.#settings = new BusSettings(options)
    this.#publisher = new SchemaPublisher(this.#parts)
  }

  get service(): string {
    return this.#parts.service
  }

  get process(): string {
    return this.#parts.process
  }

  get processes(): Presence | null {
    return this.#parts.processes
  }

  serve(
    api: Api,
    implementation: Readonly<Record<string, unknown>>,
    options?: ServeOptions,
  ): Served {
    this.#checkOpen('serve')
    const parts = this.#parts
    const plan = schemaPlan('serve', options?.schema, parts.schemaPlan)
    const admit = () => this.#publisher.add(api, plan)
    const served = serveApi(parts, api, implementation, admit, options)
    this.#served.push(served)
    this.#reminder.added('serve')
    if (!this.#does('rpcs')) served.rest()
    else this.#scope?.start((until) => whenServed(this.#parts.client, served, until))
    this.#know(api)
    return served
  }

  api(given: Api): Readonly<Record<string, CallerFunction | Port>> {
    const known = this.#callers.get(given)
    if (known !== undefined) return known
    const api = checkApi('api', given)
    this.#know(api)
    // Without a prototype, so that there are the names of the API and no others.
    const caller: Record<string, CallerFunction | Port> = Object.create(null)
    for (const name of Object.keys(api.rpcs)) {
      const call = callerOf(this.#parts, api, name)
      caller[name] = async (input, options) => {
        this.#checkOpen(name)
        return call(input, options)
      }
    }
    for (const event of Object.keys(api.events)) {
      const port: Port = {
        fire: (payload, options) => this.fire(api, event, payload, options),
        listen: (listener, options, handler) => this.listen(listener, [port], options, handler),
      }
      this.#sources.set(port, { api, event })
      caller[event] = Object.freeze(port)
    }
    this.#callers.set(api, Object.freeze(caller))
    return caller
  }

  async fire(api: Api, event: string, payload?: unknown, options?: FireOptions): Promise<Fired> {
    this.#checkOpen('fire')
    return fireEvent(this.#parts, checkApi('fire', api), event, payload, options)
  }

  listen(
    name: string,
    ports: readonly object[],
    options?: ListenerOptions<never>,
    handler?: EventHandler,
  ): BusListener | EventIterator {
    this.#checkOpen('listen')
    const plan = this.#settings.planOf(name, options)
    if (handler !== undefined && typeof handler !== 'function') {
      throw new UsageError(`listen: ${name}: the handler must be a function of an event`)
    }
    const sources = ports.map((port) => this.#sourceOf(name, port))
    if (sources.length === 0) throw new UsageError(`listen: ${name}: there are no events`)
    if (this.#listeners.has(name)) {
      const why = 'its events are one queue; give the other one another name, or close the first'
      throw new UsageError(`listen: this bus has a listener ${inQuotes(name)} already: ${why}`)
    }
    if (!this.#parts.hasName) tellUnnamed(this.#parts, name)
    const left = () => this.#listeners.delete(name)
    if (handler === undefined) {
      const iterated = new IteratedListener(this.#parts, plan, sources, left)
      this.#listeners.set(name, iterated)
      return iterated
    }
    const listener = new HandlerListener(this.#parts, plan, sources, handler, left)
    this.#listeners.set(name, listener)
    this.#reminder.added('listen')
    if (this.#features?.has('events')) this.#scope?.start((signal) => listener.drive(signal))
    return listener
  }

  #sourceOf(name: string, port: object): EventSource {
    const source = this.#sources.get(Object(port))
    if (source !== undefined) return source
    const what = `listen: ${name}: the events must be those of bus.api()`
    throw new UsageError(`${what}, such as bus.api(auth).userRegistered`)
  }

  discover(options?: DiscoverOptions): AsyncIterableIterator<DiscoveredProcess, undefined> {
    this.#checkOpen('discover')
    return discoverProcesses(this.#parts, options)
  }

  every(interval: Interval, task: TaskFunction, options?: TaskOptions): BusTask {
    this.#checkOpen('every')
    const added = this.#tasks.every(interval, task, options)
    this.#reminder.added('every')
    return added
  }

  cron(expression: string, task: TaskFunction, options?: CronOptions): BusTask {
    this.#checkOpen('cron')
    const added = this.#tasks.cron(expression, task, options)
    this.#reminder.added('cron')
    return added
  }

  schedule(times: Times, task: TaskFunction, options?: TaskOptions): BusTask {
    this.#checkOpen('schedule')
    const added = this.#tasks.schedule(times, task, options)
    this.#reminder.added('schedule')
    return added
  }

  async schema(api?: string, options?: AskSchemaOptions): Promise<readonly SchemaDocument[]> {
    this.#checkOpen('schema')
    return askSchemas(this.#parts, api, options)
  }

  transitions(): AsyncIterableIterator<Transition, undefined> {
    return this.#parts.client.transitions()
  }

  hook(hooks: BusHooks): void {
    this.#parts.hooks.add(hooks)
  }

  async run({ signal, ...features }: BusRunOptions = {}): Promise<void> {
    this.#checkOpen('run')
    this.#reminder.end()
    const wanted = this.#settings.featuresOf(features)
    if (this.#scope !== null) throw new UsageError('run: the bus runs already; await it once')
    if (signal?.aborted) return
    const scope = new RunScope()
    this.#scope = scope
    this.#features = wanted
    const stop = () => scope.stop()
    signal?.addEventListener('abort', stop)
    try {
      scope.start((until) => this.#start(scope, wanted, until))
      await scope.ended()
    } catch (error) {
      throw nameTaken(this.#parts, error)
    } finally {
      signal?.removeEventListener('abort', stop)
      this.#scope = null
    }
  }

  async #start(
    scope: RunScope,
    features: ReadonlySet<BusFeature>,
    signal: AbortSignal,
  ): Promise<void> {
    const { checks, hooks, client, outbox } = this.#parts
    // A schema that cannot be used is an error before anything is answered.
    await Promise.all([...this.#schemas].map((schema) => checks.prepare(schema)))
    await prepareRemote(this.#parts, this.#callers.keys())
    if (features.has('tasks')) await this.#tasks.prepare()
    await this.#publisher.approve(signal)
    let isClosed = false
    const begin = async () => {
      isClosed = this.#closed !== null
      // It was closed while schemas were looked at, or by a hook.
      if (isClosed) return
      if (!this.#hasStarted) this.#tell('the bus runs')
      this.#hasStarted = true
      if (signal.aborted) return
      for (const one of this.#served) {
        if (features.has('rpcs')) one.answer()
        else one.rest()
      }
      scope.start((until) => client.run({ signal: until }))
      const served = features.has('rpcs') ? [...this.#served] : []
      scope.start(async (until) => {
        // Only then, so that nothing delays the first calls, and who is found can be called.
        await whenAllServed(this.#parts, scope, served, until)
        if (!until.aborted) await this.#appear(until)
      })
      if (outbox !== undefined) scope.start((until) => pumpOutbox(this.#parts, outbox, until))
      for (const listener of this.#listeners.values()) {
        if (!features.has('events') || !(listener instanceof HandlerListener)) continue
        scope.start((until) => listener.drive(until))
      }
      if (features.has('tasks')) this.#tasks.start(scope)
    }
    if (this.#hasStarted) return begin()
    await runHooks(hooks.of('start'), this.#life('start'), begin)
    // What the hooks have begun before it was closed is theirs to end.
    if (isClosed) await runHooks(hooks.of('stop'), this.#life('stop'), async () => {})
  }

  /** Lets others find this process: it answers discovery, is present, publishes its schemas. */
  async #appear(until: AbortSignal): Promise<void> {
    if (this.#parts.hasControl && !this.#isFound) answerControl(insidesOf('run', this))
    this.#isFound = true
    await Promise.all([enterService(this.#parts, until), this.#publisher.drive(until)])
  }

  /** Whether the run does it, or the next one may. */
  #does(feature: BusFeature): boolean {
    return this.#features?.has(feature) !== false
  }

  /** What is iterated does without a run. */
  #listening(): readonly (HandlerListener | IteratedListener)[] {
    const all = [...this.#listeners.values()]
    return this.#does('events') ? all : all.filter((one) => one instanceof IteratedListener)
  }

  #tell(message: string): void {
    const { service, process, log } = this.#parts
    log?.life({ service, process }, message)
  }

  #life(kind: LifeContext['kind']): LifeContext {
    const { service, process } = this.#parts
    return { kind, service, process }
  }

  async close({ timeout }: { readonly timeout?: number | undefined } = {}): Promise<void> {
    const ms = checkTimeMs('close: timeout', timeout) ?? BUS_CLOSE_MS
    this.#reminder.end()
    this.#closed ??= this.#close(ms)
    return this.#closed
  }

  async #close(timeout: number): Promise<void> {
    const { clock, client } = this.#parts
    const end = async () => {
      const scope = this.#scope
      const left = timeBudget(clock, timeout)
      scope?.stop()
      const listeners = [...this.#listeners.values()].map((one) => one.close({ timeout }))
      const tasks = this.#tasks.close(timeout)
      await Promise.all([...listeners, tasks, client.close({ timeout })])
      // The outbox is no longer in use then, and can be closed.
      if (scope !== null) await settledWithin(clock, scope.ended(), left())
      if (this.#hasStarted) this.#tell('the bus has ended')
    }
    if (!this.#hasStarted) return end()
    let isEnded = false
    try {
      await runHooks(this.#parts.hooks.of('stop'), this.#life('stop'), () => {
        isEnded = true
        return end()
      })
    } finally {
      // A hook that does not go on leaves nothing open.
      if (!isEnded) await end()
    }
  }

  /** Remembers the schemas of an API. */
  #know({ rpcs, events }: Api): void {
    const ofRpc = ({ input, output, errors = {} }: ApiRpc) => [
      ...[input, output],
      ...Object.values(errors),
    ]
    const ofEvent = ({ payload }: ApiEvent) => [payload]
    const all = [...Object.values(rpcs).flatMap(ofRpc), ...Object.values(events).flatMap(ofEvent)]
    for (const schema of all) if (schema !== undefined) this.#schemas.add(schema)
  }

  #checkOpen(what: string): void {
    if (this.#closed === null) return
    const message = `${what}: the bus was closed; create another one`
    throw new UsageError(message, { code: 'ENDED' })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }
}
