/**
 * Goal: the delay, the version and the end follow the policy. Method: its functions, then `step`
 * against servers that refuse.
 */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { ReconnectPolicy } from '../../src/protocol/config.ts'
import type { Failure } from '../../src/protocol/facts.ts'
import { mayRetry, retryDelayMs } from '../../src/protocol/reconnect.ts'
import { randomOf } from '../support/random.ts'
import { byeOf, connackOf, Driver, failureOf, only, plainConnack } from './support.ts'

const POLICY: ReconnectPolicy = { when: 'always', minMs: 100, maxMs: 30_000, stableMs: 30_000 }
const plain = failureOf()
const random = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true })
const attempts = fc.nat(2000)
const causes: fc.Arbitrary<Failure> = fc.record({
  phase: fc.constantFrom('dial', 'handshake', 'connected'),
  source: fc.constantFrom('connection', 'refused', 'protocol'),
  code: fc.constantFrom(
    'ECONNRESET',
    'ECONNREFUSED',
    'SERVER_BUSY',
    'QUOTA_EXCEEDED',
    'CONNECTION_RATE_EXCEEDED',
  ),
  retryable: fc.constant(true),
  message: fc.constant(''),
})

describe('[N1] the delay', () => {
  test('after a stable connection: random × 1 s, whatever came before', () => {
    fc.assert(
      fc.property(attempts, causes, random, (attempt, cause, r) => {
        expect(retryDelayMs(POLICY, attempt, cause, true, r)).toBe(r * 1000)
      }),
    )
  })

  test('else 100 ms + random × min(30 s, 1 s × 2ⁿ)', () => {
    fc.assert(
      fc.property(attempts, random, (attempt, r) => {
        const span = Math.min(30_000, 1000 * 2 ** attempt)
        expect(retryDelayMs(POLICY, attempt, plain, false, r)).toBeCloseTo(100 + r * span, 6)
      }),
    )
  })

  test('never below minMs, never above minMs + maxMs, finite, and the same for the same arguments', () => {
    const bounds = fc.tuple(
      fc.integer({ min: 1, max: 5000 }),
      fc.integer({ min: 1, max: 3_600_000 }),
    )
    fc.assert(
      fc.property(bounds, attempts, causes, random, ([minMs, maxMs], attempt, cause, r) => {
        const policy = { ...POLICY, minMs, maxMs }
        const delay = retryDelayMs(policy, attempt, cause, false, r)
        expect(delay).toBeGreaterThanOrEqual(minMs)
        expect(delay).toBeLessThanOrEqual(minMs + maxMs)
        expect(retryDelayMs(policy, attempt, cause, false, r)).toBe(delay)
      }),
    )
  })

  test('its mean grows with each failure up to the cap, for every cause', () => {
    fc.assert(
      fc.property(causes, (cause) => {
        const means = Array.from({ length: 12 }, (_, n) =>
          retryDelayMs(POLICY, n, cause, false, 0.5),
        )
        for (let n = 1; n < means.length; n++)
          expect(means[n]!).toBeGreaterThanOrEqual(means[n - 1]!)
        expect(means[5]!).toBeGreaterThan(10_000)
      }),
    )
  })

  test('[C34] crowded servers are asked later than others', () => {
    for (const code of ['SERVER_BUSY', 'QUOTA_EXCEEDED', 'CONNECTION_RATE_EXCEEDED']) {
      for (const r of [0, 0.5, 0.99]) {
        const crowded = retryDelayMs(POLICY, 0, failureOf({ code }), false, r)
        expect(crowded).toBeGreaterThan(retryDelayMs(POLICY, 0, plain, false, r))
      }
    }
  })

  test('[C31] ten thousand clients spread evenly after their broker restarted', () => {
    const next = randomOf(1)
    const tenths = new Array<number>(10).fill(0)
    for (let i = 0; i < 10_000; i++) {
      const delay = retryDelayMs(POLICY, 0, plain, true, next())
      tenths[Math.floor(delay / 100)]!++
    }
    for (const count of tenths) expect(Math.abs(count - 1000)).toBeLessThan(150)
  })

  test('[C31] a server that refuses: at most 40 dials in ten minutes in 99 % of seeds', () => {
    const SEEDS = 1000
    let over = 0
    for (let seed = 1; seed <= SEEDS; seed++) {
      const next = randomOf(seed)
      let at = 0
      let dials = 0
      while (at < 600_000) {
        at += retryDelayMs(POLICY, dials, failureOf({ phase: 'dial' }), false, next())
        dials++
      }
      if (dials > 40) over++
    }
    expect(over).toBeLessThanOrEqual(SEEDS / 100)
  })
})

