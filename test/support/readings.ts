/**
 * The main job as a measurement: the sample file goes from one loop to another through a broker
 * that is restarted meanwhile, each time at a number of acknowledged messages.
 */
import { createReadStream } from 'node:fs'
import { createInterface } from 'node:readline'
import { expect } from 'vitest'
import {
  type EventloopOptions,
  eventloop,
  type Outcome,
  type PublishRequest,
  publish,
  subscribe,
} from '../../src/index.ts'

const FILE = new URL('../../docs/data/nab/machine_temperature_system_failure.csv', import.meta.url)
export const READINGS = 22_695
/**
 * Configuration of the broker: mosquitto 2.0 loses messages at QoS 2 of 3.1.1 clients that send
 * more than it expects.
 */
export const MAX_INFLIGHT = 1000
/** The publisher's window, well below that, so that the broker never comes near its limit. */
const WINDOW = 100
const LAST = 'the last one'

interface Job {
  readonly url: string
  readonly protocolVersion: 4 | 5
  readonly qos: 1 | 2
  readonly total: number
  readonly restarts: number
  readonly restart: () => Promise<void>
}

interface Delivery {
  /** Numbers of the readings in the order received, repeats included. */
  readonly received: readonly number[]
  readonly outcomes: readonly Outcome[]
  readonly held: number
  /** Session Present of each connection. */
  readonly publisher: readonly boolean[]
  readonly subscriber: readonly boolean[]
}

async function* readings(topic: string, total: number, qos: 1 | 2): AsyncGenerator<PublishRequest> {
  let number = -1
  for await (const line of createInterface({ input: createReadStream(FILE) })) {
    if (number >= 0) yield publish(topic, `${number},${line}`, { qos })
    if (++number === total) break
  }
  yield publish(topic, LAST, { qos })
}

export async function deliver({ url, protocolVersion, qos, ...job }: Job): Promise<Delivery> {
  const { total, restarts, restart } = job
  const topic = `machine/${qos}`
  const failed = new AbortController()
  const options = (clientId: string): EventloopOptions => ({
    url,
    clientId,
    protocolVersion,
    cleanStart: false,
    // A broker that is back after some ms is worth a quick second try.
    reconnect: { when: 'always', minMs: 10, maxMs: 100 },
    signal: failed.signal,
  })

  const received: number[] = []
  const released = new Map<number | undefined, string>()
  const subscriber: boolean[] = []
  const subscribed = deferred()
  const receiving = (async () => {
    const receiver = options('subscriber')
    const limit = receiver.protocolVersion === 5 ? { receiveMaximum: MAX_INFLIGHT } : {}
    const loop = eventloop({ ...receiver, ...limit }, [subscribe(topic, { qos })])
    const underway = new Map<number | undefined, string>()
    for await (const packet of loop) {
      const { messageId } = packet
      if (packet.cmd === 'connack') subscriber.push(packet.sessionPresent)
      if (packet.cmd === 'suback') subscribed.resolve()
      if (packet.cmd === 'pubrel') released.set(messageId, underway.get(messageId) ?? '')
      if (packet.cmd !== 'publish') continue
      const payload = packet.payload.toString()
      underway.set(messageId, payload)
      // A broker that publishes again what it had released breaks a rule [MQTT-4.3.3-6], and nobody
      // can tell that from a new message.
      if (packet.dup && released.get(messageId) === payload) continue
      if (payload !== LAST) received.push(Number.parseInt(payload, 10))
      else loop.disconnect()
    }
  })()
  await Promise.race([subscribed.promise, receiving])

  const outcomes: Outcome[] = []
  const publisher: boolean[] = []
  const onSettled = (_: unknown, outcome: Outcome) => void outcomes.push(outcome)
  const loop = eventloop(
    { ...options('publisher'), maxInflight: WINDOW, onSettled },
    readings(topic, total, qos),
  )
  let acknowledged = 0
  let begun = 0
  let restarting = false
  for await (const packet of loop) {
    if (packet.cmd === 'connack') publisher.push(packet.sessionPresent)
    if (packet.cmd === (qos === 1 ? 'puback' : 'pubcomp')) acknowledged++
    const due = begun < restarts && acknowledged >= ((begun + 1) * total) / (restarts + 1)
    if (!due || restarting) continue
    begun++
    restarting = true
    restart().then(
      () => (restarting = false),
      (error) => failed.abort(error),
    )
  }
  await receiving
  return { received, outcomes, held: loop.session.held.length, publisher, subscriber }
}

/**
 * Checks that nothing was lost, nothing doubled at QoS 2, first deliveries are in order, and each
 * has one outcome.
 */
export function check(delivery: Delivery, { qos, total, restarts }: Job): void {
  const { received, outcomes, held, publisher, subscriber } = delivery
  const all = Array.from({ length: total }, (_, number) => number)
  const first = [...new Set(received)]
  expect(first.length, 'readings that arrived').toBe(total)
  expect(first, 'the order of first deliveries').toEqual(all)
  if (qos === 2) expect(received.length - total, 'readings that came again').toBe(0)
  expect(outcomes.filter(({ ok }) => !ok)).toEqual([])
  expect(outcomes.length).toBe(total + 1)
  expect(held).toBe(0)
  // The broker did stop each time and had kept the session: that is what had to be survived.
  expect(publisher).toEqual([false, ...Array(restarts).fill(true)])
  expect(subscriber.slice(0, 1)).toEqual([false])
  expect(subscriber.slice(1)).not.toContain(false)
  if (restarts > 0) expect(subscriber.length).toBeGreaterThan(1)
}

function deferred(): { promise: Promise<void>; resolve: () => void } {
  let resolve = () => {}
  const promise = new Promise<void>((settle) => {
    resolve = settle
  })
  return { promise, resolve }
}
