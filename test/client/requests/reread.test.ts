/** What was found by reading the requests: ends that left something, and input that nobody expects. */
import { describe, expect, test } from 'vitest'
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
