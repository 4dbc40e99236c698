/**
 * Goal: the first contact with a server says what is wrong, and lives with what servers do. Method:
 * real sockets on the loopback; a server that is silent is left after a few milliseconds.
 */
import { constants } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer as createHttpServer, type Server as HttpServer } from 'node:http'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import { createServer as createTlsServer } from 'node:tls'
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest'
import { WebSocketServer } from 'ws'
import type { Lookup } from '#runtime'
import {
  connect,
  type EventloopOptions,
  eventloop,
  type MqttError,
  type Warning,
} from '../../../src/index.ts'
import { endpointOf } from '../../../src/options/endpoint.ts'
import { tcpSocket } from '../../../src/platform/node/socket.ts'
import { Authority, type Certificate } from '../../support/certificates.ts'
import { temporaryFolder } from '../../support/process.ts'

/** The options with which sockets were opened. */
const opened = vi.hoisted(() => [] as { autoSelectFamilyAttemptTimeout?: number }[])

vi.mock('node:net', async (original) => {
  const net = await original<typeof import('node:net')>()
  const connecting = (options: never, ...others: never[]) => {
    opened.push(options)
    return net.connect(options, ...others)
  }
  return { ...net, connect: connecting }
})

beforeAll(async () => {
  // It is loaded when it is needed, which takes longer than some of the time limits here.
  await import('../../../src/platform/node/websocket.ts')
})

const GOOD = { 5: '2003000000', 4: '20020000', 3: '20020000' } as const

async function listening<S extends Server | HttpServer>(server: S, host = '127.0.0.1') {
  server.listen(0, host)
  await once(server, 'listening')
  const sockets = new Set<Socket>()
  server.on('connection', (socket: Socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
  })
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return (server.address() as AddressInfo).port
}

/** A server that answers CONNECT by this function, given the version. */
function answering(answer: (socket: Socket, version: 3 | 4 | 5) => void) {
  return createServer((socket) => {
    socket.on('data', (bytes) => {
      if (bytes[0] === 0x10) answer(socket, bytes[8] as 3 | 4 | 5)
    })
  })
}

const accept = (socket: Socket, version: 3 | 4 | 5) => {
  socket.write(Buffer.from(GOOD[version], 'hex'))
}

async function failure(options: EventloopOptions): Promise<MqttError> {
  const error = await connect(options).then(
    () => undefined,
    (reason: unknown) => reason,
  )
  expect(error).toBeInstanceOf(Error)
  return error as MqttError
}

let mine: Certificate
let ca: Buffer
const folder = temporaryFolder()
beforeAll(async () => {
  const authority = await Authority.create(folder.path, 'first-contact')
  mine = await authority.issue({ names: 'DNS:localhost,IP:127.0.0.1' })
  ca = authority.pem
})
afterAll(() => folder.remove())

const pair = () => ({ cert: readFileSync(mine.cert), key: readFileSync(mine.key) })
const tlsServer = (options: object = {}) => {
  const server = createTlsServer({ ...pair(), ...options }, (socket) =>
    socket.on('error', () => {}),
  )
  return server.on('tlsClientError', () => {})
}

describe('[T2] connectTimeout names the server and the stage', () => {
  const never: Lookup = () => {}
  const stages: readonly (readonly [string, string, EventloopOptions, RegExp])[] = [
    ['the name lookup', 'mqtt://nowhere.example:', { lookup: never }, /name lookup/],
    ['the name lookup, TLS', 'mqtts://nowhere.example:', { lookup: never }, /name lookup/],
    ['the name lookup, WebSocket', 'ws://nowhere.example:', { lookup: never }, /name lookup/],
    ['the TLS handshake', 'mqtts://127.0.0.1:', {}, /TLS handshake/],
    ['the WebSocket upgrade', 'ws://127.0.0.1:', {}, /WebSocket upgrade/],
    ['the TLS handshake below WebSocket', 'wss://127.0.0.1:', {}, /TLS handshake/],
    ['the CONNACK', 'mqtt://127.0.0.1:', { protocolVersion: 5 }, /no CONNACK/],
    [
      'connectOptions',
      'mqtt://127.0.0.1:',
      { connectOptions: () => new Promise(() => {}) },
      /connectOptions/,
    ],
    [
      'a transport of the user',
      'mqtt://127.0.0.1:',
      { transport: () => new Promise(() => {}) },
      /transport/,
    ],
  ]
  test.each(stages)('%s', async (_, place, options, says) => {
    const port = await listening(createServer(() => {}))
    const error = await failure({ url: `${place}${port}`, connectTimeout: 40, ...options })
    expect(error).toMatchObject({ code: 'CONNECT_TIMEOUT', retryable: true })
    expect(error.message).toContain(`${place}${port} within 40 ms`)
    expect(error.message).toMatch(says)
    if (!says.test('no CONNACK')) expect(error.message).not.toContain('CONNACK')
  })
})

