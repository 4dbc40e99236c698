/**
 * Goal: each code of a CONNACK ends the loop or is retried, and its limits are obeyed. (N2, C34,
 * C40)
 */
import { describe, expect, test } from 'vitest'
import type { Config } from '../../src/protocol/config.ts'
import type { Effect } from '../../src/protocol/contract.ts'
import type { ReceivedConnack } from '../../src/protocol/facts.ts'
import {
  connackRefusal,
  DEFAULT_LIMITS,
  disconnectFailure,
  limitsOf,
} from '../../src/protocol/handshake.ts'
import { hex } from '../../src/protocol/reason-codes.ts'
import type { Limits } from '../../src/protocol/state.ts'
import {
  byeOf,
  configOf,
  connackOf,
  Driver,
  failureOf,
  only,
  plainConnack,
  types,
  wire,
  yielded,
} from './support.ts'

/**
 * The reason codes that a CONNACK may carry (MQTT 5, 3.2.2.2), and whether a later attempt may
 * succeed.
 */
const CONNACK = {
  128: ['UNSPECIFIED_ERROR', true],
  129: ['MALFORMED_PACKET', false],
  130: ['PROTOCOL_ERROR', false],
  131: ['IMPLEMENTATION_ERROR', true],
  132: ['UNSUPPORTED_VERSION', false],
  133: ['CLIENT_ID_REFUSED', false],
  134: ['BAD_CREDENTIALS', false],
  135: ['NOT_AUTHORIZED', false],
  136: ['SERVER_UNAVAILABLE', true],
  137: ['SERVER_BUSY', true],
  138: ['BANNED', false],
  140: ['BAD_AUTHENTICATION_METHOD', false],
  144: ['TOPIC_NAME_INVALID', false],
  149: ['PACKET_TOO_LARGE', false],
  151: ['QUOTA_EXCEEDED', true],
  153: ['PAYLOAD_FORMAT_INVALID', false],
  154: ['RETAIN_NOT_SUPPORTED', false],
  155: ['QOS_NOT_SUPPORTED', false],
  156: ['USE_ANOTHER_SERVER', true],
  157: ['SERVER_MOVED', false],
  159: ['CONNECTION_RATE_EXCEEDED', true],
} as const

/** The reason codes that a DISCONNECT from a server may carry. (MQTT 5, 3.14.2.1) */
const DISCONNECT = {
  0: ['SERVER_DISCONNECTED', true],
  128: ['UNSPECIFIED_ERROR', true],
  129: ['MALFORMED_PACKET', true],
  130: ['PROTOCOL_ERROR', true],
  131: ['IMPLEMENTATION_ERROR', true],
  135: ['NOT_AUTHORIZED', true],
  137: ['SERVER_BUSY', true],
  139: ['SERVER_SHUTTING_DOWN', true],
  141: ['KEEP_ALIVE_TIMEOUT', true],
  142: ['SESSION_TAKEN_OVER', false],
  143: ['TOPIC_FILTER_INVALID', true],
  144: ['TOPIC_NAME_INVALID', true],
  147: ['RECEIVE_MAXIMUM_EXCEEDED', true],
  148: ['TOPIC_ALIAS_INVALID', true],
  149: ['PACKET_TOO_LARGE', true],
  150: ['MESSAGE_RATE_TOO_HIGH', true],
  151: ['QUOTA_EXCEEDED', true],
  152: ['ADMINISTRATIVE_ACTION', true],
  153: ['PAYLOAD_FORMAT_INVALID', true],
  154: ['RETAIN_NOT_SUPPORTED', true],
  155: ['QOS_NOT_SUPPORTED', true],
  156: ['USE_ANOTHER_SERVER', true],
  157: ['SERVER_MOVED', false],
  158: ['SHARED_SUBSCRIPTIONS_NOT_SUPPORTED', true],
  159: ['CONNECTION_RATE_EXCEEDED', true],
  160: ['MAXIMUM_CONNECT_TIME', true],
  161: ['SUBSCRIPTION_IDENTIFIERS_NOT_SUPPORTED', true],
  162: ['WILDCARD_SUBSCRIPTIONS_NOT_SUPPORTED', true],
} as const

