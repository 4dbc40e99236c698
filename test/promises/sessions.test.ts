/**
 * Goal: a session begins, goes on and ends as `cleanStart` and `session` say, whatever the server
 * says about it; and a server that keeps nothing, takes few filters, or has messages of an earlier
 * process half received, costs no message. (D1, D5, E2)
 */
import type { IPublishPacket } from 'mqtt-packet'
import { describe, expect, test } from 'vitest'
import type { EventloopOptions } from '../../src/options/options.ts'
import { resolveOptions } from '../../src/options/resolve.ts'
import { publish, subscribe } from '../../src/requests/build.ts'
import type { Session, SessionStore } from '../../src/requests/session.ts'
import { decodeSession, encodeSession } from '../../src/requests/session-text.ts'
import type { Request } from '../../src/requests/vocabulary.ts'
import { VirtualClock } from '../support/clock.ts'
import { startLoop } from '../support/loop.ts'
import { ScriptedServer, type Sent, type ServerConnection } from '../support/server.ts'

const STILL: EventloopOptions = {
  keepAlive: 0,
  until: 'closed',
  reconnect: { when: 'always', minMs: 10, maxMs: 10 },
}

/** A store in which nothing was ever kept. */
function emptyStore(): SessionStore {
  return { load: async () => null, commit: async () => {}, close: async () => {} }
}

/** The session of a loop that was subscribed to `saved`, and has ended. */
async function savedSession(protocolVersion: 4 | 5): Promise<Session> {
  const server = new ScriptedServer(new VirtualClock())
  const options = { ...STILL, protocolVersion, cleanStart: false }
  const { loop, done } = startLoop(options, [subscribe('saved')], undefined, { server })
  await server.clock.settle()
  loop.shutdown()
  await server.clock.advance(1000)
  await done
  return loop.session
}

const brief = (packet: Sent): string => {
  if (packet.cmd === 'subscribe') {
    return `SUBSCRIBE ${packet.subscriptions.map(({ topic, rh }) => topic + (rh ? ` rh${rh}` : '')).join(' ')}`
  }
  if (packet.cmd === 'publish') return `${packet.dup ? 'DUP ' : ''}PUBLISH`
  return packet.cmd.toUpperCase()
}

const isClean = (connection: ServerConnection) => connection.of('connect')[0]?.clean

