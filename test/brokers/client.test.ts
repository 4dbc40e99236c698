/**
 * Goal: `it-mqtt/client` keeps its promises at mosquitto, ejabberd, RabbitMQ, NATS and aedes, in
 * each version that they speak. Method: real clients, a relay that loses links, and nothing that
 * waits for a time; what is awaited in vain says what it was. docs/BROKERS.md is written from the
 * titles too (`npm run brokers`).
 */
import { expect, test } from 'vitest'
import type { Client, Message, Response } from '../../src/client/index.ts'
import { eventloop, publish, type QoS, run, subscribe } from '../../src/index.ts'
import { type Spoken, withEachBroker } from '../support/each-broker.ts'
import { until } from '../support/process.ts'
import {
  Collected,
  expectWarnings,
  RealClients,
  reconnects,
  soon,
  textOf,
} from '../support/real-clients.ts'

const TEST_MS = 30_000
/** How many retained messages are looked for, and how often. */
const RETAINED = { messages: 40, rounds: 8 }

const numbers = (count: number) => Array.from({ length: count }, (_, i) => String(i))

withEachBroker(TEST_MS, (spoken) => {
  facts(spoken)
  messages(spoken)
  subscriptions(spoken)
  connections(spoken)
  requests(spoken)
})

/** What each broker does; docs/BROKERS.md has these titles. */
function facts(spoken: Spoken): void {
  const { kind, version } = spoken
  const overlap = kind.overlap[version]!

  test(`overlapping filters: ${overlap}`, async (context) => {
    const clients = new RealClients(spoken, context)
    const identified = (id: number) =>
      version === 5 ? { properties: { subscriptionIdentifier: id } } : {}
    for (const [wide, narrow] of [
      [0, 0],
      [1, 1],
      [0, 1],
    ] as const) {
      const topic = `${clients.base}/${wide}${narrow}`
      const loop = eventloop({ ...clients.target, until: 'closed' }, [
        subscribe(`${topic}/+`, { qos: wide, ...identified(1) }),
        subscribe(`${topic}/both`, { qos: narrow, ...identified(2) }),
      ])
      const copies: unknown[] = []
      const behind = new Set<number>()
      const wanted = new Set([wide, narrow]).size
      let granted = 0
      const reading = async () => {
        for await (const packet of loop) {
          if (packet.cmd === 'suback' && ++granted === 2) {
            await run(clients.target, [publish(`${topic}/both`, '', { qos: 1 })])
            await run(clients.target, [
              publish(`${topic}/behind`, '', { qos: 0 }),
              publish(`${topic}/both`, 'behind', { qos: 1 }),
            ])
          }
          if (packet.cmd !== 'publish') continue
          // What comes at one QoS is no proof that nothing comes at the other.
          if (packet.payload.length > 0) behind.add(packet.qos)
          else if (packet.topic.endsWith('both')) {
            copies.push(packet.properties?.subscriptionIdentifier)
          }
          if (behind.size === (overlap === 'one copy' ? 1 : wanted)) break
        }
      }
      await soon(reading(), () => `the messages behind; there are ${copies.length} copies`)
      const isOne = overlap === 'one copy' || (overlap === 'one copy for each QoS' && wanted === 1)
      expect(copies).toHaveLength(isOne ? 1 : 2)
      if (version === 5 && !isOne) expect(new Set(copies)).toEqual(new Set([1, 2]))
    }
  })

  const order = kind.retainedBeforeFence ? 'yes' : 'not always'
  test(`retained before a later message: ${order}`, async (context) => {
    const clients = new RealClients(spoken, context)
    const { base, target } = clients
    const topics = numbers(RETAINED.messages).map((n) => `${base}/kept/${n}`)
    await run(
      target,
      topics.map((topic) => publish(topic, 'kept', { qos: 1, retain: true })),
    )
    for (let round = 0; round < RETAINED.rounds; round++) {
      const qos = (round % 2) as QoS
      const filters = kind.retainedByWildcard && round % 4 < 2 ? `${base}/kept/+` : topics
      const loop = eventloop({ ...target, until: 'closed' }, [
        subscribe(`${base}/fence`, { qos }),
        subscribe(filters, { qos }),
      ])
      let [granted, came, before] = [0, 0, -1]
      const reading = async () => {
        for await (const packet of loop) {
          if (packet.cmd === 'suback' && ++granted === 2) {
            void run(target, [publish(`${base}/fence`, '', { qos })])
          }
          if (packet.cmd !== 'publish') continue
          if (packet.retain) came++
          else before = came
          if (before >= 0 && came === topics.length) break
        }
      }
      await soon(reading(), () => `retained messages; there are ${came}, ${before} before`)
      if (kind.retainedBeforeFence) expect(before).toBe(topics.length)
    }
  })

  const brings = kind.retainedByWildcard ? 'yes' : 'no'
  test(`retained by wildcard: ${brings}`, async (context) => {
    const clients = new RealClients(spoken, context)
    const { base } = clients
    const client = clients.client()
    await soon(client.publish(`${base}/a`, 'kept', { retain: true }), 'the publish')
    const { synced } = client.subscribe(`${base}/+`, { acks: 'receipt' })
    const { count } = await soon(synced, 'synced')
    expect(count).toBe(kind.retainedByWildcard ? 1 : 0)
  })

  const saying = version === 5 ? kind.saysNobody : []
  const says = saying.length === 0 ? 'not said' : `said at QoS ${saying.join(' and ')}`
  test(`nobody has subscribed: ${says}`, async (context) => {
    const clients = new RealClients(spoken, context)
    const client = clients.client()
    for (const qos of [1, clients.highestQoS] as const) {
      const published = await soon(client.publish(clients.base, '', { qos }), 'the publish')
      expect(published.noMatchingSubscribers, `QoS ${qos}`).toBe(saying.includes(qos))
    }
  })
}

