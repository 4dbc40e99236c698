/**
 * Goal: what requests and responses decide without a clock. Method: properties that compare each
 * part with a model of few lines.
 */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  bytesOfLatin1,
  hexOfLatin1,
  latin1Of,
  latin1OfHex,
  randomCorrelation,
} from '../../../src/client/requests/correlation.ts'
import { DeadlineHeap, type HasDeadline } from '../../../src/client/requests/deadline-heap.ts'
import { Deadlines } from '../../../src/client/requests/deadlines.ts'
import { DedupeCache, fingerprintOf } from '../../../src/client/requests/dedupe-cache.ts'
import {
  readAnswer,
  readControl,
  readRequest,
  writeEnvelope,
} from '../../../src/client/requests/envelope.ts'
import { HandlerLine } from '../../../src/client/requests/handler-line.ts'
import {
  acknowledgeTurn,
  beginTurn,
  expireTurn,
  isHealthy,
  LaneOrder,
  type Turn,
} from '../../../src/client/requests/lane-order.ts'
import { CREDIT_PARTS, PartOrder } from '../../../src/client/requests/part-order.ts'
import { cut } from '../../../src/client/requests/statuses.ts'
import { WaiterTable } from '../../../src/client/requests/waiter-table.ts'
import { VirtualClock } from '../../support/clock.ts'
import { randomOf } from '../../support/random.ts'

describe('deadlines', () => {
  test('the heap gives what is due in order, whatever is added, removed and moved', () => {
    const step = fc.record({
      what: fc.constantFrom('add', 'remove', 'take'),
      at: fc.nat(50),
      which: fc.nat(20),
    })
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const heap = new DeadlineHeap<HasDeadline>()
        const model: HasDeadline[] = []
        for (const { what, at, which } of steps) {
          if (what === 'add') {
            const item = { dueAt: at, heapIndex: -1 }
            heap.add(item)
            model.push(item)
          } else if (what === 'remove') {
            const item = model[which]
            if (item === undefined) continue
            expect(heap.remove(item)).toBe(true)
            expect(heap.remove(item)).toBe(false)
            model.splice(which, 1)
          } else {
            const least = Math.min(...model.map(({ dueAt }) => dueAt))
            const taken = heap.take(at)
            expect(taken?.dueAt).toBe(least <= at ? least : undefined)
            if (taken !== undefined) model.splice(model.indexOf(taken), 1)
          }
          expect(heap.size).toBe(model.length)
        }
      }),
    )
  })

  test('one timer serves all, each is called at its time, and none is left', async () => {
    const clock = new VirtualClock()
    const deadlines = new Deadlines(clock)
    const called: string[] = []
    const item = (ms: number) => ({
      dueAt: clock.now() + ms,
      heapIndex: -1,
      due: (now: number) => called.push(`${ms} at ${now - clock.startedAt}`),
    })
    const items = [300, 100.5, 200, 100.5, 400].map(item)
    for (const one of items) deadlines.add(one)
    expect(clock.pendingTimers).toBe(1)
    deadlines.remove(items[2]!)
    deadlines.move(items[0]!, clock.now() + 350)
    await clock.advance(360)
    expect(called).toEqual(['100.5 at 101', '100.5 at 101', '300 at 350'])
    expect(clock.pendingTimers).toBe(1)
    deadlines.remove(items[4]!)
    expect(clock.pendingTimers).toBe(0)
  })
})

test('[Q6] the cache agrees with a model: executed once within its deadline, never forgotten before', () => {
  const step = fc.record({
    wait: fc.nat(30),
    key: fc.constantFrom('a', 'b', 'c', 'd'),
    payload: fc.constantFrom('x', 'x', 'x', 'y'),
    ttl: fc.integer({ min: 1, max: 60 }),
    finishes: fc.boolean(),
  })
  const property = fc.property(
    fc.array(step, { maxLength: 100 }),
    fc.integer({ min: 1, max: 4 }),
    (steps, max) => {
      const cache = new DedupeCache<string, number>(1_000_000, max)
      const model = new Map<
        string,
        { print: string; until: number; answer?: string; repeats: number[] }
      >()
      let now = 0
      for (const [i, { wait, key, payload, ttl, finishes }] of steps.entries()) {
        now += wait
        for (const [name, { until, answer }] of model) {
          if (until <= now && answer !== undefined) model.delete(name)
        }
        const known = model.get(key)
        const claim = cache.claim(key, payload, now + ttl, now, i)
        if (known === undefined) {
          expect(claim.kind).toBe(model.size < max ? 'new' : 'full')
          if (claim.kind === 'new')
            model.set(key, { print: payload, until: now + ttl, repeats: [] })
        } else if (known.print !== payload) expect(claim.kind).toBe('reused')
        else {
          known.until = Math.max(known.until, now + ttl)
          if (known.answer !== undefined)
            expect(claim).toEqual({ kind: 'done', answer: known.answer })
          else {
            expect(claim.kind).toBe('running')
            known.repeats.push(i)
          }
        }
        const open = model.get(key)
        if (finishes && open !== undefined && open.answer === undefined) {
          open.answer = `${i}`
          expect(cache.finish(key, open.answer, 10)).toEqual(open.repeats)
          open.repeats = []
        }
      }
      expect(cache.bytes).toBeGreaterThanOrEqual(cache.size * 256)
    },
  )
  fc.assert(property)
})