describe('[D5] cleanStart × session × Session Present', () => {
  const given = {
    none: async () => undefined,
    Session: savedSession,
    store: async () => emptyStore(),
    adopt: async () => 'adopt' as const,
  }
  type Given = keyof typeof given
  const rows = ([4, 5] as const).flatMap((version) =>
    ([true, false, 'always'] as const).flatMap((cleanStart) =>
      (Object.keys(given) as Given[]).flatMap((session) =>
        [false, true].map((present) => [version, cleanStart, session, present] as const),
      ),
    ),
  )

  async function optionsOf(
    protocolVersion: 4 | 5,
    cleanStart: boolean | 'always',
    session: Given,
  ): Promise<EventloopOptions> {
    const made = await given[session](protocolVersion)
    return { ...STILL, protocolVersion, cleanStart, ...(made ? { session: made } : {}) }
  }

  /** Whether the CONNECT asks for a new session. */
  function asks(
    version: number,
    cleanStart: boolean | 'always',
    session: Given,
    isFirst: boolean,
  ): boolean {
    if (cleanStart === 'always') return true
    return session === 'none' && cleanStart && (isFirst || version === 4)
  }

  test.each(rows)(
    'version %s, cleanStart %s, session %s, Session Present %s: the first connection',
    async (version, cleanStart, session, present) => {
      const server = new ScriptedServer(new VirtualClock(), {
        autoConnack: { sessionPresent: present },
      })
      const options = await optionsOf(version, cleanStart, session)
      if (cleanStart === 'always' && session === 'adopt') {
        expect(() => resolveOptions({ url: 'mqtt://h', ...options })).toThrow(/cleanStart.*adopt/)
        return
      }
      const requests = [publish('t', 'x', { qos: 2 })]
      const { loop, outcomes } = startLoop(options, requests, undefined, { server })
      await server.clock.settle()
      const clean = asks(version, cleanStart, session, true)
      const [connection] = server.connections
      expect(isClean(connection!)).toBe(clean)
      // After Clean Start 1 nothing is resumed, whatever the server says; but it may hold identifiers.
      const resumes = present && !clean
      const sent = connection!.packets.slice(1).map(brief)
      const adopts = present && (clean || session !== 'Session')
      const renews = session === 'Session' && (!resumes || version === 5)
      expect(sent).toEqual([
        ...(renews ? [resumes ? 'SUBSCRIBE saved rh1' : 'SUBSCRIBE saved'] : []),
        ...(adopts ? ['PUBREL'] : []),
        ...['PUBLISH', 'PUBREL'],
      ])
      expect(outcomes).toMatchObject([{ outcome: { ok: true } }])
      await loop.return()
    },
  )

  test.each(rows)(
    'version %s, cleanStart %s, session %s, Session Present %s: a later connection',
    async (version, cleanStart, session, present) => {
      if (cleanStart === 'always' && session === 'adopt') return
      const server = new ScriptedServer(new VirtualClock(), {
        autoAck: ({ cmd }) => cmd === 'subscribe',
      })
      // Nothing is suspected, so that the order is seen.
      const options = {
        ...(await optionsOf(version, cleanStart, session)),
        quarantineAfter: 0,
      }
      const requests = [subscribe('own'), publish('t', 'x', { qos: 2 })]
      const { loop } = startLoop(options, requests, undefined, { server })
      await server.clock.settle()
      server.autoConnack = { sessionPresent: present }
      server.current.end()
      await server.clock.advance(100)
      const clean = asks(version, cleanStart, session, false)
      const second = server.connections[1]!
      expect(isClean(second)).toBe(clean)
      const sent = second.packets.slice(1).map(brief).join(', ')
      const filters = session === 'Session' ? ['saved', 'own'] : ['own']
      const renewals = filters.map((filter) => `SUBSCRIBE ${filter}`)
      const cleared = present ? ['PUBREL'] : []
      if (!present || clean) expect(sent).toBe([...renewals, ...cleared, 'PUBLISH'].join(', '))
      else if (version === 4) expect(sent).toBe('DUP PUBLISH')
      else expect(sent).toBe([...renewals.map((one) => `${one} rh1`), 'DUP PUBLISH'].join(', '))
      await loop.return()
    },
  )

  test('what is wrong in cleanStart is said', () => {
    expect(() => resolveOptions({ url: 'mqtt://h', cleanStart: 'never' as 'always' })).toThrow(
      /cleanStart must be true or false, or "always".*"never"/,
    )
  })

  test.each([
    [{}, 300],
    [{ cleanStart: false }, 86_400],
    [{ cleanStart: 'always' }, 0],
    [{ session: emptyStore() }, 86_400],
    [{ session: 'adopt' }, 86_400],
    [{ cleanStart: 'always', sessionExpiryInterval: 5 }, 5],
  ] as [EventloopOptions, number][])(
    '%o: the server keeps the session for %s s',
    (options, seconds) => {
      const { config } = resolveOptions({ url: 'mqtt://h', ...options })
      expect(config.sessionExpiryInterval).toBe(seconds)
    },
  )
})

describe('[D5] [C13] a server that says Session Present 1 and keeps nothing', () => {
  /** It says 1 whenever the client does not ask for a new session. */
  function forgetful(): ScriptedServer {
    const server = new ScriptedServer(new VirtualClock())
    server.onConnection = (connection) => {
      connection.autoConnack = false
      const answered = new Promise<void>((resolve) => server.clock.setTimer(resolve, 1))
      void answered.then(() => {
        connection.connack({ sessionPresent: isClean(connection) === false })
      })
    }
    return server
  }

  /** A server delivers what was subscribed on this connection. */
  function deliver(connection: ServerConnection, payload: string): void {
    const isSubscribed = connection.of('subscribe').length > 0
    if (isSubscribed)
      connection.send({ cmd: 'publish', topic: 'a', payload, qos: 0, dup: false, retain: false })
  }

  test.each([
    [5, true, 0],
    [5, false, 0],
    [5, 'always', 0],
    [4, true, 0],
    [4, false, 10_000],
    [4, 'always', 0],
  ] as const)(
    'version %s, cleanStart %s: messages come again within %s ms of the CONNACK',
    async (protocolVersion, cleanStart, withinMs) => {
      const server = forgetful()
      const options = { ...STILL, protocolVersion, cleanStart }
      const { loop, received } = startLoop(options, [subscribe('a')], undefined, { server })
      await server.clock.advance(100)
      for (let i = 0; i < 4; i++) {
        deliver(server.current, `${i}`)
        await server.clock.settle()
        server.current.end()
        await server.clock.advance(100 + withinMs)
      }
      deliver(server.current, 'last')
      await server.clock.settle()
      const payloads = received.flatMap((one) =>
        one.cmd === 'publish' ? [String(one.payload)] : [],
      )
      expect(payloads).toEqual(['0', '1', '2', '3', 'last'])
      await loop.return()
    },
  )
})

