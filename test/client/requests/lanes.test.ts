/**
 * Goal: Q12, the serial lane with its fallback. Method: clients at a small broker and a virtual
 * clock.
 */
import { channel } from 'node:diagnostics_channel'
import { describe, expect, test } from 'vitest'
import type { RequestEvent } from '../../../src/client/index.ts'
import { surround, text } from './surroundings.ts'

/** A client, and a peer that gets requests to `sync` and answers by hand. */
async function lane(options = {}) {
  const s = surround()
  const server = s.running('server')
  const requests: string[] = []
  const waiting: ((payload: string) => void)[] = []
  server.respond('sync', (request) => {
    requests.push(text(request.payload))
    return new Promise<string>((resolve) => waiting.push(resolve))
  })
  await s.clock.advance(100)
  const client = s.client('client', options)
  await s.value(100, client.ready())
  const stop = new AbortController()
  client.run({ signal: stop.signal }).catch(() => {})
  return { s, client, requests, waiting }
}

const bounds = { lane: 'l', ackTimeout: 1000, responseTimeout: 2000 }

describe('[Q12] in a lane never two are open', () => {
  test('[Q12] the next one leaves when the one before is answered; others go beside it', async () => {
    const { s, client, requests, waiting } = await lane()
    const first = client.request('sync', '1', bounds)
    const second = client.request('sync', '2', bounds)
    const beside = client.request('sync', 'other', { ...bounds, lane: 'm' })
    await s.clock.advance(100)
    expect(requests).toEqual(['1', 'other'])
    waiting[0]!('a')
    waiting[1]!('b')
    expect(text((await s.value(100, first)).payload)).toBe('a')
    expect(text((await s.value(0, beside)).payload)).toBe('b')
    expect(requests).toEqual(['1', 'other', '2'])
    waiting[2]!('c')
    expect(text((await s.value(100, second)).payload)).toBe('c')
  })

  test('[Q12] a failure, a time-out and an abort let the next one go', async () => {
    const { s, client, requests } = await lane()
    const controller = new AbortController()
    const outcomes = Promise.allSettled([
      client.request('nobody', '', bounds),
      client.request('sync', 'slow', bounds),
      client.request('sync', 'never', { ...bounds, signal: controller.signal }),
      client.request('sync', 'last', bounds),
    ])
    await s.clock.advance(100)
    expect(requests).toEqual(['slow'])
    controller.abort('enough')
    await s.clock.advance(2000)
    expect(requests).toEqual(['slow', 'last'])
    const [a, b, c, d] = await s.value(3000, outcomes)
    expect(a).toMatchObject({ reason: { code: 'NO_RESPONDERS' } })
    expect(b).toMatchObject({ reason: { code: 'TIMEOUT' } })
    expect(c).toMatchObject({ reason: 'enough' })
    expect(d).toMatchObject({ reason: { code: 'TIMEOUT' } })
  })

  test('[Q12] each settles within ackTimeout + responseTimeout of its turn', async () => {
    const { s, client } = await lane()
    s.broker.acknowledges = () => false
    const times: number[] = []
    const start = s.clock.now()
    for (let i = 0; i < 2; i++) {
      client.request('sync', `${i}`, bounds).catch(() => times.push(s.clock.now() - start))
    }
    await s.clock.advance(5000)
    expect(times).toEqual([1000, 2000])
  })

  test('[Q12] order is kept across lost links, and 10,000 that wait end without a stack', async () => {
    const { s, client, requests, waiting } = await lane()
    const asked = [1, 2, 3].map((i) => client.request('sync', `${i}`, { ...bounds, retry: 'lost' }))
    const outcomes = Promise.allSettled(asked)
    await s.clock.advance(10)
    s.broker.cut('client')
    await s.clock.advance(1000)
    for (let i = 0; i < 3; i++) {
      waiting[i]!('y')
      await s.clock.advance(10)
    }
    expect(requests).toEqual(['1', '2', '3'])
    expect((await s.value(100, outcomes)).every(({ status }) => status === 'fulfilled')).toBe(true)
    const many = Array.from({ length: 10_000 }, () => client.request('sync', '', bounds))
    const ends = Promise.allSettled(many)
    await s.clock.advance(10)
    void client.close({ timeout: 10 })
    const reasons = (await s.value(1000, ends)).map((end) => (end as PromiseRejectedResult).reason)
    expect(reasons.every(({ code }) => code === 'ENDED')).toBe(true)
  })
})

