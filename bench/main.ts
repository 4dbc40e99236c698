/**
 * Question: how fast is it-mqtt compared with MQTT.js and with the least work that JavaScript can do
 * (the floor)?
 *
 * Method: each figure comes from a process of its own with a server in a process of its own. The
 * programs run in turn; the results are the medians and the ratios of one run. Goal: ratios that hold
 * on a noisy machine. Not a goal: absolute figures; no test fails because a machine was slow.
 *
 *   npm run bench [-- --runs 7 --scale 1 --only throughput,start --json --write]
 */
import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { cpus } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { compile, folder, inTurn, type Server, type Summary, summary } from './measure.ts'
import { type Row, sizes, TABLES, type Table } from './tables.ts'

interface Measured {
  readonly row: string
  readonly ours: string
  readonly metric: string
  readonly unit: string
  readonly figures: Summary
  /** How many times better than MQTT.js, or undefined if MQTT.js is not in this row. */
  readonly overMqttJs: number | undefined
  /** How many times better than the floor, or undefined if the floor is not in this row. */
  readonly overFloor: number | undefined
}

const SOURCES = [
  ...['driver', 'roundtrip', 'roundtrip-mqttjs', 'roundtrip-raw', 'idle', 'idle-mqttjs'],
  ...['idle-raw', 'through', 'through-raw', 'through-mqttjs', 'paced', 'paced-raw'],
  ...['paced-mqttjs', 'connect', 'connect-raw', 'connect-mqttjs'],
].map((name) => `programs/${name}.ts`)

function judge(row: Row, all: Map<string, readonly Record<string, unknown>[]>): Measured[] {
  return row.metrics.flatMap(({ name: metric, unit, better }) => {
    const of = (name: string) => summary(all.get(name) ?? [], metric)
    const over = (ours: Summary, name: string) => {
      if (!all.has(name)) return undefined
      const ratio = ours.median / of(name).median
      return better === 'more' ? ratio : 1 / ratio
    }
    const names = row.programs.map(({ name }) => name)
    return names
      .filter((name) => name.startsWith('it-mqtt'))
      .map((ours) => {
        const figures = of(ours)
        const overMqttJs = over(figures, 'mqtt.js')
        const overFloor = over(figures, 'floor')
        return { row: row.name, ours, metric, unit, figures, overMqttJs, overFloor }
      })
  })
}

const round = (value: number) => (value >= 1000 ? Math.round(value) : Number(value.toPrecision(3)))

function cells({ row, ours, metric, unit, figures, overMqttJs, overFloor }: Measured): object {
  const { median, low, high } = figures
  return {
    row,
    program: ours,
    '× MQTT.js': overMqttJs === undefined ? '' : Number(overMqttJs.toPrecision(3)),
    '× floor': overFloor === undefined ? '' : Number(overFloor.toPrecision(2)),
    median: `${round(median).toLocaleString('en')} ${unit}${metric === 'rate' ? '' : ` ${metric}`}`,
    spread: `${round(low).toLocaleString('en')}–${round(high).toLocaleString('en')}`,
  }
}

function markdown(title: string, rows: readonly object[]): string {
  const names = Object.keys(rows[0] ?? {})
  const line = (values: readonly unknown[]) => `| ${values.join(' | ')} |`
  return [
    `## ${title}`,
    '',
    line(names),
    line(names.map(() => '---')),
    ...rows.map((row) => line(Object.values(row))),
    '',
  ].join('\n')
}

async function measure(table: Table, runs: number): Promise<Measured[]> {
  const measured: Measured[] = []
  for (const row of table.rows) {
    let server: Server | null = null
    try {
      server = await row.server()
      const { port } = server
      const programs = row.programs.map((program) => ({ ...program, args: program.args(port) }))
      measured.push(...judge(row, await inTurn(programs, Math.min(runs, row.runsMax ?? runs))))
    } finally {
      server?.stop()
    }
    if (!quiet) console.table(measured.slice(-row.programs.length).map(cells))
  }
  return measured
}

const { values: options } = parseArgs({
  options: {
    runs: { type: 'string', default: '7' },
    scale: { type: 'string', default: '1' },
    only: { type: 'string' },
    json: { type: 'boolean', default: false },
    write: { type: 'boolean', default: false },
  },
})
const quiet = options.json
const runs = Number(options.runs)
const root = join(folder, '..')
execFileSync('npm', ['run', 'build', '--silent'], { cwd: root, stdio: 'inherit' })
const { scripts, remove } = await compile(SOURCES)
const results: { title: string; rows: Measured[] }[] = []
try {
  const context = { scripts, scale: Number(options.scale) }
  for (const [name, make] of Object.entries(TABLES)) {
    if (options.only !== undefined && !options.only.split(',').includes(name)) continue
    const table = make(context)
    if (typeof table === 'string') console.log(`not run: ${table}`)
    else results.push({ title: table.title, rows: await measure(table, runs) })
  }
} finally {
  await remove()
}
const installed = sizes(root)
if (options.json) console.log(JSON.stringify({ results, installed }))
else {
  const tables = results.map(({ title, rows }) => markdown(title, rows.map(cells)))
  const text = [...tables, markdown('Installed', installed)].join('\n')
  console.log(text)
  if (options.write) writeFileSync(join(root, 'docs/BENCHMARKS.md'), page(text))
}

function page(tables: string): string {
  const version = (name: string) =>
    JSON.parse(readFileSync(join(root, `node_modules/${name}/package.json`), 'utf8')).version
  const command = `npm run bench -- ${process.argv.slice(2).join(' ')}`
  return `# Benchmarks

Written by \`${command}\` on ${new Date().toISOString().slice(0, 10)}.
Machine: ${cpus().length} × ${cpus()[0]?.model.trim()}, Node ${process.versions.node}, MQTT.js ${version('mqtt')}.

The figures are medians of ${runs} runs, the programs in turn. A ratio above 1 means that it-mqtt is
better; only the ratios can be compared between machines. The floor is the least work that JavaScript
can do: bytes batched by hand on a raw socket. [bench/README.md](../bench/README.md) describes the
programs and the method, [JOURNAL.md](../JOURNAL.md) what was tried and where the rest of the time
goes.

${tables}`
}
