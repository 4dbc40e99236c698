/**
 * Goal: a WebSocket of the runtime is a stream like the others, and what it cannot have is said.
 * Method: a WebSocket that does what the test says; the real ones have their tests in browsers.
 */
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { runInNewContext } from 'node:vm'
import { afterEach, beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest'
import { WebSocket, WebSocketServer } from 'ws'
import type { Endpoint } from '../../src/platform/byte-stream.ts'
import { FrameStream, type PageSocket } from '../../src/platform/web/frame-stream.ts'
import { lackOf, openEndpoint } from '../../src/platform/web/transport.ts'

class FakeSocket implements PageSocket {
  static made: FakeSocket[] = []
  binaryType = 'blob'
  protocol = 'mqtt'
  bufferedAmount = 0
  onopen: (() => void) | null = null
  onmessage: PageSocket['onmessage'] = null
  onerror: PageSocket['onerror'] = null
  onclose: PageSocket['onclose'] = null
  readonly sent: number[] = []
  /** The memory of what was sent last. */
  memory: ArrayBufferLike | null = null
  closes: (number | undefined)[] = []

  readonly url: string
  readonly protocols: readonly string[]

  constructor(url = '', protocols: readonly string[] = []) {
    this.url = url
    this.protocols = protocols
    FakeSocket.made.push(this)
  }

  send(bytes: Uint8Array): void {
    this.sent.push(...bytes)
    this.memory = bytes.buffer
    this.bufferedAmount += bytes.length
  }

  close(code?: number): void {
    this.closes.push(code)
  }

  receive(...bytes: number[]): void {
    this.onmessage?.({ data: Uint8Array.from(bytes).buffer })
  }
}

const endpoint: Endpoint = {
  url: new URL('wss://user:secret@host:8084/mqtt?token=1'),
  ...{ host: 'host', port: 8084, tls: {}, socket: {}, connectTimeout: 1, headers: {} },
  ...{ subprotocol: 'mqtt', lenient: true, maximumPacketSize: 100, unreadBytesMax: 8 },
}

function dial(change: Partial<Endpoint> = {}) {
  const attempt = new AbortController()
  const deviations: string[] = []
  const opening = { reached: () => {}, deviated: (what: string) => void deviations.push(what) }
  const opened = openEndpoint({ ...endpoint, ...change }, attempt.signal, opening)
  const outcome = opened.then(
    (stream) => stream as FrameStream,
    (error: Error & { code?: string }) => error,
  )
  return { attempt, deviations, outcome, socket: FakeSocket.made.at(-1)! }
}

beforeEach(() => {
  FakeSocket.made = []
  vi.stubGlobal('WebSocket', FakeSocket)
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
})

afterEach(() => {
  vi.unstubAllGlobals()
  vi.useRealTimers()
})

describe('opening', () => {
  test('the URL has no credentials, the frames are binary, the sub-protocol is offered', async () => {
    const { socket, outcome, deviations } = dial()
    expect(socket.url).toBe('wss://host:8084/mqtt?token=1')
    expect(socket.protocols).toEqual(['mqtt'])
    expect(socket.binaryType).toBe('arraybuffer')
    socket.onopen!()
    expect(await outcome).toBeInstanceOf(FrameStream)
    expect(deviations).toEqual([])
  })

  test.each([
    [true, '', 'opened'],
    [false, '', 'refused'],
    [true, 'other', 'refused'],
    [false, 'mqtt', 'opened'],
  ])('lenient: %s, the server selects "%s": %s', async (lenient, protocol, expected) => {
    const { socket, outcome, deviations } = dial({ lenient })
    socket.protocol = protocol
    socket.onopen!()
    const found = await outcome
    expect(found instanceof FrameStream ? 'opened' : 'refused').toBe(expected)
    expect(deviations).toHaveLength(expected === 'opened' && protocol === '' ? 1 : 0)
    if (expected === 'refused') expect(socket.closes).toHaveLength(1)
  })

  test('an attempt that failed says what may be wrong, since the runtime does not', async () => {
    const { socket, outcome } = dial()
    socket.onerror!({})
    socket.onclose!({ code: 1006, reason: '' })
    expect(await outcome).toMatchObject({
      code: 'WS_1006',
      message: expect.stringMatching(/certificate.*host, port and path/),
    })
  })

  test('an attempt that is given up closes its WebSocket', async () => {
    const { attempt, socket, outcome } = dial()
    attempt.abort(new Error('enough'))
    expect(await outcome).toMatchObject({ message: 'enough' })
    expect(socket.closes).toHaveLength(1)
    expect([socket.onopen, socket.onclose]).toEqual([null, null])
  })

  test('what the runtime refuses is a UsageError', async () => {
    vi.stubGlobal('WebSocket', function refuse() {
      throw new Error('insecure')
    })
    expect(await dial().outcome).toMatchObject({ name: 'UsageError', code: 'USAGE' })
  })
})

test('over a real WebSocket: 3 MiB both ways, and an end by the server', async () => {
  vi.useRealTimers()
  vi.stubGlobal('WebSocket', WebSocket)
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' })
  await once(server, 'listening')
  server.on('connection', (peer) => {
    peer.on('message', (frame) => peer.send(frame, () => peer.close(1000)))
  })
  const { port } = server.address() as AddressInfo
  const stream = (await dial({ url: new URL(`ws://127.0.0.1:${port}/mqtt`) })
    .outcome) as FrameStream
  const sent = Uint8Array.from({ length: 3 << 20 }, (_, i) => i * 7)
  const { data, events } = listen(stream)
  await new Promise((done) => stream.write(sent, done))
  await vi.waitFor(() => expect(events).toEqual(['end', 'close']), 10_000)
  expect(Buffer.from(data.flat()).equals(sent)).toBe(true)
  server.close()
})

describe('what a runtime without sockets refuses at the door', () => {
  const wishes = { schemes: ['wss:'], headers: false, socketOptions: [] }

  test.each([
    [{}, null, ''],
    [{ schemes: ['ws:', 'wss:'] }, null, ''],
    ...['mqtt:', 'tcp:', 'mqtts:', 'tls:', 'unix:'].map(
      (scheme) => [{ schemes: ['wss:', scheme] }, 'NO_SOCKETS', scheme] as const,
    ),
    [{ headers: true }, 'NO_HEADERS', 'headers'],
    ...['tls', 'family', 'localAddress', 'lookup'].map(
      (name) => [{ socketOptions: [name] }, 'NO_SOCKETS', name] as const,
    ),
  ] as const)('%j: %s', (change, code, named) => {
    const lack = lackOf({ ...wishes, ...change })
    expect(lack?.code ?? null).toBe(code)
    if (lack !== null) expect(lack.message).toContain(named)
  })

  test('a WebSocket, if there is none', () => {
    vi.stubGlobal('WebSocket', undefined)
    expect(lackOf(wishes)?.code).toBe('NO_WEBSOCKET')
  })
})

interface Seen {
  readonly events: string[]
  readonly data: number[][]
}

function listen(stream: FrameStream): Seen {
  const seen: Seen = { events: [], data: [] }
  stream.on('data', (chunk) => void seen.data.push([...chunk]))
  stream.on('error', (error) => {
    seen.events.push(`error ${(error as Error & { code?: string }).code ?? error.message}`)
  })
  for (const event of ['end', 'close'] as const) stream.on(event, () => seen.events.push(event))
  stream.once('finish', () => seen.events.push('finish'))
  return seen
}

const turn = async (): Promise<void> => {
  for (let i = 0; i < 5; i++) await null
}

describe('reading', () => {
  test('frames that come during a pause are held, in order, and given after it', async () => {
    const socket = new FakeSocket()
    const stream = new FrameStream(socket, 8)
    const { data } = listen(stream)
    await turn()
    socket.receive(1)
    stream.pause()
    socket.receive(2)
    socket.receive(3, 4)
    expect(data).toEqual([[1]])
    stream.resume()
    socket.receive(5)
    await turn()
    expect(data).toEqual([[1], [2], [3, 4], [5]])
  })

  test('nothing is lost before the first listener', async () => {
    const socket = new FakeSocket()
    const stream = new FrameStream(socket, 8)
    socket.receive(1)
    const { data } = listen(stream)
    expect(data).toEqual([])
    await turn()
    expect(data).toEqual([[1]])
  })

  test('what is held is bounded, a single frame aside', async () => {
    const socket = new FakeSocket()
    const stream = new FrameStream(socket, 8)
    const { data, events } = listen(stream)
    stream.pause()
    socket.receive(...new Array(20).fill(7))
    await turn()
    expect([stream.destroyed, events]).toEqual([false, []])
    socket.receive(8)
    await turn()
    expect(events).toEqual(['error WS_OVERFLOW', 'close'])
    expect([data, socket.closes]).toEqual([[], [undefined]])
  })

  test('a text frame ends it [MQTT-6.0.0-1]', async () => {
    const socket = new FakeSocket()
    const { events } = listen(new FrameStream(socket, 8))
    socket.onmessage!({ data: 'text' })
    await turn()
    expect(events).toEqual(['error a text frame came; MQTT is binary', 'close'])
  })

  test.each([
    [{ code: 1000 }, ['end', 'close']],
    [{ code: 1005, reason: '' }, ['end', 'close']],
    [{ code: 1006, reason: '' }, ['error WS_1006', 'close']],
    [{ code: 1011, reason: 'sick' }, ['error WS_1011', 'close']],
    [{ code: 4001 }, ['error WS_4001', 'close']],
  ])('the server closes with %j: %j, behind what was held', async (report, expected) => {
    const socket = new FakeSocket()
    const stream = new FrameStream(socket, 8)
    const { data, events } = listen(stream)
    stream.pause()
    socket.receive(1)
    socket.onclose!(report)
    await turn()
    expect(events).toEqual([])
    stream.resume()
    await turn()
    expect([data, events]).toEqual([[[1]], expected])
    // Workers answer the close of a server only then.
    expect(socket.closes).toEqual([undefined])
  })
})

describe('what a runtime may do otherwise', () => {
  test('empty frames are not held, however many come', async () => {
    const socket = new FakeSocket()
    const stream = new FrameStream(socket, 4)
    const { data, events } = listen(stream)
    stream.pause()
    for (let i = 0; i < 1000; i++) socket.receive()
    socket.receive(1)
    stream.resume()
    await turn()
    expect([data, events]).toEqual([[[1]], []])
  })

  test('bytes of another realm are bytes', async () => {
    const socket = new FakeSocket()
    const { data, events } = listen(new FrameStream(socket, 4))
    socket.onmessage!({ data: runInNewContext('new Uint8Array([1, 2]).buffer') })
    await turn()
    expect([data, events]).toEqual([[[1, 2]], []])
  })

  test('bytes in shared memory are copied, which a WebSocket does not take', () => {
    const socket = new FakeSocket()
    const stream = new FrameStream(socket, 4)
    stream.write(new Uint8Array(new SharedArrayBuffer(3)), () => {})
    expect(socket.sent).toEqual([0, 0, 0])
    expect(socket.memory).toBeInstanceOf(ArrayBuffer)
  })

  test('a send() that throws breaks the stream, and the write is told', async () => {
    const socket = new FakeSocket()
    socket.send = () => {
      throw new TypeError('not now')
    }
    const stream = new FrameStream(socket, 4)
    const { events } = listen(stream)
    const done: unknown[] = []
    stream.write(Uint8Array.of(1), (error) => void done.push(error?.message))
    await turn()
    expect([done, events.at(-1)]).toEqual([['not now'], 'close'])
  })

  test('an error without a close is a lost connection, a second later', async () => {
    vi.useFakeTimers()
    onTestFinished(() => void vi.useRealTimers())
    const socket = new FakeSocket()
    const { events } = listen(new FrameStream(socket, 4))
    socket.onerror!({})
    await vi.advanceTimersByTimeAsync(999)
    expect(events).toEqual([])
    await vi.advanceTimersByTimeAsync(2)
    expect(events).toEqual(['error WS_1006', 'close'])
  })
})

describe('writing', () => {
  test('a write is done when its bytes were handed over, and not before', async () => {
    const socket = new FakeSocket()
    const stream = new FrameStream(socket, 8)
    const done: string[] = []
    stream.write(Uint8Array.of(1, 2), () => done.push('first'))
    stream.write(Uint8Array.of(3), () => done.push('second'))
    expect(socket.sent).toEqual([1, 2, 3])
    vi.advanceTimersByTime(1000)
    expect(done).toEqual([])
    socket.bufferedAmount = 1
    vi.advanceTimersByTime(64)
    expect(done).toEqual(['first'])
    // A frame that comes is a reason to look, too.
    socket.bufferedAmount = 0
    socket.receive(1)
    expect(done).toEqual(['first', 'second'])
    vi.advanceTimersByTime(1000)
    expect(vi.getTimerCount()).toBe(0)
  })

  test('the end closes when everything was handed over', async () => {
    const socket = new FakeSocket()
    const stream = new FrameStream(socket, 8)
    const { events } = listen(stream)
    stream.write(Uint8Array.of(1), () => {})
    stream.end()
    vi.advanceTimersByTime(64)
    expect(socket.closes).toEqual([])
    socket.bufferedAmount = 0
    vi.advanceTimersByTime(64)
    await turn()
    expect([socket.closes, events]).toEqual([[1000], ['finish']])
    socket.onclose!({ code: 1000 })
    await turn()
    expect(events).toEqual(['finish', 'end', 'close'])
  })

  test('destroyed: what waits fails, nothing comes any more, and no timer is left', async () => {
    const socket = new FakeSocket()
    const stream = new FrameStream(socket, 8)
    const { events, data } = listen(stream)
    const done: unknown[] = []
    stream.write(Uint8Array.of(1), (error) => done.push(error?.message))
    stream.destroy(new Error('why'))
    socket.receive(1)
    await turn()
    stream.write(Uint8Array.of(2), (error) => done.push(error?.message))
    await turn()
    expect(done).toEqual(['why', 'the WebSocket is closed'])
    expect([events, data]).toEqual([['error why', 'close'], []])
    expect([socket.sent, vi.getTimerCount()]).toEqual([[1], 0])
  })
})