function messages(spoken: Spoken): void {
  for (const qos of [0, 1, 2] as const) {
    if (qos > spoken.kind.maximumQoS) continue
    test(`[M3] [M5] messages at QoS ${qos} come in order and are acknowledged`, async (context) => {
      const clients = new RealClients(spoken, context)
      const { base } = clients
      const [sender, receiver] = [clients.client(), clients.client(clients.keeping())]
      const subscription = receiver.subscribe(base, { qos })
      expect(await soon(subscription.granted, 'granted')).toEqual([qos])
      const collected = new Collected(subscription)
      const published = numbers(100).map((n) => sender.publish(base, n, { qos }))
      await soon(Promise.all(published), 'the publishes')
      await collected.has('99')
      expect(collected.fresh).toEqual(numbers(100))
      expect(new Set(collected.messages.map((one) => one.qos))).toEqual(new Set([qos]))
      // The pull behind the last message has acknowledged it.
      expect(subscription.state).toMatchObject({ waiting: 0, inHand: 0 })
      expectWarnings(clients, [])
    })
  }

  test('[M5] what was acknowledged does not come again, and the rest does', async (context) => {
    const clients = new RealClients(spoken, context)
    const { base } = clients
    const { relay, url } = await clients.relayed()
    const receiver = clients.client(clients.keeping({ url }))
    const subscription = receiver.subscribe(base, { acks: 'manual' })
    await soon(subscription.granted, 'granted')
    const sender = clients.client()
    for (const n of numbers(4)) await soon(sender.publish(base, n), 'the publish')
    const next = async () => (await soon(subscription.next(), 'a message')).value!
    for (const n of numbers(3)) {
      const message = await next()
      expect(textOf(message)).toBe(n)
      if (n !== '2') message.ack()
    }
    await soon(receiver.ping(), 'PINGRESP')
    expect(await reconnects(receiver, () => relay.cut())).toBe(true)
    const again = await next()
    expect(textOf(again)).toBe('2')
    expect(again.redelivered).toBe(spoken.kind.marksRepetitions)
    again.ack()
    expect(textOf(await next())).toBe('3')
  })

  test('[M6] a message is given once to each of several subscriptions', async (context) => {
    const clients = new RealClients(spoken, context)
    const { base } = clients
    const receiver = clients.client()
    const filters = [`${base}/+`, `${base}/a`, `${base}/#`, `${base}/a`]
    const subscriptions = filters.map((filter) => receiver.subscribe(filter))
    const all = subscriptions.map((one) => new Collected(one))
    await soon(Promise.all(subscriptions.map(({ granted }) => granted)), 'granted')
    const sender = clients.client()
    for (const n of numbers(20)) await soon(sender.publish(`${base}/a`, n), 'the publish')
    await soon(sender.publish(`${base}/b`, 'b'), 'the publish')
    await soon(sender.publish(`${base}/a`, 'last'), 'the publish')
    for (const one of all) await one.has('last')
    const areUntold = spoken.version === 4 && spoken.kind.overlap[4] === 'copies'
    await soon(receiver.ping(), 'PINGRESP')
    const expected = (withB: boolean) => [...numbers(20), ...(withB ? ['b'] : []), 'last']
    for (const [i, one] of all.entries()) {
      const texts = areUntold ? [...new Set(one.texts)] : one.fresh
      expect(texts, filters[i]).toEqual(expected(i % 2 === 0))
    }
    expectWarnings(clients, areUntold ? ['OVERLAP'] : [])
  })

  test('[M6] filters that overlap at different QoS: once, or a warning', async (context) => {
    const clients = new RealClients(spoken, context)
    const { base } = clients
    const receiver = clients.client()
    const subscriptions = [
      receiver.subscribe(`${base}/+`, { qos: 0 }),
      receiver.subscribe(`${base}/a`, { qos: 1 }),
    ]
    const all = subscriptions.map((one) => new Collected(one))
    await soon(Promise.all(subscriptions.map(({ granted }) => granted)), 'granted')
    const sender = clients.client()
    for (const n of numbers(5)) await soon(sender.publish(`${base}/a`, n), 'the publish')
    for (const one of all) await one.has('4')
    await soon(receiver.ping(), 'PINGRESP')
    const areUntold = spoken.version === 4 && spoken.kind.overlap[4] !== 'one copy'
    for (const one of all) {
      expect(areUntold ? [...new Set(one.texts)] : one.fresh).toEqual(numbers(5))
    }
    expectWarnings(clients, areUntold ? ['OVERLAP'] : [])
  })
}

