/**
 * Metrics of loops for Prometheus: what `loop.state` shows, read when somebody scrapes and not before, and how often the
 * diagnostics channels spoke meanwhile. All values of a scrape are of one instant, because prom-client asks its metrics in turn
 * without waiting in between.
 *
 *   using metrics = observe(registry, [loop])
 *   await using server = await serve(registry, 9464)
 *
 * Loops are told apart by the label `client_id`: two with the same client id show as one, their values added up.
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

/** Read again at each scrape: loops may be added to a set, and taken out of it. */
export type Loops = readonly Eventloop[] | ReadonlySet<Eventloop>

/** In either format. */
type AnyRegistry = Registry<PrometheusContentType> | Registry<OpenMetricsContentType>

/** A value, and what its own label says where the metric has one. */
type Sample = readonly [value: number, label?: string]

interface Metric {
  readonly name: string
  readonly help: string
  readonly type: 'counter' | 'gauge'
  /** A label beside the client id. */
  readonly label?: string
  read(state: LoopState): readonly Sample[]
  /** After each scrape, with the client ids of all loops. */
  scraped?(clientIds: ReadonlySet<string>): void
}

/** An object, so that a kind that is missing here does not compile. */
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
/** Counters of `loop.state` that are one number, or none yet. */
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
  ['publishes_diverted', 'Publishes on the other way, not settled.', ({ diverted }) => diverted],
  ['buffered_packets', 'Packets received, not yet pulled.', (counts) => counts.bufferedPackets],
  ['buffered_bytes', 'Bytes received, not yet pulled.', ({ bufferedBytes }) => bufferedBytes],
  ['queued_bytes', 'Bytes that the kernel has not taken.', ({ queuedBytes }) => queuedBytes],
  [
    'round_trip_seconds',
    'Of the last PINGREQ that was answered.',
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
    help: 'What the connection is: 1 for one kind, 0 for the others.',
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

/** How often a channel spoke of each client id; the channels are those of the process and speak of every loop in it. */
class Tally {
  readonly #counts = new Map<string, Map<string, number>>()

  add(clientId: string, what: string): void {
    const counts = this.#counts.get(clientId) ?? new Map<string, number>()
    this.#counts.set(clientId, counts.set(what, (counts.get(what) ?? 0) + 1))
  }

  count(clientId: string, what: string): number {
    return this.#counts.get(clientId)?.get(what) ?? 0
  }

  /** Forgets the others: a process may see any number of client ids. */
  keep(clientIds: ReadonlySet<string>): void {
    for (const clientId of this.#counts.keys()) {
      if (!clientIds.has(clientId)) this.#counts.delete(clientId)
    }
  }
}

interface Heard {
  readonly name: string
  readonly help: string
  readonly channel: string
  readonly label: string
  /** Shown from the beginning, at 0: a rate needs to see the first increase. */
  readonly values: readonly string[]
  said(message: unknown): string
}

const HEARD: readonly Heard[] = [
  {
    name: 'outcomes_total',
    help: 'Outcomes of requests, since the loop is observed.',
    channel: 'it-mqtt:outcome',
    label: 'result',
    values: ['ok', 'failed'],
    said: (message) => ((message as { outcome: Outcome }).outcome.ok ? 'ok' : 'failed'),
  },
  {
    name: 'stalls_total',
    help: 'Times that somebody held up the loop, since it is observed.',
    channel: 'it-mqtt:stall',
    label: 'kind',
    values: ['consumer', 'acknowledgement', 'transport'],
    said: (message) => (message as { kind: string }).kind,
  },
]

/** Counts what a channel says from now on. */
function listen({ channel, values, said, ...description }: Heard) {
  const tally = new Tally()
  const listener = (message: unknown) => {
    tally.add((message as { clientId: string }).clientId, said(message))
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

/** Begins anew at each scrape, so that nothing remains of a loop that is not there any more. */
function fill(filled: Counter | Gauge, { label, read, scraped }: Metric, loops: Loops): void {
  const clientIds = new Set<string>()
  filled.reset()
  for (const { state } of loops) {
    const { clientId } = state
    clientIds.add(clientId)
    for (const [value, said = ''] of read(state)) {
      const own = label === undefined ? {} : { [label]: said }
      filled.inc({ client_id: clientId, ...own }, value)
    }
  }
  scraped?.(clientIds)
}

/** Returns the name under which the registry knows it. */
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
 * Registers the metrics of all these loops; disposing takes them out of the registry and leaves the channels. Once for a
 * registry: prom-client throws where a name is taken.
 */
export function observe(registry: AnyRegistry, loops: Loops): Disposable {
  const names = STATE.map((metric) => register(registry, metric, loops))
  const heard = HEARD.map(listen)
  names.push(...heard.map(({ metric }) => register(registry, metric, loops)))
  return {
    [Symbol.dispose]() {
      for (const { stop } of heard) stop()
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

/** Serves `/metrics`. For this machine only, unless another host is given: there is no password. */
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
