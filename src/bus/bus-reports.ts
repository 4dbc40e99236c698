/**
 * Who is told of calls, events and schemas? The diagnostics channels `it-mqtt:rpc`, `it-mqtt:event`
 * and `it-mqtt:schema`, and what has registered here: a logger, metrics. While nobody listens,
 * nothing is measured and no report is made. (B19, what a bus does can be seen)
 */
import { diagnosticsChannel, type EventChannel, MqttError, type Platform } from '../index.ts'
import type { ApiRpc } from './api-types.ts'
import type { EventReport, RpcReport, SchemaReport } from './report-types.ts'

/** Is told of everything that has ended. */
export interface ReportListener {
  rpc(report: RpcReport): void
  event(report: EventReport): void
  schema?(report: SchemaReport): void
}

/** What is known of a call when it begins; sizes are added while it runs. */
export type RpcFacts = Filled<Omit<RpcReport, 'service' | 'process' | 'code' | 'ms'>>
export type EventFacts = Filled<Omit<EventReport, 'service' | 'process' | 'code' | 'ms' | 'action'>>
type SchemaFacts = Omit<SchemaReport, 'service' | 'process' | 'ms'>
type Filled<T> = { -readonly [Name in keyof T]: T[Name] }

/** Codes that an answer can have although no API declares them. */
const ANSWER_CODES: ReadonlySet<string> = new Set([
  ...['BAD_REQUEST', 'UNKNOWN', 'KEY_REUSED', 'RESPONDER_FAILED', 'BUSY', 'RESPONDER_TIMEOUT'],
])
const OTHER_REFUSAL = 'REFUSED_BY_RESPONDER'

const rpcChannel: EventChannel = diagnosticsChannel('it-mqtt:rpc')
const eventOfBusChannel: EventChannel = diagnosticsChannel('it-mqtt:event')
const schemaChannel: EventChannel = diagnosticsChannel('it-mqtt:schema')

export class BusReports {
  readonly #service: string
  readonly #process: string
  readonly #clock: Platform
  readonly #listeners = new Set<ReportListener>()

  constructor(service: string, process: string, clock: Platform) {
    this.#service = service
    this.#process = process
    this.#clock = clock
  }

  /** Whether anybody wants to know of calls. */
  get hasRpcListeners(): boolean {
    return rpcChannel.hasSubscribers || this.#listeners.size > 0
  }

  /** Whether anybody wants to know of events. */
  get hasEventListeners(): boolean {
    return eventOfBusChannel.hasSubscribers || this.#listeners.size > 0
  }

  /** Whether anybody wants to know of schemas. */
  get hasSchemaListeners(): boolean {
    return schemaChannel.hasSubscribers || this.#listeners.size > 0
  }

  /** @returns a function that ends it. */
  add(listener: ReportListener): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  /** Runs a call, or the handler of one, and reports how it ended. */
  async rpc<T>(rpc: ApiRpc | null, facts: RpcFacts, run: () => Promise<T>): Promise<T> {
    const startedAt = this.#clock.now()
    const report = (code: string | null) => {
      const whole = { ...facts, ...this.#ending(code, startedAt) }
      if (rpcChannel.hasSubscribers) rpcChannel.publish(whole)
      for (const listener of this.#listeners) listener.rpc(whole)
    }
    return ended(run, (error) => report(reportedCode(error, rpc)), report)
  }

  /** Runs the firing of an event, and reports how it ended. */
  async fire<T>(facts: EventFacts, run: () => Promise<T>): Promise<T> {
    const report = this.handle(facts)
    return ended(run, (error) => report({ error, action: null }), report)
  }

  /** An attempt to handle an event begins. @returns what reports its end. */
  handle(
    facts: EventFacts,
  ): (failure: { readonly error: unknown; readonly action: EventReport['action'] } | null) => void {
    const startedAt = this.#clock.now()
    return (failure) => {
      const code = failure === null ? null : reportedCode(failure.error, null)
      const action = failure === null ? null : failure.action
      const whole = { ...facts, action, ...this.#ending(code, startedAt) }
      if (eventOfBusChannel.hasSubscribers) eventOfBusChannel.publish(whole)
      for (const listener of this.#listeners) listener.event(whole)
    }
  }

  /**
   * Reports what became of a schema document.
   * @param startedAt when it began, on the clock of the client; null: it took no time.
   * @param facts is called only if somebody listens.
   */
  schema(startedAt: number | null, facts: () => SchemaFacts): void {
    if (!this.hasSchemaListeners) return
    const { code, ...rest } = facts()
    const whole = { ...rest, ...this.#ending(code, startedAt ?? this.#clock.now()) }
    if (schemaChannel.hasSubscribers) schemaChannel.publish(whole)
    for (const listener of this.#listeners) listener.schema?.(whole)
  }

  #ending(code: string | null, startedAt: number) {
    const ms = this.#clock.now() - startedAt
    return { service: this.#service, process: this.#process, code, ms }
  }
}

async function ended<T>(
  run: () => Promise<T>,
  failed: (error: unknown) => void,
  succeeded: (failure: null) => void,
): Promise<T> {
  let value: T
  try {
    value = await run()
  } catch (error) {
    failed(error)
    throw error
  }
  succeeded(null)
  return value
}

/** @returns the code of what was thrown: one of few, whatever another process has sent. */
function reportedCode(error: unknown, rpc: ApiRpc | null): string {
  if (error instanceof MqttError) {
    const { code } = error
    const { remote } = error as { readonly remote?: unknown }
    if (remote === undefined || ANSWER_CODES.has(code)) return code
    return rpc?.errors !== undefined && Object.hasOwn(rpc.errors, code) ? code : OTHER_REFUSAL
  }
  const { name } = Object(error) as { readonly name?: unknown }
  return name === 'AbortError' || name === 'TimeoutError' ? 'aborted' : 'thrown'
}

const utf8Encoder = new TextEncoder()

/** @returns the size of what a codec has made. */
export function sizeWhenSent(payload: string | Uint8Array): number {
  return typeof payload === 'string' ? utf8Encoder.encode(payload).length : payload.length
}
