/**
 * How are the calls of an API answered? One subscription for all rpcs, shared by the processes of
 * the service. (B2, values are validated at both ends; B3, a declared error arrives as itself; B4,
 * an unknown rpc is answered; B5, major versions are apart)
 */
import type { DeclaredFailure, IncomingRequest, ResponderStats } from '../client/index.ts'
import { RefusedError, UsageError, type UserProperties } from '../index.ts'
import { checkStrictly } from './api-settings.ts'
import type { Api, ApiRpc } from './api-types.ts'
import { apiTopic, BUS_PROPERTIES, inQuotes, majorOf } from './bus-names.ts'
import { type BusParts, BusValue, checkWholeNumber, headerOf } from './bus-parts.ts'
import type { RpcFacts } from './bus-reports.ts'
import type { Served, ServedCall, ServeOptions } from './bus-types.ts'
import { issuesIn, placeText } from './calling.ts'
import { checkApi, checkFieldNames } from './define-api.ts'
import { runHooks } from './hook-table.ts'
import type { ExecuteContext } from './hook-types.ts'

type AnyRequest = IncomingRequest<unknown, unknown>
type RpcHandler = (input: unknown, call: ServedCall<never>) => unknown

const SERVE_FIELDS = ['concurrency', 'maxPending', 'answerUnknown', 'share', 'schema']
const HANDLERS_MAX = 65_535
/** The longest text of another process that is kept of what it says about itself. */
const CLAIM_LENGTH_MAX = 400

const STAT_NAMES = [
  ...(['received', 'running', 'pending', 'answered', 'failed', 'busy', 'repeated'] as const),
  ...(['expired', 'unanswerable', 'abandoned'] as const),
]

/** What the answers are that are no values. */
const failures = new WeakMap<object, DeclaredFailure>()

/** @returns an error that is answered with a status. */
function refusing(failure: DeclaredFailure): RefusedError {
  const { code, message = '', data } = failure
  const error = new RefusedError(`the call is refused with ${code}`, {
    code,
    reasonCode: 0,
    remote: { code, message, data },
  })
  failures.set(error, failure)
  return error
}

/** What is served, and whether it is. */
export interface ServedApi extends Served {
  /** Answers calls again, if that was stopped. */
  answer(): void
  /** Takes no more calls. */
  rest(): void
}

/**
 * @param admit is called when the options are checked; if it returns a promise, calls are taken
 *   when that resolves.
 * @throws UsageError if the implementation or an option cannot be used.
 */
export function serveApi(
  bus: BusParts,
  given: Api,
  implementation: Readonly<Record<string, unknown>>,
  admit: () => Promise<void> | null,
  options: ServeOptions = {},
): ServedApi {
  const api = checkApi('serve', given)
  const terms = bus.termsOf(api.name)
  checkImplementation(api, implementation)
  checkStrictly(terms, api)
  checkFieldNames('serve: options', options, SERVE_FIELDS)
  const { concurrency = 16, maxPending = 1024, answerUnknown = true, share = true } = options
  checkWholeNumber('serve: concurrency', concurrency, 1, HANDLERS_MAX)
  checkWholeNumber('serve: maxPending', maxPending, 0, HANDLERS_MAX)
  if (typeof share !== 'boolean') throw new UsageError('serve: share must be true or false')
  const base = apiTopic(bus.prefix, api)
  if (bus.served.has(base)) {
    throw new UsageError(`serve: ${api.name} ${api.major} is served by this bus already`)
  }
  const admitted = admit()
  const names = Object.keys(api.rpcs)
  const filters = answerUnknown && names.length > 0 ? ['+'] : names
  const handlers = { ...implementation } as Readonly<Record<string, RpcHandler>>
  const respond = (name: string) =>
    bus.client.respond(
      `${base}/rpc/${name}`,
      (request) => answer(bus, api, handlers, request.topic.slice(base.length + 5), request),
      {
        ...{ share: share ? bus.service : undefined, qos: 1, codec: terms.codec },
        ...{ concurrency, maxPending },
        onError: (error, request, id) => {
          const failure = failures.get(Object(error))
          if (failure !== undefined) return failure
          const why = error instanceof Error ? error.message : String(error)
          const what = `${api.name}: the handler of ${inQuotes(request.topic)} failed (${id})`
          bus.warn('HANDLER_FAILED', `${what}: ${why}`, api.name, error)
          return undefined
        },
      },
    )
  const served = servedBy(filters, respond, admitted)
  bus.served.set(base, { api, served })
  return served
}

