/**
 * Goal: reading rests only where nobody waits for a single packet, for the time that measuring
 * favours, and never longer than 8 ms. Method: rests alone with made reads, and a loop at a virtual
 * clock whose transport stops reading at once, as a TCP socket of our own does.
 */
import type { Duplex } from 'node:stream'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { mayRest, Rests } from '../../src/connection/rest.ts'
import type { EventloopOptions } from '../../src/options/options.ts'
import { markReading } from '../../src/platform/node/socket-reading.ts'
import { publish } from '../../src/requests/build.ts'
import { VirtualClock } from '../support/clock.ts'
import { startLoop } from '../support/loop.ts'
import { ScriptedServer } from '../support/server.ts'

const RESTS_MS = [0, 1, 2, 4, 8] as const
/** Publishes in flight from which on reading may rest. */
const OUTSTANDING = 256
/** Bytes to write from which on reading may rest. */
const QUEUED_BYTES = 32_768

/** @returns the rest that was used most in the second half of `ms` of reads of `bytes(rest)`. */
function favourite(bytes: (restMs: number) => number, ms = 20_000): number {
  const rests = new Rests()
  const used = new Map<number, number>()
  for (let at = 0, rest = 0; at < ms; at += 1 + rest) {
    rest = rests.read(bytes(rest), at, true)
    if (at > ms / 2) used.set(rest, (used.get(rest) ?? 0) + 1 + rest)
  }
  return [...used].sort((a, b) => b[1] - a[1])[0]![0]
}

describe('Rests', () => {
  test('a large read, or one at which little is outstanding, is followed by no rest, and no rest is longer than 8 ms', () => {
    const reads = fc.array(fc.tuple(fc.nat(70_000), fc.nat(100), fc.boolean()), { maxLength: 300 })
    fc.assert(
      fc.property(reads, (list) => {
        const rests = new Rests()
        let at = 0
        for (const [bytes, ms, may] of list) {
          at += ms
          const rest = rests.read(bytes, at, may)
          expect(RESTS_MS).toContain(rest)
          if (bytes >= 2048 || !may) expect(rest).toBe(0)
        }
      }),
    )
  })

  test.each(RESTS_MS)('a rest of %i ms is found where it is the best', (best) => {
    // Bytes in a ms fall with the distance from the best rest.
    const rate = (rest: number) =>
      100 / (1 + Math.abs(RESTS_MS.indexOf(rest as 0) - RESTS_MS.indexOf(best)))
    expect(favourite((rest) => rate(rest) * (1 + rest))).toBe(best)
  })

  test('it may rest from 256 publishes in flight or 32 KiB to write on, and not before', () => {
    expect(mayRest(OUTSTANDING - 1, QUEUED_BYTES - 1)).toBe(false)
    expect(mayRest(OUTSTANDING, 0)).toBe(true)
    expect(mayRest(0, QUEUED_BYTES)).toBe(true)
  })
})

/** Counts the timers that are as short as a rest. */
class RestCounter extends VirtualClock {
  rests = 0
  restsBegun = 0
  readonly #resting = new Set<unknown>()

  override setTimer(callback: () => void, ms: number): unknown {
    if (ms < 1 || ms > 8) return super.setTimer(callback, ms)
    this.restsBegun++
    this.rests++
    const timer = super.setTimer(() => {
      this.#over(timer)
      callback()
    }, ms)
    this.#resting.add(timer)
    return timer
  }

  override clearTimer(timer: unknown): void {
    this.#over(timer)
    super.clearTimer(timer)
  }

  #over(timer: unknown): void {
    if (this.#resting.delete(timer)) this.rests--
  }
}

/** A loop with so many publishes in flight whose server answers nothing by itself. */
async function loopWith(inFlight: number, options: EventloopOptions = {}) {
  const clock = new RestCounter()
  const server = new ScriptedServer(clock, { autoAck: false })
  const { transport } = server
  const requests = Array.from({ length: inFlight }, () => publish('t', 'x', { qos: 1 }))
  const started = startLoop(
    {
      ...{ until: 'closed', keepAlive: 0, ...options },
      transport: async (endpoint, signal) =>
        markReading((await transport(endpoint, signal)) as Duplex as never, true),
    },
    requests,
    undefined,
    { clock, server },
  )
  await clock.advance(0)
  let sent = 0
  const heard = () => started.received.filter(({ cmd }) => cmd === 'publish').length
  /** @returns how many ms a message of the server took to the consumer. */
  const delay = async () => {
    const from = clock.now()
    server.current.send({
      cmd: 'publish',
      topic: 'm',
      payload: 'y',
      qos: 0,
      dup: false,
      retain: false,
    })
    sent++
    await clock.settle()
    while (heard() < sent) await clock.advance(1)
    return clock.now() - from
  }
  return { ...started, clock, server, delay }
}

describe('a loop', () => {
  test('no message waits while fewer than 256 publishes are in flight', async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(OUTSTANDING - 1), fc.integer({ min: 1, max: 9 }), async (n, gap) => {
        const { clock, delay, loop } = await loopWith(n)
        // Long enough for a loop with more in flight to try a rest.
        for (let passed = 0; passed < 1500; passed += gap) {
          expect(await delay()).toBe(0)
          await clock.advance(gap)
        }
        expect(clock.restsBegun).toBe(0)
        await loop.return!()
      }),
      { numRuns: 10, examples: [[OUTSTANDING - 1, 1]] },
    )
  })

  test('beyond that a message waits at most 8 ms, and some do', async () => {
    const { clock, delay, loop } = await loopWith(OUTSTANDING)
    const delays: number[] = []
    for (let i = 0; i < 3000; i++) {
      delays.push(await delay())
      // The rests are measured as time passes.
      await clock.advance(1)
    }
    expect(Math.max(...delays)).toBeLessThanOrEqual(8)
    expect(Math.max(...delays)).toBeGreaterThan(0)
    await loop.return!()
  })

  test('with gatherReads: false no message waits, however much is in flight', async () => {
    const { delay, loop, clock } = await loopWith(1000, { gatherReads: false })
    for (let i = 0; i < 1500; i++) {
      expect(await delay()).toBe(0)
      await clock.advance(1)
    }
    expect(clock.restsBegun).toBe(0)
    await loop.return!()
  })

  test('nothing is left of a rest after the end [N4], however it ends', async () => {
    for (const how of ['return', 'lost', 'closed'] as const) {
      const { delay, loop, clock, server, done } = await loopWith(OUTSTANDING, {
        reconnect: 'never',
      })
      for (let i = 0; i < 3000 && clock.rests === 0; i++) {
        await delay()
        if (clock.rests === 0) await clock.advance(1)
      }
      expect(clock.rests).toBe(1)
      if (how === 'return') void loop.return!()
      if (how === 'lost') server.current.reset()
      if (how === 'closed') server.current.end()
      await clock.settle()
      await clock.advance(10_000)
      await done
      expect(clock.rests).toBe(0)
      expect(clock.pendingTimers).toBe(0)
    }
  })
})
