/** As ../requests.ts, with MQTT.js. The envelope is JSON, for servers that know MQTT 3.1.1 only. */
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import mqtt from 'mqtt'

/** Serves until the signal is aborted, at most 16 requests at a time. */
export async function serve(
  url: string,
  square: (x: number) => Promise<number>,
  signal: AbortSignal,
) {
  const client = await mqtt.connectAsync(url)
  client.on('error', (error) => console.error(error))
  const waiting: string[] = []
  const running = new Set<Promise<void>>()

  async function answer(request: string) {
    const { id, replyTo, x } = JSON.parse(request)
    try {
      client.publish(replyTo, JSON.stringify({ id, y: await square(x) }))
    } catch {
      client.publish(replyTo, JSON.stringify({ id, failed: true }))
    }
  }

  function startNext() {
    while (running.size < 16 && waiting.length > 0) {
      const answering = answer(waiting.shift()!)
        .catch((error) => console.error(error)) // not a request
        .finally(() => {
          running.delete(answering)
          startNext()
        })
      running.add(answering)
    }
  }

  client.on('message', (_topic, payload) => {
    waiting.push(payload.toString())
    startNext()
  })
  await client.subscribeAsync('square', { qos: 1 })
  await once(signal, 'abort')
  await Promise.all(running)
  await client.endAsync()
}

/** Asks for all at once; what has no answer within `timeout` ms is rejected. */
export async function ask(url: string, numbers: readonly number[], timeout: number) {
  const client = await mqtt.connectAsync(url)
  client.on('error', (error) => console.error(error))
  const replyTo = `answers/${randomUUID()}`
  const waiting = new Map<string, (answer: { y: number; failed?: boolean }) => void>()

  const request = (x: number) => {
    const id = randomUUID()
    return new Promise<number>((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`${x} has no answer`)), timeout)
      waiting.set(id, ({ y, failed }) => {
        clearTimeout(timer)
        if (failed) reject(new Error(`${x} failed`))
        else resolve(y)
      })
      client.publish('square', JSON.stringify({ id, replyTo, x }), { qos: 1 })
    }).finally(() => waiting.delete(id))
  }

  client.on('message', (_topic, payload) => {
    const answer = JSON.parse(payload.toString())
    waiting.get(answer.id)?.(answer)
  })
  await client.subscribeAsync(replyTo)
  try {
    return await Promise.allSettled(numbers.map(request))
  } finally {
    await client.endAsync()
  }
}