const RETURN_CODES = {
  1: ['UNSUPPORTED_VERSION', false],
  2: ['CLIENT_ID_REFUSED', false],
  3: ['SERVER_UNAVAILABLE', true],
  4: ['BAD_CREDENTIALS', false],
  5: ['NOT_AUTHORIZED', false],
} as const

const rows = (table: Record<number, readonly [string, boolean]>) =>
  Object.entries(table).map(([code, [name, retryable]]) => [Number(code), name, retryable] as const)

describe('[N2] [C34] codes of a CONNACK', () => {
  for (const [code, name, retryable] of rows(CONNACK)) {
    test(`${hex(code)} ${name}: ${retryable ? 'asked again' : 'ends the loop'}`, () => {
      const packet = connackOf(false, {}, code)
      expect(connackRefusal(packet)).toMatchObject({
        phase: 'handshake',
        source: 'refused',
        code: name,
        retryable,
        reasonCode: code,
        packet,
      })
      const driver = new Driver()
      driver.open()
      const effects = driver.receive(packet)
      // The refusal is the error and is not yielded. Nothing more is sent to the server.
      expect(yielded(effects)).toEqual([])
      expect(wire(effects)).toEqual([])
      expect(types(effects)).toContain('close')
      driver.lose({ byPeer: true })
      expect(driver.kind).toBe(retryable ? 'disconnected' : 'failed')
      expect(driver.state.connection.reason).toMatchObject({ code: name, retryable })
    })
  }

  for (const [code, name, retryable] of rows(RETURN_CODES)) {
    test(`3.1.1, ${code} ${name}: ${retryable ? 'asked again' : 'ends the loop'}`, () => {
      const driver = new Driver({ protocolVersion: 4 })
      driver.open()
      driver.receive(plainConnack(false, code))
      driver.lose({ byPeer: true })
      expect(driver.kind).toBe(retryable ? 'disconnected' : 'failed')
      expect(driver.state.connection.reason).toMatchObject({
        code: name,
        retryable,
        reasonCode: code,
      })
    })
  }

  test('0 is none; a code that no version defines is asked again', () => {
    expect(connackRefusal(connackOf())).toBeNull()
    expect(connackRefusal(plainConnack())).toBeNull()
    for (const packet of [connackOf(false, {}, 0xfe), plainConnack(false, 200)]) {
      expect(connackRefusal(packet)).toMatchObject({ code: 'UNSPECIFIED_ERROR', retryable: true })
    }
  })

  test('the message passes on what the server says', () => {
    const properties = { reasonString: 'go away', serverReference: 'other:1883' }
    const { message } = connackRefusal(connackOf(false, properties, 0x9d))!
    expect(message).toContain('go away')
    expect(message).toContain('other:1883')
    expect(message).toContain('0x9D')
  })
})

describe('[N2] [C34] codes of a DISCONNECT', () => {
  for (const [code, name, retryable] of rows(DISCONNECT)) {
    test(`${hex(code)} ${name}: ${retryable ? 'connected again' : 'ends the loop'}`, () => {
      const packet = byeOf(code)
      expect(disconnectFailure(packet)).toMatchObject({
        phase: 'connected',
        source: 'refused',
        code: name,
        retryable,
        reasonCode: code,
      })
      const driver = new Driver()
      driver.connect()
      const effects = driver.receive(packet)
      expect(yielded(effects)).toEqual([packet])
      expect(wire(effects)).toEqual([])
      driver.lose({ byPeer: true })
      expect(driver.kind).toBe(retryable ? 'disconnected' : 'failed')
    })
  }
})

