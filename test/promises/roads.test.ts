/**
 * Which server, when, and with what: servers in a list, redirects, hints, suspension, an expired session, options for each
 * attempt. All under the virtual clock, before a scripted server.
 */
import { pushable } from 'it-pushable'
import { describe, expect, test } from 'vitest'
import { ConnectionError, RefusedError, UsageError } from '../../src/errors.ts'
import type { AttemptOptions, ConnectOptions, EventloopOptions } from '../../src/options/options.ts'
import { publish } from '../../src/requests/build.ts'
import type { ConnectionFailure } from '../../src/requests/vocabulary.ts'
import { VirtualClock } from '../support/clock.ts'
import { type Started, startLoop } from '../support/loop.ts'
import { networkError, ScriptedServer, type ServerOptions } from '../support/server.ts'

const STILL: EventloopOptions = { reconnect: 'always', until: 'closed', keepAlive: 0 }
const THREE = ['mqtt://one', 'mqtt://two', 'mqtt://three']

/** A server of which only these hosts answer. */
function hosts(up: Set<string>, options: ServerOptions = {}): ScriptedServer {
  const server = new ScriptedServer(new VirtualClock(), options)
  server.onDial = (index) => {
    const { hostname } = server.dials[index]!.endpoint.url
    return up.has(hostname) ? 'accept' : networkError('ECONNREFUSED')
  }
  return server
}

const dialled = ({ dials }: ScriptedServer) => dials.map(({ endpoint }) => endpoint.url.hostname)

async function over({ loop, clock, server }: Started): Promise<void> {
  loop.shutdown()
  await clock.advance(1000)
  expect([clock.pendingTimers, server.open]).toEqual([0, 0])
}

// ---------------------------------------------------------------------------------------------------------------------- T4

