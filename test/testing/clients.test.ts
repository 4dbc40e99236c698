/**
 * Goal: programs of other people work with the broker as they are, over a stream in memory or a
 * socket. Method: MQTT.js and the engine publish to each other.
 */
import { createServer } from 'node:net'
import { eventloop, memoryPair, publish, run, subscribe } from 'it-mqtt'
import { createBroker } from 'it-mqtt/testing'
import { MqttClient, connect as mqttJs } from 'mqtt'
import { describe, expect, test } from 'vitest'
import { RawPeer } from './raw-peer.ts'

describe.each([5, 4] as const)('MQTT %d', (protocolVersion) => {
  test('MQTT.js and the engine exchange messages at each QoS, over streams in memory', async () => {
    const broker = createBroker()
    const client = new MqttClient(
      () => {
        const [stream, server] = memoryPair()
        broker.accept(server)
        return stream
      },
      { clientId: 'js', protocolVersion, reconnectPeriod: 0 },
    )
    const got: string[] = []
    client.on('message', (topic, payload, packet) => got.push(`${topic} ${payload} ${packet.qos}`))
    await client.subscribeAsync('to/js/#', { qos: 2 })
    const requests = ([0, 1, 2] as const).map((qos) => publish('to/js/x', 'hi', { qos }))
    await run({ clientId: 'us', protocolVersion, transport: broker.transport }, requests)
    const loop = eventloop({ clientId: 'us', protocolVersion, transport: broker.transport }, [
      subscribe('to/us', { qos: 2 }),
    ])
    const ours: string[] = []
    for await (const packet of loop) {
      if (packet.cmd === 'suback') {
        for (const qos of [0, 1, 2] as const) void client.publishAsync('to/us', 'hi', { qos })
      }
      if (packet.cmd === 'publish') ours.push(`${packet.payload} ${packet.qos}`)
      if (ours.length === 3) break
    }
    await client.endAsync()
    expect(got).toEqual(['to/js/x hi 0', 'to/js/x hi 1', 'to/js/x hi 2'])
    expect(ours).toEqual(['hi 0', 'hi 1', 'hi 2'])
    expect(broker.violations).toEqual([])
    broker.close()
  })

  test('a server of Node hands its sockets to accept()', async () => {
    const broker = createBroker()
    const server = createServer((socket) => broker.accept(socket))
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as { port: number }
    const url = `mqtt://127.0.0.1:${port}`
    const client = mqttJs(url, { clientId: 'js', protocolVersion, reconnectPeriod: 0 })
    await client.subscribeAsync('t', { qos: 1 })
    const arrived = new Promise<string>((resolve) => {
      client.on('message', (_topic, payload) => resolve(String(payload)))
    })
    await run({ url, protocolVersion }, [publish('t', 'over TCP', { qos: 1 })])
    expect(await arrived).toBe('over TCP')
    const closed = new Promise<void>((resolve) => client.once('close', resolve))
    broker.kill('js')
    await closed
    client.end(true)
    broker.close()
    await new Promise((resolve) => server.close(resolve))
  })
})

test('N4: a broker that is forgotten leaves nothing that keeps the process alive', async () => {
  const timers = (): number =>
    process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length
  const before = timers()
  await using broker = createBroker()
  const client = new RawPeer(broker, 5)
  client.connect('a', { keepalive: 60, properties: { sessionExpiryInterval: 3600 } })
  await broker.waitFor('connack')
  broker.kill()
  expect(broker.sessions.get('a')?.expiresAt).toBeGreaterThan(0)
  expect(timers()).toBe(before)
})

test('a client that reads nothing holds its own writes back after 64 KiB', async () => {
  const broker = createBroker()
  const client = broker.open()
  client.on('error', () => {})
  broker.hang()
  let handed = 0
  for (let i = 0; i < 10; i++) client.write(new Uint8Array(16_384), () => handed++)
  await new Promise((resolve) => setImmediate(resolve))
  expect(handed).toBe(4)
  broker.close()
  await new Promise((resolve) => setImmediate(resolve))
  expect([handed, client.destroyed]).toEqual([10, true])
})
