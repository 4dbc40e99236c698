/**
 * Question: what does the disk cost?
 *
 * Method: programs in turn on one core, the raw server on another; what counts is the ratio of medians in one run. Durable
 * publishing is push, fsync, publish at QoS 1, acknowledge, remove. Goal: the budgets of S3. No goal: absolute figures.
 *
 *   npm run bench:disk -- [--runs 7] [--deep 10000000] [--only durable,depth,spill,session] [--json]
 */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import {
  compile,
  type Figures,
  folder,
  inTurn,
  type Program,
  rawServer,
  summary,
} from '../measure.ts'

const SHALLOW = 10_000
const COUNT = 400_000

const { values: options } = parseArgs({
  options: {
    runs: { type: 'string', default: '7' },
    deep: { type: 'string', default: '10000000' },
    only: { type: 'string' },
    json: { type: 'boolean', default: false },
  },
})
const chosen = options.only?.split(',')
const { scripts, remove } = await compile(['disk/driver.ts'])
const driver = scripts.get('driver')!
const directory = mkdtempSync(join(tmpdir(), 'it-mqtt-bench-disk-'))
const server = await rawServer()
const rows: object[] = []

/** A directory that each run begins empty. */
function fresh(name: string): { path: string; before: () => void } {
  const path = join(directory, name)
  return { path, before: () => rmSync(path, { recursive: true, force: true }) }
}

function program(name: string, args: readonly (string | number)[], before = () => {}): Program {
  return { name, script: driver, args, onOneCore: true, before }
}

async function compare(
  says: string,
  programs: readonly Program[],
  metric: string,
  goal: {
    readonly of: string
    readonly to: string
    readonly toReach: string
    readonly ok: (ratio: number) => boolean
  },
): Promise<void> {
  const figures = await inTurn(programs, Number(options.runs))
  const median = (name: string) => summary(figures.get(name) as Figures[], metric).median
  const ratio = median(goal.of) / median(goal.to)
  for (const { name } of programs) {
    const { median: middle, low, high } = summary(figures.get(name)!, metric)
    const isOurs = name === goal.of
    rows.push({
      scenario: says,
      program: name,
      ratio: isOurs ? Number(ratio.toPrecision(3)) : '',
      median: `${Math.round(middle).toLocaleString('en')} ${metric === 'rate' ? '/s' : 'ns'}`,
      spread: `${Math.round(low).toLocaleString('en')}–${Math.round(high).toLocaleString('en')}`,
      'to reach': isOurs ? goal.toReach : '',
      reached: isOurs ? (goal.ok(ratio) ? 'yes' : 'no') : '',
    })
  }
}

const mqttjs: Program = {
  name: 'MQTT.js, in memory',
  script: join(folder, 'peers/mqttjs.mjs'),
  args: [server.port, 'pub', 1, 60_000, 64, 5],
  onOneCore: true,
}

const scenarios: Record<string, () => Promise<void>> = {
  async durable() {
    const { path, before } = fresh('durable')
    await compare(
      'durable publishing, QoS 1, 64 B',
      [program('spool, durable', ['durable', server.port, COUNT, path], before), mqttjs],
      'rate',
      {
        of: 'spool, durable',
        to: 'MQTT.js, in memory',
        toReach: '> 1, ≥ 100,000 /s',
        ok: (ratio) => ratio > 1,
      },
    )
  },
  async depth() {
    const [shallow, deep] = [join(directory, 'shallow'), join(directory, 'deep')]
    execFileSync(process.execPath, [driver, 'depth', '0', String(SHALLOW), shallow, 'fill'])
    execFileSync(process.execPath, [driver, 'depth', '0', options.deep, deep, 'fill'])
    const [small, large] = [`${SHALLOW} queued`, `${options.deep} queued`]
    await compare(
      '200,000 messages through a queue, each',
      [
        program(small, ['depth', server.port, SHALLOW, shallow]),
        program(large, ['depth', server.port, options.deep, deep]),
      ],
      'nsPerMessage',
      { of: large, to: small, toReach: '≤ 1.2', ok: (ratio) => ratio <= 1.2 },
    )
  },
  async spill() {
    const { path, before } = fresh('spill')
    await compare(
      'one request at a time, nothing needs spilling, each',
      [
        program('it-pushable', ['stream', server.port, 1_000_000, 'none']),
        program('spool, spill', ['stream', server.port, 1_000_000, 'spill', path], before),
      ],
      'nsPerMessage',
      { of: 'spool, spill', to: 'it-pushable', toReach: '≤ 1.2', ok: (ratio) => ratio <= 1.2 },
    )
  },
  async session() {
    for (const qos of [1, 2]) {
      const { path, before } = fresh(`session${qos}`)
      await compare(
        `plain requests above openSession, QoS ${qos}`,
        [
          program('openSession', ['session', server.port, 100_000, path, qos], before),
          { ...mqttjs, args: [server.port, 'pub', qos, 60_000, 64, 5] },
        ],
        'rate',
        { of: 'openSession', to: 'MQTT.js, in memory', toReach: '', ok: () => true },
      )
    }
  },
}

try {
  for (const [name, scenario] of Object.entries(scenarios)) {
    if (chosen === undefined || chosen.includes(name)) await scenario()
  }
} finally {
  server.stop()
  rmSync(directory, { recursive: true, force: true })
  await remove()
}
if (options.json) console.log(JSON.stringify(rows))
else console.table(rows)
