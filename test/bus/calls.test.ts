/**
 * Goal: calls of an rpc (B1 to B5). Method: two buses at a broker in memory; what each validation
 * refuses, what errors arrive as, what a lost connection does.
 */
import { Ajv2020 } from 'ajv/dist/2020.js'
import { describe, expect, expectTypeOf, test } from 'vitest'
import { z } from 'zod'
import { declaredError, defineApi } from '../../src/bus/index.ts'
import { VERSIONS } from '../client/world.ts'
import { answers, auth, BusWorld } from './bus-world.ts'

const AT = '2026-11-30T00:00:00.000Z'
const valid = { name: 'ada', at: AT }

describe('a call', () => {
  test('[B1] is one value in and one value out, executed once', async () => {
    const w = new BusWorld()
    const seen: unknown[] = []
    const { client } = await w.pair({
      echo: (value) => {
        seen.push(value)
        return [value, 'back']
      },
    })
    const api = client.api(auth)
    expect(await w.value(api.echo({ a: [1] }), 100)).toEqual([{ a: [1] }, 'back'])
    expect(seen).toEqual([{ a: [1] }])
    expect(await w.value(api.reset(), 100)).toBeUndefined()
  })

  test('[B1] without a connection is told so', async () => {
    const w = new BusWorld()
    w.broker.refuseConnections()
    const { length } = w.bus('client').api(auth)
    const error = await w.error(length('abc', { timeout: 2000 }), 3000)
    expect(error).toMatchObject({ code: 'TIMEOUT', name: 'ConnectionError' })
    expect(String(error)).toContain('auth length(): there is no connection to the server; is it up')
  })

  test('no topic has a dot, which RabbitMQ turns into a slash', async () => {
    const w = new BusWorld()
    const keys: unknown[] = []
    const server = w.bus('server', { process: 'a.example.org' })
    server.serve(auth, answers)
    server.api(auth).cleared.listen('keys', {}, ({ key }) => keys.push(key))
    await w.run(server)
    const client = w.bus('client', { process: 'b.example.org' })
    expect(await w.value(client.api(auth).length('abc'), 100)).toBe(3)
    await w.value(server.fire(auth, 'cleared', undefined, { key: 'ada.b@example.org/1' }), 100)
    expect(keys).toEqual(['ada.b@example.org/1'])
    const topics = w.broker.received.flatMap(({ packet }) =>
      packet.cmd === 'publish' ? [packet.topic] : [],
    )
    expect(topics).toContainEqual(expect.stringMatching(/^clients\/bus%2Eclient@b%2Eexample/))
    expect(topics.filter((topic) => topic.includes('.'))).toEqual([])
  })

  test('[B1] comes to one process of the service', async () => {
    const w = new BusWorld()
    const counts = [0, 0]
    for (const index of [0, 1]) {
      const server = w.bus('server')
      server.serve(auth, { ...answers, length: () => counts[index]!++ } as never)
      await w.run(server)
    }
    const api = w.bus('client').api(auth)
    for (let i = 0; i < 10; i++) await w.value(api.length('a'), 50)
    expect(counts[0]! + counts[1]!).toBe(10)
    expect(Math.min(...counts)).toBeGreaterThan(0)
  })

  test.each(VERSIONS)(
    '[B1] comes to each process that does not share, where the server has no shared subscriptions, MQTT %s',
    async (version) => {
      const w = new BusWorld(version, { sharedAvailable: false, sharedInMqtt3: false })
      const counts = [0, 0]
      for (const index of [0, 1]) {
        const server = w.bus('server')
        const length = () => ++counts[index]!
        server.serve(auth, { ...answers, length } as never, { share: false })
        await w.run(server)
      }
      const api = w.bus('client').api(auth)
      for (let i = 1; i <= 5; i++) expect(await w.value(api.length('a'), 100)).toBe(i)
      expect(counts).toEqual([5, 5])
      // One that shares is told.
      const other = w.bus('other')
      other.serve(auth, answers as never)
      await w.run(other)
      await w.clock.advance(20_000)
      const code = version === 5 ? 'SUBSCRIBE_REFUSED' : 'SHARED_UNAVAILABLE'
      expect(w.failures).toMatchObject([{ code }])
    },
  )

  test.each([
    ['again if the rpc is idempotent', 'length', 'word', 4],
    ['not again if it is not', 'echo', 'word', undefined],
  ] as const)('[B1] of which the request was lost is sent %s', async (_, name, input, result) => {
    const w = new BusWorld()
    const { client } = await w.pair()
    const api = client.api(auth)
    await w.value(api.reset(), 100)
    // The answer is lost with the connection.
    w.broker.faults.kill({ cmd: 'publish', direction: 'toClient', clientId: 'bus.client@p1' })
    const seen = await w.after(6000, api[name](input))
    if (result === undefined)
      expect(seen).toMatchObject({ error: { code: 'TIMEOUT', linkLost: true } })
    else expect(seen).toEqual({ value: result })
  })

  test.each([
    ['null', null],
    ['a text', ''],
    ['false', false],
    ['nested', { a: { b: [null, 1, 'é🙂'] } }],
    ['constructor', { constructor: 1, then: 2 }],
    ['an array', []],
    ['zero', 0],
  ])('[B1] carries %s both ways', async (_, value) => {
    const w = new BusWorld()
    const { client } = await w.pair()
    expect(await w.value(client.api(auth).echo(value), 100)).toEqual(value)
  })

  test('[B1] of an rpc without an output gives nothing, whatever the handler returns', async () => {
    const w = new BusWorld()
    const { client } = await w.pair({ reset: (() => 'something') as never })
    expect(await w.value(client.api(auth).reset(), 100)).toBeUndefined()
  })

  test('[B1] with MQTT 3.1.1 works alike', async () => {
    const w = new BusWorld(4)
    const { client } = await w.pair({
      check: () => {
        throw new Error('secret')
      },
    })
    const api = client.api(auth)
    expect(await w.value(api.length('word'), 100)).toBe(4)
    expect(await w.error(api.check(valid), 100)).toMatchObject({ code: 'RESPONDER_FAILED' })
  })
})

