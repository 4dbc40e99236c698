/**
 * Goal: no input of a program, of the wire or of a clock does harm. Method: tables: what cannot be
 * used is a UsageError at the call; what comes from the network is answered, passed over or given up.
 */
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { type Bus, type BusOptions, createBus, defineApi } from '../../src/bus/index.ts'
import { text } from '../../src/client/index.ts'
import { answers, auth, BusWorld } from './bus-world.ts'

const USAGE = expect.objectContaining({ name: 'UsageError' })
const client = 'mqtt://localhost'

/** Texts that break programs which do not expect them. */
const NAUGHTY = [
  ...[
    '',
    ' ',
    '.',
    '..',
    '/',
    '+',
    '#',
    '$SYS',
    '$share/a/b',
    '%',
    '%2',
    '%2f',
    'a\u0000b',
    '\u007f',
  ],
  ...[
    '__proto__',
    'constructor',
    'then',
    'null',
    'undefined',
    'NaN',
    '-1',
    '1e400',
    '\\',
    '"',
    "'",
  ],
  ...[
    'é',
    '\u00ef\u0301',
    '🙂',
    '\u202e',
    '\ufeff',
    '田中',
    'ﬁ',
    '<script>',
    '$1',
    '{{1}}',
    '\r\n',
  ],
]

describe('options', () => {
  test.each<[string, unknown]>([
    ['nothing', undefined],
    ['no service', { client }],
    ['a service with a slash', { client, service: 'a/b' }],
    ['a service with a wildcard', { client, service: '+' }],
    ['a service with a dot', { client, service: 'a.b' }],
    ['a prefix with a wildcard', { client, service: 'a', prefix: 'b/#' }],
    ['a prefix of the server', { client, service: 'a', prefix: '$SYS' }],
    ['a process with a line end', { client, service: 'a', process: 'a\n' }],
    ['a process that is a number', { client, service: 'a', process: 1 }],
    ['no client', { service: 'a' }],
    ['a client that is a number', { service: 'a', client: 1 }],
    ['a timeout of 0', { client, service: 'a', timeout: 0 }],
    ['a timeout that is no number', { client, service: 'a', timeout: Number.NaN }],
    ['a timeout beyond a day', { client, service: 'a', timeout: 2 ** 31 }],
    ['validate in words', { client, service: 'a', validate: { incoming: 'yes' } }],
    ['a field of another name', { client, service: 'a', hook: [] }],
  ])('%s: createBus refuses', (_, options) => {
    expect(() => createBus(options as BusOptions)).toThrow(USAGE)
  })

  test.each<[string, unknown]>([
    ['a name with a dot', ['a.b', {}]],
    ['no name', [undefined, {}]],
    ['another action', ['a', { onError: 'explode' }]],
    ['no concurrency', ['a', { concurrency: 0 }]],
    ['a memory of nothing', ['a', { dedupe: { memory: 0 } }]],
    ['a store without done', ['a', { dedupe: { store: { seen: () => true } } }]],
    ['redeliveries without a store', ['a', { maxRedeliveries: 3 }]],
    ['a retry without end', ['a', { retry: { max: Number.POSITIVE_INFINITY } }]],
    ['a retry that goes on with retry', ['a', { retry: { ['then']: 'retry' } }]],
    ['a stream of everything', ['a', { stream: 'all' }]],
    ['an expiry beyond MQTT', ['a', { sessionExpiryInterval: 2 ** 32 }]],
    ['share in words', ['a', { share: 'yes' }]],
    ['orderBy in words', ['a', { orderBy: 'key' }]],
    ['a field of another name', ['a', { qos: 1 }]],
    ['a handler in words', ['a', {}, 'log']],
  ])('%s: listen refuses', async (_, given) => {
    const w = new BusWorld()
    const port = w.bus('server').api(auth).cleared as unknown as {
      listen(...args: unknown[]): unknown
    }
    expect(() => port.listen(...(given as unknown[]))).toThrow(USAGE)
    await w.clock.advance(0)
  })

  test('listen refuses no events, events of another bus, and a name that is taken', () => {
    const w = new BusWorld()
    const [one, other] = [w.bus('one'), w.bus('other')]
    expect(() => one.listen('a', [])).toThrow(USAGE)
    expect(() => one.listen('a', [other.api(auth).cleared as never])).toThrow(USAGE)
    one.api(auth).cleared.listen('a', {}, () => {})
    expect(() => one.api(auth).registered.listen('a', { concurrency: 2 })).toThrow(
      expect.objectContaining({ message: expect.stringContaining('has a listener "a" already') }),
    )
  })

  test.each<[string, (bus: Bus) => unknown]>([
    ['no implementation', (bus) => bus.serve(auth, undefined as never)],
    [
      'a function that is missing',
      (bus) => bus.serve(auth, { ...answers, reset: undefined } as never),
    ],
    ['a surplus function', (bus) => bus.serve(auth, { ...answers, rest: () => {} } as never)],
    ['methods of a class', (bus) => bus.serve(auth, Object.create(answers) as never)],
    [
      'an API that defineApi() did not make',
      (bus) => bus.serve({ ...auth } as never, answers as never),
    ],
    ['no concurrency', (bus) => bus.serve(auth, answers, { concurrency: 0 })],
    ['a share that is a name', (bus) => bus.serve(auth, answers, { share: 'a' as never })],
  ])('%s: serve refuses', (_, serve) => {
    expect(() => serve(new BusWorld().bus('server'))).toThrow(USAGE)
  })

  test('an API is served once by a bus; other major versions are others', () => {
    const bus = new BusWorld().bus('server')
    bus.serve(auth, answers)
    expect(() => bus.serve(auth, answers)).toThrow('served by this bus already')
    const minor = defineApi({ name: 'auth', version: '1.9.0' })
    expect(() => bus.serve(minor, {})).toThrow('served by this bus already')
    bus.serve(defineApi({ name: 'auth', version: '2.0.0' }), {})
  })
})

