/**
 * A cluster of ejabberd nodes on loopback: each has ports, data and log of its own; they share a
 * cookie and a name server of Erlang that nobody else uses. A node is killed as a crash would; all
 * of it is gone when the test is over.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { chownSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { endNames, hasEnded } from './cluster.ts'
import { answers, freePort, servesClients } from './ports.ts'
import { temporaryFolder, until } from './process.ts'

const CONTROL = 'ejabberdctl'
const START_MS = 90_000
/** The control program becomes this user if root starts it. */
const ITS_USER = /^ejabberd:[^:]*:(\d+):(\d+)/m

const run = promisify(execFile)

export class EjabberdCluster {
  readonly nodes: readonly EjabberdNode[]
  readonly #folder: { readonly path: string; remove(): void }
  readonly #namesPort: number

  private constructor(
    folder: { readonly path: string; remove(): void },
    namesPort: number,
    nodes: readonly EjabberdNode[],
  ) {
    this.#folder = folder
    this.#namesPort = namesPort
    this.nodes = nodes
  }

  /** Starts nodes of these names in one cluster. */
  static async start(names: readonly string[]): Promise<EjabberdCluster> {
    const folder = temporaryFolder()
    giveAway(folder.path)
    const namesPort = await freePort()
    const nodes: EjabberdNode[] = []
    for (const name of names) nodes.push(await EjabberdNode.prepare(name, folder.path, namesPort))
    const cluster = new EjabberdCluster(folder, namesPort, nodes)
    try {
      // The control program of a node that starts ends a name server that has no node yet.
      for (const node of nodes) await node.up()
      for (const node of nodes.slice(1)) await node.join(nodes[0]!)
      return cluster
    } catch (error) {
      await cluster[Symbol.asyncDispose]()
      throw error
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.kill()))
    await endNames(this.#namesPort)
    this.#folder.remove()
  }
}

class EjabberdNode {
  readonly name: string
  readonly port: number
  readonly #folder: string
  readonly #env: NodeJS.ProcessEnv
  #process: ChildProcess | null = null

  private constructor(name: string, port: number, folder: string, namesPort: number) {
    this.name = `${name}@localhost`
    this.port = port
    this.#folder = folder
    this.#env = {
      ...process.env,
      EJABBERD_PID_PATH: join(folder, 'pid'),
      ERL_EPMD_PORT: String(namesPort),
      ERL_EPMD_ADDRESS: '127.0.0.1',
      ERL_OPTIONS: '-setcookie cookie-of-a-test -kernel inet_dist_use_interface {127,0,0,1}',
    }
  }

  get url(): string {
    return `mqtt://user:x@127.0.0.1:${this.port}`
  }

  /** Writes its configuration; nothing runs yet. */
  static async prepare(name: string, home: string, namesPort: number): Promise<EjabberdNode> {
    const folder = join(home, name)
    const port = await freePort()
    const lines = [
      'hosts: [localhost]',
      'auth_method: [anonymous]',
      'anonymous_protocol: login_anon',
      'allow_multiple_connections: true',
      'listen:',
      `  - { port: ${port}, ip: "127.0.0.1", module: mod_mqtt }`,
      'modules: { mod_mqtt: {} }',
    ]
    mkdirSync(join(folder, 'data'), { recursive: true })
    writeFileSync(join(folder, 'ejabberd.yml'), `${lines.join('\n')}\n`)
    for (const path of [folder, join(folder, 'data')]) giveAway(path)
    return new EjabberdNode(name, port, folder, namesPort)
  }

  async up(): Promise<void> {
    const options = { env: this.#env, detached: true, stdio: 'ignore' } as const
    const child = spawn(CONTROL, [...this.#flags(), 'foreground'], options)
    this.#process = child
    process.once('exit', () => this.#end())
    await until(
      async () => {
        const serves = await servesClients(this.port)
        if (hasEnded(child)) throw new Error(`${this.name} did not start`)
        return serves
      },
      `${this.name} serves clients`,
      START_MS,
    )
  }

  /** Makes this node forget what it has and join the other's cluster. */
  async join(other: EjabberdNode): Promise<void> {
    const args = [...this.#flags(), 'join_cluster', other.name]
    await run(CONTROL, args, { env: this.#env, timeout: START_MS })
    await until(() => servesClients(this.port), `${this.name} serves clients again`, START_MS)
  }

  #flags(): readonly string[] {
    const folder = this.#folder
    return [
      ...['--config', join(folder, 'ejabberd.yml'), '--config-dir', folder, '--node', this.name],
      ...['--spool', join(folder, 'data'), '--logs', join(folder, 'log')],
    ]
  }

  async kill(): Promise<void> {
    const child = this.#process
    if (child === null) return
    this.#end()
    this.#process = null
    const isGone = async () => hasEnded(child) && !(await answers(this.port))
    await until(isGone, `${this.name} is killed`)
  }

  /** The server is no child of ours: its control program began a session of its own. */
  #end(): void {
    if (this.#process === null) return
    for (const pid of [this.#ownId(), -this.#process.pid!]) {
      if (pid === null) continue
      try {
        process.kill(pid, 'SIGKILL')
      } catch {
        // It is gone already.
      }
    }
  }

  /** @returns its process id, or null if it has written none. */
  #ownId(): number | null {
    try {
      return Number(readFileSync(join(this.#folder, 'pid'), 'utf8')) || null
    } catch {
      return null
    }
  }
}

/** Lets the user of ejabberd write there, if its control program is to become that user. */
function giveAway(path: string): void {
  if (process.getuid?.() !== 0) return
  const [, user, group] = ITS_USER.exec(readFileSync('/etc/passwd', 'utf8')) ?? []
  chownSync(path, Number(user), Number(group))
}