test('[Q6] memory is bounded in bytes, and comes back', () => {
  const cache = new DedupeCache<string, null>(2000, 1000)
  const claim = (key: string, now: number) => cache.claim(key, 'p', now + 10, now, null).kind
  expect(claim('a', 0)).toBe('new')
  cache.finish('a', 'answer', 5000)
  expect(claim('b', 1)).toBe('full')
  expect(claim('b', 10)).toBe('new')
  expect(cache.release('b')).toEqual([])
  expect([cache.size, cache.bytes]).toEqual([0, 0])
})

test('[Q6] fingerprints tell payloads and topics apart', () => {
  const bytes = fc.uint8Array({ maxLength: 64 })
  fc.assert(
    fc.property(bytes, bytes, (a, b) => {
      const same = Buffer.from(a).equals(b)
      expect(fingerprintOf('t', a) === fingerprintOf('t', b)).toBe(same)
      expect(fingerprintOf('t', a)).not.toBe(fingerprintOf('u', a))
    }),
  )
})

describe('[Q9] the order of parts', () => {
  test('[Q9] under loss, repetition and reordering, what is taken is 0, 1, 2 …, or a gap', () => {
    const network = fc.array(fc.nat(40), { maxLength: 120 })
    fc.assert(
      fc.property(network, (seqs) => {
        const parts = new PartOrder()
        const taken: number[] = []
        for (const seq of seqs) {
          const verdict = parts.take(seq, seq === 40, seq === 0 ? 'c' : null)
          if (verdict === 'gap') {
            expect(seq).toBeGreaterThan(taken.length)
            break
          }
          expect(verdict).not.toBe('mixed')
          if (verdict === 'next') taken.push(seq)
          else expect(seq).toBeLessThan(taken.length)
        }
        expect(taken).toEqual(taken.map((_, i) => i))
        expect(parts.ended).toBe(taken.length === 41)
      }),
    )
  })

  test('[Q9] two responders are noticed', () => {
    const parts = new PartOrder()
    expect(parts.take(0, false, 'a')).toBe('next')
    expect(parts.take(0, false, 'a')).toBe('seen')
    expect(parts.take(0, false, 'b')).toBe('mixed')
  })

  test('[Q9] credit never exceeds what was consumed by more than 64, and never runs dry', () => {
    fc.assert(
      fc.property(fc.nat(500), (consumed) => {
        const parts = new PartOrder()
        let credit = CREDIT_PARTS
        for (let i = 1; i <= consumed; i++) {
          expect(i).toBeLessThanOrEqual(credit)
          const more = parts.consumed()
          if (more === 0) continue
          expect(more).toBe(i + CREDIT_PARTS)
          credit = more
        }
        expect(parts.granted).toBe(credit)
      }),
    )
  })
})

describe('[Q12] lanes', () => {
  test('[Q12] in each lane one has its turn, in the order of the calls', () => {
    const step = fc.record({
      lane: fc.constantFrom('a', 'b'),
      joins: fc.boolean(),
      which: fc.nat(10),
    })
    fc.assert(
      fc.property(fc.array(step, { maxLength: 100 }), (steps) => {
        const order = new LaneOrder<number>()
        const model: Record<string, number[]> = { a: [], b: [] }
        for (const [i, { lane, joins, which }] of steps.entries()) {
          const line = model[lane]!
          if (joins) {
            expect(order.join(lane, i)).toBe(line.length === 0)
            line.push(i)
          } else {
            const item = line[which]
            const next = order.leave(lane, item ?? -1)
            if (item !== undefined) line.splice(which, 1)
            expect(next).toBe(item !== undefined && which === 0 ? line[0] : undefined)
          }
        }
        expect(order.size).toBe(Object.values(model).filter(({ length }) => length > 0).length)
      }),
    )
  })

  test('[Q12] a turn is over within ackTimeout + responseTimeout, whatever happens', () => {
    const bounds = fc.record({
      ackMs: fc.integer({ min: 1, max: 100 }),
      responseMs: fc.integer({ min: 1, max: 100 }),
      hasFallback: fc.boolean(),
    })
    const run = fc.property(bounds, fc.boolean(), fc.nat(120), (given, healthy, ackAt) => {
      let turn: Turn | null = beginTurn(0, healthy, given)
      let now = 0
      while (turn !== null) {
        if (turn.phase === 'sent' && ackAt < turn.dueAt) {
          now = ackAt
          turn = acknowledgeTurn(turn, now, given)
        }
        now = turn.dueAt
        turn = expireTurn(turn, now, given)
      }
      expect(now).toBeLessThanOrEqual(given.ackMs + given.responseMs)
    })
    fc.assert(run)
  })

  test.each([
    [0, null, true],
    [2, null, true],
    [3, null, false],
    [0, 1000, true],
    [0, 500, false],
    [0, 0, false],
  ])('[Q12] %d unanswered pings, disconnected at %s: healthy is %s', (pings, at, healthy) => {
    expect(isHealthy(1000, pings, at, 500)).toBe(healthy)
  })
})

