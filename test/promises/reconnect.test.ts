/**
 * After a connection is lost: when the next is dialled, whether it is at all, and where the request stream goes on.
 */
import { getEventListeners } from 'node:events'
import fc from 'fast-check'
import { pushable } from 'it-pushable'
import { describe, expect, test } from 'vitest'
import { BugError, ConnectionError, MqttError, RefusedError } from '../../src/errors.ts'
import { eventloop } from '../../src/loop/eventloop.ts'
import type { EventloopOptions } from '../../src/options/options.ts'
import type { Failure } from '../../src/protocol/facts.ts'
import { retryDelayMs, suspendedDelayMs } from '../../src/protocol/reconnect.ts'
import { publish, subscribe } from '../../src/requests/build.ts'
import { reconnectPolicy } from '../../src/requests/reconnect-policy.ts'
import type { ConnectionFailure, Request } from '../../src/requests/vocabulary.ts'
import { peek, VirtualClock } from '../support/clock.ts'
import { collect, type Started, startLoop } from '../support/loop.ts'
import { randomOf } from '../support/random.ts'
import { counted, numbered } from '../support/requests.ts'
import { networkError, ScriptedServer, type ServerOptions } from '../support/server.ts'

const DEFAULTS = reconnectPolicy('reconnect', undefined)
const TEN_MINUTES = 600_000
const SUSPEND_AFTER_MS = 120_000
const AT_ONCE = { minMs: 0, maxMs: 0 } as const

function failureOf(phase: Failure['phase'], code = 'CONNECTION_CLOSED'): Failure {
  return { phase, source: 'connection', code, retryable: true, message: '' }
}

async function over({ loop, clock, server }: Started): Promise<void> {
  loop.shutdown()
  await clock.advance(1000)
  expect([clock.pendingTimers, server.open]).toEqual([0, 0])
}

// ---------------------------------------------------------------------------------------------------------------------- N1

describe('the delay, as a function', () => {
  const randoms = [0, 0.25, 0.5, 1 - 2 ** -32]

  test('[N1] after a loss: 100 ms + random × min(30 s, 1 s × 2ⁿ)', () => {
    const table = [1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000]
    for (const [n, span] of [...table.entries(), [1000, 30_000] as const]) {
      for (const random of randoms) {
        const delay = retryDelayMs(DEFAULTS, n, failureOf('connected'), false, random)
        expect(delay).toBeCloseTo(100 + random * span, 6)
      }
    }
  })

  test('[N1] after a connection that was stable: random × 1 s, whatever the cause and the attempt', () => {
    for (const random of randoms) {
      for (const phase of ['dial', 'handshake', 'connected'] as const) {
        expect(retryDelayMs(DEFAULTS, 9, failureOf(phase), true, random)).toBe(random * 1000)
      }
    }
  })

  const cause = fc.record({
    attempt: fc.nat({ max: 10_000 }),
    phase: fc.constantFrom<Failure['phase']>('dial', 'handshake', 'connected'),
    code: fc.constantFrom('ECONNREFUSED', 'SERVER_BUSY', 'QUOTA_EXCEEDED', 'PROTOCOL'),
    random: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
  })

  test('[N1] [C31] it grows with the attempt, is jittered, is capped, and is never below 100 ms', () => {
    fc.assert(
      fc.property(cause, ({ attempt, phase, code, random }) => {
        const delay = (n: number, r: number) =>
          retryDelayMs(DEFAULTS, n, failureOf(phase, code), false, r)
        expect(delay(attempt, random)).toBe(delay(attempt, random))
        expect(delay(attempt, random)).toBeGreaterThanOrEqual(100)
        expect(delay(attempt, random)).toBeLessThanOrEqual(30_100)
        expect(delay(attempt + 1, random)).toBeGreaterThanOrEqual(delay(attempt, random))
        // At least two thirds of the span are left to chance.
        expect(delay(attempt, 1) - delay(attempt, 0)).toBeGreaterThanOrEqual(
          ((delay(attempt, 1) - 100) * 2) / 3 - 1e-6,
        )
      }),
    )
  })

  test('[C34] a server that says it is crowded is left alone for longer', () => {
    for (const code of ['QUOTA_EXCEEDED', 'CONNECTION_RATE_EXCEEDED']) {
      const crowded = retryDelayMs(DEFAULTS, 0, failureOf('handshake', code), false, 0.5)
      const plain = retryDelayMs(DEFAULTS, 0, failureOf('handshake'), false, 0.5)
      expect(crowded).toBeGreaterThan(4 * plain)
    }
  })

  test('[N1] minMs and maxMs of the policy are its bounds', () => {
    const policy = reconnectPolicy('reconnect', { minMs: 7, maxMs: 500 })
    expect(retryDelayMs(policy, 0, failureOf('connected'), false, 0)).toBe(7)
    expect(retryDelayMs(policy, 20, failureOf('connected'), false, 0.5)).toBe(257)
  })
})

