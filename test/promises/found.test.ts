/**
 * What the simulation found, each by itself: the instants between two things that seem to be one.
 */
import { expect, test } from 'vitest'
import {
  decodeSession,
  type EventloopOptions,
  encodeSession,
  type Outcome,
  publish,
  type Request,
  subscribe,
} from '../../src/index.ts'
import { VirtualClock } from '../support/clock.ts'
import { collect, startLoop } from '../support/loop.ts'
import { ScriptedServer } from '../support/server.ts'

const STILL: EventloopOptions = { keepAlive: 0, cleanStart: false, until: 'closed' }
const q1 = (payload: string, more: object = {}) => publish('t', payload, { qos: 1, ...more })
const stage = (autoAck: boolean) => {
  const clock = new VirtualClock()
  return { clock, server: new ScriptedServer(clock, { autoAck }) }
}
const payloads = (server: ScriptedServer) =>
  server.packets.flatMap((packet) => (packet.cmd === 'publish' ? [String(packet.payload)] : []))

test('[C27] cancelling a QoS 0 publish that was handed over cancels nobody else', async () => {
  const s = stage(false)
  const cancel = new AbortController()
  const gates: (() => void)[] = []
  const gate = () => new Promise<void>((resolve) => gates.push(resolve))
  async function* requests(): AsyncGenerator<Request[]> {
    await gate()
    // The kernel does not take the first, and so not the second.
    yield [
      publish('t', 'x'.repeat(200_000)),
      publish('t', 'handed over', { signal: cancel.signal }),
    ]
    await gate()
    yield [q1('one'), q1('two'), q1('three')]
  }
  const started = startLoop(STILL, requests(), undefined, s)
  await s.clock.settle()
  s.server.current.stall()
  gates.shift()!()
  await s.clock.settle()
  // These get the handles that the first two had.
  gates.shift()!()
  await s.clock.settle()
  cancel.abort(new Error('too late'))
  await s.clock.settle()
  expect(started.outcomes).toEqual([])
  expect(started.loop.state.counters.held).toBe(5)
  started.loop.shutdown()
  await s.clock.advance(2000)
})

test('[D7] a batch is judged against the keys that the session holds as it comes', async () => {
  const s = stage(false)
  const first = startLoop(STILL, [q1('a', { key: 'a' })], undefined, s)
  await s.clock.settle()
  first.loop.shutdown()
  await s.clock.advance(1000)
  const session = decodeSession(encodeSession(first.loop.session))
  s.server.autoConnack = { sessionPresent: true }
  const heard: string[] = []
  const source = {
    async *[Symbol.asyncIterator](): AsyncGenerator<Request[]> {
      // The window takes one at a time: the rest of the batch is there long before it is taken.
      yield [q1('b', { key: 'b' }), q1('c', { key: 'c' }), q1('a', { key: 'a' })]
    },
    settled: ({ key }: { key?: unknown }, _: Outcome) => void heard.push(String(key)),
  }
  const { clientId: _, ...still } = { clientId: '', ...STILL }
  const second = startLoop(
    { ...still, session, maxInflight: 1, until: 'settled' },
    source as never,
    undefined,
    s,
  )
  await s.clock.settle()
  const { current } = s.server
  current.autoAck = true
  current.acknowledge(current.of('publish')[0]!)
  await s.clock.advance(1000)
  expect(second.ended).toBe(true)
  expect(payloads(s.server).filter((payload) => payload === 'a')).toHaveLength(2)
  expect(heard.filter((key) => key === 'a').length).toBeGreaterThan(0)
})

test('[D6] 3.1.1, a session lost each time and births before everything: a poison message is isolated', async () => {
  const s = stage(true)
  s.server.onConnection = (connection) => {
    connection.autoAck = (packet) => {
      if (packet.cmd !== 'publish' || String(packet.payload) !== 'poison') return true
      connection.end()
      return false
    }
  }
  const started = startLoop(
    {
      protocolVersion: 4,
      keepAlive: 0,
      until: 'settled',
      onConnected: () => [publish('birth', 'here', { qos: 1 })],
    },
    [subscribe('x'), q1('1'), q1('poison'), q1('2')],
    undefined,
    s,
  )
  await s.clock.advance(3_600_000)
  const of = (payload: string) =>
    started.outcomes.filter(({ request }) => (request as { payload?: string }).payload === payload)
  expect(of('poison')).toMatchObject([{ outcome: { ok: false, error: { code: 'QUARANTINED' } } }])
  expect(of('1')).toMatchObject([{ outcome: { ok: true } }])
  expect(of('2')).toMatchObject([{ outcome: { ok: true } }])
})

test('[R2] what the consumer handled after the end is handled in the session', async () => {
  const s = stage(true)
  const started = startLoop(STILL, [], undefined, { ...s, manual: true })
  const next = started.loop.next()
  await s.clock.advance(0)
  await next
  s.server.current.send({
    cmd: 'publish',
    topic: 'd',
    payload: 'x',
    qos: 2,
    messageId: 1,
    dup: false,
    retain: false,
  })
  await collect(started, 1)
  started.loop.shutdown()
  await s.clock.advance(2000)
  expect(started.loop.session.record().received).toMatchObject([{ stage: 'restored' }])
  expect(await started.loop.next()).toMatchObject({ done: true })
  expect(started.loop.session.record().received).toMatchObject([{ stage: 'handled' }])
})

test('[D5] a session that never met a server has nothing there to be resumed', async () => {
  const s = stage(true)
  s.server.refuse(new Error('no road'))
  const first = startLoop({ ...STILL, cleanStart: true }, [q1('held')], undefined, s)
  await s.clock.advance(0)
  first.loop.shutdown()
  await s.clock.advance(1000)
  s.server.accept()
  startLoop({ keepAlive: 0, session: first.loop.session }, [], undefined, s)
  await s.clock.advance(100)
  expect(s.server.current.of('connect')[0]).toMatchObject({ clean: true })
})

test('[D3] what is taken in the instant of a loss goes out on the next connection, for the first time', async () => {
  const s = stage(true)
  let give: (() => void) | undefined
  async function* requests(): AsyncGenerator<Request[]> {
    yield [q1('before')]
    await new Promise<void>((resolve) => {
      give = resolve
    })
    // What is refused makes the rest of the batch an input before its turn has come.
    yield [q1('after'), publish('t', 'at most once'), publish('#', 'refused'), q1('last')]
  }
  startLoop(
    { ...STILL, reconnect: { when: 'always', minMs: 0, maxMs: 0 } },
    requests(),
    undefined,
    s,
  )
  await s.clock.settle()
  s.server.autoConnack = { sessionPresent: true }
  give!()
  s.server.current.reset()
  await s.clock.advance(5000)
  const sent = s.server.current.of('publish')
  expect(sent.map(({ payload, dup }) => [String(payload), dup])).toEqual([
    ['at most once', false],
    ['after', false],
    ['last', false],
  ])
})