describe('[N1] attempts, through step', () => {
  /** @returns the delays before the next dials of a server that behaves like `round`. */
  function delays(rounds: number, round: (driver: Driver) => void, random = 0.5): number[] {
    const driver = new Driver()
    driver.feed({ type: 'start' })
    const result: number[] = []
    for (let i = 0; i < rounds; i++) {
      round(driver)
      if (driver.state.connection.engaged) driver.lose({ random, byPeer: true })
      result.push(driver.state.connection.retryAt - driver.at)
      driver.sleep(driver.state.connection.retryAt - driver.at)
      expect(driver.tick().map(({ type }) => type)).toEqual(['dial'])
    }
    return result
  }

  test('failures in a row space the attempts exponentially', () => {
    expect(delays(8, (driver) => driver.feed({ type: 'opened', attempt: null }))).toEqual([
      600, 1100, 2100, 4100, 8100, 15_100, 15_100, 15_100,
    ])
  })

  test('[C32] a broker that accepts and closes 50 ms later sees the same spacing', () => {
    const seen = delays(8, (driver) => {
      driver.feed({ type: 'opened', attempt: null })
      driver.receive(connackOf(driver.state.connection.epoch > 0))
      driver.sleep(50)
    })
    expect(seen).toEqual([600, 1100, 2100, 4100, 8100, 15_100, 15_100, 15_100])
  })

  test('[C32] only a connection that was stable for 30 s starts the count again', () => {
    const seen = delays(6, (driver) => {
      driver.feed({ type: 'opened', attempt: null })
      driver.receive(connackOf(driver.state.connection.epoch > 0))
      driver.sleep(driver.state.reconnect.attempt === 3 ? 30_000 : 29_999)
    })
    // The fourth connection is stable, so its delay is random × 1 s. The next is as after a first
    // failure.
    expect(seen).toEqual([600, 1100, 2100, 500, 600, 1100])
  })
})

