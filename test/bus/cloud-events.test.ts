/**
 * Goal: events can be CloudEvents, ours and those of others, and keep their identity on all ways.
 * What is none is treated as any event that cannot be read (B6, B7, B11). Method: buses at a broker
 * in memory; tables of messages; a program with MQTT.js that knows nothing of a bus.
 */
import { MqttClient } from 'mqtt'
import { describe, expect, onTestFinished, test } from 'vitest'
import { z } from 'zod'
import {
  type BusEvent,
  type BusOptions,
  createBus,
  defineApi,
  type FireOptions,
  inspectMessage,
  redriveDeadLetters,
} from '../../src/bus/index.ts'
import { fakeBus } from '../../src/bus/testing/index.ts'
import { bytes } from '../../src/client/index.ts'
import type { PublishProperties } from '../../src/index.ts'
import { memoryPair } from '../../src/platform/node/memory-pair.ts'
import { createBroker } from '../../src/testing/index.ts'
import { answers, auth, BusWorld } from './bus-world.ts'

const AT = Date.UTC(2026, 10, 30)
const ada = { name: 'Ada', age: '36' }
const TOPIC = 'bus/auth/v1/event/registered'
const cloud = { envelope: 'cloudevents' } as const satisfies Partial<BusOptions>

/** A CloudEvent of somebody else. */
const foreign = {
  ...{ specversion: '1.0', id: 'c1', source: 'https://example.com/users', type: 'com.example.new' },
  time: '2026-11-30T01:02:03.5+01:00',
}

const body = { ...foreign, datacontenttype: 'application/json', ext: 7, data: ada }
const { data: _, ...attributes } = body
const json = { contentType: 'application/cloudevents+json; charset=utf-8' }
const inBase64 = { data_base64: Buffer.from(JSON.stringify(ada)).toString('base64') }

/** Attributes that are not those of a CloudEvent, and why. */
const MALFORMED: readonly [string, object][] = [
  ['has no specversion 1.0', { specversion: '0.3' }],
  ['has no specversion 1.0', { specversion: '' }],
  ['has no id', { id: undefined }],
  ['has no id', { id: '' }],
  ['has no source', { source: undefined }],
  ['has no type', { type: undefined }],
  ['has a source that is no URI reference', { source: '/a b' }],
  ['has a time that is not as in RFC 3339', { time: 'yesterday' }],
  ['has a time that is not as in RFC 3339', { time: '2026-11-30' }],
  ['has a time that is not as in RFC 3339', { time: '2026-13-30T00:00:00Z' }],
  ['has a time that is not as in RFC 3339', { time: '2026-11-30 00:00:00Z' }],
  ['has more than one id', { id: ['c1', 'c1'] }],
  ['has more than one specversion', { specversion: ['1.0', '1.0'] }],
  ['has more than one time', { time: [foreign.time, foreign.time] }],
  ['has more than one itmby', { itmby: ['a', 'b'] }],
]

/** Payloads in structured mode, which say the same. */
const IN_JSON: readonly [string, object][] = [
  ['data', body],
  ['data without a type', { ...foreign, data: ada }],
  [
    'a text of another type',
    { ...attributes, datacontenttype: 'text/x', data: '{"name":"Ada","age":"36"}' },
  ],
  ['data_base64', { ...attributes, ...inBase64 }],
  ['null', { ...body, time: null, data_base64: null }],
]

/** Content types and payloads that are no CloudEvent in JSON, and why. */
const MALFORMED_JSON: readonly [string, string, string][] = [
  ['is not in JSON', 'application/cloudevents+avro', JSON.stringify(body)],
  ['is not in JSON', 'application/cloudevents-batch+json', `[${JSON.stringify(body)}]`],
  ['is not in JSON', 'application/cloudevents', JSON.stringify(body)],
  ['is not in JSON', json.contentType, '{'],
  ['is not in JSON', json.contentType, '['.repeat(100_000)],
  ['is no JSON object', json.contentType, `[${JSON.stringify(body)}]`],
  ['has no id', json.contentType, JSON.stringify({ ...body, id: 1 })],
  ['has no id', json.contentType, '{"specversion":"1.0","__proto__":{"id":"a"}}'],
  ['has both data and data_base64', json.contentType, JSON.stringify({ ...body, ...inBase64 })],
  [
    ...(['has a data_base64 that is not Base64', json.contentType] as const),
    JSON.stringify({ ...attributes, data_base64: '%' }),
  ],
]

