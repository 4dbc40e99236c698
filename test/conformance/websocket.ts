/**
 * WebSocket situations on real sockets, for both versions; the tests with their numbers are in
 * websocket.test.ts and websocket-311.test.ts.
 */
import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import mqtt, { type Packet } from 'mqtt-packet'
import { expect, onTestFinished } from 'vitest'
import { type WebSocket, WebSocketServer } from 'ws'
import { type EventloopOptions, eventloop, type Incoming, subscribe } from '../../src/index.ts'
import { until } from '../support/process.ts'

type Version = 4 | 5

interface Side {
  readonly socket: WebSocket
  /** All bytes that the client sent. */
  readonly packets: Packet[]
  /** Whether each of its frames was binary. */
  readonly binary: boolean[]
  readonly offered: string | undefined
}

interface Door {
  readonly url: string
  readonly sides: Side[]
  encode(packet: object): Buffer
}

/** A server that sends CONNACK in a frame of its own, and then what the test gives. */
async function door(
  protocolVersion: Version,
  handleProtocols: (offered: Set<string>) => string | false = () => 'mqtt',
): Promise<Door> {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1', handleProtocols })
  await once(server, 'listening')
  onTestFinished(() => {
    for (const client of server.clients) client.terminate()
    server.close()
  })
  const encode = (packet: object) => mqtt.generate(packet as Packet, { protocolVersion })
  const sides: Side[] = []
  server.on('connection', (socket, request) => {
    const offered = request.headers['sec-websocket-protocol']
    const side: Side = { socket, packets: [], binary: [], offered }
    sides.push(side)
    const parser = mqtt.parser({ protocolVersion })
    parser.on('packet', (packet) => {
      side.packets.push(packet)
      if (packet.cmd !== 'connect') return
      const code = protocolVersion === 5 ? { reasonCode: 0 } : { returnCode: 0 }
      socket.send(encode({ cmd: 'connack', sessionPresent: false, ...code }))
    })
    socket.on('message', (bytes, isBinary) => {
      side.binary.push(isBinary)
      parser.parse(bytes as Buffer)
    })
    socket.on('error', () => {})
  })
  const { port } = server.address() as AddressInfo
  return { url: `ws://user:secret@127.0.0.1:${port}/mqtt`, sides, encode }
}

function open(url: string, protocolVersion: Version, options: EventloopOptions = {}) {
  const received: Incoming[] = []
  const loop = eventloop(
    { url, protocolVersion, reconnect: 'never', until: 'closed', ...options },
    [subscribe('t')],
  )
  let error: unknown
  const reading = (async () => {
    for await (const packet of loop) received.push(packet)
  })().catch((thrown) => {
    error = thrown
  })
  onTestFinished(async () => void (await loop.return()))
  return { loop, received, reading, failure: () => error as Error & { code?: string } }
}

const message = (payload: string) => ({ cmd: 'publish', topic: 't', payload, qos: 0 })

/** Connects a loop, and waits until the server has its connection. */
async function connected(version: Version, options: EventloopOptions = {}) {
  const server = await door(version)
  const client = open(server.url, version, options)
  await until(() => server.sides[0]?.packets.length === 2, 'CONNECT and SUBSCRIBE came')
  return { ...client, server, side: server.sides[0]! }
}

/** [MQTT-6.0.0-1], [W01] */
export async function textFrame(version: Version): Promise<void> {
  const { side, server, reading, failure, received } = await connected(version)
  expect(side.binary).toEqual(side.binary.map(() => true))
  side.socket.send(server.encode(message('in text')).toString('latin1'))
  await reading
  expect(failure().message).toMatch(/a text frame came/)
  expect(received.filter(({ cmd }) => cmd === 'publish')).toEqual([])
}

/** [MQTT-6.0.0-2], [W03] */
export async function frames(version: Version): Promise<void> {
  const { side, server, received } = await connected(version)
  const bytes = Buffer.concat(['one', 'two', 'three'].map((text) => server.encode(message(text))))
  side.socket.send(bytes)
  side.socket.send(Buffer.alloc(0))
  for (const byte of bytes) side.socket.send(Buffer.from([byte]))
  for (let at = 0; at < bytes.length; at += 5) side.socket.send(bytes.subarray(at, at + 5))
  const texts = () =>
    received.flatMap((packet) => (packet.cmd === 'publish' ? [packet.payload.toString()] : []))
  await until(() => texts().length === 9, 'all of them came')
  expect(texts()).toEqual(['one', 'two', 'three', 'one', 'two', 'three', 'one', 'two', 'three'])
}

/** [MQTT-6.0.0-3] */
export async function offers(version: Version): Promise<void> {
  const { side } = await connected(version)
  expect(side.offered).toBe('mqtt')
  expect(side.packets[0]).toMatchObject({
    cmd: 'connect',
    username: 'user',
    protocolVersion: version,
  })
}

/** [MQTT-6.0.0-4], [W02] */
export async function subProtocol(version: Version, selected: string | false): Promise<void> {
  const server = await door(version, () => selected)
  const { reading, failure } = open(server.url, version, { tolerance: 'strict' })
  await reading
  expect(failure()).toMatchObject({ name: 'ConnectionError' })
  expect(failure().message).toMatch(/subprotocol/)
  expect(failure().message).not.toContain('secret')
  expect(server.sides.flatMap(({ packets }) => packets)).toEqual([])
}

/** [W04] */
export async function closedWithin(version: Version): Promise<void> {
  const { side, server, reading, failure, received } = await connected(version)
  side.socket.send(server.encode(message('half')).subarray(0, 4))
  side.socket.close()
  await reading
  expect(failure()).toMatchObject({ name: 'ConnectionError', retryable: true })
  expect(received.filter(({ cmd }) => cmd === 'publish')).toEqual([])
}

/** [W05] */
export async function largeFrame(version: Version): Promise<void> {
  const { side, server, reading, failure, received } = await connected(version, {
    maximumPacketSize: 1000,
  })
  const many = Buffer.concat(Array.from({ length: 40_000 }, () => server.encode(message('small'))))
  side.socket.send(many)
  await reading
  expect(failure().message).toMatch(/Max payload size exceeded/)
  expect(received.filter(({ cmd }) => cmd === 'publish')).toEqual([])
}

/** The end leaves nothing: the close handshake is done, or given up with the loop. (N4) */
export async function ends(version: Version): Promise<void> {
  const { loop, side } = await connected(version)
  const closed = once(side.socket, 'close')
  await loop.return()
  await closed
  expect(side.packets.at(-1)).toMatchObject({ cmd: 'disconnect' })
}

/** A server accepts the connection and sends nothing: `connectTimeout` covers the upgrade. (T2) */
export async function silentUpgrade(version: Version): Promise<void> {
  const server = createServer(() => {})
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => void server.close())
  const { port } = server.address() as AddressInfo
  const { reading, failure } = open(`ws://127.0.0.1:${port}`, version, { connectTimeout: 50 })
  await reading
  expect(failure()).toMatchObject({ code: 'CONNECT_TIMEOUT' })
}

/** The keep-alive is below the idle limits of load balancers, unless another one is given. (T2) */
export async function keepsAlive(version: Version): Promise<void> {
  const { side } = await connected(version)
  expect(side.packets[0]).toMatchObject({ keepalive: 25 })
  const given = await connected(version, { keepAlive: 7 })
  expect(given.side.packets[0]).toMatchObject({ keepalive: 7 })
}
