/**
 * The situations T01 to T15 of malformed.jsonl are about time, silence and limits that change, and
 * not about bytes. Both versions.
 */
import { pushable } from 'it-pushable'
import { describe, expect, test } from 'vitest'
import { ConnectionError, ProtocolError, RefusedError } from '../../src/errors.ts'
import { publish, subscribe } from '../../src/requests/build.ts'
import type { Incoming, IncomingPublish, Request } from '../../src/requests/vocabulary.ts'
import { jsonLines } from '../codec/support.ts'
import { VirtualClock } from '../support/clock.ts'
import { collect } from '../support/loop.ts'
import { ScriptedServer, type ServerOptions } from '../support/server.ts'
import { startStrict } from './world.ts'

interface Row {
  readonly id: string
  readonly title: string
}

const titles = new Map(
  jsonLines<Row>('conformance/malformed.jsonl').map(({ id, title }) => [id, title]),
)
const PROMPT = { minMs: 0, maxMs: 0, when: 'always' } as const

function serverWith(options: ServerOptions = {}): ScriptedServer {
  return new ScriptedServer(new VirtualClock(), options)
}

function isPublish(packet: Incoming): packet is IncomingPublish {
  return packet.cmd === 'publish'
}

/**
 * Options of a session that outlives the connection at the server, in the terms of each version.
 */
const LASTING = { cleanStart: false } as const

