/** What was found by reading the requests: ends that left something, and input that nobody expects. */
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { describe, expect, test } from 'vitest'
import { World } from '../world.ts'
import { type Surroundings, surround, text } from './surroundings.ts'

async function pair(options = {}) {
  const s = surround()
  const server = s.running('server', options)
  const client = s.running('client', options)
  await s.value(100, Promise.all([server.ready(), client.ready()]))
  return { s, server, client }
}

function sleep(s: Surroundings, ms: number): Promise<void> {
  return new Promise((resolve) => s.clock.setTimer(resolve, ms))
}

describe('[Q11] at the end of a client', () => {
  test('[Q11] handlers that run get their signal if an error ends the client', async () => {
    const s = surround()
    const server = s.client('server', { reconnect: { when: 'never' } })
    server.run().catch(() => {})
    const aborted: boolean[] = []
    server.respond('a', async ({ signal }) => {
      await new Promise((resolve) => signal.addEventListener('abort', resolve))
      aborted.push(signal.aborted)
    })
    await s.clock.advance(100)
    const client = s.running('client')
    client.request('a').catch(() => {})
    await s.clock.advance(100)
    s.broker.cut('server')
    await s.clock.advance(10)
    expect(aborted).toEqual([true])
  })

  test('[M2] responder.granted settles when its client or responder is closed before', async () => {
    const s = surround()
    s.broker.refusesDials = true
    const client = s.client('server')
    const one = client.respond('a', () => '')
    const two = client.respond('b', () => '')
    const granted = Promise.allSettled([one.granted, two.granted])
    await s.clock.advance(100)
    void one.close()
    void client.close({ timeout: 10 })
    const outcomes = await s.value(20_000, granted)
    expect(outcomes.map(({ status }) => status)).toEqual(['rejected', 'rejected'])
  })

  test('[Q11] [Q12] a fallback that never answers ends with the client', async () => {
    const { s, client } = await pair({ requestTimeout: 60_000 })
    s.broker.refusesDials = true
    s.broker.cut('client')
    await s.clock.advance(10_000)
    const signals: AbortSignal[] = []
    const fallback = (_: unknown, signal: AbortSignal) => {
      signals.push(signal)
      return new Promise<string>(() => {})
    }
    const lane = { lane: 'l', fallback, afterMs: 1000 } as const
    const asked = Promise.allSettled([client.request('a', '', lane), client.request('b', '', lane)])
    await s.clock.advance(100)
    expect(signals).toHaveLength(1)
    void client.close({ timeout: 10 })
    const outcomes = await s.value(20_000, asked)
    const codes = outcomes.map((one) => one.status === 'rejected' && one.reason.code)
    expect(codes).toEqual(['ENDED', 'ENDED'])
    expect(signals.map(({ aborted }) => aborted)).toEqual([true])
  })
})

test('[Q12] a signal that is none is refused, and blocks no lane', async () => {
  const { s, server, client } = await pair()
  server.respond('a', () => 'answer')
  const wrong = { lane: 'l', signal: new AbortController() as unknown as AbortSignal }
  expect(await s.error(10, client.request('a', '', wrong))).toMatchObject({ code: 'USAGE' })
  expect(client.state.requests.open).toBe(0)
  expect(text((await s.value(100, client.request('a', '', { lane: 'l' }))).payload)).toBe('answer')
})

test('[Q8] thousands that wait and are answered at once need no stack', async () => {
  const { s, server, client } = await pair({ receiveMaximum: 65_535 })
  let release = () => {}
  const held = new Promise<string>((resolve) => {
    release = () => resolve('first')
  })
  let isFirst = true
  const handler = () => {
    if (!isFirst) return 'other'
    isFirst = false
    return held
  }
  server.respond('a', handler, { concurrency: 1, maxPending: 65_535 })
  await s.clock.advance(100)
  const options = { timeout: 60_000, qos: 0 } as const
  const all = Array.from({ length: 12_000 }, () => client.request('a', '', options))
  await s.clock.advance(1000)
  release()
  const responses = await s.value(5000, Promise.all(all))
  expect(responses).toHaveLength(12_000)
})

test('a handler may throw what has no text', async () => {
  const { s, server, client } = await pair()
  server.respond('a', () => {
    throw Object.create(null)
  })
  server.respond('b', async () => {
    throw JSON.parse('{"toString":1}')
  })
  for (const topic of ['a', 'b']) {
    const error = await s.error(100, client.request(topic))
    expect(error).toMatchObject({ code: 'RESPONDER_FAILED' })
  }
})

