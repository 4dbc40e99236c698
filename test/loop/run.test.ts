/**
 * Goal: `run` drives a loop until every request has its outcome, disconnects, and reports each
 * outcome; it stops at its time-out, at an abort and at a fatal error without losing count. Method:
 * a scripted server; taken must be settled + unsettled whatever happens.
 */
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import {
  ConnectionError,
  decodeSession,
  type EventloopOptions,
  encodeSession,
  type Incoming,
  type Outcome,
  publish,
  type QoS,
  RefusedError,
  type Request,
  type RunOptions,
  type RunResult,
  run,
  subscribe,
  UsageError,
  unsubscribe,
} from '../../src/index.ts'
import type { Requests } from '../../src/requests/source.ts'
import { VirtualClock } from '../support/clock.ts'
import { networkError, ScriptedServer, type Sent } from '../support/server.ts'

const q1 = (payload: string | number) => publish('t', String(payload), { qos: 1 })

// No promise says whether the time-out runs on the loop's clock or on the machine's: both stand
// still here.
beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] }))
afterEach(() => void vi.useRealTimers())

interface Running {
  readonly clock: VirtualClock
  readonly server: ScriptedServer
  readonly promise: Promise<RunResult>
  /** Undefined while it has neither resolved nor rejected. */
  readonly result: RunResult | undefined
  readonly error: unknown
  readonly over: boolean
  advance(ms: number): Promise<void>
}

async function start(
  requests: Requests,
  runOptions: RunOptions = {},
  options: EventloopOptions = {},
  server = new ScriptedServer(new VirtualClock()),
): Promise<Running> {
  const { clock } = server
  let result: RunResult | undefined
  let error: unknown
  let over = false
  const { transport } = server
  const base: EventloopOptions = { platform: clock, transport, keepAlive: 0, onWarning: () => {} }
  const identity: EventloopOptions =
    options.session === undefined ? { clientId: 'c', cleanStart: false } : {}
  const promise = run({ ...base, ...identity, ...options }, requests, runOptions)
  promise.then(
    (value) => {
      result = value
      over = true
      clock.touch()
    },
    (thrown: unknown) => {
      error = thrown
      over = true
      clock.touch()
    },
  )
  const advance = async (ms: number) => {
    await clock.settle()
    await vi.advanceTimersByTimeAsync(ms)
    await clock.advance(ms)
  }
  await clock.settle()
  return {
    ...{ clock, server, promise, advance },
    get result() {
      return result
    },
    get error() {
      return error
    },
    get over() {
      return over
    },
  }
}

function expectBalanced(result: RunResult | undefined): asserts result is RunResult {
  if (result === undefined) throw new Error('there is no result')
  expect(result.taken).toBe(result.settled + result.unsettled.length)
  expect(result.failed.length).toBeLessThanOrEqual(result.settled)
  expect(result.session.held).toEqual(result.unsettled)
}

function expectNothingLeft({ clock, server }: Running): void {
  expect(clock.pendingTimers).toBe(0)
  expect(vi.getTimerCount()).toBe(0)
  expect(server.open).toBe(0)
}

