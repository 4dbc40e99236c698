/**
 * Goal: Q5 to Q8, Q10 and Q11, what a responder is promised. Method: clients at a small broker and
 * a virtual clock.
 */
import type { IPublishPacket } from 'mqtt-packet'
import { describe, expect, test } from 'vitest'
import type { DedupeStore, StoredAnswer } from '../../../src/client/index.ts'
import { json } from '../../../src/client/index.ts'
import { type Surroundings, surround, text } from './surroundings.ts'

/** Publishes a request by hand; answers to `reply` are not looked at by anybody. */
function ask(
  s: Surroundings,
  properties: IPublishPacket['properties'] = {},
  payload = '',
  qos: 0 | 1 = 1,
): void {
  s.broker.publish({
    cmd: 'publish',
    dup: false,
    retain: false,
    qos,
    topic: 'a',
    payload,
    properties: { responseTopic: 'reply', correlationData: Buffer.from('c'), ...properties },
  })
}

const key = (name: string) => ({ userProperties: { 'itm-key': name } })

const answers = (s: Surroundings, topic = 'reply') =>
  s.broker.published
    .filter((packet) => packet.topic === topic)
    .map(({ payload, properties }) => ({
      status: properties!.userProperties!['itm-status'],
      payload: payload.toString(),
    }))

const sleep = (s: Surroundings, ms: number) =>
  new Promise<void>((resolve) => void s.clock.setTimer(resolve, ms))

describe('[Q5] a request is acknowledged after its response was handed over', () => {
  test('[Q5] with responseQos 1, after the PUBACK of the response', async () => {
    const s = surround()
    const kept = { cleanStart: false, sessionExpiryInterval: 60 }
    s.running('server', kept).respond('a', () => 'y', { responseQos: 1 })
    await s.clock.advance(100)
    s.broker.acknowledges = ({ topic }) => topic !== 'reply'
    ask(s)
    await s.clock.advance(100)
    const session = s.broker.sessions.get('server')!
    expect(answers(s)).toHaveLength(1)
    expect(session.unacknowledged.size).toBe(1)
    s.broker.acknowledges = () => true
    s.broker.cut('server')
    // The engine sends what was open at a loss one by one, and with care.
    await s.clock.advance(10_000)
    expect(session.unacknowledged.size).toBe(0)
  })

  test('[Q5] while its handler runs it is not acknowledged', async () => {
    const s = surround()
    s.running('server').respond('a', () => sleep(s, 500))
    await s.clock.advance(100)
    ask(s)
    await s.clock.advance(100)
    const session = s.broker.sessions.get('server')!
    expect(session.unacknowledged.size).toBe(1)
    await s.clock.advance(500)
    expect(session.unacknowledged.size).toBe(0)
    expect(answers(s)).toEqual([{ status: '204', payload: '' }])
  })
})

