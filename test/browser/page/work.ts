/**
 * Programs for a page, a Worker and a SharedWorker: what a user would write there, and what came
 * of it as plain data.
 */
import { type EventloopOptions, eventloop, publish, type QoS, replay, subscribe } from 'it-mqtt'
import { createClient } from 'it-mqtt/client'
import { presence, withPresence } from 'it-mqtt/presence'

/** The first program of README.md. @returns what it prints. */
export async function firstProgram(url: string): Promise<string> {
  const client = createClient(url)
  const temperatures = client.subscribe('plant/{line}/temperature')
  await client.publish('plant/7/temperature', '21.5')
  let printed = ''
  for await (const { params, payload } of temperatures) {
    printed = `line ${params.line} has ${new TextDecoder().decode(payload)}`
    break
  }
  await client.close()
  return printed
}

/**
 * Publishes `count` messages of `size` bytes and receives them, by a loop. @returns how many came,
 * how many bytes differed, and how many connections there were.
 */
export async function roundTrips(
  url: string,
  options: EventloopOptions & { readonly qos: QoS; readonly count: number; readonly size: number },
) {
  const { qos, count, size, ...rest } = options
  const topic = `echo/${Math.random()}`
  const payloadOf = (number: number) => new Uint8Array(size).fill(number % 251)
  async function* requests() {
    yield subscribe(topic, { qos })
    for (let i = 0; i < count; i++) yield publish(topic, payloadOf(i), { qos })
    await new Promise(() => {})
  }
  const loop = eventloop({ url, ...rest }, requests())
  let came = 0
  let different = 0
  for await (const packet of loop) {
    if (packet.cmd !== 'publish') continue
    const wanted = payloadOf(came++)
    const { payload } = packet
    const isSame = payload.length === size && wanted.every((byte, i) => byte === payload[i])
    if (!isSame) different++
    if (came === count) break
  }
  return { came, different, kind: new Uint8Array(0).constructor.name }
}

/**
 * Publishes numbers at QoS 1 and receives them, with a session, until all have come. @returns how
 * many came twice, and how often it was connected.
 */
export async function numbersAcross(url: string, count: number, slowMs: number) {
  const seen = new Set<string>()
  let doubled = 0
  let connections = 0
  const client = createClient({
    url,
    clientId: `page-${Math.random()}`,
    cleanStart: false,
    sessionExpiryInterval: 300,
    keepAlive: 4,
    reconnect: { minMs: 20, maxMs: 100 },
  })
  void (async () => {
    for await (const { to } of client.transitions()) if (to === 'connected') connections++
  })()
  const numbers = client.subscribe('numbers/{n}', { qos: 1 })
  await numbers.granted
  const sending = (async () => {
    for (let n = 0; n < count; n++) {
      await client.publish(`numbers/${n}`, String(n), { qos: 1 })
      if (slowMs > 0) await new Promise((resolve) => setTimeout(resolve, slowMs))
    }
  })()
  for await (const { params } of numbers) {
    if (seen.has(params.n)) doubled++
    seen.add(params.n)
    Object.assign(globalThis, { progress: seen.size })
    if (seen.size === count) break
  }
  await sending
  await client.close()
  return { came: seen.size, doubled, connections }
}

/** Enters a space, and stays there as long as its page lives. */
export async function entersAndStays(
  url: string,
  space: string,
  clientId: string,
  { keepAlive, ttl, grace }: { keepAlive: number; ttl: number; grace: number },
): Promise<void> {
  const options = { url, clientId, keepAlive, sessionExpiryInterval: 300 }
  const client = createClient(withPresence(options, { ttl, grace }))
  void client.run()
  await presence(client, space).enter({ from: 'a page' })
}

/** @returns what an attempt says that cannot succeed. */
export async function failureOf(options: EventloopOptions) {
  try {
    for await (const _ of eventloop({ reconnect: 'never', ...options }, [])) break
    return null
  } catch (error) {
    const { name, code, message } = error as Error & { readonly code?: string }
    return { name, code, message }
  }
}

/** Replays recordings. @returns the number of steps, and the first one that differs. */
export function replayed(recordings: readonly string[]) {
  let steps = 0
  for (const [index, recording] of recordings.entries()) {
    for (const { differs, line } of replay(recording)) {
      steps++
      if (differs !== null) return { steps, differs, index, line }
    }
  }
  return { steps, differs: null }
}
