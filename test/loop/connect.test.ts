/**
 * Goal: `connect()` makes one attempt that resolves after a good CONNACK or rejects and leaves
 * nothing; what it resolves with waits, sends nothing, and goes to one loop. Method: a scripted
 * server; sockets, timers and listeners are counted.
 */
import { describe, expect, test } from 'vitest'
import {
  Connected,
  ConnectionError,
  connect,
  decodeSession,
  type EventloopOptions,
  encodeSession,
  eventloop,
  ProtocolError,
  publish,
  RefusedError,
  type Request,
  run,
  subscribe,
  UsageError,
} from '../../src/index.ts'
import { peek, resolved, VirtualClock } from '../support/clock.ts'
import { networkError, ScriptedServer } from '../support/server.ts'

interface Stage {
  readonly clock: VirtualClock
  readonly server: ScriptedServer
  readonly options: EventloopOptions
}

function stage(options: EventloopOptions = {}): Stage {
  const clock = new VirtualClock()
  const server = new ScriptedServer(clock)
  return {
    ...{ clock, server },
    options: { platform: clock, transport: server.transport, clientId: 'c', ...options },
  }
}

/** Expects that nothing is left behind. */
function expectNothingLeft({ clock, server }: Stage): void {
  expect(clock.pendingTimers).toBe(0)
  expect(server.open).toBe(0)
  for (const { client } of server.connections) expect(client.destroyed).toBe(true)
}

function message(payload: string, messageId = 0) {
  const qos = messageId === 0 ? 0 : 1
  return {
    cmd: 'publish',
    topic: 'in',
    payload,
    qos,
    messageId,
    dup: false,
    retain: false,
  } as const
}

// ----------------------------------------------------------------------------------------- rejects