describe('validation', () => {
  test('[B2] transformations are made once, by the side that receives', async () => {
    const w = new BusWorld()
    const seen: unknown[] = []
    const { client } = await w.pair({
      check: (input) => {
        seen.push(input)
        return { ok: true, since: '7' }
      },
    })
    const result = await w.value(client.api(auth).check(valid), 100)
    expect(seen).toEqual([{ name: 'ada', at: new Date(AT) }])
    expect(result).toEqual({ ok: true, since: 7 })
  })

  test('[B2] input that does not fit is not sent', async () => {
    const w = new BusWorld()
    const { client } = await w.pair()
    const api = client.api(auth)
    await w.value(api.reset(), 100)
    const before = w.broker.log.length
    const error = await w.error(api.check({ name: 4711, at: AT } as never), 100)
    expect(error).toMatchObject({ name: 'UsageError', code: 'INVALID_INPUT' })
    expect(error.message).toBe(
      'auth check(): the input does not fit its schema at name (Invalid input: expected string, ' +
        'received number); see `issues`',
    )
    expect(error.issues).toEqual([{ path: ['name'], message: expect.any(String) }])
    const surplus = await w.error(api.reset('x' as never), 100)
    expect(surplus).toMatchObject({
      code: 'INVALID_INPUT',
      message: expect.stringContaining('takes no input'),
    })
    expect(w.broker.log.length).toBe(before)
  })

  test.each([
    ['a schema', 'check', { name: 4711, at: AT }],
    ['an rpc without input', 'reset', 'x'],
  ])('[B2] input that does not fit %s is not executed', async (_, name, input) => {
    const w = new BusWorld()
    let calls = 0
    const count = () => {
      calls++
    }
    await w.pair({ check: count as never, reset: count })
    const client = w.bus('careless', { validate: { outgoing: false } })
    const api = client.api(auth) as unknown as Record<string, (input: unknown) => Promise<unknown>>
    const error = await w.error(api[name]!(input), 100)
    expect(error).toMatchObject({ name: 'RefusedError', code: 'BAD_REQUEST' })
    expect(JSON.stringify(error.remote)).not.toContain('4711')
    expect(calls).toBe(0)
  })

  test('[B2] output that does not fit is an error of the handler', async () => {
    const w = new BusWorld()
    const { client } = await w.pair({ check: () => ({ ok: 4711 }) as never })
    const error = await w.error(client.api(auth).check(valid), 100)
    expect(error).toMatchObject({ code: 'RESPONDER_FAILED' })
    expect(error.message).not.toContain('schema')
    const [warning] = w.warnings
    expect(warning).toMatchObject({ code: 'HANDLER_FAILED', cause: expect.any(Error) })
    expect(warning!.message).toContain('the output does not fit its schema at ok, since')
    expect(warning!.message).not.toContain('4711')
  })

  test('[B2] an answer that does not fit is an error of the caller', async () => {
    const w = new BusWorld()
    const server = w.bus('server', { validate: { outgoing: false } })
    server.serve(auth, { ...answers, check: () => ({ ok: 1, since: '1' }) as never })
    await w.run(server)
    const error = await w.error(w.bus('client').api(auth).check(valid), 100)
    expect(error).toMatchObject({ name: 'ProtocolError', code: 'INVALID_RESPONSE' })
    expect(error.issues).toEqual([{ path: ['ok'], message: expect.any(String) }])
  })

  test('[B2] without validation values are given as they came', async () => {
    const w = new BusWorld()
    const validate = { incoming: false, outgoing: false }
    const server = w.bus('server', { validate })
    server.serve(auth, { ...answers, check: (input) => input as never })
    await w.run(server)
    const api = w.bus('client', { validate }).api(auth)
    expect(await w.value(api.check({ no: 'schema' } as never), 100)).toEqual({ no: 'schema' })
  })

  test('[B2] a JSON Schema validates, and one that ajv refuses ends run()', async () => {
    const schema = { type: 'object', properties: { n: { type: 'integer' } }, required: ['n'] }
    const api = defineApi({ name: 'a', version: '1.0.0', rpcs: { next: { input: schema } } })
    const w = new BusWorld()
    // One that is loaded on demand takes time that is not virtual.
    const ajv = new Ajv2020()
    const server = w.bus('server', { ajv })
    server.serve(api, { next: () => {} })
    await w.run(server)
    const caller = w.bus('client', { ajv }).api(api)
    expect(await w.value(caller.next({ n: 1 }), 100)).toBeUndefined()
    const error = await w.error(caller.next({ n: 'one' }), 100)
    expect(error).toMatchObject({ code: 'INVALID_INPUT', issues: [{ path: ['n'] }] })
    const bad = defineApi({
      ...{ name: 'bad', version: '1.0.0' },
      rpcs: { next: { input: { type: 'strin' } } },
    })
    const other = w.bus('other', { ajv })
    other.serve(bad, { next: () => {} })
    expect((await w.error(other.run(), 100)).message).toContain('ajv does not take')
  })
})

