/**
 * As ../gateway.ts, with MQTT.js and LevelDB. MQTT.js keeps QoS 2 in memory only, so each command
 * has to bring an identifier of its own, and comes at QoS 1.
 */
import { ClassicLevel } from 'classic-level'
import mqtt from 'mqtt'

/** Serves until the signal is aborted. */
export async function gateway(
  url: string,
  directory: string,
  samples: AsyncIterable<string>,
  execute: (command: string, id: string) => Promise<void>,
  signal: AbortSignal,
) {
  const queue = new ClassicLevel(`${directory}/queue`)
  await queue.open()
  const client = mqtt.connect(url, { clientId: 'gateway-7', clean: false })
  client.on('error', () => {}) // it connects again
  // A SUBSCRIBE fails if the connection is lost before its answer.
  client.on('connect', () => {
    client.subscribe('gateway-7/command', { qos: 1 }, (error) => error && console.error(error))
  })
  const ended = new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()))
  const failed = new Promise<never>((_, reject) => {
    client.handleMessage = ({ payload }, done) => {
      const { id, command } = JSON.parse(payload.toString())
      execute(command, id).then(() => done(), reject)
    }
  })

  let wake = () => {}
  async function take() {
    const [last = '0'] = await queue.keys({ reverse: true, limit: 1 }).all()
    let number = Number(last)
    for await (const sample of samples) {
      await queue.put(String(++number).padStart(16, '0'), sample, { sync: true })
      wake()
    }
  }

  /** Sends what is on disk, 1,000 at a time, and deletes what the server has. */
  async function deliver() {
    while (!signal.aborted) {
      const batch = await queue.iterator({ limit: 1000 }).all()
      if (batch.length === 0) {
        const pushed = new Promise<void>((resolve) => {
          wake = resolve
        })
        await Promise.race([pushed, ended])
        continue
      }
      const sent = batch.map(([, sample]) =>
        client.publishAsync('gateway-7/sample', sample, { qos: 1 }),
      )
      await Promise.race([Promise.all(sent), ended])
      if (signal.aborted) return
      await queue.batch(batch.map(([key]) => ({ type: 'del', key })))
    }
  }

  try {
    await Promise.race([Promise.all([take(), deliver()]), failed])
  } finally {
    await client.endAsync(true)
    await queue.close()
  }
}
