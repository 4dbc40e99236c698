/**
 * Question: how fast is it-mqtt compared with MQTT.js and with the least work that JavaScript can
 * do (the floor)?
 *
 * Method: each figure comes from a process of its own with a server in a process of its own. The
 * programs run in turn; the results are the medians and the ratios of one run. Goal: ratios that
 * hold on a noisy machine. Not a goal: absolute figures; no test fails because a machine was slow.
 *
 *   npm run bench [-- --runs 7 --scale 1 --only met,throughput --rows 'QoS 1' --json --write]
 */
import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { cpus } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { wrapped } from '../test/docs/markdown.ts'
import { Installed, sizes, versionOf } from './installed.ts'
import { compile, folder, inTurn, type Server } from './measure.ts'
import { cells, judge, type Measured, markdown, page, type Section } from './report.ts'
import type { Context, Row, Table } from './row.ts'
import { TABLES } from './tables.ts'

const SOURCES = [
  ...['driver', 'roundtrip', 'roundtrip-mqttjs', 'roundtrip-raw', 'idle', 'idle-mqttjs'],
  ...['idle-raw', 'through', 'through-raw', 'through-mqttjs', 'paced', 'paced-raw'],
  ...['paced-mqttjs', 'connect', 'connect-raw', 'connect-mqttjs', 'client-work'],
  ...['client-work-mqttjs', 'client-echo', 'client-idle', 'client-filters', 'filters-server'],
  ...['client-request', 'request-mqttjs', 'request-loop', 'client-open', 'idle-subscribed'],
  ...['event-stream', 'event-stream-smithy', 'chromium', 'presence-sync', 'presence-retained'],
  ...['presence-update', 'presence-echo', 'presence-signs', 'bus-call', 'bus-call-client'],
  ...['bus-call-moleculer', 'bus-call-nestjs', 'bus-events', 'bus-events-moleculer'],
  ...['bus-events-client'],
  ...['bus-events-nestjs', 'bus-define', 'bus-idle', 'bus-idle-client', 'bus-idle-moleculer'],
  ...['bus-idle-nestjs'],
].map((name) => `programs/${name}.ts`)
const INSTALLED = 'Installed'
const PAGE = join(folder, '../docs/BENCHMARKS.md')

const { values: options } = parseArgs({
  options: {
    runs: { type: 'string', default: '7' },
    scale: { type: 'string', default: '1' },
    only: { type: 'string' },
    rows: { type: 'string', default: '' },
    json: { type: 'boolean', default: false },
    write: { type: 'boolean', default: false },
  },
})
const runs = Number(options.runs)

async function measureRow(row: Row, peers: Table['peers']): Promise<Measured[]> {
  let server: Server | null = null
  try {
    server = await row.server()
    const { port } = server
    const programs = []
    for (const { name, script, args } of row.programs) {
      const path = typeof script === 'string' ? script : await script()
      programs.push({ name, script: path, args: args(port) })
    }
    return judge(row, await inTurn(programs, Math.min(runs, row.runsMax ?? runs)), peers)
  } finally {
    server?.stop()
  }
}

async function measure(table: Table): Promise<Measured[]> {
  const measured: Measured[] = []
  for (const row of table.rows) {
    if (row.lacks !== undefined) {
      console.error(`not run: ${row.name}: ${row.lacks}`)
      continue
    }
    const lines = await measureRow(row, table.peers)
    measured.push(...lines)
    if (!options.json) console.table(lines.map(cells))
  }
  return measured
}

/** @returns the tables that were asked for, with the rows that were asked for. */
function chosen(context: Context): Table[] {
  const names = options.only?.split(',') ?? Object.keys(TABLES)
  const unknown = names.filter((name) => TABLES[name] === undefined)
  if (unknown.length > 0) {
    throw new Error(`no table ${unknown.join(', ')}: there are ${Object.keys(TABLES).join(', ')}`)
  }
  const tables = Object.entries(TABLES)
    .filter(([name]) => names.includes(name))
    .map(([, make]) => make(context))
    .map((table) => ({ ...table, rows: table.rows.filter((r) => r.name.includes(options.rows)) }))
    .filter(({ rows }) => rows.length > 0)
  if (tables.length === 0) throw new Error(`no row has '${options.rows}' in its name`)
  return tables
}

/** How a section of the page came about. */
function origin(): string {
  const command = `npm run bench -- ${process.argv.slice(2).join(' ')}`
  const machine = `${cpus().length} × ${cpus()[0]?.model.trim()}, Node ${process.versions.node}`
  return wrapped(
    `Written by \`${command.trim()}\` on ${new Date().toISOString().slice(0, 10)}: medians of at most ` +
      `${runs} runs, the programs in turn. Machine: ${machine}, MQTT.js ${versionOf('mqtt')}.`,
  )
}

function write(measured: readonly Section[], context: Context): void {
  const titles = [...Object.values(TABLES).map((make) => make(context).title), INSTALLED]
  const others = readFileSync(join(folder, 'other-languages.md'), 'utf8')
  writeFileSync(PAGE, page(titles, measured, readFileSync(PAGE, 'utf8'), others))
}

if (options.write && options.rows !== '') {
  throw new Error('--write needs whole tables: leave --rows out')
}
execFileSync('npm', ['run', 'build', '--silent'], { cwd: join(folder, '..'), stdio: 'inherit' })
const { scripts, remove } = await compile(SOURCES)
const installed = new Installed()
try {
  const context = {
    scripts,
    scale: Number(options.scale),
    installed: (name: string) => installed.script(name),
  }
  const results: { title: string; notes: readonly string[]; rows: Measured[] }[] = []
  for (const table of chosen(context)) {
    const rows = await measure(table)
    if (rows.length > 0) results.push({ title: table.title, notes: table.notes ?? [], rows })
  }
  if (options.json) console.log(JSON.stringify({ results, installed: sizes() }))
  else {
    const sections = [
      ...results.map(({ title, notes, rows }) => ({
        title,
        text: [...notes.map((note) => `${wrapped(note)}\n\n`), markdown(rows.map(cells))].join(''),
      })),
      { title: INSTALLED, text: markdown(sizes()) },
    ]
    console.log(sections.map(({ title, text }) => `## ${title}\n\n${text}`).join('\n'))
    const from = origin()
    const dated = sections.map(({ title, text }) => ({ title, text: `${from}\n\n${text}` }))
    if (options.write) write(dated, context)
  }
} finally {
  await Promise.all([remove(), installed.remove()])
}
