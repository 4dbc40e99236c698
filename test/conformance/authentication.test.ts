/**
 * Enhanced authentication (4.12), statement by statement, with the authenticator as a generator.
 */
import type { IAuthPacket, Packet } from 'mqtt-packet'
import { describe, expect, test } from 'vitest'
import { ConnectionError, type EventloopOptions, publish, UsageError } from '../../src/index.ts'
import type { Authenticator, ExchangeContext } from '../../src/options/authenticator-options.ts'
import { peek, resolved } from '../support/clock.ts'
import type { Started } from '../support/loop.ts'
import type { ServerConnection } from '../support/server.ts'
import { startStrict } from './world.ts'

const method = 'M'
const STILL: EventloopOptions = { reconnect: 'always', until: 'closed' }

/**
 * Sends `first`, answers each challenge with its text in capitals, and expects the last data to be
 * `fine`.
 */
function shouting(contexts: ExchangeContext[] = []): Authenticator {
  return {
    method,
    async *exchange(context) {
      contexts.push(context)
      let challenge = yield 'first'
      while (challenge !== undefined && String(challenge) !== 'fine') {
        challenge = yield Buffer.from(String(challenge).toUpperCase())
      }
      if (challenge === undefined) throw new Error('the server did not prove itself')
    },
  }
}

const auth = (reasonCode: number, data?: string, name: string | null = method): Packet => ({
  cmd: 'auth',
  reasonCode,
  properties: {
    ...(name === null ? {} : { authenticationMethod: name }),
    ...(data === undefined ? {} : { authenticationData: Buffer.from(data) }),
  },
})
const good = (data = 'fine') => ({
  properties: { authenticationMethod: method, authenticationData: Buffer.from(data) },
})

const said = (packets: readonly Packet[]) =>
  packets.map((packet) => {
    const { authenticationMethod, authenticationData } =
      (packet as IAuthPacket).properties ?? ({} as NonNullable<IAuthPacket['properties']>)
    const code = 'reasonCode' in packet ? ` 0x${packet.reasonCode!.toString(16)}` : ''
    const data = authenticationData === undefined ? '' : ` ${String(authenticationData)}`
    return `${packet.cmd}${code}${authenticationMethod ? ` ${authenticationMethod}` : ''}${data}`
  })

/** Waits for the CONNECT; the server sends nothing by itself. */
async function begun(authenticator = shouting(), options: EventloopOptions = {}) {
  const requests = [publish('a', 'waits', { qos: 1 })]
  const started = startStrict({ ...STILL, authenticator, ...options }, requests)
  started.server.autoConnack = false
  await started.clock.advance(0)
  return { started, connection: started.server.current }
}

async function connected(
  authenticator = shouting(),
  connack: Parameters<ServerConnection['connack']>[0] = good(),
  options: EventloopOptions = {},
) {
  const { started, connection } = await begun(authenticator, options)
  connection.connack(connack)
  await started.clock.advance(0)
  expect(started.loop.state.connection.kind).toBe('connected')
  return { started, connection }
}

async function over({ loop, clock, server }: Started): Promise<void> {
  loop.shutdown()
  await clock.advance(1000)
  expect([clock.pendingTimers, server.open]).toEqual([0, 0])
}

const ended = ['disconnect 0x83']

