/**
 * How is an rpc called? The input is validated, the request sent, the answer validated. (B1, a call
 * is one value in and one value out; B2, values are validated at both ends; B3, a declared error
 * arrives as itself)
 */
import { issuePlaces } from '../client/index.ts'
import {
  type PayloadIssue,
  ProtocolError,
  RefusedError,
  type RemoteFailure,
  UsageError,
} from '../index.ts'
import type { Api, ApiRpc, ApiSchema } from './api-types.ts'
import { nobodyServes, unconnectedCall } from './bus-errors.ts'
import { apiTopic } from './bus-names.ts'
import { type BusParts, BusValue, checkTimeMs, headersOf, uuid } from './bus-parts.ts'
import { type RpcFacts, sizeWhenSent } from './bus-reports.ts'
import type { CallOptions } from './bus-types.ts'
import { checkFieldNames } from './define-api.ts'
import { runHooks } from './hook-table.ts'
import type { CallContext } from './hook-types.ts'
import { refusedRemotely, travelled } from './schema/remote-schemas.ts'
import type { DocumentedPlace } from './schema/schema-checker.ts'
import { withinTime } from './within-time.ts'

const CALL_FIELDS = ['timeout', 'signal', 'key', 'headers']
/** So many issues, each with so much of its text, stand in the message of an error. */
const FAULT_TEXTS_MAX = 3
const FAULT_LENGTH_MAX = 200
/** Payload format invalid. (2.4) */
const UNFIT_REASON = 0x99

type Rpc = (input?: unknown, options?: CallOptions) => Promise<unknown>

/** What is known of a call before its input. */
interface RpcPlan {
  readonly api: Api
  readonly name: string
  readonly rpc: ApiRpc
  readonly topic: string
  /** Names the call in errors. */
  readonly what: string
}

/** @returns the function that calls an rpc. */
export function callerOf(bus: BusParts, api: Api, name: string): Rpc {
  const topic = `${apiTopic(bus.prefix, api)}/rpc/${name}`
  const plan = { api, name, rpc: api.rpcs[name]!, topic, what: `${api.name} ${name}()` }
  return async (input, options = {}) => {
    if (typeof options !== 'object') {
      const remedy = 'an rpc takes one input, and then options; put several values into one object'
      throw new UsageError(`${plan.what}: ${remedy}`)
    }
    checkFieldNames(`${plan.what}: options`, options, CALL_FIELDS)
    checkTimeMs(`${plan.what}: timeout`, options.timeout)
    if (!bus.reports.hasRpcListeners) return call(bus, plan, input, options, null)
    // A report has the key, so it is made here and not by the client.
    const { key = uuid(bus.clock).replaceAll('-', '') } = options
    const facts: RpcFacts = {
      ...{ kind: 'call', api: api.name, version: api.version, rpc: name, key, by: bus.by },
      ...{ inputBytes: 0, answerBytes: null },
    }
    const run = () => call(bus, plan, input, { ...options, key }, facts)
    return bus.reports.rpc(plan.rpc, facts, run)
  }
}

function call(
  bus: BusParts,
  plan: RpcPlan,
  input: unknown,
  options: CallOptions,
  facts: RpcFacts | null,
): Promise<unknown> {
  const { api, name, what } = plan
  const hooks = bus.hooks.of('call', api.name)
  const { validate, timeoutMs } = bus.termsOf(api.name)
  if (hooks.length === 0 && !validate.remote) return send(bus, plan, input, options, facts)
  const context: CallContext = {
    ...{ kind: 'call', api: api.name, version: api.version, name, input },
    headers: { ...options.headers },
  }
  const startedAt = bus.clock.now()
  const timeout = options.timeout ?? timeoutMs
  const whole = runHooks(hooks, context, () => {
    const left = leftOf(bus, timeout, startedAt)
    const { headers } = context
    return send(bus, plan, context.input, { ...options, headers, timeout: left }, facts)
  })
  return withinTime(bus, what, whole, timeout).catch((error: unknown) => {
    throw unconnectedCall(what, bus.client, error)
  })
}

/** Clocks have fractions of a millisecond, and a request takes whole ones. */
function leftOf({ clock }: BusParts, timeout: number, startedAt: number): number {
  return Math.max(1, Math.ceil(timeout - (clock.now() - startedAt)))
}

async function send(
  bus: BusParts,
  plan: RpcPlan,
  input: unknown,
  options: CallOptions,
  facts: RpcFacts | null,
): Promise<unknown> {
  const { api, rpc, topic, what } = plan
  const { validate, timeoutMs, codec, qos } = bus.termsOf(api.name)
  if (validate.outgoing) {
    const issues = await issuesIn(bus, rpc.input, input)
    if (issues !== undefined) {
      const fault = rpc.input === undefined ? 'it takes no input' : `the input ${faultText(issues)}`
      throw new UsageError(`${what}: ${fault}`, { code: 'INVALID_INPUT', issues })
    }
  }
  let timeout = options.timeout ?? timeoutMs
  if (validate.remote) {
    const startedAt = bus.clock.now()
    await untilAborted(refuseInput(bus, plan, input), options.signal)
    timeout = leftOf(bus, timeout, startedAt)
  }
  // What is sent is the input as it was given: its transformations are made by the other side.
  const sent = input === undefined ? undefined : new BusValue(input)
  const response = await bus.client
    .request(topic, sent, {
      codec,
      qos,
      timeout,
      signal: options.signal,
      key: options.key,
      retry: rpc.idempotent === true ? 'lost' : undefined,
      properties: { userProperties: headersOf(bus, api.version, options.headers) },
    })
    .catch((error: unknown) => {
      if (facts !== null) facts.inputBytes = sizeWhenSent(sent?.encoded ?? '')
      return refusal(bus, plan, error)
    })
  if (facts !== null) {
    facts.inputBytes = sizeWhenSent(sent?.encoded ?? '')
    facts.answerBytes = response.payload.length
  }
  if (validate.remote) await refuseAnswer(bus, plan, 'answer', response.value)
  if (rpc.output === undefined) return undefined
  if (!validate.incoming) return response.value
  const checked = await bus.checks.check(rpc.output, response.value)
  if (checked.issues === undefined) return checked.value
  throw unfitAnswer(`${what}: the answer ${placeText(checked.issues)}`, checked.issues)
}

