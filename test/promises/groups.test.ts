/** Publishes at QoS 0 travel in groups inside the engine. Nobody outside can tell. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Control, Outcome, PublishRequest, Request } from '../../src/index.ts'
import { decodeSession, encodeSession } from '../../src/index.ts'
import { VirtualClock } from '../support/clock.ts'
import { type Started, startLoop } from '../support/loop.ts'
import { ScriptedServer } from '../support/server.ts'

const message = (payload: string, over: Partial<PublishRequest> = {}): PublishRequest => ({
  cmd: 'publish',
  topic: 't',
  payload,
  ...over,
})
const numbered = (count: number, over = {}) =>
  Array.from({ length: count }, (_, i) => message(String(i), over))
const arrived = ({ server }: Started) =>
  server.packets.flatMap((packet) => (packet.cmd === 'publish' ? [packet.payload.toString()] : []))
const told = ({ outcomes }: Started) =>
  outcomes.map(({ request, outcome }) => [(request as PublishRequest).payload, outcome.ok])

test('[D2] [D3] every message of an array arrives in order and has its own outcome', async () => {
  const requests = numbered(500)
  const started = startLoop({}, requests)
  await started.clock.advance(1000)
  expect(arrived(started)).toEqual(requests.map(({ payload }) => payload))
  expect(told(started)).toEqual(requests.map(({ payload }) => [payload, true]))
  expect(started.outcomes.map(({ request }) => request)).toEqual(requests)
  expect(started.loop.state.counters).toMatchObject({ taken: 500, settled: 500, sent: 500 })
})

test('[D2] what is lost with the connection fails one by one, what the kernel took does not', async () => {
  const server = new ScriptedServer(new VirtualClock())
  server.onConnection = (connection) => connection.stall()
  const requests = numbered(4, { payload: 'x'.repeat(3000) })
  const started = startLoop({ reconnect: 'never', until: 'closed' }, requests, undefined, {
    server,
  })
  server.onConnection = undefined
  await started.clock.advance(0)
  server.current.unstall()
  await started.clock.advance(0)
  server.current.stall()
  server.current.reset()
  await started.clock.advance(0)
  expect(started.outcomes).toHaveLength(4)
  expect(started.loop.session.held).toEqual([])
  const { counters } = started.loop.state
  expect(counters.taken).toBe(counters.settled)
})

test('[D2] [N5] a batch that was handed out when the consumer left is held, message by message', async () => {
  const batch = numbered(5)
  const stream = (async function* () {
    yield message('first')
    await new Promise((resolve) => setImmediate(resolve))
    yield batch
  })()
  const server = new ScriptedServer(new VirtualClock(), { autoConnack: false })
  const started = startLoop({ cleanStart: false }, stream, undefined, { server })
  await started.clock.advance(0)
  void started.loop.return()
  await started.clock.advance(2000)
  const { session } = started.loop
  const again = decodeSession(encodeSession(session))
  expect(again.held).toEqual(session.held.map((request) => ({ ...request })))
})

describe('[D2] [D3] any mixture, under faults', () => {
  type Item = Request | Control
  const item = fc.oneof(
    { weight: 8, arbitrary: fc.constant({}) },
    { weight: 2, arbitrary: fc.constant({ qos: 1 as const }) },
    { weight: 1, arbitrary: fc.constant({ retain: true }) },
    { weight: 1, arbitrary: fc.constant({ payload: 'x'.repeat(5000) }) },
    { weight: 1, arbitrary: fc.constant({ topic: '' }) },
    { weight: 1, arbitrary: fc.constant({ properties: { messageExpiryInterval: 1000 } }) },
  )
  const control: fc.Arbitrary<Control> = fc.constantFrom(
    { cmd: 'throttle', perSecond: 50 },
    { cmd: 'throttle', perSecond: null },
    { cmd: 'reconnect' },
    { cmd: 'pause', ms: 20 },
  )

  test('each request has one outcome; QoS 0 keeps its order; what succeeded arrived', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.oneof({ weight: 9, arbitrary: item }, { weight: 1, arbitrary: control }), {
          maxLength: 60,
        }),
        fc.boolean(),
        fc.boolean(),
        async (items, batched, limited) => {
          const requests = items.map(
            (one, i): Item =>
              'cmd' in one
                ? one
                : message(`${i} `, { ...one, payload: `${i} ${'payload' in one}` }),
          )
          const connack = limited
            ? { properties: { retainAvailable: false, maximumPacketSize: 4000 } }
            : true
          const server = new ScriptedServer(new VirtualClock(), { autoConnack: connack })
          const outcomes = new Map<unknown, Outcome[]>()
          const options = {
            onSettled: (request: unknown, outcome: Outcome) =>
              void outcomes.set(request, [...(outcomes.get(request) ?? []), outcome]),
          }
          const stream = batched ? [requests] : requests
          const started = startLoop(options, stream as Iterable<Request>, undefined, { server })
          await started.clock.advance(60_000)
          expect([started.ended, started.error]).toEqual([true, undefined])
          const published = requests.filter((one) => one.cmd === 'publish') as PublishRequest[]
          for (const request of published) expect(outcomes.get(request)).toHaveLength(1)
          const seen = arrived(started).map((payload) => Number.parseInt(payload, 10))
          for (const request of published) {
            if (!outcomes.get(request)![0]!.ok) continue
            expect(seen).toContain(Number.parseInt(request.payload as string, 10))
          }
          const atMostOnce = published.filter(({ qos }) => qos === undefined)
          const numbers = atMostOnce.map(({ payload }) => Number.parseInt(payload as string, 10))
          const order = seen.filter((number) => numbers.includes(number))
          expect(order).toEqual([...order].sort((a, b) => a - b))
        },
      ),
      { numRuns: 60 },
    )
  })
})