describe('servers in a list', () => {
  test('[T4] the first is the primary; where it does not answer, the others are tried at once, in random order', async () => {
    const orders = new Set<string>()
    for (const random of [0, 0.999]) {
      const server = hosts(new Set())
      server.clock.random = () => random
      const started = startLoop({ ...STILL, url: THREE }, [], undefined, { server })
      await server.clock.advance(0)
      expect(dialled(server)[0]).toBe('one')
      expect(dialled(server).slice().sort()).toEqual(['one', 'three', 'two'])
      orders.add(dialled(server).join())
      expect(started.loop.state.connection).toMatchObject({ kind: 'disconnected' })
      await over(started)
    }
    expect([...orders]).toEqual(['one,two,three', 'one,three,two'])
  })

  test('[T4] the next round starts at the primary, after the delay of the policy', async () => {
    const up = new Set<string>()
    const server = hosts(up)
    const started = startLoop({ ...STILL, url: THREE }, [], undefined, { server })
    await server.clock.advance(0)
    expect(server.dials.length).toBe(3)
    const { retryAt } = started.loop.state.connection
    expect(retryAt! - server.clock.now()).toBeGreaterThanOrEqual(100)
    up.add('one').add('two')
    await server.clock.advance(Math.ceil(retryAt! - server.clock.now()))
    expect(dialled(server).slice(3)).toEqual(['one'])
    expect(started.loop.state.connection).toMatchObject({
      kind: 'connected',
      endpoint: 'mqtt://one',
    })
    await over(started)
  })

  test('[T4] a client that moved comes back to the primary at the next loss', async () => {
    const up = new Set(['two'])
    const server = hosts(up)
    server.clock.random = () => 0
    const started = startLoop({ ...STILL, url: THREE.slice(0, 2) }, [], undefined, { server })
    await server.clock.advance(0)
    expect(started.loop.state.connection.endpoint).toBe('mqtt://two')
    up.add('one')
    server.current.reset()
    await server.clock.advance(1000)
    expect(started.loop.state.connection.endpoint).toBe('mqtt://one')
    expect(dialled(server)).toEqual(['one', 'two', 'one'])
    await over(started)
  })

  test('[T4] only for causes that another host can cure', async () => {
    const causes: [reasonCode: number, cured: boolean][] = [
      ...([0x80, 0x83, 0x84, 0x88, 0x89, 0x97, 0x9c, 0x9d, 0x9f] as const).map(
        (code): [number, boolean] => [code, true],
      ),
      ...([0x81, 0x82, 0x85, 0x86, 0x87, 0x8a, 0x8c, 0x95, 0x99] as const).map(
        (code): [number, boolean] => [code, false],
      ),
    ]
    for (const [reasonCode, cured] of causes) {
      const server = hosts(new Set(['one', 'two']), { autoConnack: false })
      server.onConnection = (connection) => {
        const first = server.connections.length === 1
        connection.autoConnack = first ? { reasonCode } : true
      }
      const options = { ...STILL, protocolVersion: 5 as const, url: THREE.slice(0, 2) }
      const started = startLoop(options, [], undefined, { server })
      await server.clock.advance(0)
      const says = `0x${reasonCode.toString(16)}`
      expect(dialled(server), says).toEqual(cured ? ['one', 'two'] : ['one'])
      await over(started)
    }
  })

  test('[T4] [N2] a certificate that will not do ends the loop, and no other server is asked', async () => {
    const server = new ScriptedServer(new VirtualClock())
    server.refuse(networkError('CERT_HAS_EXPIRED'))
    const started = startLoop({ ...STILL, url: THREE }, [], undefined, { server })
    await server.clock.advance(0)
    expect(started.error).toMatchObject({ code: 'CERT_HAS_EXPIRED' })
    expect(dialled(server)).toEqual(['one'])
  })

  test('[T4] a name that nobody knows is no reason to give up while there are others', async () => {
    const server = new ScriptedServer(new VirtualClock())
    server.onDial = (index) => (index === 0 ? networkError('ENOTFOUND') : 'accept')
    const options: EventloopOptions = { until: 'closed', keepAlive: 0, url: THREE.slice(0, 2) }
    const started = startLoop(options, [], undefined, { server })
    await server.clock.advance(0)
    expect(started.loop.state.connection).toMatchObject({
      kind: 'connected',
      endpoint: 'mqtt://two',
    })
    await over(started)
  })

  test('[T4] a server that does not answer within connectTimeout is left for the next', async () => {
    const server = new ScriptedServer(new VirtualClock())
    server.onDial = (index) => (index === 0 ? 'hang' : 'accept')
    const options = { ...STILL, url: THREE.slice(0, 2), connectTimeout: 3000 }
    const started = startLoop(options, [], undefined, { server })
    await server.clock.advance(2999)
    expect(dialled(server)).toEqual(['one'])
    await server.clock.advance(1)
    expect(dialled(server)).toEqual(['one', 'two'])
    await over(started)
  })

  describe('connectivityCheck', () => {
    const cases = [
      ['true', () => true, true],
      ['a promise of true', async () => true, true],
      ['false', () => false, false],
      ['an error', () => Promise.reject(new Error('no route')), false],
    ] as const
    test.each(cases)(
      '[T4] that says %s: the others are tried only if online',
      async (name, check, online) => {
        const server = hosts(new Set(['two']))
        const options = { ...STILL, url: THREE.slice(0, 2), connectivityCheck: check }
        const started = startLoop(options, [], undefined, { server })
        await server.clock.advance(0)
        expect(dialled(server)).toEqual(online ? ['one', 'two'] : ['one'])
        await server.clock.advance(5000)
        expect(new Set(dialled(server))).toEqual(new Set(online ? ['one', 'two'] : ['one']))
        const warned = started.warnings.map(({ code }) => code)
        expect(new Set(warned)).toEqual(
          new Set(name === 'an error' ? ['CONNECTIVITY_CHECK_FAILED'] : []),
        )
        await over(started)
      },
    )

    test('[T4] that does not answer counts as offline after connectTimeout, and is aborted', async () => {
      const server = hosts(new Set(['two']))
      const signals: AbortSignal[] = []
      const connectivityCheck = (signal: AbortSignal) => {
        signals.push(signal)
        return new Promise<boolean>(() => {})
      }
      const options = { ...STILL, url: THREE.slice(0, 2), connectTimeout: 2000, connectivityCheck }
      const started = startLoop(options, [], undefined, { server })
      await server.clock.advance(1999)
      expect(dialled(server)).toEqual(['one'])
      await server.clock.advance(3000)
      expect(dialled(server)).toEqual(['one', 'one'])
      expect(signals[0]!.aborted).toBe(true)
      await over(started)
      expect(signals.every(({ aborted }) => aborted)).toBe(true)
    })

    test('[T4] [N2] offline at the first attempt, and the policy waits for a first success: the error of the primary', async () => {
      const server = hosts(new Set(['two']))
      const options: EventloopOptions = {
        url: THREE.slice(0, 2),
        connectivityCheck: () => false,
        until: 'closed',
      }
      const started = startLoop(options, [], undefined, { server })
      await server.clock.advance(0)
      expect(started.error).toMatchObject({ code: 'ECONNREFUSED' })
    })
  })

  test.each([
    [[], /url: the list is empty/],
    [['mqtt://a', 'http://b'], /url\[1\].*one of the schemes/],
    [['mqtt://a', 7], /url\[1\] must be a URL.*not 7/],
    [['mqtt://a', 'mqtt://u:secret@:x'], /url\[1\].*u:\*\*\*@/],
  ])('[T4] a list that cannot be used: %j', (url, says) => {
    expect(() => startLoop({ url: url as string[], transport: undefined as never })).toThrow(says)
  })
})