/** When a loop with these defaults dials a server that refuses, by the function alone. */
function dialsAgainstRefusal(random: () => number): number[] {
  const dials: number[] = []
  for (let at = 0, n = 0; at <= TEN_MINUTES; n++) {
    dials.push(at)
    const delay =
      at < SUSPEND_AFTER_MS
        ? retryDelayMs(DEFAULTS, n, failureOf('dial', 'ECONNREFUSED'), false, random())
        : suspendedDelayMs(30_000, random())
    at += Math.ceil(delay)
  }
  return dials
}

describe('a server that refuses', () => {
  test('[N1] [C31] at most 40 dials in ten minutes in 99 % of 10,000 seeds', () => {
    const seeds = 10_000
    let within = 0
    for (let seed = 1; seed <= seeds; seed++) {
      if (dialsAgainstRefusal(randomOf(seed)).length <= 40) within++
    }
    expect(within / seeds).toBeGreaterThanOrEqual(0.99)
  })

  test('[N1] [C31] the loop dials when the function says', async () => {
    for (let seed = 1; seed <= 10; seed++) {
      const clock = new VirtualClock()
      clock.random = randomOf(seed)
      const server = new ScriptedServer(clock)
      server.refuse(networkError('ECONNREFUSED'))
      const started = startLoop({ reconnect: 'always' }, [], undefined, { server })
      await clock.advance(TEN_MINUTES)
      const times = server.dials.map(({ at }) => at - clock.startedAt)
      const expected = dialsAgainstRefusal(randomOf(seed))
      expect(times.length).toBe(expected.length)
      times.forEach((at, i) => {
        expect(Math.abs(at - expected[i]!)).toBeLessThanOrEqual(i)
      })
      await over(started)
    }
  })

  test('[N1] [C31] ten thousand clients that lose a stable connection at once spread evenly', () => {
    const buckets = new Array<number>(20).fill(0)
    for (let seed = 1; seed <= 10_000; seed++) {
      const delay = retryDelayMs(DEFAULTS, 0, failureOf('connected'), true, randomOf(seed)())
      buckets[Math.floor(delay / 50)]!++
    }
    for (const count of buckets) expect(Math.abs(count - 500)).toBeLessThan(125)
  })
})

/** A server that accepts every time and closes `afterMs` later; Infinity: never. */
function kickingServer(afterMs: () => number): ScriptedServer {
  const server = new ScriptedServer(new VirtualClock())
  server.onConnection = (connection) => {
    const ms = afterMs()
    if (ms < Number.POSITIVE_INFINITY) server.clock.setTimer(() => connection.end(), ms)
  }
  return server
}

describe('what counts as success', () => {
  test('[N1] [C32] accepted and kicked out 50 ms later: the dials are spaced exponentially', async () => {
    const server = kickingServer(() => 50)
    const started = startLoop({ until: 'closed' }, [], undefined, { server })
    await server.clock.advance(TEN_MINUTES)
    const gaps = server.dials.slice(1).map(({ at }, i) => at - server.dials[i]!.at)
    const spans = gaps.map((_, n) => Math.min(30_000, 1000 * 2 ** n))
    expect(gaps).toEqual(spans.map((span) => 50 + 100 + span / 2))
    expect(gaps.length).toBeGreaterThan(10)
    await over(started)
  })

  test('[N1] [C32] only a connection of 30 s starts the delays anew', async () => {
    const lasting = [50, 50, 29_999, 50, 30_000, 50]
    let index = 0
    const server = kickingServer(() => lasting[index++] ?? Number.POSITIVE_INFINITY)
    const started = startLoop({ until: 'closed' }, [], undefined, { server })
    await server.clock.advance(300_000)
    const gaps = server.dials.slice(1).map(({ at }, i) => at - server.dials[i]!.at - lasting[i]!)
    expect(gaps).toEqual([600, 1100, 2100, 4100, 500, 600])
    await over(started)
  })

  test('[N1] the state says when the next attempt is due', async () => {
    const server = kickingServer(() => 50)
    const started = startLoop({ until: 'closed' }, [], undefined, { server })
    await server.clock.advance(50)
    expect(started.loop.state.connection).toMatchObject({
      kind: 'disconnected',
      retryAt: server.clock.now() + 600,
      reason: { phase: 'connected', source: 'connection', retryable: true },
    })
    await over(started)
  })
})