type ApiResponder = ReturnType<BusParts['client']['respond']>

/** @returns what is served, from when it is admitted. */
function servedBy(
  filters: readonly string[],
  respond: (name: string) => ApiResponder,
  admitted: Promise<void> | null,
): ServedApi {
  let responders: readonly ApiResponder[] = []
  let isAdmitted = admitted === null
  let isResting = false
  const begin = () => {
    isAdmitted = true
    if (!isResting) responders = filters.map(respond)
  }
  const begun = admitted === null ? begin() : admitted.then(begin)
  // Whoever awaits `granted` is told as well.
  begun?.catch(() => {})
  return {
    answer() {
      if (!isResting) return
      isResting = false
      if (isAdmitted) begin()
    },
    rest() {
      isResting = true
      // What ends the client is reported to those who await it.
      for (const one of responders) one.close().catch(() => {})
    },
    get granted() {
      const granted = () => Promise.all(responders.map((one) => one.granted)).then(() => {})
      return begun === undefined ? granted() : begun.then(granted)
    },
    get stats() {
      const all = responders.map((one) => one.stats)
      const sums = STAT_NAMES.map((name) => [name, all.reduce((sum, one) => sum + one[name], 0)])
      return Object.freeze(Object.fromEntries(sums)) as ResponderStats
    },
  }
}

function checkImplementation(api: Api, given: unknown): void {
  if (typeof given !== 'object' || given === null) {
    throw new UsageError(`serve: the implementation of ${api.name} must be an object of functions`)
  }
  const table = given as Readonly<Record<string, unknown>>
  const surplus = Object.keys(table).find((name) => !Object.hasOwn(api.rpcs, name))
  const missing = Object.keys(api.rpcs).find(
    (name) => !Object.hasOwn(table, name) || typeof table[name] !== 'function',
  )
  if (missing !== undefined) {
    const what = `serve: the implementation of ${api.name} needs a function ${inQuotes(missing)}`
    // A method of a class is inherited.
    const isTypo = surplus !== undefined && table[missing] === undefined
    const typo = `, and has ${inQuotes(surplus ?? '')}, which is no rpc of it`
    const remedy = ' of its own; a method of a class has to be named here'
    throw new UsageError(what + (isTypo ? typo : remedy))
  }
  if (surplus === undefined) return
  throw new UsageError(`serve: ${api.name} has no rpc ${inQuotes(surplus)}`)
}

function answer(
  bus: BusParts,
  api: Api,
  handlers: Readonly<Record<string, RpcHandler>>,
  name: string,
  request: AnyRequest,
): Promise<unknown> {
  const { reports } = bus
  if (!reports.hasRpcListeners) return execute(bus, api, handlers, name, request)
  const rpc = Object.hasOwn(api.rpcs, name) ? api.rpcs[name]! : null
  const { userProperties, key, payload } = request
  const facts: RpcFacts = {
    ...{ kind: 'execute', api: api.name, version: api.version, rpc: rpc && name, key },
    ...{ by: claimedBy(userProperties), inputBytes: payload.length, answerBytes: null },
  }
  return reports.rpc(rpc, facts, () => execute(bus, api, handlers, name, request))
}

async function execute(
  bus: BusParts,
  api: Api,
  handlers: Readonly<Record<string, RpcHandler>>,
  name: string,
  request: AnyRequest,
): Promise<unknown> {
  if (!Object.hasOwn(api.rpcs, name)) {
    const message = `${api.name} ${api.version} has no such rpc`
    throw refusing({ status: 404, code: 'UNKNOWN', message })
  }
  const rpc = api.rpcs[name]!
  const call = new CallOfHandler(api, name, rpc, request)
  const run = (input: unknown) => handle(bus, api, rpc, handlers[name]!, input, call)
  const hooks = bus.hooks.of('execute', api.name)
  if (hooks.length === 0) return run(request.value)
  const { headers, by, key } = call
  const context: ExecuteContext = {
    ...{ kind: 'execute', api: api.name, version: api.version, name, input: request.value },
    ...{ headers, by, key },
  }
  const value = await runHooks(hooks, context, () =>
    run(context.input).then((result) => result?.value),
  )
  return rpc.output === undefined ? undefined : new BusValue(value)
}