describe('a server that names another', () => {
  /** The first connection is sent away like this, the others are accepted. */
  function sending(reasonCode: number, serverReference: string): ScriptedServer {
    const server = new ScriptedServer(new VirtualClock())
    server.clock.random = () => 0
    server.onConnection = (connection) => {
      const sent = { reasonCode, properties: { serverReference } }
      connection.autoConnack = server.connections.length === 1 ? sent : true
    }
    return server
  }

  test.each([
    [0x9c, 'other:1884', 'mqtt://other:1884'],
    [0x9d, 'other second', 'mqtt://other'],
    [0x9c, '[::1]:1884', 'mqtt://[::1]:1884'],
    [0x9c, 'mqtts://other', 'mqtt://other'],
  ])('[T4] 0x%s "%s" is followed where the user asks for it', async (code, reference, url) => {
    const server = sending(code, reference)
    const options = { ...STILL, url: 'mqtt://user:pass@one', followRedirects: true }
    const started = startLoop(options, [], undefined, { server })
    await server.clock.advance(0)
    expect(server.dials.map(({ endpoint }) => endpoint.url.href)[1]).toBe(url)
    expect(started.loop.state.connection.kind).toBe('connected')
    const connect = server.current.of('connect')[0]!
    expect([connect.username, String(connect.password)]).toEqual(['user', 'pass'])
    await over(started)
  })

  test('[T4] by default it is not: 0x9C waits and asks again, 0x9D ends', async () => {
    const busy = sending(0x9c, 'other')
    const waiting = startLoop({ ...STILL, url: 'mqtt://one' }, [], undefined, { server: busy })
    await busy.clock.advance(5000)
    expect(dialled(busy)).toEqual(['one', 'one'])
    await over(waiting)
    const moved = sending(0x9d, 'other')
    const ended = startLoop({ ...STILL, url: 'mqtt://one' }, [], undefined, { server: moved })
    await moved.clock.advance(0)
    expect(ended.error).toBeInstanceOf(RefusedError)
    expect(String(ended.error)).toContain('it names other instead')
  })

  test('[T4] moved for good: each later round starts there; for now: at the primary', async () => {
    for (const [code, then] of [
      [0x9d, 'other'],
      [0x9c, 'one'],
    ] as const) {
      const server = sending(code, 'other')
      const options = { ...STILL, url: 'mqtt://one', followRedirects: true }
      const started = startLoop(options, [], undefined, { server })
      await server.clock.advance(0)
      server.current.reset()
      await server.clock.advance(1000)
      expect(dialled(server)).toEqual(['one', 'other', then])
      await over(started)
    }
  })

  test('[T4] where it leads nowhere, the next round starts at the primary', async () => {
    const server = sending(0x9d, 'other')
    server.onDial = (index) => (index === 1 ? networkError('ECONNREFUSED') : 'accept')
    const options = { ...STILL, url: 'mqtt://one', followRedirects: true }
    const started = startLoop(options, [], undefined, { server })
    await server.clock.advance(5000)
    expect(dialled(server)).toEqual(['one', 'other', 'one'])
    await over(started)
  })

  test('[T4] servers that send each other round are left after five', async () => {
    const server = new ScriptedServer(new VirtualClock(), {
      autoConnack: { reasonCode: 0x9c, properties: { serverReference: 'next' } },
    })
    const options = { ...STILL, url: 'mqtt://one', followRedirects: true }
    const started = startLoop(options, [], undefined, { server })
    await server.clock.advance(0)
    expect(server.dials.length).toBe(6)
    expect(started.loop.state.connection.retryAt).toBeGreaterThan(server.clock.now())
    await over(started)
  })

  test.each(['', 'no host here!', 'a/b', 'user:pw@host'])(
    '[T4] a reference that is no host, %j, is not followed',
    async (reference) => {
      const server = sending(0x9c, reference)
      const options = { ...STILL, url: 'mqtt://one', followRedirects: true }
      const started = startLoop(options, [], undefined, { server })
      await server.clock.advance(5000)
      const names = new Set(dialled(server))
      expect([...names].filter((name) => name !== 'one' && name !== 'no')).toEqual([])
      await over(started)
    },
  )
})