test('[T2] TCP is the first stage of an address, and follows the lookup of a name', async () => {
  const port = await listening(createServer(() => {}))
  for (const [host, expected] of [
    ['127.0.0.1', ['tcp']],
    ['[::1]', ['tcp']],
    ['localhost', ['lookup', 'tcp']],
  ] as const) {
    const stages: string[] = []
    const opening = { reached: (stage: string) => void stages.push(stage), deviated: () => {} }
    const endpoint = endpointOf({ url: `mqtt://${host}:${port}` }, 5)
    const socket = tcpSocket(endpoint, opening).on('error', () => {})
    await once(socket, 'close', { signal: AbortSignal.timeout(50) }).catch(() => {})
    socket.destroy()
    expect(stages).toEqual(expected)
  }
})

describe('version 4 is also asked', () => {
  const refusals: readonly (readonly [string, (socket: Socket) => void])[] = [
    ['after a reset', (socket) => socket.resetAndDestroy()],
    ['after a FIN', (socket) => socket.end()],
    ['after silence', () => {}],
    ...['0000', '0001', '0002', '0005', '000d', '0100'].map(
      (body): [string, (socket: Socket) => void] => [
        `after a CONNACK 20 02 ${body}`,
        (socket) => socket.write(Buffer.from(`2002${body}`, 'hex')),
      ],
    ),
    ['after such a CONNACK and a FIN', (socket) => socket.end(Buffer.from('20020000', 'hex'))],
  ]
  test.each(refusals)('[N2] %s', async (_, refuse) => {
    const versions: number[] = []
    const server = answering((socket, version) => {
      versions.push(version)
      if (version === 4) accept(socket, 4)
      else refuse(socket)
    })
    const port = await listening(server)
    const connected = await connect({ url: `mqtt://127.0.0.1:${port}`, connectTimeout: 300 })
    expect(versions).toEqual([5, 4])
    expect(connected.connack).toMatchObject({ returnCode: 0 })
    await connected[Symbol.asyncDispose]()
  })

  test('[N2] not if the version is pinned', async () => {
    const versions: number[] = []
    const port = await listening(
      answering((socket, version) => {
        versions.push(version)
        socket.resetAndDestroy()
      }),
    )
    const error = await failure({ url: `mqtt://127.0.0.1:${port}`, protocolVersion: 5 })
    expect(error.code).toBe('ECONNRESET')
    expect(versions).toEqual([5])
  })
})

