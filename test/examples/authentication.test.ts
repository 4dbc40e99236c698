/**
 * Goal: client and server are authenticated before anything else passes, again while publishes go
 * on, and with tokens that expire. Method: the examples of docs/examples/authentication on real
 * sockets; SCRAM against a server of mqtt-packet, which shares no code with the engine, and tokens
 * against aedes, which closes when a token has expired.
 */
import { createHmac, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { Aedes, type Client } from 'aedes'
import { pushable } from 'it-pushable'
import { describe, expect, onTestFinished, test } from 'vitest'
import { scramSha256 } from '../../docs/examples/authentication/scram.ts'
import { renewedToken, type Token } from '../../docs/examples/authentication/token.ts'
import {
  type Authenticator,
  ConnectionError,
  type EventloopOptions,
  eventloop,
  publish,
  RefusedError,
  type Request,
  type Requests,
  subscribe,
} from '../../src/index.ts'
import {
  type Asking,
  AuthenticatingServer,
  Refusal,
  scramServer,
} from '../support/authenticating-server.ts'
import { until } from '../support/process.ts'

const SCOPE = { onTestFinished }
const PASSWORD = 'pencil'
const USERS: ReadonlyMap<string, string> = new Map([['user', PASSWORD]])
const FAST = { when: 'always', minMs: 5, maxMs: 20 } as const

/** A loop with a consumer in the background; `ended` has the error that it ended with. */
function drive(options: EventloopOptions, requests: Requests = []) {
  const settled: string[] = []
  const loop = eventloop(
    {
      reconnect: FAST,
      onSettled: (request, { ok }) => {
        if (request.cmd === 'publish') settled.push(`${request.payload} ${ok ? 'ok' : 'failed'}`)
      },
      ...options,
    },
    requests,
  )
  onTestFinished(() => loop.shutdown())
  const consume = async (): Promise<unknown> => {
    try {
      for await (const _ of loop);
    } catch (error) {
      return error
    }
    return null
  }
  return { loop, settled, ended: consume() }
}

/** Sends readings at QoS 1 at a steady pace until `stop`, and counts the good outcomes. */
function steady(topic = 'stream') {
  let running = true
  let count = 0
  async function* stream(): AsyncGenerator<Request> {
    while (running) {
      yield publish(topic, String(count++), { qos: 1 })
      await sleep(2)
    }
  }
  return {
    requests: stream(),
    stop: () => {
      running = false
    },
    get names(): readonly string[] {
      return Array.from({ length: count }, (_, i) => String(i))
    },
  }
}

function without(names: readonly string[], arrived: Iterable<string>): readonly string[] {
  const there = new Set(arrived)
  return names.filter((name) => !there.has(name))
}

async function scramPair(asking: Asking = scramServer(USERS), password = PASSWORD) {
  const server = await AuthenticatingServer.open(SCOPE, asking)
  return { server, options: { url: server.url, authenticator: scramSha256('user', password) } }
}

const opened = async (server: AuthenticatingServer, count = 1) =>
  until(() => server.connections.length >= count, `connection ${count}`)

describe('SCRAM-SHA-256 at connect', () => {
  test('[T6] with the right password the server accepts the client, and publishes follow', async () => {
    const { server, options } = await scramPair()
    const { ended, settled } = drive(options, [publish('t', 'x', { qos: 1 })])
    expect(await ended).toBeNull()
    expect(settled).toEqual(['x ok'])
    expect(server.current.commands).toEqual(['connect', 'auth', 'publish', 'disconnect'])
    expect(server.current.log[0]!.packet).not.toHaveProperty('password')
    expect(server.current.words).toHaveLength(4)
    expect(server.current.words.join()).not.toContain(PASSWORD)
  })

  test('[T6] the messages are those of RFC 7677, byte for byte', async () => {
    const words = [
      'n,,n=user,r=rOprNGfwEbeRWgbNEkqO',
      'r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096',
      'c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=',
      'v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=',
    ] as const
    // The server uses the RFC's messages too: client and server cannot be wrong in the same way.
    const server = await AuthenticatingServer.open(SCOPE, async function* () {
      yield words[1]
      return words[3]
    })
    const authenticator = scramSha256('user', PASSWORD, () => 'rOprNGfwEbeRWgbNEkqO')
    expect(await drive({ url: server.url, authenticator }).ended).toBeNull()
    expect(server.current.words).toEqual(words)
  })

  test('[T6] the server of these tests sends the messages of RFC 7677 too, and takes no other proof', async () => {
    const asking = scramServer(USERS, {
      salt: Buffer.from('W22ZaJ0SNY7soEsUEjb6gQ==', 'base64'),
      nonce: () => '%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0',
    })
    const answer = async (proof: string) => {
      const steps = asking('n,,n=user,r=rOprNGfwEbeRWgbNEkqO')
      await steps.next()
      const nonce = 'rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0'
      return (await steps.next(`c=biws,r=${nonce},p=${proof}`)).value
    }
    expect(await answer('dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=')).toBe(
      'v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=',
    )
    await expect(answer('dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVX=')).rejects.toThrow(Refusal)
  })

  test('[T6] a name with characters that SCRAM reserves, and a password with two spellings, are accepted', async () => {
    const asking = scramServer(new Map([['a=b,c', 'caf\u00e9']]))
    const server = await AuthenticatingServer.open(SCOPE, asking)
    const authenticator = scramSha256('a=b,c', 'cafe\u0301')
    expect(await drive({ url: server.url, authenticator }).ended).toBeNull()
    expect(server.current.words[0]).toMatch(/^n,,n=a=3Db=2Cc,r=/)
  })

  test('[T6] each exchange has a nonce of its own', async () => {
    const { server, options } = await scramPair()
    await drive(options).ended
    await drive(options).ended
    const [one, other] = server.connections.map(({ words }) => words[0])
    expect(one).toMatch(/^n,,n=user,r=.{32}$/)
    expect(other).not.toBe(one)
  })

  test.each(['pen', ''])(
    '[T6] with the wrong password "%s" the server says 0x87 and the loop ends with RefusedError',
    async (password) => {
      const { server, options } = await scramPair(undefined, password)
      const error = await drive(options, [publish('t', 'x', { qos: 1 })]).ended
      expect(error).toBeInstanceOf(RefusedError)
      expect(error).toMatchObject({ code: 'NOT_AUTHORIZED', reasonCode: 0x87, retryable: false })
      expect(server.connections.map(({ commands }) => commands)).toEqual([['connect', 'auth']])
    },
  )
})

/** A server that needs no challenge: it decides at the client's first message. */
function unasked(answer: (first: string) => string | null): Asking {
  // biome-ignore lint/correctness/useYield: it asks nothing.
  return async function* (first) {
    return answer(first)
  }
}

/** The whole nonce of a server that answers a client-first, and its challenge. */
const nonceOf = (first: string) => `${first.slice(first.indexOf('r=') + 2)}server`
const challengeOf = (nonce: string, iterations = '4096') => `r=${nonce},s=c2FsdA==,i=${iterations}`
const wrongSignature = () => `v=${randomBytes(32).toString('base64')}`

/** A server that accepts any answer to the challenge, and ends with this message. */
function believer(lastWord: () => string | null): Asking {
  return async function* (first) {
    yield challengeOf(nonceOf(first))
    return lastWord()
  }
}

function challenger(challenge: (first: string) => string): Asking {
  return async function* (first) {
    yield challenge(first)
    return wrongSignature()
  }
}

const NOT_PROVED = /has not proved that it knows the password/
const NOT_OURS = /nonce of the server does not go on from ours/
const ITERATIONS = /4096 to 1000000 are allowed/

describe('a server that is not who it should be', () => {
  test.each<readonly [string, Asking, RegExp, readonly string[]]>([
    ['signs with another key', believer(wrongSignature), NOT_PROVED, ['auth']],
    ['signs with nothing', believer(() => 'v='), NOT_PROVED, ['auth']],
    ['gives no last word', believer(() => null), NOT_PROVED, ['auth']],
    ['ends with an error', believer(() => 'e=other-error'), /says "other-error"/, ['auth']],
    ['begins with an error', challenger(() => 'e=no-resources'), /says "no-resources"/, []],
    ['has another nonce', challenger(() => challengeOf('another')), NOT_OURS, []],
    [
      'adds nothing to our nonce',
      challenger((first) => challengeOf(nonceOf(first).replace(/server$/, ''))),
      NOT_OURS,
      [],
    ],
    ...['4095', '0', '-5000', '5e3', '', '1000001'].map(
      (count) =>
        [
          `asks for "${count}" iterations`,
          challenger((first) => challengeOf(nonceOf(first), count)),
          ITERATIONS,
          [],
        ] as const,
    ),
    [
      'demands an extension',
      challenger((first) => `m=x,${challengeOf(nonceOf(first))}`),
      /extension/,
      [],
    ],
    ['sends no salt', challenger((first) => `r=${nonceOf(first)},s=,i=4096`), /no salt/, []],
    ['challenges with nothing', challenger(() => ''), NOT_OURS, []],
    ['accepts us unasked', unasked(wrongSignature), NOT_OURS, []],
    [
      'ends where it should ask',
      unasked((first) => challengeOf(nonceOf(first))),
      /the authenticator has not/,
      [],
    ],
    [
      'asks on and on',
      async function* (first) {
        yield challengeOf(nonceOf(first))
        yield wrongSignature()
        return null
      },
      NOT_PROVED,
      ['auth'],
    ],
  ])('[T6] %s: it is left, and no publish reaches it', async (_, asking, message, said) => {
    const { server, options } = await scramPair(asking)
    const error = await drive(options, [publish('t', 'secret', { qos: 0 })]).ended
    expect(error).toBeInstanceOf(ConnectionError)
    expect(error).toMatchObject({ code: 'AUTHENTICATION_FAILED', retryable: false })
    expect((error as Error).message).toMatch(message)
    await until(() => server.current.closed, 'the client closes')
    expect(server.connections.map(({ commands }) => commands)).toEqual([
      ['connect', ...said, 'disconnect'],
    ])
    // Implementation specific error: the codes that say "not authorized" are the server's.
    expect(server.current.log.at(-1)?.packet).toMatchObject({ reasonCode: 0x83 })
  })
})

test('[T6] [MQTT-3.1.2-30] between CONNECT and CONNACK nothing but AUTH is sent although requests wait', async () => {
  const ROUNDS = 20
  const authenticator: Authenticator = {
    method: 'ROUNDS',
    *exchange() {
      for (let asked: Buffer | undefined = Buffer.from('first'); asked !== undefined; ) {
        asked = (yield asked) as Buffer | undefined
      }
    },
  }
  const requests = pushable<Request>({ objectMode: true })
  const push = (name: string, qos: number) =>
    requests.push(publish('t', name, { qos: qos as 0 | 1 | 2 }))
  const server = await AuthenticatingServer.open(
    SCOPE,
    unasked(() => null),
    'ROUNDS',
  )
  server.acknowledges = false
  const options = { url: server.url, authenticator, maxInflight: ROUNDS }
  const { loop, ended } = drive(options, requests)
  for (let i = 0; i <= ROUNDS; i++) push(`first ${i}`, 1 + (i % 2))
  await until(() => server.published.length === ROUNDS, 'the window is full')
  await until(() => loop.state.counters.held === ROUNDS + 1, 'one more is taken, and waits')

  // Requests without an acknowledgement, waiting, or not taken yet: a new connection concerns all
  // of them.
  let refusedPings = 0
  server.asking = async function* () {
    for (let round = 0; round < ROUNDS; round++) {
      push(`new ${round}`, round % 3)
      requests.push(subscribe(`s/${round}`))
      loop.ping().catch(() => refusedPings++)
      loop.pause()
      loop.resume()
      loop.throttle(null)
      expect(yield `round ${round}`).toBe(`round ${round}`)
    }
    return null
  }
  server.acknowledges = true
  server.current.destroy()
  await opened(server, 2)
  await until(() => server.current.published.length === 2 * ROUNDS + 1, 'the second connection too')
  loop.disconnect()
  expect(await ended).toBeNull()

  const { log, commands } = server.current
  const connack = log.findIndex(({ packet }) => packet.cmd === 'connack')
  const before = log.slice(0, connack).filter(({ from }) => from === 'client')
  const rounds = Array(ROUNDS).fill('auth')
  expect(before.map(({ packet }) => packet.cmd)).toEqual(['connect', ...rounds])
  expect(commands.filter((cmd) => cmd === 'subscribe')).toHaveLength(ROUNDS)
  expect(refusedPings).toBe(ROUNDS)
})

describe('SCRAM-SHA-256 again, while publishes go on', () => {
  const PUBLISHES = 20

  /** Is as `asking`, and the last message waits for this many publishes. */
  function slowly(asking: Asking, server: () => AuthenticatingServer): Asking {
    return async function* (first) {
      const enough = server().published.length + PUBLISHES
      const steps = asking(first)
      const answer = yield String((await steps.next()).value)
      await until(() => server().published.length >= enough, 'publishes go on')
      return (await steps.next(answer)).value
    }
  }

  async function streaming(options: Partial<EventloopOptions> = {}) {
    const pair = await scramPair()
    const stream = steady()
    const driven = drive({ ...pair.options, ...options }, stream.requests)
    await until(() => pair.server.published.length > 5, 'the stream is on its way')
    const finish = async () => {
      stream.stop()
      const error = await driven.ended
      return { error, lost: without(stream.names, pair.server.published) }
    }
    return { ...pair, ...driven, stream, finish }
  }

  /** How many PUBLISH arrived while the first exchange after the CONNACK was under way. */
  function publishedWithin({ log }: AuthenticatingServer['current']): number {
    const later = log.slice(log.findIndex(({ packet }) => packet.cmd === 'connack'))
    const begin = later.findIndex(({ packet }) => packet.cmd === 'auth')
    const end = later.findIndex(({ packet }) => packet.cmd === 'auth' && packet.reasonCode === 0)
    return later.slice(begin, end).filter(({ packet }) => packet.cmd === 'publish').length
  }

  test('[T6] [MQTT-4.12.1-1] reauthenticate() resolves when both sides have agreed', async () => {
    const { server, loop, settled, finish } = await streaming()
    server.asking = slowly(server.asking, () => server)
    await loop.reauthenticate()
    expect(server.current.codes.slice(-4)).toEqual([
      'client 19',
      'server 18',
      'client 18',
      'server 0',
    ])
    expect(publishedWithin(server.current)).toBeGreaterThanOrEqual(PUBLISHES)
    await loop.reauthenticate()
    expect(await finish()).toEqual({ error: null, lost: [] })
    expect(settled.filter((outcome) => outcome.endsWith('failed'))).toEqual([])
    expect(server.connections).toHaveLength(1)
  })

  test('[T6] [MQTT-4.12.1-1] reauthenticate() rejects when the server refuses; the loop connects again and loses nothing', async () => {
    const { server, loop, settled, finish } = await streaming()
    const good = server.asking
    server.asking = unasked(() => {
      server.asking = good
      throw new Refusal('not now')
    })
    const error = await loop.reauthenticate().catch((thrown: unknown) => thrown)
    expect(error).toBeInstanceOf(RefusedError)
    expect(error).toMatchObject({ reasonCode: 0x87 })
    await opened(server, 2)
    await until(() => server.current.published.length > 5, 'publishes go on')
    expect(await finish()).toEqual({ error: null, lost: [] })
    expect(settled.filter((outcome) => outcome.endsWith('failed'))).toEqual([])
  })

  test('[T6] a user that was removed meanwhile is refused, and the loop ends with RefusedError', async () => {
    const { server, loop, ended } = await streaming()
    server.asking = scramServer(new Map())
    await expect(loop.reauthenticate()).rejects.toThrow(RefusedError)
    expect(await ended).toBeInstanceOf(RefusedError)
    expect(server.current.commands).toEqual(['connect', 'auth'])
  })

  test('[T6] [MQTT-4.12.1-2] a server that cannot prove itself again is left with DISCONNECT', async () => {
    const { server, loop, ended } = await streaming()
    server.asking = believer(wrongSignature)
    await expect(loop.reauthenticate()).rejects.toThrow(NOT_PROVED)
    expect(await ended).toMatchObject({ code: 'AUTHENTICATION_FAILED' })
    await until(() => server.current.closed, 'the client closes')
    expect(server.connections).toHaveLength(1)
    expect(server.current.commands.at(-1)).toBe('disconnect')
  })

  test('[T6] the server begins, and is answered if that is allowed', async () => {
    const authenticator = { ...scramSha256('user', PASSWORD), serverMayStart: true }
    const { server, finish } = await streaming({ authenticator })
    server.asking = slowly(server.asking, () => server)
    server.current.challenge()
    await until(() => server.current.codes.at(-1) === 'server 0', 'the server is content')
    expect(server.current.codes.slice(-5)).toEqual([
      ...['server 18', 'client 18', 'server 18', 'client 18', 'server 0'],
    ])
    expect(publishedWithin(server.current)).toBeGreaterThanOrEqual(PUBLISHES)
    expect(await finish()).toEqual({ error: null, lost: [] })
    expect(server.connections).toHaveLength(1)
  })

  test('[T6] [MQTT-4.12.0-6] the server begins, and is left if that is not allowed', async () => {
    const { server, finish } = await streaming()
    const first = server.current
    first.challenge()
    await until(() => first.closed, 'the client closes')
    await opened(server, 2)
    await until(() => server.current.published.length > 0, 'publishes go on')
    expect(first.log.findLast(({ packet }) => packet.cmd === 'disconnect')?.packet).toMatchObject({
      reasonCode: 0x82,
    })
    expect(await finish()).toEqual({ error: null, lost: [] })
  })
})

// ------------------------------------------------------------------------------------------ tokens

const LIFE_MS = 2000
const KEY = randomBytes(32)

const signatureOf = (expiresAt: string) =>
  createHmac('sha256', KEY).update(expiresAt).digest('base64url')

function issue(lifeMs: number): Token {
  const expiresAt = Date.now() + lifeMs
  return { value: `${expiresAt}.${signatureOf(String(expiresAt))}`, expiresAt }
}

/** When the client's token expires; 0 if it may not connect. */
function judged(token: string): number {
  const [expiresAt = '', signature = ''] = token.split('.')
  const good = signature === signatureOf(expiresAt) && Number(expiresAt) > Date.now()
  return good ? Number(expiresAt) : 0
}

/** A broker of MQTT 3.1.1 whose clients may stay until their token expires. */
async function tokenBroker() {
  const accepted: string[] = []
  const refused: string[] = []
  const arrived: string[] = []
  const clients = new Set<Client>()
  const broker = await Aedes.createBroker()
  broker.authenticate = (client, _, password, done) => {
    const token = password?.toString() ?? ''
    const expiresAt = judged(token)
    const list = expiresAt > 0 ? accepted : refused
    list.push(token)
    if (expiresAt === 0) return done(null, false)
    clients.add(client)
    setTimeout(() => client.close(), expiresAt - Date.now()).unref()
    done(null, true)
  }
  broker.on('publish', ({ payload }, client) => {
    if (client !== null) arrived.push(payload.toString())
  })
  const server = createServer(broker.handle)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => {
    broker.close()
    server.close()
  })
  const options = {
    url: `mqtt://127.0.0.1:${(server.address() as AddressInfo).port}`,
    protocolVersion: 4,
    clientId: 'device',
    username: 'device',
  } as const
  const kick = () => {
    for (const client of clients) client.close()
    clients.clear()
  }
  return { accepted, refused, arrived, options, kick }
}