describe('errors', () => {
  test('[B3] a declared error arrives with its code and its data', async () => {
    const w = new BusWorld()
    const server = w.bus('server')
    server.serve(auth, {
      ...answers,
      check: (_, call) => call.fail('LOCKED', { until: '12' }, 'wait a little'),
    })
    await w.run(server)
    const error = await w.error(w.bus('client').api(auth).check(valid), 100)
    expect(error).toMatchObject({ name: 'RefusedError', code: 'LOCKED' })
    expect(error.remote).toEqual({ code: 'LOCKED', message: 'wait a little', data: { until: 12 } })
    const declared = declaredError(auth.rpcs.check, error)
    if (declared?.code === 'LOCKED') expectTypeOf(declared.data).toEqualTypeOf<{ until: number }>()
    expect(declared).toEqual({ code: 'LOCKED', message: 'wait a little', data: { until: 12 } })
    expect(declaredError(auth.rpcs.reset, error)).toBeNull()
    expect(w.warnings).toEqual([])
  })

  test('[B3] the data of a declared error may be null', async () => {
    const w = new BusWorld()
    const server = w.bus('server')
    server.serve(auth, { ...answers, check: (_, call) => call.fail('GONE', null) })
    await w.run(server)
    const error = await w.error(w.bus('client').api(auth).check(valid), 100)
    expect(declaredError(auth.rpcs.check, error)).toEqual({ code: 'GONE', data: null, message: '' })
  })

  test.each([
    [
      'an error',
      () => {
        throw new Error('secret')
      },
    ],
    ['a rejection', () => Promise.reject(new Error('secret'))],
    [
      'a text',
      () => {
        throw 'secret'
      },
    ],
    [
      'nothing',
      () => {
        throw undefined
      },
    ],
    [
      'a code that is not declared',
      (_: unknown, call: { fail(code: string): never }) => call.fail('SECRET'),
    ],
    [
      'data that do not fit',
      (_: unknown, call: { fail(code: string, data: unknown): never }) =>
        call.fail('LOCKED', 'secret'),
    ],
    [
      'an error that another service declared',
      () => {
        throw Object.assign(new Error('secret'), { code: 'LOCKED', remote: { code: 'LOCKED' } })
      },
    ],
  ])('[B3] of %s only an id arrives, which the log has as well', async (_, check) => {
    const w = new BusWorld()
    const { client } = await w.pair({ check: check as never })
    const error = await w.error(client.api(auth).check(valid), 100)
    expect(error).toMatchObject({ name: 'RefusedError', code: 'RESPONDER_FAILED' })
    const [, id] = /failed \(([0-9a-f]{8})\)/.exec(error.message) ?? []
    expect(error.message + JSON.stringify(error.remote)).not.toMatch(/secret/i)
    expect(w.warnings).toHaveLength(1)
    expect(w.warnings[0]).toMatchObject({ code: 'HANDLER_FAILED' })
    expect(w.warnings[0]!.message).toContain(`(${id})`)
  })

  test('[B3] data of an error that do not fit at the caller are an error of their own', async () => {
    const w = new BusWorld()
    const server = w.bus('server', { validate: { outgoing: false } })
    server.serve(auth, { ...answers, check: (_, call) => call.fail('LOCKED', 1 as never) })
    await w.run(server)
    const error = await w.error(w.bus('client').api(auth).check(valid), 100)
    expect(error).toMatchObject({ code: 'INVALID_RESPONSE', cause: { code: 'LOCKED' } })
  })
})