describe('at connect', () => {
  test('[T6] [MQTT-3.1.2-30] [MQTT-4.12.0-3] [MQTT-4.12.0-5] each AUTH 0x18 is answered by one, and nothing else leaves before the CONNACK', async () => {
    const { started, connection } = await begun()
    expect(said(connection.packets)).toEqual(['connect M first'])
    for (const word of ['one', 'two']) {
      connection.send(auth(0x18, word))
      await started.clock.advance(0)
    }
    await started.clock.advance(5000)
    expect(said(connection.packets)).toEqual([
      'connect M first',
      'auth 0x18 M ONE',
      'auth 0x18 M TWO',
    ])
    connection.connack(good())
    await started.clock.advance(0)
    expect(said(connection.packets).slice(3)).toEqual(['publish'])
    expect(started.received.slice(0, 3).map(({ cmd }) => cmd)).toEqual(['auth', 'auth', 'connack'])
    await over(started)
  })

  test('[T6] the server has to prove itself before anything else is sent to it', async () => {
    for (const last of [good('forged'), { properties: { authenticationMethod: method } }]) {
      const { started, connection } = await begun()
      connection.connack(last)
      await started.clock.advance(0)
      expect(said(connection.packets).slice(1)).toEqual(ended)
      expect(started.error).toBeInstanceOf(ConnectionError)
      expect(started.error).toMatchObject({ code: 'AUTHENTICATION_FAILED', retryable: false })
      expect(started.received).toEqual([])
    }
  })

  test('[T6] what follows the CONNACK waits until the authenticator has accepted', async () => {
    let believe: () => void = () => {}
    const slow: Authenticator = {
      method,
      async *exchange() {
        yield undefined
        await new Promise<void>((resolve) => {
          believe = resolve
        })
      },
    }
    const { started, connection } = await begun(slow)
    // Both come in one chunk: the PUBLISH is here while the authenticator checks the CONNACK.
    connection.send(
      { cmd: 'connack', sessionPresent: false, reasonCode: 0, ...good() },
      { cmd: 'publish', topic: 't', payload: 'x', qos: 0, dup: false, retain: false },
    )
    await started.clock.advance(1000)
    expect(started.received).toEqual([])
    expect(started.loop.state.connection.kind).toBe('connecting')
    believe()
    await started.clock.advance(0)
    expect(started.received.map(({ cmd }) => cmd)).toEqual(['connack', 'publish', 'puback'])
    await over(started)
  })

  test('[T6] [T2] an authenticator that does not finish is given up after connectTimeout', async () => {
    for (const stuck of ['begin', 'answer', 'judge'] as const) {
      let aborted = 0
      const authenticator: Authenticator = {
        method,
        async *exchange({ signal }) {
          signal.addEventListener('abort', () => aborted++)
          if (stuck === 'begin') await new Promise(() => {})
          yield 'first'
          await new Promise(() => {})
        },
      }
      const options = { connectTimeout: 1000, reconnect: 'never' } as const
      const started = startStrict({ ...STILL, ...options, authenticator })
      started.server.autoConnack = false
      await started.clock.advance(0)
      const [connection] = started.server.connections
      if (stuck === 'answer') connection?.send(auth(0x18, 'go on'))
      if (stuck === 'judge') connection?.connack(good())
      await started.clock.advance(1000)
      expect(started.error, stuck).toMatchObject({ code: 'CONNECT_TIMEOUT' })
      expect(aborted, stuck).toBe(1)
      expect(started.clock.pendingTimers).toBe(0)
    }
  })

  test.each([
    ['[MQTT-4.12.0-2] [MQTT-3.15.2-1] AUTH 0x00', [auth(0x00, 'x')]],
    ['[MQTT-4.12.0-2] [MQTT-3.15.2-1] AUTH 0x19', [auth(0x19, 'x')]],
    ['[MQTT-4.12.0-5] AUTH with another method', [auth(0x18, 'x', 'N')]],
    ['[MQTT-4.12.0-5] AUTH without the method', [auth(0x18, 'x', null)]],
    [
      '[MQTT-4.12.0-3] AUTH before the answer to the one before',
      [auth(0x18, 'x'), auth(0x18, 'y')],
    ],
  ])('[T6] %s is a violation: 0x82 and close', async (_, packets) => {
    const { started, connection } = await begun()
    connection.send(...packets)
    await started.clock.advance(0)
    expect(said(connection.packets).at(-1)).toBe('disconnect 0x82')
    expect(connection.closed).toBe(true)
    await over(started)
  })

  test.each([
    ['without the method', { properties: {} }],
    ['with another method', { properties: { authenticationMethod: 'N' } }],
  ])('[T6] [MQTT-4.12.0-5] a CONNACK %s is a violation', async (_, connack) => {
    const { started, connection } = await begun()
    connection.connack(connack)
    await started.clock.advance(0)
    expect(said(connection.packets).at(-1)).toBe('disconnect 0x82')
    await over(started)
  })

  test('[T6] an authenticator that throws, returns nonsense or has no answer left ends the connection', async () => {
    const wrong: [Authenticator['exchange'], RegExp][] = [
      [
        function* () {
          yield 'first'
          throw new Error('not you')
        },
        /not you/,
      ],
      [
        function* () {
          yield 'first'
          yield 7 as never
        },
        /must yield bytes/,
      ],
      [
        function* () {
          yield 'first'
        },
        /but the authenticator has ended it/,
      ],
    ]
    for (const [exchange, says] of wrong) {
      const { started, connection } = await begun({ method, exchange })
      connection.send(auth(0x18, 'x'))
      await started.clock.advance(0)
      expect(said(connection.packets).slice(1)).toEqual(ended)
      expect(String(started.error)).toMatch(says)
    }
  })

  test('[T6] an error that is retryable is retried, with a new exchange', async () => {
    let exchanges = 0
    const authenticator: Authenticator = {
      method,
      *exchange() {
        if (++exchanges === 1)
          throw Object.assign(new Error('the card is away'), { retryable: true })
        yield 'first'
      },
    }
    const started = startStrict({ ...STILL, authenticator })
    started.server.autoConnack = good()
    await started.clock.advance(5000)
    expect([exchanges, started.loop.state.connection.kind]).toEqual([2, 'connected'])
    await over(started)
  })

  test('[T6] each connection begins a new exchange; the old one is ended', async () => {
    const contexts: ExchangeContext[] = []
    const { started, connection } = await connected(shouting(contexts))
    started.server.autoConnack = good()
    connection.reset()
    await started.clock.advance(2000)
    expect(contexts.map(({ reason }) => reason)).toEqual(['connect', 'connect'])
    await over(started)
  })

  test.each([
    [{ authenticator: { method } }, /authenticator.exchange/],
    [{ authenticator: shouting(), protocolVersion: 4 }, /only MQTT 5/],
    [{ authenticator: shouting(), properties: { authenticationMethod: 'N' } }, /leave it out/],
    [{ authenticator: { ...shouting(), methods: 1 } }, /authenticator has no field "methods"/],
  ])('[T6] options that cannot be used: %#', (options, says) => {
    expect(() => startStrict(options as EventloopOptions)).toThrow(UsageError)
    expect(() => startStrict(options as EventloopOptions)).toThrow(says)
  })
})

