/**
 * A heater for Home Assistant: discovery, state, commands and availability. What `onConnected`
 * returns is sent after every connection, before everything else.
 */
import type { EventEmitter } from 'node:events'
import { publish } from 'it-mqtt'
import { type ClientOptions, createClient } from 'it-mqtt/client'

/** The hardware. It emits `change` when it was switched, by whomever. */
export interface Heater extends EventEmitter {
  readonly isOn: boolean
  set(isOn: boolean): Promise<void>
}

const RETAINED = { qos: 1, retain: true } as const
const DISCOVERY = JSON.stringify({
  name: 'Heater',
  unique_id: 'heater-7',
  command_topic: 'heater-7/set',
  state_topic: 'heater-7/state',
  availability_topic: 'heater-7/availability',
})

/** Serves until the signal is aborted. */
export async function device(options: ClientOptions, heater: Heater, signal: AbortSignal) {
  const announcements = () => [
    publish('homeassistant/switch/heater-7/config', DISCOVERY, RETAINED),
    publish('heater-7/availability', 'online', RETAINED),
    publish('heater-7/state', heater.isOn ? 'ON' : 'OFF', RETAINED),
  ]
  await using client = createClient({
    reconnect: 'always',
    ...options,
    will: { topic: 'heater-7/availability', payload: 'offline', ...RETAINED },
    onConnected: announcements,
  })
  const messages = client.subscribe(['heater-7/set', 'homeassistant/status'])
  const report = () => client.publish('heater-7/state', heater.isOn ? 'ON' : 'OFF', RETAINED)
  const onChange = () => void report().catch(console.error)
  heater.on('change', onChange)
  signal.addEventListener('abort', () => void messages.return())
  for await (const { topic, payload } of messages) {
    if (topic === 'heater-7/set') await heater.set(payload.toString() === 'ON')
    else if (payload.toString() === 'online') {
      for (const { topic, payload } of announcements()) {
        await client.publish(topic, payload, RETAINED)
      }
    }
  }
  heater.off('change', onChange)
  await client.publish('heater-7/availability', 'offline', RETAINED)
}
