/** As ../device.ts, with MQTT.js. */
import type { EventEmitter } from 'node:events'
import mqtt from 'mqtt'

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
export async function device(url: string, heater: Heater, signal: AbortSignal) {
  const client = mqtt.connect(url, {
    will: { topic: 'heater-7/availability', payload: Buffer.from('offline'), ...RETAINED },
  })
  const report = () => client.publish('heater-7/state', heater.isOn ? 'ON' : 'OFF', RETAINED)
  const announce = () => {
    client.publish('homeassistant/switch/heater-7/config', DISCOVERY, RETAINED)
    client.publish('heater-7/availability', 'online', RETAINED)
    report()
  }
  const handle = async (topic: string, payload: string) => {
    if (topic === 'heater-7/set') await heater.set(payload === 'ON')
    else if (payload === 'online') announce()
  }
  client.on('connect', () => {
    // A SUBSCRIBE fails if the connection is lost before its answer.
    const filters = ['heater-7/set', 'homeassistant/status']
    client.subscribe(filters, { qos: 1 }, (error) => error && console.error(error))
    announce()
  })
  client.on('error', () => {}) // it connects again
  heater.on('change', report)
  try {
    await new Promise<void>((resolve, reject) => {
      signal.addEventListener('abort', () => resolve())
      // Unlike the event `message`, it acknowledges when the message is handled.
      client.handleMessage = ({ topic, payload }, done) =>
        void handle(topic, payload.toString()).then(() => done(), reject)
    })
    await client.publishAsync('heater-7/availability', 'offline', RETAINED)
  } finally {
    heater.off('change', report)
    await client.endAsync()
  }
}
