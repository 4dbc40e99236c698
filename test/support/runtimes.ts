/**
 * The runtimes beside the one that runs the tests: npm has their binaries. `npm run runtimes --
 * --install` puts them where this file finds them; a test that needs one that is not there says
 * that it did not run, or fails if runtimes are required.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { TestContext } from 'vitest'

export type RuntimeName = 'node-22' | 'node-24' | 'bun' | 'deno'

export interface Runtime {
  readonly name: RuntimeName
  /** How a person calls it. */
  readonly title: string
  /** What npm installs. Bun and Deno are pinned: each version has exceptions of its own. */
  readonly package: string
  /** The binary below node_modules; `*` stands for a part that depends on the system. */
  readonly binary: string
  /** What stands before the path of a program that may do everything. */
  readonly run: readonly string[]
}

const NODE = `node-${process.platform === 'win32' ? 'win' : process.platform}-${process.arch}`

export const RUNTIMES: readonly Runtime[] = [
  ...(['22', '24'] as const).map((major) => ({
    name: `node-${major}` as const,
    title: `Node ${major}`,
    package: `${NODE}@${major}`,
    binary: `${NODE}/bin/node`,
    run: [],
  })),
  {
    name: 'bun',
    title: 'Bun',
    package: 'bun@1.4.5',
    binary: '@oven/bun-*/bin/bun',
    run: [],
  },
  {
    name: 'deno',
    title: 'Deno',
    package: 'deno@2.9.6',
    binary: '@deno/*/deno',
    run: ['run', '--allow-all', '--node-modules-dir=manual'],
  },
]

/** Where the binaries are: each in a folder of its own, as npm installs it. */
const HOME =
  process.env['IT_MQTT_RUNTIMES'] ??
  fileURLToPath(new URL('../../node_modules/.cache/it-mqtt-runtimes', import.meta.url))

/** @returns the path of the binary, or null if it is not installed. */
export function binaryOf({ name, binary }: Runtime): string | null {
  const path = find(join(HOME, name, 'node_modules'), binary.split('/'))
  return path !== null && existsSync(path) ? path : null
}

function find(folder: string, [part, ...rest]: readonly string[]): string | null {
  if (part === undefined) return folder
  if (!part.includes('*')) return find(join(folder, part), rest)
  const [before = '', after = ''] = part.split('*')
  const names = existsSync(folder) ? readdirSync(folder) : []
  const name = names.find((one) => one.startsWith(before) && one.endsWith(after))
  return name === undefined ? null : find(join(folder, name), rest)
}

/**
 * Installs a runtime unless it is there. No script of its package runs: the binary is in it.
 *
 * @returns the path of the binary.
 * @throws an Error if npm fails, for example without a network.
 */
export function installRuntime(runtime: Runtime): string {
  const found = binaryOf(runtime)
  if (found !== null) return found
  const folder = join(HOME, runtime.name)
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, 'package.json'), '{ "private": true }\n')
  const flags = ['--ignore-scripts', '--no-audit', '--no-fund', '--prefer-offline']
  const { status, stderr } = spawnSync('npm', ['install', ...flags, runtime.package], {
    cwd: folder,
    encoding: 'utf8',
  })
  const installed = binaryOf(runtime)
  if (status === 0 && installed !== null) return installed
  const reason = stderr.trim() || `no ${runtime.binary} is in it`
  throw new Error(`${runtime.package} was not installed: ${reason}`)
}

/** @returns the binary; without it the test is skipped, or fails if runtimes are required. */
export function requireRuntime(name: RuntimeName, context: TestContext): string {
  const runtime = RUNTIMES.find((one) => one.name === name)!
  const binary = binaryOf(runtime)
  if (binary !== null) return binary
  if (process.env['IT_MQTT_REQUIRE_RUNTIMES'] === '1') {
    throw new Error(`${runtime.title} is required: npm run runtimes -- --install`)
  }
  console.log(`not run, ${runtime.title} is not installed: ${context.task.name}`)
  return context.skip(`${runtime.title} is not installed: not run`)
}
