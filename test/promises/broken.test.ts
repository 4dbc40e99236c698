/**
 * What two sceptical readers broke in the lifecycle, each with the smallest story that showed it.
 */
import { Duplex } from 'node:stream'
import { describe, expect, test, vi } from 'vitest'
import { connect } from '../../src/loop/connect.ts'
import { eventloop } from '../../src/loop/eventloop.ts'
import { Causes } from '../../src/loop/failures.ts'
import type { Authenticator } from '../../src/options/authenticator-options.ts'
import type { EventloopOptions } from '../../src/options/options.ts'
import { publish, subscribe } from '../../src/requests/build.ts'
import type { SessionStore } from '../../src/requests/session.ts'
import type { Request } from '../../src/requests/vocabulary.ts'
import { resolved, VirtualClock } from '../support/clock.ts'
import { startLoop } from '../support/loop.ts'
import { networkError, ScriptedServer, type ServerOptions } from '../support/server.ts'

const STILL: EventloopOptions = { reconnect: 'always', until: 'closed', keepAlive: 0 }

function stage(options: ServerOptions = {}) {
  return { server: new ScriptedServer(new VirtualClock(), options) }
}

describe('authentication', () => {
  test('[T6] [MQTT-4.12.0-6] a CONNACK while we have the word is a violation: the answer is not taken for the judgement', async () => {
    const authenticator: Authenticator = {
      method: 'M',
      async *exchange() {
        const challenge = yield 'first'
        yield `proof of ${challenge}`
        await new Promise(() => {})
      },
    }
    const s = stage({ autoConnack: false })
    const requests = [publish('secret', 'x', { qos: 1 })]
    const started = startLoop({ ...STILL, authenticator }, requests, undefined, s)
    await s.server.clock.advance(0)
    const properties = { authenticationMethod: 'M', authenticationData: Buffer.from('c') }
    s.server.current.send(
      { cmd: 'auth', reasonCode: 0x18, properties },
      { cmd: 'connack', sessionPresent: false, reasonCode: 0, properties },
    )
    await s.server.clock.advance(5)
    expect(s.server.current.packets.map(({ cmd }) => cmd)).toEqual(['connect', 'disconnect'])
    expect(started.loop.state.connection.kind).toBe('disconnected')
    await started.loop.return()
  })

  test('[T6] an error in the first words is as fatal as a later one, and no other server is asked', async () => {
    const authenticator: Authenticator = {
      method: 'M',
      exchange() {
        throw new Error('no such key')
      },
    }
    const s = stage()
    const options = { ...STILL, url: ['mqtt://a', 'mqtt://b'], authenticator }
    const started = startLoop(options, [], undefined, s)
    await s.server.clock.advance(1000)
    expect(started.error).toMatchObject({ code: 'AUTHENTICATION_FAILED' })
    expect(String(started.error)).toContain('no such key')
    expect(s.server.dials).toEqual([])
  })

  test('[T6] words that no packet holds are the authenticator’s fault, and say so', async () => {
    for (const first of [Buffer.alloc(70_000), 'x'.repeat(70_000)]) {
      const authenticator: Authenticator = {
        method: 'M',
        *exchange() {
          yield first
        },
      }
      const started = startLoop({ ...STILL, authenticator })
      await started.clock.advance(0)
      expect(String(started.error)).toMatch(/70000 bytes are too many, 65535 are allowed/)
    }
  })
})