describe('[Q12] the fallback', () => {
  const answering = () => {
    const keys: string[] = []
    const fallback = async ({ payload, key }: { payload: unknown; key: string }) => {
      keys.push(key)
      return `fallback ${payload}`
    }
    return { keys, fallback }
  }

  test('[Q12] a request whose PUBACK is missing goes there under the same key', async () => {
    const { s, client } = await lane()
    const { keys, fallback } = answering()
    s.broker.acknowledges = () => false
    s.broker.copies = () => 0
    const asked = client.request('sync', '1', { ...bounds, fallback })
    const response = await s.value(1100, asked)
    expect(response).toMatchObject({ via: 'fallback', status: 200 })
    expect(text(response.payload)).toBe('fallback 1')
    const sent = s.broker.published.find(({ topic }) => topic === 'sync')!
    expect(keys).toEqual([sent.properties!.userProperties!['itm-key']])
    expect(client.state.requests).toMatchObject({ viaFallback: 1, open: 0 })
  })

  test('[Q12] while there is no connection for afterMs it answers; then the server again', async () => {
    const { s, client, waiting } = await lane()
    const { fallback } = answering()
    const options = { ...bounds, fallback, afterMs: 500 }
    s.broker.refusesDials = true
    s.broker.cut('client')
    await s.clock.advance(100)
    const early = client.request('sync', 'early', options)
    const late = client.request('sync', 'late', options)
    expect((await s.value(1100, early)).via).toBe('fallback')
    expect((await s.value(10, late)).via).toBe('fallback')
    expect(s.clock.elapsed).toBeLessThan(3000)
    s.broker.refusesDials = false
    await s.clock.advance(2000)
    const back = client.request('sync', 'back', options)
    await s.clock.advance(100)
    waiting.at(-1)!('y')
    expect((await s.value(100, back)).via).toBe('mqtt')
  })

  test('[Q12] its error rejects; one that hangs is aborted at the bound', async () => {
    const { s, client } = await lane()
    s.broker.acknowledges = () => false
    s.broker.copies = () => 0
    const fails = client.request('sync', '', {
      ...bounds,
      fallback: () => Promise.reject(new Error('offline')),
    })
    expect((await s.error(1100, fails)).message).toBe('offline')
    let signal: AbortSignal | null = null
    const hangs = client.request('sync', '', {
      ...bounds,
      fallback: (_, given) => {
        signal = given
        return new Promise(() => {})
      },
    })
    expect((await s.error(3000, hangs)).code).toBe('TIMEOUT')
    expect(signal!.aborted).toBe(true)
  })
})

test('[Q12] each end is reported on the channel it-mqtt:request', async () => {
  const { s, client, waiting } = await lane()
  const events: RequestEvent[] = []
  const listener = (event: unknown) => void events.push(event as RequestEvent)
  const requests = channel('it-mqtt:request')
  requests.subscribe(listener)
  try {
    const asked = client.request('sync', '1', { ...bounds, key: 'k' })
    await s.clock.advance(100)
    waiting[0]!('y')
    await s.value(10, asked)
    await s.error(100, client.request('nobody', ''))
  } finally {
    requests.unsubscribe(listener)
  }
  expect(events).toMatchObject([
    { clientId: 'client', topic: 'sync', key: 'k', attempt: 1, code: null, via: 'mqtt' },
    { topic: 'nobody', attempt: 1, code: 'NO_RESPONDERS' },
  ])
  expect(events[0]!.ms).toBe(100)
})