describe('[D5] a server that was seen to keep a session', () => {
  /** Delivers a message, loses the connection before it is acknowledged, and delivers it again. */
  async function keptOnce(server: ScriptedServer): Promise<void> {
    const message = { cmd: 'publish', topic: 'a', payload: 'x', qos: 2, messageId: 7 } as const
    server.current.send({ ...message, dup: false, retain: false })
    await server.clock.settle()
    server.autoConnack = { sessionPresent: true }
    server.current.end()
    await server.clock.advance(100)
    server.current.send({ ...message, dup: true, retain: false })
    await server.clock.settle()
  }

  test.each([
    [0, false],
    [1, true],
    [3, true],
  ])(
    'after %s CONNECTs without a CONNACK: subscriptions are renewed %s',
    async (missed, renews) => {
      const server = new ScriptedServer(new VirtualClock())
      const { loop } = startLoop(
        { ...STILL, cleanStart: false },
        [subscribe('a', { qos: 2 })],
        undefined,
        { server },
      )
      await server.clock.advance(100)
      await keptOnce(server)
      // It may have lost the session, and have said so in a CONNACK that nobody received.
      for (let i = 0; i < missed; i++) {
        server.onConnection = (connection) => {
          connection.autoConnack = false
        }
        server.current.end()
        await server.clock.advance(100)
      }
      server.onConnection = () => {}
      server.current.end()
      await server.clock.advance(100)
      expect(server.current.of('subscribe').length > 0).toBe(renews)
      await loop.return()
    },
  )
})

describe('[D5] a server that closes on more than eight filters', () => {
  function narrow(): ScriptedServer {
    const server = new ScriptedServer(new VirtualClock())
    server.onConnection = (connection) => {
      connection.autoAck = (packet) => {
        if (packet.cmd !== 'subscribe' || packet.subscriptions.length <= 8) return true
        connection.end()
        return false
      }
    }
    return server
  }
  const filters = Array.from({ length: 25 }, (_, i) => `f/${i}`)

  test.each([4, 5] as const)(
    'version %s: 25 single subscriptions come back as such, and nobody is suspected',
    async (protocolVersion) => {
      const server = narrow()
      const requests = filters.map((filter) => subscribe(filter))
      const options = { ...STILL, protocolVersion }
      const started = startLoop(options, requests, undefined, { server })
      await server.clock.settle()
      server.current.end()
      await server.clock.advance(100)
      expect(server.current.of('subscribe')).toHaveLength(25)
      await server.clock.advance(60_000)
      expect(server.connections).toHaveLength(2)
      expect(started.warnings).toEqual([])
      await started.loop.return()
    },
  )

  test.each([4, 5] as const)(
    'version %s: one SUBSCRIBE of 25 is granted after two losses, with one outcome and one SUBACK',
    async (protocolVersion) => {
      const server = narrow()
      const request = subscribe(filters, { qos: 1 })
      const options = { ...STILL, protocolVersion }
      const started = startLoop(options, [request], undefined, { server })
      await server.clock.advance(1000)
      expect(server.connections.length).toBeLessThanOrEqual(4)
      expect(started.outcomes).toMatchObject([{ request, outcome: { ok: true } }])
      const answers = started.received.filter(({ cmd }) => cmd === 'suback')
      expect(answers).toMatchObject([{ granted: Array(25).fill(1), request }])
      expect(started.warnings.map(({ code }) => code)).not.toContain('SESSION_TAKEN_OVER_SUSPECTED')
      // The next loss costs no more than the renewal: what the server takes is known.
      const before = server.connections.length
      server.autoConnack = { sessionPresent: false }
      server.current.end()
      await server.clock.advance(60_000)
      expect(server.connections.length).toBe(before + 1)
      const renewed = server.current.of('subscribe').flatMap(({ subscriptions }) => subscriptions)
      expect(renewed.map(({ topic }) => topic)).toEqual(filters)
      await started.loop.return()
    },
  )

  test('filtersPerSubscribe: no packet has more, and no connection is lost', async () => {
    const server = narrow()
    const options = { ...STILL, filtersPerSubscribe: 8 }
    const started = startLoop(options, [subscribe(filters)], undefined, { server })
    await server.clock.settle()
    const sizes = () =>
      server.current.of('subscribe').map(({ subscriptions }) => subscriptions.length)
    expect(sizes()).toEqual([8, 8, 8, 1])
    expect(started.outcomes).toMatchObject([{ outcome: { ok: true } }])
    server.current.end()
    await server.clock.advance(100)
    expect(sizes()).toEqual([8, 8, 8, 1])
    expect(server.connections).toHaveLength(2)
    await started.loop.return()
  })

  test('filters that are refused in a renewal are reported as refused', async () => {
    const server = new ScriptedServer(new VirtualClock())
    const options = { ...STILL, filtersPerSubscribe: 1 }
    const started = startLoop(options, [subscribe(['good', 'bad'])], undefined, { server })
    await server.clock.settle()
    server.onConnection = (connection) => {
      connection.autoAck = (packet) => {
        if (packet.cmd !== 'subscribe' || packet.subscriptions[0]!.topic !== 'bad') return true
        connection.send({ cmd: 'suback', messageId: packet.messageId!, granted: [0x87] })
        return false
      }
    }
    server.current.end()
    await server.clock.advance(100)
    expect(started.loop.state.subscriptions).toMatchObject([
      { topic: 'good', status: 'granted' },
      { topic: 'bad', status: 'refused', reasonCode: 0x87 },
    ])
    expect(started.warnings.map(({ code }) => code)).toEqual(['RENEWAL_REFUSED'])
    await started.loop.return()
  })

  test.each([0, 65_536, 1.5, '8'])('filtersPerSubscribe: %s is refused', (filtersPerSubscribe) => {
    const options = { url: 'mqtt://h', filtersPerSubscribe: filtersPerSubscribe as number }
    expect(() => resolveOptions(options)).toThrow(/filtersPerSubscribe/)
  })
})