function subscriptions(spoken: Spoken): void {
  const { kind } = spoken

  for (const retainedBeforeFence of [undefined, true]) {
    if (retainedBeforeFence && !kind.retainedBeforeFence) continue
    const certainty = retainedBeforeFence ? 'ordered' : 'quiet'
    test(`[M9] synced counts the retained messages: ${certainty}`, async (context) => {
      const clients = new RealClients(spoken, context)
      const topics = numbers(10).map((n) => `${clients.base}/${n}`)
      const client = clients.client({ profile: { retainedBeforeFence } })
      const published = topics.map((topic) => client.publish(topic, 'kept', { retain: true }))
      await soon(Promise.all(published), 'the publishes')
      const filters = kind.retainedByWildcard ? [`${clients.base}/+`] : topics
      // What is not acknowledged would hold back the rest at a broker that does not send ahead.
      const subscription = client.subscribe(filters, { acks: 'receipt' })
      expect(await soon(subscription.synced, 'synced')).toEqual({ certainty, count: 10 })
      expect(subscription.state.waiting).toBe(10)
      await subscription.return()
    })
  }

  test('[M10] retained messages go to the newcomer only', async (context) => {
    const clients = new RealClients(spoken, context)
    const { base } = clients
    const client = clients.client()
    await soon(client.publish(base, 'kept', { retain: true }), 'the publish')
    const one = client.subscribe(base)
    const first = new Collected(one)
    await first.has('kept')
    await soon(one.synced, 'synced')
    const two = client.subscribe(base)
    const second = new Collected(two)
    await second.has('kept')
    await soon(two.synced, 'synced')
    await soon(client.publish(base, 'live'), 'the publish')
    await Promise.all([first.has('live'), second.has('live')])
    expect([first.texts, second.texts]).toEqual([
      ['kept', 'live'],
      ['kept', 'live'],
    ])
    expect(second.messages.map(({ retain }) => retain)).toEqual([true, false])
    await one.return()
    await soon(client.publish(base, 'later'), 'the publish')
    await second.has('later')
    expect(first.texts).not.toContain('later')
  })

  const { refuses } = kind
  if (refuses !== null) {
    test('[M11] a refusal ends its own subscription only', async (context) => {
      const clients = new RealClients(spoken, context)
      const { base } = clients
      const client = clients.client()
      const refused = client.subscribe(refuses)
      const other = new Collected(client.subscribe(base))
      const error = await soon(refused.granted, 'granted').catch((reason) => reason)
      expect(error).toMatchObject({ name: 'RefusedError', code: 'SUBSCRIBE_REFUSED' })
      expect(error.message).toContain(refuses)
      await expect(soon(refused.next(), 'the error')).rejects.toBe(error)
      expect(await soon(refused.next(), 'the end')).toMatchObject({ done: true })
      await soon(client.publish(base, '1'), 'the publish')
      await other.has('1')
      expect(client.state.connection.kind).toBe('connected')
    })
  }
}

