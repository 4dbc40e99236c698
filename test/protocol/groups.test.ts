/** Goal: a group of QoS 0 publishes is sent whole, or is taken apart and keeps its place. */
import { describe, expect, test } from 'vitest'
import { ackOf, connackOf, Driver, only, outcomes, publishOf, types, wire } from './support.ts'

const group = (handle: number, over = {}) => publishOf(handle, 0, { count: 3, ...over })

function connected(connack = connackOf(false)): Driver {
  const driver = new Driver()
  driver.connect(connack)
  return driver
}

/** Answers `takeApart` as the loop does. */
function apart(driver: Driver, handle: number, over: readonly object[] = [{}, {}, {}]) {
  const requests = over.map((one, i) => publishOf(handle + 1 + i, 0, one))
  return driver.feed({ type: 'apart', handle, requests })
}

test('[D2] a group is one effect and counts for its messages', () => {
  const driver = connected()
  expect(wire(driver.request(group(1), publishOf(2, 0)))).toEqual(['PUBLISH h1', 'PUBLISH h2'])
  expect(driver.state.counters).toMatchObject({ taken: 4, sent: 4, settled: 0 })
  expect(driver.state.outgoing.unconfirmed).toBe(4)
  driver.feed({ type: 'written', publishes: 2, ping: false, more: true })
  expect(driver.state.counters.settled).toBe(2)
  expect(only(driver.lose(), 'confirm')).toMatchObject([
    { count: 2, failure: { code: 'CONNECTION_LOST' } },
  ])
})

describe('[D2] taken while there is no connection', () => {
  test('it waits as one and leaves as one', () => {
    const driver = connected()
    driver.lose()
    expect(driver.request(group(1))).toEqual([])
    expect(driver.state.counters).toMatchObject({ taken: 3, settled: 0 })
    expect(wire(driver.connect()).slice(1)).toEqual(['PUBLISH h1'])
  })

  test('[E3] under a throttle it is taken apart, and its messages are spaced', () => {
    const driver = connected()
    driver.lose()
    driver.request(group(10), publishOf(20, 0))
    driver.feed({ type: 'throttle', perSecond: 10 })
    expect(only(driver.connect(), 'takeApart')).toEqual([{ type: 'takeApart', handle: 10 }])
    expect(driver.tick()).toEqual([])
    expect(wire(apart(driver, 10))).toEqual(['PUBLISH h11'])
    expect(wire(driver.advance(100))).toEqual(['PUBLISH h12'])
    expect(wire(driver.advance(200))).toEqual(['PUBLISH h13', 'PUBLISH h20'])
  })
})

describe('[C28] [D6] one message that the server does not take', () => {
  test('fails alone, the others keep their order', () => {
    const driver = connected(connackOf(false, { maximumPacketSize: 100 }))
    const effects = driver.request(group(10, { bytes: 500 }), publishOf(20, 0))
    expect(types(effects)).toEqual(['takeApart'])
    const after = apart(driver, 10, [{}, { bytes: 500 }, {}])
    expect(wire(after)).toEqual(['PUBLISH h11', 'PUBLISH h13', 'PUBLISH h20'])
    expect(outcomes(after)).toEqual(['h12 PACKET_TOO_LARGE'])
  })

  test('[D3] nothing passes a group that is being taken apart, at any QoS', () => {
    const driver = connected(connackOf(false, { retainAvailable: false, receiveMaximum: 1 }))
    driver.request(publishOf(1), publishOf(2), group(10, { retain: true }), publishOf(20, 0))
    expect(only(driver.effects, 'takeApart')).toEqual([{ type: 'takeApart', handle: 10 }])
    expect(driver.request(group(30), publishOf(40, 0))).toEqual([])
    expect(driver.state.counters).toMatchObject({ taken: 10, sent: 1 })
    expect(apart(driver, 10, [{ retain: true }, {}, {}])).toEqual([])
    const effects = driver.receive(ackOf('puback', 1))
    expect(wire(effects)).toEqual([
      ...['PUBLISH 2 h2', 'PUBLISH h12', 'PUBLISH h13', 'PUBLISH h20'],
      ...['PUBLISH h30', 'PUBLISH h40'],
    ])
    expect(outcomes(effects)).toEqual(['h1 ok', 'h11 RETAIN_NOT_SUPPORTED'])
  })
})
