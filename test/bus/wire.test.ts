/**
 * Goal: docs/WIRE.md has the bytes that are sent, and whoever reads it can write another side.
 * Method: the bytes of a PUBLISH are recorded; a second implementation of sixty lines, on MQTT.js
 * and the page alone, calls, answers, fires and listens.
 */
import { readFileSync } from 'node:fs'
import { MqttClient } from 'mqtt'
import { expect, onTestFinished, test } from 'vitest'
import { z } from 'zod'
import { createBus, declaredError, defineApi } from '../../src/bus/index.ts'
import type { IncomingPublish } from '../../src/index.ts'
import { memoryPair } from '../../src/platform/node/memory-pair.ts'
import { createBroker, virtualClock } from '../../src/testing/index.ts'

const page = readFileSync(new URL('../../docs/WIRE.md', import.meta.url), 'utf8')
const section = page.slice(page.indexOf('## The bus'))

/** The bytes of the blocks `hex`, whose lines have bytes, two spaces or more, and an explanation. */
const blocks = [...section.matchAll(/```hex\n(.*?)```/gs)].map(([, block]) =>
  block!
    .split('\n')
    .map((line) => line.split(/ {2,}/)[0]!.replaceAll(' ', ''))
    .join(''),
)

const auth = defineApi({
  name: 'auth',
  version: '1.2.0',
  rpcs: {
    check: {
      input: z.object({ name: z.string() }),
      output: z.boolean(),
      errors: { LOCKED: z.object({ until: z.number() }) },
    },
  },
  events: { registered: { payload: z.object({ name: z.string() }) } },
})

test.each([
  [0, 'itm'],
  [1, 'cloudevents'],
] as const)('docs/WIRE.md has the bytes of an event: block %i, %s', async (index, envelope) => {
  const clock = Object.assign(virtualClock(), { wallNow: () => Date.UTC(2026, 10, 30) })
  const broker = createBroker({ clock })
  const written: string[] = []
  const bus = createBus({
    ...{ service: 'web', process: 'p1', envelope },
    client: {
      ...{ platform: clock, keepAlive: 0 },
      transport: async () => {
        const [client, inner] = memoryPair()
        const end = broker.open()
        inner.on('data', (chunk: Buffer) => {
          written.push(chunk.toString('hex'))
          end.write(chunk, () => {})
        })
        end.on('data', (chunk) => inner.write(chunk))
        return client
      },
    },
  })
  bus.serve(auth, { check: () => true })
  const fired = bus.fire(auth, 'registered', { name: 'ada' }, { id: 'e1' })
  await clock.advance(100)
  await fired
  expect(written.join('')).toContain(blocks[index])
  const closing = bus.close()
  await clock.advance(5000)
  await closing
  broker.close()
})

type Answer = (input: unknown) => {
  readonly status: number
  readonly code?: string
  value?: unknown
}

/** The other side, as docs/WIRE.md has it. It knows nothing of this package. */
class OtherSide {
  readonly #client: MqttClient
  readonly #waiting = new Map<string, (packet: IncomingPublish) => void>()
  readonly #handlers: [RegExp, (packet: IncomingPublish) => void][] = []
  #count = 0

  constructor(client: MqttClient) {
    this.#client = client
    client.on('message', (topic, _, packet) => {
      const message = packet as never as IncomingPublish
      if (topic === 'answers/other')
        this.#waiting.get(String(packet.properties?.correlationData))?.(message)
      for (const [pattern, handle] of this.#handlers) if (pattern.test(topic)) handle(message)
    })
  }

  async call(
    api: string,
    rpc: string,
    input: unknown,
  ): Promise<{ status: string; code?: string; value: unknown }> {
    await this.#client.subscribeAsync('answers/other')
    const correlation = `c${++this.#count}`
    const answered = new Promise<IncomingPublish>((resolve) =>
      this.#waiting.set(correlation, resolve),
    )
    await this.#client.publishAsync(`bus/${api}/rpc/${rpc}`, JSON.stringify(input), {
      qos: 1,
      properties: {
        responseTopic: 'answers/other',
        correlationData: Buffer.from(correlation),
        messageExpiryInterval: 5,
        userProperties: { 'itm-key': correlation, 'itm-version': '1.0.0', 'itm-by': 'other/1' },
      },
    })
    const { payload, properties } = await answered
    const said = properties!.userProperties as Record<string, string>
    return { status: said['itm-status']!, code: said['itm-code'], value: parsed(payload) } as never
  }

  async answer(service: string, api: string, rpc: string, answer: Answer): Promise<void> {
    this.#handlers.push([
      new RegExp(`/rpc/${rpc}$`),
      ({ payload, properties }) => {
        const { status, code, value } = answer(parsed(payload))
        const { responseTopic, correlationData } = properties!
        this.#client.publish(responseTopic!, value === undefined ? '' : JSON.stringify(value), {
          properties: {
            correlationData: correlationData as Buffer,
            userProperties: { 'itm-status': `${status}`, ...(code && { 'itm-code': code }) },
          },
        })
      },
    ])
    await this.#client.subscribeAsync(`$share/${service}/bus/${api}/rpc/+`, { qos: 1 })
  }

  async fire(api: string, event: string, payload: unknown, id: string): Promise<void> {
    const userProperties = { 'itm-key': id, 'itm-version': '1.0.0', 'itm-by': 'other/1' }
    const properties = { contentType: 'application/json', userProperties }
    await this.#client.publishAsync(`bus/${api}/event/${event}`, JSON.stringify(payload), {
      qos: 1,
      properties,
    })
  }

  async listen(
    name: string,
    api: string,
    event: string,
    hear: (value: unknown, id: string) => void,
  ) {
    this.#handlers.push([
      new RegExp(`/event/${event}(/[^/]*)?$`),
      ({ payload, properties }) =>
        hear(parsed(payload), (properties!.userProperties as never)['itm-key']),
    ])
    await this.#client.subscribeAsync(`$share/${name}/bus/${api}/event/${event}/#`, { qos: 1 })
  }
}