describe('names', () => {
  test('an rpc called constructor is one like others, and none is inherited', async () => {
    const api = defineApi({
      ...{ name: 'a', version: '1.0.0' },
      rpcs: { constructor: { output: z.number() }, toString: { output: z.number() } },
    })
    const w = new BusWorld()
    const server = w.bus('server')
    expect(() => server.serve(api, {} as never)).toThrow(USAGE)
    server.serve(api, { constructor: () => 1, toString: () => 2 } as never)
    await w.run(server)
    const caller = w.bus('client').api(api)
    expect(await w.value(caller.constructor(), 100)).toBe(1)
    expect(await w.value(caller.toString(), 100)).toBe(2)
    expect(Object.keys(caller)).toEqual(['constructor', 'toString'])
    // Awaiting it calls nothing.
    expect(await (async () => caller)()).toBe(caller)
    w.broker.publish('bus/a/v1/rpc/valueOf', '', {
      ...{ qos: 1, properties: { responseTopic: 'r', correlationData: Buffer.from('1') } },
    })
    await w.clock.advance(100)
    const [answer] = w.broker.received.filter(({ packet }) => packet.cmd === 'publish').slice(-1)
    expect(answer!.packet).toMatchObject({
      properties: { userProperties: { 'itm-status': '404' } },
    })
  })

  test.each(NAUGHTY.map((name) => [name]))('%j is refused as a name, or is one', (name) => {
    const isName = /^[\w-]+$/.test(name)
    const definition = { name, version: '1.0.0' } as const
    if (isName && !name.startsWith('_')) expect(defineApi(definition).name).toBe(name)
    else expect(() => defineApi(definition)).toThrow(USAGE)
  })

  test('any text is a key, a header, a value and the name of a process', async () => {
    const w = new BusWorld()
    const keys: (string | null)[] = []
    const server = w.bus('server')
    server.serve(auth, answers)
    server.api(auth).cleared.listen('self', {}, ({ key }) => keys.push(key))
    await w.run(server)
    const given = NAUGHTY.filter((name) => name !== '' && !name.includes('\u0000'))
    for (const key of given) await w.value(server.fire(auth, 'cleared', undefined, { key }), 20)
    expect(keys).toEqual(given)
    const api = w.bus('client', { process: '🙂 $a/#' }).api(auth)
    for (const value of NAUGHTY) {
      const headers = { 'x-a': value.replace('\u0000', '') }
      expect(await w.value(api.echo({ [value]: value }, { headers }), 20)).toEqual(
        value === '__proto__' ? {} : { [value]: value },
      )
    }
  })
})