describe('there is one attempt, and if it fails nothing is left', () => {
  const refusals: readonly (readonly [
    string,
    (s: Stage) => void,
    new (...args: never[]) => Error,
    object,
    EventloopOptions?,
  ])[] = [
    [
      'nobody there',
      ({ server }) => server.refuse(networkError('ECONNREFUSED')),
      ConnectionError,
      { code: 'ECONNREFUSED', retryable: true },
    ],
    [
      'no such name',
      ({ server }) => server.refuse(networkError('ENOTFOUND')),
      ConnectionError,
      { code: 'ENOTFOUND' },
    ],
    [
      'bad credentials',
      ({ server }) => (server.autoConnack = { reasonCode: 0x86 }),
      RefusedError,
      { code: 'BAD_CREDENTIALS', reasonCode: 0x86, retryable: false },
    ],
    [
      'a busy server',
      ({ server }) => (server.autoConnack = { reasonCode: 0x89 }),
      RefusedError,
      { reasonCode: 0x89, retryable: true },
    ],
    [
      'bad credentials in 3.1.1',
      ({ server }) => (server.autoConnack = { returnCode: 4 }),
      RefusedError,
      { code: 'BAD_CREDENTIALS' },
      { protocolVersion: 4 },
    ],
    [
      'a reset before the CONNACK',
      (s) => {
        s.server.autoConnack = false
        s.server.onConnection = (one) => s.clock.setTimer(() => one.reset(), 5)
      },
      ConnectionError,
      { code: 'ECONNRESET' },
      { protocolVersion: 5 },
    ],
    [
      'a FIN before the CONNACK',
      (s) => {
        s.server.autoConnack = false
        s.server.onConnection = (one) => s.clock.setTimer(() => one.end(), 5)
      },
      ConnectionError,
      { code: 'CONNECTION_CLOSED' },
      { protocolVersion: 5 },
    ],
    [
      'no CONNACK in time',
      ({ server }) => (server.autoConnack = false),
      ConnectionError,
      { code: 'CONNECT_TIMEOUT' },
      { protocolVersion: 5 },
    ],
    [
      'a dial that hangs',
      ({ server }) => server.hang(),
      ConnectionError,
      { code: 'CONNECT_TIMEOUT' },
    ],
    [
      'a packet that is no CONNACK',
      (s) => {
        s.server.autoConnack = false
        s.server.onConnection = (one) => s.clock.setTimer(() => one.send({ cmd: 'pingresp' }), 5)
      },
      ProtocolError,
      { reasonCode: 0x82 },
    ],
    [
      'a session that nobody here knows, strictly',
      ({ server }) => (server.autoConnack = { sessionPresent: true }),
      ProtocolError,
      { clause: 'MQTT-3.2.2-4' },
      { cleanStart: false, tolerance: 'strict' },
    ],
    [
      'a server that takes nothing',
      ({ server }) => (server.autoConnack = { properties: { maximumPacketSize: 1 } }),
      RefusedError,
      { retryable: false },
    ],
  ]
  for (const [name, prepare, family, details, options] of refusals) {
    test(`${name}: it rejects with the reason`, async () => {
      for (const reconnect of ['always', 'never'] as const) {
        const s = stage({ reconnect, ...options })
        prepare(s)
        const attempt = connect({ ...s.options, connectTimeout: 3000 })
        attempt.catch(() => {})
        await s.clock.advance(5000)
        await expect(attempt).rejects.toBeInstanceOf(family)
        await expect(attempt).rejects.toMatchObject(details)
        expectNothingLeft(s)
        await s.clock.advance(3_600_000)
        expect(s.server.dials).toHaveLength(1)
      }
    })
  }

  test('with a wrong option nothing is dialled', async () => {
    const s = stage()
    await expect(connect({ ...s.options, keepAlive: -1 })).rejects.toThrow(UsageError)
    expect(s.server.dials).toEqual([])
  })

  test('3.1.1 is tried if 5 is not spoken, within the same time', async () => {
    const s = stage()
    s.server.onConnection = (connection) => {
      const first = s.server.connections.length === 1
      connection.autoConnack = first ? { reasonCode: 0x84 } : true
    }
    const connected = await resolved(s.clock, connect(s.options))
    expect(s.server.connections.map(({ version }) => version)).toEqual([5, 4])
    expect(connected.connack).toMatchObject({ cmd: 'connack', returnCode: 0 })
    await connected[Symbol.asyncDispose]()
  })

  test('an abort of its signal rejects it with the reason itself', async () => {
    for (const when of ['before', 'while dialling', 'before the CONNACK'] as const) {
      const s = stage()
      const abort = new AbortController()
      const reason = new Error('changed my mind')
      if (when === 'before') abort.abort(reason)
      if (when === 'while dialling') s.server.hang()
      s.server.autoConnack = false
      const attempt = connect({ ...s.options, signal: abort.signal })
      attempt.catch(() => {})
      await s.clock.settle()
      abort.abort(reason)
      await s.clock.advance(2000)
      await expect(attempt).rejects.toBe(reason)
      expectNothingLeft(s)
      expect(s.server.dials).toHaveLength(when === 'before' ? 0 : 1)
    }
  })
})

// ------------------------------------------------------------------------------------------- waits