// ---------------------------------------------------------------------------------------------------------------------- T3

describe('without a connection', () => {
  test('[T3] for two minutes: suspended, and tried every 30 s, half of it more or less, for as long as it takes', async () => {
    const server = new ScriptedServer(new VirtualClock())
    let turn = 0
    server.clock.random = () => [0, 0.5, 0.999][turn++ % 3]!
    server.refuse(networkError('ECONNREFUSED'))
    const started = startLoop(STILL, [], undefined, { server })
    await server.clock.advance(119_999)
    expect(started.loop.state.connection.kind).toBe('disconnected')
    await server.clock.advance(1)
    expect(started.loop.state.connection.kind).toBe('suspended')
    await server.clock.advance(24 * 3_600_000)
    const times = server.dials.map(({ at }) => at - server.clock.startedAt)
    const gaps = times.slice(1).map((at, i) => at - times[i]!)
    const later = gaps.slice(times.findIndex((at) => at > 160_000))
    expect(Math.min(...later)).toBeGreaterThanOrEqual(15_000)
    expect(Math.min(...later)).toBeLessThan(16_000)
    expect(Math.max(...later)).toBeLessThanOrEqual(45_001)
    expect(Math.max(...later)).toBeGreaterThan(44_000)
    expect(later.length).toBeGreaterThan(2500)
    server.accept()
    await server.clock.advance(45_001)
    expect(started.loop.state.connection.kind).toBe('connected')
    await over(started)
  })

  test('[T3] the two minutes count from the loss, and a connection ends them', async () => {
    const server = new ScriptedServer(new VirtualClock())
    const started = startLoop({ ...STILL, suspendAfterMs: 5000 }, [], undefined, { server })
    await server.clock.advance(60_000)
    server.refuse(networkError('ECONNREFUSED'))
    server.current.reset()
    await server.clock.advance(4999)
    expect(started.loop.state.connection.kind).not.toBe('suspended')
    await server.clock.advance(1)
    expect(started.loop.state.connection).toMatchObject({
      kind: 'suspended',
      reason: { code: 'ECONNREFUSED' },
    })
    server.accept()
    await server.clock.advance(45_000)
    expect(started.loop.state.connection.kind).toBe('connected')
    await over(started)
  })

  test('[T3] a session that must have expired is not asked for: Clean Start 1, and D5 for what was in flight', async () => {
    const server = new ScriptedServer(new VirtualClock(), { autoAck: false })
    const options: EventloopOptions = {
      reconnect: 'always',
      until: 'closed',
      keepAlive: 10,
      connectTimeout: 10_000,
      cleanStart: false,
      sessionExpiryInterval: 600,
    }
    const started = startLoop(options, [publish('a', '1', { qos: 1 })], undefined, { server })
    await server.clock.advance(0)
    for (const [awayMs, clean] of [
      [600_000, false],
      // The server may notice the end of the connection one and a half times the keep alive late.
      [600_000 + 15_000 + 45_001, true],
    ] as const) {
      server.refuse(networkError('ECONNREFUSED'))
      server.current.reset()
      await server.clock.advance(awayMs - 50_000)
      server.hang()
      started.loop.reconnect()
      await server.clock.advance(0)
      server.accept()
      await server.clock.advance(50_000)
      const connect = server.current.of('connect')[0]!
      expect(connect.clean, `${awayMs} ms away`).toBe(clean)
      expect(server.current.of('publish')).toMatchObject([{ dup: false }])
    }
    await over(started)
  })

  test('[T3] a session that never expires is asked for after a year', async () => {
    const server = new ScriptedServer(new VirtualClock())
    const options = {
      ...STILL,
      keepAlive: 10,
      cleanStart: false,
      sessionExpiryInterval: 0xffffffff,
    }
    const started = startLoop(options, [], undefined, { server })
    await server.clock.advance(0)
    server.refuse(networkError('ECONNREFUSED'))
    server.current.reset()
    await server.clock.jump(365 * 86_400_000)
    server.accept()
    await server.clock.advance(60_000)
    expect(server.current.of('connect')[0]!.clean).toBe(false)
    await over(started)
  })
})