describe('client identifiers and sessions', () => {
  test('[T6] [D5] another identifier stays another until the server has accepted it', async () => {
    const s = stage()
    let clientId = 'first'
    const options = { ...STILL, cleanStart: false, connectOptions: () => ({ clientId }) }
    const started = startLoop(options, [subscribe('x/y')], undefined, s)
    await s.server.clock.advance(0)
    clientId = 'second'
    s.server.autoConnack = false
    s.server.current.reset()
    await s.server.clock.advance(1000)
    expect(s.server.current.of('connect')).toMatchObject([{ clientId: 'second', clean: true }])
    expect(started.loop.session.clientId).toBe('first')
    s.server.autoConnack = true
    s.server.current.reset()
    await s.server.clock.advance(5000)
    expect(s.server.current.of('connect')).toMatchObject([{ clientId: 'second', clean: true }])
    expect(s.server.current.of('subscribe').length).toBe(1)
    expect(started.loop.session.clientId).toBe('second')
    await started.loop.return()
  })

  test('[T6] an identifier from connectOptions takes the session that the server holds for it', async () => {
    for (const session of ['adopt', undefined] as const) {
      const s = stage({ autoConnack: { sessionPresent: session === 'adopt' } })
      const options: EventloopOptions = {
        ...STILL,
        platform: s.server.clock,
        transport: s.server.transport,
        connectOptions: () => ({ clientId: 'device' }),
        ...(session === undefined ? { cleanStart: false } : { session }),
      }
      const loop = eventloop(options, [])
      const next = loop.next()
      await s.server.clock.advance(0)
      expect(s.server.current.of('connect')).toMatchObject([{ clientId: 'device', clean: false }])
      await resolved(s.server.clock, next)
      expect(loop.state.clientId).toBe('device')
      const left = loop.return()
      await s.server.clock.advance(1000)
      await left
    }
  })

  test('[T3] a CONNECT that may have arrived keeps the session alive', async () => {
    const s = stage({ autoAck: false })
    const options = { ...STILL, keepAlive: 60, cleanStart: false, sessionExpiryInterval: 60 }
    const requests = [publish('a', '1', { qos: 2 })]
    const started = startLoop({ ...options, suspendedRetryMs: 20_000 }, requests, undefined, s)
    await s.server.clock.advance(0)
    s.server.autoConnack = false
    s.server.current.reset()
    await s.server.clock.advance(140_000)
    s.server.autoConnack = { sessionPresent: true }
    await s.server.clock.advance(60_000)
    const connects = s.server.packets.filter(({ cmd }) => cmd === 'connect')
    expect(connects.slice(1).every((packet) => packet.cmd === 'connect' && !packet.clean)).toBe(
      true,
    )
    expect(s.server.current.of('publish')).toMatchObject([{ dup: true }])
    await started.loop.return()
  })
})

