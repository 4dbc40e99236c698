/**
 * Goal: what users expect of a broker works with a real one: credentials, wills, retained messages,
 * sessions, shared subscriptions, large payloads, and a broker that stops answering. Method: no
 * test waits for a time, only for what has to happen.
 */
import { createHash, pbkdf2Sync, randomBytes } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, type TestContext, test } from 'vitest'
import {
  decodeSession,
  type Eventloop,
  type EventloopOptions,
  encodeSession,
  eventloop,
  type IncomingPublish,
  publish,
  RefusedError,
  run,
  subscribe,
} from '../../src/index.ts'
import { Mosquitto, requireMosquitto } from '../support/mosquitto.ts'
import { temporaryFolder, until } from '../support/process.ts'
import { Relay } from '../support/relay.ts'

type Version = 4 | 5

async function open(context: TestContext, lines: readonly string[] = []): Promise<Mosquitto> {
  requireMosquitto(context)
  const broker = await Mosquitto.start(lines)
  context.onTestFinished(() => broker[Symbol.asyncDispose]())
  return broker
}

/** Reads messages until one has this payload, and leaves the loop with that one acknowledged. */
async function messagesUntil(loop: Eventloop, last: string): Promise<IncomingPublish[]> {
  const messages: IncomingPublish[] = []
  for await (const packet of loop) {
    if (packet.cmd !== 'publish') continue
    if (packet.payload.toString() === last) {
      loop.ack(packet)
      break
    }
    messages.push(packet)
  }
  return messages
}

async function subscribed(loop: Eventloop): Promise<void> {
  for (;;) {
    const { value: packet } = await loop.next()
    if (packet === undefined) throw new Error('the loop ended before it had subscribed')
    if (packet.cmd === 'suback') return
  }
}

const texts = (messages: readonly IncomingPublish[]) =>
  messages.map(({ payload }) => payload.toString())

async function reason(options: EventloopOptions): Promise<unknown> {
  try {
    for await (const _ of eventloop(options));
  } catch (error) {
    return error
  }
  return null
}

/** A line of mosquitto's password file. */
function passwordLine(user: string, password: string): string {
  const salt = randomBytes(12)
  const hash = pbkdf2Sync(password, salt, 101, 64, 'sha512')
  return `${user}:$7$101$${salt.toString('base64')}$${hash.toString('base64')}\n`
}

