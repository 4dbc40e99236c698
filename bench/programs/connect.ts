/** it-mqtt: COUNT connections, AT_ONCE at a time. connect PORT COUNT AT_ONCE [4|5] */
import { eventloop } from '../../src/index.ts'
import { measureConnecting } from './connecting.ts'

const [port, count, atOnce, version = '5'] = process.argv.slice(2)
const url = `mqtt://127.0.0.1:${port}`
const protocolVersion = Number(version) as 4 | 5
await measureConnecting(Number(count), Number(atOnce), async (i) => {
  const loop = eventloop({ url, clientId: `connect-${i}`, protocolVersion, until: 'closed' })
  await loop.next()
  void loop.next()
  return loop
})