function connections(spoken: Spoken): void {
  test('[M12] a session goes on: transitions alone tell of a lost link', async (context) => {
    const clients = new RealClients(spoken, context)
    const { base } = clients
    const { relay, url } = await clients.relayed()
    const client = clients.client(clients.keeping({ url }))
    const subscription = client.subscribe(base)
    const changes: string[] = []
    void watch(subscription.transitions(), changes)
    const collected = new Collected(subscription)
    await soon(subscription.granted, 'granted')
    const sender = clients.client()
    await soon(sender.publish(base, '1'), 'the publish')
    await collected.has('1')
    // The acknowledgement is at the broker when the PINGRESP comes.
    await soon(client.ping(), 'PINGRESP')
    const present = await reconnects(client, () => relay.cut())
    await soon(sender.publish(base, '2'), 'the publish')
    await collected.has('2')
    expect(present).toBe(true)
    expect(collected.fresh).toEqual(['1', '2'])
    // In MQTT 5 a subscription is renewed if the server was not seen to keep sessions.
    const expected = ['granted', 'resumed', ...(spoken.version === 5 ? ['granted'] : [])]
    await until(() => changes.length >= expected.length, 'the transitions')
    expect(changes).toEqual(expected)
  })

  test('[M12] a session is lost: transitions say that messages may be missing', async (context) => {
    const clients = new RealClients(spoken, context)
    const { base } = clients
    const { relay, url } = await clients.relayed()
    const client = clients.client({ url, cleanStart: 'always' })
    const subscription = client.subscribe(base)
    const changes: string[] = []
    void watch(subscription.transitions(), changes)
    const collected = new Collected(subscription)
    await soon(subscription.granted, 'granted')
    expect(await reconnects(client, () => relay.cut())).toBe(false)
    await until(
      () => changes.length >= 3,
      () => `the transitions; there are ${changes}`,
    )
    expect(changes).toEqual(['granted', 'renewing, gap', 'granted'])
    await soon(clients.client().publish(base, '1'), 'the publish')
    await collected.has('1')
  })

  test('[M14] [M2] close() leaves nothing, here and at the broker', async (context) => {
    const clients = new RealClients(spoken, context)
    const { base } = clients
    const before = openSockets()
    const client = clients.client({ clientId: `${base}once` })
    const responder = client.respond(`${base}/ask`, () => 'answer')
    const collected = new Collected(client.subscribe(`${base}/a`))
    await soon(responder.granted, 'granted')
    const response = await soon(client.request(`${base}/ask`), 'the response')
    expect(textOf(response)).toBe('answer')
    await soon(client.publish(`${base}/a`, '1'), 'the publish')
    await collected.has('1')
    const pending = client.subscribe(`${base}/b`).next()
    const running = client.run()
    expect(await soon(client.close(), 'the end')).toMatchObject({ unsettled: 0 })
    expect(await soon(pending, 'the pull')).toMatchObject({ done: true })
    await soon(running, 'run()')
    await collected.when(() => collected.hasEnded, 'the iterator ends').catch(() => {})
    expect([collected.hasEnded, collected.error]).toEqual([true, null])
    await until(() => openSockets() <= before, 'its socket is closed')
    await expect(client.publish(base)).rejects.toMatchObject({ code: 'ENDED' })
    // RabbitMQ closes a connection now and then while it forgets the session of the one before.
    const reconnect = { when: 'always', minMs: 50, maxMs: 500 } as const
    const target = { ...clients.target, clientId: `${base}once`, reconnect }
    const again = eventloop({ ...target, session: 'adopt' })
    const { value } = await soon(again.next(), 'CONNACK')
    expect(value).toMatchObject({ cmd: 'connack', sessionPresent: false })
    await again.return()
  })
}