describe('addresses of a name', () => {
  const both = (addresses: readonly [string, 4 | 6][]): Lookup => {
    return (_name, { all }, done) => {
      const list = addresses.map(([address, family]) => ({ address, family }))
      if (all) done(null, list)
      else done(null, list[0]!.address, list[0]!.family)
    }
  }

  test('[T1] the time for each address is a share of connectTimeout', async () => {
    const port = await listening(answering(accept))
    for (const [connectTimeout, share] of [
      [undefined, 3750],
      [10_000, 1250],
      [100, 250],
    ] as const) {
      const url = `mqtt://name.example:${port}`
      const lookup = both([['127.0.0.1', 4]])
      const connected = await connect({
        url,
        lookup,
        ...(connectTimeout ? { connectTimeout } : {}),
      })
      expect(opened.at(-1)!.autoSelectFamilyAttemptTimeout).toBe(share)
      await connected[Symbol.asyncDispose]()
    }
  })

  test('[T1] one that refuses is followed by the next', async () => {
    const port = await listening(answering(accept))
    const lookup = both([
      ['::1', 6],
      ['127.0.0.1', 4],
    ])
    const connected = await connect({ url: `mqtt://name.example:${port}`, lookup })
    await connected[Symbol.asyncDispose]()
  })

  const forms: readonly (readonly [string, Lookup])[] = [
    ['one address, whatever is asked', (_, __, done) => done(null, '127.0.0.1', 4)],
    ['one address without its family', (_, __, done) => done(null, '127.0.0.1')],
    ['all, whatever is asked', (_, __, done) => done(null, [{ address: '127.0.0.1', family: 4 }])],
    ['texts, as dns.resolve does', (_, __, done) => done(null, ['127.0.0.1'] as never)],
    ['a promise', (() => Promise.resolve({ address: '127.0.0.1', family: 4 })) as Lookup],
    ['a callback, and a promise of nothing', async (_, __, done) => done(null, '127.0.0.1', 4)],
  ]
  test.each(forms)('[T1] a lookup that gives %s', async (_, lookup) => {
    const port = await listening(answering(accept))
    for (const family of [undefined, 4] as const) {
      const url = `mqtt://name.example:${port}`
      const connected = await connect({ url, lookup, ...(family ? { family } : {}) })
      await connected[Symbol.asyncDispose]()
    }
  })

  test('[T1] of the version that `family` or `localAddress` asks for, whatever the lookup gives', async () => {
    const port = await listening(answering(accept))
    const url = `mqtt://name.example:${port}`
    const all: Lookup = (_, __, done) => {
      done(null, [
        { address: '::1', family: 6 },
        { address: '127.0.0.1', family: 4 },
      ])
    }
    for (const asked of [{ family: 4 }, { localAddress: '127.0.0.1' }] as const) {
      const connected = await connect({ url, lookup: all, ...asked })
      await connected[Symbol.asyncDispose]()
    }
    const error = await failure({
      url,
      lookup: (_, __, done) => done(null, '127.0.0.1', 4),
      family: 6,
    })
    expect(error.message).toMatch(/the lookup of name\.example gave no address of IPv6/)
  })

  const failing: readonly (readonly [string, Lookup, RegExp])[] = [
    ['gives no address', (_, __, done) => void setImmediate(done, null, []), /gave no address/],
    [
      'gives nothing',
      (_, __, done) => void setImmediate(done, null, undefined as never),
      /gave no address/,
    ],
    ['rejects', (() => Promise.reject(new Error('no resolver'))) as Lookup, /no resolver/],
  ]
  test.each(failing)('[T1] a lookup that %s fails the attempt', async (_, lookup, says) => {
    for (const family of [undefined, 4] as const) {
      const error = await failure({ url: 'mqtt://name.example', lookup, family })
      expect(error.message).toMatch(says)
    }
  })

  test('[T1] a lookup is given the name in ASCII, by each transport', async () => {
    for (const scheme of ['mqtt', 'mqtts', 'ws', 'wss']) {
      const names: string[] = []
      const lookup: Lookup = (name, _, done) => {
        names.push(name)
        done(Object.assign(new Error('no such name'), { code: 'ENOTFOUND' }), '')
      }
      const error = await failure({ url: `${scheme}://münchen.example`, lookup })
      expect(names).toEqual(['xn--mnchen-3ya.example'])
      expect(error).toMatchObject({ code: 'ENOTFOUND', retryable: false })
    }
  })

  test('[T1] a lookup that throws is a failed attempt', async () => {
    const lookup = () => {
      throw new Error('no resolver')
    }
    const error = await failure({ url: 'mqtt://name.example', lookup })
    expect(error.message).toMatch(/no resolver/)
  })

  test('[T1] localAddress and family are those of the socket', async () => {
    let from: string | undefined
    const server = answering((socket, version) => {
      from = socket.remoteAddress
      accept(socket, version)
    })
    const port = await listening(server)
    const url = `mqtt://localhost:${port}`
    const connected = await connect({ url, localAddress: '127.0.0.2', family: 4 })
    expect(from).toBe('127.0.0.2')
    await connected[Symbol.asyncDispose]()
  })
})