describe('[E2] [D5] the end of a session', () => {
  const inFlight: Request[] = [publish('t', 'x', { qos: 2 })]
  const rows: [string, EventloopOptions, readonly Request[], number | undefined][] = [
    ['a generated identifier', {}, [], 0],
    ['a generated identifier, cleanStart false', { cleanStart: false }, [], 0],
    ['the same, subscribed', { cleanStart: false }, [subscribe('a')], 0],
    ['the same, with a publish in flight', { cleanStart: false }, inFlight, undefined],
    ['an identifier that the server assigns', { clientId: '', cleanStart: false }, [], 0],
    ['cleanStart always', { clientId: 'c', cleanStart: 'always', sessionExpiryInterval: 9 }, [], 0],
    ['an identifier of the user', { clientId: 'c', cleanStart: false }, [], undefined],
    ['a session store', { session: emptyStore() }, [], undefined],
    [
      'connectOptions may give it',
      { cleanStart: false, connectOptions: () => ({}) },
      [],
      undefined,
    ],
  ]
  test.each(rows)('%s', async (_, options, requests, expected) => {
    const server = new ScriptedServer(new VirtualClock(), {
      autoAck: ({ cmd }) => cmd !== 'publish',
    })
    const { session } = options
    const identity = 'clientId' in options || session ? {} : { clientId: undefined }
    const { loop, done } = startLoop({ ...STILL, ...identity, ...options }, requests, undefined, {
      server,
    })
    await server.clock.settle()
    loop.shutdown()
    await server.clock.advance(1000)
    await done
    const [bye] = server.current.of('disconnect')
    expect(bye).toBeDefined()
    expect(bye!.properties?.sessionExpiryInterval).toBe(expected)
  })

  test('MQTT 3.1.1, a generated identifier: a clean session at every connection', async () => {
    const server = new ScriptedServer(new VirtualClock())
    const options = { ...STILL, clientId: undefined, protocolVersion: 4 as const }
    const { loop } = startLoop(options, [subscribe('a')], undefined, { server })
    await server.clock.settle()
    server.current.end()
    await server.clock.advance(100)
    expect(server.connections.map(isClean)).toEqual([true, true])
    await loop.return()
  })
})

