/**
 * Real brokers, each with a configuration, a folder and ports of its own; all of it is gone when
 * the test is over.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { chownSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { createServer as createTlsServer } from 'node:tls'
import { Aedes } from 'aedes'
import type { Certificate } from './certificates.ts'
import { DURABLE, Mosquitto } from './mosquitto.ts'
import { answers, freePort, servesClients } from './ports.ts'
import { until } from './process.ts'

export interface Broker {
  readonly url: string
  /** The port behind the certificate for `localhost`. */
  readonly tlsUrl: string
  /**
   * Kills it as a crash would, as far as that broker can be killed so, and starts it again with
   * what it kept.
   */
  restart(): Promise<void>
  stop(): Promise<void> | void
}

type Version = 4 | 5

export interface Kind {
  readonly name: string
  /** The Debian package, or null if nothing has to be installed. */
  readonly package: string | null
  readonly program: string | null
  readonly versions: readonly Version[]
  /** The highest QoS that it grants. */
  readonly maximumQoS: 1 | 2
  /** Versions in which it supports shared subscriptions. */
  readonly shares: readonly Version[]
  /** Whether sessions survive a restart. */
  readonly keeps: boolean
  /** What comes for a message that matches two filters of one client, by version. */
  readonly overlap: Readonly<Partial<Record<Version, Overlap>>>
  /** Whether retained messages come before a message that is published after the SUBACK. */
  readonly retainedBeforeFence: boolean
  /** At which QoS it says in MQTT 5 that nobody has subscribed (0x10). */
  readonly saysNobody: readonly (1 | 2)[]
  /** Whether a session that is kept may have filters that overlap, and loses nothing. */
  readonly keepsOverlaps: boolean
  /** Whether it sends anything while a message at QoS 1 or 2 is not acknowledged. */
  readonly sendsAhead: boolean
  /** Whether what it sends again after a loss comes before later messages. */
  readonly resendsInOrder: boolean
  /** Whether what it sends again has DUP. */
  readonly marksRepetitions: boolean
  /** Whether filters with wildcards bring retained messages. */
  readonly retainedByWildcard: boolean
  /** A filter that it refuses, as it is configured here, or null. */
  readonly refuses: string | null
  start(folder: string, certificate: Certificate, options?: StartOptions): Promise<Broker>
}

/** `copies`: one for each filter, with its identifier in MQTT 5. */
type Overlap = 'copies' | 'one copy' | 'one copy for each QoS'

interface StartOptions {
  /**
   * NATS: how long it waits for an acknowledgement until it sends a message again, in ms. Default
   * 30,000.
   */
  readonly ackWaitMs?: number
}

export function isInstalled({ program }: Kind): boolean {
  return program === null || spawnSync('which', [program]).status === 0
}

const START_MS = 90_000
const END_MS = 60_000

/**
 * For brokers that answer first and save afterwards: the time until an answer is safe from a
 * SIGKILL, in ms.
 */
const SAVED_MS = 2500

const saved = () => sleep(SAVED_MS)

/** Where a broker listens for clients. */
interface Listeners {
  readonly plain?: number | undefined
  readonly tls?: number | undefined
  /** Where it listens for others: it cannot start while an earlier one holds these ports. */
  readonly others?: readonly number[]
}

/** Whether a broker serves clients at each of its listeners. */
async function serves({ plain, tls }: Listeners): Promise<boolean> {
  return (
    (plain === undefined || (await servesClients(plain))) &&
    (tls === undefined || (await servesClients(tls, { tls: true })))
  )
}

/** Starts a process in a group of its own, so that its children end with it. */
async function started(
  command: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv,
  listeners: Listeners,
): Promise<ChildProcess> {
  const child = spawn(command, args, {
    env: { ...process.env, ...env },
    detached: true,
    stdio: 'ignore',
  })
  await until(
    async () => {
      const isServing = await serves(listeners)
      const { exitCode, signalCode } = child
      if (exitCode === null && signalCode === null) return isServing
      throw new Error(`${command} did not start: it ended with ${exitCode ?? signalCode}`)
    },
    `${command} serves clients`,
    START_MS,
  )
  return child
}

