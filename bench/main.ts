/**
 * Question: how fast is it-mqtt beside MQTT.js and beside the least that JavaScript can do (the floor)?
 *
 * Method: each figure is a process of its own against the raw server in a process of its own; the programs take turns, and
 * what counts is the median and the ratios of one run. Goal: ratios that hold on a noisy machine. No goal: absolute figures,
 * or a verdict; no test fails because a machine was slow.
 *
 *   npm run bench [-- --runs 7 --scale 1 --json --only pub1]
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs, promisify } from 'node:util'
import { build } from 'esbuild'

const folder = fileURLToPath(new URL('.', import.meta.url))

export interface Row {
  readonly name: string
  readonly mode: 'pub' | 'sub'
  readonly qos: 0 | 1 | 2
  /** Messages of one run of ours and of the floor; MQTT.js gets a tenth. */
  readonly count: number
  readonly size: number
  readonly styles: readonly string[]
}

const publishing = ['one', 'plain', 'batch']
export const ROWS: readonly Row[] = [
  { name: 'pub0', mode: 'pub', qos: 0, count: 2_000_000, size: 64, styles: publishing },
  { name: 'pub1', mode: 'pub', qos: 1, count: 1_000_000, size: 64, styles: publishing },
  { name: 'pub2', mode: 'pub', qos: 2, count: 500_000, size: 64, styles: publishing },
  { name: 'sub0', mode: 'sub', qos: 0, count: 2_000_000, size: 64, styles: ['next'] },
  { name: 'sub1', mode: 'sub', qos: 1, count: 1_000_000, size: 64, styles: ['next'] },
  { name: 'sub2', mode: 'sub', qos: 2, count: 500_000, size: 64, styles: ['next'] },
]

interface Measured {
  readonly peer: string
  readonly style?: string
  readonly rate: number
}

export interface Result {
  readonly row: string
  readonly version: number
  readonly style: string
  readonly rate: number
  readonly spread: readonly [low: number, high: number]
  readonly toMqttJs: number
  readonly toFloor: number
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN
}

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  await new Promise((resolve) => server.close(resolve))
  return typeof address === 'object' && address !== null ? address.port : 0
}

async function rawServer(): Promise<{ port: number; server: ChildProcess }> {
  const port = await freePort()
  const server = spawn(process.execPath, [join(folder, 'peers/raw-server.mjs'), String(port)])
  for (;;) {
    const up = await new Promise<boolean>((resolve) => {
      const probe = connect(port, '127.0.0.1', () => resolve(true))
      probe.on('error', () => resolve(false))
      probe.on('connect', () => probe.destroy())
    })
    if (up) return { port, server }
  }
}

async function runOnce(script: string, args: readonly (string | number)[]): Promise<Measured> {
  const { stdout } = await promisify(execFile)(process.execPath, [script, ...args.map(String)], {
    cwd: join(folder, '..'),
    timeout: 120_000,
  })
  return JSON.parse(stdout)
}

/** One row: every program in turn, `runs` times. */
export async function measure(
  row: Row,
  {
    runs,
    scale,
    version,
    driver,
  }: { runs: number; scale: number; version: number; driver: string },
): Promise<Result[]> {
  const { port, server } = await rawServer()
  const count = Math.max(100, Math.round(row.count * scale))
  const few = Math.max(100, Math.round(count / 10))
  const rates = new Map<string, number[]>()
  const note = (name: string, { rate }: Measured) => {
    const known = rates.get(name) ?? []
    rates.set(name, [...known, rate])
  }
  const { mode, qos, size } = row
  try {
    for (let i = 0; i < runs; i++) {
      for (const style of row.styles) {
        note(style, await runOnce(driver, [port, mode, qos, count, size, version, style]))
      }
      const floor = join(folder, 'peers/floor.mjs')
      note('floor', await runOnce(floor, [port, mode, qos, count, size, version]))
      const mqttJs = join(folder, 'peers/mqttjs.mjs')
      note('mqtt.js', await runOnce(mqttJs, [port, mode, qos, few, size, version]))
    }
  } finally {
    server.kill()
  }
  const of = (name: string) => rates.get(name) ?? []
  return row.styles.map((style) => ({
    row: row.name,
    version,
    style,
    rate: median(of(style)),
    spread: [Math.min(...of(style)), Math.max(...of(style))] as const,
    toMqttJs: median(of(style)) / median(of('mqtt.js')),
    toFloor: median(of(style)) / median(of('floor')),
  }))
}

/** The driver as plain JavaScript, as people install it: without a loader in the way. */
export async function compileDriver(): Promise<{ driver: string; remove(): Promise<void> }> {
  const out = await mkdtemp(join(tmpdir(), 'it-mqtt-bench-'))
  const driver = join(out, 'driver.mjs')
  await build({
    entryPoints: [join(folder, 'driver.ts')],
    outfile: driver,
    bundle: true,
    platform: 'node',
    format: 'esm',
  })
  return { driver, remove: () => rm(out, { recursive: true }) }
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      runs: { type: 'string', default: '7' },
      scale: { type: 'string', default: '1' },
      only: { type: 'string' },
      json: { type: 'boolean', default: false },
    },
  })
  const { driver, remove } = await compileDriver()
  const results: Result[] = []
  try {
    for (const version of [5, 4]) {
      for (const row of ROWS) {
        if (values.only !== undefined && values.only !== row.name) continue
        const runs = Number(values.runs)
        results.push(
          ...(await measure(row, { runs, scale: Number(values.scale), version, driver })),
        )
        if (!values.json) console.table(results.slice(-row.styles.length).map(readable))
      }
    }
  } finally {
    await remove()
  }
  if (values.json) console.log(JSON.stringify(results))
  else console.table(results.map(readable))
}

function readable({ row, version, style, rate, spread, toMqttJs, toFloor }: Result): object {
  return {
    row,
    MQTT: version,
    style,
    '× MQTT.js': Number(toMqttJs.toFixed(1)),
    'of the floor': Number(toFloor.toFixed(2)),
    'median/s': rate,
    spread: spread.join('–'),
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main()