describe('which server', () => {
  test('[T4] [N1] servers that accept and send each other round are not dialled without end', async () => {
    const s = stage()
    s.server.onConnection = (connection) => {
      setImmediate(() =>
        setImmediate(() =>
          connection.send({
            cmd: 'disconnect',
            reasonCode: 0x9c,
            properties: { serverReference: 'b' },
          }),
        ),
      )
    }
    const options = { ...STILL, url: 'mqtt://a', followRedirects: true }
    const started = startLoop(options, [], undefined, s)
    await s.server.clock.advance(0)
    expect(s.server.dials.length).toBeLessThanOrEqual(6)
    expect(started.loop.state.connection.retryAt).toBeGreaterThan(s.server.clock.now())
    await started.loop.return()
  })

  test('[T4] connections that were stable between do not count as being sent round', async () => {
    const s = stage()
    const options = { ...STILL, url: 'mqtt://a', followRedirects: true }
    const started = startLoop(options, [], undefined, s)
    for (let i = 1; i <= 8; i++) {
      await s.server.clock.advance(30_000)
      const properties = { serverReference: `server-${i}` }
      s.server.current.send({ cmd: 'disconnect', reasonCode: 0x9c, properties })
      await s.server.clock.advance(0)
      expect(started.loop.state.connection.endpoint).toBe(`mqtt://server-${i}`)
    }
    await started.loop.return()
  })

  test('[T4] 0x9C and 0x9D in a DISCONNECT lead to the others of the list', async () => {
    for (const reasonCode of [0x9c, 0x9d]) {
      const s = stage()
      const options = { ...STILL, url: ['mqtt://a', 'mqtt://b'] }
      const started = startLoop(options, [], undefined, s)
      await s.server.clock.advance(0)
      s.server.current.send({ cmd: 'disconnect', reasonCode })
      await s.server.clock.advance(0)
      expect(started.loop.state.connection).toMatchObject({
        kind: 'connected',
        endpoint: 'mqtt://b',
      })
      await started.loop.return()
    }
  })

  test('[T4] a redirect is followed also where connectOptions names a server', async () => {
    const s = stage()
    s.server.onConnection = (connection) => {
      const sent = { reasonCode: 0x9c, properties: { serverReference: 'other' } }
      connection.autoConnack = s.server.connections.length === 1 ? sent : true
    }
    const connectOptions = () => ({ url: 'mqtt://a', password: 'p', username: 'u' })
    const options = { ...STILL, followRedirects: true, connectOptions }
    const started = startLoop(options, [], undefined, s)
    await s.server.clock.advance(0)
    expect(s.server.dials.map(({ endpoint }) => endpoint.url.hostname)).toEqual(['a', 'other'])
    expect(String(s.server.current.of('connect')[0]!.password)).toBe('p')
    await started.loop.return()
  })

  test.each(['other:99999', '[:]', '256.1.1.1:70000'])(
    '[T4] [N4] a Server Reference that is no place, %s, is a failed attempt like any other',
    async (serverReference) => {
      const s = stage({ autoConnack: { reasonCode: 0x9c, properties: { serverReference } } })
      const options = { ...STILL, url: 'mqtt://a', followRedirects: true }
      const started = startLoop(options, [], undefined, s)
      await s.server.clock.advance(60_000)
      expect(s.server.dials.length).toBeGreaterThan(2)
      expect(started.loop.state.connection.endpoint).toBe('mqtt://a')
      const left = started.loop.return()
      await s.server.clock.advance(1000)
      await left
    },
  )

  test('[N2] version 4 is remembered only once a server has accepted it', async () => {
    const s = stage({ autoConnack: false })
    s.server.onConnection = (connection) => setImmediate(() => setImmediate(() => connection.end()))
    const started = startLoop(STILL, [], undefined, s)
    await s.server.clock.advance(3000)
    const asked = s.server.connections.map(({ version }) => version)
    expect(asked.slice(0, 4)).toEqual([5, 4, 5, 4])
    await started.loop.return()
  })

  test('[T4] a server of the list that is too old ends nothing', async () => {
    const s = stage()
    const away = new Set<string>()
    s.server.onDial = (index) =>
      away.has(s.server.dials[index]!.endpoint.url.hostname)
        ? networkError('ECONNREFUSED')
        : 'accept'
    s.server.onConnection = (connection) => {
      connection.autoConnack = away.size > 0 ? { reasonCode: 0x84 } : true
    }
    const started = startLoop({ ...STILL, url: ['mqtt://a', 'mqtt://b'] }, [], undefined, s)
    await s.server.clock.advance(0)
    away.add('a')
    s.server.current.reset()
    await s.server.clock.advance(10_000)
    expect(started.loop.state.connection).toMatchObject({ reason: { code: 'UNSUPPORTED_VERSION' } })
    away.clear()
    await s.server.clock.advance(60_000)
    expect(started.loop.state.connection.kind).toBe('connected')
    await started.loop.return()
  })

  test('[N2] the word of `retryable` is the last', async () => {
    const s = stage()
    s.server.refuse(networkError('ENOTFOUND'))
    const reconnect = { when: 'always', retryable: () => false } as const
    const started = startLoop({ ...STILL, reconnect }, [], undefined, s)
    await s.server.clock.advance(0)
    expect(started.error).toMatchObject({ code: 'ENOTFOUND' })
  })

  test('[T6] a token without a user name is for MQTT 5 alone, and pins it', async () => {
    const s = stage({ autoConnack: { reasonCode: 0x84 } })
    const started = startLoop({ ...STILL, password: 'token' }, [], undefined, s)
    await s.server.clock.advance(0)
    expect(started.error).toMatchObject({ code: 'UNSUPPORTED_VERSION' })
    const later = stage({ autoConnack: { reasonCode: 0x84 } })
    const connectOptions = () => ({ password: 'token' })
    const given = startLoop({ ...STILL, connectOptions }, [], undefined, later)
    await later.server.clock.advance(0)
    expect(String(given.error)).toMatch(/MQTT 3 allows no password without a user name/)
  })
})