test('[Q8] the line of handlers agrees with a model', () => {
  const steps = fc.array(fc.constantFrom('add', 'end', 'drop'), { maxLength: 100 })
  fc.assert(
    fc.property(steps, fc.integer({ min: 1, max: 3 }), fc.nat(3), (list, most, waits) => {
      const line = new HandlerLine<number>(most, waits)
      let running = 0
      const waiting: number[] = []
      for (const [i, what] of list.entries()) {
        if (what === 'add') {
          const verdict = running < most ? 'run' : waiting.length < waits ? 'wait' : 'full'
          expect(line.add(i)).toBe(verdict)
          if (verdict === 'run') running++
          if (verdict === 'wait') waiting.push(i)
        } else if (what === 'end' && running > 0) {
          const next = waiting.shift()
          expect(line.end()).toBe(next)
          if (next === undefined) running--
        } else if (waiting.length > 0) line.drop(waiting.pop()!)
        expect([line.running, line.waiting]).toEqual([running, waiting.length])
      }
    }),
  )
})

describe('correlations', () => {
  test('bytes, text and digits are the same', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
        expect(bytesOfLatin1(latin1Of(bytes))).toEqual(bytes)
        expect(hexOfLatin1(latin1Of(bytes))).toBe(Buffer.from(bytes).toString('hex'))
      }),
    )
    const correlation = randomCorrelation(randomOf(7))
    expect(latin1OfHex(hexOfLatin1(latin1Of(correlation)))).toBe(latin1Of(correlation))
    for (const other of ['', 'zz'.repeat(16), '00'.repeat(15)]) expect(latin1OfHex(other)).toBe('')
    expect(latin1Of(new Uint8Array(65_535))).toHaveLength(65_535)
  })

  test('each byte takes each value', () => {
    const random = randomOf(3)
    const seen = Array.from({ length: 16 }, () => new Set<number>())
    for (let i = 0; i < 4000; i++) {
      for (const [at, byte] of randomCorrelation(random).entries()) seen[at]!.add(byte)
    }
    expect(seen.every(({ size }) => size === 256)).toBe(true)
  })
})

test('[Q2] the table of those who wait agrees with a Map, also where correlations begin alike', () => {
  const step = fc.record({ adds: fc.boolean(), name: fc.nat(60) })
  const steps = fc.array(step, { maxLength: 400, size: 'max' })
  fc.assert(
    fc.property(steps, fc.constantFrom(1, 7, 256), (steps, homes) => {
      const table = new WaiterTable<{ correlation: string; order: number }>()
      const model = new Map<string, { correlation: string; order: number }>()
      for (const [order, { adds, name }] of steps.entries()) {
        const correlation = `${String.fromCharCode(name % homes)}aa${name}`
        if (adds && !model.has(correlation)) {
          model.set(correlation, { correlation, order })
          table.add(model.get(correlation)!)
        } else if (!adds) expect(table.delete(correlation)).toBe(model.delete(correlation))
        expect(table.get(correlation)).toBe(model.get(correlation))
      }
      expect(table.values()).toEqual([...model.values()])
      expect(table.size).toBe(model.size)
      for (const [correlation, entry] of model) expect(table.get(correlation)).toBe(entry)
      expect(table.get('')).toBeUndefined()
    }),
  )
})

describe('envelopes', () => {
  const bytesOf = (text: string) => new TextEncoder().encode(text)

  test('what is written is read, whatever the payload', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string({ unit: 'binary' }), fc.uint8Array()), (payload) => {
        fc.pre(typeof payload !== 'string' || !/\p{Surrogate}/u.test(payload))
        const fields = { id: 'i', reply: 'r', expires: 5, properties: { a: ['b', 'c'], d: 'e' } }
        const read = readRequest(bytesOf(writeEnvelope(fields, payload)))!
        expect(Buffer.from(read.payload)).toEqual(Buffer.from(payload))
        expect({ ...read.userProperties }).toEqual(fields.properties)
        expect(read).toMatchObject({ id: 'i', reply: 'r', expires: 5, attempt: 1 })
      }),
    )
  })

  test('no bytes make the readers throw', () => {
    const json = fc.json().map(bytesOf)
    const near = fc
      .dictionary(
        fc.constantFrom('id', 'reply', 'status', 'seq', 'last', 'credit', 'payload', 'base64'),
        fc.jsonValue(),
      )
      .map((fields) => bytesOf(JSON.stringify(fields)))
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array(), json, near), (bytes) => {
        for (const read of [readRequest, readAnswer, readControl]) read(bytes)
      }),
    )
  })
})

test('texts of others are cut, and no pair is halved', () => {
  expect(cut('ab😀', 3)).toBe('ab')
  expect(cut('ab😀', 4)).toBe('ab😀')
  expect(cut('abc', 2)).toBe('ab')
})