// ---------------------------------------------------------------------------------------------------------------------- N2

/** What may end a connection, and how to bring it about. */
type Ending =
  | { readonly dial: string }
  | { readonly connack: number; readonly version?: 4 | 5 }
  | { readonly disconnect: number }
  | { readonly loss: 'fin' | 'reset' | 'silence' }

interface Judgement {
  readonly ending: Ending
  /** `early`: not retryable by itself, but under `always` or after a success. */
  readonly verdict: 'retried' | 'fatal' | 'early'
  readonly code?: string
}

const TABLE: readonly Judgement[] = [
  ...['ECONNREFUSED', 'ETIMEDOUT', 'EHOSTUNREACH', 'ENETUNREACH', 'ECONNRESET', 'EAI_AGAIN'].map(
    (code): Judgement => ({ ending: { dial: code }, verdict: 'retried', code }),
  ),
  ...[
    'CERT_HAS_EXPIRED',
    'CERT_REVOKED',
    'CERT_UNTRUSTED',
    'DEPTH_ZERO_SELF_SIGNED_CERT',
    'SELF_SIGNED_CERT_IN_CHAIN',
    'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
    'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
    'ERR_TLS_CERT_ALTNAME_INVALID',
    'ERR_ACCESS_DENIED',
  ].map((code): Judgement => ({ ending: { dial: code }, verdict: 'fatal', code })),
  ...['ENOTFOUND', 'CERT_NOT_YET_VALID'].map(
    (code): Judgement => ({ ending: { dial: code }, verdict: 'early', code }),
  ),
  ...[0x84, 0x85, 0x86, 0x87, 0x8a, 0x8c].map(
    (connack): Judgement => ({ ending: { connack }, verdict: 'fatal' }),
  ),
  ...[0x80, 0x83, 0x88, 0x89, 0x97, 0x9c, 0x9f].map(
    (connack): Judgement => ({ ending: { connack }, verdict: 'retried' }),
  ),
  ...[1, 2, 4, 5].map(
    (connack): Judgement => ({ ending: { connack, version: 4 }, verdict: 'fatal' }),
  ),
  { ending: { connack: 3, version: 4 }, verdict: 'retried' },
  ...[0x8e, 0x9d].map((disconnect): Judgement => ({ ending: { disconnect }, verdict: 'fatal' })),
  ...[0, 0x80, 0x83, 0x87, 0x89, 0x8b, 0x8d, 0x93, 0x96, 0x97, 0x98, 0x9c, 0x9f, 0xa0].map(
    (disconnect): Judgement => ({ ending: { disconnect }, verdict: 'retried' }),
  ),
  { ending: { loss: 'fin' }, verdict: 'retried' },
  { ending: { loss: 'reset' }, verdict: 'retried', code: 'ECONNRESET' },
  { ending: { loss: 'silence' }, verdict: 'retried', code: 'KEEP_ALIVE_TIMEOUT' },
]

function nameOf(ending: Ending): string {
  if ('dial' in ending) return `${ending.dial} at the dial`
  if ('connack' in ending) {
    return `CONNACK 0x${ending.connack.toString(16)} of version ${ending.version ?? 5}`
  }
  if ('disconnect' in ending) return `DISCONNECT 0x${ending.disconnect.toString(16)}`
  return ending.loss
}

