/**
 * The command line as a process of its own, and a broker in this one.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { onTestFinished } from 'vitest'
import type { ConnectPacket, PublishPacket } from '../../src/protocol/packets.ts'
import { type BrokerOptions, createBroker, type TestBroker } from '../../src/testing/index.ts'
import { program } from '../support/built.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))

export interface Ended {
  readonly status: number | null
  readonly stdout: string
  readonly stderr: string
}

export interface Running {
  readonly process: ChildProcess
  readonly ended: Promise<Ended>
  readonly stdout: () => string
  readonly stderr: () => string
}

/** Starts `it-mqtt`; what is still running when the test ends is killed. */
export function start(
  args: readonly string[],
  env: NodeJS.ProcessEnv = {},
  cwd: string = ROOT,
): Running {
  return run(process.execPath, [...program('cli/main'), ...args], env, cwd)
}

export function run(
  file: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv = {},
  cwd: string = ROOT,
): Running {
  const child = spawn(file, args, { cwd, env: { ...process.env, ...env } })
  onTestFinished(() => void child.kill('SIGKILL'))
  let stdout = ''
  let stderr = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text
  })
  child.stdin.on('error', () => {})
  const ended = new Promise<Ended>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (status) => resolve({ status, stdout, stderr }))
  })
  return { process: child, ended, stdout: () => stdout, stderr: () => stderr }
}

/** Runs `it-mqtt` to its end, with this on standard input. */
export function cli(args: readonly string[], input = '', env: NodeJS.ProcessEnv = {}) {
  const running = start(args, env)
  running.process.stdin?.end(input)
  return running.ended
}

export interface ListeningBroker {
  readonly url: string
  readonly port: number
  readonly broker: TestBroker
  readonly sockets: ReadonlySet<Socket>
  /** Messages of clients, in the order they came. */
  readonly messages: readonly PublishPacket[]
  /** Resolves once so many messages came. */
  received(count: number): Promise<void>
}

const PUBLISHED = { cmd: 'publish', direction: 'toBroker' } as const

/** A broker of MQTT 3.1.1, so that the command line has to fall back from MQTT 5. */
export async function broker(
  prepare: (broker: TestBroker) => void = () => {},
  options: BrokerOptions = {},
): Promise<ListeningBroker> {
  const broker = createBroker({ protocolVersions: [4], ...options })
  prepare(broker)
  const messages: PublishPacket[] = []
  broker.watch(PUBLISHED, ({ packet }) => messages.push(packet as PublishPacket))
  const { port, sockets } = await listen((socket) => broker.accept(socket))
  onTestFinished(() => broker.close())
  return {
    ...{ url: `mqtt://127.0.0.1:${port}`, port, broker, sockets, messages },
    received: async (count) => {
      if (count > 0) await broker.waitFor(PUBLISHED, count)
    },
  }
}

/** For `broker()`: every CONNECT, or those of one client, is refused with a reason code. */
export function refusing(reasonCode: number, isMeant: (clientId: string) => boolean = () => true) {
  return (broker: TestBroker): void => {
    const times = Number.POSITIVE_INFINITY
    broker.faults.refuse(
      ({ packet, clientId }) => packet.cmd === 'connect' && isMeant(clientId),
      reasonCode,
      { times },
    )
  }
}

/** @returns user name and password of each CONNECT. */
export function credentials(broker: TestBroker): string[] {
  return broker.packets('connect').map((packet) => {
    const { username, password } = packet as ConnectPacket
    return `${username} ${password}`
  })
}

/** A TCP server that is gone when the test ends. `at`: its port, or 0 for a free one. */
export async function listen(
  onSocket: (socket: Socket) => void,
  server: Server = createServer(),
  event = 'connection',
  at = 0,
): Promise<{ port: number; sockets: ReadonlySet<Socket> }> {
  const sockets = new Set<Socket>()
  server.on(event, (socket: Socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
    socket.on('error', () => {})
    onSocket(socket)
  })
  await new Promise<void>((resolve) => server.listen(at, '127.0.0.1', resolve))
  onTestFinished(() => {
    server.close()
    for (const socket of sockets) socket.destroy()
  })
  return { port: (server.address() as AddressInfo).port, sockets }
}

/** A directory that is gone when the test ends. */
export async function scratch(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'it-mqtt-'))
  onTestFinished(() => rm(path, { recursive: true, force: true }))
  return path
}

/** Waits for a condition, looking often; the test's own time limit ends it. */
export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 20))
}