for (const protocolVersion of [5, 4] as const) {
  const situation = (id: string, verdict: string, body: () => Promise<void>) =>
    test(`[I1] ${id} ${titles.get(id)}: ${verdict}`, body)

  describe(`MQTT ${protocolVersion === 5 ? '5' : '3.1.1'}`, () => {
    situation('T01', 'the attempt fails at connectTimeout', async () => {
      const server = serverWith({ autoConnack: false })
      const started = startStrict({ protocolVersion, connectTimeout: 7000 }, [], undefined, {
        server,
      })
      await server.clock.advance(6999)
      expect([started.ended, server.open]).toEqual([false, 1])
      await server.clock.advance(1)
      expect([started.ended, server.open, server.clock.pendingTimers]).toEqual([true, 0, 0])
      expect(started.error).toBeInstanceOf(ConnectionError)
      expect(started.error).toMatchObject({ code: 'CONNECT_TIMEOUT', retryable: true })
      expect(server.current.packets.map(({ cmd }) => cmd)).toEqual(['connect'])
    })

    situation('T02', 'the connection is closed within 1.5 keep-alives', async () => {
      const server = serverWith({ autoAck: false })
      const options = {
        protocolVersion,
        keepAlive: 10,
        reconnect: 'never',
        until: 'closed',
      } as const
      const started = startStrict(options, [], undefined, { server })
      await server.clock.advance(14_999)
      expect(server.open).toBe(1)
      expect(server.current.of('pingreq')).toHaveLength(1)
      await server.clock.advance(1)
      expect(server.open).toBe(0)
      expect(started.error).toMatchObject({ name: 'ConnectionError', code: 'KEEP_ALIVE_TIMEOUT' })
    })

    situation(
      'T03',
      'what waits is bounded, the stream is not pulled, death is detected',
      async () => {
        const server = serverWith()
        let pulled = 0
        const payload = new Uint8Array(1024)
        const requests = (function* () {
          for (;;) {
            pulled++
            yield publish('a', payload)
          }
        })()
        server.onConnection = (connection) => connection.stall()
        // The CONNECT is read, and nothing behind it.
        const options = { protocolVersion, keepAlive: 10, reconnect: 'never' } as const
        const started = startStrict(options, requests, undefined, { server })
        await server.clock.settle()
        server.current.sip()
        await server.clock.advance(0)
        expect(server.current.of('connect')).toHaveLength(1)
        const bytesAtRest = pulled * payload.length
        expect(bytesAtRest).toBeGreaterThan(0)
        expect(bytesAtRest).toBeLessThan(4 * 1024 * 1024)
        await server.clock.advance(10_000)
        expect(pulled * payload.length).toBe(bytesAtRest)
        expect(started.ended).toBe(false)
        await server.clock.advance(5000)
        expect([started.ended, server.open]).toEqual([true, 0])
        expect(started.error).toMatchObject({ code: 'KEEP_ALIVE_TIMEOUT' })
        const { taken, settled, held } = started.loop.state.counters
        expect(taken).toBe(settled + held)
      },
    )

    situation('T04', 'the socket is paused, nothing is lost, the connection lives', async () => {
      const server = serverWith()
      const options = { protocolVersion, maxBufferedPackets: 50, until: 'closed' } as const
      const started = startStrict(options, [], undefined, { server, manual: true })
      await collect(started, 1)
      const flood = 5000
      for (let i = 0; i < flood; i++) {
        server.current.send({
          cmd: 'publish',
          topic: 'a',
          payload: `${i}`,
          qos: 0,
          dup: false,
          retain: false,
        })
      }
      await server.clock.advance(600_000)
      const { bufferedPackets } = started.loop.state.counters
      expect(bufferedPackets).toBeGreaterThan(0)
      expect(bufferedPackets).toBeLessThanOrEqual(51)
      expect(server.connections).toHaveLength(1)
      const packets = (await collect(started, flood + 5)).filter(isPublish)
      const payloads = packets.map(({ payload }) => Number(payload.toString()))
      expect(payloads).toEqual(Array.from({ length: payloads.length }, (_, i) => i))
      started.loop.shutdown()
      await server.clock.advance(1000)
    })

    situation('T05', 'it is asked ever more rarely', async () => {
      for (const autoConnack of [false, true]) {
        const server = serverWith({ autoConnack })
        server.onConnection = (connection) => void server.clock.setTimer(() => connection.end(), 50)
        const options = { protocolVersion, reconnect: 'always', until: 'closed' } as const
        const started = startStrict(options, [], undefined, { server })
        await server.clock.advance(600_000)
        expect(started.error).toBeUndefined()
        const gaps = server.dials.slice(1).map(({ at }, i) => at - server.dials[i]!.at)
        const [first = 0] = gaps
        expect(first).toBeLessThan(2000)
        expect(Math.max(...gaps)).toBeGreaterThan(10 * first)
        expect(gaps.slice(8).every((gap) => gap > 10_000)).toBe(true)
        expect(server.dials.length).toBeLessThanOrEqual(60)
        started.loop.shutdown()
        await server.clock.advance(1000)
        expect(server.clock.pendingTimers).toBe(0)
      }
    })

    situation('T06', 'publishes wait; SUBSCRIBE, PINGREQ and acknowledgements flow', async () => {
      const server = serverWith({ autoAck: ({ cmd }) => cmd === 'subscribe' || cmd === 'pingreq' })
      if (protocolVersion === 5) server.autoConnack = { properties: { receiveMaximum: 1 } }
      const requests = [
        publish('a', '1', { qos: 1 }),
        subscribe('s', { qos: 1 }),
        publish('a', '2', { qos: 1 }),
        publish('a', '3', { qos: 1 }),
      ]
      const { loop, clock } = startStrict(
        { protocolVersion, maxInflight: 1 },
        requests,
        undefined,
        {
          server,
        },
      )
      await clock.advance(0)
      const { current } = server
      expect(current.packets.map(({ cmd }) => cmd)).toEqual(['connect', 'publish', 'subscribe'])
      current.send({
        cmd: 'publish',
        topic: 's',
        payload: 'x',
        qos: 1,
        messageId: 9,
        dup: false,
        retain: false,
      })
      await clock.advance(120_000)
      expect(current.of('puback')).toMatchObject([{ messageId: 9 }])
      expect(current.of('pingreq').length).toBeGreaterThanOrEqual(1)
      expect(current.of('publish')).toHaveLength(1)
      expect(loop.state.counters.taken).toBe(3)
      current.acknowledge(current.of('publish')[0]!)
      await clock.advance(0)
      expect(current.of('publish').map(({ payload }) => payload.toString())).toEqual(['1', '2'])
      loop.shutdown()
      await clock.advance(1000)
    })

    situation('T07', 'it is not heard any more', async () => {
      const server = serverWith({ autoConnack: false, autoClose: false })
      const options = { protocolVersion, connectTimeout: 5000, reconnect: 'always' } as const
      const started = startStrict(options, [], undefined, { server })
      await server.clock.advance(5000)
      const [late] = server.connections
      expect(late!.closed).toBe(true)
      late!.connack()
      await server.clock.advance(0)
      expect([started.received, started.ended]).toEqual([[], false])
      expect(started.loop.state.connection.kind).toBe('disconnected')
      server.autoConnack = true
      await server.clock.advance(2000)
      expect(started.received.filter(({ cmd }) => cmd === 'connack')).toHaveLength(1)
      await server.clock.advance(2000)
    })

    situation('T08', 'nothing goes on under its old identifier', async () => {
      const server = serverWith({ autoAck: false })
      const requests = [
        publish('a', 'one', { qos: 1 }),
        publish('a', 'two', { qos: 2 }),
        publish('a', 'received', { qos: 2 }),
      ]
      const options = { protocolVersion, ...LASTING, reconnect: PROMPT } as const
      const started = startStrict(options, requests, undefined, { server })
      await server.clock.advance(0)
      const first = server.current
      const third = first.of('publish')[2]!
      first.send({ cmd: 'pubrec', messageId: third.messageId! })
      await server.clock.advance(0)
      expect(first.of('pubrel')).toHaveLength(1)
      server.autoAck = true
      first.reset()
      await server.clock.advance(1000)
      const second = server.current
      const sent = second.of('publish')
      expect(sent.map(({ payload, dup }) => [payload.toString(), dup])).toEqual([
        ['one', false],
        ['two', false],
      ])
      // The request whose PUBREC had come is settled: its only PUBREL belongs to the one that was
      // republished.
      expect(second.of('pubrel').map(({ messageId }) => messageId)).toEqual([sent[1]!.messageId])
      expect(started.outcomes).toHaveLength(3)
      expect(started.outcomes.every(({ outcome }) => outcome.ok)).toBe(true)
      expect(started.outcomes[0]!.request).toBe(requests[2])
      expect(started.ended).toBe(true)
    })

    situation('T09', protocolVersion === 5 ? 'closed with 0x82' : 'adopted', async () => {
      const server = serverWith({ autoConnack: { sessionPresent: true }, autoClose: false })
      const options = { protocolVersion, ...LASTING, until: 'closed' } as const
      const started = startStrict(options, [publish('a')], undefined, { server })
      await server.clock.advance(1000)
      if (protocolVersion === 5) {
        expect(server.current.closed).toBe(true)
        expect(server.current.packets.slice(1)).toMatchObject([
          { cmd: 'disconnect', reasonCode: 0x82 },
        ])
        expect(started.error).toBeInstanceOf(ProtocolError)
        expect(started.error).toMatchObject({ clause: 'MQTT-3.2.2-4' })
        expect((started.error as Error).message).toMatch(/session.*adopt.*cleanStart/s)
        expect(started.received).toEqual([])
      } else {
        expect(started.error).toBeUndefined()
        expect(server.current.of('publish')).toHaveLength(1)
      }
      started.loop.shutdown()
      await server.clock.advance(1000)
      expect(server.dials).toHaveLength(1)
    })

    situation('T10', 'one delivery', async () => {
      const server = serverWith({ autoAck: false })
      const options = { protocolVersion, ...LASTING, reconnect: PROMPT, until: 'closed' } as const
      const started = startStrict(options, [], undefined, { server })
      await server.clock.advance(0)
      const message = {
        cmd: 'publish',
        topic: 'a',
        payload: 'x',
        qos: 2,
        messageId: 5,
        retain: false,
      } as const
      const first = server.current
      first.send({ ...message, dup: false })
      await first.expectPacket('pubrec')
      server.autoConnack = { sessionPresent: true }
      first.reset()
      await server.clock.advance(1000)
      const second = server.current
      second.send({ ...message, dup: true })
      await second.expectPacket('pubrec')
      second.send({ cmd: 'pubrel', messageId: 5 })
      await second.expectPacket('pubcomp')
      expect(started.received.filter(isPublish)).toHaveLength(1)
      // It was released: the identifier is free for another message.
      second.send({ ...message, payload: 'y', dup: false })
      await second.expectPacket('pubrec')
      expect(started.received.filter(isPublish).map(({ payload }) => payload.toString())).toEqual([
        'x',
        'y',
      ])
      started.loop.shutdown()
      await server.clock.advance(1000)
    })

    situation('T11', 'only the PUBREL goes again', async () => {
      const server = serverWith({ autoAck: ({ cmd }) => cmd === 'publish' })
      const options = { protocolVersion, ...LASTING, reconnect: PROMPT } as const
      const started = startStrict(options, [publish('a', 'x', { qos: 2 })], undefined, { server })
      await server.clock.advance(0)
      const first = server.current
      expect(first.packets.map(({ cmd }) => cmd)).toEqual(['connect', 'publish', 'pubrel'])
      server.autoConnack = { sessionPresent: true }
      server.autoAck = true
      first.reset()
      await server.clock.advance(1000)
      const second = server.current
      expect(second.packets.map(({ cmd }) => cmd)).toEqual(['connect', 'pubrel', 'disconnect'])
      expect(second.of('pubrel')[0]!.messageId).toBe(first.of('publish')[0]!.messageId)
      expect(started.outcomes).toMatchObject([{ outcome: { ok: true } }])
    })

    situation('T12', 'what is sent again obeys the new ones', async () => {
      const server = serverWith({ autoAck: false })
      const v5 = protocolVersion === 5
      if (v5) server.autoConnack = { properties: { receiveMaximum: 10 } }
      const requests = [
        publish('a', 'q2', { qos: 2 }),
        ...Array.from({ length: 9 }, (_, i) => publish('a', `${i}`, { qos: 1 })),
      ]
      const options = { protocolVersion, ...LASTING, reconnect: PROMPT, maxInflight: 10 } as const
      const started = startStrict(options, requests, undefined, { server })
      await server.clock.advance(0)
      expect(server.current.of('publish')).toHaveLength(10)
      server.autoConnack = {
        sessionPresent: true,
        ...(v5 ? { properties: { receiveMaximum: 1, maximumQoS: 1 } } : {}),
      }
      server.current.reset()
      await server.clock.advance(1000)
      const second = server.current
      // Messages are acknowledged one at a time: there is never more than one where one is the
      // limit.
      for (let turn = 0; turn < 12; turn++) {
        const sent = second.of('publish')
        if (v5) {
          expect(sent.length).toBeLessThanOrEqual(turn + 1)
          expect(sent.every(({ qos }) => qos <= 1)).toBe(true)
        }
        const next = sent[turn]
        if (v5 && next !== undefined) second.acknowledge(next)
        await server.clock.advance(0)
      }
      if (v5) {
        expect(second.of('publish').map(({ payload }) => payload.toString())).toEqual(
          Array.from({ length: 9 }, (_, i) => `${i}`),
        )
        const refused = started.outcomes.find(({ request }) => request === requests[0])
        expect(refused?.outcome).toMatchObject({ ok: false, error: { code: 'QOS_NOT_SUPPORTED' } })
        expect(started.outcomes).toHaveLength(10)
      } else {
        expect(second.of('publish').every(({ dup }) => dup)).toBe(true)
        expect(second.of('publish')).toHaveLength(10)
      }
      started.loop.shutdown()
      await server.clock.advance(1000)
    })

    situation('T13', 'it waits, and no open identifier is used twice', async () => {
      const server = serverWith({ autoAck: false })
      const requests = pushable<Request>({ objectMode: true })
      const window = 65_000
      for (let i = 0; i < window; i++) requests.push(publish('a', '', { qos: 1 }))
      // The window is below the number of identifiers so that this always finds one.
      for (let i = 0; i < 10; i++) requests.push(subscribe(`s${i}`))
      requests.push(publish('a', 'held', { qos: 1 }))
      requests.push(publish('a', 'not taken', { qos: 1 }))
      const options = { protocolVersion, maxInflight: window, keepAlive: 0 } as const
      const started = startStrict(options, requests, undefined, { server })
      await server.clock.advance(0)
      const { current } = server
      const open = new Set<number>()
      for (const { messageId } of current.packets.slice(1)) open.add(messageId!)
      expect(current.of('publish')).toHaveLength(window)
      expect(current.of('subscribe')).toHaveLength(10)
      expect(open.size).toBe(window + 10)
      expect(started.loop.state.counters.taken).toBe(window + 11)
      const freed = current.of('publish')[12_345]!
      current.acknowledge(freed)
      open.delete(freed.messageId!)
      await server.clock.advance(0)
      const next = current.of('publish')[window]!
      expect(next.payload.toString()).toBe('held')
      expect(open.has(next.messageId!)).toBe(false)
      expect(current.of('publish')).toHaveLength(window + 1)
      started.loop.shutdown()
      await server.clock.advance(1000)
    })

    situation('T14', protocolVersion === 5 ? 'no duel' : 'a loss like others', async () => {
      const server = serverWith()
      const options = { protocolVersion, reconnect: 'always', until: 'closed' } as const
      const started = startStrict(options, [], undefined, { server })
      await server.clock.advance(60_000)
      if (protocolVersion === 5) server.current.send({ cmd: 'disconnect', reasonCode: 0x8e })
      server.current.end()
      await server.clock.advance(600_000)
      if (protocolVersion === 5) {
        expect(server.dials).toHaveLength(1)
        expect(started.error).toBeInstanceOf(RefusedError)
        expect(started.error).toMatchObject({ code: 'SESSION_TAKEN_OVER', retryable: false })
      } else {
        expect(server.dials).toHaveLength(2)
        expect(started.error).toBeUndefined()
        started.loop.shutdown()
        await server.clock.advance(1000)
      }
    })

    situation('T15', 'we close within a second', async () => {
      const server = serverWith({ autoClose: false })
      const started = startStrict({ protocolVersion }, [publish('a')], undefined, { server })
      await server.clock.advance(0)
      const { current } = server
      expect(current.packets.at(-1)!.cmd).toBe('disconnect')
      expect([started.ended, current.finished, current.closed]).toEqual([false, true, false])
      await server.clock.advance(1000)
      expect([started.ended, current.closed, started.error]).toEqual([true, true, undefined])
      expect(server.clock.pendingTimers).toBe(0)
    })
  })
}
