/**
 * What a program and its log see of a loop besides packets: listeners on signals, warnings, printed
 * objects, consumers that share a loop.
 */
import { getEventListeners } from 'node:events'
import { inspect } from 'node:util'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import {
  type EventloopOptions,
  encodeSession,
  MqttError,
  publish,
  type RunResult,
  run,
  subscribe,
  systemPlatform,
} from '../../src/index.ts'
import { peek, VirtualClock } from '../support/clock.ts'
import { type Started, startLoop } from '../support/loop.ts'
import { ScriptedServer } from '../support/server.ts'

const STILL: EventloopOptions = { reconnect: 'always', until: 'closed', keepAlive: 0 }

/** Collects the warnings of the process. */
function processWarnings(): { name: string; code: string; message: string }[] {
  const warnings: { name: string; code: string; message: string }[] = []
  const emit = vi.spyOn(process, 'emitWarning').mockImplementation(((
    message: string,
    { type, code }: { type: string; code: string },
  ) => {
    warnings.push({ name: type, code, message })
  }) as typeof process.emitWarning)
  onTestFinished(() => emit.mockRestore())
  return warnings
}

async function over({ loop, clock }: Started): Promise<void> {
  loop.shutdown()
  await clock.advance(2000)
}

describe('signals', () => {
  const listeners = (signal: AbortSignal) => getEventListeners(signal, 'abort').length
  const USES = 25

  for (const qos of [0, 1, 2] as const) {
    test(`[N4] one listener for ${USES} publishes at QoS ${qos} and their loop; none at the end`, async () => {
      const { signal } = new AbortController()
      const server = new ScriptedServer(new VirtualClock(), { autoAck: false })
      const requests = Array.from({ length: USES }, () => publish('a', 'x', { qos, signal }))
      const started = startLoop({ ...STILL, signal }, requests, undefined, { server })
      await started.clock.advance(10)
      expect(listeners(signal)).toBe(1)
      await over(started)
      expect(listeners(signal)).toBe(0)
    })
  }

  test(`[N4] one listener for ${USES} loops, subscribe requests and diverted publishes`, async () => {
    const { signal } = new AbortController()
    const { signal: diverted } = new AbortController()
    const clock = new VirtualClock()
    const divert = { afterMs: 1, to: () => new Promise(() => {}), concurrency: USES }
    const starts = Array.from({ length: USES }, () => {
      const server = new ScriptedServer(clock)
      server.hang()
      const requests = [subscribe('a', { signal }), publish('b', 'x', { signal: diverted })]
      return startLoop({ ...STILL, signal, divert }, requests, undefined, { server })
    })
    await clock.advance(100)
    expect(listeners(signal)).toBe(1)
    expect(listeners(diverted)).toBeLessThanOrEqual(1)
    for (const { loop } of starts) loop.shutdown()
    await clock.advance(2000)
    expect([listeners(signal), listeners(diverted)]).toEqual([0, 0])
  })

  test(`[N4] one listener for ${USES} calls of run`, async () => {
    const { signal } = new AbortController()
    const clock = new VirtualClock()
    const runs = Array.from({ length: USES }, () => {
      const { transport } = new ScriptedServer(clock)
      return run({ platform: clock, transport }, [publish('a', 'x', { qos: 1 })], { signal })
    })
    expect(listeners(signal)).toBe(1)
    await clock.advance(2000)
    await Promise.all(runs)
    expect(listeners(signal)).toBe(0)
  })

  test('[D2] an abort settles every request that waits for it', async () => {
    const controller = new AbortController()
    const { signal } = controller
    const server = new ScriptedServer(new VirtualClock(), { autoAck: false })
    const requests = Array.from({ length: USES }, () => publish('a', 'x', { qos: 1, signal }))
    const started = startLoop(STILL, requests, undefined, { server })
    await started.clock.advance(10)
    controller.abort('enough')
    await started.clock.advance(10)
    expect(started.outcomes.map(({ outcome }) => outcome)).toEqual(
      requests.map(() => ({ ok: false, error: 'enough' })),
    )
    await over(started)
  })
})

