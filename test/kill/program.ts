/**
 * The program that is killed: a process of its own that publishes from a spool, or receives, until
 * it is told to finish.
 *
 *   program send URL FOLDER QOS SESSION PROCESS  prints each request that the spool accepted:
 *                                                `+ PROCESS:NUMBER`
 *   program send URL FOLDER QOS SESSION end      delivers what is left
 *   program receive URL FOLDER PROCESS           prints each message that it handles:
 *                                                `= DELIVERYID REDELIVERED TEXT`
 *
 * A line is written immediately, so that it is there even if the process is killed next.
 */
import { writeSync } from 'node:fs'
import { join } from 'node:path'
import { openSession, type Spool, spool } from '../../src/disk/index.ts'
import { type EventloopOptions, eventloop, publish, type QoS, subscribe } from '../../src/index.ts'

const [mode, url = '', folder = '', ...rest] = process.argv.slice(2)
/** More than the network takes in one go, and few enough to be delivered in the end. */
const QUEUED_MAX = 400
const BURST_MAX = 20

function print(text: string): void {
  writeSync(1, `${text}\n`)
}

async function options(clientId: string, session: boolean): Promise<EventloopOptions> {
  return {
    url,
    clientId,
    keepAlive: 5,
    reconnect: { when: 'always', minMs: 10, maxMs: 200 },
    ...(session ? { session: await openSession(join(folder, 'session')) } : {}),
  }
}

async function send(qosText: string, session: string, life: string): Promise<void> {
  const qos = Number(qosText) as QoS
  const queue = await spool(join(folder, 'spool'), { maxMessages: QUEUED_MAX })
  const loop = eventloop(
    { ...(await options('sender', session === 'session')), until: 'settled' },
    queue,
  )
  if (life === 'end') queue.end()
  else void produce(queue, qos, life)
  for await (const _ of loop) {
    // The spool gets the outcomes.
  }
  await queue.close()
}

async function produce(queue: Spool, qos: QoS, life: string): Promise<void> {
  for (let number = 0; ; ) {
    const texts = Array.from({ length: 1 + Math.floor(Math.random() * BURST_MAX) }, () => {
      return `${life}:${number++}`
    })
    await queue.push(texts.map((text) => publish('out', text, { qos })))
    for (const text of texts) print(`+ ${text}`)
  }
}

async function receive(): Promise<void> {
  const loop = eventloop({ ...(await options('receiver', true)), until: 'closed' }, [
    subscribe('in', { qos: 2 }),
  ])
  for await (const packet of loop) {
    if (packet.cmd === 'suback') print('subscribed')
    if (packet.cmd !== 'publish') continue
    print(`= ${packet.deliveryId} ${packet.redelivered === true} ${packet.payload}`)
    if (packet.payload.toString() === 'end') break
  }
}

if (mode === 'send') await send(rest[0]!, rest[1]!, rest[2]!)
else await receive()
