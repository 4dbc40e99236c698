/** Goal: reading is paused when too much is buffered, and by the user. (R3, E3, C02, C24) */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { activeAt } from '../../src/protocol/pauses.ts'
import { packetCapacity, requestCapacity } from '../../src/protocol/queries.ts'
import { ackOf, connackOf, Driver, messageOf, only, publishOf, types, wire } from './support.ts'

const BOUNDS = { maxBufferedPackets: 10, maxBufferedBytes: 100_000, keepAlive: 0 }

function pull(driver: Driver, packets: number, bytes = 0) {
  return driver.feed({ type: 'pulled', packets, bytes, yieldedThrough: 0, handledThrough: 0 })
}

describe('[R3] [C02] what is buffered is bounded', () => {
  test('reading stops at the bound and goes on at half of it, once each way', () => {
    const driver = new Driver(BOUNDS)
    driver.connect()
    pull(driver, 1, 64)
    const effects: string[] = []
    for (let i = 1; i <= 10; i++) {
      const kinds = types(driver.receive(messageOf(0)))
      effects.push(...kinds.filter((kind) => kind !== 'yield').map((kind) => `${i} ${kind}`))
    }
    for (let i = 9; i >= 0; i--)
      effects.push(...types(pull(driver, 1, 204)).map((kind) => `${i} ${kind}`))
    expect(effects).toEqual(['10 pauseReading', '4 resumeReading'])
    expect(driver.state.flow).toMatchObject({ bufferedPackets: 0, bufferedBytes: 0 })
  })

  test('bytes bound it as well as packets', () => {
    const driver = new Driver({ ...BOUNDS, maxBufferedBytes: 1000 })
    driver.connect()
    const effects = driver.receive(messageOf(0, 0, { payload: new Uint8Array(2000) }))
    expect(types(effects)).toEqual(['yield', 'pauseReading'])
    expect(packetCapacity(driver.state)).toBe(0)
    expect(types(pull(driver, 2, driver.state.flow.bufferedBytes))).toEqual(['resumeReading'])
  })

  test('whatever is pulled and received: paused exactly while more is there than agreed, with slack on the way back', () => {
    const steps = fc.array(fc.oneof(fc.constant('in'), fc.constant('out')), { maxLength: 80 })
    fc.assert(
      fc.property(steps, fc.integer({ min: 1, max: 12 }), (list, maxBufferedPackets) => {
        const driver = new Driver({ ...BOUNDS, maxBufferedPackets })
        driver.connect()
        let buffered = 1
        let paused = driver.state.keepAlive.readingPaused
        for (const one of list) {
          if (one === 'in' && packetCapacity(driver.state) > 0) {
            driver.receive(messageOf(0))
            buffered++
          }
          if (one === 'out' && buffered > 0) {
            pull(driver, 1)
            buffered--
          }
          const now = driver.state.keepAlive.readingPaused
          if (buffered >= maxBufferedPackets) expect(now).toBe(true)
          if (buffered === 0) expect(now).toBe(false)
          if (now !== paused) {
            const effects = driver.effects.at(-1)?.type
            expect(effects).toBe(now ? 'pauseReading' : 'resumeReading')
          }
          paused = now
          expect(driver.state.flow.bufferedPackets).toBe(buffered)
          expect(buffered).toBeLessThanOrEqual(maxBufferedPackets + 1)
        }
      }),
    )
  })

  test('the answer to CONNECT is read whatever is buffered', () => {
    const driver = new Driver({ ...BOUNDS, maxBufferedPackets: 1 })
    driver.connect()
    driver.lose()
    driver.open()
    expect(driver.state.keepAlive.readingPaused).toBe(false)
    expect(packetCapacity(driver.state)).toBe(1)
    driver.receive(connackOf(true))
    expect(driver.state.keepAlive.readingPaused).toBe(true)
  })

  test('[C24] a consumer that stalls is warned once, and again only after it went on', () => {
    const driver = new Driver({ ...BOUNDS, maxBufferedPackets: 2, warnAfterMs: 5000 })
    driver.connect()
    driver.receive(messageOf(0))
    const warned = (ms: number) => only(driver.advance(ms), 'warn').map(({ code }) => code)
    expect(warned(4999)).toEqual([])
    expect(warned(1)).toEqual(['CONSUMER_STALLED'])
    expect(warned(600_000)).toEqual([])
    pull(driver, 2)
    driver.receive(messageOf(0), messageOf(0))
    expect(warned(5000)).toEqual(['CONSUMER_STALLED'])
  })
})