describe('[T1] the name that is asked for in TLS', () => {
  test.each([
    ['localhost', 'localhost'],
    ['localhost.', 'localhost'],
    ['LOCALHOST', 'localhost'],
    ['münchen.example', 'xn--mnchen-3ya.example'],
    ['127.0.0.1', false],
  ])('%s', async (host, expected) => {
    const names: unknown[] = []
    const server = tlsServer()
    server.on('secureConnection', (socket) => {
      names.push(
        typeof socket.servername === 'string' ? socket.servername.toLowerCase() : socket.servername,
      )
      accept(socket, 5)
    })
    const port = await listening(server)
    const lookup: Lookup = (_, __, done) => done(null, '127.0.0.1', 4)
    for (const scheme of ['mqtts', 'wss']) {
      const checkServerIdentity = () => undefined
      const tls = { ca, checkServerIdentity }
      const options = {
        url: `${scheme}://${host}:${port}`,
        tls,
        lookup,
        protocolVersion: 5 as const,
      }
      await connect(options).then(
        (connected) => connected[Symbol.asyncDispose](),
        () => {},
      )
    }
    expect(names).toEqual([expected, expected])
  })

  test('a dot at the end of the name does not matter to the certificate', async () => {
    const server = tlsServer()
    server.on('secureConnection', (socket) => accept(socket, 5))
    const port = await listening(server)
    const lookup: Lookup = (_, __, done) => done(null, '127.0.0.1', 4)
    const connected = await connect({ url: `mqtts://localhost.:${port}`, tls: { ca }, lookup })
    await connected[Symbol.asyncDispose]()
  })
})

test('[T1] `tls.servername` is asked for in ASCII and without a dot at its end', async () => {
  const names: unknown[] = []
  const server = tlsServer()
  server.on('secureConnection', (socket) => {
    names.push(socket.servername)
    accept(socket, 5)
  })
  const port = await listening(server)
  for (const servername of ['münchen.example', 'xn--mnchen-3ya.example.']) {
    const tls = { ca, servername, checkServerIdentity: () => undefined }
    const connected = await connect({ url: `mqtts://127.0.0.1:${port}`, tls })
    await connected[Symbol.asyncDispose]()
  }
  expect(names).toEqual(['xn--mnchen-3ya.example', 'xn--mnchen-3ya.example'])
})

/** As mosquitto does, which leaves bytes unread when it closes. */
function resetting() {
  return createServer((socket) => socket.once('data', () => socket.resetAndDestroy()))
}