describe.each<Version>([5, 4])('MQTT version %s', (protocolVersion) => {
  test('[N2] the right user name and password are accepted, wrong ones end the loop at the first attempt', async (context) => {
    const folder = temporaryFolder()
    context.onTestFinished(folder.remove)
    const file = join(folder.path, 'passwords')
    writeFileSync(file, passwordLine('anna', 'p@ss:word/1'))
    const broker = await open(context, ['allow_anonymous false', `password_file ${file}`])
    const relay = await Relay.open(context, broker.port)
    const options = { url: relay.url, protocolVersion, reconnect: 'always' } as const
    const request = () => [publish('t', 'p', { qos: 1 })]

    const good = { ...options, username: 'anna', password: 'p@ss:word/1' }
    expect((await run(good, request())).failed).toEqual([])
    const inUrl = relay.url.replace('//', '//anna:p%40ss%3Aword%2F1@')
    expect((await run({ ...options, url: inUrl }, request())).failed).toEqual([])

    const before = relay.connections
    const wrong = await reason({ ...options, username: 'anna', password: 'secret' })
    const none = await reason(options)
    for (const error of [wrong, none]) {
      expect(error).toBeInstanceOf(RefusedError)
      expect(error).toMatchObject({ retryable: false })
      expect(String(error)).not.toContain('secret')
    }
    expect(relay.connections - before).toBe(2)
  })

  test('a retained message comes to each later subscriber, until it is cleared', async (context) => {
    const { url } = await open(context)
    const options = { url, protocolVersion }
    const last = publish('lamp', 'last', { qos: 1 })
    const watch = () =>
      messagesUntil(eventloop(options, [subscribe('lamp', { qos: 1 }), last]), 'last')

    await run(options, [publish('lamp', 'on', { qos: 1, retain: true })])
    const seen = await watch()
    expect(seen.map(({ retain }) => retain)).toEqual([true])
    expect(texts(seen)).toEqual(['on'])
    await run(options, [publish('lamp', '', { qos: 1, retain: true })])
    expect(await watch()).toEqual([])
  })

  test('[D1] [N3] a session is resumed by a later loop and by a later process, and adopted by one without it', async (context) => {
    const { url } = await open(context)
    const options = { url, protocolVersion, clientId: 'edge' }
    const send = async (text: string) => {
      const { failed } = await run({ url, protocolVersion }, [publish('t', text, { qos: 2 })])
      expect(failed).toEqual([])
    }
    const first = eventloop({ ...options, cleanStart: false }, [subscribe('t', { qos: 2 })])
    await subscribed(first)
    await first.return()

    await send('for the next loop')
    const second = eventloop({ ...options, session: first.session, until: 'closed' })
    expect((await second.next()).value).toMatchObject({ cmd: 'connack', sessionPresent: true })
    expect((await second.next()).value).toMatchObject({ cmd: 'publish', qos: 2, topic: 't' })
    await second.next() // Asking for the next packet says that the message was handled; PUBREL answers that.
    await second.return()

    await send('for the next process')
    const text = encodeSession(second.session)
    const third = eventloop({ ...options, session: decodeSession(text), until: 'closed' })
    await send('end')
    expect(texts(await messagesUntil(third, 'end'))).toEqual(['for the next process'])

    await send('for nobody that you know')
    const fourth = eventloop({ ...options, session: 'adopt', until: 'closed' })
    await send('end')
    expect(texts(await messagesUntil(fourth, 'end'))).toEqual(['for nobody that you know'])
  })

  test.for([0, 1, 2] as const)(
    '10 MB go there and come back at QoS %s, byte for byte',
    async (qos, context) => {
      const { url } = await open(context)
      const payload = randomBytes(10_000_000)
      const digest = sha256(payload)
      const loop = eventloop({ url, protocolVersion }, [
        subscribe('big', { qos }),
        publish('big', payload, { qos }),
        publish('big', 'end', { qos }),
      ])
      const messages = await messagesUntil(loop, 'end')
      expect(messages.map((message) => [message.qos, message.payload.length])).toEqual([
        [qos, payload.length],
      ])
      expect(sha256(messages[0]!.payload)).toBe(digest)
      expect(loop.state.counters.reconnections).toEqual({})
    },
  )

  test('[K2] [N1] a broker that stops answering is left within 1.5 × keepAlive, and connected to again later', async (context) => {
    const broker = await open(context)
    const keepAlive = 2
    // One attempt hangs in the queue of the suspended broker until the broker continues.
    const reconnect = { minMs: 0, maxMs: 10 }
    const options = {
      url: broker.url,
      protocolVersion,
      keepAlive,
      connectTimeout: 60_000,
      reconnect,
    }
    const loop = eventloop({ ...options, cleanStart: false }, [subscribe('t', { qos: 1 })])
    await subscribed(loop)
    const connacks: boolean[] = []
    const reading = (async () => {
      for await (const packet of loop) {
        if (packet.cmd === 'connack') connacks.push(packet.sessionPresent)
        if (packet.cmd === 'publish') return packet.payload.toString()
      }
      return null
    })()

    // A delay of this process itself must not be blamed on the loop.
    const late = monitorEventLoopDelay({ resolution: 5 })
    late.enable()
    const suspendedAt = performance.now()
    broker.signal('SIGSTOP')
    while (loop.state.counters.reconnections['KEEP_ALIVE_TIMEOUT'] === undefined) {
      if (performance.now() > suspendedAt + 60_000) break
      await sleep(5)
    }
    const tookMs = performance.now() - suspendedAt
    late.disable()
    expect(loop.state.counters.reconnections).toEqual({ KEEP_ALIVE_TIMEOUT: 1 })
    // Node's timers count whole milliseconds, and the counter is read up to 5 ms late.
    expect(tookMs).toBeLessThan(keepAlive * 1500 + 3 * (late.max / 1e6) + 50)

    broker.signal('SIGCONT')
    await until(() => connacks.length === 1, 'the broker is taken up again')
    expect(connacks).toEqual([true])
    await run({ url: broker.url, protocolVersion }, [publish('t', 'still here', { qos: 1 })])
    expect(await reading).toBe('still here')
  })
})

