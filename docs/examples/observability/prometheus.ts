/**
 * Metrics of loops for Prometheus: `loop.state`, read at each scrape, and how many messages the
 * diagnostics channels had. All values of a scrape are of one instant, because prom-client reads
 * its metrics one after the other without waiting in between.
 *
 *   using metrics = observe(registry, [loop])
 *   await using server = await serve(registry, 9464)
 *
 * The label `client_id` names the loop. The values of two loops with the same client id are added
 * up.
 */
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { Eventloop, LoopState, Outcome } from 'it-mqtt'
import {
  Counter,
  Gauge,
  type OpenMetricsContentType,
  type PrometheusContentType,
  type Registry,
} from 'prom-client'

/** Read again at each scrape: loops may be added to a set, and removed from it. */
export type Loops = readonly Eventloop[] | ReadonlySet<Eventloop>

/** A registry of either format. */
type AnyRegistry = Registry<PrometheusContentType> | Registry<OpenMetricsContentType>

/** A value, and the value of the metric's own label if it has one. */
type Sample = readonly [value: number, label?: string]

interface Metric {
  readonly name: string
  readonly help: string
  readonly type: 'counter' | 'gauge'
  /** A label beside the client id. */
  readonly label?: string
  read(state: LoopState): readonly Sample[]
  /** Called after each scrape with the client ids of all loops. */
  scraped?(clientIds: ReadonlySet<string>): void
}

/** It is an object, so that a missing kind does not compile. */
const KINDS: Readonly<Record<LoopState['connection']['kind'], null>> = {
  idle: null,
  connecting: null,
  connected: null,
  disconnected: null,
  suspended: null,
  closing: null,
  closed: null,
  failed: null,
}

type Counts = LoopState['counters']
/** A counter or gauge of `loop.state` that is one number, or null if there is none yet. */
type Plain = readonly [name: string, help: string, read: (counts: Counts) => number | null]

const COUNTERS: readonly Plain[] = [
  ['requests_taken_total', 'Requests taken from the stream.', ({ taken }) => taken],
  ['requests_settled_total', 'Requests that have their outcome.', ({ settled }) => settled],
  ['messages_sent_total', 'Messages sent, repeats not counted.', ({ sent }) => sent],
  ['messages_received_total', 'Messages received.', ({ received }) => received],
  [
    'messages_acknowledged_total',
    'Messages that the server acknowledged.',
    ({ acknowledged }) => acknowledged,
  ],
]

const GAUGES: readonly Plain[] = [
  ['requests_held', 'Requests taken and without an outcome.', ({ held }) => held],
  [
    'publishes_in_flight',
    'Publishes in the window of the connection.',
    (counts) => counts.inFlight,
  ],
  ['publishes_diverted', 'Publishes given to divert.to, not settled.', ({ diverted }) => diverted],
  ['buffered_packets', 'Packets received, not yet pulled.', (counts) => counts.bufferedPackets],
  ['buffered_bytes', 'Bytes received, not yet pulled.', ({ bufferedBytes }) => bufferedBytes],
  ['queued_bytes', 'Bytes that the kernel has not taken.', ({ queuedBytes }) => queuedBytes],
  [
    'round_trip_seconds',
    'Round trip of the last PINGREQ that was answered.',
    ({ roundTripMs }) => (roundTripMs === null ? null : roundTripMs / 1000),
  ],
]

function plain(type: Metric['type'], [name, help, read]: Plain): Metric {
  return {
    name,
    help,
    type,
    read: ({ counters }) => {
      const value = read(counters)
      return value === null ? [] : [[value]]
    },
  }
}

const STATE: readonly Metric[] = [
  ...COUNTERS.map((one) => plain('counter', one)),
  ...GAUGES.map((one) => plain('gauge', one)),
  {
    name: 'connection_kind',
    help: 'The kind of the connection: 1 for one kind, 0 for the others.',
    type: 'gauge',
    label: 'kind',
    read: ({ connection }) =>
      Object.keys(KINDS).map((kind) => [connection.kind === kind ? 1 : 0, kind]),
  },
  {
    name: 'reconnections_total',
    help: 'Connections lost and tried again, by the code of the failure.',
    type: 'counter',
    label: 'cause',
    read: ({ counters }) =>
      Object.entries(counters.reconnections).map(([cause, count]) => [count, cause]),
  },
]

/**
 * Counts the messages of a channel for each client id. A channel reports every loop of the process.
 */
class Tally {
  readonly #counts = new Map<string, Map<string, number>>()

  add(clientId: string, value: string): void {
    const counts = this.#counts.get(clientId) ?? new Map<string, number>()
    this.#counts.set(clientId, counts.set(value, (counts.get(value) ?? 0) + 1))
  }

