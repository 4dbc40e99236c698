/**
 * `npm run bundlers`: does the packed package work for those who bundle it?
 *
 * Vite, webpack, esbuild and rollup bundle it for a browser without configuration, and Chromium runs
 * what each makes. The same for Cloudflare Workers (with and without `nodejs_compat`) and for React
 * Native (Metro, then the compiler of Hermes). All tools are installed into a temporary folder. A
 * step that cannot run says so, and fails if IT_MQTT_REQUIRE_BROKERS is 1. `--only NAME` runs one.
 * `npm run runtimes -- --page` writes what was found into docs/RUNTIMES.md.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { RESULTS } from '../runtimes/packed.ts'
import { NotRun } from './packed.ts'
import type { BundleResult } from './place.ts'
import { COLUMNS, measureBundles } from './rows.ts'

const { values } = parseArgs({ options: { only: { type: 'string', multiple: true } } })
const unknown = values.only?.filter((name) => !(name in COLUMNS)) ?? []
if (unknown.length > 0) throw new Error(`--only ${unknown}: known are ${Object.keys(COLUMNS)}`)

const required = process.env['IT_MQTT_REQUIRE_BROKERS'] === '1'

mkdirSync(RESULTS, { recursive: true })
for (const { problem, ...result } of await measureBundles(values.only)) {
  const { name, title, cells } = result
  if (problem !== null) {
    fail(name, problem)
    continue
  }
  writeFileSync(join(RESULTS, `${name}.json`), JSON.stringify(result))
  console.log(title)
  for (const [row, cell] of Object.entries(cells)) console.log(`  ${row}: ${cell}`)
}

function fail(name: string, problem: NonNullable<BundleResult['problem']>): void {
  const isFailure = required || !(problem instanceof NotRun)
  console.error(`${name} ${isFailure ? 'FAILED' : 'did not run'}: ${problem.message}`)
  if (isFailure) process.exitCode = 1
}
