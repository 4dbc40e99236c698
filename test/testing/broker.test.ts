/**
 * Goal: the broker delivers what clients publish, in each version and at each QoS. Method: the
 * engine is the client, on a virtual clock.
 */
import { eventloop, publish, subscribe } from 'it-mqtt'
import { createBroker, virtualClock } from 'it-mqtt/testing'
import { describe, expect, test } from 'vitest'

describe.each([5, 4, 3] as const)('MQTT %d', (protocolVersion) => {
  test.each([0, 1, 2] as const)('a message at QoS %d comes back once', async (qos) => {
    const clock = virtualClock()
    const broker = createBroker({ clock })
    const loop = eventloop(
      { clientId: 'a', protocolVersion, transport: broker.transport, platform: clock },
      [subscribe('a/#', { qos: 2 }), publish('a/b', 'hello', { qos })],
    )
    const seen: string[] = []
    for await (const packet of loop) {
      if (packet.cmd !== 'publish') continue
      seen.push(`${packet.topic} ${packet.payload} ${packet.qos}`)
      break
    }
    await clock.settle()
    expect(seen).toEqual([`a/b hello ${qos}`])
    expect(broker.violations).toEqual([])
    expect(broker.clients.size).toBe(0)
    expect(clock.pendingTimers).toBe(0)
  })
})