describe('the value that it resolves with', () => {
  test('carries the CONNACK, sends nothing, reads nothing, and waits as long as it takes', async () => {
    const s = stage({ keepAlive: 10 })
    s.server.autoConnack = { properties: { receiveMaximum: 7 } }
    const connected = await resolved(s.clock, connect(s.options))
    expect(connected).toBeInstanceOf(Connected)
    expect(connected.connack).toMatchObject({ properties: { receiveMaximum: 7 } })
    s.server.current.send(...Array.from({ length: 5000 }, (_, i) => message(`${i}`)))
    await s.clock.advance(14_000)
    expect(s.server.current.packets.map(({ cmd }) => cmd)).toEqual(['connect'])
    expect(s.server.current.client.isPaused()).toBe(true)
    await connected[Symbol.asyncDispose]()
  })

  test('keeps the bytes behind the CONNACK for the loop, whole packets and parts, unprocessed', async () => {
    const connack = Buffer.from([0x20, 3, 0, 0, 0])
    const publishes = Buffer.concat(
      ['one', 'two', 'three'].map((payload) =>
        Buffer.concat([
          ...[Buffer.from([0x30, payload.length + 4, 0, 1, 0x61, 0]), Buffer.from(payload)],
        ]),
      ),
    )
    const all = Buffer.concat([connack, publishes])
    for (let cut = 0; cut <= all.length; cut++) {
      const s = stage({ until: 'closed' })
      s.server.autoConnack = false
      const attempt = connect(s.options)
      await s.clock.settle()
      s.server.current.send(all.subarray(0, cut))
      await s.clock.settle()
      if (cut >= connack.length) expect(await peek(s.clock, attempt)).not.toBe('pending')
      s.server.current.send(all.subarray(cut))
      const connected = await resolved(s.clock, attempt)
      const loop = eventloop(connected, [])
      const got: string[] = []
      for (let i = 0; i < 4; i++) {
        const { value } = await resolved(s.clock, loop.next())
        got.push(value?.cmd === 'publish' ? String(value.payload) : String(value?.cmd))
      }
      expect(got).toEqual(['connack', 'one', 'two', 'three'])
      await loop.return()
    }
  })

  test('goes to one eventloop(), with its requests, however long the CONNACK took', async () => {
    const s = stage({ until: 'settled' })
    s.server.autoConnack = false
    const connecting = connect(s.options)
    await s.clock.advance(3000)
    s.server.current.connack()
    const connected = await resolved(s.clock, connecting)
    const loop = eventloop(connected, [publish('t', 'x', { qos: 1 })])
    const cmds: string[] = []
    const body = (async () => {
      for await (const packet of loop) cmds.push(packet.cmd)
    })()
    await s.clock.advance(1000)
    await resolved(s.clock, body)
    expect(cmds).toEqual(['connack', 'puback'])
  })

  test('goes to one eventloop(), with its requests, controls and policy', async () => {
    const s = stage({ until: 'settled', reconnect: { when: 'always', minMs: 7, maxMs: 0 } })
    const outcomes: Request[] = []
    const connected = await resolved(
      s.clock,
      connect({ ...s.options, onSettled: (request) => void outcomes.push(request) }),
    )
    const requests = (async function* () {
      yield publish('t', 'x', { qos: 1 })
      await new Promise<void>((resolve) => s.clock.setTimer(resolve, 1000))
      yield publish('t', 'y', { qos: 1 })
    })()
    const loop = eventloop(connected, requests, [{ cmd: 'ping' }])
    expect(loop.state.connection.kind).toBe('connected')
    expect(s.server.current.of('publish')).toEqual([])
    const cmds: string[] = []
    const body = (async () => {
      for await (const packet of loop) cmds.push(packet.cmd)
    })()
    await s.clock.settle()
    expect(s.server.dials).toHaveLength(1)
    expect(cmds[0]).toBe('connack')
    expect(s.server.current.of('pingreq')).toHaveLength(1)
    // `connect()` tries once; the loop follows the user's policy.
    s.server.autoConnack = { sessionPresent: true }
    s.server.current.reset()
    await s.clock.advance(7)
    expect(s.server.dials).toHaveLength(2)
    await s.clock.advance(1000)
    await body
    expect(outcomes.filter(({ cmd }) => cmd === 'publish')).toHaveLength(2)
    expectNothingLeft(s)
  })

  test('is refused with a UsageError by a second loop, and after its disposal', async () => {
    const s = stage()
    const connected = await resolved(s.clock, connect(s.options))
    const loop = eventloop(connected)
    expect(() => eventloop(connected)).toThrow(UsageError)
    expect(() => eventloop(connected)).toThrow(/given to a loop already/)
    await expect(run(connected, [])).rejects.toThrow(UsageError)
    // The first loop is not harmed.
    expect(await resolved(s.clock, loop.next())).toMatchObject({ value: { cmd: 'connack' } })
    await loop.return()

    const other = await resolved(s.clock, connect(s.options))
    await other[Symbol.asyncDispose]()
    expect(() => eventloop(other)).toThrow(UsageError)
  })

  test('stays usable if the requests given with it are not', async () => {
    const s = stage()
    const connected = await resolved(s.clock, connect(s.options))
    expect(() => eventloop(connected, 'text' as never)).toThrow(UsageError)
    const loop = eventloop(connected, [])
    expect(await resolved(s.clock, loop.next())).toMatchObject({ value: { cmd: 'connack' } })
    await loop.return()
    expectNothingLeft(s)
  })

  test('is taken by run(), too', async () => {
    const s = stage()
    const connected = await resolved(s.clock, connect(s.options))
    const result = await resolved(s.clock, run(connected, [publish('t', 'x', { qos: 2 })]))
    expect(result).toMatchObject({ settled: 1, taken: 1, unsettled: [], failed: [] })
    expect(s.server.dials).toHaveLength(1)
    expectNothingLeft(s)
  })

  test('leaves onConnected and a session to the loop', async () => {
    const first = stage({ cleanStart: false, keepAlive: 0 })
    first.server.autoAck = false
    const before = eventloop(first.options, [publish('t', 'held', { qos: 1 })])
    void before.next()
    await first.clock.settle()
    before.shutdown()
    await first.clock.advance(1000)

    const births: number[] = []
    const session = decodeSession(encodeSession(before.session))
    const onConnected = () => {
      births.push(1)
      return [publish('birth', 'birth')]
    }
    const { cleanStart: _, ...rest } = first.options
    const s = { ...first, options: { ...rest, session, onConnected } }
    s.server.autoConnack = { sessionPresent: true }
    const connected = await resolved(s.clock, connect(s.options))
    await s.clock.advance(10_000)
    expect(births).toEqual([])
    expect(s.server.current.packets.map(({ cmd }) => cmd)).toEqual(['connect'])
    const loop = eventloop(connected)
    await resolved(s.clock, loop.next())
    await s.clock.settle()
    expect(births).toEqual([1])
    expect(s.server.current.of('publish').map(({ payload }) => String(payload))).toEqual([
      ...['birth', 'held'],
    ])
    await loop.return()
  })
})

