/**
 * What users meet: a real broker, a rate that is offered, connections, the start of the package as
 * npm installs it, memory.
 */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { rawServer, type Server, serve } from './measure.ts'
import { type Context, less, programsOf, type QoS, RATE, type Row, type Table } from './row.ts'

/** Shorter runs measure the compiler. */
const PACED_SECONDS = 15
/** How long after its CONNACK an idle client is looked at. */
const IDLE_SECONDS = 5

export function met(context: Context): Table {
  const lacks = lacksBroker()
  const throughBroker = [
    ...([0, 1, 2] as const).map((qos) => through(context, qos, 1000)),
    through(context, 1, 20),
    ...[100, 1000, 10_000].flatMap((rate) => [paced(context, rate, 0), paced(context, rate, 1)]),
  ]
  return {
    title: 'What users meet',
    rows: [
      ...throughBroker.map((row) => ({ ...row, lacks })),
      connecting(context, 1),
      connecting(context, 100),
      start(context),
      idle(context),
    ],
  }
}

/** @returns what this machine lacks for rows with a broker. */
export function lacksBroker(): string | undefined {
  return spawnSync('mosquitto', ['-h']).error === undefined
    ? undefined
    : 'mosquitto is not installed'
}

/** @param inFlight mosquitto's `max_inflight_messages`, which a client of MQTT 5 is told. */
export async function broker(inFlight: number): Promise<Server> {
  const home = mkdtempSync(join(tmpdir(), 'it-mqtt-bench-'))
  const { port, stop } = await serve('mosquitto', (port) => {
    const file = join(home, 'mosquitto.conf')
    const limits = `max_queued_messages 0\nmax_inflight_messages ${inFlight}\nset_tcp_nodelay true`
    writeFileSync(file, `listener ${port} 127.0.0.1\nallow_anonymous true\n${limits}\n`)
    return ['-c', file]
  })
  return {
    port,
    stop: () => {
      stop()
      rmSync(home, { recursive: true })
    },
  }
}

function through(context: Context, qos: QoS, inFlight: number): Row {
  const count = Math.round(([300_000, 150_000, 75_000][qos] ?? 0) * context.scale)
  const limit = inFlight === 1000 ? '' : `, Receive Maximum ${inFlight}`
  const names = ['through', 'through-raw', 'through-mqttjs'] as const
  return {
    name: `through mosquitto, QoS ${qos}, 64 B${limit}`,
    server: () => broker(inFlight),
    programs: programsOf(context, names, (port) => [port, qos, count, 64, 5]),
    metrics: [
      RATE,
      less('cpuMicros', 'CPU µs per message'),
      less('rssMBMax', 'resident MB under load'),
    ],
  }
}

function paced(context: Context, rate: number, qos: QoS): Row {
  const seconds = Math.max(1, Math.round(PACED_SECONDS * context.scale))
  const names = ['paced', 'paced-raw', 'paced-mqttjs'] as const
  return {
    name: `round trip through mosquitto at ${rate.toLocaleString('en')}/s, QoS ${qos}, 64 B`,
    server: () => broker(1000),
    programs: programsOf(context, names, (port) => [port, qos, rate, seconds, 64]),
    metrics: ['p50', 'p99', 'p99.9', 'max'].map((name) => less(name, `${name} µs`)),
    // The other rates show the shape, and would take half an hour.
    ...(rate === 1000 ? {} : { runsMax: 3 }),
  }
}

function connecting(context: Context, atOnce: number): Row {
  const way = atOnce === 1 ? 'one after the other' : `${atOnce} at a time`
  const names = ['connect', 'connect-raw', 'connect-mqttjs'] as const
  return {
    name: `1,000 connections, ${way}`,
    server: rawServer,
    programs: programsOf(context, names, (port) => [port, 1000, atOnce, 5]),
    metrics: [less('ms', 'ms'), less('cpuMs', 'CPU ms')],
  }
}

/** The programs of start.mjs, from the packages as npm installed them. */
function installedPrograms({ installed }: Context, idleSeconds: number): Row['programs'] {
  const program = (name: string, module: string) => ({
    name,
    script: () => installed('start'),
    args: (port: number) => [port, module, 5, idleSeconds],
  })
  return [program('it-mqtt', 'it-mqtt'), program('floor', 'floor'), program('mqtt.js', 'mqtt')]
}

function start(context: Context): Row {
  return {
    name: 'start of the process to CONNACK, the package as npm installs it',
    server: rawServer,
    programs: installedPrograms(context, 0),
    metrics: [less('ms', 'ms'), less('importMs', 'ms of it for the import')],
  }
}

function idle(context: Context): Row {
  return {
    name: `one idle connection, ${IDLE_SECONDS} s after its CONNACK, as npm installs it`,
    server: rawServer,
    programs: installedPrograms(context, IDLE_SECONDS),
    metrics: [less('rssMB', 'resident MB idle')],
  }
}