describe('[C40] what a CONNACK agrees to', () => {
  test('without a word of the server: what the standard says', () => {
    expect(limitsOf(connackOf(), configOf({ sessionExpiryInterval: 7 }))).toEqual({
      ...DEFAULT_LIMITS,
      sessionExpiryInterval: 7,
    })
    expect(DEFAULT_LIMITS.receiveMaximum).toBe(65_535)
    expect(DEFAULT_LIMITS.maximumQoS).toBe(2)
  })

  const said: [keyof Limits, unknown][] = [
    ['receiveMaximum', 1],
    ['maximumPacketSize', 100],
    ['maximumQoS', 0],
    ['retainAvailable', false],
    ['wildcardSubscriptionAvailable', false],
    ['subscriptionIdentifiersAvailable', false],
    ['sharedSubscriptionAvailable', false],
    ['sessionExpiryInterval', 0],
  ]
  for (const [name, value] of said) {
    test(`${name} ${value}: this and nothing else`, () => {
      const config = configOf()
      const limits = limitsOf(connackOf(false, { [name]: value }), config)
      const others = { ...DEFAULT_LIMITS, sessionExpiryInterval: config.sessionExpiryInterval }
      expect(limits).toEqual({ ...others, [name]: value })
    })
  }

  test('limits belong to their connection: the next CONNACK starts from the defaults', () => {
    const driver = new Driver()
    driver.connect(connackOf(false, { receiveMaximum: 1, maximumQoS: 0 }))
    driver.lose()
    driver.connect(connackOf(true))
    expect(driver.state.connection.limits).toMatchObject({ receiveMaximum: 65_535, maximumQoS: 2 })
  })

  test('an assigned client identifier is kept for the session [MQTT-3.2.2-16]', () => {
    const driver = new Driver()
    driver.connect(connackOf(false, { assignedClientIdentifier: 'given' }))
    expect(driver.state.session.clientId).toBe('given')
    driver.lose()
    driver.connect(connackOf(true))
    expect(driver.state.session.clientId).toBe('given')
  })

  test('a server that takes no packet at all is an error that says so', () => {
    const driver = new Driver()
    driver.open()
    driver.receive(connackOf(false, { maximumPacketSize: 3 }))
    driver.lose()
    expect(driver.state.connection.reason?.code).toBe('SERVER_LIMITS')
    expect(driver.kind).toBe('failed')
  })
})

describe('[MQTT-3.2.2-4] Session Present that we did not ask for', () => {
  type Case = [Partial<Config>, 'connected' | 'again' | 'fatal']
  const cases: Case[] = [
    [{ cleanStart: true, resumes: false }, 'again'],
    [{ cleanStart: 'always', resumes: true }, 'again'],
    [{ cleanStart: false, resumes: false }, 'connected'],
    [{ cleanStart: false, resumes: false, adopt: false }, 'fatal'],
    [{ cleanStart: false, resumes: false, adopt: false, protocolVersion: 4 }, 'connected'],
    [{ cleanStart: false, resumes: true, adopt: false }, 'connected'],
    [{ cleanStart: false, resumes: false, protocolVersion: 4 }, 'connected'],
    [{ cleanStart: true, resumes: false, protocolVersion: 4 }, 'again'],
  ]
  for (const [config, expected] of cases) {
    test(`${JSON.stringify(config)}: ${expected}`, () => {
      const driver = new Driver({ ...config, tolerance: 'strict' })
      driver.open()
      const connack = config.protocolVersion === 4 ? plainConnack(true) : connackOf(true)
      const effects = driver.receive(connack)
      if (expected === 'connected') {
        expect(driver.kind).toBe('connected')
        expect(driver.state.session.adopted).toBe(config.resumes !== true)
        return
      }
      expect(wire(effects)).toEqual(config.protocolVersion === 4 ? [] : ['DISCONNECT 0x82'])
      driver.lose()
      expect(driver.kind).toBe(expected === 'fatal' ? 'failed' : 'disconnected')
      if (expected === 'fatal') {
        const { message } = driver.state.connection.reason!
        for (const choice of ['session', 'adopt', 'cleanStart']) expect(message).toContain(choice)
      }
    })
  }

  test('after a first connection of our own it is what we ask for', () => {
    const driver = new Driver({ cleanStart: true, resumes: false })
    expect(wire(driver.connect(connackOf(false)))).toEqual(['CONNECT 5 clean'])
    driver.lose()
    expect(wire(driver.connect(connackOf(true)))).toEqual(['CONNECT 5'])
  })

  test('in 3.1.1 a clean session stays clean at every drop', () => {
    const driver = new Driver({ cleanStart: true, resumes: false, protocolVersion: 4 })
    expect(wire(driver.connect(plainConnack()))).toEqual(['CONNECT 4 clean'])
    driver.lose()
    expect(wire(driver.connect(plainConnack()))).toEqual(['CONNECT 4 clean'])
  })
})