describe('a wrong port or scheme is named', () => {
  const http = () => createHttpServer((_, response) => response.end('hello'))
  const silentTls = () => tlsServer()

  test.each([
    ['HTTP at mqtt:', 'mqtt', http, /HTTP server .*ws:\/\//],
    ['HTTP at mqtts:', 'mqtts', http, /not TLS.*mqtt:/],
    ['HTTP at wss:', 'wss', http, /not TLS.*ws:/],
    ['TLS at mqtt:', 'mqtt', silentTls, /TLS.*mqtts:/],
    ['TLS at ws:', 'ws', silentTls, /TLS.*wss:/],
    [
      'MQTT at mqtts:',
      'mqtts',
      () => createServer((socket) => socket.on('data', () => socket.end())),
      /TLS.*mqtt:/,
    ],
    [
      'MQTT at ws:',
      'ws',
      () => createServer((socket) => socket.on('data', () => socket.end())),
      /without WebSocket/,
    ],
    [
      'SSH at mqtts:',
      'mqtts',
      () => createServer((socket) => socket.end('SSH-2.0-x\r\n')),
      /not TLS/,
    ],
    ['a reset at mqtts:', 'mqtts', () => resetting(), /TLS handshake.*without TLS \(mqtt:/],
    ['a reset at wss:', 'wss', () => resetting(), /TLS handshake.*without TLS/],
    ['a reset at ws:', 'ws', () => resetting(), /WebSocket upgrade.*with TLS.*without WebSocket/],
    ['SSH at ws:', 'ws', () => createServer((socket) => socket.end('SSH-2.0-x\r\n')), /not HTTP/],
    [
      'SSH at mqtt:',
      'mqtt',
      () => createServer((socket) => socket.write('SSH-2.0-x\r\n')),
      /an SSH server/,
    ],
  ] as const)('[T2] %s', async (_, scheme, make, says) => {
    const port = await listening(make())
    const error = await failure({ url: `${scheme}://127.0.0.1:${port}`, connectTimeout: 2000 })
    expect(error.message).toMatch(says)
    expect(error.message).toContain(`127.0.0.1:${port}`)
    expect(error.retryable).toBe(true)
  })

  test('[N2] a TLS alert in plain words: the server wants a certificate', async () => {
    for (const maxVersion of ['TLSv1.3', 'TLSv1.2'] as const) {
      const port = await listening(tlsServer({ requestCert: true, ca, maxVersion }))
      const error = await failure({ url: `mqtts://localhost:${port}`, tls: { ca }, family: 4 })
      expect(error.message).toMatch(/certificate of this client \(tls\.cert, tls\.key\)/)
      expect(error.message).not.toMatch(/SSL|\n|\.\.$|error:/)
      expect(error.retryable).toBe(maxVersion === 'TLSv1.2')
    }
  })

  test('[N2] [T6] TLS settings that only a handshake shows are a UsageError', async () => {
    const port = await listening(tlsServer())
    const secureOptions = constants.SSL_OP_NO_TLSv1_2 | constants.SSL_OP_NO_TLSv1_3
    const tls = { ca, secureOptions }
    const error = await failure({ url: `mqtts://127.0.0.1:${port}`, tls, reconnect: 'always' })
    expect(error).toMatchObject({ name: 'UsageError', code: 'USAGE', retryable: false })
    expect(error.message).toMatch(/no version of TLS is left/)
  })
})

describe('an HTTP status in the place of the WebSocket', () => {
  async function refusing(status: (request: number) => number, headers: readonly string[] = []) {
    const seen: string[] = []
    const server = createHttpServer()
    server.on('upgrade', (request, socket) => {
      seen.push(String(request.headers['authorization']))
      const lines = [`HTTP/1.1 ${status(seen.length)} Status`, ...headers, 'Content-Length: 0']
      socket.end(`${lines.join('\r\n')}\r\n\r\n`)
    })
    const port = await listening(server)
    return { url: `ws://127.0.0.1:${port}/the/path?token=secret`, seen }
  }

  test.each([
    [401, 'BAD_CREDENTIALS', false],
    [403, 'NOT_AUTHORIZED', false],
    [400, 'UPGRADE_REFUSED', false],
    [404, 'UPGRADE_REFUSED', false],
    [407, 'UPGRADE_REFUSED', false],
    [408, 'UPGRADE_REFUSED', true],
    [426, 'UPGRADE_REFUSED', false],
    [429, 'CONNECTION_RATE_EXCEEDED', true],
    [200, 'UPGRADE_REFUSED', false],
    [302, 'UPGRADE_REFUSED', false],
    [500, 'SERVER_UNAVAILABLE', true],
    [502, 'SERVER_UNAVAILABLE', true],
    [503, 'SERVER_UNAVAILABLE', true],
    [504, 'SERVER_UNAVAILABLE', true],
    [599, 'SERVER_UNAVAILABLE', true],
  ])('[N2] [T6] %i is %s', async (statusCode, code, retryable) => {
    const { url } = await refusing(() => statusCode)
    const error = await failure({ url })
    expect(error).toMatchObject({
      name: 'RefusedError',
      code,
      retryable,
      statusCode,
      reasonCode: 0,
    })
    expect(error.message).toContain(`HTTP ${statusCode} Status`)
    expect(error.message).toContain('/the/path')
    expect(error.message).not.toContain('secret')
  })

  test('[N2] a redirect says where to, without its query', async () => {
    const { url } = await refusing(() => 301, ['Location: https://other.example/mqtt?token=secret'])
    const { message } = await failure({ url })
    expect(message).toContain('https://other.example/mqtt')
    expect(message).not.toContain('secret')
  })

  test('[T8] what a server says has no password and controls no terminal', async () => {
    const port = await listening(
      createServer((socket) => {
        socket.once('data', () => {
          const location = 'Location: https://user:secret@other.example/mqtt'
          socket.end(`HTTP/1.1 301 Moved\x1b[2J\r\n${location}\r\n\r\n`)
        })
      }),
    )
    const { message } = await failure({ url: `ws://127.0.0.1:${port}` })
    expect(message).toContain('HTTP 301 Moved?[2J to https://other.example/mqtt')
  })

  test.each([
    ['Retry-After: 7', 7000, 7000],
    ['Retry-After: 999999999', 3_600_000, 3_600_000],
    [`Retry-After: ${new Date(Date.now() + 600_000).toUTCString()}`, 300_000, 601_000],
    ['Retry-After: soon', undefined, undefined],
    ['Retry-After: -5', undefined, undefined],
  ])('[N1] 503 with %s', async (header, least, most) => {
    const { url } = await refusing(() => 503, [header])
    const { retryAfterMs } = (await failure({ url })) as { retryAfterMs?: number }
    if (least === undefined) return expect(retryAfterMs).toBeUndefined()
    expect(retryAfterMs).toBeGreaterThanOrEqual(least)
    expect(retryAfterMs).toBeLessThanOrEqual(most!)
  })

  test('[T6] 401 asks connectOptions once more, and then it is final', async () => {
    const { url, seen } = await refusing(() => 401)
    let asked = 0
    const closes: unknown[] = []
    const loop = eventloop({
      url,
      reconnect: 'always',
      connectOptions: (_attempt, lastClose) => {
        closes.push(lastClose?.statusCode)
        return { headers: { authorization: `Bearer ${++asked}` } }
      },
    })
    await expect(loop.next()).rejects.toMatchObject({ code: 'BAD_CREDENTIALS', statusCode: 401 })
    expect(seen).toEqual(['Bearer 1', 'Bearer 2'])
    expect(closes).toEqual([undefined, 401])
  })
})

describe('[MQTT-6.0.0-3] the WebSocket sub-protocol', () => {
  async function selecting(select: ((offered: Set<string>) => string | false) | null) {
    const offered: (string | undefined)[] = []
    const server = new WebSocketServer({
      ...{ port: 0, host: '127.0.0.1' },
      ...(select === null ? {} : { handleProtocols: select }),
    })
    await once(server, 'listening')
    onTestFinished(() => {
      for (const client of server.clients) client.terminate()
      server.close()
    })
    server.on('connection', (socket, request) => {
      offered.push(request.headers['sec-websocket-protocol'])
      socket.on('message', (bytes: Buffer) => {
        if (bytes[0] !== 0x10) return
        const version = bytes[3] === 6 ? 3 : (bytes[8] as 4 | 5)
        socket.send(Buffer.from(GOOD[version], 'hex'))
      })
    })
    const { port } = server.address() as AddressInfo
    return { url: `ws://127.0.0.1:${port}/mqtt`, offered }
  }

  test('[T1] is mqttv3.1 for MQTT 3.1, and mqtt otherwise', async () => {
    const { url, offered } = await selecting(([first]) => first!)
    for (const protocolVersion of [5, 4, 3] as const) {
      const connected = await connect({ url, protocolVersion })
      await connected[Symbol.asyncDispose]()
    }
    expect(offered).toEqual(['mqtt', 'mqtt', 'mqttv3.1'])
  })

  test('[T1] a server that selects none is lived with, unless strictly', async () => {
    const { url } = await selecting(() => false)
    const warnings: Warning[] = []
    const loop = eventloop({ url, onWarning: (warning) => warnings.push(warning) })
    await loop.next()
    expect(loop.state.counters.deviations).toEqual({ NO_SUBPROTOCOL: 1 })
    expect(warnings).toMatchObject([{ code: 'SERVER_DEVIATION' }])
    expect(warnings[0]!.message).toMatch(/sub-protocol.*MQTT-6\.0\.0-4/)
    await loop.return()
    const error = await failure({ url, tolerance: 'strict' })
    expect(error.message).toMatch(/subprotocol/)
  })

  test('[T1] a server that selects another one is not', async () => {
    const { url } = await selecting(() => 'other')
    expect((await failure({ url })).message).toMatch(/subprotocol/)
  })
})