describe('[Q6] within its deadline an operation is executed once', () => {
  test('[Q6] repetitions get the same response; those that come meanwhile wait for it', async () => {
    const s = surround()
    let runs = 0
    const responder = s.running('server').respond('a', async () => {
      runs++
      await sleep(s, 100)
      return `run ${runs}`
    })
    await s.clock.advance(100)
    for (const correlation of ['1', '2']) {
      ask(s, { ...key('k'), correlationData: Buffer.from(correlation) })
    }
    await s.clock.advance(200)
    ask(s, { ...key('k'), correlationData: Buffer.from('3') })
    await s.clock.advance(100)
    expect(runs).toBe(1)
    expect(answers(s).map(({ payload }) => payload)).toEqual(['run 1', 'run 1', 'run 1'])
    expect(responder.stats).toMatchObject({ received: 3, repeated: 2, answered: 3 })
  })

  test('[Q6] the same key with another payload gets 409', async () => {
    const s = surround()
    s.running('server').respond('a', () => 'y')
    await s.clock.advance(100)
    ask(s, key('k'), 'one')
    ask(s, key('k'), 'two')
    await s.clock.advance(100)
    expect(answers(s).map(({ status }) => status)).toEqual(['200', '409'])
  })

  test('[Q6] nothing is forgotten before its deadline; new requests get 503 meanwhile', async () => {
    const s = surround()
    let runs = 0
    s.running('server').respond('a', () => `run ${++runs}`, { dedupe: { maxEntries: 1 } })
    await s.clock.advance(100)
    const expiring = (name: string) => ({ ...key(name), messageExpiryInterval: 10 })
    ask(s, expiring('k'))
    ask(s, expiring('l'))
    await s.clock.advance(9000)
    ask(s, expiring('k'))
    await s.clock.advance(100)
    expect(answers(s).map(({ status }) => status)).toEqual(['200', '503', '200'])
    await s.clock.advance(10_000)
    ask(s, expiring('l'))
    await s.clock.advance(100)
    expect(answers(s).at(-1)).toEqual({ status: '200', payload: 'run 2' })
  })

  test('[Q6] dedupe: false executes each', async () => {
    const s = surround()
    let runs = 0
    s.running('server').respond('a', () => `run ${++runs}`, { dedupe: false })
    await s.clock.advance(100)
    ask(s, key('k'))
    ask(s, key('k'))
    await s.clock.advance(100)
    expect(runs).toBe(2)
  })

  test.each([
    [1, undefined, {}, 1],
    [0, 'k', {}, 1],
    [0, undefined, { qos: 0 }, 1],
    [0, undefined, {}, 1],
  ] as const)(
    '[Q6] published twice at QoS %d with the key %s, subscribed with %j: %d runs',
    async (qos, name, options, wanted) => {
      const s = surround()
      let runs = 0
      const responder = s.running('server').respond('a', () => `run ${++runs}`, options)
      await s.clock.advance(100)
      for (let i = 0; i < 2; i++) {
        ask(s, name === undefined ? {} : key(name), 'x', qos)
        await s.clock.advance(100)
      }
      expect(runs).toBe(wanted)
      expect(responder.stats).toMatchObject({ received: 2, repeated: 2 - wanted, answered: 2 })
    },
  )

  test('[Q6] a handler is given a key, whether or not the request has one', async () => {
    const s = surround()
    const keys: string[] = []
    s.running('server').respond('a', (request) => void keys.push(request.key))
    await s.clock.advance(100)
    ask(s, {}, 'x', 0)
    ask(s, { correlationData: Buffer.from('d') }, 'x', 1)
    await s.clock.advance(100)
    expect(keys).toEqual(['\u0000reply\u0000c', '\u0000reply\u0000d'])
  })

  test('[Q6] with a store, across processes', async () => {
    const s = surround()
    const stored = new Map<string, StoredAnswer | 'running'>()
    const store: DedupeStore = {
      async claim(name) {
        const found = stored.get(name)
        if (found === undefined) stored.set(name, 'running')
        return found ?? 'new'
      },
      async finish(name, answer) {
        stored.set(name, answer)
      },
      async release(name) {
        stored.delete(name)
      },
    }
    let runs = 0
    const first = s.running('first')
    await using responder = first.respond('a', () => `run ${++runs}`, { dedupe: { store } })
    await s.clock.advance(100)
    ask(s, key('k'))
    await s.clock.advance(100)
    await s.within(100, responder.close())
    s.running('second').respond('a', () => `run ${++runs}`, { dedupe: { store } })
    await s.clock.advance(100)
    ask(s, key('k'))
    await s.clock.advance(100)
    expect(answers(s).map(({ payload }) => payload)).toEqual(['run 1', 'run 1'])
    expect(runs).toBe(1)
  })
})