// ----------------------------------------------------------------------------------------- the end

describe('its disposal', () => {
  test('sends DISCONNECT and leaves nothing; a second one does nothing', async () => {
    const s = stage()
    const connected = await resolved(s.clock, connect(s.options))
    await resolved(s.clock, connected[Symbol.asyncDispose]())
    await resolved(s.clock, connected[Symbol.asyncDispose]())
    expect(s.server.current.packets.map(({ cmd }) => cmd)).toEqual(['connect', 'disconnect'])
    expectNothingLeft(s)
  })

  test('gives a server that does not close one second', async () => {
    const s = stage()
    s.server.autoClose = false
    const connected = await resolved(s.clock, connect(s.options))
    const disposal = connected[Symbol.asyncDispose]()
    expect(await peek(s.clock, disposal)).toBe('pending')
    await s.clock.advance(1000)
    await resolved(s.clock, disposal)
    expectNothingLeft(s)
  })

  test('does nothing once a loop has it: the loop goes on', async () => {
    const s = stage({ until: 'closed' })
    const connected = await resolved(s.clock, connect(s.options))
    const loop = eventloop(connected)
    await resolved(s.clock, loop.next())
    await resolved(s.clock, connected[Symbol.asyncDispose]())
    expect(loop.state.connection.kind).toBe('connected')
    await loop.return()
    expectNothingLeft(s)
  })

  test('may follow a loop that never ran', async () => {
    const s = stage()
    const connected = await resolved(s.clock, connect(s.options))
    const loop = eventloop(connected, [publish('t')])
    await resolved(s.clock, loop.return())
    expect(s.server.current.packets.map(({ cmd }) => cmd)).toEqual(['connect', 'disconnect'])
    expectNothingLeft(s)
  })

  test("may follow the server's close", async () => {
    for (const leave of ['end', 'reset'] as const) {
      const s = stage()
      const connected = await resolved(s.clock, connect(s.options))
      s.server.current[leave]()
      await s.clock.settle()
      const disposal = connected[Symbol.asyncDispose]()
      await s.clock.advance(1000)
      await resolved(s.clock, disposal)
      expectNothingLeft(s)
    }
  })

  test('is done by an abort of the signal while it waits, and a loop that gets it rejects with the reason', async () => {
    const abort = new AbortController()
    const reason = new Error('enough')
    const s = stage({ signal: abort.signal })
    const connected = await resolved(s.clock, connect(s.options))
    abort.abort(reason)
    await s.clock.advance(2000)
    const loop = eventloop(connected, [publish('t', 'x', { qos: 1 })])
    await expect(resolved(s.clock, loop.next())).rejects.toBe(reason)
    await s.clock.advance(2000)
    expectNothingLeft(s)
  })
})