describe('warnings', () => {
  const unknownAck = { cmd: 'puback', messageId: 77 } as const

  async function ackedTwice(options: EventloopOptions): Promise<Started> {
    const started = startLoop({ ...STILL, tolerance: 'strict', ...options }, [])
    await started.clock.advance(10)
    for (let i = 0; i < 2; i++) started.server.current.send(unknownAck)
    await started.clock.advance(10)
    return started
  }

  test('[T8] without onWarning the process is warned, once for each code and loop', async () => {
    const warnings = processWarnings()
    const first = await ackedTwice({ onWarning: undefined })
    const code = 'UNKNOWN_PACKET_IDENTIFIER'
    expect(warnings).toMatchObject([{ name: 'MqttWarning', code }])
    expect(warnings[0]!.message).toMatch(/77/)
    const second = await ackedTwice({ onWarning: undefined })
    expect(warnings.map((warning) => warning.code)).toEqual([code, code])
    await over(first)
    await over(second)
  })

  test('[T8] [I1] without onWarning each kind of deviation is told once', async () => {
    const warnings = processWarnings()
    const started = startLoop({ ...STILL, onWarning: undefined }, [])
    await started.clock.advance(10)
    const repeated = { cmd: 'publish', topic: 't', payload: '', qos: 0, dup: true } as const
    // Each connection notes its own deviations.
    for (let connection = 0; connection < 2; connection++) {
      for (let i = 0; i < 2; i++) {
        started.server.current.send(unknownAck)
        started.server.current.send({ ...repeated, retain: false })
      }
      await started.clock.advance(10)
      started.server.current.reset()
      await started.clock.advance(5000)
    }
    expect(started.server.connections.length).toBeGreaterThan(1)
    expect(warnings.map(({ code }) => code)).toEqual(['SERVER_DEVIATION', 'SERVER_DEVIATION'])
    await over(started)
  })

  test('[T8] with onWarning the process is not warned', async () => {
    const warnings = processWarnings()
    const started = await ackedTwice({})
    expect(warnings).toEqual([])
    expect(started.warnings).toHaveLength(2)
    await over(started)
  })
})

describe('warnings of code that is built on a loop', () => {
  const one = { code: 'CONSUMER_STALLED', message: 'first' } as const
  const other = { code: 'DIVERTING', message: 'second' } as const

  test('[T8] onWarning is given each, before the first next and after the end', async () => {
    const started = startLoop(STILL, [], undefined, { manual: true })
    started.loop.warn(one)
    void started.loop.next()
    await started.clock.advance(10)
    started.loop.warn(one)
    await over(started)
    started.loop.warn(other)
    expect(started.warnings).toEqual([one, one, other])
  })

  test('[T8] without onWarning the process is warned once for each code, as of the loop’s own', async () => {
    const warnings = processWarnings()
    const started = startLoop({ ...STILL, onWarning: undefined }, [])
    await started.clock.advance(10)
    for (const warning of [one, one, other, { ...one, message: 'again' }]) {
      started.loop.warn(warning)
    }
    expect(warnings).toEqual([
      { name: 'MqttWarning', ...one },
      { name: 'MqttWarning', ...other },
    ])
    await over(started)
  })

  test('[T8] an onWarning that throws ends the loop with its error', async () => {
    const fault = new Error('cannot warn')
    const onWarning = () => {
      throw fault
    }
    const started = startLoop({ ...STILL, onWarning }, [])
    await started.clock.advance(10)
    started.loop.warn(one)
    await started.clock.advance(2000)
    expect(started.error).toBe(fault)
  })

  test.each([undefined, null, 'text', {}, { code: 'DIVERTING' }, { code: 1, message: 'm' }])(
    '[T8] %j is no warning',
    (given) => {
      const { loop } = startLoop(STILL, [], undefined, { manual: true })
      expect(() => loop.warn(given as never)).toThrow(/^warn must be /)
    },
  )
})