describe('[Q7] a request that expired is not executed and not answered', () => {
  test('[Q7] while it waits for a handler', async () => {
    const s = surround()
    const seen: string[] = []
    const responder = s.running('server').respond(
      'a',
      (request) => {
        seen.push(text(request.payload))
        return sleep(s, 5000)
      },
      { concurrency: 1 },
    )
    await s.clock.advance(100)
    ask(s, { ...key('1'), messageExpiryInterval: 10 }, 'slow')
    ask(s, { ...key('2'), messageExpiryInterval: 2 }, 'expires')
    await s.clock.advance(8000)
    expect(seen).toEqual(['slow'])
    expect(answers(s)).toHaveLength(1)
    expect(responder.stats).toMatchObject({ expired: 1, pending: 0 })
    expect(s.broker.sessions.get('server')!.unacknowledged.size).toBe(0)
  })

  test('[Q7] while its handler runs: the signal is aborted, and no answer leaves', async () => {
    const s = surround()
    const reasons: string[] = []
    const responder = s.running('server').respond('a', async (request) => {
      request.signal.addEventListener('abort', () => reasons.push(request.signal.reason.name))
      await sleep(s, 3000)
      return 'late'
    })
    await s.clock.advance(100)
    ask(s, { messageExpiryInterval: 2 })
    await s.clock.advance(4000)
    expect(reasons).toEqual(['TimeoutError'])
    expect(answers(s)).toEqual([])
    expect(responder.stats).toMatchObject({ expired: 1, abandoned: 1, running: 0 })
  })
})

describe('[Q8] handlers run a few at a time, in the order received', () => {
  test('[Q8] at most `concurrency`, and one slow one delays no other while there is room', async () => {
    const s = surround()
    const begun: string[] = []
    s.running('server').respond(
      'a',
      async (request) => {
        begun.push(text(request.payload))
        await sleep(s, text(request.payload) === '0' ? 10_000 : 10)
      },
      { concurrency: 2 },
    )
    await s.clock.advance(100)
    for (let i = 0; i < 5; i++) ask(s, key(`k${i}`), `${i}`)
    await s.clock.advance(5)
    expect(begun).toEqual(['0', '1'])
    await s.clock.advance(100)
    expect(begun).toEqual(['0', '1', '2', '3', '4'])
  })

  test('[Q8] a handler that never returns gets 504 at its timeout, and its place is free', async () => {
    const s = surround()
    s.running('server').respond(
      'a',
      (request) => (text(request.payload) === 'hang' ? new Promise(() => {}) : 'y'),
      { concurrency: 1, timeout: 1000 },
    )
    await s.clock.advance(100)
    ask(s, { ...key('1'), messageExpiryInterval: 10 }, 'hang')
    await s.clock.advance(500)
    ask(s, { ...key('2'), messageExpiryInterval: 10 })
    await s.clock.advance(1000)
    expect(answers(s).map(({ status }) => status)).toEqual(['504', '200'])
  })

  test('[Q8] beyond maxPending requests get 503, and are not remembered', async () => {
    const s = surround()
    const responder = s
      .running('server')
      .respond('a', () => sleep(s, 100), { concurrency: 1, maxPending: 1 })
    await s.clock.advance(100)
    for (let i = 0; i < 3; i++) ask(s, key(`k${i}`))
    await s.clock.advance(300)
    ask(s, key('k2'))
    await s.clock.advance(300)
    expect(answers(s).map(({ status }) => status)).toEqual(['503', '204', '204', '204'])
    expect(responder.stats.busy).toBe(1)
  })
})

