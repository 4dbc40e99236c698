/**
 * Goal: Q1 to Q4, what a requester is promised. Method: clients at a small broker and a virtual
 * clock; the other side is a responder of ours, or packets by hand.
 */
import type { IPublishPacket } from 'mqtt-packet'
import { describe, expect, test } from 'vitest'
import { json, type RequestOptions } from '../../../src/client/index.ts'
import { RefusedError } from '../../../src/index.ts'
import { type Surroundings, surround, text } from './surroundings.ts'

/** Publishes a response by hand. */
function answer(
  s: Surroundings,
  request: IPublishPacket,
  payload: string,
  properties: Record<string, string> = { 'itm-status': '200' },
): void {
  s.broker.publish({
    cmd: 'publish',
    dup: false,
    retain: false,
    qos: 0,
    topic: request.properties!.responseTopic!,
    payload,
    properties: {
      correlationData: request.properties!.correlationData!,
      userProperties: properties,
    },
  })
}

/** A client whose requests to `topic` somebody receives, who does not answer. */
async function asker(topic = 'a', options = {}) {
  const s = surround()
  const peer = s.running('peer')
  const inbox = peer.subscribe(topic)
  inbox.forEach(() => {}).catch(() => {})
  await s.clock.advance(100)
  const client = s.client('client', options)
  const requests = () => s.broker.published.filter((packet) => packet.topic === topic)
  return { s, client, requests }
}