describe('the other way', () => {
  test('[T9] [K2] after a pause, in which no answer was read, the count starts anew', async () => {
    const s = stage({ autoAck: false })
    const divert = { afterMs: 3000, to: () => {} }
    const started = startLoop({ ...STILL, keepAlive: 60, divert }, [], undefined, s)
    await s.server.clock.advance(0)
    started.loop.pause()
    await s.server.clock.advance(200_000)
    started.loop.resume()
    await s.server.clock.advance(0)
    expect(started.loop.state.diverting).toBe(false)
    await started.loop.return()
  })
})

describe('limits', () => {
  test('[T7] the last DISCONNECT fits where the server takes little', async () => {
    const s = stage({ autoConnack: { properties: { maximumPacketSize: 8 } } })
    const started = startLoop(STILL, [], undefined, s)
    await s.server.clock.advance(0)
    const before = s.server.current.bytes.length
    started.loop.shutdown()
    await s.server.clock.advance(5)
    expect(s.server.current.bytes.length - before).toBeLessThanOrEqual(8)
  })
})

describe('beginnings and ends', () => {
  test('[D2] [D7] `connect()` with a store sends nothing, and outcomes are for the stream that comes', async () => {
    const early = startLoop(
      { ...STILL, keepAlive: 60, cleanStart: false },
      [{ ...publish('a', 'x', { qos: 1 }), key: 'k' }],
      [],
      stage({ autoAck: false }),
    )
    await early.clock.advance(1)
    early.loop.shutdown()
    await early.clock.advance(2000)
    for (const sessionPresent of [true, false]) {
      const { server } = stage({ autoConnack: { sessionPresent } })
      const { session } = early.loop
      const store: SessionStore = {
        load: async () => session,
        commit: async () => {},
        close: async () => {},
      }
      const options: EventloopOptions = {
        platform: server.clock,
        transport: server.transport,
        onSessionLost: 'fail',
        session: store,
      }
      const connected = await resolved(server.clock, connect(options))
      await server.clock.advance(100)
      expect(server.packets.map(({ cmd }) => cmd)).toEqual(['connect'])
      const settled: unknown[] = []
      const stream = {
        settled: (request: object, { ok }: { ok: boolean }) =>
          void settled.push([(request as { key?: unknown }).key, ok]),
        *[Symbol.iterator](): Generator<Request> {},
      }
      const loop = eventloop(connected, stream)
      const reading = (async () => {
        for await (const _ of loop);
      })()
      await server.clock.advance(3000)
      await reading
      expect(settled).toEqual([['k', sessionPresent]])
    }
  })

  test('[N4] [E2] a loop that is left before it began closes its store and ends its watchers', async () => {
    const close = vi.fn(async () => {})
    const store: SessionStore = { load: async () => null, commit: async () => {}, close }
    const loop = eventloop({ url: 'mqtt://localhost:1', session: store })
    const watched = loop.transitions()
    await loop.return()
    expect(close).toHaveBeenCalledTimes(1)
    const kinds: string[] = []
    for await (const { to } of watched) kinds.push(to)
    expect(kinds).toEqual(['closed'])
  })

  test('[N4] a store that cannot load ends the loop as `failed`', async () => {
    const store: SessionStore = {
      load: () => Promise.reject(new Error('disk')),
      commit: async () => {},
      close: async () => {},
    }
    const started = startLoop({ ...STILL, session: store })
    await started.clock.advance(0)
    expect(String(started.error)).toContain('disk')
    expect(started.loop.state.connection.kind).toBe('failed')
  })

  test('[T5] hints that cannot even begin end the loop', async () => {
    const hints = {
      [Symbol.asyncIterator]() {
        throw new Error('no modem')
      },
    }
    const started = startLoop({ ...STILL, networkHints: hints as never })
    await started.clock.advance(1000)
    expect(started.error).toMatchObject({ message: 'no modem' })
    const odd = { [Symbol.asyncIterator]: () => ({ next: async () => undefined }) }
    const strange = startLoop({ ...STILL, networkHints: odd as never })
    await strange.clock.advance(1000)
    expect(String(strange.error)).toMatch(/networkHints: next\(\) must give an object, not nothing/)
  })

  test('[T1] what is no stream is a UsageError; a stream that comes too late is closed, whatever its closing says', async () => {
    const none = startLoop({ transport: (async () => ({ write() {}, destroy() {} })) as never })
    await none.clock.advance(1000)
    expect(String((none.error as Error).cause)).toMatch(/transport: it must open a Duplex/)
    let open = (_: Duplex): void => {}
    const late = startLoop({
      connectTimeout: 100,
      reconnect: 'never',
      transport: () =>
        new Promise<Duplex>((resolve) => {
          open = resolve
        }),
    })
    await late.clock.advance(500)
    const stream = new Duplex({
      read() {},
      write: (_chunk, _encoding, done) => done(),
      destroy: (_error, done) => done(new Error('broken at close')),
    })
    open(stream)
    await late.clock.advance(500)
    expect(stream.destroyed).toBe(true)
  })

  test('[T6] [N4] connectOptions that answers after the end begins nothing', async () => {
    let answer = (_: object): void => {}
    let begun = 0
    const started = startLoop({
      connectOptions: () =>
        new Promise((resolve) => {
          answer = resolve
        }),
      authenticator: {
        method: 'M',
        *exchange() {
          begun++
          yield ''
        },
      },
    })
    await started.clock.advance(1)
    await started.loop.return()
    answer({})
    await started.clock.advance(1000)
    expect(begun).toBe(0)
  })

  test('[D6] of lost connections sixteen errors are kept, whatever else is kept beside them', () => {
    const causes = new Causes()
    const told = { phase: 'connected', source: 'connection', code: 'X', retryable: true } as const
    const kept = Array.from({ length: 60 }, (_, i) => {
      causes.keep(new Error('another'))
      return causes.keepRecent(new Error(`${i}`))
    })
    const alive = kept.filter((cause) => {
      const error = causes.errorOf({ ...told, message: '', cause }) as Error
      return error.cause !== undefined
    })
    expect(alive).toEqual(kept.slice(-16))
  })
})

