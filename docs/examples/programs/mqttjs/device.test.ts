/**
 * Tests of device.ts, as its author would write them: aedes in the same process, over TCP. An hour
 * without a network cannot be tested, as MQTT.js has its timers from the system.
 */
import { EventEmitter } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { Aedes, type AedesPublishPacket } from 'aedes'
import { expect, onTestFinished, test, vi } from 'vitest'
import { device, type Heater } from './device.ts'

class FakeHeater extends EventEmitter implements Heater {
  isOn = false

  async set(isOn: boolean) {
    this.isOn = isOn
    this.emit('change')
  }
}

async function startDevice() {
  const broker = await Aedes.createBroker()
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    broker.handle(socket)
  })
  const listen = (port: number) =>
    new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
  await listen(0)
  const { port } = server.address() as AddressInfo
  const heater = new FakeHeater()
  const end = new AbortController()
  const retained = new Map<string, string>()
  broker.on('publish', ({ topic, payload, retain }: AedesPublishPacket) => {
    if (retain) retained.set(topic, payload.toString())
  })
  const running = device(`mqtt://127.0.0.1:${port}`, heater, end.signal)
  const disconnect = () => {
    server.close()
    for (const socket of sockets) socket.destroy()
  }
  onTestFinished(async () => {
    end.abort()
    await running
    disconnect()
    broker.close()
  })
  const shows = (topic: string, payload: string) =>
    vi.waitFor(() => expect(retained.get(`heater-7/${topic}`)).toBe(payload), 5000)
  await shows('state', 'OFF')
  await vi.waitFor(() => expect(broker.connectedClients).toBe(1))
  return { broker, heater, end, running, retained, shows, disconnect, listen: () => listen(port) }
}

test('it announces itself', async () => {
  const { retained, shows } = await startDevice()
  await shows('availability', 'online')
  expect(retained.get('homeassistant/switch/heater-7/config')).toContain('"unique_id":"heater-7"')
})

test('it obeys and reports', async () => {
  const { broker, heater, shows } = await startDevice()
  broker.publish(
    {
      cmd: 'publish',
      topic: 'heater-7/set',
      payload: Buffer.from('ON'),
      qos: 1,
      retain: false,
      dup: false,
    },
    () => {},
  )
  await shows('state', 'ON')
  expect(heater.isOn).toBe(true)
})

test('it comes back after a moment without a network', async () => {
  const { heater, shows, disconnect, listen } = await startDevice()
  disconnect()
  await shows('availability', 'offline')
  await heater.set(true)
  await listen()
  await shows('availability', 'online')
  await shows('state', 'ON')
})

test('it says when it goes', async () => {
  const { end, running, retained } = await startDevice()
  end.abort()
  await running
  expect(retained.get('heater-7/availability')).toBe('offline')
})
