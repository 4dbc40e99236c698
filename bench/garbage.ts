/**
 * Question: what does a message cost the garbage collector, and does the compiler come to rest?
 *
 * Method: each program runs alone against the raw server with V8's traces of collections and
 * deoptimisations. Allocated and promoted bytes are divided by the messages; a deoptimisation in
 * the second half of the run means that the compiler did not come to rest.
 *
 *   npm run bench:garbage [-- --scale 1]
 */
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { parseArgs } from 'node:util'
import { compile, folder, rawServer } from './measure.ts'

interface Trace {
  /** Collections of the young generation. */
  scavenges: number
  /** Collections of the old generation. */
  markCompacts: number
  allocated: number
  promoted: number
  pauseMs: number
  /** When each deoptimisation was reported, in ms since the start. */
  readonly deoptimisedAt: number[]
  durationMs: number
}

const FLAGS = ['--expose-gc', '--trace-gc-nvp', '--trace-deopt']

async function trace(script: string, args: readonly (string | number)[]): Promise<Trace> {
  const child = spawn(process.execPath, [...FLAGS, script, ...args.map(String)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const began = performance.now()
  const seen: Trace = {
    ...{ scavenges: 0, markCompacts: 0, allocated: 0, promoted: 0, pauseMs: 0, durationMs: 0 },
    deoptimisedAt: [],
  }
  for await (const line of createInterface({ input: child.stdout })) {
    if (line.startsWith('[bailout')) seen.deoptimisedAt.push(performance.now() - began)
    const kind = / gc=(\w+) /.exec(line)?.[1]
    if (kind === undefined) continue
    if (kind.startsWith('s')) seen.scavenges++
    else seen.markCompacts++
    seen.allocated += fieldOf(line, 'allocated')
    seen.promoted += fieldOf(line, 'promoted')
    seen.pauseMs += fieldOf(line, 'pause')
  }
  seen.durationMs = performance.now() - began
  return seen
}

function fieldOf(line: string, name: string): number {
  return Number(new RegExp(` ${name}=([\\d.]+)`).exec(line)?.[1] ?? 0)
}

const { values } = parseArgs({ options: { scale: { type: 'string', default: '1' } } })
const scale = Number(values.scale)
const { scripts, remove } = await compile([
  ...['programs/driver.ts', 'programs/roundtrip.ts', 'programs/roundtrip-mqttjs.ts'],
])
const server = await rawServer()
const mqttJs = join(folder, 'peers/mqttjs.mjs')
const table: object[] = []

async function measureRow(
  row: string,
  script: string,
  count: number,
  args: readonly (string | number)[],
): Promise<void> {
  const seen = await trace(script, [server.port, ...args])
  const late = seen.deoptimisedAt.filter((at) => at > seen.durationMs / 2).length
  table.push({
    row,
    'allocated B/message': Math.round(seen.allocated / count),
    'promoted B/message': Number((seen.promoted / count).toFixed(1)),
    scavenges: seen.scavenges,
    'mark-compacts': seen.markCompacts,
    'pause, % of the time': Number(((100 * seen.pauseMs) / seen.durationMs).toFixed(1)),
    deoptimisations: seen.deoptimisedAt.length,
    'in the second half': late,
  })
}

try {
  for (const mode of ['pub', 'sub']) {
    for (const qos of [0, 1, 2]) {
      const count = Math.round(1_000_000 * scale)
      const name = `${mode === 'pub' ? 'publish' : 'receive'} QoS ${qos}`
      const args = (n: number) => [mode, qos, n, 64, 5]
      const style = mode === 'pub' ? 'one' : 'next'
      await measureRow(`${name}, it-mqtt`, scripts.get('driver')!, count, [...args(count), style])
      const few = Math.round(count / 10)
      await measureRow(`${name}, MQTT.js`, mqttJs, few, args(few))
    }
  }
  const count = Math.round(20_000 * scale)
  for (const [name, script] of [
    ['it-mqtt', 'roundtrip'],
    ['MQTT.js', 'roundtrip-mqttjs'],
  ] as const) {
    await measureRow(`round trip, ${name}`, scripts.get(script)!, count, [count, 64, 5])
  }
  console.table(table)
} finally {
  server.stop()
  await remove()
}
