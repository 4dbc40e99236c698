/** Tests of device.ts, as its author would write them: a broker in memory, and time that stands. */
import { EventEmitter } from 'node:events'
import { createBroker, virtualClock } from 'it-mqtt/testing'
import { expect, test } from 'vitest'
import { device, type Heater } from './device.ts'

class FakeHeater extends EventEmitter implements Heater {
  isOn = false

  async set(isOn: boolean) {
    this.isOn = isOn
    this.emit('change')
  }
}

async function startDevice() {
  const clock = virtualClock()
  const broker = createBroker({ clock })
  const heater = new FakeHeater()
  const end = new AbortController()
  const { transport } = broker
  const options = { transport, platform: clock, clientId: 'heater' }
  const running = device(options, heater, end.signal)
  await clock.settle()
  const retained = (topic: string) => String(broker.retained.get(topic)?.payload)
  return { clock, broker, heater, end, running, retained }
}

test('it announces itself', async () => {
  const { broker, retained } = await startDevice()
  expect(retained('heater-7/availability')).toBe('online')
  expect(retained('heater-7/state')).toBe('OFF')
  expect(retained('homeassistant/switch/heater-7/config')).toContain('"unique_id":"heater-7"')
  expect(broker.violations).toEqual([])
})

test('it obeys and reports', async () => {
  const { clock, broker, heater, retained } = await startDevice()
  broker.publish('heater-7/set', 'ON', { qos: 1 })
  await clock.settle()
  expect(heater.isOn).toBe(true)
  expect(retained('heater-7/state')).toBe('ON')
})

test('it comes back after an hour without a network', async () => {
  const { clock, broker, heater, retained } = await startDevice()
  broker.refuseConnections()
  broker.kill()
  expect(retained('heater-7/availability')).toBe('offline')
  await heater.set(true)
  await clock.advance(3_600_000)
  broker.acceptConnections()
  await clock.advance(60_000)
  expect(retained('heater-7/availability')).toBe('online')
  expect(retained('heater-7/state')).toBe('ON')
})

test('it says when it goes', async () => {
  const { clock, end, running, retained } = await startDevice()
  end.abort()
  await clock.until(running)
  expect(retained('heater-7/availability')).toBe('offline')
})
