/**
 * Question: does the cost of a message grow with what is in flight, with subscriptions,
 * connections, payloads or time?
 *
 * Method: the small and the large case of each scenario are processes of their own that take turns
 * against one server; what counts is the ratio of their medians. Goal: flat. No goal: absolute
 * figures, or a verdict. `connections` also has 10,000 connections beside MQTT.js (beside.ts).
 *
 *   npm run bench:scale -- [--runs 5] [--only inFlight,replay] [--json]
 *   npm run bench:scale -- --only connections [--connections 10000]
 *   npm run bench:scale -- --only soak      ten million messages
 */
import { parseArgs } from 'node:util'
import { compile, inTurn, type Server, serve, summary } from '../measure.ts'
import { lacks, measureBeside, SOURCES } from './beside.ts'

interface Scenario {
  readonly name: string
  readonly says: string
  readonly metric: string
  readonly unit: string
  readonly small: number | null
  readonly large: number
  /** Largest ratio of large to small; without a small one, the largest figure. */
  readonly toReach: number
  readonly apart?: boolean
}

const SCENARIOS: readonly Scenario[] = [
  {
    name: 'inFlight',
    says: 'window of 400 beside 60,000 publishes never acknowledged',
    ...{ metric: 'nsPerMessage', unit: 'ns', small: 0, large: 60_000, toReach: 1.2 },
  },
  {
    name: 'subscriptions',
    says: 'receiving with 1 and with 100,000 subscriptions',
    ...{ metric: 'nsPerMessage', unit: 'ns', small: 1, large: 100_000, toReach: 1.2 },
  },
  {
    name: 'connections',
    says: 'publishing over 1 and over 5,000 connections',
    ...{ metric: 'cpuNsPerMessage', unit: 'ns CPU', small: 1, large: 5000, toReach: 1.3 },
  },
  {
    name: 'publishLarge',
    says: 'payloads of 10 and 100 MB sent, time',
    ...{ metric: 'msPerMB', unit: 'ms/MB', small: 10_000_000, large: 100_000_000, toReach: 1.2 },
  },
  {
    name: 'publishLarge',
    says: 'payload of 100 MB sent, memory with the payload itself',
    ...{ metric: 'memoryPerByte', unit: '×', small: null, large: 100_000_000, toReach: 2 },
  },
  {
    name: 'receiveLarge',
    says: 'payloads of 10 and 100 MB received, time',
    ...{ metric: 'msPerMB', unit: 'ms/MB', small: 10_000_000, large: 100_000_000, toReach: 1.2 },
  },
  {
    name: 'receiveLarge',
    says: 'payload of 100 MB received, memory',
    ...{ metric: 'memoryPerByte', unit: '×', small: null, large: 100_000_000, toReach: 2 },
  },
  {
    name: 'replay',
    says: 'CONNACK to the last of 60,000 sent again',
    ...{ metric: 'ms', unit: 'ms', small: null, large: 60_000, toReach: 1000 },
  },
  {
    name: 'soak',
    says: '10,000,000 messages: heap at the end',
    ...{ metric: 'heap', unit: 'MB', small: null, large: 10_000_000, toReach: 30 },
    apart: true,
  },
]

const { values: options } = parseArgs({
  options: {
    runs: { type: 'string', default: '5' },
    only: { type: 'string' },
    connections: { type: 'string', default: '10000' },
    json: { type: 'boolean', default: false },
  },
})
const chosen = options.only?.split(',')
const { scripts, remove } = await compile(['scale/driver.ts', 'scale/server.ts', ...SOURCES])
const driver = scripts.get('driver')!
const rows: object[] = []
const beside: object[] = []

async function measure(server: Server, scenario: Scenario): Promise<void> {
  const { name, metric, unit, small, large, toReach, says } = scenario
  const program = (size: number) => ({
    name: String(size),
    script: driver,
    args: [server.port, name, size],
  })
  const programs = small === null ? [program(large)] : [program(small), program(large)]
  const figures = await inTurn(programs, scenario.apart ? 1 : Number(options.runs))
  const of = (size: number) => summary(figures.get(String(size)) ?? [], metric).median
  const reached = small === null ? of(large) : of(large) / of(small)
  const shown = (value: number) => `${Number(value.toPrecision(3))} ${unit}`
  rows.push({
    scenario: says,
    ratio: small === null ? '' : Number(reached.toPrecision(3)),
    small: small === null ? '' : shown(of(small)),
    large: shown(of(large)),
    'to reach': small === null ? `≤ ${toReach} ${unit}` : `≤ ${toReach}`,
    reached: reached <= toReach ? 'yes' : 'no',
  })
  if (scenario.apart) console.log(figures.get(String(large))?.[0])
}

/** Runs something against a server of its own. */
async function withServer(work: (server: Server) => Promise<void>): Promise<void> {
  const server = await serve(process.execPath, (port) => [scripts.get('server')!, String(port)])
  try {
    await work(server)
  } finally {
    server.stop()
  }
}

async function measureConnections(): Promise<void> {
  const connections = Number(options.connections)
  const reason = lacks(connections)
  if (reason !== null) return console.error(`not run: ${connections} connections: ${reason}`)
  await withServer(async (server) => {
    beside.push(...(await measureBeside(server, scripts, connections, Number(options.runs))))
  })
}

try {
  for (const scenario of SCENARIOS) {
    if (chosen === undefined ? scenario.apart : !chosen.includes(scenario.name)) continue
    await withServer((server) => measure(server, scenario))
  }
  if (chosen === undefined || chosen.includes('connections')) await measureConnections()
} finally {
  await remove()
}
if (options.json) console.log(JSON.stringify({ rows, beside }))
else {
  console.table(rows)
  if (beside.length > 0) {
    console.log('one message a second over each connection of one process:')
    console.table(beside)
  }
}