async function handle(
  bus: BusParts,
  api: Api,
  rpc: ApiRpc,
  handler: RpcHandler,
  given: unknown,
  call: CallOfHandler,
): Promise<BusValue | undefined> {
  const { validate } = bus.termsOf(api.name)
  const input = validate.incoming ? await validInput(bus, api, rpc, given) : given
  let output: unknown
  try {
    output = await handler(input, call as ServedCall<never>)
  } catch (error) {
    return thrownByHandler(bus, api, rpc, error)
  }
  if (rpc.output === undefined) return undefined
  if (validate.outgoing) {
    const { issues } = await bus.checks.check(rpc.output, output)
    if (issues !== undefined) {
      const text = `the output ${placeText(issues)}`
      throw new UsageError(text, { code: 'INVALID_PAYLOAD', issues })
    }
  }
  // What is sent is the output as it was returned: the caller makes the transformations.
  return new BusValue(output)
}

async function validInput(bus: BusParts, api: Api, rpc: ApiRpc, given: unknown): Promise<unknown> {
  if (rpc.input !== undefined) {
    const checked = await bus.checks.check(rpc.input, given)
    if (checked.issues === undefined) return checked.value
    const [first] = checked.issues
    const message = `the input ${placeText(checked.issues)} (${first?.message ?? ''})`
    throw refusing({ status: 400, code: 'BAD_REQUEST', message })
  }
  if ((await issuesIn(bus, undefined, given)) === undefined) return undefined
  const message = `${api.name} ${api.version} takes no input here`
  throw refusing({ status: 400, code: 'BAD_REQUEST', message })
}

class CallOfHandler implements ServedCall<ApiRpc> {
  readonly api: string
  readonly rpc: string
  readonly #definition: ApiRpc
  readonly #request: AnyRequest

  constructor(api: Api, name: string, definition: ApiRpc, request: AnyRequest) {
    this.api = api.name
    this.rpc = name
    this.#definition = definition
    this.#request = request
  }

  get headers(): UserProperties {
    return this.#request.userProperties
  }

  get version(): string | null {
    return versionIn(this.headers)
  }

  get by(): string | null {
    return claimedBy(this.headers)
  }

  get key(): string {
    return this.#request.key
  }

  get attempt(): number {
    return this.#request.attempt
  }

  get deadline(): number {
    return this.#request.deadline
  }

  get signal(): AbortSignal {
    return this.#request.signal
  }

  fail(code: string, data?: unknown, message?: string): never {
    const { errors } = this.#definition
    if (errors === undefined || !Object.hasOwn(errors, code)) {
      const what = `fail: ${this.api} ${this.rpc} declares no error ${inQuotes(code)}`
      throw new UsageError(`${what}; see its \`errors\``)
    }
    const error = refusing({ status: 422, code, message, data })
    failures.delete(error)
    declared.add(error)
    throw error
  }
}

/** Errors that handlers have declared, and whose data nobody has validated yet. */
const declared = new WeakSet<object>()

/** @throws what the handler threw, or a UsageError if it declared an error with other data. */
async function thrownByHandler(
  bus: BusParts,
  api: Api,
  rpc: ApiRpc,
  error: unknown,
): Promise<never> {
  if (!(error instanceof RefusedError) || !declared.has(error)) throw error
  const { code, message, data } = error.remote!
  if (bus.termsOf(api.name).validate.outgoing) {
    const { issues } = await bus.checks.check(rpc.errors![code]!, data)
    if (issues !== undefined) {
      const text = `the data of the error ${code} ${placeText(issues)}`
      throw new UsageError(text, { code: 'INVALID_PAYLOAD', issues })
    }
  }
  failures.set(error, { status: 422, code, message, data })
  throw error
}

/** @returns who another process claims to be, or null. */
export function claimedBy(headers: UserProperties): string | null {
  return headerOf(headers, BUS_PROPERTIES.by)?.slice(0, CLAIM_LENGTH_MAX) ?? null
}

/** @returns the version that another process claims, or null if it is none. */
export function versionIn(headers: UserProperties): string | null {
  const version = headerOf(headers, BUS_PROPERTIES.version)
  return majorOf(version) === null ? null : version
}