/**
 * Kills a process group. The process that was started may be a shell that ends at once, while the
 * broker itself still ends and listens: another one that is started now would seem to answer.
 */
async function ended(child: ChildProcess, { plain, tls, others = [] }: Listeners): Promise<void> {
  try {
    process.kill(-child.pid!, 'SIGKILL')
  } catch {
    // It is gone already.
  }
  const isOver = () => child.exitCode !== null || child.signalCode !== null
  await until(isOver, 'the broker ends', END_MS)
  for (const port of [plain, tls, ...others]) {
    if (port === undefined) continue
    await until(async () => !(await answers(port)), `nobody listens on ${port}`, END_MS)
  }
}

/** A broker that is one process group: killed, and started again with the same arguments. */
async function running(
  command: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv,
  listeners: Listeners,
  finish: () => Promise<void> = async () => {},
): Promise<Pick<Broker, 'restart' | 'stop'>> {
  const start = () => started(command, args, env, listeners)
  let child = await start()
  return {
    async restart() {
      await ended(child, listeners)
      child = await start()
    },
    async stop() {
      await ended(child, listeners)
      await finish()
    },
  }
}

const at = (port: number | undefined, tlsPort: number | undefined) => ({
  url: `mqtt://127.0.0.1:${port}`,
  tlsUrl: `mqtts://localhost:${tlsPort}`,
})

const aedes: Kind = {
  name: 'aedes',
  package: null,
  program: null,
  versions: [4],
  maximumQoS: 2,
  shares: [],
  keeps: false,
  overlap: { 4: 'one copy' },
  retainedBeforeFence: false,
  saysNobody: [],
  keepsOverlaps: false,
  sendsAhead: true,
  resendsInOrder: true,
  marksRepetitions: false,
  retainedByWildcard: true,
  refuses: null,
  async start(_, { cert, key }) {
    const [port, tlsPort] = await ports(2)
    const start = async () => {
      const broker = await Aedes.createBroker()
      const secure = { cert: readFileSync(cert), key: readFileSync(key) }
      const servers = [createServer(broker.handle), createTlsServer(secure, broker.handle)]
      const [plain, tls] = servers
      await new Promise<void>((resolve) => plain!.listen(port, '127.0.0.1', resolve))
      await new Promise<void>((resolve) => tls!.listen(tlsPort, '127.0.0.1', resolve))
      return async () => {
        await new Promise<void>((resolve) => broker.close(resolve))
        await Promise.all(servers.map((one) => new Promise((resolve) => one.close(resolve))))
      }
    }
    let stop = await start()
    const restart = async () => {
      await stop()
      stop = await start()
    }
    return { ...at(port, tlsPort), restart, stop: () => stop() }
  },
}

/** Mosquitto's plugin for permissions, or undefined if it is not where Debian has it. */
const PERMISSIONS = ['x86_64', 'aarch64']
  .map((machine) => `/usr/lib/${machine}-linux-gnu/mosquitto_dynamic_security.so`)
  .find(existsSync)

const mosquitto: Kind = {
  name: 'mosquitto',
  package: 'mosquitto',
  program: 'mosquitto',
  versions: [5, 4],
  maximumQoS: 2,
  shares: [5, 4],
  keeps: true,
  overlap: { 4: 'one copy', 5: 'copies' },
  retainedBeforeFence: true,
  saysNobody: [1],
  keepsOverlaps: true,
  sendsAhead: true,
  resendsInOrder: true,
  marksRepetitions: true,
  retainedByWildcard: true,
  refuses: PERMISSIONS === undefined ? null : 'refused/x',
  async start(folder, { cert, key }) {
    const tlsPort = await freePort()
    const broker = await Mosquitto.start([
      // With `max_queued_messages 0` it closes a 3.1.1 connection with more than 20 messages at QoS
      // 2 in flight.
      ...DURABLE.filter((line) => !line.startsWith('max_queued_messages')),
      // With the default of 20, messages at QoS 2 for a 3.1.1 client stand still after the first
      // 20.
      'max_inflight_messages 1000',
      ...refusing(folder, 'refused/#'),
      'listener {port} 127.0.0.1',
      `listener ${tlsPort} 127.0.0.1`,
      `certfile ${cert}`,
      `keyfile ${key}`,
    ])
    const restart = async () => {
      await saved()
      await broker.restart('SIGKILL')
    }
    return { ...at(broker.port, tlsPort), restart, stop: () => broker[Symbol.asyncDispose]() }
  },
}

