/** MQTT.js at the work of bench/peers/mqttjs.mjs, in a page. `globalThis.work` has it. */
import mqtt from 'mqtt'
import type { Work } from './work.ts'

const WINDOW = 1000

function work({ url, mode, qos, count, size }: Work): Promise<number> {
  const payload = new Uint8Array(size).fill(65) as Buffer
  const options = { qos: qos as 0 | 1 }
  return new Promise((resolve, reject) => {
    const client = mqtt.connect(url, { keepalive: 60, protocolVersion: 5, clientId: 'bench' })
    client.on('error', reject)
    client.once('connect', () => {
      const started = performance.now()
      let counted = 0
      const done = (total: number) => {
        client.end(true)
        if (total !== count) return reject(new Error(`counted ${total} of ${count}`))
        resolve((1000 * count) / (performance.now() - started))
      }
      client.on('message', (topic, text) => {
        if (topic !== 'done') counted++
        else done(mode === 'sub' ? counted : Number(text.toString()))
      })
      if (mode === 'sub') return void client.subscribe(`blast/${qos}/${count}/${size}`, options)
      let sent = 0
      let settled = 0
      const pump = () => {
        while (sent < count && sent - settled < WINDOW) {
          sent++
          client.publish('sensors/room/1/temp', payload, options, (error) => {
            if (error) return reject(error)
            if (++settled < count) {
              if (sent - settled <= WINDOW / 2) pump()
            } else if (qos > 0) done(settled)
            else client.publish('eoj', 'x')
          })
        }
      }
      pump()
    })
  })
}

Object.assign(globalThis, { work })