describe('version 5 was not accepted', () => {
  const unpinned = { versionMayFall: true } as const
  const refusals: [string, (driver: Driver) => void][] = [
    ['0x84', (driver) => driver.receive(connackOf(false, {}, 0x84))],
    ['return code 1', (driver) => driver.receive(plainConnack(false, 1))],
  ]
  for (const [name, refuse] of refusals) {
    test(`${name}: 4 is tried immediately, within the same time limit`, () => {
      const driver = new Driver(unpinned)
      driver.open()
      driver.sleep(4000)
      refuse(driver)
      expect(driver.lose()).toMatchObject([{ type: 'dial', protocolVersion: 4 }])
      expect(driver.state.connection.connectBy).toBe(1_010_000)
      expect(wire(driver.feed({ type: 'opened', attempt: null }))).toEqual(['CONNECT 4'])
      driver.receive(plainConnack())
      expect(driver.state.session.protocolVersion).toBe(4)
      driver.lose()
      expect(wire(driver.open())).toEqual(['CONNECT 4'])
    })
  }

  const oldConnack = (driver: Driver, remainingLength: number) =>
    driver.feed({
      type: 'malformed',
      ...{ reasonCode: 0x81, clause: '2.1.4', message: 'cut' },
      packet: { cmd: 'connack', remainingLength },
    })
  const losses: [string, (driver: Driver) => readonly Effect[]][] = [
    ['a FIN without a byte', (driver) => driver.lose({ byPeer: true })],
    ...['ECONNRESET', 'EPIPE', 'ECONNABORTED', 'CONNECTION_CLOSED'].map(
      (code): [string, (driver: Driver) => readonly Effect[]] => [
        `${code} without a byte`,
        (driver) => driver.lose({ failure: failureOf({ code }) }),
      ],
    ),
    [
      'a CONNACK in the form of 3.1.1',
      (driver) => {
        expect(wire(oldConnack(driver, 2))).toEqual([])
        return driver.lose()
      },
    ],
  ]
  for (const [name, lose] of losses) {
    test(`${name}: 4 is tried immediately, within the same time limit`, () => {
      const driver = new Driver(unpinned)
      driver.open()
      driver.sleep(4000)
      expect(lose(driver)).toMatchObject([{ type: 'dial', protocolVersion: 4 }])
      expect(driver.state.connection.connectBy).toBe(1_010_000)
      expect(wire(driver.feed({ type: 'opened', attempt: null }))).toEqual(['CONNECT 4'])
    })

    test(`${name}: a version that is pinned, or was accepted, stays`, () => {
      const pinned = new Driver({ versionMayFall: false })
      pinned.open()
      if (name.includes('form')) oldConnack(pinned, 2)
      expect(only(pinned.lose({ byPeer: true }), 'dial')).toEqual([])
      expect(pinned.state.reconnect.version).toBe(5)
      const known = new Driver(unpinned)
      known.connect()
      known.lose()
      known.open()
      if (name.includes('form')) oldConnack(known, 2)
      expect(only(known.lose({ byPeer: true }), 'dial')).toEqual([])
    })
  }

  test('silence until connectTimeout: 4 is tried once, with a time limit of its own', () => {
    const driver = new Driver({
      ...unpinned,
      reconnect: { ...configOf().reconnect, when: 'never' },
    })
    driver.open()
    driver.advance(10_000)
    expect(driver.lose()).toMatchObject([{ type: 'dial', protocolVersion: 4 }])
    expect(driver.state.connection.connectBy).toBe(1_020_000)
    driver.feed({ type: 'opened', attempt: null })
    driver.advance(10_000)
    expect(only(driver.lose(), 'dial')).toEqual([])
    expect(driver.kind).toBe('failed')
    expect(driver.state.connection.reason?.code).toBe('CONNECT_TIMEOUT')
  })

  test('4 is remembered after a good CONNACK only: the next round begins with 5', () => {
    const first = new Driver({
      ...unpinned,
      reconnect: { ...configOf().reconnect, when: 'always' },
    })
    first.open()
    first.lose({ byPeer: true })
    first.feed({ type: 'opened', attempt: null })
    first.lose({ failure: failureOf() })
    expect(wire(first.open())).toEqual(['CONNECT 5'])
  })

  test('not after a byte, before the transport was open, or after another CONNACK', () => {
    const byte = new Driver(unpinned)
    byte.open()
    byte.receive()
    expect(only(byte.lose({ byPeer: true }), 'dial')).toEqual([])
    const late = new Driver(unpinned)
    late.open()
    late.receive()
    late.advance(10_000)
    expect(only(late.lose(), 'dial')).toEqual([])
    const unopened = new Driver(unpinned)
    unopened.feed({ type: 'start' })
    expect(only(unopened.lose(), 'dial')).toEqual([])
    const slow = new Driver(unpinned)
    slow.feed({ type: 'start' })
    slow.advance(10_000)
    expect(only(slow.lose(), 'dial')).toEqual([])
    const other = new Driver(unpinned)
    other.open()
    expect(wire(oldConnack(other, 3))).toEqual(['DISCONNECT 0x81'])
    expect(only(other.lose(), 'dial')).toEqual([])
    const unreachable = new Driver(unpinned)
    unreachable.open()
    const failure = failureOf({ code: 'ETIMEDOUT' })
    expect(only(unreachable.lose({ failure }), 'dial')).toEqual([])
  })

  test('4 refused as well: the end, with that reason', () => {
    const driver = new Driver(unpinned)
    driver.open()
    driver.lose({ byPeer: true })
    driver.feed({ type: 'opened', attempt: null })
    driver.receive(plainConnack(false, 1))
    driver.lose()
    expect(driver.kind).toBe('failed')
    expect(driver.state.connection.reason?.code).toBe('UNSUPPORTED_VERSION')
  })
})

