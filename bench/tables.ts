/**
 * The tables that are measured, in the order in which they are shown: what users meet (met.ts),
 * then raw rows, in which the other end does as little as it can.
 */
import { browser } from './browser.ts'
import { bus } from './bus.ts'
import { client } from './client.ts'
import { eventStream } from './event-stream.ts'
import { rawServer } from './measure.ts'
import { met } from './met.ts'
import { presence } from './presence.ts'
import {
  type Context,
  less,
  peer,
  programsOf,
  type QoS,
  RATE,
  type Row,
  type Table,
} from './row.ts'

/** MQTT.js gets a tenth of the messages, so that all programs run for about the same time. */
const SHARE_OF_MQTT_JS = 10
/** The number of messages of 64 bytes, by QoS. */
const COUNTS = [3_000_000, 2_000_000, 1_000_000] as const
const STYLES = ['one', 'plain', 'batch']
const STYLE_NAMES: Readonly<Record<string, string>> = {
  one: 'it-mqtt, async generator',
  plain: 'it-mqtt, generator',
  batch: 'it-mqtt, batches of 250',
  next: 'it-mqtt',
}

function work(
  { scripts, scale }: Context,
  mode: 'pub' | 'sub',
  qos: QoS,
  size: number,
  version: 4 | 5,
  styles: readonly string[],
): Row {
  const driver = scripts.get('driver')!
  const count = Math.max(1000, Math.round((COUNTS[qos] * scale) / Math.max(1, size / 256)))
  const few = Math.max(100, Math.round(count / SHARE_OF_MQTT_JS))
  const args = (messages: number) => (port: number) => [port, mode, qos, messages, size, version]
  const verb = mode === 'pub' ? 'publish' : 'receive'
  return {
    name: `${verb} QoS ${qos}, ${size} B, MQTT ${version === 5 ? '5' : '3.1.1'}`,
    server: rawServer,
    programs: [
      ...styles.map((style) => ({
        name: STYLE_NAMES[style]!,
        script: driver,
        args: (port: number) => [...args(count)(port), style],
      })),
      { name: 'floor', script: peer('floor'), args: args(count) },
      { name: 'mqtt.js', script: peer('mqttjs'), args: args(few) },
    ],
    metrics: [RATE],
  }
}

function throughput(context: Context): Table {
  const rows: Row[] = []
  for (const version of [5, 4] as const) {
    for (const qos of [0, 1, 2] as const) {
      rows.push(work(context, 'pub', qos, 64, version, version === 5 ? STYLES : ['one', 'batch']))
    }
    for (const qos of [0, 1, 2] as const)
      rows.push(work(context, 'sub', qos, 64, version, ['next']))
  }
  return { title: 'Messages per second, 64 bytes', rows }
}

function payloads(context: Context): Table {
  const rows = [16, 1024, 65_536].flatMap((size) =>
    ([0, 1, 2] as const).flatMap((qos) => [
      work(context, 'pub', qos, size, 5, ['one']),
      work(context, 'sub', qos, size, 5, ['next']),
    ]),
  )
  return { title: 'Messages per second, other sizes', rows }
}

function roundTrip(context: Context): Table {
  const count = Math.round(10_000 * context.scale)
  const names = ['roundtrip', 'roundtrip-raw', 'roundtrip-mqttjs'] as const
  return {
    title: 'Round trip time: from a publish to its echo',
    rows: [
      {
        name: 'round trip, 64 B, MQTT 5',
        server: rawServer,
        programs: programsOf(context, names, (port) => [port, count, 64, 5]),
        metrics: [less('p50', 'p50 µs'), less('p99', 'p99 µs')],
      },
    ],
  }
}

function connections(context: Context): Table {
  const names = ['idle', 'idle-raw', 'idle-mqttjs'] as const
  const rows = [1000, 5000].map(
    (count): Row => ({
      name: `${count.toLocaleString('en')} idle connections`,
      server: rawServer,
      programs: programsOf(context, names, (port) => [port, count, 5]),
      metrics: [less('heapPerConnection', 'heap B per connection'), less('ms', 'ms to open all')],
      runsMax: 5,
    }),
  )
  return { title: 'Idle connections in one process: heap per connection, time to open all', rows }
}

/** By the words that `--only` takes. */
export const TABLES: Readonly<Record<string, (context: Context) => Table>> = {
  met,
  client,
  'event-stream': eventStream,
  presence,
  bus,
  throughput,
  payloads,
  roundTrip,
  connections,
  browser,
}