describe('secrets and shapes', () => {
  test.each([
    'mqtt:/user:secret@host',
    'mqtt:user:secret@host',
    'wss://host:99999/mqtt?X-Signature=secret',
    'wss:///mqtt?signature=secret',
  ])('[T1] no error shows the secret of %s', (url) => {
    try {
      eventloop({ url })
    } catch (error) {
      expect(String(error)).not.toContain('secret')
    }
  })

  test('[T8] the state shows no packet and no number of ours in a reason', async () => {
    const s = stage({ autoConnack: { reasonCode: 0x88 } })
    const started = startLoop(STILL, [], undefined, s)
    await s.server.clock.advance(0)
    expect(Object.keys(started.loop.state.connection.reason!).sort()).toEqual([
      'code',
      'message',
      'phase',
      'reasonCode',
      'retryable',
      'source',
    ])
    await started.loop.return()
  })

  test('[T6] headers are a plain object: a Headers would lose them without a word', () => {
    for (const headers of [
      new Headers({ authorization: 'x' }),
      new Map([['a', 'b']]),
      ['a'],
      null,
    ]) {
      expect(() => eventloop({ url: 'ws://a', headers: headers as never })).toThrow(/headers/)
    }
  })

  test('[T9] [T6] an instance of a class may answer, with fields of its own', async () => {
    class Ingest {
      readonly afterMs = 100
      readonly taken: string[] = []
      to({ topic }: { topic: string }): void {
        this.taken.push(topic)
      }
    }
    const divert = new Ingest()
    const s = stage()
    s.server.refuse(networkError('ECONNREFUSED'))
    const requests = [publish('a', '', { qos: 1 })]
    const started = startLoop({ ...STILL, divert }, requests, undefined, s)
    await s.server.clock.advance(100)
    expect(divert.taken).toEqual(['a'])
    await started.loop.return()
  })
})
