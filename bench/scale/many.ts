/** it-mqtt: SIZE connections with one message a second each. many PORT SIZE */
import { pushable } from 'it-pushable'
import { eventloop, type Request } from '../../src/index.ts'
import { measureFleet } from './fleet.ts'

const [port, size] = process.argv.slice(2)
const url = `mqtt://127.0.0.1:${port}`
const payload = Buffer.alloc(64, 65)
const message: Request = { cmd: 'publish', topic: 'sensors/room/1/temp', payload, qos: 1 }

await measureFleet(Number(size), async (i, acknowledged) => {
  const requests = pushable<Request>({ objectMode: true })
  const loop = eventloop({ url, clientId: `many-${i}`, until: 'closed' }, requests)
  await loop.next()
  const read = async () => {
    for await (const packet of loop) if (packet.cmd === 'puback') acknowledged()
    throw new Error(`connection ${i} has ended`)
  }
  void read()
  return () => requests.push(message)
})