describe('[D1] [D5] a session that is adopted', () => {
  /**
   * A server that has received messages of QoS 2 under these identifiers, and waits for their
   * PUBREL. It takes a PUBLISH of such an identifier for a repetition.
   */
  function halfSent(waiting: Set<number>, protocolVersion: 4 | 5) {
    const server = new ScriptedServer(new VirtualClock(), {
      autoConnack: { sessionPresent: true },
    })
    const delivered: string[] = []
    server.onConnection = (connection) => {
      connection.autoAck = (packet) => {
        const { messageId = 0 } = packet
        if (packet.cmd === 'pubrel') {
          const known = waiting.delete(messageId)
          const reasonCode = known || protocolVersion === 4 ? 0 : 0x92
          connection.send({ cmd: 'pubcomp', messageId, reasonCode })
          return false
        }
        if (packet.cmd === 'publish' && packet.qos === 2 && !waiting.has(messageId)) {
          waiting.add(messageId)
          delivered.push(String((packet as IPublishPacket).payload))
        }
        return true
      }
    }
    return { server, delivered }
  }

  test('a PUBCOMP that comes twice for a cleared identifier settles nothing', async () => {
    const server = new ScriptedServer(new VirtualClock(), { autoConnack: { sessionPresent: true } })
    let cleared = false
    server.onConnection = (connection) => {
      connection.autoAck = ({ cmd, messageId = 0 }) => {
        if (cmd === 'pubrel' && !cleared) {
          for (const reasonCode of [0x92, 0x92]) {
            connection.send({ cmd: 'pubcomp', messageId, reasonCode })
          }
        }
        return cleared
      }
    }
    const options = { ...STILL, cleanStart: false }
    const started = startLoop(options, [publish('t', 'x', { qos: 2 })], undefined, { server })
    await server.clock.advance(100)
    expect(started.outcomes).toEqual([])
    cleared = true
    server.current.end()
    await server.clock.advance(100)
    expect(started.outcomes).toMatchObject([{ outcome: { ok: true } }])
    await started.loop.return()
  })

  const numbers = Array.from({ length: 20 }, (_, i) => `${i}`)
  const requests = numbers.map((number) => publish('t', number, { qos: 2 }))

  test.each([
    [4, { cleanStart: false }],
    [5, { cleanStart: false }],
    [4, { session: 'adopt' }],
    [5, { session: emptyStore() }],
    [4, { session: emptyStore() }],
  ] as [4 | 5, EventloopOptions][])(
    'version %s, %o: no message is taken for a repetition of what an earlier process left half sent',
    async (protocolVersion, options) => {
      const waiting = new Set([1, 2, 3, 7, 19])
      const { server, delivered } = halfSent(waiting, protocolVersion)
      const started = startLoop({ ...STILL, protocolVersion, ...options }, requests, undefined, {
        server,
      })
      await server.clock.settle()
      expect(delivered).toEqual(numbers)
      expect(started.outcomes.map(({ outcome }) => outcome.ok)).toEqual(Array(20).fill(true))
      expect(waiting).toEqual(new Set())
      expect(started.warnings).toEqual([])
      await started.loop.return()
    },
  )

  test('the doubt is part of the saved session', async () => {
    const { server } = halfSent(new Set(), 5)
    const options = { ...STILL, clientId: 'c', cleanStart: false }
    const first = startLoop(options, [], undefined, { server })
    await server.clock.settle()
    first.loop.shutdown()
    await server.clock.advance(1000)
    await first.done
    const session = decodeSession(encodeSession(first.loop.session))
    expect(session.record()).toMatchObject({ adopted: true, doubtfulIds: 65_535 })
    const { server: later, delivered } = halfSent(new Set([1]), 5)
    const second = startLoop({ ...STILL, session }, requests, undefined, { server: later })
    await later.clock.settle()
    expect(delivered).toEqual(numbers)
    await second.loop.return()
  })

  test.each(['PUBLISH with DUP', 'PUBREL'])('a %s of before is warned of, once', async (packet) => {
    const server = new ScriptedServer(new VirtualClock(), { autoConnack: { sessionPresent: true } })
    const options = { ...STILL, cleanStart: false }
    const started = startLoop(options, [], undefined, { server })
    await server.clock.settle()
    for (const messageId of [5, 6]) {
      if (packet === 'PUBREL') server.current.send({ cmd: 'pubrel', messageId, reasonCode: 0 })
      else {
        const message = { topic: 'a', payload: 'x', qos: 1, dup: true, retain: false } as const
        server.current.send({ cmd: 'publish', messageId, ...message })
      }
    }
    await server.clock.settle()
    expect(started.warnings.map(({ code }) => code)).toEqual(['ADOPTED_IN_FLIGHT'])
    expect(started.warnings[0]!.message).toContain('"test"')
    await started.loop.return()
  })
})