test('[Q6] text with many brackets is a payload in MQTT 3.1.1, too', async () => {
  const { s, server, client } = await pair({ protocolVersion: 4 })
  const seen: string[] = []
  server.respond('a', ({ payload }) => {
    seen.push(text(payload))
    return payload
  })
  await s.clock.advance(100)
  const brackets = '['.repeat(600)
  const response = await s.value(100, client.request('a', brackets))
  expect([seen, text(response.payload)]).toEqual([[brackets], brackets])
})

test('[Q11] close() waits for a claim that is under way at the store', async () => {
  const { s, server, client } = await pair()
  let ran = 0
  const store = {
    claim: async () => {
      await sleep(s, 50)
      return 'new' as const
    },
    finish: async () => {},
    release: async () => {},
  }
  const responder = server.respond('a', () => `${++ran}`, { dedupe: { store } })
  await s.clock.advance(100)
  const asked = client.request('a')
  await s.clock.advance(10)
  const closed = responder.close()
  expect(await s.within(10, closed)).toBe('pending')
  expect(text((await s.value(100, asked)).payload)).toBe('1')
  await s.value(10, closed)
})

test.each([
  ['acknowledged', {}],
  ['kept for the next responder', { cleanStart: false, sessionExpiryInterval: 60 }],
])('[Q5] [Q11] a responder that closes gives repetitions up, too: they are %s', async (_, kept) => {
  const { s, server, client } = await pair({ ...kept, requestTimeout: 60_000 })
  const ran: string[] = []
  let release = () => {}
  const held = new Promise<void>((resolve) => {
    release = resolve
  })
  const handler = async ({ payload }: { readonly payload: Uint8Array }) => {
    ran.push(text(payload))
    await held
    return payload
  }
  const responder = server.respond('a', handler, { concurrency: 1 })
  await s.clock.advance(100)
  // Each request comes three times.
  s.broker.copies = (_, to) => (to === 'server' ? 3 : 1)
  const asked = ['1', '2'].map((payload) => client.request('a', payload))
  for (const one of asked) one.catch(() => {})
  await s.clock.advance(100)
  const { unacknowledged } = s.broker.sessions.get('server')!
  expect([ran, unacknowledged.size]).toEqual([['1'], 6])
  const closed = responder.close()
  release()
  await s.value(100, closed)
  const isKept = 'cleanStart' in kept
  expect([ran, unacknowledged.size]).toEqual([['1'], isKept ? 3 : 0])
  server.respond('a', handler)
  await s.clock.advance(100)
  expect([ran, unacknowledged.size]).toEqual([isKept ? ['1', '2'] : ['1'], 0])
})

test('[Q9] a stream keeps no part that was consumed, however slow its consumer is', async () => {
  const { s, server, client } = await pair()
  server.respond('a', async function* () {
    for (let i = 0; i < 2500; i++) yield `${i}`
  })
  await s.clock.advance(100)
  const parts = client.requestMany('a', '', { timeout: 60_000 })
  const consumed = [new WeakRef((await s.value(100, parts.next())).value!)]
  // More parts come before all of those that wait are consumed.
  while (consumed.length < 2000) {
    consumed.push(new WeakRef((await parts.next()).value!))
    if (consumed.length % 16 === 0) await s.clock.advance(1)
  }
  await collectGarbage()
  expect(consumed.filter((part) => part.deref() !== undefined).length).toBeLessThan(700)
  expect(text((await parts.next()).value!.payload)).toBe('2000')
})

/** Collects all that is not reachable. What a task has looked at stays until its end. */
async function collectGarbage(): Promise<void> {
  setFlagsFromString('--expose-gc')
  const collect: () => void = runInNewContext('gc')
  await new Promise((resolve) => setImmediate(resolve))
  collect()
}

