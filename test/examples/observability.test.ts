/**
 * Goal: the examples of observability show what is true. Method: loops at the scripted server and
 * the virtual clock, so that each value of a scrape is known beforehand; the server returns
 * publishes as they came, so that a trace can be followed from end to end; and the program itself,
 * scraped over HTTP.
 */
import { channel } from 'node:diagnostics_channel'
import { EventEmitter, once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { context, propagation, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import { TraceState, W3CTraceContextPropagator } from '@opentelemetry/core'
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  type ReadableSpan,
  SimpleSpanProcessor,
} from '@opentelemetry/sdk-trace-base'
import { type Pushable, pushable } from 'it-pushable'
import type { IPublishPacket, Packet } from 'mqtt-packet'
import { Gauge, type OpenMetricsContentType, openMetricsContentType, Registry } from 'prom-client'
import { beforeAll, beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { endTraced, handleTraced, traced } from '../../docs/examples/observability/opentelemetry.ts'
import { observe, serve } from '../../docs/examples/observability/prometheus.ts'
import type { Eventloop } from '../../src/loop/eventloop.ts'
import type { EventloopOptions } from '../../src/options/options.ts'
import { publish } from '../../src/requests/build.ts'
import type { IncomingPublish, PublishRequest, Request } from '../../src/requests/vocabulary.ts'
import { resolved, VirtualClock } from '../support/clock.ts'
import { collect, type Started, startLoop } from '../support/loop.ts'
import { start, until } from '../support/process.ts'
import { ScriptedServer, type ServerOptions } from '../support/server.ts'

const CHANNELS = ['it-mqtt:outcome', 'it-mqtt:stall']

interface World extends Started {
  readonly requests: Pushable<Request>
}

/** The server acknowledges no publish and answers no ping. */
const RESERVED: ServerOptions = { autoAck: ({ cmd }) => cmd !== 'publish' && cmd !== 'pingreq' }

/** A loop with a stream to push into. */
function running(
  options: EventloopOptions = {},
  server = new ScriptedServer(new VirtualClock(), RESERVED),
  manual = false,
): World {
  const requests = pushable<Request>({ objectMode: true })
  const started = startLoop({ until: 'closed', ...options }, requests, [], { server, manual })
  onTestFinished(async () => {
    started.loop.shutdown()
    await started.clock.advance(1000)
  })
  return Object.assign(started, { requests })
}

/** Runs with a server that acknowledges everything. */
function obliged(clientId: string): World {
  return running({ clientId }, new ScriptedServer(new VirtualClock()))
}

/** Only the test calls `next()`. */
function manual(options: EventloopOptions): World {
  return running(options, undefined, true)
}

function observed(loops: readonly Eventloop[] | ReadonlySet<Eventloop>): Registry {
  const registry = new Registry()
  const metrics = observe(registry, loops)
  onTestFinished(() => metrics[Symbol.dispose]())
  return registry
}

/** The lines with values, without the prefix that all of them have. */
function valuesIn(text: string): Map<string, number> {
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'))
  return new Map(
    lines.map((line) => {
      const [, series, value] = /^it_mqtt_(.*) (\S+)$/.exec(line)!
      return [series!, Number(value)]
    }),
  )
}

async function scrape(registry: Registry): Promise<Map<string, number>> {
  return valuesIn(await registry.metrics())
}

/** @returns the value of a loop with one label, or undefined if there is no such line. */
async function scrapeOf(registry: Registry, clientId = 'test') {
  const values = await scrape(registry)
  return (name: string, label = '') => values.get(`${name}{client_id="${clientId}"${label}}`)
}

/** @returns the kind of a connection by the gauges: all eight are there, and one is 1. */
async function kindIn(registry: Registry, clientId = 'test'): Promise<string> {
  const values = [...(await scrape(registry))].filter(([series]) =>
    series.startsWith(`connection_kind{client_id="${clientId}"`),
  )
  expect(values).toHaveLength(8)
  expect(values.reduce((sum, [, value]) => sum + value, 0)).toBe(1)
  const [series] = values.find(([, value]) => value === 1)!
  return /kind="(\w+)"/.exec(series)![1]!
}

function message(payload: string, messageId: number): Packet {
  return { cmd: 'publish', topic: 'a', payload, qos: 1, messageId, dup: false, retain: false }
}

// ----------------------------------------------------------------------------------------- metrics

describe('metrics', () => {
  test('[T8] a scrape shows the counters of loop.state before, during and after traffic', async () => {
    const world = manual({ maxInflight: 2, acks: 'manual' })
    const { loop, server, clock, requests } = world
    const registry = observed([loop])

    const early = await scrapeOf(registry)
    for (const name of ['taken', 'settled']) expect(early(`requests_${name}_total`)).toBe(0)
    expect(early('requests_held')).toBe(0)
    expect(early('queued_bytes')).toBe(0)
    expect(early('round_trip_seconds')).toBeUndefined()
    expect(await kindIn(registry)).toBe('idle')

    await collect(world, 1)
    for (const payload of ['x', 'y', 'z']) requests.push(publish('a', payload, { qos: 1 }))
    server.current.send(message('ab', 1), message('cd', 2))
    await clock.advance(0)
    const during = await scrapeOf(registry)
    const { counters } = loop.state
    expect(await kindIn(registry)).toBe('connected')
    expect(during('requests_taken_total')).toBe(3)
    expect(during('requests_settled_total')).toBe(0)
    expect(during('requests_held')).toBe(3)
    expect(during('publishes_in_flight')).toBe(2)
    expect(during('messages_sent_total')).toBe(2)
    expect(during('messages_received_total')).toBe(2)
    expect(during('messages_acknowledged_total')).toBe(0)
    expect(during('buffered_packets')).toBe(2)
    expect(during('buffered_bytes')).toBe(counters.bufferedBytes)
    expect(counters.bufferedBytes).toBeGreaterThan(0)
    expect(during('queued_bytes')).toBe(counters.queuedBytes)
    expect(counters.queuedBytes).toBeGreaterThan(0)

    server.current.autoAck = true
    for (const packet of server.current.of('publish')) server.current.acknowledge(packet)
    await collect(world, 5)
    const late = await scrapeOf(registry)
    expect(late('requests_taken_total')).toBe(3)
    expect(late('requests_settled_total')).toBe(3)
    expect(late('requests_held')).toBe(0)
    expect(late('publishes_in_flight')).toBe(0)
    expect(late('messages_sent_total')).toBe(3)
    expect(late('messages_acknowledged_total')).toBe(3)
    expect(late('buffered_packets')).toBe(0)
    expect(late('buffered_bytes')).toBe(0)
    expect(late('queued_bytes')).toBe(0)

    loop.shutdown()
    await clock.advance(1000)
    await loop.next()
    expect(await kindIn(registry)).toBe('closed')
  })

  test('[T8] a round trip of 250 ms is 0.25 seconds', async () => {
    const { loop, server, clock } = running()
    const registry = observed([loop])
    await clock.advance(0)
    const pinged = loop.ping()
    await clock.advance(250)
    server.current.send({ cmd: 'pingresp' })
    await resolved(clock, pinged)
    expect((await scrapeOf(registry))('round_trip_seconds')).toBe(0.25)
  })

  test('[T8] what is diverted shows until it is settled', async () => {
    const arrived = new EventEmitter()
    const server = new ScriptedServer(new VirtualClock())
    server.hang()
    const divert = { afterMs: 1000, to: () => once(arrived, 'there') }
    const { loop, clock, requests } = running({ divert }, server)
    const registry = observed([loop])
    await clock.advance(1000)
    requests.push(publish('a', 'x', { qos: 1 }))
    await clock.advance(0)
    expect((await scrapeOf(registry))('publishes_diverted')).toBe(1)
    arrived.emit('there')
    await clock.advance(0)
    const late = await scrapeOf(registry)
    expect(late('publishes_diverted')).toBe(0)
    expect(late('requests_settled_total')).toBe(1)
  })

  test('[T8] after a reconnection the scrape shows its cause, and the counters go on', async () => {
    const { loop, server, clock } = running()
    const registry = observed([loop])
    await clock.advance(0)
    expect([...(await scrape(registry)).keys()].join()).not.toContain('reconnections')

    for (let count = 1; count <= 2; count++) {
      server.current.reset()
      await clock.advance(0)
      expect(await kindIn(registry)).toBe('disconnected')
      await clock.advance(60_000)
      expect(await kindIn(registry)).toBe('connected')
      const values = await scrapeOf(registry)
      expect(values('reconnections_total', ',cause="ECONNRESET"')).toBe(count)
    }
    expect(loop.state.counters.reconnections).toEqual({ ECONNRESET: 2 })
  })

  test('[T8] two loops in one registry do not mix; loops may be added and removed', async () => {
    const one = obliged('one')
    const two = obliged('two')
    const loops = new Set([one.loop])
    const registry = observed(loops)
    for (const { requests, clock } of [one, two]) {
      requests.push(publish('a', 'x', { qos: 1 }))
      await clock.advance(0)
    }
    two.requests.push(publish('a', 'y', { qos: 1 }))
    await two.clock.advance(0)
    expect((await scrapeOf(registry, 'two'))('requests_taken_total')).toBeUndefined()

    loops.add(two.loop)
    expect((await scrapeOf(registry, 'one'))('messages_acknowledged_total')).toBe(1)
    expect((await scrapeOf(registry, 'two'))('messages_acknowledged_total')).toBe(2)

    loops.delete(one.loop)
    const series = [...(await scrape(registry)).keys()]
    expect(series.filter((name) => name.includes('"one"'))).toEqual([])
    expect(await kindIn(registry, 'two')).toBe('connected')
  })

  test('[T8] two loops with the same client id show as one', async () => {
    const twins = [obliged('twin'), obliged('twin')] as const
    const registry = observed(twins.map(({ loop }) => loop))
    for (const { requests, clock } of twins) {
      requests.push(publish('a', 'x', { qos: 1 }))
      await clock.advance(0)
    }
    const values = await scrapeOf(registry, 'twin')
    expect(values('requests_taken_total')).toBe(2)
    expect(values('connection_kind', ',kind="connected"')).toBe(2)
  })

  test('[T8] a scrape shows one instant: taken = settled + held while everything is under way', async () => {
    const { loop, server, clock, requests } = running({ maxInflight: 5 })
    const registry = observed([loop])
    await clock.advance(0)
    for (let number = 0; number < 20; number++) {
      requests.push(publish('a', `${number}`, { qos: 1 }))
      const scraping = registry.metrics()
      for (const packet of server.current.of('publish')) {
        if (packet.messageId === (number % 5) + 1) server.current.acknowledge(packet)
      }
      const values = valuesIn(await scraping)
      const of = (name: string) => values.get(`requests_${name}{client_id="test"}`)!
      expect(of('taken_total')).toBe(of('settled_total') + of('held'))
    }
    await clock.advance(0)
    expect((await scrapeOf(registry))('requests_taken_total')).toBeGreaterThan(5)
  })

  test('[T8] outcomes are counted by result, from 0, and only those of these loops', async () => {
    const { loop, server, clock, requests } = running()
    const other = obliged('other')
    const loops = new Set([loop])
    const registry = observed(loops)
    await clock.advance(0)
    const early = await scrapeOf(registry)
    expect(early('outcomes_total', ',result="ok"')).toBe(0)
    expect(early('outcomes_total', ',result="failed"')).toBe(0)

    for (const reasonCode of [0, 0x87, 0]) {
      requests.push(publish('a', 'x', { qos: 1 }))
      await clock.advance(0)
      const { messageId } = server.current.of('publish').at(-1)!
      server.current.send({ cmd: 'puback', messageId: messageId!, reasonCode })
      await clock.advance(0)
    }
    other.requests.push(publish('a', 'x', { qos: 1 }))
    await other.clock.advance(0)
    expect(other.outcomes).toHaveLength(1)
    const late = await scrapeOf(registry)
    expect(late('outcomes_total', ',result="ok"')).toBe(2)
    expect(late('outcomes_total', ',result="failed"')).toBe(1)
    expect([...(await scrape(registry)).keys()].join()).not.toContain('other')

    // What was not shown is not kept: a process may have any number of loops over time.
    loops.add(other.loop)
    expect((await scrapeOf(registry, 'other'))('outcomes_total', ',result="ok"')).toBe(0)
    other.requests.push(publish('a', 'x', { qos: 1 }))
    await other.clock.advance(0)
    expect((await scrapeOf(registry, 'other'))('outcomes_total', ',result="ok"')).toBe(1)
  })

  test('[T8] a consumer and an acknowledgement that keep others waiting are stalls of their kinds', async () => {
    const consumer = manual({ clientId: 'slow', maxBufferedPackets: 1 })
    const forgetful = running({ clientId: 'forgetful', acks: 'manual' })
    const registry = observed([consumer.loop, forgetful.loop])
    await collect(consumer, 1)
    for (const { server, clock } of [consumer, forgetful]) {
      await clock.advance(0)
      server.current.send(message('x', 1), message('y', 2))
      await clock.advance(29_000)
    }
    expect((await scrapeOf(registry, 'slow'))('stalls_total', ',kind="consumer"')).toBe(0)
    for (const { clock } of [consumer, forgetful]) await clock.advance(2000)
    const slow = await scrapeOf(registry, 'slow')
    const forgets = await scrapeOf(registry, 'forgetful')
    expect(slow('stalls_total', ',kind="consumer"')).toBe(1)
    expect(slow('stalls_total', ',kind="transport"')).toBe(0)
    expect(forgets('stalls_total', ',kind="consumer"')).toBe(0)
    expect(forgets('stalls_total', ',kind="acknowledgement"')).toBe(1)
  })

  test('[T8] after dispose nobody listens to the channels, and the registry is as it was', async () => {
    const { loop } = running()
    const registry = new Registry()
    new Gauge({ name: 'mine', help: 'Not ours.', registers: [registry] })
    const subscribers = () => CHANNELS.map((name) => channel(name).hasSubscribers)
    const names = () => registry.getMetricsAsArray().map(({ name }) => name)
    expect(subscribers()).toEqual([false, false])

    const first = observe(registry, [loop])
    expect(subscribers()).toEqual([true, true])
    expect(names().length).toBeGreaterThan(10)
    expect(() => observe(registry, [loop])).toThrow('already been registered')
    first[Symbol.dispose]()
    expect(subscribers()).toEqual([false, false])
    expect(names()).toEqual(['mine'])

    const second = observe(registry, [loop])
    first[Symbol.dispose]()
    expect(subscribers()).toEqual([true, true])
    expect(names().length).toBeGreaterThan(10)
    second[Symbol.dispose]()
    expect(subscribers()).toEqual([false, false])
  })

  test('[T8] names follow the conventions: units of the base, and `_total` for counters alone', async () => {
    const { loop } = running()
    const metrics = await observed([loop]).getMetricsAsJSON()
    for (const { name, type, help } of metrics) {
      expect(name).toMatch(/^it_mqtt_[a-z]+(_[a-z]+)*$/)
      expect(name).not.toMatch(/milli|_ms\b|_kb\b|_count$/)
      expect([name, name.endsWith('_total')]).toEqual([name, String(type) === 'counter'])
      expect(help).toMatch(/^[A-Z].*\.$/)
    }
  })

  test('[T8] the same metrics come in the format of OpenMetrics', async () => {
    const { loop } = running()
    const registry = new Registry<OpenMetricsContentType>()
    registry.setContentType(openMetricsContentType)
    const metrics = observe(registry, [loop])
    const text = await registry.metrics()
    expect(text).toContain('\nit_mqtt_requests_taken_total{client_id="test"} 0\n')
    expect(text).toMatch(/# EOF\n$/)
    metrics[Symbol.dispose]()
    expect(registry.getMetricsAsArray()).toEqual([])
  })
})

describe('serving', () => {
  async function serving(registry: Registry): Promise<string> {
    const server = await serve(registry, 0)
    onTestFinished(() => void server.close())
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  }

  test('[T8] /metrics returns the registry; nothing else is there', async () => {
    const { loop } = running()
    const registry = observed([loop])
    const url = await serving(registry)
    const response = await fetch(`${url}/metrics?name=x`)
    expect(response.status).toBe(200)
    expect(response.headers.get('content-type')).toBe(registry.contentType)
    expect(await response.text()).toBe(await registry.metrics())
    expect((await fetch(url)).status).toBe(404)
    const posted = await fetch(`${url}/metrics`, { method: 'POST' })
    expect([posted.status, posted.headers.get('allow')]).toEqual([405, 'GET, HEAD'])
  })

  test('[T8] a metric that cannot be read is status 500, and the server goes on', async () => {
    const registry = new Registry()
    let works = false
    const collect = () => {
      if (!works) throw new Error('no such sensor')
    }
    new Gauge({ name: 'broken', help: 'Throws.', registers: [registry], collect })
    const url = await serving(registry)
    const response = await fetch(`${url}/metrics`)
    expect([response.status, await response.text()]).toEqual([500, 'Error: no such sensor'])
    works = true
    expect((await fetch(`${url}/metrics`)).status).toBe(200)
  })

  test('[T8] a port that is taken is an error', async () => {
    const url = new URL(await serving(new Registry()))
    await expect(serve(new Registry(), Number(url.port))).rejects.toThrow('EADDRINUSE')
  })

  test('[T8] the program prints where it is scraped, and ends in order at Ctrl-C', async () => {
    const main = 'docs/examples/observability/main.ts'
    const args = ['--import', 'tsx', main, '--port', '0', '--every', '10']
    const child = start(process.execPath, args)
    let stdout = ''
    let stderr = ''
    child.stdout!.on('data', (chunk) => (stdout += chunk))
    child.stderr!.on('data', (chunk) => (stderr += chunk))
    await until(
      () => stdout.includes('\n'),
      () => `a first line: ${stderr}`,
    )
    const received = async () => {
      const values = valuesIn(await (await fetch(stdout.trim())).text())
      return values.get(`messages_received_total{client_id="heartbeat-${child.pid}"}`) ?? 0
    }
    await until(async () => (await received()) >= 3, 'three heartbeats')
    child.kill('SIGINT')
    await until(() => child.exitCode !== null || child.signalCode !== null, 'the end')
    expect([child.exitCode, stderr]).toEqual([0, ''])
    await expect(fetch(stdout.trim())).rejects.toThrow()
  })
})

// ----------------------------------------------------------------------------------------- tracing

/** A request that cannot be changed. */
function frozen(request: PublishRequest): PublishRequest {
  const { properties } = request
  if (properties?.userProperties !== undefined) Object.freeze(properties.userProperties)
  if (properties !== undefined) Object.freeze(properties)
  return Object.freeze(request)
}

/** A loop whose server returns each publish as it came, and then acknowledges it with `answers`. */
function echoing(
  answers: (packet: IPublishPacket) => readonly Packet[] = accepted,
  options: EventloopOptions = {},
): World {
  const autoAck = (packet: Packet) => {
    if (packet.cmd !== 'publish') return true
    server.current.send(echoOf(packet), ...answers(packet))
    return false
  }
  const server = new ScriptedServer(new VirtualClock(), { autoAck })
  return running({ onSettled: endTraced, ...options }, server)
}

function echoOf({ topic, payload, properties }: IPublishPacket): Packet {
  const echo = { cmd: 'publish', topic, payload, qos: 0, dup: false, retain: false } as const
  return properties === undefined ? echo : { ...echo, properties }
}

function answered({ messageId }: IPublishPacket, reasonCode: number): Packet[] {
  return [{ cmd: 'puback', messageId: messageId!, reasonCode }]
}

function accepted(packet: IPublishPacket): Packet[] {
  return answered(packet, 0)
}

/** Refuses what goes to the topic `refused`. */
function choosy(packet: IPublishPacket): Packet[] {
  return answered(packet, packet.topic === 'refused' ? 0x87 : 0)
}

function messagesOf({ received }: Started): IncomingPublish[] {
  return received.filter((packet): packet is IncomingPublish => packet.cmd === 'publish')
}

/** Sends the requests and waits until the server has returned them. */
async function thereAndBack(world: World, ...requests: PublishRequest[]) {
  for (const request of requests) world.requests.push(request)
  await world.clock.advance(0)
  return messagesOf(world)
}

const plainMessage: IncomingPublish = {
  cmd: 'publish',
  topic: 'a',
  payload: Buffer.from('x'),
  qos: 0,
  dup: false,
  retain: false,
}

// This must come first: what is registered below stays for the rest of the process.
describe('tracing without a registered provider', () => {
  test('[T8] changes no request and runs the handler', async () => {
    const plain = frozen(publish('a', 'x'))
    expect(traced(plain)).toEqual({ cmd: 'publish', topic: 'a', payload: 'x' })
    const forwarded = publish('a', 'x', { properties: { userProperties: { tracestate: 'a=b' } } })
    expect(traced(forwarded)).toEqual(forwarded)
    expect(await handleTraced(plainMessage, ({ topic }) => topic)).toBe('a')
  })
})

describe('tracing', () => {
  const exporter = new InMemorySpanExporter()
  const provider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] })
  const tracer = provider.getTracer('the application')

  beforeAll(() => {
    trace.setGlobalTracerProvider(provider)
    propagation.setGlobalPropagator(new W3CTraceContextPropagator())
    context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable())
  })
  beforeEach(() => exporter.reset())

  /** The one span of this name that has ended. */
  function ended(name: string): ReadableSpan {
    const [span, ...more] = exporter.getFinishedSpans().filter((one) => one.name === name)
    expect([name, span !== undefined, more.length]).toEqual([name, true, 0])
    return span!
  }

  test('[T8] one trace: the cause of the publish, the publish, the handler, and what it does', async () => {
    const world = echoing()
    const [packet] = await tracer.startActiveSpan('order', async (span) => {
      const messages = await thereAndBack(world, traced(publish('orders', 'x', { qos: 1 })))
      span.end()
      return messages
    })
    const answer = await handleTraced(packet!, async ({ payload }) => {
      // After an await the span is still the active one.
      await Promise.resolve()
      tracer.startSpan('charge').end()
      return payload.toString()
    })
    expect(answer).toBe('x')

    const chain = ['order', 'publish orders', 'process orders', 'charge'].map(ended)
    const [order, producer, consumer] = chain
    expect(new Set(chain.map((span) => span.spanContext().traceId)).size).toBe(1)
    expect(chain.map((span) => span.parentSpanContext?.spanId)).toEqual([
      undefined,
      ...chain.slice(0, 3).map((span) => span.spanContext().spanId),
    ])
    expect(consumer!.parentSpanContext?.isRemote).toBe(true)
    expect([producer!.kind, consumer!.kind]).toEqual([SpanKind.PRODUCER, SpanKind.CONSUMER])
    expect(consumer!.links.map((link) => link.context.spanId)).toEqual([
      producer!.spanContext().spanId,
    ])
    expect([order, producer, consumer].map((span) => span!.status.code)).toEqual(
      Array(3).fill(SpanStatusCode.UNSET),
    )
    const common = {
      'messaging.system': 'mqtt',
      'messaging.system.name': 'mqtt',
      'messaging.destination.name': 'orders',
    }
    expect(producer!.attributes).toEqual({
      ...common,
      'messaging.operation.name': 'publish',
      'messaging.operation.type': 'send',
    })
    expect(consumer!.attributes).toEqual({
      ...common,
      'messaging.operation.name': 'process',
      'messaging.operation.type': 'process',
    })
  })

  test('[T8] the given request is not changed, and everything that it holds arrives', async () => {
    const userProperties = { colour: 'red', size: ['1', '2'] }
    const properties = { contentType: 'text/plain', userProperties }
    const given = frozen(publish('a', 'x', { qos: 1, retain: true, key: 7, properties }))
    const before = structuredClone(given)
    const request = traced(given)
    expect(given).toEqual(before)
    expect(request).not.toBe(given)
    expect(request).toMatchObject(before)

    const [packet] = await thereAndBack(echoing(), request)
    const producer = ended('publish a').spanContext()
    expect(packet!.properties?.contentType).toBe('text/plain')
    expect({ ...packet!.properties?.userProperties }).toEqual({
      ...userProperties,
      traceparent: `00-${producer.traceId}-${producer.spanId}-01`,
    })
  })

  test('[T8] tracestate is passed on if there is one, and reaches the consumer', async () => {
    const remote = {
      traceId: '0af7651916cd43dd8448eb211c80319c',
      spanId: 'b7ad6b7169203331',
      traceFlags: 1,
      traceState: new TraceState('congo=t61rcWkgMzE'),
    }
    const active = trace.setSpanContext(context.active(), remote)
    const request = context.with(active, () => traced(publish('a', 'x', { qos: 1 })))
    expect(request.properties?.userProperties?.['tracestate']).toBe('congo=t61rcWkgMzE')
    const [packet] = await thereAndBack(echoing(), request)
    await handleTraced(packet!, () => {})
    const consumer = ended('process a').spanContext()
    expect(consumer.traceId).toBe(remote.traceId)
    expect(consumer.traceState?.serialize()).toBe('congo=t61rcWkgMzE')
  })

  test('[T8] a message that is forwarded keeps its origin, and the span is linked to it', async () => {
    const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
    const properties = { userProperties: { traceparent, tracestate: 'a=b' } }
    const given = frozen(publish('a', 'x', { qos: 1, properties }))
    const [packet] = await thereAndBack(echoing(), traced(given))
    expect({ ...packet!.properties?.userProperties }).toEqual(properties.userProperties)
    const producer = ended('publish a')
    expect(producer.spanContext().traceId).not.toBe('0af7651916cd43dd8448eb211c80319c')
    expect(producer.links.map((link) => link.context.spanId)).toEqual(['b7ad6b7169203331'])
  })

  test('[T8] a traceparent that cannot be read is replaced, and its tracestate with it', () => {
    const userProperties = { traceparent: 'yes', tracestate: 'a=b', colour: 'red' }
    const request = traced(publish('a', 'x', { properties: { userProperties } }))
    const { traceparent, ...others } = { ...request.properties?.userProperties }
    expect(traceparent).toMatch(/^00-[\da-f]{32}-[\da-f]{16}-01$/)
    expect(others).toEqual({ colour: 'red' })
  })

  test('[T8] the span ends with the outcome, not before, and outlives a connection', async () => {
    const world = echoing(() => [])
    const { server, clock } = world
    await thereAndBack(world, traced(publish('a', 'x', { qos: 1 })))
    expect(server.current.of('publish')).toHaveLength(1)
    expect(exporter.getFinishedSpans()).toEqual([])
    server.current.reset()
    await clock.advance(60_000)
    expect(server.connections).toHaveLength(2)
    expect(server.current.of('publish')).toHaveLength(1)
    expect(exporter.getFinishedSpans()).toEqual([])
    const { messageId } = server.current.of('publish')[0]!
    server.current.send({ cmd: 'puback', messageId: messageId!, reasonCode: 0 })
    await clock.advance(0)
    expect(ended('publish a').status.code).toBe(SpanStatusCode.UNSET)
  })

  test('[T8] what a loop leaves held ends its span in the loop that takes over the session', async () => {
    const world = echoing(() => [], { cleanStart: false })
    await thereAndBack(world, traced(publish('a', 'x', { qos: 1 })))
    world.loop.shutdown()
    await world.clock.advance(1000)
    expect(world.ended).toBe(true)
    expect(exporter.getFinishedSpans()).toEqual([])
    const next = echoing(accepted, { session: world.loop.session })
    await next.clock.advance(0)
    expect(next.loop.session.held).toEqual([])
    expect(ended('publish a').status.code).toBe(SpanStatusCode.UNSET)
  })

  test('[T8] a publish that the server refuses ends its span with ERROR, and no other', async () => {
    const world = echoing(choosy)
    await thereAndBack(world, traced(publish('refused', 'x', { qos: 1 })))
    const { status, attributes } = ended('publish refused')
    expect(status.code).toBe(SpanStatusCode.ERROR)
    expect(status.message).not.toBe('')
    expect(attributes['error.type']).toMatch(/^[A-Z_]+$/)

    await thereAndBack(world, traced(publish('taken', 'x', { qos: 1 })))
    expect(ended('publish taken').status.code).toBe(SpanStatusCode.UNSET)
    expect(ended('publish taken').attributes).not.toHaveProperty('error.type')
  })

  test('[T8] MQTT 3 has no user properties: the publish fails, and so does its span', async () => {
    const world = echoing(accepted, { protocolVersion: 4 })
    await thereAndBack(world, traced(publish('a', 'x', { qos: 1 })))
    expect(world.server.current.of('publish')).toEqual([])
    expect(ended('publish a').status.code).toBe(SpanStatusCode.ERROR)
    expect(ended('publish a').attributes['error.type']).toBe('USAGE')
  })

  test('[T8] requests that are not traced have outcomes and no spans', async () => {
    const world = echoing()
    const [packet] = await thereAndBack(world, publish('a', 'x', { qos: 1 }))
    expect(packet!.properties?.userProperties).toBeUndefined()
    expect(world.loop.state.counters.settled).toBe(1)
    expect(exporter.getFinishedSpans()).toEqual([])
  })

  test.each([
    ['without a traceparent', {}],
    ['with one that cannot be read', { traceparent: '00-0-0-00' }],
    ['with one of zeros', { traceparent: `00-${'0'.repeat(32)}-${'0'.repeat(16)}-01` }],
  ])(
    '[T8] a message %s starts a new trace, whatever is active around the loop',
    async (_, userProperties) => {
      const world = echoing()
      const request = publish('a', 'x', { qos: 1, properties: { userProperties } })
      const [packet] = await thereAndBack(world, request)
      await tracer.startActiveSpan('the whole life of this process', async (span) => {
        await handleTraced(packet!, () => {})
        span.end()
      })
      const consumer = ended('process a')
      expect(consumer.parentSpanContext).toBeUndefined()
      expect(consumer.links).toEqual([])
      const { traceId } = ended('the whole life of this process').spanContext()
      expect(consumer.spanContext().traceId).not.toBe(traceId)
    },
  )

  test.each([
    [
      'throws',
      () => {
        throw new TypeError('no such order')
      },
    ],
    ['rejects', () => Promise.reject(new TypeError('no such order'))],
  ])('[T8] a handler that %s ends the span with ERROR and is heard of', async (_, handler) => {
    await expect(handleTraced(plainMessage, handler)).rejects.toThrow('no such order')
    const { status, attributes } = ended('process a')
    expect(status).toEqual({ code: SpanStatusCode.ERROR, message: 'no such order' })
    expect(attributes['error.type']).toBe('TypeError')
  })
})