  count(clientId: string, value: string): number {
    return this.#counts.get(clientId)?.get(value) ?? 0
  }

  /** Forgets all other client ids: a process may see any number of them. */
  keep(clientIds: ReadonlySet<string>): void {
    for (const clientId of this.#counts.keys()) {
      if (!clientIds.has(clientId)) this.#counts.delete(clientId)
    }
  }
}

interface ChannelMetric {
  readonly name: string
  readonly help: string
  readonly channel: string
  readonly label: string
  /**
   * All values of the label. They are shown from the beginning, at 0, so that a rate sees the first
   * increase.
   */
  readonly values: readonly string[]
  labelOf(message: unknown): string
}

const CHANNELS: readonly ChannelMetric[] = [
  {
    name: 'outcomes_total',
    help: 'Outcomes of requests, since the loop is observed.',
    channel: 'it-mqtt:outcome',
    label: 'result',
    values: ['ok', 'failed'],
    labelOf: (message) => ((message as { outcome: Outcome }).outcome.ok ? 'ok' : 'failed'),
  },
  {
    name: 'stalls_total',
    help: 'Stalls of the loop, since it is observed.',
    channel: 'it-mqtt:stall',
    label: 'kind',
    values: ['consumer', 'acknowledgement', 'transport'],
    labelOf: (message) => (message as { kind: string }).kind,
  },
]

/** Counts the messages of a channel from now on. */
function listen({ channel, values, labelOf, ...description }: ChannelMetric) {
  const tally = new Tally()
  const listener = (message: unknown) => {
    tally.add((message as { clientId: string }).clientId, labelOf(message))
  }
  subscribe(channel, listener)
  const metric: Metric = {
    ...description,
    type: 'counter',
    read: ({ clientId }) => values.map((value) => [tally.count(clientId, value), value]),
    scraped: (clientIds) => tally.keep(clientIds),
  }
  return { metric, stop: () => unsubscribe(channel, listener) }
}

/** Sets all values again at each scrape, so that nothing remains of a loop that was removed. */
function fill(filled: Counter | Gauge, { label, read, scraped }: Metric, loops: Loops): void {
  const clientIds = new Set<string>()
  filled.reset()
  for (const { state } of loops) {
    const { clientId } = state
    clientIds.add(clientId)
    for (const [value, labelValue = ''] of read(state)) {
      const own = label === undefined ? {} : { [label]: labelValue }
      filled.inc({ client_id: clientId, ...own }, value)
    }
  }
  scraped?.(clientIds)
}

/** @returns the name of the metric in the registry. */
function register(registry: AnyRegistry, metric: Metric, loops: Loops): string {
  const { help, type, label } = metric
  const name = `it_mqtt_${metric.name}`
  const labelNames = ['client_id', ...(label === undefined ? [] : [label])]
  const configuration = { name, help, labelNames, registers: [registry] }
  const collect = function (this: Counter | Gauge) {
    fill(this, metric, loops)
  }
  if (type === 'counter') new Counter({ ...configuration, collect })
  else new Gauge({ ...configuration, collect })
  return name
}

/**
 * Registers the metrics of all these loops; disposing removes them from the registry and
 * unsubscribes from the channels. Call it once for a registry: prom-client throws if a name is
 * taken.
 */
export function observe(registry: AnyRegistry, loops: Loops): Disposable {
  const names = STATE.map((metric) => register(registry, metric, loops))
  const listening = CHANNELS.map(listen)
  names.push(...listening.map(({ metric }) => register(registry, metric, loops)))
  return {
    [Symbol.dispose]() {
      for (const { stop } of listening) stop()
      for (const name of names.splice(0)) registry.removeSingleMetric(name)
    },
  }
}

async function answer(registry: AnyRegistry, request: IncomingMessage, response: ServerResponse) {
  const [path] = request.url?.split('?') ?? []
  if (path !== '/metrics') return response.writeHead(404).end()
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    return response.writeHead(405, { allow: 'GET, HEAD' }).end()
  }
  const text = await registry.metrics()
  return response.writeHead(200, { 'content-type': registry.contentType }).end(text)
}

/**
 * Serves `/metrics`, without a password, and so to this machine only unless `host` says otherwise.
 */
export async function serve(
  registry: AnyRegistry,
  port: number,
  host = '127.0.0.1',
): Promise<Server> {
  const server = createServer((request, response) => {
    answer(registry, request, response).catch((error: unknown) => {
      response.writeHead(500).end(String(error))
    })
  })
  server.listen(port, host)
  await once(server, 'listening')
  return server
}
