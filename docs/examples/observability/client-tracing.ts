/**
 * Spans of a client, from the one who publishes to those who handle: for `publish`, `publishAll`,
 * `request`, `requestMany`, and for each message of `forEach` and each request of `respond`. The
 * W3C trace context travels in the user properties `traceparent` and `tracestate`, which need
 * MQTT 5 (w3c.github.io/trace-context-mqtt). Only the API of OpenTelemetry is used; if the
 * application registered no SDK, messages stay as they are.
 *
 *   const client = createClient({ url, protocolVersion: 5, trace: tracedBy({ url }) })
 *   await client.subscribe('orders/{id}').forEach(handle)     // "process orders/{id}"
 *   for await (const message of client.subscribe('a')) await handleTraced(message, handle)
 *
 * Names and attributes are those of the semantic conventions for messaging, 1.44 and 1.45. A span of
 * a message has the publisher's span as its parent, because one message is handled at a time, and a
 * link to it; what is active around the client did not cause the message, and is linked too.
 *
 * Kinds: PRODUCER and CONSUMER for messages. One who sends a request waits for the answer, so a
 * request is CLIENT and its handler SERVER, as for every other call from service to service.
 */
import {
  type Attributes,
  context,
  type Link,
  propagation,
  ROOT_CONTEXT,
  type Span,
  SpanKind,
  SpanStatusCode,
  trace,
} from '@opentelemetry/api'
import { MqttError, type UserProperties } from 'it-mqtt'
import type { Message, Trace, TraceOperation } from 'it-mqtt/client'

const tracer = trace.getTracer('it-mqtt')

/** What is known about the server before there is a connection. */
export interface TracedServer {
  readonly url?: string | URL | undefined
}

/** @returns what is to be given to `createClient` as `trace`. */
export function tracedBy({ url }: TracedServer = {}): Trace {
  const server = url === undefined ? {} : serverAttributes(new URL(url))
  return async (operation, proceed) => {
    if (operation.kind === 'process') return processed(operation, () => proceed(), server)
    return sent(operation, proceed, server)
  }
}

/** Runs a handler of a message within a span, where messages are iterated. */
export function handleTraced<M extends Message<unknown, unknown>, T>(
  message: M,
  handler: (message: M) => T | PromiseLike<T>,
): Promise<T> {
  const { filters } = message.subscription.state
  const operation: MessageOperation = {
    topic: message.topic,
    template: filters.length === 1 ? filters[0]?.replace(/^\$share\/[^/]*\//, '') : undefined,
    userProperties: message.properties?.userProperties,
    payloadBytes: message.payload.length,
  }
  return processed(operation, async () => handler(message), {})
}

type Sent = 'publish' | 'request'

/** What is known of a message that is iterated, too. */
type MessageOperation = Pick<
  TraceOperation,
  'topic' | 'template' | 'userProperties' | 'payloadBytes'
> &
  Partial<TraceOperation>

/**
 * A message that is passed on and has a context already keeps it, and the span is linked to that
 * one: then it is not the message's creation, and its kind is CLIENT.
 */
async function sent<T>(
  operation: TraceOperation,
  proceed: (added?: UserProperties) => Promise<T>,
  server: Attributes,
): Promise<T> {
  const links = linksOf(operation.userProperties)
  const isCreation = links.length === 0
  const options = {
    kind: isCreation && operation.kind === 'publish' ? SpanKind.PRODUCER : SpanKind.CLIENT,
    attributes: { ...server, ...attributesOf(operation, operation.kind as Sent, 'send') },
    links,
  }
  return tracer.startActiveSpan(nameOf(operation.kind, operation), options, (span) =>
    ended(span, () => {
      const carrier: Record<string, string> = {}
      if (isCreation) propagation.inject(context.active(), carrier)
      return proceed(carrier)
    }),
  )
}

function processed<T>(
  operation: MessageOperation,
  handle: () => Promise<T>,
  server: Attributes,
): Promise<T> {
  const around = trace.getSpanContext(context.active())
  const options = {
    // Only requests have keys.
    kind: operation.key === undefined ? SpanKind.CONSUMER : SpanKind.SERVER,
    attributes: { ...server, ...attributesOf(operation, 'process', 'process') },
    links: [
      ...linksOf(operation.userProperties),
      ...(around === undefined ? [] : [{ context: around }]),
    ],
  }
  const base = trace.deleteSpan(context.active())
  const parent = propagation.extract(base, operation.userProperties ?? {})
  return tracer.startActiveSpan(nameOf('process', operation), options, parent, (span) =>
    ended(span, handle),
  )
}

/** Ends the span with what happens, and passes that on. */
async function ended<T>(span: Span, run: () => Promise<T>): Promise<T> {
  try {
    return await run()
  } catch (error) {
    const name = error instanceof Error ? error.name : '_OTHER'
    const message = error instanceof Error ? error.message : String(error)
    span.setAttribute('error.type', error instanceof MqttError ? error.code : name)
    span.setStatus({ code: SpanStatusCode.ERROR, message })
    throw error
  } finally {
    span.end()
  }
}

/** A name has few values: so the template is better than the topic. */
function nameOf(verb: string, { topic, template }: Pick<TraceOperation, 'topic' | 'template'>) {
  return `${verb} ${template ?? topic}`
}

function attributesOf(
  { topic, template, clientId, key, payloadBytes }: MessageOperation,
  name: Sent | 'process',
  type: 'send' | 'process',
): Attributes {
  return {
    'messaging.system': 'mqtt',
    // The name since version 1.45 of the conventions; backends know one or the other.
    'messaging.system.name': 'mqtt',
    'messaging.destination.name': topic,
    ...(template === undefined ? {} : { 'messaging.destination.template': template }),
    'messaging.operation.name': name,
    'messaging.operation.type': type,
    'messaging.message.body.size': payloadBytes,
    ...(clientId === undefined ? {} : { 'messaging.client.id': clientId }),
    ...(key === undefined || key === '' ? {} : { 'messaging.message.conversation_id': key }),
  }
}

function serverAttributes({ hostname, port }: URL): Attributes {
  return {
    ...(hostname === '' ? {} : { 'server.address': hostname }),
    ...(port === '' ? {} : { 'server.port': Number(port) }),
  }
}

/** @returns a link to the span named in user properties, or nothing if they name none. */
function linksOf(userProperties: UserProperties = {}): Link[] {
  const made = trace.getSpanContext(propagation.extract(ROOT_CONTEXT, userProperties))
  return made === undefined ? [] : [{ context: made }]
}