function requests(spoken: Spoken): void {
  const { version } = spoken

  test('[Q1] [Q2] requests are answered, each with its own answer', async (context) => {
    const clients = new RealClients(spoken, context)
    const { base } = clients
    const responder = clients.client()
    const echo = responder.respond(`${base}/{name}`, ({ params, payload }) => {
      return `${params.name}: ${textOf({ payload })}`
    })
    void responder.run()
    await soon(echo.granted, 'granted')
    const requester = clients.client()
    const asked = numbers(50).map((n) => requester.request(`${base}/n${n}`, n))
    const answers = await soon(Promise.all(asked), 'the responses')
    expect(answers.map(textOf)).toEqual(numbers(50).map((n) => `n${n}: ${n}`))
    expect(requester.state.requests).toMatchObject({ open: 0, answered: 50, unknownAnswers: 0 })
    await soon(echo.close(), 'the responder closes')
    expect(echo.stats).toMatchObject({ answered: 50, failed: 0 })
  })

  test('[Q2] what a handler declares is the error of the request', async (context) => {
    const clients = new RealClients(spoken, context)
    const { base } = clients
    const responder = clients.client()
    const hot = responder.respond(base, (request) => request.fail('HOT', 'too hot', 'data'))
    void responder.run()
    await soon(hot.granted, 'granted')
    const error = await soon(clients.client().request(base), 'the response').catch((one) => one)
    expect(error).toMatchObject({ code: 'HOT', remote: { message: 'too hot' } })
  })

  const says = version === 5 ? 'rejects at once' : 'cannot be known, and times out'
  test(`[Q3] a request that nobody answers ${says}`, async (context) => {
    const clients = new RealClients(spoken, context)
    const client = clients.client()
    await soon(client.ready(), 'connected')
    // In MQTT 5 the answer of the broker comes long before the time-out.
    const timeout = version === 5 ? 15_000 : 300
    const error = await soon(client.request(clients.base, '', { timeout }), 'the error', 10_000)
      .then(() => null)
      .catch((one) => one)
    expect(error).toMatchObject({ code: version === 5 ? 'NO_RESPONDERS' : 'TIMEOUT' })
  })

  test('requestMany() takes the answers of several responders', async (context) => {
    const clients = new RealClients(spoken, context)
    const { base } = clients
    for (const name of ['one', 'two', 'three']) {
      const client = clients.client()
      void client.run()
      await soon(client.respond(base, () => name).granted, 'granted')
    }
    const answers = await soon(all(clients.client().requestMany(base, '', { max: 3 })), 'answers')
    expect(answers.sort()).toEqual(['one', 'three', 'two'])
  })

  test('[Q9] a streamed answer comes whole and in order, and break ends it', async (context) => {
    const clients = new RealClients(spoken, context)
    const { base } = clients
    const responder = clients.client()
    let [given, ended] = [0, 0]
    async function* count() {
      try {
        for (given = 0; given < 200; given++) yield `${given}`
      } finally {
        ended++
      }
    }
    // A request is acknowledged when it was answered. Until then a broker that does not send ahead
    // holds back the credit of the requester; at QoS 0 there is nothing to acknowledge.
    const qos = spoken.kind.sendsAhead ? 1 : 0
    const counting = responder.respond(base, count, { qos })
    void responder.run()
    await soon(counting.granted, 'granted')
    const requester = clients.client()
    expect(await soon(all(requester.requestMany(base)), 'the parts')).toEqual(numbers(200))
    expect(ended).toBe(1)
    const parts = requester.requestMany(base)
    expect(textOf((await soon(parts.next(), 'a part')).value!)).toBe('0')
    await soon(parts.return!(), 'the cancel')
    void requester.run()
    await until(() => ended === 2, 'the generator of the responder ends')
    expect(given).toBeLessThan(200)
  })

  const wire = version === 5 ? 'plain' : 'envelope'
  test(`[Q2] the wire ${wire}, written by hand, asks and answers`, async (context) => {
    const clients = new RealClients(spoken, context)
    const { base } = clients
    const byHand = clients.client()
    const asked = new Collected(byHand.subscribe(`${base}/hand`))
    const answered = new Collected(byHand.subscribe(`${base}/answers`))
    await soon(byHand.subscribe(`${base}/none`).granted, 'granted')
    const client = clients.client()
    const request = client.request(`${base}/hand`, 'go', { key: 'k1' })
    request.catch(() => {})
    await asked.when(() => asked.messages.length > 0, 'the request')
    await soon(answerByHand(byHand, asked.messages[0]!), 'the publish')
    expect(textOf(await soon(request, 'the response'))).toBe('yes')

    const responder = client.respond(`${base}/ours`, ({ payload, key }) => {
      return `${textOf({ payload })} ${key}`
    })
    void client.run()
    await soon(responder.granted, 'granted')
    await soon(askByHand(byHand, version, `${base}/ours`, `${base}/answers`), 'the publish')
    await answered.when(() => answered.messages.length > 0, 'the answer')
    const { payload, properties } = answered.messages[0]!
    if (version === 5) {
      expect(textOf({ payload })).toBe('go k2')
      expect(properties).toMatchObject({ userProperties: { 'itm-status': '200' } })
      expect([...(properties?.correlationData ?? [])]).toEqual([7])
    } else {
      const fields = JSON.parse(textOf({ payload }))
      expect(fields).toEqual({ id: '7', status: 200, payload: 'go k2' })
    }
  })
}

