/**
 * The promise client beside MQTT.js at the same work, and beside the loop: what promises,
 * subscriptions and requests cost.
 */
import { rawServer, type Server, serve } from './measure.ts'
import { broker, lacksBroker } from './met.ts'
import { type Context, less, RATE, type Row, type RowProgram, type Table } from './row.ts'

/** MQTT.js gets fewer messages, so that all programs run for about the same time. */
const SHARE_OF_MQTT_JS = 5

export function client(context: Context): Table {
  const rows = [
    work(context, 'pub', 1, 1_000_000),
    work(context, 'sub', 0, 2_000_000),
    work(context, 'sub', 1, 1_000_000),
    echo(context),
    ...(['identifier', 'filter'] as const).map((dispatch) => filters(context, dispatch)),
    idle(context),
    ...[requests(context, 1), requests(context, 100)].map((row) => ({
      ...row,
      lacks: lacksBroker(),
    })),
    open(context),
  ]
  return { title: 'The client: promises, subscriptions, requests', rows }
}

function program(
  { scripts }: Context,
  name: string,
  script: string,
  args: RowProgram['args'],
): RowProgram {
  return { name, script: scripts.get(script)!, args }
}

function work(context: Context, mode: 'pub' | 'sub', qos: 0 | 1, most: number): Row {
  const count = Math.max(10_000, Math.round(most * context.scale))
  const args = (messages: number) => (port: number) => [port, mode, qos, messages, 64, 5]
  const what = mode === 'pub' ? 'publish, 1,000 promises at a time' : 'receive by a subscription'
  return {
    name: `${what}, QoS ${qos}, 64 B`,
    server: rawServer,
    programs: [
      program(context, 'it-mqtt', 'client-work', args(count)),
      program(context, 'mqtt.js', 'client-work-mqttjs', args(Math.round(count / SHARE_OF_MQTT_JS))),
    ],
    metrics: [RATE, less('cpuMicros', 'CPU µs per message')],
  }
}

function echo(context: Context): Row {
  const count = Math.round(10_000 * context.scale)
  const args = (port: number) => [port, count, 64, 5]
  return {
    name: 'publish to echo, one await at a time',
    server: rawServer,
    programs: [
      program(context, 'it-mqtt', 'client-echo', args),
      program(context, 'floor', 'roundtrip', args),
      program(context, 'mqtt.js', 'roundtrip-mqttjs', args),
    ],
    metrics: [less('p50', 'p50 µs'), less('p99', 'p99 µs')],
  }
}

/**
 * The floor is the same client with one subscription and one topic; the second program has one
 * subscription to the same 10,000 topics.
 */
function filters(context: Context, dispatch: 'identifier' | 'filter'): Row {
  const messages = Math.round(1_000_000 * context.scale)
  const server = (): Promise<Server> =>
    serve(process.execPath, (port) => [context.scripts.get('filters-server')!, String(port)])
  const args = (count: number, topics: number) => (port: number) => [
    port,
    count,
    topics,
    messages,
    dispatch,
  ]
  return {
    name: `10,000 subscriptions (floor: one), by ${dispatch}`,
    server,
    programs: [
      program(context, 'it-mqtt', 'client-filters', args(10_000, 10_000)),
      program(context, 'it-mqtt, one to all', 'client-filters', args(1, 10_000)),
      program(context, 'floor', 'client-filters', args(1, 1)),
    ],
    metrics: [less('cpuMicros', 'CPU µs per message')],
  }
}

/** The floor is the loop with the same subscription. */
function idle(context: Context): Row {
  const args = (port: number) => [port, 1000, 5]
  return {
    name: '1,000 idle clients with a subscription each (floor: loops with one)',
    server: rawServer,
    programs: [
      program(context, 'it-mqtt', 'client-idle', args),
      program(context, 'floor', 'idle-subscribed', args),
      program(context, 'mqtt.js', 'idle-mqttjs', args),
    ],
    metrics: [less('heapPerConnection', 'heap B per connection')],
  }
}

/** The floor of one at a time is a publish of the loop that comes back through the broker. */
function requests(context: Context, atOnce: number): Row {
  const count = Math.round((atOnce === 1 ? 10_000 : 50_000) * context.scale)
  const args = (port: number) => [port, count, atOnce]
  return {
    name: `requests through mosquitto, ${atOnce} at a time, 64 B`,
    server: () => broker(1000),
    programs: [
      program(context, 'it-mqtt', 'client-request', args),
      ...(atOnce === 1 ? [program(context, 'floor', 'request-loop', args)] : []),
      program(context, 'mqtt.js', 'request-mqttjs', args),
    ],
    metrics: [RATE, less('p50', 'p50 µs'), less('cpuMicros', 'CPU µs per request')],
  }
}

function open(context: Context): Row {
  return {
    name: '10,000 open requests',
    server: rawServer,
    programs: [program(context, 'it-mqtt', 'client-open', (port) => [port, 10_000])],
    metrics: [less('heapPerRequest', 'heap B per request')],
  }
}