describe('[Q1] the response filter is granted before the first request leaves', () => {
  test('[Q1] SUBSCRIBE and SUBACK come before the PUBLISH', async () => {
    const { s, client, requests } = await asker()
    const asked = client.request('a', 'x')
    await s.clock.advance(100)
    const [request] = requests()
    const topic = request!.properties!.responseTopic!
    expect([...s.broker.sessions.get('client')!.filters.keys()]).toEqual([topic])
    expect(topic).toMatch(/^clients\/client\/r\//)
    answer(s, request!, 'y')
    expect(text((await s.value(10, asked)).payload)).toBe('y')
  })

  test('[Q1] a refused response filter rejects the request, which does not leave', async () => {
    const { s, client, requests } = await asker('a', { responseTopic: 'mine' })
    s.broker.refused.add('mine')
    expect((await s.error(100, client.request('a'))).code).toBe('SUBSCRIBE_REFUSED')
    expect(requests()).toEqual([])
    s.broker.refused.clear()
    const asked = client.request('a')
    await s.clock.advance(100)
    answer(s, requests()[0]!, 'y')
    expect((await s.value(10, asked)).status).toBe(200)
  })

  test('[Q1] after a lost session the filter is renewed before requests leave', async () => {
    const { s, client, requests } = await asker()
    const first = client.request('a', '1')
    await s.clock.advance(100)
    answer(s, requests()[0]!, 'y')
    await s.value(10, first)
    s.broker.cut('client')
    const second = client.request('a', '2')
    await s.clock.advance(1000)
    const session = s.broker.sessions.get('client')!
    expect([...session.filters.keys()]).toEqual([requests()[1]!.properties!.responseTopic])
    answer(s, requests()[1]!, 'z')
    expect(text((await s.value(10, second)).payload)).toBe('z')
  })
})

describe('[Q2] a response resolves its request once', () => {
  test('[Q2] a request is answered, with key, correlation and expiry on the wire', async () => {
    const s = surround()
    s.running('server').respond('plant/{line}/start', (request) => {
      return `${request.params.line} ${text(request.payload)}`
    })
    await s.clock.advance(100)
    const client = s.client('client')
    const options = { timeout: 2500, properties: { userProperties: { traceparent: '00-1' } } }
    const response = await s.value(100, client.request('plant/7/start', 'now', options))
    expect(text(response.payload)).toBe('7 now')
    expect(response).toMatchObject({ status: 200, via: 'mqtt' })
    const sent = s.broker.published.find(({ topic }) => topic === 'plant/7/start')!
    expect(sent.qos).toBe(1)
    expect(sent.properties!.messageExpiryInterval).toBe(3)
    expect(sent.properties!.correlationData).toHaveLength(16)
    const { userProperties } = sent.properties!
    expect(userProperties).toMatchObject({ traceparent: '00-1' })
    expect(userProperties!['itm-key']).toMatch(/^[0-9a-f]{32}$/)
  })

  test.each([
    [{ qos: 0 }, expect.stringMatching(/^[0-9a-f]{32}$/)],
    [{ qos: 0, key: 'mine' }, 'mine'],
    [{ qos: 0, retry: 'lost' }, expect.stringMatching(/^[0-9a-f]{32}$/)],
  ] as const)('[Q2] the operation has a key at QoS 0 too: %j', async (options, wanted) => {
    const { s, client, requests } = await asker()
    const asked = client.request('a', 'x', options)
    await s.clock.advance(100)
    const [request] = requests()
    expect(request!.properties!.userProperties?.['itm-key']).toEqual(wanted)
    answer(s, request!, 'y')
    expect(text((await s.value(10, asked)).payload)).toBe('y')
  })

  test('[Q2] requests that ask alike share nothing but that', async () => {
    const { s, client, requests } = await asker()
    const asked = [
      client.request('a', '1'),
      client.request('a', new Uint8Array([0x32])),
      client.request('a', '3', { timeout: 9000 }),
      client.request('a', '4', { qos: 0 }),
      client.request('a', { n: 5 }, { codec: json as never }),
      client.request('a', '6'),
    ]
    await s.clock.advance(100)
    const sent = requests().map(({ qos, payload, properties }) => [
      payload.toString(),
      qos,
      properties!.messageExpiryInterval,
      properties!.contentType,
    ])
    const type = 'application/json'
    expect(sent).toEqual([
      ['1', 1, 5, undefined],
      ['2', 1, 5, undefined],
      ['3', 1, 9, undefined],
      ['4', 0, 5, undefined],
      ['{"n":5}', 1, 5, type],
      ['6', 1, 5, undefined],
    ])
    for (const request of requests()) answer(s, request, '0')
    await s.value(10, Promise.all(asked))
  })

  test('[Q2] repeated, late, unknown and malformed responses are counted and not kept', async () => {
    const { s, client, requests } = await asker()
    const done = client.request('a')
    await s.clock.advance(100)
    const [first] = requests()
    answer(s, first!, '', { 'itm-status': 'ok' })
    answer(s, first!, 'y')
    await s.value(10, done)
    answer(s, first!, 'again')
    const late = client.request('a', '', { timeout: 1000 })
    expect((await s.error(1100, late)).code).toBe('TIMEOUT')
    void s.within(0, client.request('a'))
    await s.clock.advance(10)
    answer(s, requests()[1]!, 'late')
    for (const correlationData of [Buffer.alloc(0), Buffer.alloc(65_000), Buffer.alloc(16)]) {
      answer(s, { ...first!, properties: { ...first!.properties, correlationData } }, 'unknown')
    }
    await s.clock.advance(10)
    expect(client.state.requests).toMatchObject({
      sent: 3,
      answered: 1,
      timedOut: 1,
      malformedAnswers: 1,
      lateAnswers: 1,
      unknownAnswers: 4,
      open: 1,
      byCode: { TIMEOUT: 1 },
    })
  })

  test('[Q2] a response before the PUBACK resolves; of two responders the first one does', async () => {
    const { s, client, requests } = await asker()
    s.broker.acknowledges = () => false
    const asked = client.request('a')
    await s.clock.advance(100)
    answer(s, requests()[0]!, 'first')
    answer(s, requests()[0]!, 'second')
    expect(text((await s.value(10, asked)).payload)).toBe('first')
  })

  test.each([
    ['400', 'BAD_REQUEST', false],
    ['404', 'UNKNOWN', false],
    ['409', 'KEY_REUSED', false],
    ['422', 'TOO_HOT', false],
    ['500', 'RESPONDER_FAILED', false],
    ['503', 'BUSY', true],
    ['504', 'RESPONDER_TIMEOUT', false],
    ['418', 'REFUSED_BY_RESPONDER', false],
  ])('[Q2] status %s rejects with %s', async (status, code, retryable) => {
    const { s, client, requests } = await asker()
    const asked = client.request('a', '', { codec: json as never })
    await s.clock.advance(100)
    const message = 'm'.repeat(5000)
    answer(s, requests()[0]!, '{"max":90}', {
      'itm-status': status,
      'itm-code': 'TOO_HOT',
      'itm-message': message,
    })
    const error = await s.error(10, asked)
    expect(error).toBeInstanceOf(RefusedError)
    expect(error).toMatchObject({ code, retryable })
    expect(error.remote).toMatchObject({ code: 'TOO_HOT', data: { max: 90 } })
    expect(error.remote.message).toHaveLength(4096)
  })

  test('[Q2] a response that cannot be decoded rejects INVALID_RESPONSE', async () => {
    const { s, client, requests } = await asker()
    const asked = client.request('a', '', { codec: json as never })
    await s.clock.advance(100)
    answer(s, requests()[0]!, '{')
    expect((await s.error(10, asked)).code).toBe('INVALID_RESPONSE')
  })

  test('[Q2] a stream is no response', async () => {
    const { s, client, requests } = await asker()
    const asked = client.request('a')
    await s.clock.advance(100)
    answer(s, requests()[0]!, '1', { 'itm-status': '200', 'itm-seq': '0' })
    expect((await s.error(10, asked)).code).toBe('INVALID_RESPONSE')
  })
})

test('[Q3] 0x10 rejects NO_RESPONDERS at once, and is no error of publish', async () => {
  const s = surround()
  const client = s.client('client')
  const error = await s.error(100, client.request('nobody', ''))
  expect(error).toMatchObject({ code: 'NO_RESPONDERS', retryable: true })
  expect(client.state.requests).toMatchObject({ noResponders: 1, open: 0 })
  expect((await s.value(100, client.publish('nobody', ''))).noMatchingSubscribers).toBe(true)
  s.broker.saysUnmatched = false
  expect((await s.error(5100, client.request('nobody', ''))).code).toBe('TIMEOUT')
})

describe('[Q4] a request whose connection is lost', () => {
  const lose = async (options: RequestOptions) => {
    const { s, client, requests } = await asker()
    const asked = client.request('a', 'x', { timeout: 5000, ...options })
    await s.clock.advance(100)
    s.broker.cut('client')
    return { s, client, requests, asked }
  }

  test('[Q4] waits on by default, and its TIMEOUT says that it may have been done', async () => {
    const { s, requests, asked } = await lose({})
    expect(await s.error(5000, asked)).toMatchObject({ code: 'TIMEOUT', linkLost: true })
    expect(requests()).toHaveLength(1)
  })

  test('[Q4] a TIMEOUT without a loss says so', async () => {
    const { s, client } = await asker()
    const error = await s.error(5100, client.request('a'))
    expect(error).toMatchObject({ code: 'TIMEOUT', linkLost: false, retryable: true })
  })

  test('[Q4] retry lost: sent again with another correlation, the same key and deadline', async () => {
    const { s, client, requests, asked } = await lose({ retry: 'lost' })
    await s.clock.advance(1000)
    const [first, second] = requests().map(({ properties }) => properties!)
    expect(requests()).toHaveLength(2)
    expect(second!.userProperties!['itm-key']).toBe(first!.userProperties!['itm-key'])
    expect(second!.userProperties!['itm-attempt']).toBe('2')
    expect(second!.correlationData).not.toEqual(first!.correlationData)
    expect(second!.messageExpiryInterval).toBeLessThanOrEqual(5)
    answer(s, requests()[1]!, 'y')
    expect(text((await s.value(10, asked)).payload)).toBe('y')
    expect(client.state.requests.retried).toBe(1)
  })

  test('[Q4] retry lost: an attempt that has no PUBACK is not doubled', async () => {
    const { s, client, requests } = await asker()
    s.broker.acknowledges = () => false
    const asked = client.request('a', 'x', { retry: 'lost' })
    await s.clock.advance(100)
    s.broker.acknowledges = () => true
    s.broker.cut('client')
    await s.clock.advance(1000)
    const ids = requests().map(({ properties }) => properties!.correlationData!.toString('hex'))
    expect(new Set(ids).size).toBe(1)
    answer(s, requests().at(-1)!, 'y')
    expect((await s.value(10, asked)).status).toBe(200)
  })

  test('[Q4] with a real responder an operation that is sent twice is executed once', async () => {
    const s = surround()
    let runs = 0
    s.running('server').respond('a', async () => {
      runs++
      await new Promise<void>((resolve) => void s.clock.setTimer(resolve, 1000))
      return `run ${runs}`
    })
    await s.clock.advance(100)
    const asked = s.client('client').request('a', 'x', { retry: 'lost' })
    await s.clock.advance(200)
    s.broker.cut('client')
    expect(text((await s.value(2000, asked)).payload)).toBe('run 1')
    expect(runs).toBe(1)
  })
})

describe('a request ends', () => {
  test('[Q11] with ENDED, when the client does', async () => {
    const { s, client } = await asker()
    const asked = [client.request('a'), client.request('a', '', { lane: 'l' })]
    asked.push(client.request('a', '', { lane: 'l' }), client.request('a', '', { lane: 'l' }))
    const ends = Promise.allSettled(asked)
    await s.clock.advance(100)
    void client.close()
    const outcomes = await s.value(1000, ends)
    for (const outcome of outcomes) expect(outcome).toMatchObject({ reason: { code: 'ENDED' } })
    expect((await s.error(10, client.request('a'))).code).toBe('ENDED')
    expect(client.state.requests.open).toBe(0)
  })

  test('with the reason of its signal, and nothing is left of it', async () => {
    const { s, client } = await asker()
    const timers: number[] = []
    for (const reason of ['enough', 'enough again']) {
      const controller = new AbortController()
      const options = { signal: controller.signal, timeout: 80_000_000 }
      const asked = client.request('a', '', options)
      await s.clock.advance(100)
      controller.abort(reason)
      expect(await s.within(10, asked)).toEqual({ error: reason })
      // Those that look after idle connections have fired by then.
      await s.clock.advance(40_000)
      timers.push(s.clock.pendingTimers)
    }
    expect(timers[1]).toBe(timers[0])
  })

  test('before it has left, if its time is over while there is no connection', async () => {
    const { s, client, requests } = await asker()
    s.broker.refusesDials = true
    const asked = client.request('a', 'x', { timeout: 1000 })
    expect(await s.error(1000, asked)).toMatchObject({ code: 'TIMEOUT', linkLost: false })
    s.broker.refusesDials = false
    await s.value(5000, client.ready())
    await s.clock.advance(5000)
    expect(requests()).toEqual([])
  })

  test.each([
    [{ timeout: 0 }],
    [{ timeout: Number.NaN }],
    [{ timeout: 2 ** 31 }],
    [{ qos: 3 }],
    [{ key: '' }],
    [{ lane: '' }],
    [{ retry: 'maybe' }],
    [{ responses: [] }],
    [{ responses: [{ topic: 'a/#/b', ok: true }] }],
    [{ tiemout: 1 }],
    [{ afterMs: -1 }],
  ])('with a UsageError for %j', async (options) => {
    const s = surround()
    const asked = s.client('client').request('a', '', options as RequestOptions)
    expect((await s.error(0, asked)).name).toBe('UsageError')
  })

  test('with a UsageError for a topic or payload that cannot be sent', async () => {
    const s = surround()
    const client = s.client('client')
    for (const topic of ['', 'a/+', '#']) {
      expect((await s.error(0, client.request(topic))).name).toBe('UsageError')
    }
    expect((await s.error(0, client.request('a', { a: 1 }))).message).toMatch(/give a codec/)
  })
})
