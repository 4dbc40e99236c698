/**
 * Goal: `openTelemetry()` makes one trace of a call and its handler, and of an event and its
 * handlers (B19). Method: buses at a broker in memory, and the SDK of OpenTelemetry with an
 * exporter in memory.
 */
import * as api from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import { W3CTraceContextPropagator } from '@opentelemetry/core'
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  type ReadableSpan,
  SimpleSpanProcessor,
} from '@opentelemetry/sdk-trace-base'
import { beforeEach, describe, expect, test } from 'vitest'
import { openTelemetry } from '../../src/bus/index.ts'
import { answers, auth, BusWorld } from './bus-world.ts'

const { SpanKind, SpanStatusCode, trace, propagation, context } = api
const exporter = new InMemorySpanExporter()
const provider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] })
const tracer = provider.getTracer('the application')

/** @returns the one span of this name that has ended. */
function ended(name: string): ReadableSpan {
  const [span, ...more] = exporter.getFinishedSpans().filter((one) => one.name === name)
  expect([name, span !== undefined, more.length]).toEqual([name, true, 0])
  return span!
}

const idOf = (span: ReadableSpan) => span.spanContext().spanId
const parentOf = (span: ReadableSpan) => span.parentSpanContext?.spanId

// This must come first: what is registered below stays for the rest of the process.
test('[B19] without a registered provider, messages stay as they are', async () => {
  const w = new BusWorld()
  const headers: unknown[] = []
  const { client } = await w.pair({
    echo: ((_: unknown, call: { headers: object }) => headers.push(call.headers)) as never,
  })
  openTelemetry(client, api)
  await w.value(client.api(auth).echo('x'), 100)
  expect(Object.keys(headers[0] as object).filter((name) => !name.startsWith('itm-'))).toEqual([])
})

describe('spans', () => {
  beforeEach(() => {
    trace.setGlobalTracerProvider(provider)
    propagation.setGlobalPropagator(new W3CTraceContextPropagator())
    context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable())
    exporter.reset()
  })

  test.each([5, 4] as const)('[B19] a call is CLIENT, its handler SERVER, MQTT %i', async (v) => {
    const w = new BusWorld(v)
    const { client, server } = await w.pair({
      length: (text) => {
        tracer.startSpan('work').end()
        return text.length
      },
    })
    openTelemetry(client, api)
    openTelemetry(server, api)
    const called = tracer.startActiveSpan('cause', async (span) => {
      await client.api(auth).length('abc', { key: 'k-1' })
      span.end()
    })
    await w.value(called, 100)
    const [call, execute] = [
      ended('call bus/auth/v1/rpc/length'),
      ended('execute bus/auth/v1/rpc/length'),
    ]
    expect([call.kind, execute.kind]).toEqual([SpanKind.CLIENT, SpanKind.SERVER])
    expect(parentOf(call)).toBe(idOf(ended('cause')))
    expect(parentOf(execute)).toBe(idOf(call))
    expect(parentOf(ended('work'))).toBe(idOf(execute))
    const traces = exporter.getFinishedSpans().map((span) => span.spanContext().traceId)
    expect(new Set(traces).size).toBe(1)
    const attributes = {
      'messaging.system': 'mqtt',
      'messaging.system.name': 'mqtt',
      'messaging.destination.name': 'bus/auth/v1/rpc/length',
    }
    expect(call.attributes).toEqual({
      ...attributes,
      'messaging.operation.name': 'call',
      'messaging.operation.type': 'send',
    })
    expect(execute.attributes).toEqual({
      ...attributes,
      'messaging.operation.name': 'execute',
      'messaging.operation.type': 'process',
      'messaging.message.conversation_id': 'k-1',
      'messaging.consumer.group.name': 'server',
    })
  })

  test('[B19] an event is PRODUCER, each attempt of its handlers CONSUMER', async () => {
    const w = new BusWorld()
    const server = w.bus('server')
    openTelemetry(server, api)
    server.serve(auth, answers)
    let attempts = 0
    server.api(auth).cleared.listen('mail', { onError: 'retry' }, () => {
      if (attempts++ === 0) throw new TypeError('not now')
    })
    await w.run(server)
    await w.value(server.fire(auth, 'cleared', undefined, { id: 'e1', key: 'secret' }), 1000)
    const fire = ended('fire bus/auth/v1/event/cleared')
    const handled = exporter.getFinishedSpans().filter(({ name }) => name.startsWith('handle '))
    expect(fire.kind).toBe(SpanKind.PRODUCER)
    expect(fire.attributes).toMatchObject({
      'messaging.destination.name': 'bus/auth/v1/event/cleared',
      'messaging.message.id': 'e1',
    })
    expect(handled.map(parentOf)).toEqual([idOf(fire), idOf(fire)])
    expect(handled.map(({ links }) => links[0]!.context.spanId)).toEqual([idOf(fire), idOf(fire)])
    expect(handled.map(({ status }) => status.code)).toEqual([
      SpanStatusCode.ERROR,
      SpanStatusCode.UNSET,
    ])
    expect(handled[0]!.attributes).toEqual({
      'messaging.system': 'mqtt',
      'messaging.system.name': 'mqtt',
      'messaging.destination.name': 'bus/auth/v1/event/cleared',
      'messaging.operation.name': 'handle',
      'messaging.operation.type': 'process',
      'messaging.consumer.group.name': 'server.mail',
      'messaging.message.id': 'e1',
      'error.type': 'TypeError',
    })
  })

  test('[B19] a failed call has the code of its error', async () => {
    const w = new BusWorld()
    const { client } = await w.pair()
    openTelemetry(client, api)
    await w.error(client.api(auth).length(7 as never), 100)
    const { attributes, status } = ended('call bus/auth/v1/rpc/length')
    expect([attributes['error.type'], status.code]).toEqual(['INVALID_INPUT', SpanStatusCode.ERROR])
  })

  test.each([['x'], ['00-1-2-3'], ['\u0000'.repeat(5000)]])(
    '[B19] a context that is none begins a trace: %j',
    async (traceparent) => {
      const w = new BusWorld()
      const { server } = await w.pair()
      openTelemetry(server, api)
      const userProperties = { traceparent: [traceparent.replaceAll('\u0000', 'y'), 'again'] }
      const stranger = w.client()
      const asked = stranger.request('bus/auth/v1/rpc/length', '"a"', {
        properties: { userProperties },
      })
      await w.value(asked, 100)
      expect(parentOf(ended('execute bus/auth/v1/rpc/length'))).toBeUndefined()
    },
  )
})

test('[B19] says what it needs', () => {
  const bus = new BusWorld().bus('server')
  expect(() => openTelemetry({} as never, api)).toThrow(/what createBus\(\) returned/)
  expect(() => openTelemetry(bus, { trace: {} } as never)).toThrow(/all of @opentelemetry\/api/)
})