/** A bus that fires, one that listens, and what it heard. */
async function story(
  options: Partial<BusOptions> = cloud,
  onError: 'deadLetter' | 'skip' = 'skip',
) {
  const w = new BusWorld()
  Object.assign(w.clock, { wallNow: () => AT })
  const server = w.bus('web', options)
  server.serve(auth, answers)
  await w.run(server)
  const heard: Partial<BusEvent>[] = []
  const failing = { times: 0 }
  const mail = w.bus('mail')
  const listener = mail.api(auth).registered.listen('welcome', { onError }, (event) => {
    const { id, dedupeId, version, by, firedAt, value, key, headers } = event
    heard.push({ id, dedupeId, version, by, firedAt, value, key, headers })
    if (failing.times-- > 0) throw new Error('not now')
  })
  await w.run(mail)
  const send = async (
    userProperties: object,
    payload: string | Uint8Array = JSON.stringify(ada),
    more: PublishProperties = {},
  ) => {
    const properties = { ...more, userProperties } as never
    w.broker.publish(TOPIC, payload, { qos: 1, properties })
    await w.clock.advance(20)
  }
  const fire = (given: FireOptions = {}) => w.value(server.fire(auth, 'registered', ada, given), 50)
  return { w, server, mail, listener, heard, failing, send, fire }
}

/** @returns the latest PUBLISH that came to the broker. */
function latest(w: BusWorld) {
  const all = w.broker.received.flatMap(({ packet }) => (packet.cmd === 'publish' ? [packet] : []))
  const { topic, payload, properties } = all.at(-1)!
  return { topic, payload: String(payload), properties: { ...properties } as PublishProperties }
}