/** A server that has this ending from the connection of that index on. */
function serverThatEnds(ending: Ending, from: number): ScriptedServer {
  const server = new ScriptedServer(new VirtualClock())
  const version = 'connack' in ending ? (ending.version ?? 5) : 5
  if ('dial' in ending) {
    server.onDial = (index) => (index < from ? 'accept' : networkError(ending.dial))
  }
  server.onConnection = (connection) => {
    if (server.dials.length <= from) return
    if ('connack' in ending) {
      const code = ending.connack
      connection.autoConnack = version === 5 ? { reasonCode: code } : { returnCode: code }
    }
    if ('loss' in ending && ending.loss === 'silence') connection.autoAck = false
  }
  return server
}

/** Brings a loop's connection to this end; true: it dialled again. */
async function retried(
  ending: Ending,
  reconnect: NonNullable<EventloopOptions['reconnect']>,
  succeeded: boolean,
): Promise<{ readonly again: boolean; readonly started: Started }> {
  const from = succeeded ? 1 : 0
  const server = serverThatEnds(ending, from)
  const protocolVersion = 'connack' in ending ? (ending.version ?? 5) : 5
  const started = startLoop({ protocolVersion, reconnect, until: 'closed' }, [], undefined, {
    server,
  })
  const { clock } = server
  await clock.advance(0)
  if (succeeded) {
    server.current.reset()
    while (server.dials.length < 2) await clock.advance(100)
  }
  const dials = server.dials.length
  await clock.advance(0)
  if ('disconnect' in ending) {
    server.current.send({ cmd: 'disconnect', reasonCode: ending.disconnect })
  } else if ('loss' in ending && ending.loss === 'fin') server.current.end()
  else if ('loss' in ending && ending.loss === 'reset') server.current.reset()
  await clock.advance(120_000)
  return { again: server.dials.length > dials, started }
}

describe('whether there is a next attempt', () => {
  for (const { ending, verdict, code } of TABLE) {
    const before = 'disconnect' in ending || 'loss' in ending
    test(`[N2] [C34] ${nameOf(ending)}: ${verdict}`, async () => {
      for (const policy of ['always', 'after-first-success'] as const) {
        for (const succeeded of [false, true]) {
          // A connection that could be lost was a first success.
          const may = policy === 'always' || succeeded || before
          const { again, started } = await retried(ending, policy, succeeded)
          const at = `${policy}, ${succeeded ? 'after a success' : 'the first'}`
          expect(again, at).toBe(may && verdict !== 'fatal')
          const { reason } = started.loop.state.connection
          if (again) {
            expect(started.error, at).toBeUndefined()
            if (reason !== null) {
              expect(['dial', 'handshake', 'connected'], at).toContain(reason.phase)
              expect(['refused', 'connection'], at).toContain(reason.source)
            }
          } else {
            expect(started.error, at).toBeInstanceOf(MqttError)
            expect(started.error, at).not.toBeInstanceOf(BugError)
            expect(started.error, at).toMatchObject({ retryable: verdict === 'retried' })
            if (code !== undefined) expect(started.error, at).toMatchObject({ code })
            if ('dial' in ending) expect(started.error, at).toBeInstanceOf(ConnectionError)
            else expect(started.error, at).toBeInstanceOf(RefusedError)
          }
          await over(started)
        }
      }
    })
  }

  test('[N2] each failure is told as phase, source, code, retryable, and the word of `retryable` counts', async () => {
    const cases: readonly (readonly [Ending, boolean, Partial<ConnectionFailure>])[] = [
      [
        { connack: 0x86 },
        true,
        {
          phase: 'handshake',
          source: 'refused',
          code: 'BAD_CREDENTIALS',
          retryable: false,
          reasonCode: 0x86,
        },
      ],
      [
        { dial: 'CERT_HAS_EXPIRED' },
        true,
        { phase: 'dial', source: 'connection', code: 'CERT_HAS_EXPIRED', retryable: false },
      ],
      [
        { disconnect: 0x8e },
        true,
        {
          phase: 'connected',
          source: 'refused',
          code: 'SESSION_TAKEN_OVER',
          retryable: false,
          reasonCode: 0x8e,
        },
      ],
      [
        { dial: 'ECONNREFUSED' },
        false,
        { phase: 'dial', source: 'connection', code: 'ECONNREFUSED', retryable: true },
      ],
      [
        { connack: 0x89 },
        false,
        {
          phase: 'handshake',
          source: 'refused',
          code: 'SERVER_BUSY',
          retryable: true,
          reasonCode: 0x89,
        },
      ],
      [
        { loss: 'reset' },
        false,
        { phase: 'connected', source: 'connection', code: 'ECONNRESET', retryable: true },
      ],
    ]
    for (const [ending, answer, expected] of cases) {
      const told: ConnectionFailure[] = []
      const retryable = (failure: ConnectionFailure) => {
        told.push(failure)
        return answer
      }
      const { again, started } = await retried(ending, { when: 'always', retryable }, false)
      expect(told[0], nameOf(ending)).toMatchObject(expected)
      expect(told[0]!.message, nameOf(ending)).toMatch(/\S/)
      expect(again, nameOf(ending)).toBe(answer)
      await over(started)
    }
  })

  test('[N2] a `retryable` that throws ends the loop with what it threw', async () => {
    const thrown = new Error('the user is at fault')
    const retryable = () => {
      throw thrown
    }
    const { again, started } = await retried(
      { loss: 'reset' },
      { when: 'always', retryable },
      false,
    )
    expect([again, started.error]).toEqual([false, thrown])
    await over(started)
  })

  test('[C33] two processes with one client id: the one that is told 0x8E stays away', async () => {
    const { again, started } = await retried({ disconnect: 0x8e }, 'always', true)
    expect(again).toBe(false)
    expect(started.error).toMatchObject({ code: 'SESSION_TAKEN_OVER', reasonCode: 0x8e })
    expect((started.error as Error).message).toMatch(/client identifier/)
  })

  test('[C33] 3.1.1 has no word for it: closes right after the CONNACK, again and again, are a warning', async () => {
    const server = kickingServer(() => 50)
    const options = { protocolVersion: 4, until: 'closed', clientId: 'twin' } as const
    const started = startLoop(options, [], undefined, { server })
    await server.clock.advance(TEN_MINUTES)
    const twins = started.warnings.filter(({ code }) => code !== 'NO_PROGRESS')
    expect(twins).toMatchObject([{ code: 'SESSION_TAKEN_OVER_SUSPECTED' }])
    expect(twins[0]!.message).toContain('"twin"')
    await over(started)
  })
})