describe('[N2] [N3] may it be retried', () => {
  const whens = ['always', 'after-first-success', 'never'] as const
  const early = ['ENOTFOUND', 'CERT_NOT_YET_VALID']
  for (const when of whens) {
    for (const everConnected of [false, true]) {
      for (const [code, retryable] of [
        ['ECONNRESET', true],
        ['BAD_CREDENTIALS', false],
        ['ENOTFOUND', false],
        ['CERT_NOT_YET_VALID', false],
      ] as const) {
        const open = when === 'always' || (when === 'after-first-success' && everConnected)
        const expected = open && (retryable || early.includes(code))
        test(`${when}, ${everConnected ? 'after' : 'before'} a first success, ${code}: ${expected ? 'again' : 'the end'}`, () => {
          const driver = new Driver({ reconnect: { ...POLICY, when } })
          if (everConnected) {
            driver.connect()
            driver.lose()
            if (driver.kind === 'failed') {
              expect(when).toBe('never')
              return
            }
            driver.open()
          } else driver.feed({ type: 'start' })
          const failure = failureOf({ code, retryable, phase: 'dial' })
          expect(mayRetry(driver.state.reconnect, failure)).toBe(expected)
          driver.lose({ failure })
          expect(driver.kind).toBe(expected ? 'disconnected' : 'failed')
        })
      }
    }
  }

  test('[C34] the word of the user overrides ours, in both directions, but not `when`', () => {
    const fatal = failureOf({ code: 'BAD_CREDENTIALS', retryable: false })
    const cases: [boolean | null, Failure, ReconnectPolicy['when'], string][] = [
      [true, fatal, 'always', 'disconnected'],
      [false, plain, 'always', 'failed'],
      [null, fatal, 'always', 'failed'],
      [true, fatal, 'never', 'failed'],
      [true, fatal, 'after-first-success', 'failed'],
    ]
    for (const [retryable, failure, when, kind] of cases) {
      const driver = new Driver({ reconnect: { ...POLICY, when } })
      driver.open()
      driver.lose({ failure, retryable })
      expect(driver.kind).toBe(kind)
    }
  })

  test('[N3] never: the first loss is the end, with its failure', () => {
    const driver = new Driver({ reconnect: { ...POLICY, when: 'never' } })
    driver.connect()
    const [finished] = only(driver.lose(), 'finished')
    expect(finished?.failure?.code).toBe('ECONNRESET')
    expect(driver.kind).toBe('failed')
  })

  test('reconnect may bring a new policy, which counts from then on', () => {
    const driver = new Driver({ reconnect: { ...POLICY, when: 'never' } })
    driver.connect()
    driver.feed({ type: 'reconnect', policy: { ...POLICY, minMs: 7000 } })
    expect(only(driver.lose(), 'dial').length).toBe(1)
    driver.lose()
    expect(driver.state.connection.retryAt - driver.at).toBe(7500)
  })
})

describe('[C33] somebody else has our client identifier', () => {
  test('DISCONNECT 0x8E ends the loop', () => {
    const driver = new Driver()
    driver.connect()
    driver.receive(byeOf(0x8e))
    const [finished] = only(driver.lose({ byPeer: true }), 'finished')
    expect(finished?.failure).toMatchObject({ code: 'SESSION_TAKEN_OVER', retryable: false })
  })

  test.each([4, 5] as const)(
    'without that code five closes within seconds of the CONNACK cause one warning, MQTT %s',
    (protocolVersion) => {
      const driver = new Driver({ protocolVersion })
      const warnings: string[] = []
      for (let i = 0; i < 9; i++) {
        driver.connect(protocolVersion === 4 ? plainConnack(i > 0) : connackOf(i > 0))
        driver.sleep(1000)
        for (const { code } of only(driver.lose({ byPeer: true }), 'warn'))
          warnings.push(`${i} ${code}`)
      }
      expect(warnings).toEqual(['4 SESSION_TAKEN_OVER_SUSPECTED'])
    },
  )

  test('0x8E is reported once by a loop that the user lets go on', () => {
    const driver = new Driver()
    const warnings: string[] = []
    for (let i = 0; i < 5; i++) {
      driver.connect(connackOf(i > 0))
      driver.receive(byeOf(0x8e))
      const effects = driver.lose({ byPeer: true, retryable: true })
      warnings.push(...only(effects, 'warn').map(({ code, message }) => `${i} ${code} ${message}`))
    }
    expect(warnings).toEqual([
      expect.stringMatching(/^0 SESSION_TAKEN_OVER_SUSPECTED .*give each its own/),
    ])
  })

  test('closes that come later, or by us, or between good connections, are no such sign', () => {
    for (const [sleep, byPeer] of [
      [5000, true],
      [10, false],
    ] as const) {
      const driver = new Driver({ protocolVersion: 4 })
      for (let i = 0; i < 9; i++) {
        driver.connect(plainConnack(i > 0))
        driver.sleep(sleep)
        expect(only(driver.lose({ byPeer }), 'warn')).toEqual([])
      }
    }
  })
})
