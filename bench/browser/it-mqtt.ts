/** it-mqtt at the work of bench/programs/driver.ts, in a page. `globalThis.work` has it. */
import { eventloop, publish, type QoS, type Request, subscribe } from 'it-mqtt'
import type { Work } from './work.ts'

async function work({ url, mode, qos, count, size }: Work): Promise<number> {
  const payload = new Uint8Array(size).fill(65)
  async function* requests(): AsyncGenerator<Request> {
    for (let i = 0; i < count; i++)
      yield publish('sensors/room/1/temp', payload, { qos: qos as QoS })
    if (qos === 0) yield publish('eoj', 'x')
    await new Promise(() => {})
  }
  const stream =
    mode === 'sub' ? [subscribe(`blast/${qos}/${count}/${size}`, { qos: qos as QoS })] : requests()
  const started = performance.now()
  let counted = 0
  const loop = eventloop({ url, clientId: 'bench', until: 'closed', maxInflight: 1000 }, stream)
  for await (const packet of loop) {
    if (packet.cmd === 'publish') {
      if (packet.topic === 'done') {
        if (mode === 'pub') counted = Number(new TextDecoder().decode(packet.payload))
        break
      }
      counted++
    } else if (packet.cmd === 'puback' && ++counted === count) break
  }
  if (counted !== count) throw new Error(`counted ${counted} of ${count}`)
  return (1000 * count) / (performance.now() - started)
}

Object.assign(globalThis, { work })
