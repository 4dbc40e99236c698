/**
 * aedes, NATS, RabbitMQ, ejabberd: the same life with each, in every version that it speaks. A broker takes seconds to start, so
 * one test is one broker and all that is asked of it.
 */
import { connect, type Socket } from 'node:net'
import { expect, test } from 'vitest'
import {
  type Endpoint,
  type Eventloop,
  type EventloopOptions,
  eventloop,
  type IncomingPublish,
  publish,
  type QoS,
  run,
  type Session,
  subscribe,
} from '../../src/index.ts'
import { KINDS, open } from '../support/brokers.ts'

/** Messages until the last of them is the one that says so. */
async function until(loop: Eventloop, last: string): Promise<IncomingPublish[]> {
  const messages: IncomingPublish[] = []
  for await (const packet of loop) {
    if (packet.cmd !== 'publish') continue
    messages.push(packet)
    if (packet.payload.toString() !== last) continue
    loop.ack(packet)
    break
  }
  return messages
}

const texts = (messages: readonly IncomingPublish[]) =>
  messages.map(({ payload }) => payload.toString())

async function subscribed(loop: Eventloop): Promise<readonly number[]> {
  for (;;) {
    const { value } = await loop.next()
    if (value === undefined) throw new Error('the loop ended')
    if (value.cmd === 'suback') return value.granted as readonly number[]
  }
}

for (const kind of KINDS) {
  for (const protocolVersion of kind.versions) {
    test(`[D1] [D3] [D5] ${kind.name}, MQTT ${protocolVersion === 5 ? '5' : '3.1.1'}: every QoS, retained, will, session, large payload, ping`, async (context) => {
      const { url } = await open(context, kind)
      const options: EventloopOptions = { url, protocolVersion }

      for (const qos of [0, 1, 2] as const) {
        const granted = Math.min(qos, kind.maximumQoS) as QoS
        const loop = eventloop(options, [subscribe(`q/${qos}`, { qos })])
        expect(await subscribed(loop), `QoS ${qos} granted`).toEqual([granted])
        const numbers = Array.from({ length: 50 }, (_, i) => String(i))
        const requests = numbers.map((payload) => publish(`q/${qos}`, payload, { qos: granted }))
        const sent = run(options, requests)
        expect(texts(await until(loop, '49')), `QoS ${qos}`).toEqual(numbers)
        expect(await sent).toMatchObject({ settled: 50, failed: [] })
      }

      await run(options, [publish('kept', 'last', { qos: 1, retain: true })])
      const [kept] = await until(eventloop(options, [subscribe('kept', { qos: 1 })]), 'last')
      expect(kept!.retain).toBe(true)

      const watcher = eventloop(options, [subscribe('gone', { qos: 1 })])
      await subscribed(watcher)
      const will = { topic: 'gone', payload: 'adieu', qos: 1 } as const
      let socket: Socket | undefined
      const transport = ({ url: where }: Endpoint) => {
        socket = connect(Number(where.port), where.hostname)
        return socket
      }
      const dying = eventloop({ ...options, will, transport, until: 'closed', reconnect: 'never' })
      await dying.next()
      const death = dying.next()
      socket!.resetAndDestroy()
      await expect(death).rejects.toBeInstanceOf(Error)
      expect(texts(await until(watcher, 'adieu'))).toEqual(['adieu'])

      const named = { ...options, clientId: `resuming-${protocolVersion}` }
      const first = eventloop({ ...named, cleanStart: false }, [subscribe('later', { qos: 1 })])
      await subscribed(first)
      await first.return()
      const session: Session = first.session
      await run(
        options,
        ['1', '2', '3'].map((payload) => publish('later', payload, { qos: 1 })),
      )
      const resumed = eventloop({ ...named, session, until: 'closed' })
      expect(texts(await until(resumed, '3'))).toEqual(['1', '2', '3'])

      const large = Buffer.alloc(200_000, 65)
      const reader = eventloop(options, [subscribe('large', { qos: 1 })])
      await subscribed(reader)
      const writing = run(options, [publish('large', large, { qos: 1 })])
      const [message] = await until(reader, large.toString())
      expect(message!.payload.equals(large)).toBe(true)
      await writing

      const idle = eventloop({ ...options, until: 'closed' })
      await idle.next()
      const next = idle.next()
      expect((await idle.ping()).roundTripMs).toBeGreaterThanOrEqual(0)
      await idle.return()
      await next
    })
  }
}