describe('authentication again, on the same connection', () => {
  test('[T6] [MQTT-4.12.1-1] [MQTT-3.15.2-1] begins with AUTH 0x19 and the same method; publishes go on meanwhile', async () => {
    const contexts: ExchangeContext[] = []
    const { started, connection } = await connected(shouting(contexts))
    const again = started.loop.reauthenticate()
    await started.clock.advance(0)
    expect(said(connection.packets).at(-1)).toBe('auth 0x19 M first')
    connection.send(auth(0x18, 'prove'))
    connection.send({
      cmd: 'publish',
      topic: 't',
      payload: 'x',
      qos: 1,
      messageId: 9,
      dup: false,
      retain: false,
    })
    await started.clock.advance(0)
    expect(said(connection.packets).slice(-2)).toEqual(
      expect.arrayContaining(['auth 0x18 M PROVE', expect.stringMatching(/^puback/)]),
    )
    expect(await peek(started.clock, again)).toBe('pending')
    connection.send(auth(0x00, 'fine'))
    await resolved(started.clock, again)
    expect(contexts.map(({ reason }) => reason)).toEqual(['connect', 'reauthenticate'])
    expect(connection.closed).toBe(false)
    await over(started)
  })

  test('[T6] has an outcome as a control; two together are one exchange', async () => {
    const { started, connection } = await connected()
    const first = started.loop.reauthenticate()
    const second = started.loop.reauthenticate()
    await started.clock.advance(0)
    expect(connection.of('auth').length).toBe(1)
    connection.send(auth(0x00, 'fine'))
    await resolved(started.clock, Promise.all([first, second]))
    await over(started)

    const authenticator = shouting()
    const control = startStrict({ ...STILL, authenticator }, [], [{ cmd: 'reauthenticate' }])
    control.server.autoConnack = good()
    await control.clock.advance(0)
    expect(control.outcomes).toMatchObject([{ outcome: { ok: false } }])
    await over(control)
  })

  test('[T6] [MQTT-4.12.1-2] is ended by us with DISCONNECT and a close if we refuse, and the loop ends', async () => {
    const { started, connection } = await connected()
    const again = started.loop.reauthenticate()
    await started.clock.advance(0)
    connection.send(auth(0x00))
    await started.clock.advance(0)
    await expect(again).rejects.toThrow('the server did not prove itself')
    expect(said(connection.packets).at(-1)).toBe('disconnect 0x83')
    expect(started.error).toMatchObject({ code: 'AUTHENTICATION_FAILED' })
  })

  test('[T6] rejects if the server refuses, or the connection is lost', async () => {
    for (const bye of [true, false]) {
      const { started, connection } = await connected()
      const again = started.loop.reauthenticate()
      await started.clock.advance(0)
      if (bye) connection.send({ cmd: 'disconnect', reasonCode: 0x87 })
      else connection.reset()
      await started.clock.advance(0)
      await expect(again).rejects.toBeInstanceOf(Error)
      await over(started)
    }
  })

  test('[T6] is given up after connectTimeout if the server does not answer', async () => {
    const { started, connection } = await connected(shouting(), good(), { connectTimeout: 2000 })
    const again = started.loop.reauthenticate()
    await started.clock.advance(1999)
    expect(connection.closed).toBe(false)
    await started.clock.advance(1)
    expect(connection.closed).toBe(true)
    await expect(again).rejects.toMatchObject({ code: 'AUTHENTICATION_TIMEOUT' })
    await over(started)
  })

  test('[T6] [MQTT-3.15.2-2] [MQTT-3.15.2-3] AUTH has neither Reason String nor User Property, and is not sent where the server would not take it', async () => {
    const large: Authenticator = {
      method,
      *exchange({ reason }) {
        yield reason === 'connect' ? 'first' : Buffer.alloc(200)
      },
    }
    const small = { properties: { authenticationMethod: method, maximumPacketSize: 100 } }
    const { started, connection } = await connected(large, small)
    const again = started.loop.reauthenticate()
    await started.clock.advance(0)
    await expect(again).rejects.toBeInstanceOf(Error)
    expect(connection.of('auth')).toEqual([])
    expect(started.error).toMatchObject({ code: 'PACKET_TOO_LARGE' })

    const plain = await connected()
    plain.started.loop.reauthenticate()
    await plain.started.clock.advance(0)
    expect(Object.keys(plain.connection.of('auth')[0]!.properties!).sort()).toEqual([
      'authenticationData',
      'authenticationMethod',
    ])
    await over(plain.started)
  })

  test('[T6] [MQTT-4.12.0-7] does not exist without an authenticator', async () => {
    const started = startStrict(STILL)
    await started.clock.advance(0)
    await expect(started.loop.reauthenticate()).rejects.toMatchObject({ code: 'NO_AUTHENTICATOR' })
    expect(started.server.current.of('auth')).toEqual([])
    await over(started)
  })

  test("[T6] [N4] is rejected by the end of the loop, with an error that names the loop's end", async () => {
    const { started } = await connected()
    const again = started.loop.reauthenticate()
    await started.clock.advance(0)
    await over(started)
    await expect(again).rejects.toMatchObject({ code: 'CLOSED' })
  })

  test('[T6] rejects immediately without a connection', async () => {
    const { started } = await begun()
    await expect(started.loop.reauthenticate()).rejects.toMatchObject({ code: 'NOT_CONNECTED' })
    await over(started)
  })
})

describe('authentication begun by the server', () => {
  test('[T6] [MQTT-4.12.0-3] is answered if the authenticator allows it', async () => {
    const contexts: ExchangeContext[] = []
    const authenticator = { ...shouting(contexts), serverMayStart: true }
    const { started, connection } = await connected(authenticator)
    connection.send(auth(0x18, 'hello'))
    await started.clock.advance(0)
    expect(said(connection.packets).at(-1)).toBe('auth 0x18 M first')
    expect([contexts[1]!.reason, String(contexts[1]!.data)]).toEqual(['server', 'hello'])
    connection.send(auth(0x00, 'fine'))
    await started.clock.advance(0)
    connection.send(auth(0x18, 'once more'))
    await started.clock.advance(0)
    expect(contexts.length).toBe(3)
    expect(connection.closed).toBe(false)
    await over(started)
  })

  test('[T6] [I1] is a violation otherwise, as the standard says', async () => {
    const { started, connection } = await connected()
    connection.send(auth(0x18, 'hello'))
    await started.clock.advance(0)
    expect(said(connection.packets).at(-1)).toBe('disconnect 0x82')
    await over(started)
  })
})