describe('what is sent', () => {
  test('an event is a CloudEvent in binary mode, and nothing else', async () => {
    const { w, fire, heard } = await story()
    const headers = { subject: 'ada', 'itm-key': 'forged', time: 'never', 'x-a': 'b' }
    await fire({ id: 'e1', key: 'k/1', headers })
    const { topic, payload, properties } = latest(w)
    expect([topic, JSON.parse(payload)]).toEqual([`${TOPIC}/k%2F1`, ada])
    expect({ ...properties.userProperties }).toEqual({
      ...{ subject: 'ada', 'x-a': 'b', specversion: '1.0', id: 'e1', source: '/bus/web' },
      ...{ type: 'auth.v1.registered', time: '2026-11-30T00:00:00.000Z' },
      ...{ itmversion: '1.2.0', itmby: 'web/p0' },
    })
    expect(properties).toMatchObject({ contentType: 'application/json' })
    expect(heard).toMatchObject([
      {
        ...{ id: 'e1', dedupeId: 'mail.welcome+ce//bus/web e1', version: '1.2.0', by: 'web/p0' },
        ...{ firedAt: AT, value: { name: 'Ada', age: 36 }, key: 'k/1' },
      },
    ])
  })

  test('the names of attributes and their values are legal, whatever is set', async () => {
    const w = new BusWorld()
    Object.assign(w.clock, { wallNow: () => -1e15 })
    const bus = w.bus('web', { ...cloud, prefix: 'a/b', process: 'p\u0085/ä' })
    const api = defineApi({ name: 'shop/cart', version: '2.0.0-rc.1', events: { paid: {} } })
    bus.serve(api, {})
    await w.value(bus.fire(api, 'paid'), 100)
    const { userProperties, contentType } = latest(w).properties
    expect({ ...userProperties }).toEqual({
      ...{ specversion: '1.0', id: expect.stringMatching(/^[\da-f-]{36}$/), source: '/a/b/web' },
      ...{ type: 'shop.cart.v2.paid', itmversion: '2.0.0-rc.1', itmby: 'web/p%C2%85%2Fä' },
    })
    expect(Object.keys(userProperties!).join('')).toMatch(/^[a-z0-9]+$/)
    expect(contentType).toBeUndefined()
    const fire = bus.fire(api, 'paid', undefined, { id: 'a\u0001' })
    expect(await w.error(fire, 100)).toMatchObject({ message: expect.stringContaining('control') })
  })

  test('the outbox keeps the envelope', async () => {
    const pushed: { properties?: PublishProperties }[] = []
    const outbox = {
      push: async (request: never) => void pushed.push(request),
      settled: () => {},
      async *[Symbol.asyncIterator]() {},
    }
    const { fire } = await story({ ...cloud, outbox: outbox as never })
    await fire({ id: 'e1', durable: true })
    expect(pushed[0]!.properties!.userProperties).toMatchObject({ specversion: '1.0', id: 'e1' })
  })

  test('without MQTT 5 the value travels alone, and a warning says so once', async () => {
    const w = new BusWorld(4)
    const unset = { protocolVersion: undefined }
    const broker = createBroker({ clock: w.clock, protocolVersions: [4] } as never)
    onTestFinished(() => broker.close())
    const client = { ...unset, transport: broker.transport, platform: w.clock, keepAlive: 0 }
    const warnings: string[] = []
    const bus = createBus({
      ...{ ...cloud, service: 'web', process: 'p', schema: false },
      client: { ...client, onWarning: ({ code }) => warnings.push(code) },
    })
    bus.serve(auth, answers)
    for (const id of ['e1', 'e2']) await w.value(bus.fire(auth, 'registered', ada, { id }), 3000)
    const packets = broker.received.flatMap(({ packet }) =>
      packet.cmd === 'publish' && packet.topic === TOPIC ? [String(packet.payload)] : [],
    )
    expect(packets).toEqual([JSON.stringify(ada), JSON.stringify(ada)])
    expect(warnings.filter((code) => code === 'ENVELOPE_LOST')).toEqual(['ENVELOPE_LOST'])
    await w.value(bus.close(), 1000)
  })

  test.each<[string, Partial<BusOptions>, string]>([
    ['another name', { envelope: 'xml' as never }, 'envelope must be one of itm, cloudevents'],
    [
      'MQTT 3.1.1',
      { ...cloud, client: { url: 'mqtt://localhost', protocolVersion: 4 } },
      'CloudEvents are sent with MQTT 5 only',
    ],
  ])('createBus refuses %s', (_, options, message) => {
    const given = { service: 'web', client: 'mqtt://localhost', ...options }
    expect(() => createBus(given)).toThrow(message)
  })
})

