/**
 * One trace from the publisher to the consumer: the W3C trace context is sent in the user
 * properties `traceparent` and `tracestate` of the message (w3c.github.io/trace-context-mqtt),
 * which need MQTT 5. Only the API of OpenTelemetry is used; if the application registered no SDK,
 * requests stay as they are.
 *
 *   const loop = eventloop({ url, protocolVersion: 5, onSettled: endTraced }, requests)
 *   requests.push(traced(publish('orders', order, { qos: 1 })))
 *   for await (const packet of loop) {
 *     if (packet.cmd === 'publish') await handleTraced(packet, handle)
 *   }
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
import {
  type IncomingPublish,
  MqttError,
  type Outcome,
  type PublishRequest,
  type Request,
  type UserProperties,
} from 'it-mqtt'

const tracer = trace.getTracer('it-mqtt')

/**
 * Spans of requests without an outcome. The map is weak, so that a dropped request frees its span.
 */
const settling = new WeakMap<Request, Span>()

/** @returns attributes as the semantic conventions for messaging name them. */
function attributesOf(topic: string, name: string, type: string): Attributes {
  return {
    'messaging.system': 'mqtt',
    // The name since version 1.45 of the conventions; backends know one or the other.
    'messaging.system.name': 'mqtt',
    'messaging.destination.name': topic,
    'messaging.operation.name': name,
    'messaging.operation.type': type,
  }
}

/** @returns a link to the span named in the user properties, or nothing if they name none. */
function linksOf(userProperties: UserProperties): Link[] {
  const made = trace.getSpanContext(propagation.extract(ROOT_CONTEXT, userProperties))
  return made === undefined ? [] : [{ context: made }]
}

function fail(span: Span, error: unknown): void {
  const name = error instanceof Error ? error.name : '_OTHER'
  const message = error instanceof Error ? error.message : String(error)
  span.setAttribute('error.type', error instanceof MqttError ? error.code : name)
  span.setStatus({ code: SpanStatusCode.ERROR, message })
}

function withContext(request: PublishRequest, span: Span): PublishRequest {
  const carrier: Record<string, string> = {}
  propagation.inject(trace.setSpan(context.active(), span), carrier)
  if (Object.keys(carrier).length === 0) return { ...request }
  // A `tracestate` without a `traceparent` belongs to no trace, and must not get into this one.
  const { tracestate: _, ...own } = request.properties?.userProperties ?? {}
  return {
    ...request,
    properties: { ...request.properties, userProperties: { ...own, ...carrier } },
  }
}

/**
 * Starts a span that ends with the outcome. A message that is passed on and has a context already
 * keeps it, and the new span is linked to that one. A request whose key the session holds has no
 * outcome of its own, so its span never ends.
 *
 * @returns the same request with the context of the new span.
 */
export function traced(request: PublishRequest): PublishRequest {
  const links = linksOf(request.properties?.userProperties ?? {})
  const span = tracer.startSpan(`publish ${request.topic}`, {
    kind: SpanKind.PRODUCER,
    attributes: attributesOf(request.topic, 'publish', 'send'),
    links,
  })
  const copy = links.length === 0 ? withContext(request, span) : { ...request }
  settling.set(copy, span)
  return copy
}

/**
 * For the option `onSettled`. The span of a request that a loop leaves held stays open for the loop
 * that takes the session over.
 */
export function endTraced(request: Request, outcome: Outcome): void {
  const span = settling.get(request)
  if (span === undefined) return
  settling.delete(request)
  if (!outcome.ok) fail(span, outcome.error)
  span.end()
}

/**
 * Runs the handler within a span that is a child of the publisher's span. A span that is active
 * around the loop is not its parent, because it did not cause the message.
 */
export function handleTraced<T>(
  packet: IncomingPublish,
  handler: (packet: IncomingPublish) => T | PromiseLike<T>,
): Promise<T> {
  const userProperties = packet.properties?.userProperties ?? {}
  const options = {
    kind: SpanKind.CONSUMER,
    attributes: attributesOf(packet.topic, 'process', 'process'),
    links: linksOf(userProperties),
  }
  const parent = propagation.extract(trace.deleteSpan(context.active()), userProperties)
  return tracer.startActiveSpan(`process ${packet.topic}`, options, parent, async (span) => {
    try {
      return await handler(packet)
    } catch (error) {
      fail(span, error)
      throw error
    } finally {
      span.end()
    }
  })
}
