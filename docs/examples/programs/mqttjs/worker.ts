/**
 * As ../worker.ts, with MQTT.js, which handles the messages of a connection one after the other. So
 * there is a connection for each job that runs.
 */
import { once } from 'node:events'
import mqtt from 'mqtt'

/** Works until the signal is aborted, and finishes what it has begun. */
export async function worker(
  url: string,
  clientId: string,
  work: (job: string) => Promise<void>,
  signal: AbortSignal,
) {
  const lanes = Array.from({ length: 10 }, async (_, lane) => {
    const client = mqtt.connect(url, {
      clientId: `${clientId}-${lane}`,
      clean: false,
      protocolVersion: 5,
      properties: { receiveMaximum: 2, sessionExpiryInterval: 86_400 },
    })
    client.on('error', (error) => console.error(error))
    let running = Promise.resolve()
    const failed = new Promise<never>((_, reject) => {
      client.handleMessage = ({ payload }, done) => {
        if (signal.aborted) return
        running = work(payload.toString())
        running.then(() => done(), reject)
      }
    })
    await client.subscribeAsync('$share/workers/jobs/#', { qos: 1 })
    await Promise.race([once(signal, 'abort'), failed])
    await running
    await client.endAsync()
  })
  await Promise.all(lanes)
}