/** @returns the configuration with which it refuses a filter; an ACL file only hides messages. */
function refusing(folder: string, filter: string): readonly string[] {
  if (PERMISSIONS === undefined) return []
  const file = join(folder, 'permissions.json')
  const acls = [{ acltype: 'subscribePattern', topic: filter, allow: false }]
  const permissions = {
    defaultACLAccess: {
      publishClientSend: true,
      publishClientReceive: true,
      subscribe: true,
      unsubscribe: true,
    },
    roles: [{ rolename: 'everybody', acls }],
    groups: [{ groupname: 'all', roles: [{ rolename: 'everybody' }] }],
    anonymousGroup: 'all',
    clients: [],
  }
  writeFileSync(file, JSON.stringify(permissions))
  return [`plugin ${PERMISSIONS}`, `plugin_opt_config_file ${file}`]
}

const nats: Kind = {
  name: 'NATS',
  package: 'nats-server',
  program: 'nats-server',
  versions: [4],
  maximumQoS: 1,
  shares: [],
  keeps: true,
  overlap: { 4: 'copies' },
  retainedBeforeFence: true,
  saysNobody: [],
  keepsOverlaps: true,
  sendsAhead: true,
  resendsInOrder: false,
  marksRepetitions: true,
  retainedByWildcard: true,
  refuses: 'a.b',
  async start(folder, { cert, key }, { ackWaitMs = 30_000 } = {}) {
    const [port, own, tlsPort, ownToo] = await ports(4)
    const config = (client: number, mqtt: number, tls: readonly string[]) => [
      `server_name: test${client}`,
      `listen: 127.0.0.1:${client}`,
      `jetstream { store_dir: ${folder}/jetstream${client} }`,
      `mqtt { listen: 127.0.0.1:${mqtt}, ack_wait: "${ackWaitMs}ms"`,
      ...tls,
      '}',
    ]
    const start = async (client: number, mqtt: number, tls: readonly string[]) => {
      const file = join(folder, `nats${client}.conf`)
      writeFileSync(file, `${config(client, mqtt, tls).join('\n')}\n`)
      const listeners = { [tls.length === 0 ? 'plain' : 'tls']: mqtt, others: [client] }
      return running('nats-server', ['-c', file], {}, listeners)
    }
    // It has one listener for MQTT only: the one behind TLS is another server.
    const secure = `tls { cert_file: ${cert}, key_file: ${key} }`
    const [plain, tls] = [await start(own!, port!, []), await start(ownToo!, tlsPort!, [secure])]
    const stop = async () => {
      await plain.stop()
      await tls.stop()
    }
    return { ...at(port, tlsPort), restart: plain.restart, stop }
  },
}

/**
 * Erlang's name server would outlive its test: each broker has its own, which ends once no node
 * needs it.
 */
async function endNames(port: number): Promise<void> {
  await until(
    async () => {
      spawnSync('epmd', ['-port', String(port), '-kill'])
      return !(await answers(port))
    },
    "Erlang's name server ends",
    END_MS,
  )
}

