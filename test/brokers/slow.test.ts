/**
 * Goal: a slow consumer keeps its connection and its order, and one that never pulls costs bounded
 * memory. Method: mosquitto with a short keep-alive; a raw sender that offers a million messages.
 */
import { createServer } from 'node:net'
import { generate } from 'mqtt-packet'
import { expect, test } from 'vitest'
import { eventloop, publish, subscribe } from '../../src/index.ts'
import { Mosquitto, requireMosquitto } from '../support/mosquitto.ts'

test('[R3] [K1] [C01] a consumer that sits on one packet for ten keep-alives keeps connection and order', async (context) => {
  requireMosquitto(context)
  await using broker = await Mosquitto.start()
  const count = 2000
  const loop = eventloop({ url: broker.url, keepAlive: 1, maxBufferedPackets: 50 }, [
    subscribe('slow', { qos: 1 }),
    ...Array.from({ length: count }, (_, i) => publish('slow', String(i), { qos: 1 })),
  ])
  const got: number[] = []
  let connections = 0
  for await (const packet of loop) {
    if (packet.cmd === 'connack') connections++
    if (packet.cmd !== 'publish') continue
    got.push(Number(packet.payload.toString()))
    // Ten intervals of the keep-alive: this duration is what is tested, and no wait for something
    // else.
    if (got.length === 1) await new Promise((resolve) => setTimeout(resolve, 10_000))
    if (got.length === count) break
  }
  expect(connections).toBe(1)
  expect(loop.state.counters.reconnections).toEqual({})
  expect(got).toEqual(Array.from({ length: count }, (_, i) => i))
})

test('[R3] [C02] a million QoS 0 messages offered to a consumer that never pulls: memory is bounded', async () => {
  const message = generate({
    cmd: 'publish',
    topic: 't',
    payload: 'x'.repeat(16),
    qos: 0,
    dup: false,
    retain: false,
  })
  const chunk = Buffer.concat(Array.from({ length: 2000 }, () => message))
  let offered = 0
  const server = createServer((socket) => {
    socket.on('error', () => {})
    socket.once('data', () => {
      socket.write(Buffer.from([0x20, 2, 0, 0]))
      const more = () => {
        while (offered < 1_000_000 && socket.writableLength < 1_000_000) {
          offered += 2000
          socket.write(chunk)
        }
      }
      socket.on('drain', more)
      more()
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  const loop = eventloop({ url: `mqtt://127.0.0.1:${port}`, protocolVersion: 4, until: 'closed' })
  await loop.next()
  await expect
    .poll(() => loop.state.counters.bufferedPackets, { timeout: 20_000 })
    .toBeGreaterThan(1000)
  const { bufferedPackets, bufferedBytes, received } = loop.state.counters
  expect(bufferedPackets).toBeLessThanOrEqual(1024 + 1024)
  expect(bufferedBytes).toBeLessThanOrEqual(16 * 1024 * 1024)
  expect(received).toBeLessThan(10_000)
  await loop.return()
  server.close()
})