// ---------------------------------------------------------------------------------------------------------------------- N3

describe("reconnect: 'never'", () => {
  test('[N3] [N5] the loop ends at the first loss, and one loop after the other finishes the work', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.nat({ max: 12 }), { maxLength: 12 }), async (cuts) => {
        const requests = numbered(16)
        const { stream, calls } = counted(requests)
        const clock = new VirtualClock()
        const server = new ScriptedServer(clock)
        const delivered: string[] = []
        const settled = new Map<Request, number>()
        const options: EventloopOptions = { reconnect: 'never', cleanStart: false, maxInflight: 8 }
        let session: EventloopOptions['session']
        for (let life = 0; ; life++) {
          const cut = cuts[life]
          let packets = 0
          server.autoConnack = { sessionPresent: life > 0 }
          server.onConnection = (connection) => {
            connection.autoAck = () => {
              if (cut === undefined) return true
              if (packets++ === cut) connection.reset()
              return packets <= cut
            }
          }
          const started = startLoop(
            session === undefined ? options : { ...options, session },
            stream,
            undefined,
            { server },
          )
          await clock.advance(2000)
          for (const { request } of started.outcomes) {
            settled.set(request, (settled.get(request) ?? 0) + 1)
          }
          if (cut === undefined || started.error === undefined) {
            expect(started.error).toBeUndefined()
            expect(started.ended).toBe(true)
            break
          }
          expect(started.error).toMatchObject({ name: 'ConnectionError', code: 'ECONNRESET' })
          session = started.loop.session
        }
        for (const packet of server.packets) {
          const payload = packet.cmd === 'publish' ? packet.payload.toString() : ''
          if (payload !== '' && !delivered.includes(payload)) delivered.push(payload)
        }
        // First deliveries: in order, none swallowed with the loop that had asked for it.
        expect(delivered).toEqual(requests.map((_, i) => `${i}`))
        expect(settled.size).toBe(requests.length)
        expect([...settled.values()].every((times) => times === 1)).toBe(true)
        expect(calls).toEqual({ next: requests.length + 1, return: 0, iterators: 1 })
      }),
      { numRuns: 40 },
    )
  })

  test('[N3] next() rejects with the error, and then the loop is done', async () => {
    const started = startLoop({ reconnect: 'never' }, [subscribe('a')], undefined, { manual: true })
    await collect(started, 2)
    started.server.current.reset()
    const { clock, loop } = started
    expect(await peek(clock, loop.next())).toMatchObject({ error: { code: 'ECONNRESET' } })
    expect(await peek(clock, loop.next())).toEqual({ value: { done: true, value: undefined } })
    expect(started.server.dials).toHaveLength(1)
    expect(loop.state.connection.kind).toBe('failed')
  })
})