describe('what a handler gives is the answer', () => {
  const statusOf = async (handler: (request: never) => unknown, options = {}) => {
    const s = surround()
    s.running('server').respond('a', handler as never, options)
    await s.clock.advance(100)
    ask(s, {}, '1')
    await s.clock.advance(100)
    return { s, answer: answers(s)[0]! }
  }

  test.each([
    ['text', () => 'y', {}, '200', 'y'],
    ['bytes', () => new Uint8Array([0x79]), {}, '200', 'y'],
    ['nothing', () => undefined, {}, '204', ''],
    ['a value with a codec', () => ({ a: 1 }), { codec: json }, '200', '{"a":1}'],
    ['a declared failure', (r: { fail(code: string): void }) => r.fail('HOT'), {}, '422', ''],
  ])('%s', async (_, handler, options, status, payload) => {
    const { answer } = await statusOf(handler as never, options)
    expect(answer).toEqual({ status, payload })
  })

  test.each([
    ['an error', new Error('secret')],
    ['a non-error', 'secret'],
    ['nothing', undefined],
  ])('a throw of %s gets 500 and an id; the warning has the rest', async (_, thrown) => {
    const { s, answer } = await statusOf(() => {
      throw thrown
    })
    expect(answer.status).toBe('500')
    const { userProperties } = s.broker.published.at(-1)!.properties!
    const id = /^failed \(([0-9a-f]{8})\)$/.exec(userProperties!['itm-message'] as string)![1]!
    expect(JSON.stringify(userProperties)).not.toContain('secret')
    expect(s.warnings).toEqual([expect.objectContaining({ code: 'HANDLER_FAILED' })])
    expect(s.warnings[0]!.message).toContain(id)
  })

  test('onError may say more', async () => {
    const { s, answer } = await statusOf(
      () => {
        throw new Error('x')
      },
      { onError: () => ({ status: 404, code: 'NO_SUCH', data: 'd' }) },
    )
    expect(answer).toEqual({ status: '404', payload: 'd' })
    expect(s.broker.published.at(-1)!.properties!.userProperties!['itm-code']).toBe('NO_SUCH')
    expect(s.warnings).toEqual([])
  })

  test('a request that does not fit gets 400, and is not executed', async () => {
    const { answer } = await statusOf(() => 'never', { codec: { ...json, decode: () => fail() } })
    expect(answer.status).toBe('400')
  })

  test('a request that asks for no answer is executed', async () => {
    const s = surround()
    let runs = 0
    s.running('server').respond('a', () => ++runs)
    await s.clock.advance(100)
    await s.value(100, s.client('client').publish('a', ''))
    expect(runs).toBe(1)
  })
})

function fail(): never {
  throw new Error('does not fit')
}

describe('[Q10] a request cannot make a responder publish elsewhere', () => {
  test.each([
    ['$SYS/x', undefined],
    ['plant/start', ['clients/+/r/#']],
    ['clients/a', ['clients/+/r/#']],
  ])('[Q10] not to %s, with allowResponseTopics %j', async (responseTopic, allowResponseTopics) => {
    const s = surround()
    let runs = 0
    const options = { allowResponseTopics }
    const responder = s.running('server').respond('a', () => ++runs, options)
    await s.clock.advance(100)
    ask(s, { responseTopic })
    await s.clock.advance(100)
    expect(runs).toBe(0)
    expect(responder.stats.unanswerable).toBe(1)
    expect(answers(s, responseTopic)).toEqual([])
    expect(s.broker.sessions.get('server')!.unacknowledged.size).toBe(0)
  })

  test('[Q10] a topic that is allowed is answered', async () => {
    const s = surround()
    const options = { allowResponseTopics: ['clients/+/r/#'] }
    s.running('server').respond('a', () => 'y', options)
    await s.clock.advance(100)
    expect((await s.value(100, s.client('client').request('a'))).status).toBe(200)
  })
})