function message(payload: string, qos: QoS, messageId: number) {
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

// -------------------------------------------------------------------------------------- the result

describe('a run until every request is settled', () => {
  test('resolves with their number, disconnects, and leaves nothing', async () => {
    const requests = [
      ...[publish('t', '0'), q1(1), publish('t', '2', { qos: 2 })],
      ...[subscribe('a'), unsubscribe('b')],
    ]
    const running = await start(requests)
    expect(running.error).toBeUndefined()
    expect(running.result).toMatchObject({ settled: 5, taken: 5, failed: [], unsettled: [] })
    expect(running.result?.session.final).toBe(true)
    expect(running.server.current.packets.at(-1)?.cmd).toBe('disconnect')
    expectNothingLeft(running)
  })

  test('ends after the CONNACK if there is nothing to do', async () => {
    const running = await start([])
    expect(running.result).toMatchObject({ settled: 0, taken: 0, failed: [], unsettled: [] })
    expect(running.server.packets.map(({ cmd }) => cmd)).toEqual(['connect', 'disconnect'])
  })

  test('is not kept going by a subscription, nor by `until` and `acks` of the options', async () => {
    const running = await start([subscribe('a')], {}, { until: 'closed', acks: 'receipt' })
    expect(running.result).toMatchObject({ settled: 1, taken: 1 })
    expectNothingLeft(running)
  })

  test('reports each failure with its request, and counts every outcome as settled', async () => {
    const reason = new Error('not any more')
    const requests = [
      q1('good'),
      publish('bad/#', 'x', { qos: 1 }),
      q1('refused'),
      publish('t', 'cancelled', { qos: 1, signal: AbortSignal.abort(reason) }),
      subscribe('denied'),
    ]
    const server = new ScriptedServer(new VirtualClock())
    server.onConnection = (connection) => {
      connection.autoAck = (packet) => {
        const { messageId } = packet as Sent
        if (packet.cmd === 'subscribe') {
          connection.send({ cmd: 'suback', messageId: messageId!, granted: [0x87] })
        } else if (packet.cmd === 'publish' && String(packet.payload) === 'refused') {
          connection.send({ cmd: 'puback', messageId: messageId!, reasonCode: 0x97 })
        } else return true
        return false
      }
    }
    const { result } = await start(requests, {}, {}, server)
    expectBalanced(result)
    expect(result).toMatchObject({ settled: 5, taken: 5, unsettled: [] })
    const failed = new Map(result.failed.map(({ request, error }) => [request, error]))
    expect(failed.size).toBe(4)
    expect(failed.get(requests[1]!)).toBeInstanceOf(UsageError)
    expect(failed.get(requests[2]!)).toMatchObject({ name: 'RefusedError', reasonCode: 0x97 })
    expect(failed.get(requests[3]!)).toBe(reason)
    expect(failed.get(requests[4]!)).toMatchObject({ name: 'RefusedError', reasonCode: 0x87 })
  })

  test('dials again when a connection breaks', async () => {
    const server = new ScriptedServer(new VirtualClock())
    let left = 3
    server.onConnection = (connection) => {
      connection.autoConnack = { sessionPresent: server.connections.length > 1 }
      connection.autoAck = (packet) => {
        if (packet.cmd !== 'publish' || left-- <= 0) return true
        connection.reset()
        return false
      }
    }
    const running = await start([q1(1), q1(2), q1(3)], {}, {}, server)
    await running.advance(120_000)
    expect(running.result).toMatchObject({ settled: 3, taken: 3, failed: [] })
    expect(server.connections.length).toBeGreaterThan(1)
    expectNothingLeft(running)
  })

  test('reports everything to onSettled of the options and to `settled` of the source as well', async () => {
    const heard: string[] = []
    const requests = Object.assign([q1(1), q1(2)], {
      settled: (_: Request, outcome: Outcome) => void heard.push(`settled ${outcome.ok}`),
    })
    const onSettled = (_: Request, outcome: Outcome) => void heard.push(`onSettled ${outcome.ok}`)
    const { result } = await start(requests, {}, { onSettled })
    expect(result?.settled).toBe(2)
    expect(heard).toEqual(['settled true', 'onSettled true', 'settled true', 'onSettled true'])
  })
})

// ----------------------------------------------------------------------------------------- timeout

describe('the time-out', () => {
  test('resolves with what is unsettled, the same objects; another run settles them', async () => {
    const server = new ScriptedServer(new VirtualClock(), { autoAck: false })
    const requests = [q1(1), publish('t', '2', { qos: 2 }), subscribe('a'), q1(4)]
    const first = await start(requests, { timeout: 5000 }, { maxInflight: 2 }, server)
    await first.advance(4999)
    expect(first.over).toBe(false)
    await first.advance(1)
    await first.advance(1000)
    const { result } = first
    expectBalanced(result)
    expect(result).toMatchObject({ settled: 0, taken: 4 })
    for (const [i, request] of result.unsettled.entries()) expect(request).toBe(requests[i])
    expectNothingLeft(first)

    server.autoAck = true
    server.autoConnack = { sessionPresent: true }
    const session = decodeSession(encodeSession(result.session))
    const second = await start([q1(5)], {}, { session }, server)
    expect(second.error).toBeUndefined()
    expectBalanced(second.result)
    expect(second.result).toMatchObject({ settled: 5, failed: [], unsettled: [] })
  })

  test('stops at an endless stream, and leaves the stream to the next run', async () => {
    let next = 0
    const stream = (function* () {
      for (;;) yield q1(next++)
    })()
    const server = new ScriptedServer(new VirtualClock(), { autoAck: false })
    const first = await start(stream, { timeout: 1000 }, { maxInflight: 3 }, server)
    await first.advance(3000)
    expectBalanced(first.result)
    expect(first.result).toMatchObject({ taken: 4, settled: 0 })
    expect(next).toBe(4)
    server.autoConnack = { sessionPresent: true }
    const { session } = first.result
    const options: EventloopOptions = { session, maxInflight: 5 }
    const second = await start(stream, { timeout: 1000 }, options, server)
    await second.advance(3000)
    expect(next).toBe(6)
    expectBalanced(second.result)
  })

  test('ends a run whose dial or CONNECT nobody answers', async () => {
    for (const prepare of [
      (server: ScriptedServer) => server.refuse(networkError('ECONNREFUSED')),
      (server: ScriptedServer) => server.hang(),
      (server: ScriptedServer) => (server.autoConnack = false),
    ]) {
      for (const offlineRequests of [0, 1]) {
        const server = new ScriptedServer(new VirtualClock())
        prepare(server)
        const options: EventloopOptions = { reconnect: 'always', offlineRequests }
        const request = q1(1)
        const running = await start([request], { timeout: 3000 }, options, server)
        await running.clock.advance(1000)
        await running.advance(3000)
        await running.advance(1000)
        expect(running.error).toBeUndefined()
        const unsettled = offlineRequests === 0 ? [] : [request]
        expect(running.result).toMatchObject({ taken: offlineRequests, settled: 0, unsettled })
        expectNothingLeft(running)
      }
    }
  })

  test('leaves no timer behind if the run ends before it', async () => {
    const running = await start([q1(1)], { timeout: 1_000_000 })
    expect(running.result).toMatchObject({ settled: 1 })
    expectNothingLeft(running)
  })

  test('is not held up by an onPacket that never resolves', async () => {
    const onPacket = () => new Promise<void>(() => {})
    const running = await start([q1(1)], { timeout: 3000, onPacket })
    await running.advance(3000)
    await running.advance(1000)
    expect(running.over).toBe(true)
    expectBalanced(running.result)
    expectNothingLeft(running)
  })
})

test('[D2] taken = settled + unsettled.length, whatever is answered and whenever it ends', async () => {
  const scenario = fc.record({
    requests: fc.array(
      fc.constantFrom<QoS | 'bad' | 'subscribe' | 'cancel'>(
        ...([0, 1, 2, 'bad', 'subscribe', 'cancel'] as const),
      ),
      { maxLength: 20 },
    ),
    answers: fc.array(fc.constantFrom('good', 'bad', 'none', 'reset'), {
      minLength: 1,
      maxLength: 8,
    }),
    ending: fc.constantFrom('timeout', 'taken over'),
    maxInflight: fc.constantFrom(1, 3, 100),
  })
  await fc.assert(
    fc.asyncProperty(scenario, async ({ requests, answers, ending, maxInflight }) => {
      const server = new ScriptedServer(new VirtualClock())
      let step = 0
      server.onConnection = (connection) => {
        connection.autoConnack = { sessionPresent: server.connections.length > 1 }
        connection.autoAck = (packet) => {
          const messageId = (packet as Sent).messageId ?? 0
          const answer = answers[step++ % answers.length]
          if (answer === 'reset' && server.connections.length < 20) connection.reset()
          if (answer !== 'bad') return answer === 'good'
          if (packet.cmd === 'subscribe') {
            connection.send({ cmd: 'suback', messageId, granted: [0x80] })
          } else if (packet.cmd === 'publish' && packet.qos === 1) {
            connection.send({ cmd: 'puback', messageId, reasonCode: 0x80 })
          } else return true
          return false
        }
      }
      const built = requests.map((kind, i) => {
        if (kind === 'bad') return publish('#')
        if (kind === 'subscribe') return subscribe(`f${i}`)
        if (kind !== 'cancel') return publish('t', `${i}`, { qos: kind })
        const abort = new AbortController()
        server.clock.setTimer(() => abort.abort(), i)
        return publish('t', `${i}`, { qos: 1, signal: abort.signal })
      })
      const options: EventloopOptions = { maxInflight, reconnect: 'always' }
      const running = await start(built, { timeout: 600_000 }, options, server)
      await running.clock.advance(300_000)
      if (ending === 'taken over' && !running.over) {
        server.current.send({ cmd: 'disconnect', reasonCode: 0x8e })
      }
      await running.advance(600_000)
      await running.advance(1000)
      expect(running.over).toBe(true)
      const result = running.result ?? (running.error as { result?: RunResult }).result
      expectBalanced(result)
      expect(result.taken).toBeLessThanOrEqual(requests.length)
      expectNothingLeft(running)
    }),
    { numRuns: 100 },
  )
})

// ------------------------------------------------------------------------------------------ signal

describe('the signal', () => {
  test('rejects the run with its reason if it is aborted before, and nothing is dialled', async () => {
    const reason = new Error('before')
    const running = await start([q1(1)], { signal: AbortSignal.abort(reason) })
    expect(running.error).toBe(reason)
    expect(running.server.dials).toEqual([])
  })

  for (const when of ['while dialling', 'connected', 'waiting to retry', 'in onPacket'] as const) {
    test(`rejects the run with its reason itself if it is aborted ${when}; the stream is closed, nothing is left`, async () => {
      const reason = new Error('during')
      const abort = new AbortController()
      const server = new ScriptedServer(new VirtualClock(), { autoAck: false })
      if (when === 'while dialling') server.hang()
      let returned = 0
      const stream = {
        [Symbol.iterator]: () => ({
          next: () => ({ done: false as const, value: q1(1) }),
          return: () => {
            returned++
            return { done: true as const, value: undefined }
          },
        }),
      }
      const onPacket = () => (when === 'in onPacket' ? new Promise<void>(() => {}) : undefined)
      const options: EventloopOptions = { reconnect: 'always', maxInflight: 2 }
      const running = await start(stream, { signal: abort.signal, onPacket }, options, server)
      if (when === 'waiting to retry') {
        server.current.reset()
        await running.clock.settle()
      }
      expect(running.over).toBe(false)
      abort.abort(reason)
      await running.advance(2000)
      expect(running.over).toBe(true)
      expect(running.error).toBe(reason)
      expect(returned).toBe(when === 'while dialling' ? 0 : 1)
      expectNothingLeft(running)
    })
  }

  test('has no listener left afterwards', async () => {
    const abort = new AbortController()
    const running = await start([q1(1)], { signal: abort.signal })
    expect(running.result).toMatchObject({ settled: 1 })
    abort.abort(new Error('after'))
    await running.advance(2000)
    expect(running.error).toBeUndefined()
  })
})

// ------------------------------------------------------------------------------------------- fatal

describe('a fatal error rejects with the result so far', () => {
  const resultOf = (error: unknown) => (error as { result?: RunResult }).result

  test('that is a refusal: nothing was taken', async () => {
    const server = new ScriptedServer(new VirtualClock(), { autoConnack: { reasonCode: 0x86 } })
    const running = await start([q1(1)], {}, {}, server)
    expect(running.error).toBeInstanceOf(RefusedError)
    expectBalanced(resultOf(running.error))
    expect(resultOf(running.error)).toMatchObject({ taken: 0, settled: 0, failed: [] })
    expectNothingLeft(running)
  })

  test('that comes in the middle: what is unsettled is there, and another run goes on with it', async () => {
    const server = new ScriptedServer(new VirtualClock(), {
      autoAck: (packet) => packet.messageId === 1,
    })
    const stream = [q1(1), q1(2), publish('#'), q1(3), q1(4)].values()
    const running = await start(stream, {}, { maxInflight: 2 }, server)
    server.current.send({ cmd: 'disconnect', reasonCode: 0x8e })
    await running.advance(2000)
    expect(running.error).toMatchObject({ name: 'RefusedError', reasonCode: 0x8e })
    const result = resultOf(running.error)
    expectBalanced(result)
    expect(result).toMatchObject({ settled: 2, taken: 5 })
    expect(result.failed).toHaveLength(1)
    expect(result.unsettled).toMatchObject([{ payload: '2' }, { payload: '3' }, { payload: '4' }])
    server.autoAck = true
    server.autoConnack = { sessionPresent: true }
    const second = await start(stream, {}, { session: result.session }, server)
    expectBalanced(second.result)
    expect(second.result).toMatchObject({ settled: 3, unsettled: [], failed: [] })
  })

  test('that is a lost connection under reconnect: never', async () => {
    const server = new ScriptedServer(new VirtualClock(), { autoAck: false })
    const running = await start([q1(1)], {}, { reconnect: 'never' }, server)
    server.current.reset()
    await running.advance(2000)
    expect(running.error).toBeInstanceOf(ConnectionError)
    expectBalanced(resultOf(running.error))
    expect(resultOf(running.error)).toMatchObject({ settled: 0, taken: 1 })
  })

  test('that the stream throws: what was taken is settled first', async () => {
    const reason = new Error('the disk went away')
    const stream = (function* () {
      yield q1(1)
      throw reason
    })()
    const running = await start(stream)
    await running.advance(2000)
    expect(running.error).toBe(reason)
    expect(resultOf(running.error)).toMatchObject({ settled: 1, taken: 1, unsettled: [] })
  })

  test('that cannot carry a result is passed on as it is', async () => {
    for (const reason of [Object.freeze(new Error('frozen')), 'text', undefined]) {
      const stream = (function* (): Generator<Request> {
        yield q1(1)
        throw reason
      })()
      const running = await start(stream)
      await running.advance(2000)
      expect(running.over).toBe(true)
      expect(running.result).toBeUndefined()
      expect(running.error).toBe(reason)
    }
  })
})

// ---------------------------------------------------------------------------------------- onPacket

describe('onPacket', () => {
  test('gets every packet, one after the other', async () => {
    const got: string[] = []
    let inside = 0
    const onPacket = async (packet: Incoming) => {
      expect(++inside).toBe(1)
      got.push(packet.cmd)
      await new Promise((resolve) => setImmediate(resolve))
      inside--
    }
    const { result } = await start([q1(1), subscribe('a')], { onPacket })
    expect(result?.settled).toBe(2)
    expect(got).toEqual(['connack', 'puback', 'suback'])
  })

  for (const qos of [1, 2] as const) {
    const ack = qos === 1 ? 'puback' : 'pubrec'

    test(`has a QoS ${qos} message acknowledged when its promise resolves, and not before`, async () => {
      const gates: (() => void)[] = []
      const onPacket = (packet: Incoming) =>
        packet.cmd === 'publish' ? new Promise<void>((resolve) => gates.push(resolve)) : undefined
      const server = new ScriptedServer(new VirtualClock(), { autoAck: false })
      const running = await start([q1(1)], { onPacket }, {}, server)
      const { current } = server
      current.send(message('a', qos, 7), message('b', qos, 8))
      await running.clock.settle()
      expect(current.of(ack)).toEqual([])
      gates.shift()!()
      await running.clock.settle()
      expect(current.of(ack)).toMatchObject([{ messageId: 7 }])
      gates.shift()!()
      await running.clock.settle()
      expect(current.of(ack)).toMatchObject([{ messageId: 7 }, { messageId: 8 }])
      current.autoAck = true
      current.acknowledge(current.of('publish')[0]!)
      for (const packet of current.of('pubrec')) current.acknowledge(packet)
      await running.clock.settle()
      expect(running.result).toMatchObject({ settled: 1 })
    })

    test(`has a QoS ${qos} message acknowledged that it still works on when all is settled`, async () => {
      let done = () => {}
      const onPacket = (packet: Incoming) =>
        packet.cmd === 'publish' ? new Promise<void>((resolve) => (done = resolve)) : undefined
      const server = new ScriptedServer(new VirtualClock())
      server.onConnection = (connection) => {
        connection.autoAck = (packet) => {
          if (packet.cmd === 'publish') connection.send(message('in', qos, 7))
          return true
        }
      }
      const running = await start([q1(1)], { onPacket }, {}, server)
      await running.advance(5000)
      expect(running.over).toBe(false)
      done()
      await running.advance(2000)
      expect(running.result).toMatchObject({ settled: 1 })
      expect(server.current.of(ack)).toMatchObject([{ messageId: 7 }])
      expect(server.current.packets.at(-1)?.cmd).toBe('disconnect')
    })
  }

  test('if it is missing, no message is acknowledged, and none holds up the run', async () => {
    const server = new ScriptedServer(new VirtualClock())
    server.onConnection = (connection) => {
      connection.autoAck = (packet) => {
        if (packet.cmd === 'publish') connection.send(message('a', 1, 7), message('b', 2, 8))
        return true
      }
    }
    const running = await start([q1(1)], {}, {}, server)
    expect(running.result).toMatchObject({ settled: 1 })
    expect(server.current.of('puback')).toEqual([])
    expect(server.current.of('pubrec')).toEqual([])
  })

  test('ends the run with the error that it throws or rejects with; its message stays unacknowledged', async () => {
    const reason = new Error('in onPacket')
    for (const fail of [
      () => {
        throw reason
      },
      () => Promise.reject(reason),
    ]) {
      const server = new ScriptedServer(new VirtualClock(), { autoAck: false })
      const onPacket = (packet: Incoming) => (packet.cmd === 'publish' ? fail() : undefined)
      const running = await start([q1(1)], { onPacket }, {}, server)
      server.current.send(message('a', 1, 7))
      await running.advance(2000)
      expect(running.error).toBe(reason)
      const { result } = running.error as { result?: RunResult }
      expectBalanced(result)
      expect(result).toMatchObject({ taken: 1, settled: 0 })
      expect(server.current.of('puback')).toEqual([])
      expectNothingLeft(running)
    }
  })
})