// ---------------------------------------------------------------------------------------------------------------------- N5

/** How a loop comes to its end, and what it does to the request stream. */
const ENDS: readonly {
  readonly name: string
  readonly stream: 'closed' | 'released'
  readonly end: (started: Started, abort: AbortController) => unknown
}[] = [
  { name: 'break', stream: 'closed', end: ({ loop }) => loop.return() },
  {
    name: 'throw',
    stream: 'closed',
    end: ({ loop }) => loop.throw(new Error('x')).catch(() => {}),
  },
  { name: 'return()', stream: 'closed', end: ({ loop }) => loop.return() },
  { name: 'disposal', stream: 'closed', end: ({ loop }) => loop[Symbol.asyncDispose]() },
  { name: 'abort', stream: 'closed', end: (_, abort) => abort.abort(new Error('enough')) },
  { name: 'shutdown', stream: 'released', end: ({ loop }) => loop.shutdown() },
  { name: 'disconnect', stream: 'released', end: ({ loop }) => loop.disconnect() },
  { name: 'a loss under never', stream: 'released', end: ({ server }) => server.current.reset() },
  {
    name: 'a fatal error',
    stream: 'released',
    end: ({ server }) => server.current.send({ cmd: 'disconnect', reasonCode: 0x8e }),
  },
]

