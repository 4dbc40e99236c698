/**
 * The command line as a process of its own, and a broker in this one.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Aedes, type AedesPublishPacket } from 'aedes'
import { onTestFinished } from 'vitest'
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
export function start(args: readonly string[], env: NodeJS.ProcessEnv = {}): Running {
  return run(process.execPath, [...program('cli/main'), ...args], env)
}

export function run(file: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): Running {
  const child = spawn(file, args, { cwd: ROOT, env: { ...process.env, ...env } })
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

export interface TestBroker {
  readonly url: string
  readonly port: number
  readonly aedes: Aedes
  readonly sockets: ReadonlySet<Socket>
  /** Messages of clients, in the order they came. */
  readonly messages: AedesPublishPacket[]
  /** Resolves once so many messages came. */
  received(count: number): Promise<void>
}

export async function broker(prepare: (aedes: Aedes) => void = () => {}): Promise<TestBroker> {
  const aedes = await Aedes.createBroker()
  prepare(aedes)
  const messages: AedesPublishPacket[] = []
  const waiting = new Set<() => void>()
  aedes.on('publish', (packet, client) => {
    if (client === null) return
    messages.push(packet)
    for (const check of waiting) check()
  })
  const { port, sockets } = await listen((socket) => aedes.handle(socket))
  onTestFinished(() => aedes.close())
  return {
    url: `mqtt://127.0.0.1:${port}`,
    port,
    aedes,
    sockets,
    messages,
    received: (count) =>
      new Promise((resolve) => {
        const check = () => {
          if (messages.length < count) return
          waiting.delete(check)
          resolve()
        }
        waiting.add(check)
        check()
      }),
  }
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
