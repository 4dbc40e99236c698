/**
 * The package as its users have it, with the packages that the checks need beside it, and the
 * programs that run with it.
 */
import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { finish } from '../support/process.ts'

export const ROOT = fileURLToPath(new URL('../..', import.meta.url))
/** The results of the last run of each column of docs/RUNTIMES.md, as JSON. */
export const RESULTS = join(ROOT, 'node_modules/.cache/it-mqtt-runtimes-results')
const HANG_MS = 300_000

/** @returns what a command printed. It throws if the command fails or does not end. */
export async function output(
  command: string,
  args: readonly string[],
  hangMs = HANG_MS,
): Promise<string> {
  const { code, stdout, stderr } = await finish(command, args, hangMs)
  if (code === 0) return stdout
  const how = code === null ? `did not end within ${hangMs / 1000} s` : `ended with ${code}`
  throw new Error(`${command} ${args.join(' ')} ${how}\n${stdout}${stderr}`)
}

/** Packs this package and installs it in a folder, with the programs of the checks. */
export async function installPackage(home: string): Promise<void> {
  const packed = await output('npm', ['pack', ROOT, '--json', '--pack-destination', home])
  // The build prints before the JSON.
  const [{ filename }] = JSON.parse(packed.slice(packed.indexOf('[\n')))
  const { devDependencies } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'))
  const beside = ['ws', 'classic-level', 'aedes', 'cli-progress'].map(
    (name) => `${name}@${devDependencies[name]}`,
  )
  writeFileSync(join(home, 'package.json'), '{ "private": true, "type": "module" }\n')
  const flags = ['--ignore-scripts', '--no-audit', '--no-fund', '--prefer-offline']
  await output('npm', ['install', '--prefix', home, ...flags, join(home, filename), ...beside])
  for (const path of ['docs/examples/main-job', 'docs/data/nab']) {
    mkdirSync(join(home, path), { recursive: true })
    cpSync(join(ROOT, path), join(home, path), { recursive: true })
  }
  cpSync(join(ROOT, 'test/package/consumer/required.cjs'), join(home, 'required.cjs'))
  await bundlePrograms(home)
}

/** Translates the programs, for the runtimes that do not read TypeScript. */
export async function bundlePrograms(home: string): Promise<void> {
  await build({
    absWorkingDir: ROOT,
    entryPoints: {
      check: 'test/runtimes/check.ts',
      start: 'test/runtimes/start.ts',
      ends: 'test/processes/ends.ts',
      // It finds its data from where it is.
      'docs/examples/main-job/main': 'docs/examples/main-job/main.ts',
    },
    outdir: home,
    outExtension: { '.js': '.mjs' },
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20.19',
    packages: 'external',
    logLevel: 'warning',
    plugins: [
      {
        name: 'installed-package',
        setup: ({ onResolve }) => {
          onResolve({ filter: /\/src\/index\.ts$/ }, () => ({ path: 'it-mqtt', external: true }))
          onResolve({ filter: /^it-mqtt/ }, ({ path }) => ({ path, external: true }))
        },
      },
    ],
  })
}
