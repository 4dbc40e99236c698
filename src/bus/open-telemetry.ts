/**
 * `openTelemetry()`: spans of calls, handlers and events, in one trace from the caller to the
 * handler and from who fires to who listens. The context travels in User Properties, as W3C Trace
 * Context for MQTT says. (B19, what a bus does can be seen)
 *
 * Names and attributes are those of the semantic conventions for messaging. Who calls waits for the
 * answer, so that a call is CLIENT and its handler SERVER; an event is PRODUCER and CONSUMER.
 */
import { MqttError, UsageError, type UserProperties } from '../index.ts'
import { insidesOf } from './bus-insides.ts'
import { apiTopic, listenerShare, majorOf } from './bus-names.ts'
import type { Bus } from './bus-types.ts'
import type {
  BusHooks,
  CallContext,
  ExecuteContext,
  FireContext,
  HandleContext,
} from './hook-types.ts'

/** What is used of a span of OpenTelemetry. */
export interface TelemetrySpan {
  /** Sets an attribute. */
  setAttribute(key: string, value: never): unknown
  /** Says that it failed. */
  setStatus(status: never): unknown
  /** Ends it. */
  end(): void
}

/** What is used of the package `@opentelemetry/api` 1. */
export interface TelemetryApi {
  /** Makes spans. */
  readonly trace: {
    /** @returns what makes spans under a name. */
    getTracer(name: string): {
      /** Runs a function within a span. */
      startActiveSpan(name: never, options: never, context: never, run: never): unknown
    }
    /** @returns a context without its span. */
    deleteSpan(context: never): unknown
    /** @returns what identifies the span of a context. */
    getSpanContext(context: never): unknown
  }
  /** Knows the active context. */
  readonly context: {
    /** @returns it. */
    active(): unknown
  }
  /** Moves contexts between processes. */
  readonly propagation: {
    /** Writes a context into a carrier. */
    inject(context: never, carrier: unknown): void
    /** @returns a context with what a carrier has. */
    extract(context: never, carrier: unknown): unknown
  }
  /** The kinds of spans. */
  readonly SpanKind: {
    /** One who is called. */
    readonly SERVER: number
    /** One who calls. */
    readonly CLIENT: number
    /** One who sends messages. */
    readonly PRODUCER: number
    /** One who gets messages. */
    readonly CONSUMER: number
  }
  /** How spans end. */
  readonly SpanStatusCode: {
    /** It failed. */
    readonly ERROR: number
  }
}

const VERBS = {
  call: { kind: 'CLIENT', type: 'send' },
  execute: { kind: 'SERVER', type: 'process' },
  fire: { kind: 'PRODUCER', type: 'send' },
  handle: { kind: 'CONSUMER', type: 'process' },
} as const

type Traced = CallContext | ExecuteContext | FireContext | HandleContext
type Next = () => Promise<unknown>
type Attributes = Record<string, string | number>

/** `TelemetryApi` with the arguments that are given. */
interface UsedTelemetry {
  readonly trace: {
    getTracer(name: string): {
      startActiveSpan<T>(
        name: string,
        options: object,
        context: unknown,
        run: (span: UsedSpan) => Promise<T>,
      ): Promise<T>
    }
    deleteSpan(context: unknown): unknown
    getSpanContext(context: unknown): object | undefined
  }
  readonly context: { active(): unknown }
  readonly propagation: {
    inject(context: unknown, carrier: object): void
    extract(context: unknown, carrier: object): unknown
  }
}
interface UsedSpan {
  setAttribute(key: string, value: string): void
  setStatus(status: { readonly code: number; readonly message: string }): void
  end(): void
}

/**
 * Makes spans of all calls, handlers and events of a bus, as hooks: inside of those that are there,
 * and around those that come later. What is iterated has no span. Leave out `trace` of the client,
 * or each of them has two.
 * @param api the package `@opentelemetry/api`: `import * as api from '@opentelemetry/api'`. While
 *   the program registers no SDK, nothing is sent.
 */
export function openTelemetry(bus: Bus, api: TelemetryApi): void {
  const { parts } = insidesOf('openTelemetry', bus)
  if (typeof Object(Object(api).trace).getTracer !== 'function') {
    throw new UsageError('openTelemetry: the second argument must be all of @opentelemetry/api')
  }
  parts.hooks.add(new Spans(api, parts).hooks)
}