describe('if the server has closed meanwhile, the loop treats that as a loss', () => {
  for (const leave of ['end', 'reset'] as const) {
    test(`${leave}: the loop dials again and goes on`, async () => {
      const s = stage({ until: 'settled' })
      const connected = await resolved(s.clock, connect(s.options))
      s.server.current.send(message('last words'))
      await s.clock.settle()
      s.server.current[leave]()
      await s.clock.settle()
      const requests = [publish('t', 'x', { qos: 1 }), subscribe('a')]
      const loop = eventloop(connected, requests)
      const cmds: string[] = []
      const body = (async () => {
        for await (const packet of loop) cmds.push(packet.cmd)
      })()
      await s.clock.advance(60_000)
      await resolved(s.clock, body)
      expect(cmds[0]).toBe('connack')
      expect(cmds.filter((cmd) => cmd === 'connack')).toHaveLength(2)
      expect(cmds.filter((cmd) => cmd === 'puback')).toHaveLength(1)
      if (leave === 'end') expect(cmds[1]).toBe('publish')
      expect(s.server.dials).toHaveLength(2)
      expectNothingLeft(s)
    })

    test(`${leave}, reconnect: never: next() rejects with the loss`, async () => {
      const s = stage({ reconnect: 'never' })
      const connected = await resolved(s.clock, connect(s.options))
      s.server.current[leave]()
      await s.clock.settle()
      const loop = eventloop(connected, [publish('t', 'x', { qos: 1 })])
      let error: unknown
      const body = (async () => {
        for await (const _ of loop) s.clock.touch()
      })().catch((thrown: unknown) => {
        error = thrown
      })
      await s.clock.advance(5000)
      await body
      expect(error).toBeInstanceOf(ConnectionError)
      expect(s.server.dials).toHaveLength(1)
      expectNothingLeft(s)
    })
  }

  test('a server that was only silent is measured from when the loop begins', async () => {
    const s = stage({ keepAlive: 10, until: 'closed' })
    const connected = await resolved(s.clock, connect(s.options))
    await s.clock.advance(14_000)
    const loop = eventloop(connected)
    await resolved(s.clock, loop.next())
    await s.clock.settle()
    // The server waits for a PINGREQ by now; it gets it immediately and answers.
    expect(s.server.current.of('pingreq')).toHaveLength(1)
    await s.clock.advance(30_000)
    expect(s.server.connections).toHaveLength(1)
    expect(loop.state.connection.kind).toBe('connected')
    await loop.return()
  })
})
