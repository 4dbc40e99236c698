/**
 * The tables that are measured. Each row has a server and the programs that are run against it in turn.
 */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { folder, rawServer, type Server, serve } from './measure.ts'

interface Metric {
  readonly name: string
  readonly unit: string
  readonly better: 'more' | 'less'
}

export interface Row {
  readonly name: string
  readonly server: () => Promise<Server>
  readonly programs: readonly {
    readonly name: string
    readonly script: string
    readonly args: (port: number) => readonly (string | number)[]
  }[]
  readonly metrics: readonly Metric[]
  /** The largest number of runs, for a row that takes long. */
  readonly runsMax?: number
}

export interface Table {
  readonly title: string
  readonly rows: readonly Row[]
}

interface Context {
  readonly scripts: ReadonlyMap<string, string>
  readonly scale: number
}

type QoS = 0 | 1 | 2
type Args = (port: number) => readonly (string | number)[]
const RATE: readonly Metric[] = [{ name: 'rate', unit: '/s', better: 'more' }]
const peer = (name: string) => join(folder, 'peers', `${name}.mjs`)
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
  return {
    name: `${mode === 'pub' ? 'publish' : 'receive'} QoS ${qos}, ${size} B, MQTT ${version === 5 ? '5' : '3.1.1'}`,
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
    metrics: RATE,
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

function roundTrip({ scripts, scale }: Context): Table {
  const count = Math.round(10_000 * scale)
  const args = (port: number) => [port, count, 64, 5]
  return {
    title: 'Round trip time: from a publish to its echo',
    rows: [
      {
        name: 'round trip, 64 B, MQTT 5',
        server: rawServer,
        programs: [
          { name: 'it-mqtt', script: scripts.get('roundtrip')!, args },
          { name: 'floor', script: scripts.get('roundtrip-raw')!, args },
          { name: 'mqtt.js', script: scripts.get('roundtrip-mqttjs')!, args },
        ],
        metrics: [
          { name: 'p50', unit: 'µs', better: 'less' },
          { name: 'p99', unit: 'µs', better: 'less' },
        ],
      },
    ],
  }
}

function connections({ scripts }: Context): Table {
  const rows = [1000, 5000].map((count): Row => {
    const args = (port: number) => [port, count, 5]
    return {
      name: `${count.toLocaleString('en')} idle connections`,
      server: rawServer,
      programs: [
        { name: 'it-mqtt', script: scripts.get('idle')!, args },
        { name: 'floor', script: scripts.get('idle-raw')!, args },
        { name: 'mqtt.js', script: scripts.get('idle-mqttjs')!, args },
      ],
      metrics: [
        { name: 'heapPerConnection', unit: 'B', better: 'less' },
        { name: 'ms', unit: '', better: 'less' },
      ],
      runsMax: 5,
    }
  })
  return { title: 'Idle connections in one process: heap per connection, time to open all', rows }
}

function start(): Table {
  const script = join(folder, 'programs/start.mjs')
  return {
    title: 'Time from process start to CONNACK (`ms`), and the import as a part of it (`importMs`)',
    rows: [
      {
        name: 'start',
        server: rawServer,
        programs: [
          { name: 'it-mqtt', script, args: (port) => [port, 'it-mqtt', 5] },
          { name: 'mqtt.js', script, args: (port) => [port, 'mqtt', 5] },
        ],
        metrics: [
          { name: 'ms', unit: '', better: 'less' },
          { name: 'importMs', unit: '', better: 'less' },
        ],
      },
    ],
  }
}

type Names = readonly [ours: string, floor: string | null, mqttJs: string]

function programsOf({ scripts }: Context, [ours, floor, mqttJs]: Names, args: Args) {
  return [
    { name: 'it-mqtt', script: scripts.get(ours)!, args },
    ...(floor === null ? [] : [{ name: 'floor', script: scripts.get(floor)!, args }]),
    { name: 'mqtt.js', script: scripts.get(mqttJs)!, args },
  ]
}

/** @param inFlight mosquitto's `max_inflight_messages`, which a client of MQTT 5 is told. */
function broker(inFlight: number): Promise<Server> {
  return serve('mosquitto', (port) => {
    const file = join(mkdtempSync(join(tmpdir(), 'it-mqtt-bench-')), 'mosquitto.conf')
    const limits = `max_queued_messages 0\nmax_inflight_messages ${inFlight}\nset_tcp_nodelay true`
    writeFileSync(file, `listener ${port} 127.0.0.1\nallow_anonymous true\n${limits}\n`)
    return ['-c', file]
  })
}

/** What users meet: a broker, a rate that is offered, connections. */
function met(context: Context): Table | string {
  if (spawnSync('mosquitto', ['-h']).error !== undefined) return 'mosquitto is not installed'
  return {
    title: 'As users meet it: through mosquitto, on a connection of their own',
    rows: [
      ...([0, 1, 2] as const).map((qos) => through(context, qos, 1000)),
      through(context, 1, 20),
      ...[100, 1000, 10_000].flatMap((rate) => [paced(context, rate, 0), paced(context, rate, 1)]),
      connecting(context, 1),
      connecting(context, 100),
    ],
  }
}

function through(context: Context, qos: QoS, inFlight: number): Row {
  const count = Math.round(([300_000, 150_000, 75_000][qos] ?? 0) * context.scale)
  const limit = inFlight === 1000 ? '' : `, Receive Maximum ${inFlight}`
  return {
    name: `through mosquitto, QoS ${qos}, 64 B${limit}`,
    server: () => broker(inFlight),
    programs: programsOf(context, ['through', 'through-raw', 'through-mqttjs'], (port) => [
      ...[port, qos, count, 64, 5],
    ]),
    metrics: [
      ...RATE,
      { name: 'cpuMicros', unit: 'µs', better: 'less' },
      { name: 'rssMB', unit: 'MB', better: 'less' },
    ],
  }
}

/** Shorter runs measure the compiler. */
const PACED_SECONDS = 15

function paced(context: Context, rate: number, qos: QoS): Row {
  const seconds = Math.max(1, Math.round(PACED_SECONDS * context.scale))
  return {
    name: `round trip through mosquitto at ${rate.toLocaleString('en')}/s, QoS ${qos}, 64 B`,
    server: () => broker(1000),
    programs: programsOf(context, ['paced', 'paced-raw', 'paced-mqttjs'], (port) => [
      ...[port, qos, rate, seconds, 64],
    ]),
    metrics: ['p50', 'p99', 'p99.9', 'max'].map((name) => ({ name, unit: 'µs', better: 'less' })),
  }
}

function connecting(context: Context, atOnce: number): Row {
  const way = atOnce === 1 ? 'one after the other' : `${atOnce} at a time`
  return {
    name: `1,000 connections, ${way}`,
    server: rawServer,
    programs: programsOf(context, ['connect', 'connect-raw', 'connect-mqttjs'], (port) => [
      ...[port, 1000, atOnce, 5],
    ]),
    metrics: [
      { name: 'ms', unit: '', better: 'less' },
      { name: 'cpuMs', unit: '', better: 'less' },
    ],
  }
}

export const TABLES: Readonly<Record<string, (context: Context) => Table | string>> = {
  throughput,
  payloads,
  roundTrip,
  connections,
  start,
  met,
}

// ----------------------------------------------------------------------------- the installed size

interface Manifest {
  readonly dependencies?: Readonly<Record<string, string>>
}

/** @returns packages and size in node_modules of each library with all its dependencies */
export function sizes(root: string): object[] {
  const modules = join(root, 'node_modules')
  const own = treeOf(modules, Object.keys(manifestOf(root).dependencies ?? {}))
  const theirs = treeOf(modules, ['mqtt'])
  const row = (name: string, packages: number, bytes: number) => ({
    library: name,
    packages,
    MB: (bytes / 1e6).toFixed(1),
  })
  const bytesOf = (names: ReadonlySet<string>) =>
    [...names].reduce((sum, name) => sum + bytesIn(join(modules, name)), 0)
  return [
    row('it-mqtt', own.size + 1, bytesOf(own) + bytesIn(join(root, 'dist'))),
    row('mqtt.js', theirs.size, bytesOf(theirs)),
  ]
}

function manifestOf(path: string): Manifest {
  return JSON.parse(readFileSync(join(path, 'package.json'), 'utf8'))
}

function treeOf(modules: string, names: readonly string[]): Set<string> {
  const seen = new Set<string>()
  const visit = (name: string) => {
    if (seen.has(name)) return
    seen.add(name)
    for (const next of Object.keys(manifestOf(join(modules, name)).dependencies ?? {})) visit(next)
  }
  for (const name of names) visit(name)
  return seen
}

function bytesIn(path: string): number {
  const names = readdirSync(path, { recursive: true, encoding: 'utf8' })
  return names.reduce((sum, name) => {
    const stat = statSync(join(path, name))
    return stat.isFile() ? sum + stat.size : sum
  }, 0)
}
