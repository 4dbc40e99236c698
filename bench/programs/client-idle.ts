/** The promise client: COUNT clients with one subscription each that do nothing. client-idle PORT COUNT [4|5] */
import { createClient } from '../../src/client/index.ts'
import { measureIdle } from './heap.ts'

const [port, count, version = '5'] = process.argv.slice(2)
const url = `mqtt://127.0.0.1:${port}`
await measureIdle(Number(count), async (i) => {
  const protocolVersion = Number(version) as 4 | 5
  const client = createClient({ url, clientId: `idle-${i}`, protocolVersion })
  const subscription = client.subscribe('plant/line/temp')
  await subscription.granted
  return [client, subscription]
})