/** Answers a request as docs/WIRE.md has it. */
function answerByHand(client: Client, { payload, properties }: Message): Promise<unknown> {
  const replyTo = properties?.responseTopic
  if (replyTo !== undefined) {
    expect(textOf({ payload })).toBe('go')
    expect(properties).toMatchObject({
      messageExpiryInterval: expect.any(Number),
      userProperties: { 'itm-key': 'k1' },
    })
    const correlationData = properties!.correlationData!
    expect(correlationData).toHaveLength(16)
    const userProperties = { 'itm-status': '200' }
    return client.publish(replyTo, 'yes', { properties: { correlationData, userProperties } })
  }
  const { id, reply, expires, ...rest } = JSON.parse(textOf({ payload }))
  expect(id).toMatch(/^[0-9a-f]{32}$/)
  expect(rest).toEqual({ key: 'k1', payload: 'go' })
  // What is left of the default, 5,000 ms.
  expect(expires).toBeGreaterThan(0)
  expect(expires).toBeLessThanOrEqual(5000)
  return client.publish(reply, JSON.stringify({ id, status: 200, payload: 'yes' }))
}

/** Asks as docs/WIRE.md has it. */
function askByHand(client: Client, version: 4 | 5, topic: string, replyTo: string) {
  if (version === 4) {
    const fields = { id: '7', reply: replyTo, expires: 5000, key: 'k2', payload: 'go' }
    return client.publish(topic, JSON.stringify(fields))
  }
  const properties = {
    responseTopic: replyTo,
    correlationData: Buffer.from([7]),
    messageExpiryInterval: 5,
    userProperties: { 'itm-key': 'k2' },
  }
  return client.publish(topic, 'go', { properties })
}

async function all(responses: AsyncIterable<Response>): Promise<string[]> {
  const texts: string[] = []
  for await (const response of responses) texts.push(textOf(response))
  return texts
}

async function watch(
  transitions: AsyncIterable<{ readonly status: string; readonly gap: boolean }>,
  changes: string[],
): Promise<void> {
  for await (const { status, gap } of transitions) changes.push(gap ? `${status}, gap` : status)
}

const openSockets = () =>
  process.getActiveResourcesInfo().filter((name) => name === 'TCPSocketWrap').length
