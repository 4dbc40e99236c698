/**
 * Goal: the wires of docs/WIRE.md: `envelope`, those of services with a wire of their own, and
 * `plain` as written by hand on MQTT.js. Method: clients at a small broker and a virtual clock.
 */
import { MqttClient } from 'mqtt'
import { describe, expect, test } from 'vitest'
import { json, type Response } from '../../../src/client/index.ts'
import { type Surroundings, surround, text } from './surroundings.ts'

const old = { protocolVersion: 4 } as const

function publish(s: Surroundings, topic: string, payload: string): void {
  s.broker.publish({ cmd: 'publish', dup: false, retain: false, qos: 1, topic, payload })
}

const lastOf = (s: Surroundings, topic: string) => {
  const found = s.broker.published.filter((packet) => packet.topic === topic).at(-1)
  return JSON.parse(found!.payload.toString())
}

describe('the envelope', () => {
  test.each([
    ['text', 'täxt'],
    ['nothing', ''],
    ['bytes that are not UTF-8', new Uint8Array([0xff, 0, 1])],
    ['JSON', '{"a":1}'],
  ])('Q2: a request of MQTT 3.1.1 is answered: %s', async (_, payload) => {
    const s = surround()
    s.running('server').respond('a', ({ payload: given }) => given)
    await s.clock.advance(100)
    const response = await s.value(100, s.client('client', old).request('a', payload))
    expect(Buffer.from(response.payload)).toEqual(Buffer.from(payload))
    const { id, reply, expires, key } = lastOf(s, 'a')
    expect(id).toMatch(/^[0-9a-f]{32}$/)
    expect(reply).toMatch(/^clients\/client\/r\//)
    expect(expires).toBe(5000)
    expect(key).toBe(id)
    expect(lastOf(s, reply).id).toBe(id)
  })

  test('[Q2] a responder of MQTT 3.1.1 refuses in it', async () => {
    const s = surround()
    s.running('server', old).respond('a', (request) => request.fail('HOT', 'too hot', 'data'))
    await s.clock.advance(100)
    const error = await s.error(100, s.client('client', old).request('a'))
    expect(error).toMatchObject({ code: 'HOT', remote: { message: 'too hot' } })
    expect(text(error.remote.data)).toBe('data')
  })

  test('[Q6] written by hand, with JSON inside, it is answered and deduplicated', async () => {
    const s = surround()
    let runs = 0
    s.running('server').respond<'a', { n: number }>(
      'a',
      ({ value }) => ({ n: value.n, run: ++runs }),
      {
        codec: json as never,
      },
    )
    await s.clock.advance(100)
    for (const id of ['1', '2']) {
      publish(s, 'a', JSON.stringify({ id, reply: 'r', key: 'k', payload: { n: 7 } }))
    }
    await s.clock.advance(100)
    expect(lastOf(s, 'r')).toEqual({
      id: '2',
      status: 200,
      contentType: 'application/json',
      payload: '{"n":7,"run":1}',
    })
  })

  test('[Q7] it expires', async () => {
    const s = surround()
    const responder = s.running('server').respond('a', () => 'y')
    await s.clock.advance(100)
    publish(s, 'a', JSON.stringify({ id: '1', reply: 'r', expires: 0 }))
    await s.clock.advance(100)
    expect(responder.stats).toMatchObject({ expired: 1, answered: 0 })
  })

  test('[Q9] streams, their credit and their cancel', async () => {
    const s = surround()
    let given = 0
    s.running('server', old).respond('count', async function* () {
      for (given = 0; given < 200; given++) yield `${given}`
    })
    await s.clock.advance(100)
    const client = s.client('client', old)
    const count = async (parts: AsyncIterable<Response>, max: number) => {
      let seen = 0
      for await (const { payload } of parts) {
        expect(text(payload)).toBe(`${seen++}`)
        if (seen === max) break
      }
      await client.ping()
      return seen
    }
    expect(await s.value(1000, count(client.requestMany('count'), 1000))).toBe(200)
    expect(await s.value(1000, count(client.requestMany('count'), 3))).toBe(3)
    expect(given).toBeLessThan(200)
  })

  test('[Q7] a request that was given up while there was no connection does not leave', async () => {
    const s = surround()
    s.running('server').respond('a', () => 'y')
    await s.clock.advance(100)
    const client = s.client('client', old)
    await s.value(100, client.request('a'))
    s.broker.refusesDials = true
    s.broker.cut('client')
    await s.clock.advance(10)
    const before = s.broker.published.length
    expect((await s.error(1000, client.request('a', '', { timeout: 1000 }))).code).toBe('TIMEOUT')
    s.broker.refusesDials = false
    await s.clock.advance(5000)
    expect(s.broker.published.slice(before)).toEqual([])
  })

  test.each([
    ['no JSON', '{'],
    ['no id', '{"reply":"r"}'],
    ['another field', '{"id":"1","reply":"r","temperature":3}'],
    ['two payloads', '{"id":"1","reply":"r","payload":"","base64":""}'],
    ['not Base64', '{"id":"1","reply":"r","base64":"%"}'],
    ['nested too deep', `{"id":"1","reply":"r","payload":${'['.repeat(600)}${']'.repeat(600)}}`],
    ['a fraction', '{"id":"1","reply":"r","expires":1.5}'],
  ])('what is no envelope is a payload: %s', async (_, payload) => {
    const s = surround()
    const seen: string[] = []
    s.running('server').respond('a', (request) => void seen.push(text(request.payload)))
    await s.clock.advance(100)
    publish(s, 'a', payload)
    await s.clock.advance(100)
    expect(seen).toEqual([payload])
    expect(s.broker.published.map(({ topic }) => topic)).not.toContain('r')
  })

  test('__proto__ in an envelope is a name like others', async () => {
    const s = surround()
    let given: object = {}
    s.running('server').respond('a', ({ userProperties }) => {
      given = userProperties
    })
    await s.clock.advance(100)
    publish(s, 'a', '{"id":"1","reply":"r","properties":{"__proto__":"x","a":"b"}}')
    await s.clock.advance(100)
    expect(Object.entries(given)).toContainEqual(['a', 'b'])
    expect(Object.getPrototypeOf(given)).toBe(null)
  })
})

describe('services with a wire of their own', () => {
  const thing = 'things/lamp/shadow/update'
  const responses = [
    { topic: `${thing}/accepted`, ok: true },
    { topic: `${thing}/rejected`, ok: false },
  ]
  const shadow = (token: string) => ({
    responses,
    correlate: ({ payload }: { payload: Uint8Array }) =>
      JSON.parse(text(payload)).clientToken === token,
  })

  test('[Q1] [Q2] the shadows of AWS: subscribed first, matched by a field, accepted or not', async () => {
    const s = surround()
    const service = s.running('service')
    void service.subscribe(thing).forEach(async ({ payload }) => {
      const { clientToken, ok } = JSON.parse(text(payload))
      const topic = `${thing}/${ok ? 'accepted' : 'rejected'}`
      await service.publish(topic, JSON.stringify({ clientToken }))
    })
    await s.clock.advance(100)
    const client = s.client('client')
    const update = (clientToken: string, ok: boolean) =>
      client.request(thing, JSON.stringify({ clientToken, ok }), shadow(clientToken))
    const outcomes = Promise.allSettled([update('1', true), update('2', false), update('3', true)])
    const [first, second, third] = await s.value(500, outcomes)
    expect(text((first as { value: Response }).value.payload)).toBe('{"clientToken":"1"}')
    expect(second).toMatchObject({ reason: { code: 'REFUSED_BY_RESPONDER' } })
    expect(third).toMatchObject({ status: 'fulfilled' })
    const filters = [...s.broker.sessions.get('client')!.filters.keys()]
    expect(filters.sort()).toEqual(responses.map(({ topic }) => topic))
    expect(s.broker.published[0]!.properties?.userProperties).toBeUndefined()
  })

  test('[Q2] a message that cannot be read answers nobody; then the deadline does', async () => {
    const s = surround()
    void s
      .running('service')
      .subscribe(thing)
      .forEach(() => {})
    await s.clock.advance(100)
    const client = s.client('client')
    const asked = client.request(thing, '{}', { ...shadow('1'), timeout: 1000 })
    const outcome = s.error(
      0,
      asked.catch((error) => Promise.reject(error)),
    )
    outcome.catch(() => {})
    await s.clock.advance(100)
    publish(s, `${thing}/accepted`, 'no JSON')
    expect((await s.error(1000, asked)).code).toBe('TIMEOUT')
  })
})

describe('MQTT.js by hand', () => {
  /** A client of the package mqtt at the same broker. */
  async function foreign(s: Surroundings): Promise<MqttClient> {
    const options = {
      protocolVersion: 5,
      keepalive: 0,
      clientId: 'js',
      reconnectPeriod: 0,
    } as const
    const client = new MqttClient(() => s.broker.stream(), options)
    await s.clock.advance(10)
    return client
  }

  test('[Q2] it asks, and our responder answers', async () => {
    const s = surround()
    s.running('server').respond('a/{b}', ({ params, payload }) => `${params.b} ${text(payload)}`)
    await s.clock.advance(100)
    const client = await foreign(s)
    const answers: unknown[] = []
    client.on('message', (topic, payload, { properties }) => {
      const { correlationData, userProperties } = properties!
      answers.push([topic, payload.toString(), correlationData!.toString(), { ...userProperties }])
    })
    client.subscribe('js/r')
    await s.clock.advance(10)
    const properties = { responseTopic: 'js/r', correlationData: Buffer.from('7') }
    client.publish('a/x', 'y', { qos: 1, properties })
    await s.clock.advance(100)
    expect(answers).toEqual([['js/r', 'x y', '7', { 'itm-status': '200' }]])
    client.end(true)
  })

  test('[Q2] [Q9] it answers our requests, without a status, with one, and as a stream', async () => {
    const s = surround()
    const server = await foreign(s)
    server.on('message', (topic, payload, { properties }) => {
      const { responseTopic, correlationData } = properties!
      const reply = (text: string, userProperties?: Record<string, string>) =>
        server.publish(responseTopic!, text, {
          properties: {
            correlationData: correlationData!,
            ...(userProperties && { userProperties }),
          },
        })
      if (topic === 'bare') reply(`${payload}!`)
      else if (topic === 'refuses') reply('', { 'itm-status': '404' })
      else {
        reply('0', { 'itm-seq': '0' })
        reply('1', { 'itm-seq': '1', 'itm-last': '1' })
      }
    })
    server.subscribe(['bare', 'refuses', 'stream'])
    await s.clock.advance(10)
    const client = s.client('client')
    expect(text((await s.value(100, client.request('bare', 'y'))).payload)).toBe('y!')
    expect((await s.error(100, client.request('refuses'))).code).toBe('UNKNOWN')
    const parts: string[] = []
    const all = async () => {
      for await (const { payload } of client.requestMany('stream')) parts.push(text(payload))
    }
    await s.value(100, all())
    expect(parts).toEqual(['0', '1'])
    server.end(true)
  })
})

test('trace surrounds requests and handlers, and carries properties between them', async () => {
  const s = surround()
  const seen: string[] = []
  const trace =
    (who: string) =>
    async <T>(
      { kind, topic, userProperties }: { kind: string; topic: string; userProperties?: unknown },
      proceed: (added?: Record<string, string>) => Promise<T>,
    ): Promise<T> => {
      seen.push(`${who} ${kind} ${topic} ${JSON.stringify(userProperties)?.includes('tp-1')}`)
      const result = await proceed({ traceparent: 'tp-1' })
      seen.push(`${who} ends`)
      return result
    }
  s.running('server', { trace: trace('server') as never }).respond('a', () => {
    seen.push('handler')
    return 'y'
  })
  await s.clock.advance(100)
  const client = s.client('client', { trace: trace('client') as never })
  await s.value(100, client.request('a'))
  expect(seen).toEqual([
    'client request a undefined',
    'server process a true',
    'handler',
    'server ends',
    'client ends',
  ])
})