describe('tokens that expire', () => {
  test('[T6] [C35] over four lifetimes of a token each connection has its own, and a QoS 1 stream loses nothing', async () => {
    const { accepted, refused, arrived, options } = await tokenBroker()
    const stream = steady()
    const connectOptions = renewedToken(() => issue(LIFE_MS), 200)
    const { ended, settled } = drive({ ...options, connectOptions }, stream.requests)
    await until(() => accepted.length >= 5, 'the fifth life begins')
    stream.stop()
    expect(await ended).toBeNull()
    expect(new Set(accepted).size).toBe(accepted.length)
    expect(refused).toEqual([])
    expect(stream.names.length).toBeGreaterThan(100)
    expect(without(stream.names, arrived)).toEqual([])
    expect(settled.filter((outcome) => outcome.endsWith('failed'))).toEqual([])
  })

  test('[T6] [C35] with the same token every time the second attempt is refused, and the loop ends', async () => {
    const { accepted, refused, options } = await tokenBroker()
    const stream = steady()
    const password = issue(300).value
    const error = await drive({ ...options, password }, stream.requests).ended
    expect(error).toBeInstanceOf(RefusedError)
    expect([accepted, refused]).toEqual([[password], [password]])
  })

  test('[C35] a token that is still valid is used again', async () => {
    const { accepted, options, kick } = await tokenBroker()
    const stream = steady()
    const connectOptions = renewedToken(() => issue(60_000))
    const { ended } = drive({ ...options, connectOptions }, stream.requests)
    for (const connections of [1, 2, 3]) {
      await until(() => accepted.length === connections, `connection ${connections}`)
      kick()
    }
    stream.stop()
    expect(await ended).toBeNull()
    expect(accepted.length).toBeGreaterThanOrEqual(3)
    expect(new Set(accepted).size).toBe(1)
  })

  test('[C35] a token with less left than the margin is not used', async () => {
    const { accepted, options, kick } = await tokenBroker()
    const stream = steady()
    const connectOptions = renewedToken(() => issue(60_000 + accepted.length), 61_000)
    const { ended } = drive({ ...options, connectOptions }, stream.requests)
    await until(() => accepted.length === 1, 'the first connection')
    kick()
    await until(() => accepted.length === 2, 'the second connection')
    stream.stop()
    expect(await ended).toBeNull()
    expect(new Set(accepted).size).toBe(2)
  })

  /** A token service that signs an expired token and says that it is valid. */
  const expired = (): Token => ({ ...issue(-1000), expiresAt: Date.now() + 60_000 })

  test('[T6] [C35] an expired token after good ones is refused with return code 5, renewed once, and accepted', async () => {
    const { accepted, refused, arrived, options, kick } = await tokenBroker()
    const stream = steady()
    const tokens = [issue(60_000), issue(60_001), expired(), issue(60_002)]
    const connectOptions = renewedToken(() => tokens.shift()!, 61_000)
    const { ended } = drive({ ...options, connectOptions }, stream.requests)
    for (const life of [1, 2]) {
      await until(() => accepted.length === life, `life ${life}`)
      kick()
    }
    await until(() => accepted.length === 3, 'the life after the refusal')
    stream.stop()
    expect(await ended).toBeNull()
    expect([refused.length, tokens.length]).toEqual([1, 0])
    expect(without(stream.names, arrived)).toEqual([])
  })

  test('[T6] [C35] refused with the very first token: it is renewed although nothing has ever succeeded', async () => {
    const { accepted, refused, options } = await tokenBroker()
    const tokens = [expired(), issue(60_000)]
    const connectOptions = renewedToken(() => tokens.shift()!)
    const driven = drive({ ...options, connectOptions, reconnect: 'never' }, [
      publish('t', 'x', { qos: 1 }),
    ])
    expect(await driven.ended).toBeNull()
    expect(driven.settled).toEqual(['x ok'])
    expect([accepted.length, refused.length]).toEqual([1, 1])
  })

  test('[T6] [C35] refused twice in a row: the loop ends with RefusedError and asks for no third token', async () => {
    const { accepted, refused, options } = await tokenBroker()
    let fetched = 0
    const connectOptions = renewedToken(() => {
      fetched++
      return expired()
    })
    const driven = drive({ ...options, connectOptions }, [publish('t', 'x', { qos: 1 })])
    const error = await driven.ended
    expect(error).toBeInstanceOf(RefusedError)
    expect(error).toMatchObject({ code: 'NOT_AUTHORIZED', retryable: false })
    expect([accepted.length, refused.length, fetched]).toEqual([0, 2, 2])
  })

  test('[C35] a token service that fails is asked again; one that hangs is aborted when nobody waits any more', async () => {
    const { accepted, options } = await tokenBroker()
    const signals: AbortSignal[] = []
    const connectOptions = renewedToken(async (signal) => {
      signals.push(signal)
      if (signals.length === 1) throw new Error('503')
      if (signals.length === 2) await once(signal, 'abort')
      return issue(60_000)
    })
    const { loop, ended } = drive({ ...options, connectOptions }, steady().requests)
    await until(() => signals.length === 2, 'the service is asked again')
    loop.shutdown()
    await ended
    expect(signals[1]!.aborted).toBe(true)
    expect(accepted).toEqual([])
  })
})
