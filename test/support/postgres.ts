/** A PostgreSQL of the test's own: a folder, a socket in it, no port. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { chownSync, existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Client } from 'pg'
import { until } from './process.ts'

const START_MS = 60_000
const DEBIAN = '/usr/lib/postgresql'

/** @returns the folder of its programs, or null if it is not installed. */
function programs(): string | null {
  if (!existsSync(DEBIAN)) return null
  const [newest] = readdirSync(DEBIAN).sort((a, b) => Number(b) - Number(a))
  const folder = join(DEBIAN, newest ?? '', 'bin')
  return existsSync(join(folder, 'initdb')) ? folder : null
}

/** It refuses to run as root. */
function owner(): { uid?: number; gid?: number } {
  if (process.getuid?.() !== 0) return {}
  const idOf = (flag: string) =>
    Number(execFileSync('id', [flag, 'postgres'], { encoding: 'utf8' }))
  return { uid: idOf('-u'), gid: idOf('-g') }
}

export class Postgres {
  readonly folder: string
  readonly #process: ChildProcess

  private constructor(folder: string, child: ChildProcess) {
    this.folder = folder
    this.#process = child
  }

  /** How `pg` connects to it. */
  get options() {
    return { host: this.folder, user: 'postgres', database: 'postgres' }
  }

  /** @returns null if it is not installed. */
  static async start(): Promise<Postgres | null> {
    const bin = programs()
    if (bin === null) return null
    const folder = mkdtempSync(join(tmpdir(), 'it-mqtt-postgres-'))
    const as = owner()
    if (as.uid !== undefined) chownSync(folder, as.uid, as.gid!)
    const data = join(folder, 'data')
    const init = ['-D', data, '-U', 'postgres', '--auth=trust', '--no-sync']
    execFileSync(join(bin, 'initdb'), init, { ...as, cwd: folder, stdio: 'pipe' })
    const args = ['-D', data, '-k', folder, '-c', 'listen_addresses=', '-c', 'fsync=off']
    const child = spawn(join(bin, 'postgres'), args, { ...as, cwd: folder, stdio: 'ignore' })
    const started = new Postgres(folder, child)
    await until(() => started.#answers(), 'PostgreSQL answers', START_MS)
    return started
  }

  async #answers(): Promise<boolean> {
    const client = new Client(this.options)
    try {
      await client.connect()
      await client.end()
      return true
    } catch {
      return false
    }
  }

  async stop(): Promise<void> {
    const ended = new Promise((resolve) => this.#process.once('close', resolve))
    this.#process.kill('SIGQUIT')
    await ended
    rmSync(this.folder, { recursive: true, force: true })
  }
}
