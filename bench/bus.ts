/**
 * The bus beside frameworks of services that speak MQTT, Moleculer and NestJS, all through the same
 * mosquitto; and what it costs over the client that it is made of.
 */
import { versionOf } from './installed.ts'
import { broker, lacksBroker } from './met.ts'
import { type Context, less, type Metric, type Peer, type Row, type Table } from './row.ts'

const PEERS: readonly Peer[] = [
  { program: 'Moleculer', title: 'Moleculer' },
  { program: 'NestJS', title: 'NestJS' },
]
const IDLE_SECONDS = 5
const WIDE = 1000

const CALLS: Metric = { name: 'rate', label: 'calls/s', better: 'more' }
const EVENTS: Metric = { name: 'rate', label: 'events/s', better: 'more' }

export function bus(context: Context): Table {
  const lacks = lacksBroker()
  const throughBroker = [
    ...[1, 100].map((atOnce) => plainCalls(context, atOnce)),
    ...[1, 100].flatMap((atOnce) => [calls(context, atOnce, 1), calls(context, atOnce, 0)]),
    events(context, 1),
    events(context, 0),
    start(context),
    idle(context),
  ]
  return {
    title: 'The bus, beside Moleculer and NestJS',
    rows: [...throughBroker.map((row) => ({ ...row, lacks })), define(context)],
    peers: PEERS,
    notes: NOTES,
  }
}

const NOTES = [
  `Moleculer ${versionOf('moleculer')} with its MQTT transporter, and NestJS with
    @nestjs/microservices ${versionOf('@nestjs/microservices')}, both over MQTT.js, through the same
    mosquitto. Both sides of each are in one process, with a connection each; a message is 64 bytes of
    JSON. None of them logs, and TCP delays no small packets.`,
  `**They do not promise the same.** The bus always sends at QoS 1. It validates with zod at both
    ends, an input and an answer twice each; a call is not executed twice by the same process; and an
    event is acknowledged after its handler, remembered, and kept by the server for a listener that is
    away. Moleculer and NestJS use QoS 0 unless asked for another, so that what is sent while a connection
    is lost can be lost: they are measured in both ways. With QoS 1 they acknowledge a message
    whether or not its handler has ended, in a session that ends with the connection; the answers of
    NestJS are always at QoS 0. Moleculer validates an
    input with its own validator, NestJS with a pipe of zod; neither validates an answer. In exchange
    Moleculer knows which nodes live and balances between them, which the bus leaves to the server.`,
  `The floor is the client of it-mqtt/client at the same work without a bus: \`client.request()\`
    with JSON, QoS 1 and a shared subscription; a publish and a subscription at QoS 1, which is also
    the most that this mosquitto passes on. A service is started with \`it-mqtt bus run\`, or as a
    program of Moleculer, which waits half a second before it is ready, by design. An idle service is
    connected, and nobody calls it. Events are handled one at a time, so the bus lets the server send
    20 ahead, which mosquitto 2.0 does not obey.`,
]

/** What schemas do not cost, because there is none to validate with. */
function plainCalls({ scripts, scale }: Context, atOnce: number): Row {
  const count = countOf(scale, atOnce)
  const args = (port: number) => [port, count, atOnce, 'none']
  return {
    name: `calls without schemas, ${atOnce} at a time (floor: requests of the client)`,
    server: () => broker(1000),
    programs: [
      { name: 'it-mqtt', script: scripts.get('bus-call')!, args },
      { name: 'floor', script: scripts.get('bus-call-client')!, args },
    ],
    metrics: callMetrics(),
  }
}

function calls({ scripts, scale }: Context, atOnce: number, qos: 0 | 1): Row {
  const count = countOf(scale, atOnce)
  const args = (last: string | number) => (port: number) => [port, count, atOnce, last]
  return {
    name: `calls with schemas, ${atOnce} at a time, the others at QoS ${qos}`,
    server: () => broker(1000),
    programs: [
      { name: 'it-mqtt', script: scripts.get('bus-call')!, args: args('zod') },
      { name: 'Moleculer', script: scripts.get('bus-call-moleculer')!, args: args(qos) },
      { name: 'NestJS', script: scripts.get('bus-call-nestjs')!, args: args(qos) },
    ],
    metrics: callMetrics(),
  }
}

function countOf(scale: number, atOnce: number): number {
  // Fewer than these measure the compiler.
  return atOnce === 1
    ? Math.max(3000, Math.round(10_000 * scale))
    : Math.max(10_000, Math.round(50_000 * scale))
}

function callMetrics(): readonly Metric[] {
  return [CALLS, less('p50', 'p50 µs'), less('cpuMicros', 'CPU µs per call')]
}

function events({ scripts, scale }: Context, qos: 0 | 1): Row {
  const count = Math.max(20_000, Math.round(100_000 * scale))
  const args = (port: number) => [port, count, qos]
  return {
    name: `events fired and handled, 1,000 at a time, the others at QoS ${qos}`,
    server: () => broker(1000),
    programs: [
      { name: 'it-mqtt', script: scripts.get('bus-events')!, args },
      { name: 'floor', script: scripts.get('bus-events-client')!, args },
      { name: 'Moleculer', script: scripts.get('bus-events-moleculer')!, args },
      { name: 'NestJS', script: scripts.get('bus-events-nestjs')!, args },
    ],
    metrics: [EVENTS, less('cpuMicros', 'CPU µs per event')],
  }
}

function start({ installed }: Context): Row {
  const script = () => installed('start-service')
  return {
    name: 'start of a service to its first answer (it-mqtt bus run), the packages as npm installs them',
    server: () => broker(1000),
    programs: [
      { name: 'it-mqtt', script, args: (port) => [port, 'bus'] },
      { name: 'Moleculer', script, args: (port) => [port, 'moleculer'] },
    ],
    metrics: [less('ms', 'ms'), less('cpuMs', 'CPU ms')],
  }
}

function idle({ scripts }: Context): Row {
  const args = (port: number) => [port, IDLE_SECONDS]
  return {
    name: 'an idle service (floor: a client with a responder)',
    server: () => broker(1000),
    programs: [
      { name: 'it-mqtt', script: scripts.get('bus-idle')!, args },
      { name: 'floor', script: scripts.get('bus-idle-client')!, args },
      { name: 'Moleculer', script: scripts.get('bus-idle-moleculer')!, args },
      { name: 'NestJS', script: scripts.get('bus-idle-nestjs')!, args },
    ],
    metrics: [
      less('heapKB', 'heap kB'),
      less('cpuPerMinute', 'CPU ms in a minute'),
      less('rssMB', 'resident MB'),
    ],
    runsMax: 3,
  }
}

function define({ scripts }: Context): Row {
  return {
    name: `defineApi() of ${WIDE.toLocaleString('en')} rpcs with schemas`,
    server: async () => ({ port: 0, stop() {} }),
    programs: [{ name: 'it-mqtt', script: scripts.get('bus-define')!, args: () => [WIDE] }],
    metrics: [less('ms', 'ms')],
  }
}
