/**
 * Goal: one trace goes through publishers, handlers, requesters and responders. Method: clients with
 * the example's `trace` at a broker in memory, and the SDK of OpenTelemetry with an exporter in
 * memory.
 */
import { context, propagation, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import { W3CTraceContextPropagator } from '@opentelemetry/core'
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  type ReadableSpan,
  SimpleSpanProcessor,
} from '@opentelemetry/sdk-trace-base'
import { beforeEach, describe, expect, test } from 'vitest'
import { handleTraced, tracedBy } from '../../docs/examples/observability/client-tracing.ts'
import { type Client, json, text, topic } from '../../src/client/index.ts'
import { collect, World } from '../client/world.ts'

const exporter = new InMemorySpanExporter()
const provider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] })
const tracer = provider.getTracer('the application')
const orders = topic('orders/{id}', { codec: json })

/** A client whose operations are traced, and that reads until the test ends. */
function tracedClient(world: World): Client {
  return world.running(world.client({ trace: tracedBy({ url: 'mqtt://broker.test:1884' }) }))
}

/** The one span of this name that has ended. */
function ended(name: string): ReadableSpan {
  const [span, ...more] = exporter.getFinishedSpans().filter((one) => one.name === name)
  expect([name, span !== undefined, more.length]).toEqual([name, true, 0])
  return span!
}

// This must come first: what is registered below stays for the rest of the process.
test('without a registered provider, messages stay as they are', async () => {
  const world = new World()
  const client = tracedClient(world)
  const { messages } = collect(client.subscribe('a'))
  await world.value(client.publish('a', 'x'))
  expect(messages.map(({ properties }) => properties?.userProperties)).toEqual([undefined])
})

