/**
 * Processes and folders of a test: all are gone when it is over. Also a wait for a
 * condition, never for a time.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { build } from 'esbuild'

/** A condition that is not met by then never will be: the limit only ends a test that hangs. */
const HANG_MS = 25_000

const children = new Set<ChildProcess>()
process.on('exit', () => {
  for (const child of children) child.kill('SIGKILL')
})

/** Starts a process that does not outlive this one. */
export function start(command: string, args: readonly string[]): ChildProcess {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] })
  children.add(child)
  child.once('close', () => children.delete(child))
  return child
}

export interface Finished {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
}

/**
 * Runs a process to its end. A process that does not end by itself is killed, and `signal` says so.
 */
export async function finish(
  command: string,
  args: readonly string[],
  hangMs = HANG_MS,
): Promise<Finished> {
  const child = start(command, args)
  const output = { stdout: '', stderr: '' }
  child.stdout?.on('data', (chunk) => (output.stdout += chunk))
  child.stderr?.on('data', (chunk) => (output.stderr += chunk))
  const guard = setTimeout(() => child.kill('SIGKILL'), hangMs)
  try {
    const [code, signal] = await once(child, 'close')
    return { code, signal, ...output }
  } finally {
    clearTimeout(guard)
  }
}

/**
 * Makes one file of JavaScript with all that `entry` imports: a child that loads it starts quickly
 * and holds no loader.
 */
export async function bundle(entry: URL, folder: string): Promise<string> {
  const outfile = join(folder, 'bundle.mjs')
  await build({
    entryPoints: [entry.pathname],
    outfile,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    logLevel: 'silent',
    // These are found from where the bundle lies, or are not needed.
    external: ['classic-level'],
    // mqtt-packet is CommonJS and requires parts of Node.
    banner: {
      js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);",
    },
  })
  return outfile
}

export function temporaryFolder(): { path: string; remove: () => void } {
  const path = mkdtempSync(join(tmpdir(), 'it-mqtt-'))
  return { path, remove: () => removed(path) }
}

/**
 * Tries again if a file was put there while the folder was emptied: a stream may write its
 * checkpoint after its loop has ended.
 */
function removed(path: string, attempts = 5): void {
  try {
    rmSync(path, { recursive: true, force: true })
  } catch (error) {
    if (attempts === 1) throw error
    removed(path, attempts - 1)
  }
}

/** Resolves once `condition` holds. */
export async function until(
  condition: () => boolean | Promise<boolean>,
  what: string | (() => string),
  hangMs = HANG_MS,
): Promise<void> {
  const giveUpAt = performance.now() + hangMs
  while (!(await condition())) {
    if (performance.now() > giveUpAt) {
      throw new Error(`in vain: ${typeof what === 'string' ? what : what()}`)
    }
    await sleep(5)
  }
}