describe('[Q11] at the end of the client', () => {
  test('[Q11] a handler that closes its client is given the signal, and is waited for', async () => {
    const s = surround()
    const server = s.running('server')
    let closed: Promise<unknown> | null = null
    const aborted: boolean[] = []
    const responder = server.respond('a', async ({ signal }) => {
      closed = server.close({ timeout: 5000 })
      await sleep(s, 1000)
      aborted.push(signal.aborted)
      return 'done'
    })
    await s.clock.advance(100)
    ask(s)
    await s.clock.advance(500)
    expect(await s.within(0, responder.done)).toBe('pending')
    await s.value(2000, closed!)
    expect(aborted).toEqual([true])
    expect(answers(s)).toEqual([{ status: '200', payload: 'done' }])
  })

  test('a handler that closes its responder and answers at once is waited for', async () => {
    const s = surround()
    let closed: Promise<unknown> | null = null
    const server = s.running('server')
    const responder = server.respond('a', () => {
      closed = responder.close()
      return 'done'
    })
    await s.clock.advance(100)
    ask(s)
    await s.clock.advance(10)
    await s.value(10, closed!)
    expect(answers(s)).toEqual([{ status: '200', payload: 'done' }])
  })

  test('[Q11] handlers get the signal, close waits for them, and their answers leave', async () => {
    const s = surround()
    const server = s.running('server')
    let aborted = false
    const responder = server.respond('a', async ({ signal }) => {
      signal.addEventListener('abort', () => {
        aborted = true
      })
      await sleep(s, 1000)
      return 'done'
    })
    await s.clock.advance(100)
    ask(s)
    await s.clock.advance(10)
    const closed = server.close({ timeout: 5000 })
    await s.clock.advance(100)
    expect(aborted).toBe(true)
    expect(answers(s)).toEqual([])
    await s.value(2000, closed)
    expect(answers(s)).toEqual([{ status: '200', payload: 'done' }])
    expect(await s.within(0, responder.done)).toEqual({ value: undefined })
  })

  test('[Q11] close waits for a handler no longer than its timeout', async () => {
    const s = surround()
    const server = s.running('server')
    server.respond('a', () => new Promise(() => {}))
    await s.clock.advance(100)
    ask(s)
    await s.clock.advance(10)
    expect(await s.within(1100, server.close({ timeout: 1000 }))).toMatchObject({ value: {} })
  })

  test('a responder that is closed ends its filter, and done resolves', async () => {
    const s = surround()
    const server = s.client('server')
    const responder = server.respond('a', () => 'y')
    const done = responder.done
    await s.clock.advance(100)
    expect(s.broker.sessions.get('server')!.filters.size).toBe(1)
    await s.value(100, responder.close())
    expect(await s.within(0, done)).toEqual({ value: undefined })
    await s.value(100, server.ping())
    expect(s.broker.sessions.get('server')!.filters.size).toBe(0)
  })

  test('a refused filter rejects granted and done', async () => {
    const s = surround()
    s.broker.refused.add('a')
    const responder = s.client('server').respond('a', () => 'y')
    const refused = { reason: { code: 'SUBSCRIBE_REFUSED' } }
    const outcomes = Promise.allSettled([responder.granted, responder.done])
    expect(await s.value(100, outcomes)).toMatchObject([refused, refused])
  })
})

describe('requests(), the pulled form', () => {
  test('[Q5] one is acknowledged when it was answered; repetitions are not given', async () => {
    const s = surround()
    const server = s.client('server')
    const requests = server.requests('a')
    const next = requests.next()
    await s.clock.advance(100)
    ask(s, key('k'), 'x')
    ask(s, { ...key('k'), correlationData: Buffer.from('d') }, 'x')
    const { value: request } = await s.value(100, next)
    const later = requests.next()
    await s.clock.advance(10)
    const session = s.broker.sessions.get('server')!
    expect(session.unacknowledged.size).toBe(2)
    await s.value(100, request!.respond('y'))
    await s.clock.advance(10)
    expect(session.unacknowledged.size).toBe(0)
    expect(answers(s).map(({ payload }) => payload)).toEqual(['y', 'y'])
    ask(s, key('l'), 'x')
    const { value: other } = await s.value(100, later)
    expect(other!.key).toBe('l')
    await s.value(10, other!.fail('HOT', 'too hot'))
    expect(answers(s).at(-1)!.status).toBe('422')
    await s.value(10, requests.return())
  })

  test('[Q7] one that is not answered is acknowledged at its deadline', async () => {
    const s = surround()
    const requests = s.client('server').requests('a', { timeout: 500 })
    const next = requests.next()
    await s.clock.advance(100)
    ask(s, { messageExpiryInterval: 10 })
    const { value: request } = await s.value(100, next)
    const { signal } = request!
    await s.clock.advance(1000)
    void s.within(0, requests.next())
    await s.clock.advance(100)
    expect(signal.aborted).toBe(true)
    expect(answers(s)).toEqual([{ status: '504', payload: '' }])
    expect(s.broker.sessions.get('server')!.unacknowledged.size).toBe(0)
  })
})
