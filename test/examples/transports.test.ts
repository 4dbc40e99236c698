/**
 * Goal: custom transports reach the broker: an HTTP proxy, a SOCKS 5 proxy, and a URL that is
 * signed for each attempt. Method: the examples of docs/examples/transports on real sockets, to
 * aedes. The proxies of this file count their sockets, fall silent, die and come back, and only
 * they can resolve `broker.test`: a client that reaches it went through them.
 */
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer as createHttpServer, type IncomingMessage } from 'node:http'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { createServer as createTlsServer } from 'node:tls'
import { inspect } from 'node:util'
import { Aedes } from 'aedes'
import { afterAll, afterEach, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { createWebSocketStream, WebSocketServer } from 'ws'
import { throughHttpProxy } from '../../docs/examples/transports/http-proxy.ts'
import { judgeSignature, signedUrl } from '../../docs/examples/transports/signed-url.ts'
import { throughSocks5 } from '../../docs/examples/transports/socks5.ts'
import { secured } from '../../docs/examples/transports/tunnel.ts'
import {
  ConnectionError,
  type ConnectionFailure,
  type ConnectOptions,
  type Endpoint,
  type EventloopOptions,
  eventloop,
  type OpenTransport,
  publish,
  type Request,
  run,
  subscribe,
  UsageError,
} from '../../src/index.ts'
import { endpointOf } from '../../src/options/endpoint.ts'
import { Authority } from '../support/certificates.ts'
import { freePort } from '../support/ports.ts'
import { temporaryFolder, until } from '../support/process.ts'

const FAST = { when: 'always', minMs: 5, maxMs: 20 } as const
/** Only the proxies can resolve this name. The top-level domain `test` is reserved (RFC 6761). */
const NAMES: ReadonlyMap<string, string> = new Map([['broker.test', '127.0.0.1']])
const USER = { username: 'us er', password: 'p@ss:wörd' }
const READING = publish('t', 'x', { qos: 1 })

// ----------------------------------------------------------------------------------------- brokers

const folder = temporaryFolder()
let authority: Authority
let broker: Aedes
const servers: Server[] = []
const ports = { plain: 0, secure: 0, elsewhere: 0, mute: 0 }
/** Names that TLS clients asked for; false if a client sent none. */
const named: (string | false | null | undefined)[] = []
/** What the broker got from clients, by topic and payload. */
const received: string[] = []

async function listening(server: Server, port = 0): Promise<number> {
  server.listen(port, '127.0.0.1')
  await once(server, 'listening')
  return (server.address() as AddressInfo).port
}

async function secureServer(names: string): Promise<Server> {
  const { cert, key } = await authority.issue({ names })
  return createTlsServer({ cert: readFileSync(cert), key: readFileSync(key) }, (socket) => {
    named.push(socket.servername)
    // A client that refuses the certificate may be gone already.
    socket.on('error', () => {})
    broker.handle(socket)
  })
}

beforeAll(async () => {
  authority = await Authority.create(folder.path, 'authority')
  broker = await Aedes.createBroker()
  broker.on('publish', ({ topic, payload }, client) => {
    if (client !== null) received.push(`${topic} ${payload}`)
  })
  const plain = createServer(broker.handle)
  const secure = await secureServer('DNS:broker.test,IP:127.0.0.1')
  const elsewhere = await secureServer('DNS:elsewhere')
  const mute = createServer((socket) => socket.on('error', () => {}).resume())
  for (const [name, server] of Object.entries({ plain, secure, elsewhere, mute })) {
    ports[name as keyof typeof ports] = await listening(server)
    servers.push(server)
  }
})
afterEach(() => {
  received.length = 0
  named.length = 0
})
afterAll(() => {
  for (const server of servers) server.close()
  broker.close()
  folder.remove()
})

// ----------------------------------------------------------------------------------------- proxies

/** The sockets that the proxy accepted, and the destination of each. */
abstract class TestProxy {
  readonly asked: string[] = []
  accepted = 0
  /** What comes instead of an answer: nothing, the end, or these bytes. */
  instead: 'silence' | 'end' | Buffer | null = null
  /** The proxy demands user and password. */
  guarded = false
  readonly #open = new Set<Socket>()
  readonly server: Server
  port = 0

  constructor(server: Server) {
    this.server = server
    server.on('connection', (socket: Socket) => {
      this.accepted++
      this.#open.add(socket)
      socket.on('error', () => {})
      socket.once('close', () => this.#open.delete(socket))
    })
  }

  abstract readonly scheme: string

  /** Client sides that are not closed. */
  get open(): number {
    return this.#open.size
  }

  url(user: Partial<typeof USER> = {}): string {
    const url = new URL(`${this.scheme}//127.0.0.1:${this.port}`)
    url.username = encodeURIComponent(user.username ?? '')
    url.password = encodeURIComponent(user.password ?? '')
    return url.href
  }

  async start(): Promise<this> {
    // A port that the system does not give to clients: while the proxy is away a dial must not
    // connect to itself.
    this.port ||= await freePort()
    await listening(this.server, this.port)
    return this
  }

  /** Kills the proxy; its port closes with it. */
  stop(): void {
    this.server.close()
    for (const socket of this.#open) socket.destroy()
  }

  /** @returns true if `instead` was given, so that no answer is due. */
  protected evades(near: Duplex): boolean {
    if (this.instead === null) return false
    if (this.instead === 'end') near.end()
    else if (this.instead instanceof Buffer) near.write(this.instead)
    // Sockets of an HTTP server stay half open: the client's end has to be read and answered.
    near.resume().once('end', () => near.end())
    return true
  }

  protected async dial(host: string, port: number): Promise<Socket> {
    this.asked.push(`${host}:${port}`)
    const far = connect(port, NAMES.get(host) ?? host)
    far.on('error', () => {})
    await once(far, 'connect')
    return far
  }

  protected join(near: Duplex, far: Socket): void {
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      from.pipe(to)
      from.once('close', () => to.destroy())
    }
  }
}

class ConnectProxy extends TestProxy {
  readonly scheme = 'http:'

  constructor() {
    const server = createHttpServer((_, response) => response.writeHead(405).end())
    super(server)
    server.on('connect', ({ url, headers }, near: Duplex, head: Buffer) => {
      near.on('error', () => {})
      void this.#tunnel(url ?? '', headers['proxy-authorization'], near, head)
    })
  }

  async #tunnel(target: string, authorization = '', near: Duplex, head: Buffer): Promise<void> {
    if (this.evades(near)) return
    const credentials = Buffer.from(authorization.replace('Basic ', ''), 'base64').toString()
    if (this.guarded && credentials !== `${USER.username}:${USER.password}`) {
      near.end('HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 4\r\n\r\nwho?')
      return
    }
    const [, host, port] = /^(.*):(\d+)$/.exec(target) ?? []
    try {
      const far = await this.dial(host ?? '', Number(port))
      near.write('HTTP/1.1 200 Connection Established\r\n\r\n')
      far.write(head)
      this.join(near, far)
    } catch {
      near.end('HTTP/1.1 502 Bad Gateway\r\n\r\n')
    }
  }
}

/** RFC 1928 and RFC 1929, as much of them as a correct client needs. */
class Socks5Proxy extends TestProxy {
  readonly scheme = 'socks5:'
  /** The destinations that were asked for: names, or addresses that somebody else has looked up. */
  readonly kinds: ('name' | 'address')[] = []

  constructor() {
    const server = createServer((near) => {
      // A client that closes in the middle of a message is of no interest.
      this.#negotiate(near).catch(() => near.destroy())
    })
    super(server)
  }

  async #negotiate(near: Socket): Promise<void> {
    const [, count = 0] = await take(near, 2)
    const methods = await take(near, count)
    if (this.evades(near)) return
    const method = this.guarded ? 2 : 0
    if (!methods.includes(method)) {
      near.end(Buffer.of(5, 0xff))
      return
    }
    near.write(Buffer.of(5, method))
    if (this.guarded && !(await this.#isWelcome(near))) return
    const [, , , kind] = await take(near, 4)
    this.kinds.push(kind === 3 ? 'name' : 'address')
    const host = kind === 3 ? String(await takeCounted(near)) : (await take(near, 4)).join('.')
    const port = (await take(near, 2)).readUInt16BE()
    const answer = (code: number) => Buffer.of(5, code, 0, 1, 0, 0, 0, 0, 0, 0)
    try {
      const far = await this.dial(host, port)
      near.write(answer(0))
      this.join(near, far)
    } catch {
      near.end(answer(5))
    }
  }

  async #isWelcome(near: Socket): Promise<boolean> {
    await take(near, 1)
    const username = String(await takeCounted(near))
    const password = String(await takeCounted(near))
    const welcome = username === USER.username && password === USER.password
    const answer = Buffer.of(1, welcome ? 0 : 1)
    if (welcome) near.write(answer)
    else near.end(answer)
    return welcome
  }
}

async function take(socket: Socket, bytes: number): Promise<Buffer> {
  if (bytes === 0) return Buffer.alloc(0)
  for (;;) {
    const taken: Buffer | null = socket.read(bytes)
    if (taken?.length === bytes) return taken
    if (socket.readableEnded || socket.destroyed) throw new Error('the client is gone')
    await once(socket, 'readable')
  }
}

async function takeCounted(socket: Socket): Promise<Buffer> {
  const [count = 0] = await take(socket, 1)
  return take(socket, count)
}

async function open<P extends TestProxy>(proxy: P): Promise<P> {
  onTestFinished(() => proxy.stop())
  return proxy.start()
}

// ------------------------------------------------------------------------------------ both proxies

/**
 * aedes does not speak MQTT 5; falling back from 5 to 4 takes an attempt, and these tests count
 * attempts.
 */
const VERSION = { protocolVersion: 4 } as const

/** Sends one message to itself through the broker. */
async function thereAndBack(options: EventloopOptions): Promise<string> {
  const loop = eventloop({ ...VERSION, until: 'closed', ...options }, [
    subscribe('echo', { qos: 1 }),
    publish('echo', 'heard', { qos: 1 }),
  ])
  for await (const packet of loop) {
    if (packet.cmd === 'publish') return `${packet.payload} at ${packet.qos}`
  }
  throw new Error('nothing came back')
}

/** How the only attempt of a run ends. */
/** @returns the error with which a server refuses the only attempt. */
async function refusalOf(options: EventloopOptions): Promise<unknown> {
  return run({ ...VERSION, ...options, reconnect: 'never' }, [READING]).catch(
    (thrown: unknown) => thrown,
  )
}

async function failureOf(options: EventloopOptions): Promise<ConnectionError> {
  const error = await run({ ...VERSION, ...options, reconnect: 'never' }, [READING]).catch(
    (thrown: unknown) => thrown,
  )
  expect(error).toBeInstanceOf(ConnectionError)
  return error as ConnectionError
}

function endpoint(url: string): Endpoint {
  return endpointOf({ url, maximumPacketSize: 1000 }, 5)
}

const noneLeft = (proxy: TestProxy) => until(() => proxy.open === 0, 'the proxy has no socket open')

interface Through {
  readonly name: string
  readonly proxy: () => TestProxy
  readonly through: (proxy: URL | string) => OpenTransport
  /** The whole answer of a proxy that refuses and waits for the client to close. */
  readonly no: Buffer
  /** Texts for a wrong password, for none, and for a broker that cannot be reached. */
  readonly refusals: {
    readonly wrong: readonly [code: string, says: RegExp]
    readonly none: readonly [code: string, says: RegExp]
    readonly away: readonly [code: string, says: RegExp]
  }
}

const WAYS: readonly Through[] = [
  {
    name: 'HTTP CONNECT',
    proxy: () => new ConnectProxy(),
    through: throughHttpProxy,
    no: Buffer.from('HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n'),
    refusals: {
      wrong: ['PROXY_407', /refused broker\.test:\d+: 407 Proxy Authentication Required/],
      none: ['PROXY_407', /refused broker\.test:\d+: 407 Proxy Authentication Required/],
      away: ['PROXY_502', /refused broker\.test:\d+: 502 Bad Gateway/],
    },
  },
  {
    name: 'SOCKS 5',
    proxy: () => new Socks5Proxy(),
    through: throughSocks5,
    no: Buffer.of(5, 0xff),
    refusals: {
      wrong: ['PROXY_FAILED', /refused broker\.test:\d+: Socks5 Authentication failed/],
      none: ['PROXY_FAILED', /refused broker\.test:\d+: .*no accepted authentication type/],
      away: ['PROXY_FAILED', /refused broker\.test:\d+: .*ConnectionRefused/],
    },
  },
]

describe.each(WAYS)('through $name', ({ proxy: newProxy, through, no, refusals }) => {
  const url = (port: keyof typeof ports = 'plain', scheme = 'mqtt', host = 'broker.test') =>
    `${scheme}://${host}:${ports[port]}`

  async function opened(port: keyof typeof ports = 'plain', scheme = 'mqtt', host?: string) {
    const proxy = await open(newProxy())
    return { proxy, options: { url: url(port, scheme, host), transport: through(proxy.url()) } }
  }

  test('[T1] QoS 1 there and back, to a name that only the proxy knows', async () => {
    const { proxy, options } = await opened()
    expect(await thereAndBack(options)).toBe('heard at 1')
    expect(proxy.asked).toEqual([`broker.test:${ports.plain}`])
    await noneLeft(proxy)
  })

  test('[T1] a payload of many segments arrives whole', async () => {
    const { options } = await opened()
    const payload = 'x'.repeat(3_000_000)
    await run({ ...VERSION, ...options }, [publish('large', payload, { qos: 1 })])
    expect(received).toEqual([`large ${payload}`])
  })

  test.each([
    ['mqtts', 'broker.test'],
    ['tls', 'broker.test'],
    ['mqtts', '127.0.0.1'],
  ])('[T1] %s: to %s the certificate of the broker is verified', async (scheme, host) => {
    const { proxy, options } = await opened('secure', scheme, host)
    const tls = { ca: authority.pem }
    expect(await thereAndBack({ ...options, tls })).toBe('heard at 1')
    expect(proxy.asked).toEqual([`${host}:${ports.secure}`])
    // An address is not a name (RFC 6066, 3).
    expect(named).toEqual([host === 'broker.test' ? host : false])
    await noneLeft(proxy)
  })

  test.each([
    ['of another name', 'elsewhere', 'broker.test', 'ERR_TLS_CERT_ALTNAME_INVALID'],
    ['of another address', 'elsewhere', '127.0.0.1', 'ERR_TLS_CERT_ALTNAME_INVALID'],
    ['of an unknown authority', 'secure', 'broker.test', /^UNABLE_TO_/],
  ] as const)('[T1] mqtts: a certificate %s is refused', async (what, port, host, code) => {
    const { proxy, options } = await opened(port, 'mqtts', host)
    const tls = what === 'of an unknown authority' ? {} : { ca: authority.pem }
    // Time does not cure this error: the loop ends although its policy would retry.
    const ended = run({ ...VERSION, ...options, tls, reconnect: FAST }, [READING])
    await expect(ended).rejects.toMatchObject({
      code: expect.stringMatching(code),
      message: expect.stringMatching(/The certificate of mqtts:.* was refused/),
      retryable: false,
    })
    expect(proxy.accepted).toBe(1)
    expect(received).toEqual([])
    await noneLeft(proxy)
  })

  test('[T1] a certificate that the user does not accept leaves no socket', async () => {
    const { proxy, options } = await opened('secure', 'mqtts')
    const checkServerIdentity = () => new Error('not the one that I know')
    const tls = { ca: authority.pem, checkServerIdentity }
    const error = await failureOf({ ...options, tls })
    expect(error.message).toMatch(/No connection to mqtts:.*not the one that I know/)
    expect(proxy.asked).toHaveLength(1)
    await noneLeft(proxy)
  })

  test('[T1] a proxy that asks for a password gets it', async () => {
    const { proxy, options } = await opened()
    proxy.guarded = true
    const transport = through(new URL(proxy.url(USER)))
    expect(await thereAndBack({ ...options, transport })).toBe('heard at 1')
  })

  test.each([
    ['wrong', { ...USER, password: 'wrong secret' }],
    ['none', {}],
  ] as const)('[T1] password: %s is refused in clear words, without it', async (which, user) => {
    const { proxy, options } = await opened()
    proxy.guarded = true
    const error = await failureOf({ ...options, transport: through(proxy.url(user)) })
    const [code, says] = refusals[which]
    expect(error).toMatchObject({ code, message: expect.stringMatching(says) })
    expect(error.message).toContain(`the proxy ${proxy.scheme}//127.0.0.1:${proxy.port} `)
    expect(inspect(error, { depth: 10 })).not.toMatch(/wrong.secret/)
    expect(proxy.asked).toEqual([])
    await noneLeft(proxy)
  })

  test('[T1] a broker that the proxy does not reach is an error that names this', async () => {
    const { proxy, options } = await opened()
    const error = await failureOf({ ...options, url: `mqtt://broker.test:${await freePort()}` })
    const [code, says] = refusals.away
    expect(error).toMatchObject({ code, retryable: true, message: expect.stringMatching(says) })
    await noneLeft(proxy)
  })

  test('[T1] a proxy that is not there is an error that names it', async () => {
    const { proxy, options } = await opened()
    proxy.stop()
    const error = await failureOf(options)
    expect(error.message).toMatch(/the proxy \S+ did not answer: connect ECONNREFUSED/)
    expect(error).toMatchObject({ code: 'ECONNREFUSED', retryable: true })
  })

  test.each([
    ['closes', 'end'],
    ['answers in another tongue', Buffer.from('SSH-2.0-OpenSSH_9.2\r\n')],
    ['says no and keeps the connection', no],
  ] as const)('[T1] a proxy that %s is an error that names it', async (_, instead) => {
    const { proxy, options } = await opened()
    proxy.instead = instead
    const error = await failureOf(options)
    expect(error.message).toMatch(/No connection to mqtt:\S+: the proxy \S+ /)
    await noneLeft(proxy)
  })

  test('[T1] [T2] a proxy that never answers: connectTimeout ends the attempt and leaves no socket', async () => {
    const { proxy, options } = await opened()
    proxy.instead = 'silence'
    const error = await failureOf({ ...options, connectTimeout: 100 })
    expect(error).toMatchObject({ code: 'CONNECT_TIMEOUT' })
    expect(proxy.accepted).toBe(1)
    await noneLeft(proxy)
  })

  test('[T1] [T2] a broker that never answers TLS: connectTimeout leaves no socket at the proxy', async () => {
    const { proxy, options } = await opened('mute', 'mqtts')
    const error = await failureOf({ ...options, connectTimeout: 200 })
    expect(error).toMatchObject({ code: 'CONNECT_TIMEOUT' })
    expect(proxy.asked).toEqual([`broker.test:${ports.mute}`])
    await noneLeft(proxy)
  })

  test.each([
    ['before it asks', 'plain', 'mqtt', null],
    ['while the proxy says nothing', 'plain', 'mqtt', 'silence'],
    ['while the broker says nothing', 'mute', 'mqtts', null],
  ] as const)('[T1] an abort %s rejects with its reason', async (when, port, scheme, instead) => {
    const { proxy, options } = await opened(port, scheme)
    proxy.instead = instead
    const aborting = new AbortController()
    const reason = new Error('enough')
    if (when === 'before it asks') aborting.abort(reason)
    const opening = Promise.resolve(options.transport(endpoint(options.url), aborting.signal))
    const caught = opening.catch((error: unknown) => error)
    if (when !== 'before it asks') await until(() => proxy.open === 1, 'the proxy is asked')
    if (port === 'mute') await until(() => proxy.asked.length === 1, 'the broker is asked for')
    aborting.abort(reason)
    expect(await caught).toBe(reason)
    if (when === 'before it asks') expect(proxy.asked).toEqual([])
    await noneLeft(proxy)
  })

  test('[T1] an abort while the proxy is dialled leaves no socket', async () => {
    const { proxy, options } = await opened()
    const aborting = new AbortController()
    const opening = Promise.resolve(options.transport(endpoint(options.url), aborting.signal))
    const caught = opening.catch((error: unknown) => error)
    aborting.abort(new Error('enough'))
    expect(await caught).toBe(aborting.signal.reason)
    // Connections are accepted in order: once this one is through, the other has arrived or never
    // will.
    expect(await thereAndBack(options)).toBe('heard at 1')
    expect(proxy.asked).toHaveLength(1)
    await noneLeft(proxy)
  })

  test('[T1] an abort once it is open does not close it', async () => {
    const { proxy, options } = await opened()
    const aborting = new AbortController()
    const stream = (await options.transport(endpoint(options.url), aborting.signal)) as Duplex
    aborting.abort()
    expect(stream.destroyed).toBe(false)
    stream.destroy()
    await noneLeft(proxy)
  })

  test('[T1] [D1] the proxy is killed and comes back: the loop connects through it again and loses nothing', async () => {
    const { proxy, options } = await opened('secure', 'mqtts')
    const COUNT = 200
    async function* readings(): AsyncGenerator<Request> {
      for (let i = 0; i < COUNT; i++) {
        yield publish('reading', String(i), { qos: 1 })
        await sleep(2)
      }
    }
    let failures = 0
    const connectOptions: ConnectOptions = (_, lastClose) => {
      if (lastClose?.code === 'ECONNREFUSED') failures++
      return undefined
    }
    const tls = { ca: authority.pem }
    const running = run(
      { ...VERSION, ...options, tls, connectOptions, reconnect: FAST },
      readings(),
    )
    for (const count of [20, 100]) {
      await until(() => received.length > count, `${count} readings`)
      const before = failures
      proxy.stop()
      await until(() => failures > before + 1, 'attempts while it is away')
      await proxy.start()
    }
    expect(await running).toMatchObject({ settled: COUNT, failed: [] })
    expect(new Set(received).size).toBe(COUNT)
    expect(new Set(proxy.asked)).toEqual(new Set([`broker.test:${ports.secure}`]))
    expect(proxy.asked.length).toBeGreaterThanOrEqual(3)
    await noneLeft(proxy)
  })

  test.each(['ws://broker.test/mqtt', 'wss://broker.test/mqtt', 'unix:/run/broker'])(
    '[T1] what it cannot carry is a UsageError before the proxy is asked: %s',
    async (url) => {
      const { proxy, options } = await opened()
      await expect(run({ ...options, url, reconnect: FAST }, [READING])).rejects.toThrow(
        /through a proxy it is one of mqtt: tcp: mqtts: tls:, not/,
      )
      expect(proxy.accepted).toBe(0)
    },
  )

  test.each(['proxy', 'https://:secret@proxy', 'http:', 'socks4://proxy', '%s//u:%%@proxy'])(
    '[T1] what is no URL of such a proxy is a UsageError that does not repeat it: %j',
    (given) => {
      const bad = given.replace('%s', newProxy().scheme).replace('%%', '%zz')
      expect(() => through(bad)).toThrow(UsageError)
      expect(() => through(bad)).not.toThrow(/secret|zz/)
    },
  )
})

// -------------------------------------------------------------------------------- one or the other

test("[T1] HTTP CONNECT: bytes that come in one chunk with the proxy's answer are not lost", async () => {
  const proxy = await open(new ConnectProxy())
  proxy.instead = Buffer.from('HTTP/1.1 200 OK\r\n\r\nhello')
  const { signal } = new AbortController()
  const opened = throughHttpProxy(proxy.url())(endpoint('mqtt://broker.test'), signal)
  const stream = (await opened) as Duplex
  onTestFinished(() => void stream.destroy())
  const [bytes] = await once(stream as Duplex, 'data')
  expect(String(bytes)).toBe('hello')
})

test('[T1] HTTP CONNECT: an IPv6 address is asked for in brackets, and the port of the scheme where there is none', async () => {
  const proxy = await open(new ConnectProxy())
  const asked: (string | undefined)[] = []
  const hosts: (string | undefined)[] = []
  proxy.server.prependListener('connect', ({ url, headers }: IncomingMessage) => {
    asked.push(url)
    hosts.push(headers.host)
  })
  proxy.instead = 'end'
  for (const url of ['mqtt://[::1]', 'mqtts://broker.test']) {
    await failureOf({ url, transport: throughHttpProxy(proxy.url()) })
  }
  expect(hosts).toEqual(asked)
  expect(asked).toEqual(['[::1]:1883', 'broker.test:8883'])
})

test('[T1] SOCKS 5: the name goes to the proxy as a name, an address as an address', async () => {
  const proxy = await open(new Socks5Proxy())
  const transport = throughSocks5(proxy.url())
  for (const host of ['broker.test', '127.0.0.1']) {
    await thereAndBack({ url: `mqtt://${host}:${ports.plain}`, transport })
  }
  expect(proxy.kinds).toEqual(['name', 'address'])
})

test('[T1] SOCKS 5: a password that the protocol has no room for is a UsageError', () => {
  expect(() => throughSocks5(`socks5://user:${'x'.repeat(255)}@proxy`)).not.toThrow()
  expect(() => throughSocks5(`socks5://user:${'x'.repeat(256)}@proxy`)).toThrow(UsageError)
})

test.each(['mqtt', 'mqtts'])('[T1] %s: an abort as the tunnel opens closes it', async (scheme) => {
  const tunnel = connect(ports.mute, '127.0.0.1')
  await once(tunnel, 'connect')
  const reason = new Error('enough')
  const opening = secured(tunnel, endpoint(`${scheme}://broker.test`), AbortSignal.abort(reason))
  await expect(opening).rejects.toBe(reason)
  expect(tunnel.destroyed).toBe(true)
})

// ------------------------------------------------------------------------------------- signed URLs

const KEY = 'a key that both sides know'
const START = Date.UTC(2026, 0, 1)

/** A clock that both sides read, and a server that only accepts what is signed. */
async function openDoor(key = KEY) {
  const clock = { server: START, client: START }
  const visits: { url: string; verdict: string }[] = []
  const sockets = new WebSocketServer({
    host: '127.0.0.1',
    port: 0,
    handleProtocols: (offered) => (offered.has('mqtt') ? 'mqtt' : false),
    verifyClient: ({ req: { url = '' } }, done) => {
      const verdict = judgeSignature(url, key, () => clock.server)
      visits.push({ url, verdict })
      done(verdict === 'good', 403)
    },
  })
  sockets.on('connection', (socket, request) => {
    const stream = createWebSocketStream(socket)
    stream.on('error', () => {})
    broker.handle(stream, request)
  })
  onTestFinished(() => {
    for (const socket of sockets.clients) socket.terminate()
    sockets.close()
  })
  await once(sockets, 'listening')
  const url = `ws://127.0.0.1:${(sockets.address() as AddressInfo).port}/mqtt?region=north`
  const connectOptions = signedUrl(url, KEY, { expiresIn: 60, now: () => clock.client })
  return { url, connectOptions, clock, visits, sockets }
}

describe('a signed URL', () => {
  test('[T6] [C35] is accepted: QoS 1 there and back', async () => {
    const { url, connectOptions, visits } = await openDoor()
    expect(await thereAndBack({ url, connectOptions })).toBe('heard at 1')
    const expires = START / 1000 + 60
    expect(visits).toEqual([
      {
        url: expect.stringMatching(
          `^/mqtt\\?region=north&expires=${expires}&signature=[\\w-]{43}$`,
        ),
        verdict: 'good',
      },
    ])
  })

  test('[T6] [C35] without a signature, or signed with another key, is refused', async () => {
    const { url, visits } = await openDoor()
    const refused = { name: 'RefusedError', code: 'NOT_AUTHORIZED', statusCode: 403 }
    const without = await refusalOf({ url })
    expect(without).toMatchObject(refused)
    const connectOptions = signedUrl(url, 'another key')
    const forged = await refusalOf({ url, connectOptions })
    expect(forged).toMatchObject(refused)
    expect(inspect(forged, { depth: 10 })).not.toMatch(/signature=/)
    // `connectOptions` is asked once more after a refusal.
    expect(visits.map(({ verdict }) => verdict)).toEqual(['forged', 'forged', 'forged'])
    expect(received).toEqual([])
  })

  test('[T6] [C35] is new for each attempt: a connection that is cut after the old one expired comes back', async () => {
    const { url, connectOptions, clock, visits, sockets } = await openDoor()
    const CUTS = 3
    async function* readings(): AsyncGenerator<Request> {
      for (let i = 0; i <= CUTS; i++) {
        yield publish('reading', String(i), { qos: 1 })
        await until(() => received.includes(`reading ${i}`), `reading ${i}`)
        if (i === CUTS) return
        clock.client = clock.server += 61_000
        for (const socket of sockets.clients) socket.terminate()
        await until(() => visits.length === i + 2, `visit ${i + 2}`)
      }
    }
    const result = await run({ ...VERSION, url, connectOptions, reconnect: FAST }, readings())
    expect(result).toMatchObject({ settled: CUTS + 1, failed: [] })
    expect(visits.map(({ verdict }) => verdict)).toEqual(Array(CUTS + 1).fill('good'))
    expect(new Set(visits.map(({ url }) => url)).size).toBe(CUTS + 1)
    for (const { url } of visits.slice(0, -1)) {
      expect(judgeSignature(url, KEY, () => clock.server)).toBe('expired')
    }
  })

  test('[T6] [C35] that expired is refused with 403, and the next attempt, freshly signed, is accepted', async () => {
    const { url, connectOptions, clock, visits } = await openDoor()
    const told: (ConnectionFailure | null)[] = []
    // It was signed while this machine's clock was an hour slow, as after a boot.
    clock.client = START - 3_600_000
    const result = await run(
      {
        ...VERSION,
        url,
        reconnect: FAST,
        connectOptions: (...about) => {
          const [, lastClose] = about
          told.push(lastClose)
          if (lastClose !== null) clock.client = START
          return connectOptions(...about)
        },
      },
      [READING],
    )
    expect(result).toMatchObject({ settled: 1, failed: [] })
    expect(visits.map(({ verdict }) => verdict)).toEqual(['expired', 'good'])
    expect(told).toEqual([
      null,
      expect.objectContaining({
        phase: 'dial',
        source: 'refused',
        code: 'NOT_AUTHORIZED',
        statusCode: 403,
        message: expect.stringMatching(/403/),
      }),
    ])
    expect(received).toEqual(['t x'])
  })

  test('[T6] [C35] is valid to the second before it expires, and for nothing but what was signed', async () => {
    const made = await signedUrl('wss://broker/mqtt?region=north', KEY, { now: () => START })(
      1,
      null,
      new AbortController().signal,
      1,
      5,
    )
    const { pathname, search } = new URL(String(made?.url))
    const target = `${pathname}${search}`
    const judge = (target: string, afterMs = 0) =>
      judgeSignature(target, KEY, () => START + afterMs)
    expect([0, 59_999, 60_000].map((ms) => judge(target, ms))).toEqual(['good', 'good', 'expired'])
    for (const other of [
      target.replace('/mqtt', '/admin'),
      target.replace('north', 'south'),
      target.replace(/expires=\d+/, 'expires=9999999999'),
      target.replace(/expires=\d+&/, ''),
      target.replace(/&signature=.*/, ''),
      target.replace(/signature=.*/, 'signature='),
      target.replace(/signature=./, 'signature=%'),
      `${target.slice(0, -2)}`,
      `${target}&role=admin`,
      `/${target}`,
      '',
      '*',
      ':port',
    ]) {
      expect([other, judge(other)]).toEqual([other, 'forged'])
    }
  })
})
