/**
 * Goal: `packets: 'messages'` leaves out packets and changes nothing else. Method: one story of
 * everything that a server sends, told with each value of the option; what was sent, settled and
 * received is compared. No refusal is lost, though nobody is given its packet.
 */
import { pushable } from 'it-pushable'
import { describe, expect, test } from 'vitest'
import {
  type EventloopOptions,
  type Incoming,
  publish,
  type QoS,
  RefusedError,
  type Request,
  run,
  subscribe,
  unsubscribe,
} from '../../src/index.ts'
import { VirtualClock } from '../support/clock.ts'
import { type Started, startLoop } from '../support/loop.ts'
import { ScriptedServer } from '../support/server.ts'

const STILL: EventloopOptions = { reconnect: 'always', until: 'closed', keepAlive: 0 }

function message(payload: string, qos: QoS, messageId: number) {
  const packet = { cmd: 'publish', topic: 'in', payload, qos, dup: false, retain: false } as const
  return qos === 0 ? packet : { ...packet, messageId }
}

/** Every kind of packet, over two connections. */
async function story(options: EventloopOptions): Promise<Started> {
  const requests = pushable<Request>({ objectMode: true })
  const s = startLoop({ ...STILL, ...options }, requests)
  const { clock, server } = s
  await clock.advance(10)
  for (const qos of [0, 1, 2] as const) requests.push(publish('out', `${qos}`, { qos }))
  requests.push(subscribe(['a', 'b']))
  requests.push(unsubscribe('a'))
  await clock.advance(10)
  s.loop.ping().catch(() => {})
  for (const qos of [0, 1, 2] as const) server.current.send(message(`first ${qos}`, qos, qos))
  await clock.advance(10)
  server.current.send({ cmd: 'pubrel', messageId: 2 })
  server.current.send({ cmd: 'disconnect', reasonCode: 0x8b })
  await clock.advance(60_000)
  server.current.send(message('second', 1, 1))
  requests.push(publish('out', 'last', { qos: 1 }))
  await clock.advance(10)
  s.loop.disconnect()
  await clock.advance(1000)
  return s
}

const told = ({ received }: Started) =>
  received.flatMap((packet) => (packet.cmd === 'publish' ? [String(packet.payload)] : []))

describe("packets: 'messages'", () => {
  test('[T8] yields each message, and nothing else is different', async () => {
    const all = await story({ packets: 'all' })
    const few = await story({ packets: 'messages' })
    expect(new Set(all.received.map(({ cmd }) => cmd))).toContain('puback')
    // The SUBACK is that of a renewal, which has no outcome; the CONNACK divides the messages.
    expect(new Set(few.received.map(({ cmd }) => cmd))).toEqual(
      new Set(['connack', 'publish', 'suback']),
    )
    expect(told(few)).toEqual(['first 0', 'first 1', 'first 2', 'second'])
    expect(told(few)).toEqual(told(all))
    const sent = ({ server }: Started) => server.packets.map(({ at, ...packet }) => packet)
    expect(sent(few)).toEqual(sent(all))
    const ends = ({ outcomes }: Started) =>
      outcomes.map(({ request, outcome }) => [
        request.cmd,
        outcome.ok,
        outcome.ok ? outcome.packet?.cmd : null,
      ])
    expect(ends(few)).toEqual(ends(all))
    expect(ends(few)).toContainEqual(['subscribe', true, 'suback'])
    expect(few.loop.state.counters).toEqual({ ...all.loop.state.counters })
    expect([few.ended, few.error]).toEqual([true, undefined])
  })

  test('[R3] packets that are not yielded take no room of maxBufferedPackets', async () => {
    const requests = Array.from({ length: 50 }, () => publish('out', 'x', { qos: 1 }))
    const options = { ...STILL, packets: 'messages', maxBufferedPackets: 1 } as const
    const s = startLoop(options, requests, undefined, { manual: true })
    void s.loop.next()
    await s.clock.advance(10)
    expect(s.outcomes).toHaveLength(50)
    const { bufferedPackets, bufferedBytes } = s.loop.state.counters
    expect([bufferedPackets, bufferedBytes]).toEqual([0, 0])
    s.loop.shutdown()
    await s.clock.advance(1000)
  })

  const REFUSED = {
    publish: [publish('t', 'x', { qos: 1 }), { cmd: 'puback', messageId: 1, reasonCode: 0x87 }],
    subscribe: [subscribe('t'), { cmd: 'suback', messageId: 1, granted: [0x87] }],
    unsubscribe: [unsubscribe('t'), { cmd: 'unsuback', messageId: 1, granted: [0x87] }],
  } as const

  test.each(Object.keys(REFUSED) as (keyof typeof REFUSED)[])(
    '[D6] a refused %s that nobody hears of ends the loop; one that is heard does not',
    async (name) => {
      const [request, answer] = REFUSED[name]
      for (const given of ['stream', 'births'] as const) {
        for (const silent of [true, false]) {
          const server = new ScriptedServer(new VirtualClock(), { autoAck: false })
          const births = given === 'births' ? { onConnected: () => [request] } : {}
          const options = { ...STILL, packets: 'messages', ...births } as const
          const requests = given === 'births' ? [] : [request]
          const s = startLoop(options, requests, undefined, { server, silent })
          await server.clock.advance(10)
          server.current.send(answer as never)
          await server.clock.advance(2000)
          expect(s.ended).toBe(silent)
          if (silent) expect(s.error).toBeInstanceOf(RefusedError)
          else expect(s.outcomes.map(({ outcome }) => outcome.ok)).toEqual([false])
          s.loop.shutdown()
          await server.clock.advance(2000)
        }
      }
    },
  )

  test('[D6] a refusal that nobody hears of is the error of a loop that ends anyway', async () => {
    const [request, answer] = REFUSED.publish
    for (const until of ['idle', 'settled'] as const) {
      const server = new ScriptedServer(new VirtualClock(), { autoAck: false })
      const options = { ...STILL, packets: 'messages', until } as const
      const s = startLoop(options, [request], undefined, { server, silent: true })
      await server.clock.advance(10)
      server.current.send(answer)
      await server.clock.advance(5000)
      expect(s.error).toBeInstanceOf(RefusedError)
      expect(server.packets.at(-1)!.cmd).toBe('disconnect')
    }
  })

  test('[D2] run is given all packets, because it counts their codes', async () => {
    const server = new ScriptedServer(new VirtualClock())
    const { clock } = server
    const seen: Incoming['cmd'][] = []
    const options = { packets: 'messages', transport: server.transport, platform: clock } as const
    const result = run(options, [publish('t', 'x', { qos: 1 })], {
      onPacket: ({ cmd }) => seen.push(cmd),
    })
    await clock.advance(5000)
    expect((await result).reasonCodes).toEqual({ 0: 1 })
    expect(seen).toContain('connack')
  })

  test('[D6] any other value is a UsageError', () => {
    expect(() => startLoop({ packets: 'some' as 'all' }, [])).toThrow(/^packets must be/)
  })
})