describe('the request stream after the end', () => {
  for (const { name, stream: fate, end } of ENDS.filter(({ stream }) => stream === 'closed')) {
    test(`[N5] ${name}: its return() is called once and never awaited (${fate})`, async () => {
      let hangs = true
      const { stream, calls } = counted(
        numbered(3),
        () =>
          new Promise<void>(() => {
            hangs = false
          }),
      )
      const abort = new AbortController()
      const started = startLoop(
        { reconnect: 'never', until: 'closed', maxInflight: 1, signal: abort.signal },
        stream,
        undefined,
        { server: new ScriptedServer(new VirtualClock(), { autoAck: false }) },
      )
      await started.clock.advance(0)
      void end(started, abort)
      await started.clock.advance(1000)
      expect([started.ended, calls.return, hangs]).toEqual([true, 1, false])
      await started.loop.return()
      expect(calls.return).toBe(1)
    })
  }

  for (const { name, end } of ENDS.filter(({ stream }) => stream === 'released')) {
    test(`[N5] ${name}: the stream is kept, and a later loop given the same object goes on there`, async () => {
      const { stream, calls } = counted(numbered(9))
      const abort = new AbortController()
      const first = startLoop(
        { reconnect: 'never', until: 'closed', maxInflight: 3, signal: abort.signal },
        stream,
        undefined,
        { server: new ScriptedServer(new VirtualClock(), { autoAck: false }) },
      )
      await first.clock.advance(0)
      void end(first, abort)
      await first.clock.advance(20_000)
      expect([first.ended, calls.return, calls.iterators]).toEqual([true, 0, 1])
      const { held } = first.loop.session
      const taken = first.loop.state.counters.taken
      expect(held.length).toBe(taken)
      const second = startLoop({}, stream)
      await second.clock.advance(1000)
      const sent = second.server.current.of('publish').map(({ payload }) => payload.toString())
      expect(sent).toEqual(Array.from({ length: 9 - taken }, (_, i) => `${i + taken}`))
      expect(calls).toMatchObject({ return: 0, iterators: 1 })
      expect(second.ended).toBe(true)
    })

    test(`[N5] ${name}: a next() that was outstanding is kept too, and what it brings is not swallowed`, async () => {
      const requests = pushable<Request>({ objectMode: true })
      const abort = new AbortController()
      const first = startLoop(
        { reconnect: 'never', until: 'closed', signal: abort.signal },
        requests,
        undefined,
      )
      await first.clock.advance(0)
      void end(first, abort)
      await first.clock.advance(20_000)
      expect(first.ended).toBe(true)
      requests.push(publish('a', 'late'))
      await first.clock.settle()
      requests.push(publish('a', 'later'))
      requests.end()
      const second = startLoop({}, requests)
      await second.clock.advance(1000)
      const sent = second.server.current.of('publish').map(({ payload }) => payload.toString())
      expect(sent).toEqual(['late', 'later'])
      expect(second.ended).toBe(true)
    })
  }

  test('[N5] the rest of a batch goes to the later loop', async () => {
    const batches = [numbered(6)]
    const first = startLoop({ maxInflight: 2 }, batches, undefined, {
      server: new ScriptedServer(new VirtualClock(), { autoAck: false }),
    })
    await first.clock.advance(0)
    first.loop.shutdown()
    await first.clock.advance(1000)
    const taken = first.loop.state.counters.taken
    expect(taken).toBe(3)
    const second = startLoop({}, batches)
    await second.clock.advance(1000)
    const sent = second.server.current.of('publish').map(({ payload }) => payload.toString())
    expect(sent).toEqual(['3', '4', '5'])
  })

  test.each([
    ['an array', (requests: Request[]) => requests],
    ['an asynchronous stream', (requests: Request[]) => counted(requests).stream],
  ])(
    '[N3] [N5] %s that had ended is not begun anew while its requests are still held',
    async (_, of) => {
      const stream = of(numbered(3))
      const first = startLoop({ reconnect: 'never', cleanStart: false }, stream, undefined, {
        server: new ScriptedServer(new VirtualClock(), { autoAck: false }),
      })
      await first.clock.advance(0)
      first.server.current.reset()
      await first.clock.advance(0)
      const { session } = first.loop
      expect([first.ended, session.held.length]).toEqual([true, 3])
      const server = new ScriptedServer(new VirtualClock(), {
        autoConnack: { sessionPresent: true },
      })
      const second = startLoop({ session }, stream, undefined, { server })
      await second.clock.advance(1000)
      expect(
        server.current.of('publish').map(({ payload, dup }) => [payload.toString(), dup]),
      ).toEqual([
        ['0', true],
        ['1', true],
        ['2', true],
      ])
      expect([second.ended, second.outcomes.length]).toEqual([true, 3])
    },
  )

  test('[N5] without the session that holds its requests a stream that had ended begins anew', async () => {
    const stream = numbered(3)
    const first = startLoop({ reconnect: 'never' }, stream, undefined, {
      server: new ScriptedServer(new VirtualClock(), { autoAck: false }),
    })
    await first.clock.advance(0)
    first.server.current.reset()
    await first.clock.advance(0)
    expect(first.loop.session.held).toHaveLength(3)
    const second = startLoop({}, stream)
    await second.clock.advance(1000)
    expect(second.outcomes).toHaveLength(3)
  })

  test('[N5] a stream that threw has said so once: the loop that takes over ends in peace', async () => {
    const stream = (function* () {
      yield* numbered(3)
      throw new Error('the source is broken')
    })()
    const held = new ScriptedServer(new VirtualClock(), { autoAck: false })
    const first = startLoop({ cleanStart: false }, stream, undefined, { server: held })
    await first.clock.advance(60_000)
    expect(first.error).toMatchObject({ message: 'the source is broken' })
    const { session } = first.loop
    expect(session.held).toHaveLength(3)
    const server = new ScriptedServer(new VirtualClock(), { autoConnack: { sessionPresent: true } })
    const second = startLoop({ session }, stream, undefined, { server })
    await second.clock.advance(1000)
    expect([second.ended, second.error, second.outcomes.length]).toEqual([true, undefined, 3])
  })

  test('[N5] a loop that came to its end by itself leaves the stream to begin anew', async () => {
    const stream = numbered(2)
    for (const life of [1, 2]) {
      const started = startLoop({}, stream)
      await started.clock.advance(1000)
      expect([started.ended, started.outcomes.length], `life ${life}`).toEqual([true, 2])
    }
  })

  test('[N5] an outstanding next() that brings a request after break is no unhandled matter', async () => {
    let give: ((step: IteratorResult<Request>) => void) | undefined
    const stream: AsyncIterable<Request> = {
      [Symbol.asyncIterator]: () => ({
        next: () =>
          new Promise((resolve) => {
            give = resolve
          }),
      }),
    }
    const started = startLoop({ until: 'closed' }, stream)
    await started.clock.advance(0)
    await Promise.all([started.loop.return(), started.clock.advance(1000)])
    give!({ done: false, value: publish('a') })
    await started.clock.settle()
    expect(started.server.packets.filter(({ cmd }) => cmd === 'publish')).toEqual([])
  })
})