describe('what is heard', () => {
  test('both envelopes are understood, and one does not hide the other', async () => {
    const { heard, send } = await story()
    await send({ ...foreign, traceparent: '00-1' })
    await send({ 'itm-key': 'c1', 'itm-by': 'web/p', specversion: '9', id: 'x' })
    await send({ specversion: '1.0', id: 'c1', source: '/a', type: 't', itmversion: 'zzz' })
    expect(heard.map(({ id, by, firedAt, dedupeId }) => [id, by, firedAt, dedupeId])).toEqual([
      [
        ...['c1', 'https://example.com/users', Date.UTC(2026, 10, 30, 0, 2, 3, 500)],
        'mail.welcome+ce/https://example.com/users c1',
      ],
      ['c1', 'web/p', null, 'mail.welcome/c1'],
      ['c1', '/a', null, 'mail.welcome+ce//a c1'],
    ])
    expect(heard[0]).toMatchObject({ version: null, headers: { traceparent: '00-1' } })
    expect(heard[2]!.version).toBeNull()
  })

  test('[B7] an event is the same if source and id are', async () => {
    const { listener, send, heard } = await story()
    for (const source of ['/a', '/a', '/b']) await send({ ...foreign, source })
    await send({ ...foreign, source: '/a', id: 'c2' })
    await send({ ...foreign, source: '/a', id: 'x'.repeat(401) })
    await send({ ...foreign, source: `/${'a'.repeat(400)}` })
    expect(listener.stats).toMatchObject({ received: 6, handled: 5, repeated: 1 })
    expect(heard.slice(-2).map(({ dedupeId }) => dedupeId)).toEqual([null, null])
  })

  test('[B11] what is malformed is given up as what does not fit its schema', async () => {
    const { w, listener, send, heard } = await story()
    for (const [why, part] of MALFORMED) {
      const given = Object.entries({ ...foreign, ...part }).filter(([, one]) => one !== undefined)
      w.warnings.length = 0
      await send(Object.fromEntries(given))
      expect(w.warnings.map(({ message }) => message).join(), JSON.stringify(part)).toContain(why)
    }
    expect(listener.stats).toMatchObject({ handled: 0, skipped: MALFORMED.length })
    // The same event, and right this time.
    await send(foreign)
    expect(heard).toMatchObject([{ id: 'c1' }])
  })

  test('one that is malformed ends a listener with `stop`, as what does not fit', async () => {
    const w = new BusWorld()
    const bus = w.bus('mail')
    const events = bus.api(auth).registered.listen('log')
    const next = events.next()
    await w.clock.advance(100)
    w.broker.publish(TOPIC, '', { qos: 1, properties: { userProperties: { specversion: '1.0' } } })
    expect(await w.error(next, 100)).toMatchObject({
      ...{ name: 'ProtocolError', code: 'INVALID_PAYLOAD' },
      message: expect.stringContaining('has no id'),
    })
  })

  test('the structured mode in JSON is read', async () => {
    const { heard, send } = await story()
    for (const [what, given] of IN_JSON) {
      await send({ 'x-a': 'b' }, JSON.stringify({ ...given, id: what }), json)
      expect(heard.at(-1), what).toMatchObject({
        ...{ id: what, by: foreign.source, value: { name: 'Ada', age: 36 } },
        dedupeId: `mail.welcome+ce/${foreign.source} ${what}`,
        headers: { 'x-a': 'b', type: 'com.example.new' },
      })
    }
  })

  test('[B11] what is malformed in structured mode is given up', async () => {
    const { w, listener, send } = await story()
    for (const [why, contentType, payload] of MALFORMED_JSON) {
      w.warnings.length = 0
      await send({}, payload, { contentType })
      const told = w.warnings.map(({ message }) => message).join()
      expect(told, payload.slice(0, 99)).toContain(why)
    }
    expect(listener.stats).toMatchObject({ handled: 0, skipped: MALFORMED_JSON.length })
  })

  test('another codec reads the bytes of both modes', async () => {
    const api = defineApi({ name: 'a', version: '1.0.0', events: { e: { payload: z.any() } } })
    const w = new BusWorld()
    const bus = w.bus('mail', { codec: bytes as never })
    const heard: string[] = []
    bus.api(api).e.listen('log', {}, ({ value }) => heard.push(Buffer.from(value).toString()))
    await w.run(bus)
    const octets = 'application/octet-stream'
    const inJson = JSON.stringify({ ...foreign, datacontenttype: octets, data_base64: 'aGk=' })
    w.broker.publish('bus/a/v1/event/e', 'ho', {
      ...{ qos: 1, properties: { contentType: octets, userProperties: { ...foreign, id: 'c0' } } },
    })
    w.broker.publish('bus/a/v1/event/e', inJson, { qos: 1, properties: json })
    await w.clock.advance(100)
    expect(heard).toEqual(['ho', 'hi'])
  })

  test('who looks on sees what a listener sees', () => {
    const payload = Buffer.from(JSON.stringify(body))
    const seen = { kind: 'event', id: 'c1', by: foreign.source, firedAt: Date.parse(foreign.time) }
    for (const properties of [{ userProperties: foreign }, json]) {
      expect(inspectMessage({ topic: TOPIC, payload, properties })).toMatchObject(seen)
    }
  })
})

