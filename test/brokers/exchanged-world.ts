/**
 * What the rows of the options table run against: one mosquitto with a listener of each kind, a
 * SOCKS 5 proxy, a Unix socket, and both programs.
 */
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import { join } from 'node:path'
import { Authority } from '../support/certificates.ts'
import { Mosquitto } from '../support/mosquitto.ts'
import { freePort } from '../support/ports.ts'
import { bundle, temporaryFolder, until } from '../support/process.ts'

export interface World {
  readonly port: number
  readonly ports: { readonly [name in 'password' | 'tls' | 'mutual' | 'renamed' | 'psk']: number }
  readonly proxyPort: number
  readonly socketPath: string
  readonly folder: string
  readonly ca: string
  readonly caFolder: string
  readonly client: { readonly cert: string; readonly key: string }
  /** The program that is given this name, as command and first arguments. */
  program(side: Side, name: 'pub' | 'sub' | 'rr'): readonly string[]
  log(): string
  close(): Promise<void>
}

export type Side = 'theirs' | 'ours'

export interface Ended {
  readonly status: number | null
  readonly stdout: string
  readonly stderr: string
}

/** No program of a row needs so long, in ms. */
const HANG_MS = 30_000

export const PSK = 'deadbeef'

export async function openWorld(): Promise<World> {
  const { path: folder, remove } = temporaryFolder()
  const authority = await Authority.create(folder, 'ca')
  const [server, other, client] = await Promise.all(
    ['DNS:localhost,IP:127.0.0.1', 'DNS:elsewhere.example', 'DNS:client'].map((names) =>
      authority.issue({ names }),
    ),
  )
  const caFolder = join(folder, 'authorities')
  mkdirSync(caFolder)
  copyFileSync(authority.cert, join(caFolder, 'authority.crt'))
  spawnSync('openssl', ['rehash', caFolder])
  spawnSync('mosquitto_passwd', ['-b', '-c', join(folder, 'passwords'), 'anna', 'secret'])
  writeFileSync(join(folder, 'keys'), `device:${PSK}\n`)
  const names = ['password', 'tls', 'mutual', 'renamed', 'psk'] as const
  const numbers = await Promise.all(names.map(() => freePort()))
  const ports = Object.fromEntries(names.map((name, index) => [name, numbers[index]!])) as {
    [name in (typeof names)[number]]: number
  }
  const tls = ({ cert, key }: { cert: string; key: string }) => [
    ...['allow_anonymous true', `cafile ${authority.cert}`],
    ...[`certfile ${cert}`, `keyfile ${key}`],
  ]
  const broker = await Mosquitto.start([
    ...['per_listener_settings true', 'log_type all'],
    ...['listener {port} 127.0.0.1', 'allow_anonymous true'],
    ...[`listener ${ports.password} 127.0.0.1`, 'allow_anonymous false'],
    `password_file ${join(folder, 'passwords')}`,
    ...[`listener ${ports.tls} 127.0.0.1`, ...tls(server!)],
    ...[`listener ${ports.mutual} 127.0.0.1`, ...tls(server!), 'require_certificate true'],
    ...[`listener ${ports.renamed} 127.0.0.1`, ...tls(other!)],
    ...[`listener ${ports.psk} 127.0.0.1`, 'allow_anonymous true', 'psk_hint hint'],
    `psk_file ${join(folder, 'keys')}`,
  ])
  const socketPath = join(folder, 'socket')
  const relay = createServer((socket) => joined(socket, connect(broker.port, '127.0.0.1')))
  const proxy = createServer((socket) => void speakSocks(socket))
  await Promise.all([listening(relay, socketPath), listening(proxy, 0)])
  const distFolder = join(folder, 'dist', 'cli')
  mkdirSync(distFolder, { recursive: true })
  copyFileSync('package.json', join(folder, 'package.json'))
  const main = await bundle(new URL('../../src/cli/main.ts', import.meta.url), distFolder)
  return {
    ...{ port: broker.port, ports, socketPath, folder, caFolder },
    ...{ proxyPort: (proxy.address() as AddressInfo).port, ca: authority.cert, client: client! },
    program: (side, name) =>
      side === 'theirs' ? [`mosquitto_${name}`] : [process.execPath, main, name],
    log: () => readFileSync(join(broker.folder, 'log'), 'utf8'),
    close: async () => {
      relay.close()
      proxy.close()
      await broker[Symbol.asyncDispose]()
      remove()
    },
  }
}

async function listening(server: Server, where: string | number): Promise<void> {
  if (typeof where === 'string') server.listen(where)
  else server.listen(where, '127.0.0.1')
  await once(server, 'listening')
}

function joined(a: Socket, b: Socket): void {
  a.pipe(b).pipe(a)
  for (const socket of [a, b]) socket.on('error', () => [a, b].map((one) => one.destroy()))
}

/** A SOCKS 5 proxy for one connection; it asks for the user `u` with the password `p`. */
async function speakSocks(socket: Socket): Promise<void> {
  socket.on('error', () => socket.destroy())
  const next = async () => (await once(socket, 'data'))[0] as Buffer
  await next()
  socket.write(Buffer.from([5, 2]))
  const credentials = await next()
  const isKnown = credentials.equals(Buffer.from([1, 1, 0x75, 1, 0x70]))
  socket.write(Buffer.from([1, isKnown ? 0 : 1]))
  if (!isKnown) return void socket.end()
  const request = await next()
  const target = connect(request.readUInt16BE(request.length - 2), '127.0.0.1')
  target.once('connect', () => {
    socket.write(Buffer.from([5, 0, 0, 1, 127, 0, 0, 1, 0, 0]))
    joined(socket, target)
  })
}

interface Started {
  readonly ended: Promise<Ended>
  readonly kill: (signal: NodeJS.Signals) => void
}

export function begin(
  [command = '', ...args]: readonly string[],
  input: string | Buffer = '',
  env: NodeJS.ProcessEnv = {},
): Started {
  const child = spawn(command, args, {
    env: { ...process.env, XDG_CONFIG_HOME: '/nowhere', TZ: 'UTC', ...env },
  })
  const parts: { stdout: Buffer[]; stderr: Buffer[] } = { stdout: [], stderr: [] }
  child.stdout.on('data', (chunk) => parts.stdout.push(chunk))
  child.stderr.on('data', (chunk) => parts.stderr.push(chunk))
  child.stdin.on('error', () => {})
  child.stdin.end(input)
  const guard = setTimeout(() => child.kill('SIGKILL'), HANG_MS)
  const ended = once(child, 'close').then(([status]) => {
    clearTimeout(guard)
    // Every byte is one character, so that nothing is lost in the comparison.
    const text = (chunks: readonly Buffer[]) => Buffer.concat(chunks).toString('latin1')
    return { status, stdout: text(parts.stdout), stderr: text(parts.stderr) }
  })
  return { ended, kill: (signal) => void child.kill(signal) }
}

/** Resolves once the broker has taken a subscription to this filter. */
export function subscribed(world: World, filter: string): Promise<void> {
  return until(() => world.log().includes(`${filter} (QoS`), `a subscription to ${filter}`)
}