describe('what comes from the network', () => {
  const properties = (userProperties: object, more: object = {}) => ({
    ...{ qos: 1 as const },
    properties: { userProperties: userProperties as never, ...more },
  })

  test('claims that are none count as none, and the first of several counts', async () => {
    const w = new BusWorld()
    const events: unknown[] = []
    const bus = w.bus('server')
    bus
      .api(auth)
      .cleared.listen('self', {}, ({ id, version, by, firedAt }) =>
        events.push({ id, version, by, firedAt }),
      )
    await w.run(bus)
    const send = async (one: object) => {
      w.broker.publish('bus/auth/v1/event/cleared', '', properties(one))
      await w.clock.advance(20)
    }
    await send({})
    await send({
      'itm-version': 'zzz',
      'itm-at': 'yesterday',
      'itm-key': '',
      'itm-by': 'x'.repeat(999),
    })
    await send({
      'itm-version': ['1.0.0', '2.0.0'],
      'itm-key': ['a', 'b'],
      'itm-at': '1970-01-01T00:00:01Z',
    })
    const none = { id: null, version: null, by: null, firedAt: null }
    expect(events).toEqual([
      none,
      { ...none, by: 'x'.repeat(400) },
      { ...none, id: 'a', version: '1.0.0', firedAt: 1000 },
    ])
  })

  test('a retained event is none', async () => {
    const w = new BusWorld()
    w.broker.publish('bus/auth/v1/event/cleared', '', { qos: 1, retain: true, properties: {} })
    let calls = 0
    const bus = w.bus('server')
    bus.api(auth).cleared.listen('self', { share: false }, () => calls++)
    await w.run(bus)
    expect(calls).toBe(0)
  })

  test.each([
    ['a status that is none', { 'itm-status': '999' }, {}],
    ['a status in words', { 'itm-status': 'fine' }, {}],
    [
      'a declared code with another status',
      { 'itm-status': '500', 'itm-code': 'LOCKED' },
      { code: 'RESPONDER_FAILED' },
    ],
    ['a code of nobody', { 'itm-status': '422', 'itm-code': '__proto__' }, { code: '__proto__' }],
  ])('an answer with %s', async (_, said, error) => {
    const w = new BusWorld()
    const raw = w.running(w.client())
    const stray = raw.subscribe('$share/x/bus/auth/v1/rpc/+')
    const answering = (async () => {
      for await (const { properties: asked } of stray) {
        const { responseTopic, correlationData } = asked!
        const answer = { correlationData, userProperties: said as never }
        await raw.publish(responseTopic!, '{"until": 1}', { qos: 0, properties: answer })
      }
    })()
    answering.catch(() => {})
    await w.clock.advance(100)
    const call = w.bus('client').api(auth).check({ name: 'a', at: '2026' }, { timeout: 500 })
    const thrown = await w.error(call, 1000)
    expect(thrown).toMatchObject({ code: expect.stringMatching(/^[A-Z_a-z]+$/), ...error })
    expect(['RefusedError', 'ConnectionError', 'ProtocolError']).toContain(thrown.name)
  })

  test('a payload that is no text is answered with 400', async () => {
    const w = new BusWorld()
    await w.pair()
    const other = w.bus('other', {
      codec: { ...text, encode: () => new Uint8Array([0xff]) } as never,
    })
    const error = await w.error(other.api(auth).echo('x'), 100)
    expect(error).toMatchObject({ code: 'BAD_REQUEST' })
  })

  test('a clock that goes back delays nothing', async () => {
    const w = new BusWorld()
    const clock = Object.assign(w.clock, { wallNow: () => -1e15 })
    const server = w.bus('server', {}, { platform: clock })
    server.serve(auth, answers)
    const seen: unknown[] = []
    server.api(auth).cleared.listen('self', {}, ({ firedAt }) => seen.push(firedAt))
    await w.run(server)
    await w.value(server.fire(auth, 'cleared'), 100)
    expect(seen).toEqual([-1e15])
  })
})

describe('what people try who come from another bus', () => {
  test.each<[string, (bus: Bus) => unknown, string]>([
    [
      'values one by one',
      (bus) => bus.api(auth).echo(1, 2 as never),
      'put several values into one',
    ],
    ['an input too many', (bus) => bus.api(auth).reset({} as never), 'reset(): it takes no input'],
    [
      'no options before the handler',
      (bus) => bus.api(auth).cleared.listen('mail', (() => {}) as never),
      'the handler comes after the options; write {} for none',
    ],
    [
      'dots in the name of an API',
      () => defineApi({ name: 'shop.auth', version: '1.0.0', rpcs: {} }),
      'write "/" in place of "."',
    ],
    ['a number of seconds', (bus) => bus.every(5 as never, () => {}), 'write { seconds: 5 }'],
  ])('%s', async (_, attempt, remedy) => {
    const w = new BusWorld()
    const bus = w.bus('app')
    const trying = (async () => attempt(bus))()
    expect(await w.error(trying, 100)).toMatchObject({
      ...{ name: 'UsageError', message: expect.stringContaining(remedy) },
    })
  })
})
