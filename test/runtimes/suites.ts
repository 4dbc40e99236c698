/**
 * The tests, run from the sources by vitest in another runtime: all of `npm test` in Node, those of
 * the engine, the client and the disk in Bun and Deno. The tests of the command line, the examples
 * and the pages start Node's own flags and compare its wording, so they stay in Node.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { delimiter, dirname, join, relative } from 'node:path'
import type { Runtime } from '../support/runtimes.ts'
import { EXCEPTIONS, type Exception } from './exceptions.ts'
import { ROOT } from './packed.ts'

/** The folders of tests that Bun and Deno run. */
export const CORE: readonly string[] = [
  ...['protocol', 'codec', 'requests', 'options', 'connection', 'loop', 'platform', 'promises'],
  ...['client', 'testing', 'conformance', 'simulation', 'disk', 'runtimes'],
]
/** A suite that takes longer hangs. */
const HANG_MS = 20 * 60_000
/** How much of what vitest says is shown if it writes no report. */
const STDERR_LENGTH = 4000
/** More workers do not fit into the memory of a small machine. */
const WORKERS_MAX = 4

interface Report {
  readonly testResults: readonly {
    readonly name: string
    readonly status: string
    readonly message?: string
    readonly assertionResults: readonly {
      readonly fullName: string
      readonly status: string
      readonly failureMessages?: readonly string[]
    }[]
  }[]
}

export interface Tested {
  readonly total: number
  readonly passed: number
  readonly skipped: number
  readonly seconds: number
  /** Lines about what is not as expected; empty if the suite is as good as it should be. */
  readonly problems: readonly string[]
}

/** Runs the tests of a runtime. */
export async function runSuite(runtime: Runtime, binary: string): Promise<Tested> {
  const folder = mkdtempSync(join(tmpdir(), 'it-mqtt-runtimes-'))
  const output = join(folder, 'report.json')
  const isNode = runtime.name.startsWith('node')
  const words = [
    ...[...runtime.run, 'node_modules/vitest/vitest.mjs', 'run'],
    ...(isNode ? [] : CORE.map((name) => `test/${name}/`)),
    ...['--reporter=json', `--outputFile=${output}`],
    `--maxWorkers=${Math.min(WORKERS_MAX, availableParallelism())}`,
  ]
  const startedAt = performance.now()
  try {
    const stderr = await runVitest(binary, words, runtime.name)
    if (!existsSync(output)) throw new Error(`vitest wrote no report\n${stderr}`)
    const seconds = Math.round((performance.now() - startedAt) / 1000)
    const report = JSON.parse(readFileSync(output, 'utf8')) as Report
    return { ...judge(report, EXCEPTIONS[runtime.name]), seconds }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** @returns the end of what it wrote to standard error. */
async function runVitest(binary: string, words: readonly string[], name: string): Promise<string> {
  const child = spawn(binary, words, {
    cwd: ROOT,
    stdio: ['ignore', 'ignore', 'pipe'],
    env: {
      ...process.env,
      // A test that starts `node` starts this one.
      PATH: `${dirname(binary)}${delimiter}${process.env['PATH']}`,
      IT_MQTT_RUNTIME: name,
    },
  })
  let stderr = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr = (stderr + text).slice(-STDERR_LENGTH)
  })
  const guard = setTimeout(() => child.kill('SIGKILL'), HANG_MS)
  await once(child, 'close')
  clearTimeout(guard)
  return stderr
}

/** Compares what failed with what is known to fail. */
export function judge(
  { testResults }: Report,
  exceptions: readonly Exception[],
): Omit<Tested, 'seconds'> {
  const tests = testResults.flatMap(({ name, assertionResults }) =>
    assertionResults.map((one) => ({ ...one, file: relative(ROOT, name) })),
  )
  const isMeant = (one: Exception, test: (typeof tests)[number]) =>
    test.file === one.file && test.fullName.startsWith(one.title)
  const of = (status: string) => tests.filter((one) => one.status === status)
  const unexpected = of('failed')
    .filter((test) => !exceptions.some((one) => isMeant(one, test)))
    .map(({ file, fullName, failureMessages = [] }) => {
      const [why = ''] = (failureMessages[0] ?? '').split('\n')
      return `failed: ${file}: ${fullName}: ${why}`
    })
  const unloaded = testResults
    .filter((one) => one.status === 'failed' && one.assertionResults.length === 0)
    .map(({ name, message = '' }) => `not loaded: ${relative(ROOT, name)}: ${message}`)
  const mended = exceptions
    .filter((one) => !of('failed').some((test) => isMeant(one, test)))
    .filter((one) => !one.mayPass || !tests.some((test) => isMeant(one, test)))
    .map((one) => `no longer fails, or is gone: ${one.file}: ${one.title}`)
  return {
    total: tests.length,
    passed: of('passed').length,
    skipped: tests.length - of('passed').length - of('failed').length,
    problems: [...unexpected, ...unloaded, ...mended],
  }
}