describe('dead letters', () => {
  test.each(['binary', 'structured'] as const)(
    '[B11] a CloudEvent in %s mode that is put back keeps its identity',
    async (mode) => {
      const { w, failing, send, heard, listener } = await story(cloud, 'deadLetter')
      failing.times = 2
      const client = { keepAlive: 0, platform: w.clock, transport: w.broker.transport }
      const place = { client, service: 'mail', listener: 'welcome', idle: 100 }
      const letters: unknown[] = []
      const redrive = () =>
        w.value(redriveDeadLetters({ ...place, onLetter: ({ id }) => letters.push(id) }), 10_000)
      await redrive()
      for (const source of ['/a', '/b']) {
        const given = { ...foreign, source }
        if (mode === 'binary') await send(given)
        else {
          const contentType = 'application/cloudevents+json'
          await send({}, JSON.stringify({ ...given, data: ada }), { contentType })
        }
      }
      expect(await redrive()).toMatchObject({ count: 2 })
      expect(letters).toEqual(['c1', 'c1'])
      expect(heard.map(({ dedupeId }) => dedupeId)).toEqual([
        ...['mail.welcome+ce//a c1', 'mail.welcome+ce//b c1'],
        ...['mail.welcome~1+ce//a c1', 'mail.welcome~1+ce//b c1'],
      ])
      expect(heard[2]).toMatchObject({ id: 'c1', firedAt: Date.parse(foreign.time) })
      expect(listener.stats).toMatchObject({ dead: 2, handled: 2 })
    },
  )
})

test('[B11] malformed letters with one id are put back each', async () => {
  const { w, send, listener } = await story(cloud, 'deadLetter')
  const client = { keepAlive: 0, platform: w.clock, transport: w.broker.transport }
  const place = { client, service: 'mail', listener: 'welcome', idle: 100 }
  await w.value(redriveDeadLetters(place), 10_000)
  for (const payload of ['1', '2']) await send({ specversion: '1.0', id: 'c1' }, payload)
  expect(await w.value(redriveDeadLetters(place), 10_000)).toMatchObject({ count: 2 })
  expect(listener.stats).toMatchObject({ dead: 4, handled: 0 })
})

test('a fake bus knows the events that were fired as CloudEvents', async () => {
  await using fake = fakeBus({ bus: { ...cloud, schema: false } })
  fake.bus.serve(auth, answers)
  const fired = fake.bus.fire(auth, 'registered', ada, { id: 'e1' })
  await fake.settle()
  await fired
  expect(fake.fired(auth, 'registered')).toMatchObject([{ id: 'e1', by: 'app/p0', value: ada }])
})

test('[B6] a program with MQTT.js fires a plain CloudEvent, and hears ours', async () => {
  const broker = createBroker()
  const mqtt = new MqttClient(
    () => {
      const [stream, server] = memoryPair()
      broker.accept(server)
      return stream
    },
    { clientId: 'js', protocolVersion: 5, reconnectPeriod: 0 },
  )
  const client = { transport: broker.transport }
  const bus = createBus({ ...cloud, service: 'users', process: 'p1', client })
  onTestFinished(async () => {
    await bus.close({ timeout: 500 })
    await mqtt.endAsync(true)
    broker.close()
  })
  const heard = new Promise<unknown>((resolve) => {
    bus.api(auth).registered.listen('welcome', {}, ({ id, by, value }) => resolve([id, by, value]))
  })
  bus.serve(auth, answers, { schema: false })
  bus.run().catch(() => {})
  await mqtt.subscribeAsync('bus/auth/v1/event/#', { qos: 1 })
  const theirs = new Promise<Record<string, unknown>>((resolve) => {
    mqtt.on('message', (_topic, payload, { properties }) => {
      const { id, source } = properties!.userProperties as Record<string, unknown>
      if (source === '/bus/users') resolve({ id, source, payload: String(payload) })
    })
  })
  const send = () =>
    mqtt.publish(TOPIC, JSON.stringify(ada), {
      ...{ qos: 1, properties: { contentType: 'application/json', userProperties: foreign } },
    })
  const timer = setInterval(send, 20)
  onTestFinished(() => clearInterval(timer))
  expect(await heard).toEqual(['c1', foreign.source, { name: 'Ada', age: 36 }])
  await bus.fire(auth, 'registered', ada, { id: 'e1' })
  expect(await theirs).toEqual({ id: 'e1', source: '/bus/users', payload: JSON.stringify(ada) })
})