describe('what is not there', () => {
  const newer = defineApi({
    ...{ name: 'auth', version: '1.3.0' },
    rpcs: { ...auth.rpcs, later: { output: z.number() } },
  })

  test('[B4] an API that nobody serves is said immediately', async () => {
    const w = new BusWorld()
    const error = await w.error(w.bus('client').api(auth).length('a'), 100)
    expect(error).toMatchObject({ code: 'NO_RESPONDERS', retryable: true })
    // Who calls knows the API, and perhaps no topic.
    expect(error.message).toMatch(/^auth length\(\): no process serves it now; .* API auth v1 /)
  })

  test('[B4] [B5] an rpc that a minor version has not is unknown, and others work', async () => {
    const w = new BusWorld()
    await w.pair()
    const api = w.bus('newer').api(newer)
    const error = await w.error(api.later(), 100)
    expect(error).toMatchObject({ code: 'UNKNOWN', remote: { code: 'UNKNOWN' } })
    expect(error.remote.message).toBe('auth 1.2.0 has no such rpc')
    expect(await w.value(api.length('abc'), 100)).toBe(3)
  })

  test('[B4] without answerUnknown nobody is there for it', async () => {
    const w = new BusWorld()
    const server = w.bus('server')
    const served = server.serve(auth, answers, { answerUnknown: false })
    await w.run(server)
    const api = w.bus('newer').api(newer)
    expect(await w.error(api.later(), 100)).toMatchObject({ code: 'NO_RESPONDERS' })
    expect(await w.value(api.length('abc'), 100)).toBe(3)
    expect(served.stats).toMatchObject({ received: 1, answered: 1, failed: 0 })
  })

  test('[B5] another major version is another API', async () => {
    const w = new BusWorld()
    await w.pair()
    const next = defineApi({ name: 'auth', version: '2.0.0', rpcs: auth.rpcs })
    const client = w.bus('client')
    expect(await w.error(client.api(next).length('a'), 100)).toMatchObject({
      code: 'NO_RESPONDERS',
    })
    const server = w.bus('server2')
    server.serve(next, { ...answers, length: () => 2 })
    await w.run(server)
    expect(await w.value(client.api(next).length('a'), 100)).toBe(2)
    expect(await w.value(client.api(auth).length('a'), 100)).toBe(1)
  })
})

describe('what a handler knows', () => {
  test('who calls, with which version, key, headers and deadline', async () => {
    const w = new BusWorld()
    const seen: unknown[] = []
    const server = w.bus('server')
    server.serve(auth, {
      ...answers,
      length: (_, call) => {
        const { api, rpc, version, by, key, attempt, headers, signal } = call
        seen.push({ api, rpc, version, by, key, attempt, tenant: headers['tenant'] })
        expect(signal.aborted).toBe(false)
        expect(call.deadline - w.clock.now()).toBeCloseTo(2000, -2)
        return 0
      },
    })
    await w.run(server)
    const client = w.bus('client', { process: 'host a/1' })
    const options = { key: 'k', headers: { tenant: 't' }, timeout: 2000 }
    await w.value(client.api(auth).length('a', options), 100)
    expect(seen).toEqual([
      {
        ...{ api: 'auth', rpc: 'length', version: '1.2.0', by: 'client/host a%2F1' },
        ...{ key: 'k', attempt: 1, tenant: 't' },
      },
    ])
  })

  test('a call that is given up rejects with the reason', async () => {
    const w = new BusWorld()
    const { client } = await w.pair({ echo: () => new Promise(() => {}) })
    const controller = new AbortController()
    const call = client.api(auth).echo(1, { signal: controller.signal })
    expect(await w.after(10, call)).toBe('pending')
    controller.abort('enough')
    expect(await w.after(10, call)).toEqual({ error: 'enough' })
    const late = await w.error(client.api(auth).echo(1, { timeout: 50 }), 100)
    expect(late).toMatchObject({ code: 'TIMEOUT' })
  })
})
