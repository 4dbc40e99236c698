/** What nobody awaits: the linter has to say so, or it looked at nothing. */
import { createClient } from 'it-mqtt/client'

export function careless(): void {
  const client = createClient('mqtt://localhost')
  client.publish('a', 'b')
  process.on('SIGTERM', async () => {
    await client.close()
  })
}
