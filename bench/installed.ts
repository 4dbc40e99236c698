/**
 * The packages as npm installs them: it-mqtt from its tarball, and beside it MQTT.js and
 * Moleculer of the same versions as in node_modules. And how large both are.
 */
import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { folder } from './measure.ts'

const root = join(folder, '..')

interface Manifest {
  readonly version: string
  readonly dependencies?: Readonly<Record<string, string>>
}

/** A temporary folder in which the packages are installed when they are asked for. */
export class Installed {
  #home: string | null = null
  #ready: Promise<string> | null = null

  /** @returns the path of a program in the folder. The package has to be built. */
  async script(name: string): Promise<string> {
    this.#ready ??= this.#install()
    return join(await this.#ready, `${name}.mjs`)
  }

  async remove(): Promise<void> {
    if (this.#home !== null) await rm(this.#home, { recursive: true, force: true })
  }

  async #install(): Promise<string> {
    const home = await mkdtemp(join(tmpdir(), 'it-mqtt-bench-'))
    this.#home = home
    const npm = (cwd: string, ...args: string[]) =>
      execFileSync('npm', args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] })
    // main.ts has just built dist/: no script has to run.
    const flags = ['--ignore-scripts', '--json', '--silent']
    const [packed] = JSON.parse(npm(root, 'pack', ...flags, '--pack-destination', home))
    await writeFile(join(home, 'package.json'), '{ "private": true, "type": "module" }\n')
    const quiet = ['--prefer-offline', '--no-audit', '--no-fund', '--silent']
    const peers = ['mqtt', 'moleculer'].map((name) => `${name}@${versionOf(name)}`)
    npm(home, 'install', ...quiet, join(home, packed.filename), ...peers)
    const scripts = ['start', 'start-service', 'service-bus', 'service-moleculer']
    for (const name of scripts) {
      await cp(join(folder, `programs/${name}.mjs`), join(home, `${name}.mjs`))
    }
    return home
  }
}

/** @returns the version of a package in node_modules. */
export function versionOf(name: string): string {
  return manifestOf(join(root, 'node_modules', name)).version
}

/** @returns packages and size in node_modules of each library with all its dependencies. */
export function sizes(): object[] {
  const modules = join(root, 'node_modules')
  const own = treeOf(modules, Object.keys(manifestOf(root).dependencies ?? {}))
  const theirs = treeOf(modules, ['mqtt'])
  const row = (name: string, packages: number, bytes: number) => ({
    library: name,
    packages,
    MB: (bytes / 1e6).toFixed(1),
  })
  const bytesOf = (names: ReadonlySet<string>) =>
    [...names].reduce((sum, name) => sum + bytesIn(join(modules, name)), 0)
  return [
    row('it-mqtt', own.size + 1, bytesOf(own) + bytesIn(join(root, 'dist'))),
    row('mqtt.js', theirs.size, bytesOf(theirs)),
  ]
}

function manifestOf(path: string): Manifest {
  return JSON.parse(readFileSync(join(path, 'package.json'), 'utf8'))
}

function treeOf(modules: string, names: readonly string[]): Set<string> {
  const seen = new Set<string>()
  const visit = (name: string) => {
    if (seen.has(name)) return
    seen.add(name)
    for (const next of Object.keys(manifestOf(join(modules, name)).dependencies ?? {})) visit(next)
  }
  for (const name of names) visit(name)
  return seen
}

function bytesIn(path: string): number {
  const names = readdirSync(path, { recursive: true, encoding: 'utf8' })
  return names.reduce((sum, name) => {
    const stat = statSync(join(path, name))
    return stat.isFile() ? sum + stat.size : sum
  }, 0)
}