// ---------------------------------------------------------------------------------------------------------------------- T5

describe('networkHints', () => {
  const FAR = { when: 'always', minMs: 3_600_000, maxMs: 0, stableMs: 0 } as const

  test('[T5] offline drops at once, online retries at once', async () => {
    const server = new ScriptedServer(new VirtualClock())
    const hints = pushable<'online' | 'offline'>({ objectMode: true })
    const options = { ...STILL, reconnect: FAR, stableMs: 0, networkHints: hints }
    const { stableMs, ...good } = options
    const started = startLoop(good, [], undefined, { server })
    await server.clock.advance(0)
    hints.push('offline')
    await server.clock.advance(0)
    expect(server.connections[0]!.closed).toBe(true)
    expect(started.loop.state.connection).toMatchObject({
      kind: 'disconnected',
      reason: { code: 'NETWORK_OFFLINE' },
    })
    hints.push('online')
    await server.clock.advance(0)
    expect(started.loop.state.connection.kind).toBe('connected')
    expect(server.clock.elapsed).toBe(0)
    await over(started)
  })

  test('[T5] offline gives a dial up; online in a suspended loop is no later', async () => {
    const server = new ScriptedServer(new VirtualClock())
    const hints = pushable<'online' | 'offline'>({ objectMode: true })
    server.hang()
    const options = { ...STILL, networkHints: hints, suspendAfterMs: 0 }
    const started = startLoop(options, [], undefined, { server })
    await server.clock.advance(0)
    hints.push('offline')
    await server.clock.advance(0)
    expect(server.dials[0]!.signal.aborted).toBe(true)
    expect(started.loop.state.connection.kind).toBe('suspended')
    server.accept()
    hints.push('online')
    await server.clock.advance(0)
    expect(started.loop.state.connection.kind).toBe('connected')
    await over(started)
  })

  test('[T5] its end ends nothing; its error, and anything but a hint, ends the loop', async () => {
    const server = new ScriptedServer(new VirtualClock())
    const ended = pushable<'online'>({ objectMode: true })
    ended.end()
    const goesOn = startLoop({ ...STILL, networkHints: ended }, [], undefined, { server })
    await server.clock.advance(0)
    expect(goesOn.loop.state.connection.kind).toBe('connected')
    await over(goesOn)
    async function* broken(): AsyncGenerator<'online'> {
      yield 'online'
      throw new Error('modem gone')
    }
    const failing = startLoop({ ...STILL, networkHints: broken() })
    await failing.clock.advance(1000)
    expect(failing.error).toMatchObject({ message: 'modem gone' })
    const strange = pushable<string>({ objectMode: true })
    strange.push('up')
    const wrong = startLoop({ ...STILL, networkHints: strange as never })
    await wrong.clock.advance(1000)
    expect(wrong.error).toBeInstanceOf(UsageError)
    expect(String(wrong.error)).toMatch(/networkHints: "online" or "offline".*"up" came/)
  })

  test('[T5] [N4] the end of the loop lets go of it, whether it heeds that or not', async () => {
    let returned = 0
    const hints: AsyncIterable<'online'> = {
      [Symbol.asyncIterator]: () => ({
        next: () => new Promise(() => {}),
        return: () => {
          returned++
          return new Promise(() => {})
        },
      }),
    }
    const started = startLoop({ ...STILL, networkHints: hints })
    await started.clock.advance(0)
    await over(started)
    expect(started.ended).toBe(true)
    expect(returned).toBe(1)
  })
})

