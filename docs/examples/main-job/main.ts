/**
 * The main job: a file, a link that breaks, and nothing is lost.
 *
 *   npm start                                  with a broker of its own
 *   npm start -- mqtt://user:password@host     with any broker
 *   npm start -- --readings 1000 --cuts 2      a shorter run
 *
 * Every reading of a sensor is published at QoS 1 through one loop, whose connection is cut several
 * times on the way, and received in a second one. The exit status is 0 only if every reading
 * arrived, in order.
 */
import { randomBytes } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { type AddressInfo, createServer, isIP } from 'node:net'
import { createInterface } from 'node:readline'
import { checkServerIdentity } from 'node:tls'
import { parseArgs } from 'node:util'
import { Aedes } from 'aedes'
import { SingleBar } from 'cli-progress'
import {
  connect,
  type Eventloop,
  type EventloopOptions,
  eventloop,
  type PublishRequest,
  publish,
  subscribe,
} from 'it-mqtt'
import { openRelay, type Relay } from './relay.ts'

const FILE = new URL('../../data/nab/machine_temperature_system_failure.csv', import.meta.url)
const READINGS = 22_695
const PORTS: Readonly<Record<string, number>> = { 'mqtts:': 8883, 'tls:': 8883 }
/** Once all is acknowledged, a receiver that gets nothing for this many ms waits no longer. */
const QUIET_MS = 10_000
/** The window is full again after that time, and much is on its way in both directions. */
const CUT_AFTER_MS = 3

interface Reading {
  /** Counts from 0: shows repeats, losses and the order. */
  readonly number: number
  readonly timestamp: string
  readonly value: number
}

/** Counts what happened so far. */
class Tally {
  published = 0
  acknowledged = 0
  connections = 0
  repeated = 0
  outOfOrder = 0
  #expected = 0
  readonly #received = new Set<number>()

  get received(): number {
    return this.#received.size
  }

