/**
 * Goal: sessions outlive what they should with a real broker, and nothing is left of the others.
 * Method: mosquitto 2 is restarted while clients are connected, or between two lives of one. It
 * keeps a session over its own restart only if it did not begin with Clean Start 1, and forgets the
 * shared subscriptions of a session.
 */
import { connect } from 'node:net'
import { join } from 'node:path'
import mqtt from 'mqtt-packet'
import { describe, expect, type TestContext, test } from 'vitest'
import { openSession } from '../../src/disk/index.ts'
import {
  type Eventloop,
  type EventloopOptions,
  eventloop,
  type IncomingPublish,
  publish,
  run,
  subscribe,
} from '../../src/index.ts'
import { DURABLE, Mosquitto, requireMosquitto } from '../support/mosquitto.ts'
import { temporaryFolder, until } from '../support/process.ts'

async function open(context: TestContext, lines: readonly string[] = []): Promise<Mosquitto> {
  requireMosquitto(context)
  const broker = await Mosquitto.start(lines)
  context.onTestFinished(() => broker[Symbol.asyncDispose]())
  return broker
}

/** Handles packets until one is a SUBACK. */
async function subscribed(loop: Eventloop): Promise<void> {
  for (;;) {
    const { value } = await loop.next()
    if (value === undefined) throw new Error('the loop ended before it had subscribed')
    if (value.cmd === 'suback') return
  }
}

/** @returns the payloads of `count` messages, which are handled; then the loop has ended. */
async function collect(loop: Eventloop, count: number): Promise<string[]> {
  const payloads: string[] = []
  for await (const packet of loop) {
    if (packet.cmd !== 'publish') continue
    payloads.push(String(packet.payload))
    if (payloads.length < count) continue
    loop.ack(packet)
    break
  }
  return payloads
}

const numbers = (from: number, to: number) =>
  Array.from({ length: to - from }, (_, i) => String(from + i))

