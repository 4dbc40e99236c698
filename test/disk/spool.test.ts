/**
 * The spool alone. Goal: what `push` accepted is there until its outcome, in its order, within its bounds, and nothing else is.
 * Method: a model beside it, random lives of both; and each promise by itself.
 */
import { mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest'
import { asBytes } from '#bytes'
import { type Spool, type SpoolOptions, spool } from '../../src/disk/index.ts'
import { StorageError, UsageError } from '../../src/errors.ts'
import { publish, subscribe, unsubscribe } from '../../src/requests/build.ts'
import type {
  Outcome,
  PublishRequest,
  Request,
  SentRequest,
} from '../../src/requests/vocabulary.ts'
import { hasNodeFlavour } from '../support/flavour.ts'
import { temporaryFolder, until } from '../support/process.ts'

const onNode = test.runIf(hasNodeFlavour)

const OK: Outcome = { ok: true }
const q1 = (payload: string | number) => publish('t', String(payload), { qos: 1 })

let folder: ReturnType<typeof temporaryFolder>
let path: string
beforeEach(() => {
  folder = temporaryFolder()
  path = join(folder.path, 'spool')
})
afterEach(() => folder.remove())

/** Everything that an iteration hands out now. */
async function handedOut(queue: Spool): Promise<SentRequest[]> {
  const found: SentRequest[] = []
  const iterator = queue[Symbol.asyncIterator]()
  while (found.length < queue.size) {
    const { value } = await iterator.next()
    found.push(...((value ?? []) as SentRequest[]))
  }
  await iterator.return?.()
  return found
}

const textsOf = (requests: readonly Request[]) =>
  requests.map((request) => String((request as { payload?: unknown }).payload))

async function open(options: SpoolOptions = {}): Promise<Spool> {
  const queue = await spool(path, options)
  onTestFinished(() => queue.close().catch(() => {}))
  return queue
}

describe('[S1] what was pushed', () => {
  test('is handed out in its order, under numbers of its own, after the directory was closed and opened', async () => {
    const first = await open()
    expect(await first.push(q1('a'))).toBe(1)
    expect(await first.push([q1('b'), subscribe('x', { qos: 1 }), unsubscribe('y')])).toBe(3)
    await first.close()
    const again = await open()
    expect(again.size).toBe(4)
    const requests = await handedOut(again)
    expect(requests.map(({ key, ...rest }) => rest)).toEqual([
      q1('a'),
      q1('b'),
      subscribe('x', { qos: 1 }),
      unsubscribe('y'),
    ])
    const keys = requests.map(({ key }) => key as number)
    expect(keys).toEqual([...keys].sort((a, b) => a - b))
    expect(new Set(keys).size).toBe(4)
  })

  const anyRequest: fc.Arbitrary<SentRequest> = fc.record(
    {
      cmd: fc.constant('publish' as const),
      topic: fc.stringMatching(/^[a-zäß/]{1,20}$/),
      payload: fc.oneof(
        fc.string({ unit: 'binary' }),
        fc.uint8Array().map((bytes) => asBytes(bytes)),
        fc.base64String().map((base64) => ({ base64 })),
      ),
      qos: fc.constantFrom(0 as const, 1 as const, 2 as const),
      retain: fc.boolean(),
      properties: fc.record(
        {
          contentType: fc.string(),
          userProperties: fc.constant({ a: ['1', '2'], b: 'c' }),
          correlationData: fc.constant({ base64: 'AAECAw==' }),
        },
        { requiredKeys: [] },
      ),
    },
    { requiredKeys: ['cmd', 'topic'] },
  )

  test('comes back as it was, whatever it was', async () => {
    const reopened = fc.asyncProperty(fc.array(anyRequest, { minLength: 1 }), async (requests) => {
      const fresh = await spool(path)
      await fresh.push(requests)
      await fresh.close()
      const again = await spool(path)
      const found = await handedOut(again)
      await Promise.all(found.map((request) => again.settled(request, OK)))
      await again.close()
      expect(found.map(({ key, ...rest }) => rest)).toEqual(requests)
    })
    await fc.assert(reopened, { numRuns: 40 })
  })

  test('keeps bytes as bytes, and none of them keeps the whole record alive', async () => {
    const first = await open()
    const bytes = Buffer.from(Array.from({ length: 256 }, (_, i) => i))
    await first.push(Array.from({ length: 900 }, () => publish('t', bytes)))
    await first.close()
    const [request] = await handedOut(await open())
    const { payload } = request as { payload?: unknown } as { payload: Buffer }
    expect(Buffer.compare(payload, bytes)).toBe(0)
    expect(payload.buffer.byteLength).toBeLessThanOrEqual(8192)
  })

  test('with an outcome is gone, the others stay, in this life and the next', async () => {
    const first = await open()
    await first.push(Array.from({ length: 3000 }, (_, i) => q1(i)))
    const requests = await handedOut(first)
    const gone = requests.filter((_, i) => i % 7 === 3 || (i > 1000 && i < 2100))
    await Promise.all(gone.map((request) => first.settled(request, OK)))
    const left = textsOf(requests.filter((request) => !gone.includes(request)))
    expect(first.size).toBe(left.length)
    expect(textsOf(await handedOut(first))).toEqual(left)
    await first.close()
    const again = await open()
    expect(again.size).toBe(left.length)
    expect(textsOf(await handedOut(again))).toEqual(left)
  })

  test('settles once: a second outcome and one of somebody else change nothing', async () => {
    const queue = await open()
    await queue.push([q1(1), q1(2)])
    const [one] = await handedOut(queue)
    await queue.settled(one!, OK)
    expect(queue.settled(one!, OK)).toBeUndefined()
    expect(queue.settled({ ...q1(3), key: 'mine' }, OK)).toBeUndefined()
    expect(queue.settled({ ...q1(3), key: 7 }, OK)).toBeUndefined()
    expect(queue.size).toBe(1)
  })

  test('of several producers is whole, and that of each in its order', async () => {
    const queue = await open()
    const producers = Array.from({ length: 5 }, async (_, who) => {
      for (let i = 0; i < 100; i++) await queue.push(q1(`${who} ${i}`))
    })
    await Promise.all(producers)
    const found = textsOf(await handedOut(queue))
    for (let who = 0; who < 5; who++) {
      const own = found.filter((text) => text.startsWith(`${who} `))
      expect(own).toEqual(Array.from({ length: 100 }, (_, i) => `${who} ${i}`))
    }
  })

  test('gets a number that no earlier life gave, not even in a directory that was deleted', async () => {
    const numbers: number[] = []
    for (let life = 0; life < 3; life++) {
      const queue = await spool(path)
      await queue.push(q1(life))
      for (const request of await handedOut(queue)) {
        numbers.push(request.key as number)
        await queue.settled(request, OK)
      }
      await queue.close()
      if (life === 1) path = `${path}-anew`
    }
    expect(new Set(numbers).size).toBe(3)
    expect(numbers.every(Number.isSafeInteger)).toBe(true)
  })

  test('[S3] is read back in its turn where there is more than memory holds', async () => {
    const first = await open()
    const large = 'x'.repeat(20_000)
    for (let i = 0; i < 50; i++) {
      await first.push(Array.from({ length: 20 }, (_, n) => q1(`${i * 20 + n} ${large}`)))
    }
    const numbersOf = (texts: readonly string[]) => texts.map((text) => Number.parseInt(text, 10))
    const all = Array.from({ length: 1000 }, (_, i) => i)
    const iterator = first[Symbol.asyncIterator]()
    const found: SentRequest[] = []
    while (found.length < 1000) {
      const { value } = await iterator.next()
      found.push(...(value as SentRequest[]))
      // What is pushed meanwhile waits behind the rest.
      if (found.length < 200) await first.push(q1('last'))
      for (const request of value as SentRequest[]) first.settled(request, OK)
    }
    expect(numbersOf(textsOf(found).slice(0, 1000))).toEqual(all)
    await iterator.return?.()
    expect(textsOf(await handedOut(first))).not.toContain('0')
  })
})

describe('[S1] random lives', () => {
  test('agree with a model: order, size, outcomes, over any number of lives', async () => {
    const command = fc.oneof(
      {
        weight: 4,
        arbitrary: fc.record({ do: fc.constant('push'), count: fc.integer({ min: 1, max: 300 }) }),
      },
      {
        weight: 4,
        arbitrary: fc.record({
          do: fc.constant('settle'),
          count: fc.integer({ min: 1, max: 400 }),
        }),
      },
      { weight: 1, arbitrary: fc.record({ do: fc.constant('iterate'), count: fc.constant(0) }) },
      { weight: 1, arbitrary: fc.record({ do: fc.constant('reopen'), count: fc.constant(0) }) },
    )
    const lives = fc.record({
      mode: fc.constantFrom('durable' as const, 'spill' as const),
      seed: fc.nat(),
      commands: fc.array(command, { maxLength: 30 }),
    })
    const property = fc.asyncProperty(lives, async ({ mode, seed, commands }) => {
      const directory = `${path}-${Math.random()}`
      let queue = await spool(directory, { mode })
      let model: string[] = []
      let next = 0
      let chance = seed
      const random = () => {
        chance = (chance * 1103515245 + 12345) % 2 ** 31
        return chance / 2 ** 31
      }
      for (const { do: what, count } of commands) {
        if (what === 'push') {
          const texts = Array.from({ length: count }, () => String(next++))
          const pushes = texts.map((text) => queue.push(q1(text)))
          await Promise.all(pushes)
          model.push(...texts)
        } else if (what === 'settle') {
          const requests = await handedOut(queue)
          const some = requests.filter(() => random() < count / 400)
          await Promise.all(some.map((request) => queue.settled(request, OK)))
          const gone = new Set(textsOf(some))
          model = model.filter((text) => !gone.has(text))
        } else if (what === 'iterate') expect(textsOf(await handedOut(queue))).toEqual(model)
        else {
          await queue.close()
          queue = await spool(directory, { mode })
        }
        expect(queue.size).toBe(model.length)
        expect(queue.bytes).toBe(model.reduce((sum, text) => sum + 1 + text.length, 0))
      }
      expect(textsOf(await handedOut(queue))).toEqual(model)
      await queue.close()
    })
    await fc.assert(property, { numRuns: 25 })
  })
})

describe('[S1] bounds', () => {
  const outcomes: [string, Outcome][] = []
  beforeEach(() => void outcomes.splice(0))
  const onSettled = (request: Request, outcome: Outcome) =>
    void outcomes.push([textsOf([request])[0]!, outcome])

  test.each(['durable', 'spill'] as const)(
    '%s: wait: a push beyond them waits for an outcome',
    async (mode) => {
      const queue = await open({ mode, maxMessages: 2 })
      let accepted = 0
      const pushes = [1, 2, 3, 4].map((i) => queue.push(q1(i)).then(() => accepted++))
      await until(() => accepted === 2, 'two are accepted')
      expect(queue.size).toBe(2)
      const [one] = await handedOut(queue)
      queue.settled(one!, OK)
      await until(() => accepted === 3, 'a third is accepted')
      expect(textsOf(await handedOut(queue))).toEqual(['2', '3'])
      await Promise.all((await handedOut(queue)).map((request) => queue.settled(request, OK)))
      await Promise.all(pushes)
      expect(textsOf(await handedOut(queue))).toEqual(['4'])
    },
  )

  test('wait: close rejects what still waits', async () => {
    const queue = await open({ maxMessages: 1 })
    await queue.push(q1(1))
    const waiting = queue.push(q1(2))
    const closing = queue.close()
    await expect(waiting).rejects.toThrow(/closed before there was room/)
    await closing
  })

  test.each(['durable', 'spill'] as const)(
    '%s: reject: a push is rejected whole and says why',
    async (mode) => {
      const queue = await open({ mode, maxMessages: 2, overflow: 'reject' })
      await queue.push(q1(1))
      const rejected = queue.push([q1(2), q1(3)])
      await expect(rejected).rejects.toMatchObject({ code: 'SPOOL_FULL', retryable: true })
      await expect(rejected).rejects.toThrow(StorageError)
      await expect(rejected).rejects.toThrow(/holds 1 requests .* may hold 2/)
      expect(await queue.push(q1(2))).toBe(1)
      await expect(queue.push(q1(3))).rejects.toMatchObject({ code: 'SPOOL_FULL' })
      expect(textsOf(await handedOut(queue))).toEqual(['1', '2'])
    },
  )

  test.each(['durable', 'spill'] as const)(
    '%s: dropNewest: what does not fit has an outcome',
    async (mode) => {
      const queue = await open({ mode, maxMessages: 2, overflow: 'dropNewest', onSettled })
      expect(await queue.push([q1(1), q1(2), q1(3)])).toBe(2)
      expect(await queue.push(q1(4))).toBe(0)
      expect(textsOf(await handedOut(queue))).toEqual(['1', '2'])
      expect(outcomes.map(([text, { ok }]) => [text, ok])).toEqual([
        ['3', false],
        ['4', false],
      ])
      expect((outcomes[0]![1] as { error: unknown }).error).toMatchObject({ code: 'SPOOL_FULL' })
    },
  )

  test.each(['durable', 'spill'] as const)(
    '%s: dropOldest: the oldest makes room, from disk too',
    async (mode) => {
      const first = await open({ mode, maxMessages: 3, overflow: 'dropOldest', onSettled })
      for (const i of [1, 2, 3, 4]) expect(await first.push(q1(i))).toBe(1)
      expect(outcomes.map(([text]) => text)).toEqual(['1'])
      await first.close()
      const again = await open({ mode, maxMessages: 3, overflow: 'dropOldest', onSettled })
      expect(await again.push(q1(5))).toBe(1)
      expect(outcomes.map(([text]) => text)).toEqual(['1', '2'])
      expect(textsOf(await handedOut(again))).toEqual(['3', '4', '5'])
    },
  )

  test('dropOldest: what a loop has in hand stays; then the newest goes', async () => {
    const queue = await open({ maxMessages: 2, overflow: 'dropOldest', onSettled })
    await queue.push([q1(1), q1(2)])
    const iterator = queue[Symbol.asyncIterator]()
    await iterator.next()
    expect(await queue.push(q1(3))).toBe(0)
    expect(outcomes.map(([text]) => text)).toEqual(['3'])
  })

  test('maxBytes counts topics and payloads; what is larger than all of it is refused', async () => {
    const queue = await open({ maxBytes: 20, overflow: 'reject' })
    await queue.push(publish('topic', 'payload'))
    expect(queue.bytes).toBe(12)
    await expect(queue.push(publish('topic', 'payload'))).rejects.toMatchObject({
      code: 'SPOOL_FULL',
    })
    await expect(queue.push(publish('topic', 'x'.repeat(16)))).rejects.toThrow(
      /it has 21 bytes and maxBytes is 20/,
    )
  })

  test.each(['dropOldest', 'dropNewest'] as const)(
    '%s: a listener may push: each request has one outcome',
    async (overflow) => {
      let more = 5
      const pushes: Promise<number>[] = []
      const queue: Spool = await open({
        maxMessages: 3,
        overflow,
        onSettled: (request, outcome) => {
          onSettled(request, outcome)
          if (more-- > 0) pushes.push(queue.push(q1(`more ${more}`)))
        },
      })
      await queue.push(Array.from({ length: 6 }, (_, i) => q1(i)))
      const accepted = await Promise.all(pushes)
      expect(accepted).toHaveLength(5)
      const left = textsOf(await handedOut(queue))
      const reported = outcomes.map(([text]) => text)
      expect(left).toHaveLength(3)
      expect([...left, ...reported].sort()).toEqual([...new Set([...left, ...reported])].sort())
      expect(left.length + reported.length).toBe(6 + 5)
    },
  )

  test('what a listener throws ends the iteration with it', async () => {
    const queue = await open({
      maxMessages: 1,
      overflow: 'dropNewest',
      onSettled: () => {
        throw new Error('mine')
      },
    })
    await queue.push(q1(1))
    const iterator = queue[Symbol.asyncIterator]()
    await iterator.next()
    const asked = iterator.next()
    await queue.push(q1(2))
    await expect(asked).rejects.toThrow('mine')
  })
})

describe('[I3] expiry', () => {
  const expiring = (payload: string, seconds: number) =>
    publish('t', payload, { qos: 1, properties: { messageExpiryInterval: seconds } })

  test.each(['durable', 'spill'] as const)(
    '%s: counts while it is queued, in earlier lives too',
    async (mode) => {
      vi.useFakeTimers({ toFake: ['Date'], now: 1_800_000_000_000 })
      onTestFinished(() => void vi.useRealTimers())
      const outcomes: [string, unknown][] = []
      const onSettled = (request: Request, outcome: Outcome) => {
        outcomes.push([textsOf([request])[0]!, (outcome as { error?: unknown }).error])
      }
      const first = await open({ mode })
      await first.push([expiring('short', 5), expiring('long', 60), q1('never')])
      await first.close()
      vi.setSystemTime(1_800_000_010_500)
      const again = await open({ mode, onSettled })
      again.end()
      const found: SentRequest[] = []
      for await (const requests of again) found.push(...(requests as SentRequest[]))
      expect(textsOf(found)).toEqual(['long', 'never'])
      expect(found[0]).toMatchObject({ properties: { messageExpiryInterval: 50 } })
      expect(outcomes).toEqual([['short', expect.objectContaining({ code: 'MESSAGE_EXPIRED' })]])
      expect(again.size).toBe(2)
    },
  )
})

describe('[S1] iterations', () => {
  test('one at a time; the next begins with everything that has no outcome', async () => {
    const queue = await open()
    await queue.push([q1(1), q1(2), q1(3)])
    const first = queue[Symbol.asyncIterator]()
    const { value } = await first.next()
    expect(() => queue[Symbol.asyncIterator]()).toThrow(/another loop iterates it/)
    await queue.settled((value as Request[])[1]!, OK)
    await first.return?.()
    expect(textsOf(await handedOut(queue))).toEqual(['1', '3'])
  })

  test('concurrent next() are answered in their order; close ends them', async () => {
    const queue = await open()
    const iterator = queue[Symbol.asyncIterator]()
    const asked = [iterator.next(), iterator.next()]
    await queue.push(q1(1))
    expect(textsOf((await asked[0])!.value as Request[])).toEqual(['1'])
    const closing = queue.close()
    expect(await asked[1]).toEqual({ done: true, value: undefined })
    await closing
  })

  test('end: the iteration is over once everything was handed out', async () => {
    const queue = await open()
    const pushed = queue.push([q1(1), q1(2)])
    queue.end()
    await expect(queue.push(q1(3))).rejects.toThrow(/ended or closed/)
    const found: Request[] = []
    for await (const requests of queue) found.push(...requests)
    expect(textsOf(found)).toEqual(['1', '2'])
    await pushed
  })

  test('outcomes after close are for the next life: what the disk does not know is not confirmed', async () => {
    const queue = await open()
    await queue.push(q1(1))
    const [one] = await handedOut(queue)
    await queue.close()
    const confirmed = vi.fn()
    void Promise.resolve(queue.settled(one!, OK)).then(confirmed)
    const again = await open()
    expect(textsOf(await handedOut(again))).toEqual(['1'])
    expect(confirmed).not.toHaveBeenCalled()
  })
})

describe('[D7] outcomes of requests that an earlier life handed out', () => {
  test('wait until they are read, are not handed out again, and are confirmed once they are gone', async () => {
    const first = await open()
    await first.push(Array.from({ length: 5 }, (_, i) => q1(i)))
    const requests = await handedOut(first)
    await first.close()
    const onSettled = vi.fn()
    const again = await open({ onSettled })
    const confirmed: number[] = []
    const gone = [1, 3].map(async (i) => {
      await again.settled(requests[i]!, OK)
      confirmed.push(i)
    })
    expect(onSettled).toHaveBeenCalledTimes(2)
    expect([again.size, confirmed]).toEqual([5, []])
    again.end()
    const found: Request[] = []
    for await (const batch of again) found.push(...batch)
    expect(textsOf(found)).toEqual(['0', '2', '4'])
    await Promise.all(gone)
    expect([again.size, confirmed.sort()]).toEqual([3, [1, 3]])
    await again.close()
    expect(textsOf(await handedOut(await open()))).toEqual(['0', '2', '4'])
  })

  test('all of a record too', async () => {
    const first = await open()
    await first.push([q1(1), q1(2)])
    const requests = await handedOut(first)
    await first.push(q1(3))
    await first.close()
    const again = await open()
    const gone = Promise.all(requests.map((request) => again.settled(request, OK)))
    expect(textsOf(await handedOut(again))).toEqual(['3'])
    await gone
    expect(again.size).toBe(1)
  })
})

describe('spill', () => {
  onNode('writes nothing while the network keeps up', async () => {
    const queue = await open({ mode: 'spill' })
    const size = () => {
      const data = join(path, 'data')
      return readdirSync(data).reduce((sum, name) => sum + statSync(join(data, name)).size, 0)
    }
    const before = size()
    for (let i = 0; i < 20; i++) {
      await queue.push(Array.from({ length: 100 }, (_, n) => q1(n)))
      for (const request of await handedOut(queue)) {
        expect(queue.settled(request, OK)).toBeUndefined()
      }
    }
    expect(size()).toBe(before)
  })

  test('keeps on disk what memory does not hold, in its order', async () => {
    const queue = await open({ mode: 'spill' })
    const large = 'x'.repeat(10_000)
    for (let i = 0; i < 1000; i++) await queue.push(q1(`${i} ${large}`))
    expect(queue.size).toBe(1000)
    const found = textsOf(await handedOut(queue)).map((text) => Number.parseInt(text, 10))
    expect(found).toEqual(Array.from({ length: 1000 }, (_, i) => i))
  })

  test('a wrong request is the business of the loop, on the way to disk of `onSettled`', async () => {
    const onSettled = vi.fn()
    const queue = await open({ mode: 'spill', onSettled })
    const wrong = { cmd: 'publish', topic: 'a/+', qos: 7 } as never
    expect(await queue.push(wrong)).toBe(1)
    const large = publish('t', 'x'.repeat(5 << 20))
    await queue.push(large)
    expect(await queue.push(wrong)).toBe(0)
    expect(onSettled.mock.calls).toEqual([
      [wrong, { ok: false, error: expect.any(UsageError) as unknown }],
    ])
  })
})

describe('memory', () => {
  let poolSize: number
  beforeEach(() => {
    poolSize = Buffer.poolSize
    // What Node 24 has.
    Buffer.poolSize = 64 << 10
    // The pool is made again, in its new size, once this does not fit into the old one.
    Buffer.from('x'.repeat(poolSize - 1))
  })
  afterEach(() => {
    Buffer.poolSize = poolSize
  })

  test('[R5] a payload that comes from disk holds at most 8 KiB beyond its own size', async () => {
    const sizes = [0, 1, 64, 4095, 4096, 4097, 20_000, 200_000]
    const first = await open()
    await first.push(sizes.map((size) => publish('t', Buffer.alloc(size, 'x'), { qos: 1 })))
    await first.push(publish('t', Buffer.alloc(64, 'x'), { properties: { contentType: 'x' } }))
    await first.close()
    const found = await handedOut(await open())
    expect(found).toHaveLength(sizes.length + 1)
    for (const request of found) {
      const payload = (request as PublishRequest).payload as Buffer
      expect(payload.buffer.byteLength - payload.length).toBeLessThanOrEqual(8192)
    }
  })
})

describe('bad input', () => {
  test.each<[string, unknown, RegExp]>([
    ['a wrong topic', publish('a/#'), /spool: .*publish\.topic/],
    ['one of many', [q1(1), { cmd: 'publish' }], /spool: request 1 of the push: .*publish\.topic/],
    ['a control', { cmd: 'ping' }, /a control cannot be kept on disk/],
    ['a key', publish('t', '', { key: 'mine' }), /key: a spool names its requests itself/],
    ['a signal', publish('t', '', { signal: AbortSignal.timeout(1000) }), /signal: it cannot/],
    ['nothing', undefined, /spool: /],
    ['a text', 'publish', /spool: /],
  ])('%s is a UsageError, and nothing of that push is kept', async (_, given, message) => {
    const queue = await open()
    const pushed = queue.push(given as never)
    await expect(pushed).rejects.toThrow(UsageError)
    await expect(pushed).rejects.toThrow(message)
    expect(queue.size).toBe(0)
  })

  test.each<[object, RegExp]>([
    [{ mode: 'fast' }, /mode must be one of durable, spill, not "fast"/],
    [{ overflow: 'drop' }, /overflow must be one of wait, reject/],
    [{ maxBytes: 0 }, /maxBytes must be a number of 1 or more/],
    [{ maxMessages: 'many' }, /maxMessages must be a number of 1 or more/],
    [{ onSettled: 1 }, /onSettled must be a function/],
    [{ size: 1 }, /no option "size"/],
  ])('options %j', async (options, message) => {
    await expect(spool(path, options as never)).rejects.toThrow(message)
  })

  onNode('a directory of something else is left alone', async () => {
    writeFileSync(path, '')
    await expect(spool(path)).rejects.toThrow(StorageError)
    await expect(spool('')).rejects.toThrow(UsageError)
    const other = `${path}-session`
    mkdirSync(other)
    const { openSession } = await import('../../src/disk/index.ts')
    const session = await openSession(other)
    await session.close()
    await expect(spool(other)).rejects.toThrow(/holds a session .* not a spool/)
  })

  onNode('[S2] a directory in use says by whom', async () => {
    await open()
    const second = spool(path)
    await expect(second).rejects.toMatchObject({ code: 'IN_USE', retryable: true })
    await expect(second).rejects.toThrow(StorageError)
    await expect(second).rejects.toThrow(new RegExp(`by process ${process.pid} \\(boot id [\\w-]+`))
  })
})
