/**
 * Programs against programs: each in a process of its own, in turn, so that whatever the machine does meets all of them alike.
 */
import { type ChildProcess, execFile, spawn, spawnSync } from 'node:child_process'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { connect, createServer } from 'node:net'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { build } from 'esbuild'

export const folder = fileURLToPath(new URL('.', import.meta.url))
const HANG_MS = 120_000
const PINS = spawnSync('taskset', ['-c', '1', 'true']).status === 0

export interface Program {
  /** Who: `it-mqtt` or a style of it, `mqtt.js`, `floor`. */
  readonly name: string
  readonly script: string
  readonly args: readonly (string | number)[]
  /** On one core, with all its threads, where the system has `taskset`. */
  readonly onOneCore?: boolean
  /** Before each of its runs. */
  readonly before?: () => void
}

/** What a program prints: one line of JSON. */
export type Figures = Readonly<Record<string, unknown>>

export interface Summary {
  readonly median: number
  readonly low: number
  readonly high: number
}

/** Every program in turn, `runs` times. A program that fails, or did not count what it should, ends the benchmark. */
export async function inTurn(
  programs: readonly Program[],
  runs: number,
): Promise<Map<string, Figures[]>> {
  const figures = new Map<string, Figures[]>(programs.map(({ name }) => [name, []]))
  for (let run = 0; run < runs; run++) {
    for (const { name, script, args, onOneCore, before } of programs) {
      before?.()
      const command = [process.execPath, '--expose-gc', script, ...args.map(String)]
      const [file, ...rest] = onOneCore && PINS ? ['taskset', '-c', '1', ...command] : command
      const run = () =>
        promisify(execFile)(file!, rest, { cwd: join(folder, '..'), timeout: HANG_MS })
      // What a peer has sent at QoS 0 may be lost, and it waits for ever.
      const { stdout } = await run().catch((error) => {
        if (error.killed !== true || name === 'it-mqtt') throw error
        console.error(`${name} has hung, and is run once more: ${error.cmd}`)
        return run()
      })
      figures.get(name)!.push(JSON.parse(stdout))
    }
  }
  return figures
}

export function summary(figures: readonly Figures[], metric: string): Summary {
  const values = figures.map((one) => Number(one[metric])).sort((a, b) => a - b)
  return {
    median: values[Math.floor(values.length / 2)] ?? Number.NaN,
    low: values[0] ?? Number.NaN,
    high: values.at(-1) ?? Number.NaN,
  }
}

export async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  await new Promise((resolve) => server.close(resolve))
  return typeof address === 'object' && address !== null ? address.port : 0
}

async function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connect(port, '127.0.0.1', () => {
      probe.destroy()
      resolve(true)
    })
    probe.on('error', () => resolve(false))
  })
}

export interface Server {
  readonly port: number
  stop(): void
}

/** A server in a process of its own, once it answers. */
export async function serve(
  command: string,
  args: (port: number) => Promise<readonly string[]> | readonly string[],
): Promise<Server> {
  const port = await freePort()
  const server: ChildProcess = spawn(command, await args(port), { stdio: 'ignore' })
  while (!(await answers(port))) {
    if (server.exitCode !== null) throw new Error(`${command} did not start`)
  }
  return { port, stop: () => server.kill() }
}

export function rawServer(): Promise<Server> {
  return serve(process.execPath, (port) => [join(folder, 'peers/raw-server.mjs'), String(port)])
}

/** Our programs as plain JavaScript, as people install the package: no loader in the way. Paths by name. */
export async function compile(
  sources: readonly string[],
): Promise<{ scripts: Map<string, string>; remove(): Promise<void> }> {
  // Where what is not bundled is found.
  const cache = join(folder, '../node_modules/.cache')
  await mkdir(cache, { recursive: true })
  const out = await mkdtemp(join(cache, 'bench-'))
  await build({
    entryPoints: sources.map((name) => join(folder, name)),
    outdir: out,
    outExtension: { '.js': '.mjs' },
    bundle: true,
    platform: 'node',
    format: 'esm',
    // Moleculer and NestJS load parts of themselves by name.
    external: ['classic-level', 'esbuild', 'playwright', 'moleculer', '@nestjs/*'],
    // Some of what is bundled was written for `require`.
    banner: {
      js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url)",
    },
  })
  const scripts = new Map(
    sources.map((name) => {
      const base = basename(name, '.ts')
      return [base, join(out, `${base}.mjs`)]
    }),
  )
  return { scripts, remove: () => rm(out, { recursive: true }) }
}