// ---------------------------------------------------------------------------------------------------------------- N4, C08

test('[N4] thousand reconnections leave one timer, one socket, and nothing on the signal', async () => {
  const abort = new AbortController()
  const options = { reconnect: { ...AT_ONCE }, until: 'closed', signal: abort.signal } as const
  const started = startLoop(options, [])
  for (let i = 0; i < 1000; i++) {
    await started.clock.advance(0)
    started.server.current.reset()
    await started.clock.advance(0)
  }
  await started.clock.advance(0)
  expect(started.server.connections).toHaveLength(1001)
  expect(started.server.open).toBe(1)
  expect(started.clock.pendingTimers).toBe(1)
  expect(getEventListeners(abort.signal, 'abort')).toHaveLength(1)
  await over(started)
  expect(getEventListeners(abort.signal, 'abort')).toHaveLength(0)
})

test('[C08] the CONNACK is yielded at once and a retransmission that nobody answers delays nothing', async () => {
  const serverOptions: ServerOptions = { autoAck: false }
  const server = new ScriptedServer(new VirtualClock(), serverOptions)
  const requests = pushable<Request>({ objectMode: true })
  requests.push(publish('a', 'stuck', { qos: 1 }))
  const options = { reconnect: AT_ONCE, cleanStart: false, until: 'closed' } as const
  const started = startLoop(options, requests, undefined, { server })
  await server.clock.advance(0)
  server.autoConnack = { sessionPresent: true }
  server.autoAck = (packet) => packet.cmd !== 'publish' || packet.payload.toString() !== 'stuck'
  server.current.reset()
  await server.clock.advance(0)
  expect(started.received.map(({ cmd }) => cmd)).toEqual(['connack', 'connack'])
  expect(started.loop.state.connection.kind).toBe('connected')
  requests.push(publish('a', 'zero'))
  requests.push(publish('a', 'one', { qos: 1 }))
  requests.push(publish('a', 'two', { qos: 2 }))
  await server.clock.advance(0)
  expect(server.current.of('publish').map(({ payload, dup }) => [payload.toString(), dup])).toEqual(
    [
      ['stuck', true],
      ['zero', false],
      ['one', false],
      ['two', false],
    ],
  )
  expect(started.outcomes.map(({ outcome }) => outcome.ok)).toEqual([true, true, true])
  await over(started)
})

test('[N1] a dial that hangs is given up at connectTimeout, its signal aborted, and another follows', async () => {
  const server = new ScriptedServer(new VirtualClock())
  server.hang()
  const started = startLoop({ reconnect: 'always', connectTimeout: 3000 }, [], undefined, {
    server,
  })
  await server.clock.advance(3000)
  expect(server.dials.map(({ signal }) => signal.aborted)).toEqual([true])
  expect(started.loop.state.connection).toMatchObject({
    kind: 'disconnected',
    reason: { phase: 'dial', code: 'CONNECT_TIMEOUT', retryable: true },
  })
  await server.clock.advance(2000)
  expect(server.dials).toHaveLength(2)
  await over(started)
  expect(server.dials.map(({ signal }) => signal.aborted)).toEqual([true, true])
})

test('[N3] a session brings its client identifier; another one is refused', async () => {
  const started = startLoop({ reconnect: 'never', cleanStart: false }, numbered(2), undefined, {
    server: new ScriptedServer(new VirtualClock(), { autoAck: false }),
  })
  await started.clock.advance(0)
  started.server.current.reset()
  await started.clock.advance(0)
  const { session } = started.loop
  expect(session.held).toHaveLength(2)
  // The same client identifier need not be said again; another one is a mistake.
  const { transport } = started.server
  expect(() => eventloop({ transport, session })).not.toThrow()
  expect(() => eventloop({ transport, session, clientId: 'other' })).toThrow(/clientId/)
})