test('[T8] the default of the option platform is public, and is the clock of the machine', () => {
  const before = performance.now()
  expect(systemPlatform.now()).toBeGreaterThanOrEqual(before)
  expect(systemPlatform.random()).toBeLessThan(1)
})

describe('two consumers', () => {
  const CODE = 'CONSUMERS_SHARE'
  const codes = ({ warnings }: Started) => warnings.map(({ code }) => code)
  const start = (requests = [subscribe('a/#')]) =>
    startLoop({ ...STILL, tolerance: 'strict' }, requests, undefined, { manual: true })

  async function consume(packets: AsyncIterable<unknown>): Promise<number> {
    let count = 0
    for await (const _ of packets) count++
    return count
  }

  test('[R1] two for await over one loop are reported, once, and share the packets', async () => {
    const started = start()
    const counts = [consume(started.loop), consume(started.loop), consume(started.loop)]
    await started.clock.advance(10)
    for (let i = 0; i < 10; i++) started.server.current.send({ cmd: 'pingresp' })
    await started.clock.advance(10)
    expect(codes(started)).toEqual([CODE])
    await over(started)
    const [one = 0, two = 0, three = 0] = await Promise.all(counts)
    expect(one + two + three).toBeGreaterThan(2)
    expect(codes(started)).toEqual([CODE])
  })

  test('[R1] a second consumer that comes while the first one works is reported', async () => {
    const started = start()
    const first = started.loop[Symbol.asyncIterator]()
    await peek(started.clock, first.next())
    const second = started.loop[Symbol.asyncIterator]()
    await peek(started.clock, second.next())
    expect(codes(started)).toEqual([])
    void first.next()
    expect(codes(started)).toEqual([CODE])
    await over(started)
  })

  const ONE_CONSUMER: Record<string, (started: Started) => Promise<unknown>> = {
    'concurrent next()': async ({ loop }) => Promise.all([loop.next(), loop.next(), loop.next()]),
    'next() before and within for await': async ({ loop }) => {
      await loop.next()
      for await (const _ of loop) await loop.next()
    },
    'for await over an iterator of the loop': async ({ loop }) => {
      const iterator = loop[Symbol.asyncIterator]()
      await iterator.next()
      return consume(iterator)
    },
    'a generator around the loop': async ({ loop }) =>
      consume(
        (async function* () {
          yield* loop[Symbol.asyncIterator]()
        })(),
      ),
    'for await after for await': async ({ loop }) => {
      for await (const _ of loop) break
      await consume(loop)
      await consume(loop)
    },
  }
  for (const [name, consumer] of Object.entries(ONE_CONSUMER)) {
    test(`[R1] one consumer is not reported: ${name}`, async () => {
      const started = start()
      const done = consumer(started)
      await started.clock.advance(10)
      await over(started)
      await done
      await started.clock.advance(2000)
      expect(codes(started)).toEqual([])
    })
  }

  test('[R1] the object that a second consumer gets has all methods of the loop', async () => {
    const started = start()
    const { loop } = started
    expect(loop[Symbol.asyncIterator]()).toBe(loop)
    const other = loop[Symbol.asyncIterator]()
    expect(other[Symbol.asyncIterator]()).toBe(other)
    await peek(started.clock, other.next())
    expect(other.state.connection.kind).toBe('connected')
    expect(other.session.clientId).toBe(loop.session.clientId)
    const ending = other.return()
    await started.clock.advance(2000)
    await ending
    expect(loop.state.connection.kind).toBe('closed')
  })
})

