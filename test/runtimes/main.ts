/**
 * `npm run runtimes`: does the package work in every runtime?
 *
 *   npm run runtimes -- --install         installs the binaries, and ends
 *   npm run runtimes                      runs everything in every runtime
 *   npm run runtimes -- --only bun        in one; --no-tests leaves its tests out
 *   npm run runtimes -- --write           then writes docs/RUNTIMES.md from the last run of each, and
 *                                         from that of `npm run bundlers`
 *   npm run runtimes -- --page            only writes the page
 *
 * The exit status is 1 if a row or a test failed that is not in exceptions.ts. `this` is the Node
 * that runs this program; its tests are `npm test`.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { COLUMNS as BUNDLES } from '../bundlers/rows.ts'
import { temporaryFolder } from '../support/process.ts'
import { installRuntime, RUNTIMES, type Runtime } from '../support/runtimes.ts'
import { installPackage, output, RESULTS, ROOT } from './packed.ts'
import { pageOf, type Result } from './page.ts'
import { ROWS } from './rows.ts'
import { openServers, type Servers } from './servers.ts'
import { runSuite } from './suites.ts'

const THIS = 'this'
/** The row of the tests. */
const TESTS = 'tests'

type Column = { readonly name: typeof THIS } | Runtime

const COLUMNS: readonly Column[] = [{ name: THIS }, ...RUNTIMES]

const { values } = parseArgs({
  options: {
    install: { type: 'boolean', default: false },
    only: { type: 'string', multiple: true, default: COLUMNS.map(({ name }) => name) },
    'no-tests': { type: 'boolean', default: false },
    write: { type: 'boolean', default: false },
    page: { type: 'boolean', default: false },
  },
})

function say(name: string, row: string, cell: string, startedAt: number): void {
  const seconds = ((performance.now() - startedAt) / 1000).toFixed(1)
  console.log(`${name.padEnd(8)} ${row}: ${cell} (${seconds} s)`)
}

/** Runs one row; what is thrown is printed whole, and the cell says that it failed. */
async function cellOf(name: string, row: string, work: () => Promise<string>): Promise<string> {
  const startedAt = performance.now()
  try {
    const cell = await work()
    say(name, row, cell, startedAt)
    return cell
  } catch (error) {
    say(name, row, `FAILED: ${(error as Error).message}`, startedAt)
    process.exitCode = 1
    return '**failed**'
  }
}

async function versionOf(name: string, binary: string): Promise<string> {
  const version = (await output(binary, ['--version'])).trim().split('\n')[0]!
  const [number = version] = /\d+\.\d+\.\d+/.exec(version) ?? []
  return `${name.startsWith('node') || name === THIS ? 'Node' : name === 'bun' ? 'Bun' : 'Deno'} ${number}`
}

async function testsOf(runtime: Runtime, binary: string): Promise<string> {
  const { total, passed, skipped, seconds, problems } = await runSuite(runtime, binary)
  if (problems.length > 0) throw new Error(problems.join('\n  '))
  const failed = total - passed - skipped
  const known = failed === 0 ? '' : `, ${failed} known to fail`
  const [all, good] = [total - skipped, passed].map((one) => one.toLocaleString('en'))
  return `${good} of ${all}${known} (${seconds} s)`
}

async function columnOf(column: Column, home: string, servers: Servers): Promise<Result> {
  const { name } = column
  const binary = 'binary' in column ? installRuntime(column) : process.execPath
  const place = {
    command: [binary, ...('binary' in column ? column.run : [])] as [string, ...string[]],
    readsTypeScript: name !== THIS,
    ...{ home, servers },
  }
  const cells: Record<string, string> = {}
  for (const [row, work] of Object.entries(ROWS)) {
    cells[row] = await cellOf(name, row, () => work(place))
  }
  if ('binary' in column && !values['no-tests']) {
    cells[TESTS] = await cellOf(name, TESTS, () => testsOf(column, binary))
  } else if (name === THIS) cells[TESTS] = '`npm test`'
  return { name, title: await versionOf(name, binary), broker: servers.title, cells }
}

async function measure(columns: readonly Column[]): Promise<void> {
  const { path: home, remove } = temporaryFolder()
  const servers = await openServers()
  try {
    await installPackage(home)
    mkdirSync(RESULTS, { recursive: true })
    for (const column of columns) {
      const result = await columnOf(column, home, servers)
      writeFileSync(join(RESULTS, `${column.name}.json`), JSON.stringify(result))
    }
  } finally {
    await servers.close()
    remove()
  }
}

function lastResultOf(name: string): Result {
  return JSON.parse(readFileSync(join(RESULTS, `${name}.json`), 'utf8'))
}

function writePage(): void {
  const results = COLUMNS.map(({ name }) => lastResultOf(name))
  const bundles = Object.keys(BUNDLES).map(lastResultOf)
  writeFileSync(join(ROOT, 'docs/RUNTIMES.md'), pageOf(results, bundles))
}

const chosen = COLUMNS.filter(({ name }) => values.only.includes(name))
const unknown = values.only.filter((name) => COLUMNS.every((one) => one.name !== name))
if (unknown.length > 0) throw new Error(`--only ${unknown}: no such runtime`)
if (values.install) {
  for (const runtime of RUNTIMES) console.log(`${runtime.name}: ${installRuntime(runtime)}`)
} else {
  if (!values.page) await measure(chosen)
  if (values.page || values.write) writePage()
}