// ---------------------------------------------------------------------------------------------------------------- T6, C35

describe('connectOptions', () => {
  test('[T6] [C35] is awaited before each attempt, and may change all that it may change', async () => {
    const server = new ScriptedServer(new VirtualClock())
    const calls: [number, string | undefined][] = []
    const connectOptions = async (attempt: number, last: ConnectionFailure | null) => {
      calls.push([attempt, last?.code])
      const n = calls.length
      return {
        url: `mqtt://host-${n}`,
        headers: { authorization: `n${n}` },
        tls: { servername: `name-${n}` },
        username: `user-${n}`,
        password: `password-${n}`,
        will: { topic: `will/${n}`, payload: 'x' },
      }
    }
    server.onDial = (index) => (index === 1 ? networkError('ECONNREFUSED') : 'accept')
    const started = startLoop({ ...STILL, connectOptions }, [], undefined, { server })
    await server.clock.advance(0)
    server.current.reset()
    await server.clock.advance(10_000)
    expect(calls).toEqual([
      [1, undefined],
      [1, 'ECONNRESET'],
      [2, 'ECONNREFUSED'],
    ])
    const { url, headers, tls } = server.dials[2]!.endpoint
    expect([url.hostname, headers, tls]).toEqual([
      'host-3',
      { authorization: 'n3' },
      { servername: 'name-3' },
    ])
    const connect = server.current.of('connect')[0]!
    expect(connect).toMatchObject({ username: 'user-3', clientId: 'test', clean: false })
    expect(String(connect.password)).toBe('password-3')
    expect(connect.will?.topic).toBe('will/3')
    await over(started)
  })

  test('[T6] each attempt may have another will, and all see one number for it, never used again', async () => {
    const server = new ScriptedServer(new VirtualClock())
    const numbers: number[] = []
    const connectOptions: ConnectOptions = (_attempt, _lastClose, _signal, number) => {
      numbers.push(number)
      return { will: { topic: 'lost', payload: `${number}`, retain: number % 2 === 0 } }
    }
    const births: number[] = []
    const onConnected = (_connack: unknown, attempt: number) => {
      births.push(attempt)
      return []
    }
    // The second attempt opens no transport, and the third gets no CONNACK.
    server.onDial = (index) => (index === 1 ? networkError('ECONNREFUSED') : 'accept')
    server.onConnection = (connection) => {
      if (server.connections.length === 2) connection.reset()
    }
    const unbegun = startLoop(STILL, [], undefined, { manual: true })
    const seen = [unbegun.loop.state.connection.attempt]
    const started = startLoop({ ...STILL, connectOptions, onConnected }, [], undefined, { server })
    await server.clock.advance(0)
    seen.push(started.loop.state.connection.attempt)
    server.current.reset()
    await server.clock.advance(60_000)
    seen.push(started.loop.state.connection.attempt)
    server.current.reset()
    await server.clock.advance(60_000)
    seen.push(started.loop.state.connection.attempt)
    expect(numbers).toEqual([1, 2, 3, 4, 5])
    expect(seen).toEqual([0, 1, 4, 5])
    expect(births).toEqual([1, 4, 5])
    const wills = server.connections
      .flatMap((connection) => connection.of('connect'))
      .map(({ will }) => [String(will?.payload), will?.retain])
    expect(wills.filter(([payload]) => payload !== '3')).toEqual([
      ['1', false],
      ['4', true],
      ['5', false],
    ])
    await over(started)
  })

  test('[T6] without another will each attempt has that of the options', async () => {
    const will = { topic: 'lost', payload: 'same' }
    const returned = [undefined, { will: { topic: 'lost', payload: 'other' } }, {}]
    const connectOptions: ConnectOptions = (_attempt, _lastClose, _signal, number) =>
      returned[number - 1]
    const server = new ScriptedServer(new VirtualClock())
    const started = startLoop({ ...STILL, will, connectOptions }, [], undefined, { server })
    for (let i = 0; i < 2; i++) {
      await server.clock.advance(60_000)
      server.current.reset()
    }
    await server.clock.advance(60_000)
    const connects = server.connections.flatMap((connection) => connection.of('connect'))
    expect(connects.map((connect) => String(connect.will?.payload))).toEqual([
      'same',
      'other',
      'same',
    ])
    await over(started)
  })

  test('[T6] [C35] what it does not say is as the options say; nothing is as good as {}', async () => {
    for (const given of [undefined, {}, { username: 'other' }]) {
      const server = new ScriptedServer(new VirtualClock())
      const options = { ...STILL, username: 'u', password: 'p', connectOptions: () => given }
      const started = startLoop(options, [], undefined, { server })
      await server.clock.advance(0)
      const connect = server.current.of('connect')[0]!
      expect(connect.username).toBe(given?.username ?? 'u')
      expect(String(connect.password)).toBe('p')
      await over(started)
    }
  })

  test('[T6] another client identifier has another session: Clean Start 1, and what was in flight begins anew', async () => {
    const server = new ScriptedServer(new VirtualClock(), { autoAck: false })
    let clientId = 'first'
    const options = { ...STILL, cleanStart: false, connectOptions: () => ({ clientId }) }
    const requests = [publish('a', '1', { qos: 1 })]
    const started = startLoop(options, requests, undefined, { server })
    await server.clock.advance(0)
    clientId = 'second'
    server.current.reset()
    await server.clock.advance(1000)
    expect(server.current.of('connect')).toMatchObject([{ clientId: 'second', clean: true }])
    expect(server.current.of('publish')).toMatchObject([{ dup: false }])
    expect(started.loop.state.clientId).toBe('second')
    server.current.reset()
    await server.clock.advance(2000)
    expect(server.current.of('connect')).toMatchObject([{ clientId: 'second', clean: false }])
    await over(started)
  })

  test.each([5, 4] as const)(
    '[T6] [C35] MQTT version %i: a refused credential is renewed once, at once; then it is fatal',
    async (protocolVersion) => {
      const codes = protocolVersion === 5 ? [0x86, 0x87] : [4, 5]
      for (const code of codes) {
        const refusal = protocolVersion === 5 ? { reasonCode: code } : { returnCode: code }
        const server = new ScriptedServer(new VirtualClock())
        let good = 'token-2'
        server.onConnection = (connection) => {
          connection.autoConnack = false
          const answer = () => {
            const [connect] = connection.of('connect')
            connection.connack(String(connect!.password) === good ? {} : refusal)
          }
          setImmediate(() => setImmediate(answer))
        }
        let calls = 0
        const reasons: (string | undefined)[] = []
        const connectOptions = (_: number, last: ConnectionFailure | null): AttemptOptions => {
          reasons.push(last?.code)
          return { username: 'u', password: `token-${++calls}` }
        }
        const options = { ...STILL, protocolVersion, connectOptions }
        const started = startLoop(options, [], undefined, { server })
        await server.clock.advance(0)
        await server.clock.advance(0)
        expect(started.loop.state.connection.kind).toBe('connected')
        expect([calls, server.clock.elapsed]).toEqual([2, 0])
        expect(reasons[1]).toMatch(/BAD_CREDENTIALS|NOT_AUTHORIZED/)
        good = 'nothing'
        server.current.reset()
        await server.clock.advance(2000)
        expect(started.error).toBeInstanceOf(RefusedError)
        expect(calls).toBe(4)
      }
    },
  )

  test('[T6] [N2] without connectOptions a refused credential is fatal at once', async () => {
    const server = new ScriptedServer(new VirtualClock(), { autoConnack: { reasonCode: 0x87 } })
    const started = startLoop({ ...STILL, protocolVersion: 5 }, [], undefined, { server })
    await server.clock.advance(0)
    expect(started.error).toBeInstanceOf(RefusedError)
    expect(server.dials.length).toBe(1)
  })

  test('[T6] [C35] its rejection is a failed attempt: retried as the policy says, with the cause', async () => {
    const server = new ScriptedServer(new VirtualClock())
    let calls = 0
    const connectOptions = async () => {
      if (++calls < 3) throw new Error('the token service is away')
      return {}
    }
    const started = startLoop({ ...STILL, connectOptions }, [], undefined, { server })
    await server.clock.advance(0)
    expect(started.loop.state.connection).toMatchObject({
      kind: 'disconnected',
      reason: { phase: 'dial', code: 'CONNECT_OPTIONS_FAILED', retryable: true },
    })
    await server.clock.advance(10_000)
    expect(started.loop.state.connection.kind).toBe('connected')
    await over(started)
    const first = startLoop({ connectOptions: () => Promise.reject(new Error('away')) })
    await first.clock.advance(0)
    expect(first.error).toBeInstanceOf(ConnectionError)
    expect(String(first.error)).toContain('connectOptions failed: away')
  })

  test.each([
    [{ user: 'x' }, /connectOptions has no field "user"/],
    [{ password: 7 }, /password must be a string or bytes/],
    [{ url: 'no URL', transport: undefined }, /url/],
    ['mqtt://x', /connectOptions: it must return an object/],
    [{ will: { topic: 'a/#' } }, /will.topic/],
  ])('[T6] what it may not return is a UsageError and ends the loop: %j', async (given, says) => {
    const started = startLoop({ ...STILL, connectOptions: () => given as AttemptOptions })
    await started.clock.advance(0)
    expect(String((started.error as Error)?.cause ?? started.error)).toMatch(says)
  })

  test('[T6] [T2] [C35] connectTimeout covers it; it is aborted then, and at the end', async () => {
    const server = new ScriptedServer(new VirtualClock())
    const signals: AbortSignal[] = []
    const connectOptions = (_: number, __: unknown, signal: AbortSignal) => {
      signals.push(signal)
      return new Promise<never>(() => {})
    }
    const options = { ...STILL, connectTimeout: 1000, connectOptions }
    const started = startLoop(options, [], undefined, { server })
    await server.clock.advance(999)
    expect(signals.map(({ aborted }) => aborted)).toEqual([false])
    await server.clock.advance(1)
    expect(signals.map(({ aborted }) => aborted)).toEqual([true])
    expect(started.loop.state.connection.reason).toMatchObject({ code: 'CONNECT_TIMEOUT' })
    await server.clock.advance(2000)
    expect(signals.length).toBe(2)
    await over(started)
    expect(signals.every(({ aborted }) => aborted)).toBe(true)
    expect(server.dials).toEqual([])
  })

  test('[T2] connectTimeout covers the transport and the CONNACK together', async () => {
    const server = new ScriptedServer(new VirtualClock(), { autoConnack: false })
    const { transport } = server
    const slow: EventloopOptions = {
      ...STILL,
      connectTimeout: 1000,
      connectOptions: () => new Promise((resolve) => server.clock.setTimer(() => resolve({}), 400)),
      transport: async (endpoint, signal) => {
        await new Promise<void>((resolve) => server.clock.setTimer(() => resolve(), 400))
        return transport(endpoint, signal)
      },
    }
    const started = startLoop(slow, [], undefined, { server })
    await server.clock.advance(999)
    expect(server.current.of('connect').length).toBe(1)
    expect(server.current.closed).toBe(false)
    await server.clock.advance(1)
    expect(server.current.closed).toBe(true)
    await over(started)
  })

  test('[T6] an assigned client identifier is kept for the next connection', async () => {
    const server = new ScriptedServer(new VirtualClock(), {
      autoConnack: { properties: { assignedClientIdentifier: 'given-7' } },
    })
    const started = startLoop({ ...STILL, clientId: '', protocolVersion: 5 }, [], undefined, {
      server,
    })
    await server.clock.advance(0)
    expect(started.loop.state.clientId).toBe('given-7')
    expect(started.loop.session.clientId).toBe('given-7')
    server.autoConnack = true
    server.current.reset()
    await server.clock.advance(1000)
    expect(server.current.of('connect')).toMatchObject([{ clientId: 'given-7', clean: false }])
    await over(started)
  })
})