const rabbit: Kind = {
  name: 'RabbitMQ',
  package: 'rabbitmq-server',
  program: 'rabbitmq-server',
  versions: [4],
  maximumQoS: 1,
  shares: [],
  keeps: true,
  overlap: { 4: 'one copy for each QoS' },
  retainedBeforeFence: true,
  saysNobody: [],
  keepsOverlaps: true,
  sendsAhead: true,
  resendsInOrder: true,
  marksRepetitions: true,
  retainedByWildcard: false,
  refuses: null,
  async start(folder, { cert, key }) {
    const [port, amqp, names, own, tlsPort] = await ports(5)
    const config = join(folder, 'rabbitmq.conf')
    const plugins = join(folder, 'plugins')
    const lines = [
      `listeners.tcp.1 = 127.0.0.1:${amqp}`,
      `mqtt.listeners.tcp.1 = 127.0.0.1:${port}`,
      `mqtt.listeners.ssl.1 = 127.0.0.1:${tlsPort}`,
      `ssl_options.certfile = ${cert}`,
      `ssl_options.keyfile = ${key}`,
      'mqtt.allow_anonymous = true',
    ]
    writeFileSync(config, `${lines.join('\n')}\n`)
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
    const program = '/usr/lib/rabbitmq/bin/rabbitmq-server'
    const listeners = { plain: port, tls: tlsPort, others: [amqp!, own!] }
    const broker = await running(program, [], env, listeners, () => endNames(names!))
    const restart = async () => {
      await saved()
      await broker.restart()
    }
    return { ...at(port, tlsPort), ...broker, restart }
  },
}

const ejabberd: Kind = {
  name: 'ejabberd',
  package: 'ejabberd',
  program: 'ejabberdctl',
  versions: [5, 4],
  maximumQoS: 2,
  shares: [],
  keeps: false,
  overlap: { 4: 'copies', 5: 'copies' },
  retainedBeforeFence: true,
  saysNobody: [1, 2],
  keepsOverlaps: true,
  sendsAhead: false,
  resendsInOrder: true,
  marksRepetitions: true,
  retainedByWildcard: true,
  refuses: '1/2/3/4/5/6/7/8/9/10',
  async start(folder, { cert, key }) {
    const [port, names, tlsPort] = await ports(3)
    const config = join(folder, 'ejabberd.yml')
    const pem = join(folder, 'both.pem')
    writeFileSync(pem, readFileSync(cert, 'utf8') + readFileSync(key, 'utf8'))
    const lines = [
      'hosts: [localhost]',
      'auth_method: [anonymous]',
      'anonymous_protocol: login_anon',
      'allow_multiple_connections: true',
      `certfiles: ["${pem}"]`,
      'listen:',
      `  - { port: ${port}, ip: "127.0.0.1", module: mod_mqtt }`,
      `  - { port: ${tlsPort}, ip: "127.0.0.1", module: mod_mqtt, tls: true }`,
      'modules: { mod_mqtt: {} }',
    ]
    writeFileSync(config, `${lines.join('\n')}\n`)
    mkdirSync(join(folder, 'data'))
    // Its control program becomes this user if it may.
    if (process.getuid?.() === 0) {
      const [, , uid, gid] = /^ejabberd:(.*)$/m
        .exec(readFileSync('/etc/passwd', 'utf8'))![0]
        .split(':')
      for (const path of [folder, config, pem, join(folder, 'data')])
        chownSync(path, Number(uid), Number(gid))
    }
    const flags = [
      ...['--config', config, '--config-dir', folder, '--spool', join(folder, 'data')],
      ...['--logs', join(folder, 'log'), '--node', `test${port}@localhost`],
    ]
    const env = { ERL_EPMD_PORT: String(names) }
    const listeners = { plain: port, tls: tlsPort }
    const start = () => started('ejabberdctl', [...flags, 'foreground'], env, listeners)
    let child = await start()
    const end = async () => {
      // The server is no child of ours: its control program began a session of its own.
      spawnSync('ejabberdctl', [...flags, 'stop'], { env: { ...process.env, ...env } })
      await until(async () => !(await answers(port!)), 'ejabberd stops', END_MS)
      await ended(child, listeners)
    }
    const restart = async () => {
      await end()
      // Its name is free a moment after its port.
      await endNames(names!)
      child = await start()
    }
    const stop = async () => {
      await end()
      await endNames(names!)
    }
    const user = 'user:x@'
    const { url, tlsUrl } = at(port, tlsPort)
    return {
      url: url.replace('//', `//${user}`),
      tlsUrl: tlsUrl.replace('//', `//${user}`),
      restart,
      stop,
    }
  },
}

function ports(count: number): Promise<number[]> {
  return Promise.all(Array.from({ length: count }, freePort))
}

export const KINDS: readonly Kind[] = [mosquitto, ejabberd, rabbit, nats, aedes]
