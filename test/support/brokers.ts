/**
 * Other people's brokers, each with a configuration, a folder and ports of its own; all of it is gone when the test is over.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { chownSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { type AddressInfo, connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Aedes } from 'aedes'
import type { TestContext } from 'vitest'
import { freePort } from './mosquitto.ts'
import { until } from './process.ts'

export interface Broker {
  readonly url: string
  stop(): Promise<void> | void
}

export interface Kind {
  readonly name: string
  /** What has to be installed; null: nothing. */
  readonly program: string | null
  readonly versions: readonly (4 | 5)[]
  /** The highest QoS that it grants. */
  readonly maximumQoS: 1 | 2
  start(folder: string): Promise<Broker>
}

/** The broker, or the test is told as not run; where brokers are required, it fails. */
export async function open(context: TestContext, { name, program, start }: Kind): Promise<Broker> {
  if (program !== null && spawnSync('which', [program]).status !== 0) {
    if (process.env['IT_MQTT_REQUIRE_BROKERS'] === '1') throw new Error(`${name} is required`)
    console.log(`not run, ${name} is not installed: ${context.task.name}`)
    context.skip(`${name} is not installed: not run`)
  }
  const folder = mkdtempSync(join(tmpdir(), `it-mqtt-${name}-`))
  const broker = await start(folder)
  context.onTestFinished(async () => {
    await broker.stop()
    rmSync(folder, { recursive: true, force: true })
  })
  return broker
}

async function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connect(port, '127.0.0.1', () => resolve(true))
    probe.on('error', () => resolve(false))
    probe.on('connect', () => probe.destroy())
  })
}

const START_MS = 90_000

/** A process of its own group, so that what it started ends with it. */
async function started(
  command: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv,
  port: number,
): Promise<ChildProcess> {
  const child = spawn(command, args, {
    env: { ...process.env, ...env },
    detached: true,
    stdio: 'ignore',
  })
  await until(
    async () => {
      if (child.exitCode !== null) throw new Error(`${command} did not start`)
      return answers(port)
    },
    `${command} answers`,
    START_MS,
  )
  return child
}

async function ended(child: ChildProcess): Promise<void> {
  try {
    process.kill(-child.pid!, 'SIGKILL')
  } catch {
    // It is gone already.
  }
  await until(() => child.exitCode !== null || child.signalCode !== null, 'the broker ends')
}

const aedes: Kind = {
  name: 'aedes',
  program: null,
  versions: [4],
  maximumQoS: 2,
  async start() {
    const broker = await Aedes.createBroker()
    const server = createServer(broker.handle)
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as AddressInfo
    const stop = () => {
      broker.close()
      server.close()
    }
    return { url: `mqtt://127.0.0.1:${port}`, stop }
  },
}

const nats: Kind = {
  name: 'NATS',
  program: 'nats-server',
  versions: [4],
  maximumQoS: 1,
  async start(folder) {
    const [port, own] = [await freePort(), await freePort()]
    const file = join(folder, 'nats.conf')
    const lines = [
      'server_name: test',
      `listen: 127.0.0.1:${own}`,
      `jetstream { store_dir: ${folder}/jetstream }`,
      `mqtt { listen: 127.0.0.1:${port} }`,
    ]
    writeFileSync(file, `${lines.join('\n')}\n`)
    const child = await started('nats-server', ['-c', file], {}, port)
    return { url: `mqtt://127.0.0.1:${port}`, stop: () => ended(child) }
  },
}

/** Erlang's name server would outlive its test: each has its own, and it goes once no node needs it. */
async function endNames(port: number): Promise<void> {
  await until(async () => {
    spawnSync('epmd', ['-port', String(port), '-kill'])
    return !(await answers(port))
  }, "Erlang's name server ends")
}

const rabbit: Kind = {
  name: 'RabbitMQ',
  program: 'rabbitmq-server',
  versions: [4],
  maximumQoS: 1,
  async start(folder) {
    const [port, amqp, names, own] = await ports(4)
    const config = join(folder, 'rabbitmq.conf')
    const plugins = join(folder, 'plugins')
    const lines = [
      `listeners.tcp.1 = 127.0.0.1:${amqp}`,
      `mqtt.listeners.tcp.1 = 127.0.0.1:${port}`,
    ]
    writeFileSync(config, `${lines.join('\n')}\nmqtt.allow_anonymous = true\n`)
    writeFileSync(plugins, '[rabbitmq_mqtt].\n')
    const env = {
      HOME: folder,
      ERL_EPMD_PORT: String(names),
      RABBITMQ_NODENAME: 'test@localhost',
      RABBITMQ_DIST_PORT: String(own),
      RABBITMQ_MNESIA_BASE: join(folder, 'data'),
      RABBITMQ_LOG_BASE: join(folder, 'log'),
      RABBITMQ_CONFIG_FILE: config,
      RABBITMQ_ENABLED_PLUGINS_FILE: plugins,
      RABBITMQ_PID_FILE: join(folder, 'pid'),
    }
    const child = await started('/usr/lib/rabbitmq/bin/rabbitmq-server', [], env, port!)
    const stop = async () => {
      await ended(child)
      await endNames(names!)
    }
    return { url: `mqtt://127.0.0.1:${port}`, stop }
  },
}

const ejabberd: Kind = {
  name: 'ejabberd',
  program: 'ejabberdctl',
  versions: [5, 4],
  maximumQoS: 2,
  async start(folder) {
    const [port, names] = await ports(2)
    const config = join(folder, 'ejabberd.yml')
    const lines = [
      'hosts: [localhost]',
      'auth_method: [anonymous]',
      'anonymous_protocol: login_anon',
      'allow_multiple_connections: true',
      `listen: [{ port: ${port}, ip: "127.0.0.1", module: mod_mqtt }]`,
      'modules: { mod_mqtt: {} }',
    ]
    writeFileSync(config, `${lines.join('\n')}\n`)
    mkdirSync(join(folder, 'data'))
    // Its control program becomes this user where it may.
    if (process.getuid?.() === 0) {
      const [, , uid, gid] = /^ejabberd:(.*)$/m
        .exec(readFileSync('/etc/passwd', 'utf8'))![0]
        .split(':')
      for (const path of [folder, config, join(folder, 'data')])
        chownSync(path, Number(uid), Number(gid))
    }
    const flags = [
      ...['--config', config, '--config-dir', folder, '--spool', join(folder, 'data')],
      ...['--logs', join(folder, 'log'), '--node', `test${port}@localhost`],
    ]
    const env = { ERL_EPMD_PORT: String(names) }
    const child = await started('ejabberdctl', [...flags, 'foreground'], env, port!)
    const stop = async () => {
      // The server is no child of ours: its control program began a session of its own.
      spawnSync('ejabberdctl', [...flags, 'stop'], { env: { ...process.env, ...env } })
      await until(async () => !(await answers(port!)), 'ejabberd stops')
      await ended(child)
      await endNames(names!)
    }
    return { url: `mqtt://user:x@127.0.0.1:${port}`, stop }
  },
}

async function ports(count: number): Promise<number[]> {
  const found = new Set<number>()
  while (found.size < count) found.add(await freePort())
  return [...found]
}

export const KINDS: readonly Kind[] = [aedes, nats, rabbit, ejabberd]