describe('printed objects', () => {
  const SECRETS = { payload: 'p4yl0ad', password: 'p4ssw0rd', will: 'w1ll' }
  /** Node prints an uncaught error so. */
  const UNCAUGHT = { customInspect: false, depth: 5 }
  const LINES_MAX = 30

  function expectHarmless(value: unknown): void {
    for (const how of [{}, { depth: 20 }, UNCAUGHT, { depth: 20, showHidden: false }]) {
      const text = inspect(value, how)
      for (const secret of Object.values(SECRETS)) {
        expect(text).not.toContain(secret)
        expect(text).not.toContain(inspect(Buffer.from(secret)).slice(8, -1))
      }
      expect(text.split('\n').length).toBeLessThan(LINES_MAX)
    }
    expect(JSON.stringify(value) ?? '').not.toContain(SECRETS.payload)
  }

  const secret = (qos: 0 | 1 | 2) =>
    publish('a/b', Buffer.from(SECRETS.payload), { qos, properties: { userProperties: {} } })
  const options: EventloopOptions = {
    ...STILL,
    username: 'u',
    password: SECRETS.password,
    will: { topic: 'w', payload: SECRETS.will },
  }

  test('[T8] a loop and its session are one short line each, without payloads and passwords', async () => {
    const server = new ScriptedServer(new VirtualClock(), { autoAck: false })
    const requests = Array.from({ length: 50 }, () => secret(2))
    const started = startLoop(options, requests, undefined, { server })
    const { loop } = started
    expect(inspect(loop)).toMatch(/^Eventloop \{ idle|connecting/)
    await started.clock.advance(10)
    expect(inspect(loop)).toBe(
      'Eventloop { connected, custom://transport, clientId "test", taken 50, settled 0, held 50 }',
    )
    expectHarmless(loop)
    expectHarmless(loop.session)
    expect(loop.session.held).toHaveLength(50)
    expectHarmless(loop.session)
    expect(encodeSession(loop.session)).toContain('a/b')
    await over(started)
  })

  for (const qos of [1, 2] as const) {
    test(`[T8] the error that a refused publish at QoS ${qos} ends run() with has neither, and its result`, async () => {
      const clock = new VirtualClock()
      const server = new ScriptedServer(clock, { autoAck: false })
      const { transport } = server
      const once = { ...options, reconnect: 'never', platform: clock, transport } as const
      const failing = run(once, [secret(qos), secret(1)])
      const error = failing.catch((thrown: unknown) => thrown)
      await clock.advance(10)
      server.current.send({ cmd: 'disconnect', reasonCode: 0x87 })
      await clock.advance(2000)
      const thrown = (await error) as MqttError & { result: RunResult }
      expect(thrown).toBeInstanceOf(MqttError)
      expectHarmless(thrown)
      expect(Object.keys(thrown)).not.toContain('result')
      expect(thrown.result.unsettled).toHaveLength(2)
      expect(thrown.result.session.held).toHaveLength(2)
    })

    test(`[T8] the outcome of a refused publish at QoS ${qos} has an error without its payload`, async () => {
      const started = startLoop(options, [secret(qos)], undefined, {
        server: new ScriptedServer(new VirtualClock(), { autoAck: false }),
      })
      await started.clock.advance(10)
      const cmd = qos === 1 ? 'puback' : 'pubrec'
      started.server.current.send({ cmd, messageId: 1, reasonCode: 0x87 })
      await started.clock.advance(10)
      const { outcome } = started.outcomes[0]!
      if (outcome.ok) throw new Error('it was refused')
      expectHarmless(outcome.error)
      const { packet } = outcome.error as { packet?: { cmd: string } }
      expect(packet?.cmd).toBe(cmd)
      await over(started)
    })
  }

  test('[T8] a refused CONNACK is not printed with its properties', async () => {
    const server = new ScriptedServer(new VirtualClock(), { autoConnack: { reasonCode: 0x86 } })
    const started = startLoop(options, [secret(1)], undefined, { server })
    await started.clock.advance(2000)
    expectHarmless(started.error)
    expect((started.error as { packet?: { cmd: string } }).packet?.cmd).toBe('connack')
  })
})