  /** QoS 1 may bring a message again; the order is checked on first deliveries. */
  receive(number: number): void {
    if (this.#received.has(number)) {
      this.repeated++
      return
    }
    this.#received.add(number)
    if (number < this.#expected) this.outOfOrder++
    this.#expected = Math.max(this.#expected, number + 1)
  }

  progress(): string {
    const { published, acknowledged, received } = this
    return `published ${published}, acknowledged ${acknowledged}, received ${received}`
  }

  summary(): string {
    const lost = this.published - this.received
    const reconnections = Math.max(0, this.connections - 1)
    const faults = `lost ${lost}, out of order ${this.outOfOrder}`
    return `${this.progress()}, ${faults}, reconnections ${reconnections}`
  }
}

/** The request stream: the file is read only as far as the loop asks for requests. */
async function* readings(
  topic: string,
  total: number,
  tally: Tally,
): AsyncGenerator<PublishRequest> {
  const lines = createInterface({ input: createReadStream(FILE), crlfDelay: Infinity })
  for await (const line of lines) {
    const [timestamp = '', value = ''] = line.split(',')
    if (timestamp === 'timestamp') continue
    if (tally.published === total) return
    const reading: Reading = { number: tally.published++, timestamp, value: Number(value) }
    yield publish(topic, JSON.stringify(reading), { qos: 1 })
  }
}

/** Publishes all readings; the loop reconnects by itself whenever the link is cut. */
async function send(
  loop: Eventloop,
  relay: Relay,
  cutsAt: readonly number[],
  tally: Tally,
): Promise<void> {
  let cuts = 0
  for await (const packet of loop) {
    if (packet.cmd === 'connack') tally.connections++
    if (packet.cmd === 'puback') tally.acknowledged++
    // Acknowledgements of a connection that was cut may still come, so each connection is cut once.
    if (tally.connections === cuts || tally.acknowledged < (cutsAt[cuts] ?? Infinity)) continue
    cuts++
    setTimeout(() => relay.cut(), CUT_AFTER_MS)
  }
}

/** Receives all readings, or those that come until somebody ends the loop. */
async function receive(loop: Eventloop, total: number, tally: Tally, onSubscribed: () => void) {
  for await (const packet of loop) {
    if (packet.cmd === 'suback') {
      if (packet.granted[0] !== 1) throw new Error(`No subscription at QoS 1: ${packet.granted}`)
      onSubscribed()
    }
    if (packet.cmd !== 'publish') continue
    const { number } = JSON.parse(packet.payload.toString()) as Reading
    tally.receive(number)
    if (tally.received < total) continue
    loop.ack(packet)
    return
  }
}

/**
 * Ends the receiver once nothing has come for a while.
 *
 * @returns the timer, for the caller to clear.
 */
function endWhenQuiet(loop: Eventloop, tally: Tally): NodeJS.Timeout {
  let seen = -1
  return setInterval(() => {
    if (seen === tally.received) loop.disconnect()
    seen = tally.received
  }, QUIET_MS)
}

/**
 * @returns options for the broker behind the relay; its certificate must still be for its own name.
 */
function throughRelay(relay: Relay, url: URL): EventloopOptions {
  const { protocol, hostname, username, password } = url
  const near = new URL(`${protocol === 'unix:' ? 'mqtt:' : protocol}//127.0.0.1:${relay.port}`)
  const host = hostname.replace(/[[\]]/g, '')
  return {
    url: Object.assign(near, { username, password }),
    ...(protocol in PORTS ? { tls: tlsFor(host) } : {}),
    maxInflight: 200,
    // The link is cut every few hundred ms and is back immediately: try again soon.
    reconnect: { minMs: 50, maxMs: 500 },
  }
}

function tlsFor(host: string): NonNullable<EventloopOptions['tls']> {
  return {
    ...(isIP(host) ? {} : { servername: host }),
    checkServerIdentity: (_, certificate) => checkServerIdentity(host, certificate),
  }
}

async function openBroker(): Promise<{ url: string; close: () => void }> {
  const broker = await Aedes.createBroker()
  const server = createServer(broker.handle)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const close = () => {
    server.close()
    broker.close()
  }
  return { url: `mqtt://127.0.0.1:${port}`, close }
}

/** Ends the sessions of this program at the broker, which would keep them otherwise. */
async function forgetSessions(url: URL, clientIds: readonly string[]): Promise<void> {
  for (const clientId of clientIds) {
    const connected = await connect({ url, clientId, cleanStart: true })
    await connected[Symbol.asyncDispose]()
  }
}

function showProgress(total: number, tally: Tally): () => void {
  const bar = new SingleBar({
    format: '{bar} {percentage} % | {progress}',
    barsize: 20,
    linewrap: true,
    noTTYOutput: true,
    notTTYSchedule: 2_000,
    clearOnComplete: true,
  })
  const update = () => bar.update(tally.received, { progress: tally.progress() })
  bar.start(total, 0, { progress: tally.progress() })
  const timer = setInterval(update, 100)
  return () => {
    clearInterval(timer)
    update()
    bar.stop()
  }
}

async function main(given: string | undefined, total: number, cuts: number): Promise<boolean> {
  const broker = given === undefined ? await openBroker() : null
  const url = new URL(given ?? broker?.url ?? '')
  const relay = await openRelay(url, PORTS[url.protocol] ?? 1883)
  const run = randomBytes(4).toString('hex')
  const topic = `it-mqtt/main-job/${run}/machine-temperature`
  const clientIds = [`main-job-${run}-to`, `main-job-${run}-from`] as const
  const tally = new Tally()
  // The session at the broker survives a lost connection.
  const durable = { cleanStart: false, sessionExpiryInterval: 300 }
  const receiver = eventloop({ url, ...durable, clientId: clientIds[1], until: 'closed' }, [
    subscribe(topic, { qos: 1 }),
  ])
  const sender = eventloop(
    { ...throughRelay(relay, url), ...durable, clientId: clientIds[0] },
    readings(topic, total, tally),
  )
  const cutsAt = Array.from({ length: cuts }, (_, i) => ((i + 1) * total) / (cuts + 1))
  let watch: NodeJS.Timeout | undefined
  let stopProgress = () => {}
  try {
    let receiving = Promise.resolve()
    const subscribed = new Promise<void>((resolve) => {
      receiving = receive(receiver, total, tally, resolve)
    })
    await Promise.race([subscribed, receiving])
    stopProgress = showProgress(total, tally)
    await send(sender, relay, cutsAt, tally)
    watch = endWhenQuiet(receiver, tally)
    await receiving
    await forgetSessions(url, clientIds)
  } finally {
    clearInterval(watch)
    await sender.return()
    await receiver.return()
    stopProgress()
    relay.close()
    broker?.close()
  }
  if (tally.repeated > 0) console.log(`${tally.repeated} came twice, as QoS 1 allows`)
  console.log(tally.summary())
  const isWhole = tally.acknowledged === total && tally.received === total
  return isWhole && tally.published === total && tally.outOfOrder === 0
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    readings: { type: 'string', default: String(READINGS) },
    cuts: { type: 'string', default: '5' },
  },
})
try {
  const total = Math.min(Number(values.readings), READINGS)
  process.exitCode = (await main(positionals[0], total, Number(values.cuts))) ? 0 : 1
} catch (error) {
  console.error((error as Error).message)
  process.exitCode = 1
}
