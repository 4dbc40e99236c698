/**
 * `npm test`: everything that needs nothing but this package. What needs a broker is in
 * vitest.brokers.config.ts, what takes minutes in vitest.long.config.ts.
 */
import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'

/**
 * Full disks, directories that are cut or spoilt anywhere, files that are rotated in every way,
 * faults that the simulation must find, the command line in terminals, over interruptions and with
 * services, the programs of the guide, and examples that are many processes.
 */
export const LONG = [
  'test/cli/bench-runs.test.ts',
  'test/cli/bus-inspect.test.ts',
  'test/cli/bus-list.test.ts',
  'test/cli/bus-schema.test.ts',
  'test/cli/bus-shell.test.ts',
  'test/cli/kept.test.ts',
  'test/cli/output.test.ts',
  'test/cli/pipe.test.ts',
  'test/cli/pipe-disk.test.ts',
  'test/cli/pipe-session.test.ts',
  'test/cli/pipe-spool.test.ts',
  'test/cli/presence.test.ts',
  'test/cli/terminal.test.ts',
  'test/cli/top.test.ts',
  'test/cli/top-terminal.test.ts',
  'test/disk/damage.test.ts',
  'test/disk/full.test.ts',
  'test/disk/session.test.ts',
  'test/disk/torn.test.ts',
  'test/docs/bus-tutorial.test.ts',
  'test/docs/guide.test.ts',
  'test/docs/recipes.test.ts',
  'test/examples/authentication.test.ts',
  'test/examples/browser-guide.test.ts',
  'test/examples/dashboard.test.ts',
  'test/examples/gateway.test.ts',
  'test/examples/programs.test.ts',
  'test/examples/shop.test.ts',
  'test/examples/web.test.ts',
  'test/simulation/bus-faults.test.ts',
  'test/simulation/presence-faults.test.ts',
  'test/simulation/faults.test.ts',
]

/**
 * The files behind the names that package.json gives to its entries (`exports`) and to what differs
 * between runtimes (`imports`), as in the `paths` of the tsconfig files.
 */
export function aliasesOf(flavour: 'node' | 'web'): Readonly<Record<string, string>> {
  const paths = {
    ...{ '#bytes': `platform/${flavour}/bytes`, '#runtime': `platform/${flavour}/runtime` },
    ...{ '#transport': `platform/${flavour}/transport`, '#database': `disk/${flavour}/database` },
    ...{ '#files': `disk/${flavour}/files`, '#host': `bus/${flavour}/host` },
    ...{ 'it-mqtt/client': 'client/index', 'it-mqtt/testing': 'testing/index' },
    ...{ 'it-mqtt/disk': 'disk/index', 'it-mqtt/event-stream': 'event-stream/index' },
    ...{ 'it-mqtt/doctor': 'doctor/index', 'it-mqtt/presence': 'presence/index' },
    ...{ 'it-mqtt/bus/testing': 'bus/testing/index', 'it-mqtt/bus': 'bus/index' },
    'it-mqtt': 'index',
  }
  const file = (path: string) => fileURLToPath(new URL(`src/${path}.ts`, import.meta.url))
  return Object.fromEntries(Object.entries(paths).map(([name, path]) => [name, file(path)]))
}

/** The tests of decisions and promises, on virtual time: files leave nothing in their process. */
const TOGETHER = [
  'test/bus/*.test.ts',
  'test/client/**/*.test.ts',
  'test/codec/**/*.test.ts',
  'test/conformance/**/*.test.ts',
  'test/doctor/**/*.test.ts',
  'test/event-stream/**/*.test.ts',
  'test/loop/**/*.test.ts',
  'test/options/**/*.test.ts',
  'test/presence/**/*.test.ts',
  'test/promises/**/*.test.ts',
  'test/protocol/**/*.test.ts',
  'test/requests/**/*.test.ts',
  'test/simulation/**/*.test.ts',
]
/** Those of them that look at their process: its heap, handles, warnings or globals. */
const ALONE = [
  'test/bus/life.test.ts',
  'test/bus/open-telemetry.test.ts',
  'test/bus/sql-dedupe.test.ts',
  'test/client/tree-shaking.test.ts',
  'test/codec/decode.test.ts',
  'test/event-stream/bad-input.test.ts',
  'test/event-stream/ends.test.ts',
  'test/event-stream/size.test.ts',
  'test/loop/run.test.ts',
  'test/promises/input.test.ts',
  'test/promises/public.test.ts',
]

/** What the configurations of most commands have in common. */
export const common = defineConfig({
  resolve: { alias: aliasesOf('node') },
  test: {
    globalSetup: ['test/support/built.ts'],
    setupFiles: ['test/support/seed.ts'],
    exclude: [
      'test/brokers/**',
      // In a real browser, or with what a browser has.
      ...['test/browser/**', 'test/disk/web/**', 'test/bus/web/**'],
      'test/package/**',
      ...LONG,
    ],
    // A process for each file, unless it is said otherwise: tests look at heaps and handles.
    pool: 'forks',
    maxWorkers: 2,
    // The time-out of a test that hangs; none is meant to come near it.
    testTimeout: 120_000,
    hookTimeout: 60_000,
  },
})

const { globalSetup = [], maxWorkers = 2, exclude = [], ...each } = common.test!

/** A third of the time of a file of tests is the start of its process, which many can share. */
export default defineConfig({
  test: {
    ...{ globalSetup, maxWorkers },
    projects: [
      // The tests among the examples are examples of tests.
      projectOf('apart', true, ['test/**/*.test.ts', 'docs/examples/**/*.test.ts'], TOGETHER),
      projectOf('alone', true, ALONE, []),
      projectOf('together', false, TOGETHER, ALONE),
    ],
  },
})

function projectOf(
  name: string,
  isolate: boolean,
  include: readonly string[],
  others: readonly string[],
) {
  const test = { ...each, name, isolate, include: [...include], exclude: [...exclude, ...others] }
  return { resolve: common.resolve!, test }
}
