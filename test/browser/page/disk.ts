/**
 * Programs for a page that keeps its requests and its session in IndexedDB. A page may be loaded again while they run.
 */
import { eventloop, publish, type QoS } from 'it-mqtt'
import { fileRequests, openSession, spool } from 'it-mqtt/disk'

const nameOf = (qos: QoS) => `outbox ${qos}`

/** Pushes the numbers below `count` to a spool. @returns how many are in it. */
async function push(qos: QoS, count: number): Promise<number> {
  await using queue = await spool(nameOf(qos))
  const numbers = Array.from({ length: count }, (_, i) =>
    publish(`numbers/${qos}`, `${i}`, { qos }),
  )
  for (let i = 0; i < count; i += 100) await queue.push(numbers.slice(i, i + 100))
  return queue.size
}

/** Sends what is in the spool, until it is empty. @returns how much there was at the beginning. */
async function send(
  url: string,
  qos: QoS,
  clientId = `disk ${qos}`,
): Promise<{ size: number; lost: number }> {
  const queue = await spool(nameOf(qos))
  const { size, lost } = queue
  queue.end()
  const session = await openSession(`session ${qos}`)
  const options = { url, clientId, session, sessionExpiryInterval: 300 }
  const loop = eventloop({ ...options, reconnect: { minMs: 20, maxMs: 100 } }, queue)
  for await (const _ of loop) Object.assign(globalThis, { left: queue.size })
  await queue.close()
  return { size, lost }
}

/** @returns the code of the error that opening the spool of another page has. */
async function codeOfSecond(qos: QoS): Promise<string> {
  try {
    await (await spool(nameOf(qos))).close()
    return 'none'
  } catch (error) {
    return (error as { readonly code: string }).code
  }
}

function codeOfFile(): string {
  try {
    ;(fileRequests as (path: string) => void)('a file')
    return 'none'
  } catch (error) {
    return (error as { readonly code: string }).code
  }
}

/** Measures commits and pushes. */
async function figures() {
  const queue = await spool('figures')
  const one = publish('t/1', 'x'.repeat(64), { qos: 1 })
  await queue.push(one)
  let at = performance.now()
  for (let i = 0; i < 300; i++) await queue.push(one)
  const strictMs = (performance.now() - at) / 300
  at = performance.now()
  const batch = Array.from({ length: 100 }, () => one)
  for (let i = 0; i < 300; i++) await queue.push(batch)
  const pushesPerSecond = Math.round(30_000 / ((performance.now() - at) / 1000))
  at = performance.now()
  await Promise.all(Array.from({ length: 30_000 }, () => queue.push(one)))
  const concurrentPerSecond = Math.round(30_000 / ((performance.now() - at) / 1000))
  await queue.close()
  return {
    strictMs,
    pushesPerSecond,
    concurrentPerSecond,
    relaxedMs: await rawMs('relaxed'),
    rawStrictMs: await rawMs('strict'),
  }
}

/** Milliseconds of a transaction of one record, without anything above IndexedDB. */
async function rawMs(durability: 'strict' | 'relaxed'): Promise<number> {
  const request = indexedDB.open('raw', 1)
  request.onupgradeneeded = () => request.result.createObjectStore('records')
  await new Promise((resolve) => {
    request.onsuccess = resolve
  })
  const at = performance.now()
  for (let i = 0; i < 300; i++) {
    const transaction = request.result.transaction('records', 'readwrite', { durability })
    transaction.objectStore('records').put(new Uint8Array(300), `${i}`)
    transaction.commit()
    await new Promise((resolve) => {
      transaction.oncomplete = resolve
    })
  }
  request.result.close()
  return (performance.now() - at) / 300
}

Object.assign(globalThis, { disk: { push, send, codeOfSecond, codeOfFile, figures } })