describe('spans', () => {
  beforeEach(() => {
    trace.setGlobalTracerProvider(provider)
    propagation.setGlobalPropagator(new W3CTraceContextPropagator())
    context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable())
    exporter.reset()
  })

  test('a publish is PRODUCER, its handler CONSUMER, child of it and linked to it', async () => {
    const world = new World()
    const client = tracedClient(world)
    const handled = client.subscribe(orders).forEach(() => {
      tracer.startSpan('work').end()
    })
    handled.catch(() => {})
    const params = { id: 'é7' }
    const published = tracer.startActiveSpan('cause', async (span) => {
      await client.publish(orders, { n: 'ü' }, { params })
      span.end()
    })
    await world.value(published)

    const send = ended('publish orders/{id}')
    const process = ended('process orders/{id}')
    expect([send.kind, process.kind]).toEqual([SpanKind.PRODUCER, SpanKind.CONSUMER])
    const { traceId } = ended('cause').spanContext()
    for (const span of [send, process, ended('work')]) {
      expect(span.spanContext().traceId).toBe(traceId)
    }
    expect(send.parentSpanContext?.spanId).toBe(ended('cause').spanContext().spanId)
    expect(process.parentSpanContext?.spanId).toBe(send.spanContext().spanId)
    expect(ended('work').parentSpanContext?.spanId).toBe(process.spanContext().spanId)
    expect(process.links.map((link) => link.context.spanId)).toContain(send.spanContext().spanId)
    const attributes = {
      'messaging.system': 'mqtt',
      'messaging.system.name': 'mqtt',
      'messaging.destination.name': 'orders/é7',
      'messaging.destination.template': 'orders/{id}',
      'messaging.message.body.size': Buffer.byteLength('{"n":"ü"}'),
      'messaging.client.id': 'c0',
      'server.address': 'broker.test',
      'server.port': 1884,
    }
    expect(send.attributes).toEqual({
      ...attributes,
      'messaging.operation.name': 'publish',
      'messaging.operation.type': 'send',
    })
    expect(process.attributes).toEqual({
      ...attributes,
      'messaging.operation.name': 'process',
      'messaging.operation.type': 'process',
    })
  })

  test('a request is CLIENT, its handler SERVER, in one trace', async () => {
    const world = new World()
    const server = tracedClient(world)
    const responder = server.respond('$share/workers/sum/{n}', async ({ params, payload }) => {
      await server.publish('audit', params.n)
      return payload
    })
    await world.value(responder.granted)
    const client = tracedClient(world)
    await world.value(client.request(topic('sum/{n}'), 'abc', { params: { n: 1 }, key: 'k-1' }))

    const asked = ended('request sum/{n}')
    const answered = ended('process sum/{n}')
    expect([asked.kind, answered.kind]).toEqual([SpanKind.CLIENT, SpanKind.SERVER])
    expect(answered.parentSpanContext?.spanId).toBe(asked.spanContext().spanId)
    const audit = ended('publish audit')
    expect(audit.parentSpanContext?.spanId).toBe(answered.spanContext().spanId)
    for (const span of [asked, answered]) {
      expect(span.attributes).toMatchObject({
        'messaging.destination.name': 'sum/1',
        'messaging.destination.template': 'sum/{n}',
        'messaging.message.conversation_id': 'k-1',
        'messaging.message.body.size': 3,
      })
    }
    expect(asked.attributes['messaging.operation.type']).toBe('send')
    expect(answered.attributes['messaging.operation.type']).toBe('process')
  })

  test('a request without responders, and a handler that throws, are errors with a code', async () => {
    const world = new World()
    const client = tracedClient(world)
    expect((await world.error(client.request('nobody', 'x'))).code).toBe('NO_RESPONDERS')
    expect(ended('request nobody').attributes['error.type']).toBe('NO_RESPONDERS')
    expect(ended('request nobody').status.code).toBe(SpanStatusCode.ERROR)

    client.respond('broken', () => {
      throw new RangeError('too far')
    })
    await world.error(client.request('broken', 'x'))
    expect(ended('process broken').attributes['error.type']).toBe('RangeError')
    expect(ended('process broken').status).toEqual({
      code: SpanStatusCode.ERROR,
      message: 'too far',
    })
    expect(ended('request broken').attributes['error.type']).toBe('RESPONDER_FAILED')
  })

  test('the span of requestMany ends with its iteration', async () => {
    const world = new World()
    const client = tracedClient(world)
    client.respond('parts', async function* () {
      yield 'a'
      yield 'b'
    })
    const parts: string[] = []
    const all = async () => {
      for await (const { value } of client.requestMany('parts', '', { codec: text })) {
        parts.push(value)
        expect(exporter.getFinishedSpans().map(({ name }) => name)).not.toContain('request parts')
      }
    }
    await world.value(all(), 100)
    expect(parts).toEqual(['a', 'b'])
    expect(ended('request parts').status.code).toBe(SpanStatusCode.UNSET)
  })

  test('a message that is passed on keeps its context, and the new span is linked to it', async () => {
    const world = new World()
    const client = tracedClient(world)
    const { messages } = collect(client.subscribe('second'))
    const passing = client.subscribe('first').forEach(async ({ payload, properties }) => {
      const { userProperties } = properties ?? {}
      await client.publish('second', payload, { properties: { userProperties } })
    })
    passing.catch(() => {})
    await world.value(client.publish('first', 'x'))
    await world.clock.advance(10)
    const first = ended('publish first').spanContext()
    const traceparent = messages[0]?.properties?.userProperties?.['traceparent']
    expect(traceparent).toContain(first.spanId)
    const second = ended('publish second')
    expect(second.kind).toBe(SpanKind.CLIENT)
    expect(second.links.map((link) => link.context.spanId)).toEqual([first.spanId])
  })

  test('messages that are iterated have a span by handleTraced', async () => {
    const world = new World()
    const client = tracedClient(world)
    const messages = client.subscribe(orders)
    await world.value(client.publish(orders, 1, { params: { id: 7 } }))
    const message = await world.value(messages.first())
    const result = tracer.startActiveSpan('around', async (span) => {
      const value = await handleTraced(message, ({ params }) => params.id)
      span.end()
      return value
    })
    expect(await world.value(result)).toBe('7')
    const span = ended('process orders/+')
    const { spanId } = ended('publish orders/{id}').spanContext()
    expect(span.parentSpanContext?.spanId).toBe(spanId)
    const links = span.links.map((link) => link.context.spanId)
    expect(links).toEqual([spanId, ended('around').spanContext().spanId])
    expect(span.attributes['messaging.message.body.size']).toBe(1)
  })
})