interface SpanSource {
  readonly prefix: string
  readonly service: string
}

class Spans {
  readonly #api: TelemetryApi
  readonly #used: UsedTelemetry
  readonly #bus: SpanSource

  constructor(api: TelemetryApi, bus: SpanSource) {
    this.#api = api
    this.#used = api as unknown as UsedTelemetry
    this.#bus = bus
  }

  get hooks(): BusHooks {
    const sent = (context: CallContext | FireContext, next: Next) => this.#sent(context, next)
    const processed = (context: ExecuteContext | HandleContext, next: Next) =>
      this.#processed(context, next)
    return { call: sent, fire: sent, execute: processed, handle: processed }
  }

  #sent(given: CallContext | FireContext, next: Next): Promise<unknown> {
    const { context, propagation } = this.#used
    return this.#within(given, context.active(), [], () => {
      const carrier: Record<string, string> = {}
      propagation.inject(context.active(), carrier)
      given.headers = { ...given.headers, ...carrier }
      return next()
    })
  }

  /** Its parent is the span of the sender, to which it is linked too, as to what is active here. */
  #processed(given: ExecuteContext | HandleContext, next: Next): Promise<unknown> {
    const { context, propagation, trace } = this.#used
    const active = context.active()
    const parent = propagation.extract(trace.deleteSpan(active), carrierOf(given.headers))
    const spans = [parent, active].map((one) => trace.getSpanContext(one))
    const links = spans.flatMap((one) => (one === undefined ? [] : [{ context: one }]))
    return this.#within(given, parent, links, next)
  }

  #within(given: Traced, parent: unknown, links: object[], run: Next): Promise<unknown> {
    const { trace } = this.#used
    const { SpanKind, SpanStatusCode } = this.#api
    const { kind } = given
    const topic = this.#topicOf(given)
    const options = {
      kind: SpanKind[VERBS[kind].kind],
      attributes: this.#attributesOf(given, topic),
      links,
    }
    const tracer = trace.getTracer('it-mqtt')
    return tracer.startActiveSpan(`${kind} ${topic}`, options, parent, async (span) => {
      try {
        return await run()
      } catch (error) {
        const { name, message } = error instanceof Error ? error : new Error('not an Error')
        span.setAttribute('error.type', error instanceof MqttError ? error.code : name)
        span.setStatus({ code: SpanStatusCode.ERROR, message })
        throw error
      } finally {
        span.end()
      }
    })
  }

  /** Without the key of an event: then it is the same for all events of a name. */
  #topicOf({ kind, api, version, name }: Traced): string {
    const base = apiTopic(this.#bus.prefix, { name: api, major: majorOf(version)! })
    const level = kind === 'call' || kind === 'execute' ? 'rpc' : 'event'
    return `${base}/${level}/${name}`
  }

  #attributesOf(given: Traced, topic: string): Attributes {
    const { service } = this.#bus
    const { kind } = given
    const attributes: Attributes = {
      'messaging.system': 'mqtt',
      // The name since version 1.45 of the conventions; backends know one or the other.
      'messaging.system.name': 'mqtt',
      'messaging.destination.name': topic,
      'messaging.operation.name': kind,
      'messaging.operation.type': VERBS[kind].type,
    }
    if (kind === 'execute') {
      attributes['messaging.message.conversation_id'] = given.key
      attributes['messaging.consumer.group.name'] = service
    }
    if (kind === 'handle') {
      attributes['messaging.consumer.group.name'] = listenerShare(service, given.listener)
    }
    const id = kind === 'fire' || kind === 'handle' ? given.id : ''
    if (id !== '') attributes['messaging.message.id'] = id
    return attributes
  }
}

/** A property that came twice counts once: a propagator takes texts only. */
function carrierOf(headers: UserProperties): Record<string, string> {
  const entries = Object.entries(headers as Readonly<Record<string, unknown>>)
  return Object.fromEntries(
    entries.map(([name, value]) => [name, String(Array.isArray(value) ? value[0] : value)]),
  )
}
