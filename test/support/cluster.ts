/**
 * A cluster of RabbitMQ nodes on loopback: each is a process group with ports, data and log of its
 * own; they share a cookie and a name server of Erlang that nobody else uses. A node is killed as a
 * crash would; all of it is gone when the test is over.
 *
 * Two nodes suffice to kill one: its manual wants most of the nodes up for a client of MQTT, but
 * version 3.10 does not insist.
 */
import { type ChildProcess, execFile, spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { answers, freePort, servesClients } from './ports.ts'
import { temporaryFolder, until } from './process.ts'

/**
 * Not the programs of the search path: they become another user, who has no access to the folder of
 * a test.
 */
const PROGRAMS = '/usr/lib/rabbitmq/bin'
const SERVER = join(PROGRAMS, 'rabbitmq-server')
const CONTROL = join(PROGRAMS, 'rabbitmqctl')
const START_MS = 90_000

/** The folder of the programs, or undefined if RabbitMQ is not installed. */
export const RABBIT = existsSync(SERVER) ? SERVER : undefined

const run = promisify(execFile)

export class Cluster {
  readonly nodes: readonly ClusterNode[]
  readonly #folder: { readonly path: string; remove(): void }
  readonly #namesPort: number

  private constructor(
    folder: { readonly path: string; remove(): void },
    namesPort: number,
    nodes: readonly ClusterNode[],
  ) {
    this.#folder = folder
    this.#namesPort = namesPort
    this.nodes = nodes
  }

  /** Starts nodes of these names in one cluster. */
  static async start(names: readonly string[]): Promise<Cluster> {
    const folder = temporaryFolder()
    const namesPort = await freePort()
    writeFileSync(join(folder.path, '.erlang.cookie'), 'cookie-of-a-test', { mode: 0o400 })
    const nodes: ClusterNode[] = []
    for (const name of names) nodes.push(await ClusterNode.prepare(name, folder.path, namesPort))
    const cluster = new Cluster(folder, namesPort, nodes)
    try {
      await cluster.#form()
      return cluster
    } catch (error) {
      await cluster[Symbol.asyncDispose]()
      throw error
    }
  }

  async #form(): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.up()))
    const [first, ...others] = this.nodes
    // The nodes join one by one: a node that joins restarts, and could not answer another one
    // meanwhile.
    for (const node of others) await node.join(first!)
  }

  /** Has queues with such names on all nodes, as its manual advises for a cluster of two. */
  async mirrorQueues(pattern: string): Promise<void> {
    await this.nodes[0]!.control('set_policy', 'mirrored', pattern, '{"ha-mode":"all"}')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.kill()))
    await endNames(this.#namesPort)
    this.#folder.remove()
  }
}

export class ClusterNode {
  readonly name: string
  readonly port: number
  readonly #env: NodeJS.ProcessEnv
  #process: ChildProcess | null = null

  private constructor(name: string, port: number, env: NodeJS.ProcessEnv) {
    this.name = name
    this.port = port
    this.#env = { ...process.env, ...env }
  }

  get url(): string {
    return `mqtt://127.0.0.1:${this.port}`
  }

  /** Writes its configuration; nothing runs yet. */
  static async prepare(name: string, home: string, namesPort: number): Promise<ClusterNode> {
    const folder = join(home, name)
    const [port, amqpPort, ownPort] = [await freePort(), await freePort(), await freePort()]
    const config = join(folder, 'rabbitmq.conf')
    const plugins = join(folder, 'plugins')
    const lines = [
      `listeners.tcp.1 = 127.0.0.1:${amqpPort}`,
      `mqtt.listeners.tcp.1 = 127.0.0.1:${port}`,
      'mqtt.allow_anonymous = true',
    ]
    mkdirSync(folder)
    writeFileSync(config, `${lines.join('\n')}\n`)
    writeFileSync(plugins, '[rabbitmq_mqtt].\n')
    return new ClusterNode(`${name}@localhost`, port, {
      HOME: home,
      ERL_EPMD_PORT: String(namesPort),
      RABBITMQ_NODENAME: `${name}@localhost`,
      RABBITMQ_DIST_PORT: String(ownPort),
      RABBITMQ_MNESIA_BASE: join(folder, 'data'),
      RABBITMQ_LOG_BASE: join(folder, 'log'),
      RABBITMQ_CONFIG_FILE: config,
      RABBITMQ_ENABLED_PLUGINS_FILE: plugins,
      RABBITMQ_PID_FILE: join(folder, 'pid'),
    })
  }

  async up(): Promise<void> {
    const child = spawn(SERVER, [], { env: this.#env, detached: true, stdio: 'ignore' })
    this.#process = child
    process.once('exit', () => killGroup(child))
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
  async join(other: ClusterNode): Promise<void> {
    await this.control('stop_app')
    await this.control('join_cluster', other.name)
    await this.control('start_app')
    await until(() => servesClients(this.port), `${this.name} serves clients again`, START_MS)
  }

  async control(...args: readonly string[]): Promise<void> {
    await run(CONTROL, ['-n', this.name, ...args], { env: this.#env, timeout: START_MS })
  }

  async kill(): Promise<void> {
    const child = this.#process
    if (child === null) return
    this.#process = null
    killGroup(child)
    // The process that was started is a shell, which ends before the node.
    const isGone = async () => hasEnded(child) && !(await answers(this.port))
    await until(isGone, `${this.name} is killed`)
  }
}

export function hasEnded({ exitCode, signalCode }: ChildProcess): boolean {
  return exitCode !== null || signalCode !== null
}

/** Kills the node with all its children. */
function killGroup(child: ChildProcess): void {
  if (child.pid === undefined || hasEnded(child)) return
  try {
    process.kill(-child.pid, 'SIGKILL')
  } catch {
    // It is gone already.
  }
}

/** Erlang's name server would outlive its test; it ends once no node needs it. */
export async function endNames(port: number): Promise<void> {
  await until(async () => {
    spawnSync('epmd', ['-port', String(port), '-kill'])
    return !(await answers(port))
  }, "Erlang's name server ends")
}