describe.each([4, 5] as const)('MQTT version %s', (protocolVersion) => {
  test('[D5] [C13] jobs of a shared subscription reach its workers after a restart of the broker', async (context) => {
    const broker = await open(context, DURABLE)
    const done: string[] = []
    let subacks = 0
    const work = async (worker: string) => {
      const options: EventloopOptions = {
        ...{ url: broker.url, protocolVersion, clientId: worker, cleanStart: false },
        ...{ reconnect: { when: 'always', minMs: 10, maxMs: 100 }, until: 'closed' },
      }
      const loop = eventloop(options, [subscribe('$share/crew/jobs/#', { qos: 1 })])
      context.onTestFinished(async () => {
        await loop.return()
      })
      for await (const packet of loop) {
        if (packet.cmd === 'suback') subacks++
        if (packet.cmd === 'publish') done.push(String(packet.payload))
      }
    }
    for (const worker of ['ann', 'bob']) void work(worker)
    await until(() => subacks === 2, 'both workers are subscribed')
    const send = async (jobs: readonly string[]) => {
      const requests = jobs.map((job) => publish(`jobs/${job}`, job, { qos: 1 }))
      const { failed } = await run({ url: broker.url, protocolVersion }, requests)
      expect(failed).toEqual([])
    }
    await send(numbers(0, 300))
    await until(
      () => done.length >= 300,
      () => `${done.length} of 300 jobs are done`,
    )
    await broker.restart('SIGTERM')
    await until(() => subacks >= 4, 'both workers are subscribed again')
    await send(numbers(300, 600))
    await until(
      () => new Set(done).size >= 600,
      () => `${new Set(done).size} of 600 jobs are done`,
    )
    expect(new Set(done)).toEqual(new Set(numbers(0, 600)))
  })

  test('[D5] what a worker held when it was killed it gets again under its own name', async (context) => {
    const broker = await open(context)
    // mosquitto sends at most 20 to a client of MQTT 3.1.1 that acknowledges none.
    const JOBS = 30
    const done = new Set<string>()
    let subacks = 0
    let held = 0
    const work = (worker: string, handle: (loop: Eventloop, packet: IncomingPublish) => void) => {
      const session = { cleanStart: false, sessionExpiryInterval: 60 }
      const options: EventloopOptions = {
        ...{ url: broker.url, protocolVersion, clientId: worker, acks: 'manual' },
        ...(protocolVersion === 5 ? session : { cleanStart: false }),
      }
      const loop = eventloop(options, [subscribe('$share/crew/jobs/#', { qos: 1 })])
      const reading = async () => {
        for await (const packet of loop) {
          if (packet.cmd === 'suback') subacks++
          if (packet.cmd === 'publish') handle(loop, packet)
        }
      }
      context.onTestFinished(() => loop.shutdown())
      void reading()
      return loop
    }
    const finish = (loop: Eventloop, packet: IncomingPublish) => {
      done.add(String(packet.payload))
      loop.ack(packet)
    }
    const ann = work('ann', () => {
      held++
    })
    work('bob', finish)
    await until(() => subacks === 2, 'both workers are subscribed')
    const jobs = numbers(0, JOBS).map((job) => publish(`jobs/${job}`, job, { qos: 1 }))
    await run({ url: broker.url, protocolVersion }, jobs)
    await until(
      () => done.size + held === JOBS,
      () => `${done.size} done and ${held} held`,
    )
    expect(held).toBeGreaterThan(0)
    ann.shutdown()
    work('ann', finish)
    await until(
      () => done.size === JOBS,
      () => `${done.size} of ${JOBS} jobs are done`,
    )
  })

  const lives: [string, (folder: string) => Promise<EventloopOptions>][] = [
    ['cleanStart: false', async () => ({ cleanStart: false })],
    ['openSession', async (folder) => ({ session: await openSession(join(folder, 'session')) })],
  ]
  test.for(lives)(
    '[D1] [D5] %s: what is sent after the first life of a subscriber outlives a restart of the broker',
    async ([, sessionOf], context) => {
      const folder = temporaryFolder()
      context.onTestFinished(() => folder.remove())
      const broker = await open(context, DURABLE)
      const options = { url: broker.url, protocolVersion, clientId: 'durable' }
      const request = subscribe('news', { qos: 1 })
      const first = eventloop({ ...options, ...(await sessionOf(folder.path)) }, [request])
      await subscribed(first)
      await first.return()
      const send = (texts: readonly string[]) =>
        run(
          { url: broker.url, protocolVersion },
          texts.map((text) => publish('news', text, { qos: 1 })),
        )
      await send(numbers(0, 5))
      await broker.restart('SIGTERM')
      await send(numbers(5, 10))
      const second = eventloop({ ...options, ...(await sessionOf(folder.path)) }, [request])
      expect(await collect(second, 10)).toEqual(numbers(0, 10))
    },
  )

  test('[E2] nothing is left of the session of a generated identifier', async (context) => {
    const broker = await open(context)
    for (const cleanStart of [true, 'always'] as const) {
      const loop = eventloop({ url: broker.url, protocolVersion, cleanStart }, [
        subscribe('t', { qos: 1 }),
      ])
      await subscribed(loop)
      const { clientId } = loop.state
      await loop.return()
      const after = eventloop({ url: broker.url, protocolVersion, clientId, session: 'adopt' })
      expect((await after.next()).value).toMatchObject({ cmd: 'connack', sessionPresent: false })
      await after.return()
    }
  })

  test('[D1] [D5] messages of QoS 2 that an earlier process left half sent swallow none of the next', async (context) => {
    const broker = await open(context)
    const watcher = eventloop({ url: broker.url, until: 'closed' }, [
      subscribe('total', { qos: 2 }),
    ])
    await subscribed(watcher)
    await leaveHalfSent(broker, protocolVersion, 5)
    const options = { url: broker.url, protocolVersion, clientId: 'half', cleanStart: false }
    const requests = numbers(0, 10).map((text) => publish('total', text, { qos: 2 }))
    const { failed } = await run(options, requests)
    expect(failed).toEqual([])
    const seen = await collect(watcher, 15)
    expect(seen.filter((text) => text !== 'old')).toEqual(numbers(0, 10))
  })
})

/** Publishes under the identifiers 1 to `count`, and vanishes after their PUBRECs. */
async function leaveHalfSent(broker: Mosquitto, version: 4 | 5, count: number): Promise<void> {
  const socket = connect(broker.port, '127.0.0.1')
  const options = { protocolVersion: version }
  const parser = mqtt.parser(options)
  let pubrecs = 0
  socket.on('data', (chunk) => parser.parse(chunk))
  const write = (packet: mqtt.Packet) => socket.write(mqtt.generate(packet, options))
  parser.on('packet', ({ cmd }) => {
    if (cmd === 'pubrec') pubrecs++
    if (cmd !== 'connack') return
    for (let messageId = 1; messageId <= count; messageId++) {
      const message = { topic: 'total', payload: 'old', qos: 2, dup: false, retain: false } as const
      write({ cmd: 'publish', messageId, ...message })
    }
  })
  write({
    ...{ cmd: 'connect', protocolId: 'MQTT', protocolVersion: version, clientId: 'half' },
    ...{ clean: false, keepalive: 60 },
    ...(version === 5 ? { properties: { sessionExpiryInterval: 300 } } : {}),
  })
  await until(() => pubrecs === count, 'the broker has received all of them')
  socket.destroy()
}