describe.each([5, 4] as const)('MQTT %d', (protocolVersion) => {
  test('[Q7] a request to a service with its own wire that timed out is not sent any more', async () => {
    const { s, client } = await pair({ protocolVersion })
    const shadow = { responses: [{ topic: 'shadow/accepted', ok: true }], timeout: 1000 }
    const properties = { userProperties: { only: 'in MQTT 5' } }
    const first = client.request('shadow', 'first', { ...shadow, properties })
    await s.clock.advance(10)
    await client.publish('shadow/accepted', 'yes')
    expect(text((await s.value(10, first)).payload)).toBe('yes')
    s.broker.refusesDials = true
    s.broker.cut('client')
    await s.clock.advance(10)
    const late = client.request('shadow', 'late', shadow)
    expect(await s.error(1000, late)).toMatchObject({ code: 'TIMEOUT' })
    s.broker.refusesDials = false
    await s.clock.advance(2000)
    await s.value(10, client.ready())
    const sent = s.broker.published.filter(({ topic }) => topic === 'shadow')
    expect(sent.map(({ payload }) => text(payload as Uint8Array))).toEqual(['first'])
  })

  test('[Q1] requests that time out before there is a connection ask for nothing', async () => {
    const s = surround()
    s.broker.refusesDials = true
    const client = s.running('client', { protocolVersion, requestTimeout: 1000 })
    const asked = [client.request('a'), client.request('a', '', { lane: 'l', ackTimeout: 500 })]
    asked.push(client.requestMany('a').next() as never)
    const outcomes = await s.value(2000, Promise.allSettled(asked))
    const codes = outcomes.map((one) => one.status === 'rejected' && one.reason.code)
    expect(codes).toEqual(['TIMEOUT', 'TIMEOUT', 'TIMEOUT'])
    s.broker.refusesDials = false
    await s.value(5000, client.ready())
    await s.clock.advance(1000)
    expect([...s.broker.sessions.get('client')!.filters.keys()]).toEqual([])
    expect(client.state.requests).toMatchObject({ sent: 0, open: 0 })
  })
})

test('[Q12] the CONNACK of a lost connection that is read late makes no connection healthy', async () => {
  const { s } = await pair()
  const client = s.client('late')
  await s.error(100, client.request('nobody'))
  // The first CONNACK is read by the next() that is outstanding, the second one waits.
  for (let i = 0; i < 2; i++) {
    s.broker.cut('late')
    await s.clock.advance(500)
  }
  s.broker.refusesDials = true
  s.broker.cut('late')
  await s.clock.advance(10_000)
  expect(await s.within(10, client.ready())).toBe('pending')
  const asked = client.request('a', '', { fallback: () => 'fallback', afterMs: 1000 })
  expect((await s.value(10, asked)).via).toBe('fallback')
})

describe('[Q12] a request that its fallback answers asks the server no more', () => {
  test.each([
    ['the response topic', {}],
    ['a topic of the service', { responses: [{ topic: 'accepted', ok: true }] }],
  ])('[Q12] not when %s is granted, or refused', async (_, wire) => {
    for (const isRefused of [false, true]) {
      const s = surround()
      s.broker.refusesDials = true
      const client = s.running('client', { responseTopic: 'answers' })
      // The fallback begins before there is a connection, and takes its time.
      const options = { ackTimeout: 1000, responseTimeout: 30_000, ...wire }
      const fallback = () => sleep(s, 20_000).then(() => 'fallback')
      const asked = client.request('a', '', { ...options, fallback })
      await s.clock.advance(2000)
      s.broker.refusesDials = false
      if (isRefused) for (const filter of ['answers', 'accepted']) s.broker.refused.add(filter)
      await s.value(5000, client.ready())
      await s.clock.advance(100)
      expect(client.state.requests.sent).toBe(0)
      expect((await s.value(20_000, asked)).via).toBe('fallback')
    }
  })

  test('[Q12] not when a service with its own wire answers late', async () => {
    const { s, client } = await pair()
    const shadow = { responses: [{ topic: 'accepted', ok: true }], ackTimeout: 1000 }
    s.broker.acknowledges = ({ topic }) => topic !== 'a'
    const fallback = () => sleep(s, 2000).then(() => 'fallback')
    const asked = client.request('a', '', { ...shadow, fallback })
    await s.clock.advance(1500)
    await s.value(10, client.publish('accepted', 'late'))
    const response = await s.value(2000, asked)
    expect([response.via, text(response.payload)]).toEqual(['fallback', 'fallback'])
  })
})

test('[M7] [M11] requests that wait for a responder that is refused hold nobody back', async () => {
  const world = new World()
  const client = world.running(world.client())
  await world.value(client.subscribe('a', { acks: 'receipt' }).granted)
  world.broker.faults.refuse({ cmd: 'subscribe', topic: 'a' })
  world.broker.faults.delay('suback', 100)
  let release = () => {}
  const held = new Promise<string>((resolve) => {
    release = () => resolve('done')
  })
  const responder = client.respond('a', () => held, { concurrency: 1 })
  const done = responder.done.catch((error: unknown) => error)
  await world.clock.advance(10)
  for (const payload of ['1', '2', '3']) world.broker.publish('a', payload, { qos: 1 })
  await world.clock.advance(10)
  expect(responder.stats).toMatchObject({ running: 1, pending: 2 })
  expect(await world.value(done, 100)).toMatchObject({ code: 'SUBSCRIBE_REFUSED' })
  release()
  await world.clock.advance(10)
  expect(world.broker.sessions.get('c0')!.inflight).toBe(0)
})