type Issues = readonly PayloadIssue[] | undefined

/**
 * @returns what is wrong with a value, or undefined; a promise of it if the schema needs time.
 *   Without a schema there must be no value.
 */
export function issuesIn(
  bus: BusParts,
  schema: ApiSchema | undefined,
  value: unknown,
): Issues | Promise<Issues> {
  if (schema === undefined) {
    return value === undefined ? undefined : [{ path: [], message: 'there must be no value' }]
  }
  const checked = bus.checks.check(schema, value)
  return 'then' in checked ? checked.then(({ issues }) => issues) : checked.issues
}

/** @returns the end of a sentence that says where a value is wrong. */
export function placeText(issues: readonly PayloadIssue[]): string {
  return `does not fit its schema at ${issuePlaces(issues)}; see \`issues\``
}

/**
 * @returns the end of a sentence that says what is wrong with a value, for who has given it. What
 *   others have sent is not said so: a schema may repeat it.
 */
export function faultText(issues: readonly PayloadIssue[]): string {
  const shown = issues.slice(0, FAULT_TEXTS_MAX).map(({ path, message }) => {
    const place = issuePlaces([{ path, message }])
    const text =
      message.length > FAULT_LENGTH_MAX ? `${message.slice(0, FAULT_LENGTH_MAX)}…` : message
    return `${place} (${text})`
  })
  const more = issues.length > shown.length ? ` and ${issues.length - shown.length} more` : ''
  return `does not fit its schema at ${shown.join(', ')}${more}; see \`issues\``
}

/** @throws UsageError if the other side does not take an input. */
async function refuseInput(bus: BusParts, plan: RpcPlan, input: unknown): Promise<void> {
  const { api, name, topic, what } = plan
  const place = { rpc: name, part: 'input' } as const
  const given = { api, place, what: `${what}: the input` }
  let sent: unknown
  try {
    sent = travelled(bus, api, topic, input)
  } catch {
    // The request rejects with what the codec says.
    return
  }
  const refusal = await refusedRemotely(bus, given, sent)
  if (refusal === null) return
  const { issues, text } = refusal
  throw new UsageError(`${what}: the input ${text}`, { code: 'INVALID_INPUT', issues })
}

/** @throws ProtocolError if the other side has published that it does not make such a value. */
async function refuseAnswer(
  bus: BusParts,
  { api, name, what }: RpcPlan,
  part: string,
  value: unknown,
  cause?: unknown,
): Promise<void> {
  const place: DocumentedPlace =
    cause instanceof RefusedError ? { rpc: name, error: cause.code } : { rpc: name, part: 'output' }
  const refusal = await refusedRemotely(bus, { api, place, what: `${what}: the ${part}` }, value)
  if (refusal === null) return
  throw unfitAnswer(`${what}: the ${part} ${refusal.text}`, refusal.issues, cause)
}

function unfitAnswer(
  text: string,
  issues: readonly PayloadIssue[],
  cause?: unknown,
): ProtocolError {
  return new ProtocolError(text, {
    code: 'INVALID_RESPONSE',
    reasonCode: UNFIT_REASON,
    clause: 'schema of the API',
    retryable: false,
    issues,
    ...(cause === undefined ? {} : { cause }),
  })
}

/** Rejects with the error of a call; the data of a declared one are validated before. */
async function refusal(bus: BusParts, plan: RpcPlan, error: unknown): Promise<never> {
  const { api, rpc, what, topic } = plan
  const remote = declaredIn(rpc, error)
  if (remote === null) {
    throw unconnectedCall(what, bus.client, nobodyServes(what, api, topic, error))
  }
  const { code, message } = remote
  const { validate } = bus.termsOf(api.name)
  const part = `data of the error ${code}`
  if (validate.remote) await refuseAnswer(bus, plan, part, remote.data, error)
  if (!validate.incoming) throw error
  const checked = await bus.checks.check(rpc.errors![code]!, remote.data)
  if (checked.issues !== undefined) {
    const text = `${what}: the ${part} ${placeText(checked.issues)}`
    throw unfitAnswer(text, checked.issues, error)
  }
  const said = message === '' ? '' : `: ${message}`
  throw new RefusedError(`${what}: refused with ${code}${said}`, {
    code,
    reasonCode: 0,
    remote: { code, message, data: checked.value },
  })
}

/** @returns what a responder said, if it is an error that the rpc declares. */
export function declaredIn(rpc: ApiRpc, error: unknown): RemoteFailure | null {
  if (!(error instanceof RefusedError) || error.remote === undefined) return null
  const { code } = error.remote
  const isDeclared = rpc.errors !== undefined && Object.hasOwn(rpc.errors, code)
  // An answer with another status has the code of its status, whatever it says.
  return isDeclared && error.code === code ? error.remote : null
}

/** @returns what the promise resolves with. @throws what it rejects with, or why it was aborted. */
function untilAborted<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return promise
  return new Promise((resolve, reject) => {
    const stop = () => reject(signal.reason)
    signal.addEventListener('abort', stop, { once: true })
    if (signal.aborted) stop()
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', stop))
  })
}