describe('[I1] what else may come first', () => {
  test('anything but CONNACK or AUTH is a violation, reported to the server in MQTT 5', () => {
    for (const packet of [byeOf(0x89), { cmd: 'pingresp' } as const]) {
      const driver = new Driver()
      driver.open()
      expect(wire(driver.receive(packet))).toEqual(['DISCONNECT 0x82'])
      driver.lose()
      expect(driver.kind).toBe('disconnected')
      expect(driver.state.connection.reason).toMatchObject({
        phase: 'handshake',
        source: 'protocol',
      })
    }
  })

  const methods: [string | null, ReceivedConnack, boolean][] = [
    [null, connackOf(false, { authenticationMethod: 'm' }), false],
    [null, connackOf(false, { authenticationData: new Uint8Array(1) }), false],
    ['m', connackOf(), false],
    ['m', connackOf(false, { authenticationMethod: 'n' }), false],
    ['m', connackOf(false, { authenticationMethod: 'm' }), true],
  ]
  for (const [authenticationMethod, connack, good] of methods) {
    const says = Object.keys(connack.properties ?? {}).join() || 'nothing'
    test(`asked for method ${authenticationMethod}, the CONNACK has ${says}: ${good ? 'good' : 'a violation'}`, () => {
      const driver = new Driver({ authenticationMethod, tolerance: 'strict' })
      driver.open()
      const sent = wire(driver.receive(connack))
      expect(driver.kind === 'connected').toBe(good)
      expect(sent).toEqual(good ? [] : ['DISCONNECT 0x82'])
    })
  }

  test('an AUTH that was asked for has nobody to answer it: the end; any other is a violation', () => {
    const auth = {
      cmd: 'auth',
      reasonCode: 0x18,
      properties: { authenticationMethod: 'm' },
    } as const
    const asked = new Driver({ authenticationMethod: 'm' })
    asked.open()
    expect(wire(asked.receive(auth))).toEqual(['DISCONNECT 0x83'])
    asked.lose()
    expect(asked.state.connection.reason?.code).toBe('NO_AUTHENTICATOR')
    expect(asked.kind).toBe('failed')
    for (const authenticationMethod of [null, 'n']) {
      const driver = new Driver({ authenticationMethod })
      driver.open()
      expect(wire(driver.receive(auth))).toEqual(['DISCONNECT 0x82'])
    }
  })
})
