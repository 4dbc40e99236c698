/** Goal: each answer of the server settles one request, or none. (D2, C18, C25) */
import { describe, expect, test } from 'vitest'
import type { Config } from '../../src/protocol/config.ts'
import type { ServerPacket } from '../../src/protocol/facts.ts'
import {
  ackOf,
  connackOf,
  Driver,
  only,
  outcomes,
  plainConnack,
  publishOf,
  subackOf,
  subscribeOf,
  unsubackOf,
  unsubscribeOf,
  wire,
  yielded,
} from './support.ts'

function connected(over: Partial<Config> = {}): Driver {
  const driver = new Driver(over)
  driver.connect(over.protocolVersion === 4 ? plainConnack(false) : connackOf(false))
  return driver
}

describe('[D2] [C25] each answer settles the request that it is of', () => {
  test('PUBACKs in any order: by identifier, never by turn', () => {
    const driver = connected()
    driver.request(publishOf(1), publishOf(2), publishOf(3))
    const packet = { ...ackOf('puback', 2, 0x97), properties: { reasonString: 'full' } }
    const effects = driver.receive(packet, ackOf('puback', 3), ackOf('puback', 1))
    expect(outcomes(effects)).toEqual(['h2 NEGATIVE_ACKNOWLEDGEMENT', 'h3 ok', 'h1 ok'])
    expect(only(effects, 'yield').map(({ handle }) => handle)).toEqual([2, 3, 1])
    const [first] = only(effects, 'settle')
    expect(first?.packet).toBe(packet)
    expect(first?.failure?.message).toContain('full')
    expect(first?.failure).toMatchObject({ source: 'refused', reasonCode: 0x97, retryable: false })
  })

  for (const code of [0x00, 0x10, 0x7f, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99]) {
    const good = code < 0x80
    test(`code ${code}: ${good ? 'ok' : 'not'} in PUBACK and PUBREC`, () => {
      const driver = connected()
      driver.request(publishOf(1), publishOf(2, 2))
      const word = good ? 'ok' : 'NEGATIVE_ACKNOWLEDGEMENT'
      expect(outcomes(driver.receive(ackOf('puback', 1, code)))).toEqual([`h1 ${word}`])
      const effects = driver.receive(ackOf('pubrec', 2, code))
      expect(outcomes(effects)).toEqual(good ? [] : [`h2 ${word}`])
      expect(wire(effects)).toEqual(good ? ['PUBREL 2'] : [])
    })
  }

  test('QoS 2: PUBREC is answered each time, PUBCOMP settles', () => {
    const driver = connected()
    driver.request(publishOf(1, 2))
    expect(wire(driver.receive(ackOf('pubrec', 1)))).toEqual(['PUBREL 1'])
    expect(wire(driver.receive(ackOf('pubrec', 1)))).toEqual(['PUBREL 1'])
    expect(outcomes(driver.receive(ackOf('pubcomp', 1)))).toEqual(['h1 ok'])
    expect(driver.state.counters.acknowledged).toBe(1)
  })

  test('SUBACK: one refused filter is a refusal, a lower QoS is none; UNSUBACK alike', () => {
    const driver = connected()
    driver.request(subscribeOf(1, ['a', 'b']), subscribeOf(2, ['c']), unsubscribeOf(3, ['a']))
    expect(outcomes(driver.receive(subackOf(1, 0, 0x9e)))).toEqual(['h1 NEGATIVE_ACKNOWLEDGEMENT'])
    expect(outcomes(driver.receive(subackOf(2, 0)))).toEqual(['h2 ok'])
    expect(outcomes(driver.receive(unsubackOf(3, 0x11)))).toEqual(['h3 ok'])
  })

  test('3.1.1: UNSUBACK has no codes', () => {
    const driver = connected({ protocolVersion: 4 })
    driver.request(unsubscribeOf(1, ['a', 'b']))
    expect(outcomes(driver.receive(unsubackOf(1)))).toEqual(['h1 ok'])
  })
})

describe('[C18] identifiers that nobody uses', () => {
  for (const protocolVersion of [4, 5] as const) {
    test(`MQTT ${protocolVersion}: warned about, answered where required, and survived`, () => {
      const driver = connected({ protocolVersion, tolerance: 'strict' })
      const answers: [ServerPacket, string[], warns: boolean][] = [
        [ackOf('puback', 7), [], true],
        [ackOf('pubrec', 7), ['PUBREL 7 0x92'], true],
        [ackOf('pubcomp', 7), [], true],
        [ackOf('pubrel', 7), ['PUBCOMP 7 0x92'], false],
        [subackOf(7, 0), [], true],
        [unsubackOf(7, 0), [], true],
      ]
      for (const [packet, sent, warns] of answers) {
        const effects = driver.receive(packet)
        expect(wire(effects)).toEqual(sent)
        const codes = only(effects, 'warn').map(({ code }) => code)
        expect(codes).toEqual(warns ? ['UNKNOWN_PACKET_IDENTIFIER'] : [])
        // A packet that answers no request is not yielded.
        expect(yielded(effects).length).toBe(warns ? 0 : 1)
      }
      expect(driver.kind).toBe('connected')
    })
  }
})
