/**
 * One trace from the publisher to the consumer: the W3C trace context travels in the user properties `traceparent` and
 * `tracestate` of the message (w3c.github.io/trace-context-mqtt), which MQTT 5 has and MQTT 3 has not. Only the API of
 * OpenTelemetry is used; where the application registered nothing, requests stay as they are.
 *
 *   const loop = eventloop({ url, protocolVersion: 5, onSettled: endTraced }, requests)
 *   requests.push(traced(publish('orders', order, { qos: 1 })))
 *   for await (const packet of loop) if (packet.cmd === 'publish') await handleTraced(packet, handle)
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

/** Spans of requests without an outcome. Weak: a request that was dropped takes its span along. */
const settling = new WeakMap<Request, Span>()

/** By the semantic conventions for messaging. */
function attributesOf(topic: string, name: string, type: string): Attributes {
  return {
    'messaging.system': 'mqtt',
    // Its name since version 1.45 of the conventions; backends know one or the other.
    'messaging.system.name': 'mqtt',
    'messaging.destination.name': topic,
    'messaging.operation.name': name,
    'messaging.operation.type': type,
  }
}

/** To where the message was made, as its user properties say; nothing where they say nothing that can be read. */
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
  // A `tracestate` without a `traceparent` belongs to no trace, and must not come into this one.
  const { tracestate: _, ...own } = request.properties?.userProperties ?? {}
  return {
    ...request,
    properties: { ...request.properties, userProperties: { ...own, ...carrier } },
  }
}

/**
 * The same request with the context of a new span, which ends with the outcome. A message that says already where it was made,
 * because it is passed on, keeps that, and the span is linked to it. A repeat whose key the session holds already has no outcome
 * of its own, and so no span that ends.
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

/** For the option `onSettled`. What a loop leaves held keeps its span open for the loop that takes the session over. */
export function endTraced(request: Request, outcome: Outcome): void {
  const span = settling.get(request)
  if (span === undefined) return
  settling.delete(request)
  if (!outcome.ok) fail(span, outcome.error)
  span.end()
}

/**
 * Runs the handler within a span that is a child of the publisher's, and of nothing else: what is active around the loop is not
 * why the message came.
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