const parsed = (payload: Uint8Array) =>
  payload.length === 0 ? undefined : JSON.parse(Buffer.from(payload).toString())

test('[B1] [B3] [B4] [B6] a second implementation and ours understand each other', async () => {
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
  const bus = createBus({ service: 'ours', process: 'p1', client })
  const caller = createBus({ service: 'caller', process: 'p1', client })
  onTestFinished(async () => {
    await Promise.all([bus.close({ timeout: 500 }), caller.close({ timeout: 500 })])
    await mqtt.endAsync(true)
    broker.close()
  })
  const other = new OtherSide(mqtt)

  // Ours serves, theirs calls.
  const served = bus.serve(auth, {
    check: ({ name }, call) =>
      name === 'eve' ? call.fail('LOCKED', { until: 3 }) : name === 'ada',
  })
  const heard: unknown[] = []
  let wake = () => {}
  const listener = bus.api(auth).registered.listen('welcome', {}, ({ value, id, by }) => {
    heard.push([value, id, by])
    wake()
  })
  bus.run().catch(() => {})
  await Promise.all([served.granted, listener.granted])
  expect(await other.call('auth/v1', 'check', { name: 'ada' })).toMatchObject({
    status: '200',
    value: true,
  })
  expect(await other.call('auth/v1', 'check', { name: 'bob' })).toMatchObject({
    status: '200',
    value: false,
  })
  expect(await other.call('auth/v1', 'check', { name: 'eve' })).toMatchObject({
    ...{ status: '422', code: 'LOCKED', value: { until: 3 } },
  })
  expect(await other.call('auth/v1', 'check', { name: 1 })).toMatchObject({ status: '400' })
  expect(await other.call('auth/v1', 'later', {})).toMatchObject({ status: '404', code: 'UNKNOWN' })

  // Theirs fires, ours listens; the same event again is none.
  const all = new Promise<void>((resolve) => {
    wake = () => heard.length === 2 && resolve()
  })
  for (const id of ['e1', 'e1', 'e2']) await other.fire('auth/v1', 'registered', { name: id }, id)
  await all
  expect(heard).toEqual([
    [{ name: 'e1' }, 'e1', 'other/1'],
    [{ name: 'e2' }, 'e2', 'other/1'],
  ])

  // Ours fires, theirs listens.
  const theirs = new Promise<unknown>((resolve) => {
    void other
      .listen('theirs.log', 'auth/v1', 'registered', (value, id) => resolve([value, id]))
      .then(() => bus.fire(auth, 'registered', { name: 'ada' }, { id: 'e3', key: 'a/b' }))
  })
  expect(await theirs).toEqual([{ name: 'ada' }, 'e3'])

  // Theirs serves, ours calls.
  const shop = defineApi({ name: 'shop', version: '3.0.0', rpcs: auth.rpcs })
  await other.answer('theirs', 'shop/v3', 'check', (input) => {
    const { name } = input as { name: string }
    if (name === 'eve') return { status: 422, code: 'LOCKED', value: { until: 9 } }
    return name === 'bob' ? { status: 404 } : { status: 200, value: true }
  })
  const api = caller.api(shop)
  expect(await api.check({ name: 'ada' })).toBe(true)
  const refused = await api.check({ name: 'eve' }).catch((error: unknown) => error)
  expect(declaredError(shop.rpcs.check, refused)).toEqual({
    code: 'LOCKED',
    data: { until: 9 },
    message: '',
  })
  await expect(api.check({ name: 'bob' })).rejects.toMatchObject({ code: 'UNKNOWN' })
})