describe('[E3] pause', () => {
  test('stops taking and reading, goes on by resume', () => {
    const driver = new Driver(BOUNDS)
    driver.connect()
    expect(requestCapacity(driver.state)).toBeGreaterThan(0)
    expect(types(driver.feed({ type: 'pause', ms: Infinity }))).toEqual(['pauseReading'])
    expect([requestCapacity(driver.state), packetCapacity(driver.state)]).toEqual([0, 0])
    driver.advance(10_000_000)
    expect(requestCapacity(driver.state)).toBe(0)
    expect(types(driver.feed({ type: 'resume' }))).toEqual(['resumeReading'])
    expect(requestCapacity(driver.state)).toBeGreaterThan(0)
  })

  test('ends by its own ms, at the instant', () => {
    const driver = new Driver(BOUNDS)
    driver.connect()
    driver.feed({ type: 'pause', ms: 500 })
    expect(types(driver.advance(499))).toEqual([])
    expect(types(driver.advance(1))).toEqual(['resumeReading'])
  })

  test('a second pause replaces the end of the first', () => {
    const driver = new Driver(BOUNDS)
    driver.connect()
    driver.feed({ type: 'pause', ms: 500 })
    driver.feed({ type: 'pause', ms: 2000 })
    expect(types(driver.advance(1999))).toEqual([])
    expect(types(driver.advance(1))).toEqual(['resumeReading'])
  })

  test('CONNECT … CONNACK finishes under it, what was in flight is sent again, nothing new is taken', () => {
    const driver = new Driver(BOUNDS)
    driver.connect()
    driver.request(publishOf(1))
    driver.feed({ type: 'pause', ms: Infinity })
    driver.lose()
    const effects = driver.connect(connackOf(true))
    expect(wire(effects)).toEqual(['CONNECT 5', 'DUP PUBLISH 1 h1'])
    expect(types(effects).at(-1)).toBe('pauseReading')
    expect(requestCapacity(driver.state)).toBe(0)
  })

  test('pause while the consumer is slow too: reading goes on when neither holds it', () => {
    const driver = new Driver({ ...BOUNDS, maxBufferedPackets: 1 })
    driver.connect()
    driver.feed({ type: 'pause', ms: Infinity })
    expect(types(pull(driver, 1))).toEqual([])
    expect(types(driver.feed({ type: 'resume' }))).toEqual(['resumeReading'])
  })

  test('the clock of ackTimeout is the time outside of pauses, whatever the pauses', () => {
    const steps = fc.array(fc.tuple(fc.constantFrom('pause', 'resume', 'pass'), fc.nat(5000)), {
      maxLength: 40,
    })
    fc.assert(
      fc.property(steps, (list) => {
        const driver = new Driver(BOUNDS)
        driver.connect()
        const from = activeAt(driver.state.flow, driver.at)
        let active = 0
        let paused = false
        for (const [what, ms] of list) {
          if (what === 'pause') driver.feed({ type: 'pause', ms: Infinity })
          if (what === 'resume') driver.feed({ type: 'resume' })
          if (what !== 'pass') paused = what === 'pause'
          driver.sleep(ms)
          if (!paused) active += ms
          expect(activeAt(driver.state.flow, driver.at) - from).toBe(active)
        }
      }),
    )
  })
})

test('[D4] a transport that is full takes no more requests, and nothing is lost meanwhile', () => {
  const driver = new Driver(BOUNDS)
  driver.connect()
  driver.feed({ type: 'congestion', congested: true })
  expect(requestCapacity(driver.state)).toBe(0)
  driver.request(publishOf(1))
  driver.receive(ackOf('puback', 1))
  driver.feed({ type: 'congestion', congested: false })
  expect(requestCapacity(driver.state)).toBeGreaterThan(0)
  driver.feed({ type: 'congestion', congested: true })
  driver.lose()
  driver.connect(connackOf(true))
  expect(driver.state.flow.congested).toBe(false)
})

test('[E3] throttle with the window full: no deadline that has come stays', () => {
  for (const perSecond of [0.5, 10, 5000]) {
    const driver = new Driver(BOUNDS)
    driver.connect(connackOf(false, { receiveMaximum: 1 }))
    driver.feed({ type: 'throttle', perSecond })
    driver.request(publishOf(1))
    driver.request(publishOf(2))
    expect(driver.advance(60_000)).toEqual([])
  }
})