test('[E2] the will is published if the loop leaves with reason 4, and not with 0', async (context) => {
  const { url } = await open(context)
  const watcher = eventloop(url, [subscribe('will/#', { qos: 1 })])
  await subscribed(watcher)
  const leave = async (clientId: string, disconnectReason: 0 | 4) => {
    const will = { topic: `will/${clientId}`, payload: clientId, qos: 1 } as const
    // MQTT 3.1.1 has no reason codes, so version 5 is required.
    const options = { url, clientId, will, disconnectReason, protocolVersion: 5 } as const
    await run(options, [publish('t', 'p', { qos: 1 })])
  }
  await leave('quiet', 0)
  await leave('loud', 4)
  await run(url, [publish('will/end', 'end', { qos: 1 })])
  expect(texts(await messagesUntil(watcher, 'end'))).toEqual(['loud'])
})

test('[D5] a session at the broker without one here is adopted', async (context) => {
  const { url } = await open(context)
  const options = { url, clientId: 'edge', cleanStart: false, reconnect: 'always' } as const
  const first = eventloop(options, [subscribe('t')])
  await subscribed(first)
  await first.return()
  const second = eventloop(options)
  expect((await second.next()).value).toMatchObject({ cmd: 'connack', sessionPresent: true })
  await run(url, [publish('t', 'x')])
  expect((await second.next()).value).toMatchObject({ cmd: 'publish', topic: 't' })
  await second.return()
})

test('a shared subscription gives each message to one of its subscribers, and each gets some', async (context) => {
  const { url } = await open(context)
  const total = 300
  const seen: string[][] = [[], [], []]
  const members = seen.map(() => eventloop({ url }, [subscribe('$share/group/t', { qos: 1 })]))
  await Promise.all(members.map(subscribed))
  const count = () => seen.flat().length
  const reading = members.map(async (loop, i) => {
    for await (const packet of loop) {
      if (packet.cmd !== 'publish') continue
      seen[i]!.push(packet.payload.toString())
      if (count() >= total) for (const member of members) member.disconnect()
    }
  })
  const numbers = Array.from({ length: total }, (_, i) => String(i))
  const requests = numbers.map((number) => publish('t', number, { qos: 1 }))
  expect((await run(url, requests)).failed).toEqual([])
  await Promise.all(reading)
  expect(seen.flat().sort()).toEqual([...numbers].sort())
  for (const each of seen) expect(each.length).toBeGreaterThan(0)
})

test('everything that an MQTT 5 message may carry arrives as it was sent', async (context) => {
  const { url } = await open(context)
  const properties = {
    payloadFormatIndicator: true,
    messageExpiryInterval: 1000,
    responseTopic: 'answers/7',
    correlationData: Buffer.from([0, 1, 2, 255]),
    userProperties: { unit: 'K', tags: ['a', 'b'] },
    contentType: 'text/plain',
  }
  const loop = eventloop({ url, clientId: 'both' }, [
    subscribe('t', { qos: 1, properties: { subscriptionIdentifier: 42 } }),
    publish('t', '21', { qos: 1, properties }),
    publish('t', 'end', { qos: 1 }),
  ])
  const [message] = await messagesUntil(loop, 'end')
  const { messageExpiryInterval, ...rest } = message?.properties ?? {}
  expect(messageExpiryInterval).toBeGreaterThan(0)
  const { messageExpiryInterval: _, ...sent } = properties
  expect(structuredClone(rest)).toEqual(structuredClone({ ...sent, subscriptionIdentifier: 42 }))
})

test("[MQTT-3.8.3-3] No Local keeps one's own messages away, and lets those of others pass", async (context) => {
  const { url } = await open(context)
  const loop = eventloop({ url }, [
    subscribe('t', { qos: 1, nl: true }),
    publish('t', 'mine', { qos: 1 }),
  ])
  for (;;) {
    const { value: packet } = await loop.next()
    if (packet === undefined) throw new Error('the loop ended before its message was acknowledged')
    if (packet.cmd === 'puback') break
  }
  await run(url, [publish('t', 'theirs', { qos: 1 }), publish('t', 'end', { qos: 1 })])
  expect(texts(await messagesUntil(loop, 'end'))).toEqual(['theirs'])
})

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}
