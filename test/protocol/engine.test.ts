/**
 * Goal: each input has its effect in each kind of connection. Method: a total table of `step`; then
 * the couplings of the reducers.
 */
import { describe, expect, test } from 'vitest'
import type { Effect, InputType } from '../../src/protocol/contract.ts'
import type { ServerPacket } from '../../src/protocol/facts.ts'
import { hex } from '../../src/protocol/reason-codes.ts'
import {
  ackOf,
  byeOf,
  connackOf,
  Driver,
  failureOf,
  messageOf,
  only,
  outcomes,
  PINGRESP,
  plainConnack,
  publishOf,
  subackOf,
  subscribeOf,
  types,
  type Untimed,
  unsubackOf,
  unsubscribeOf,
  wire,
  yielded,
} from './support.ts'

/** The situations of a loop. Two kinds of connection occur with a transport and without. */
const PLACES = {
  idle: () => new Driver(),
  dialling: () => begun((driver) => driver.feed({ type: 'start' })),
  asking: () => begun((driver) => driver.open()),
  connected: () => begun((driver) => driver.connect()),
  dropping: () =>
    begun((driver) => {
      driver.connect()
      driver.receive(byeOf(0x8b))
    }),
  waiting: () =>
    begun((driver) => {
      driver.connect()
      driver.lose()
    }),
  suspended: () =>
    begun((driver) => {
      driver.connect()
      driver.lose()
      while (driver.kind !== 'suspended') {
        driver.advance(1)
        if (driver.kind === 'connecting') driver.lose()
      }
    }),
  closing: () =>
    begun((driver) => {
      driver.connect()
      driver.feed({ type: 'shutdown', failure: null })
    }),
  closed: () => begun((driver) => driver.feed({ type: 'shutdown', failure: null })),
  failed: () =>
    begun((driver) => {
      driver.open()
      driver.lose({ failure: failureOf({ retryable: false }) })
    }),
} as const

function begun(prepare: (driver: Driver) => void): Driver {
  const driver = new Driver()
  prepare(driver)
  return driver
}

const policy = { when: 'always', minMs: 1, maxMs: 2, stableMs: 3 } as const
const NOTE = { kind: 'DUP_AT_QOS_0', count: 2, what: 'DUP', clause: 'MQTT-3.3.1-2' } as const
const INPUTS = {
  start: { type: 'start' },
  opened: { type: 'opened', attempt: null },
  received: { type: 'received', packets: [PINGRESP] },
  deviated: { type: 'deviated', deviations: [NOTE] },
  malformed: { type: 'malformed', reasonCode: 0x81, clause: 'MQTT-2.1.3-1', message: 'broken' },
  written: { type: 'written', publishes: 0, ping: false, more: false },
  released: { type: 'released' },
  congestion: { type: 'congestion', congested: true },
  unwritable: { type: 'unwritable' },
  lost: { type: 'lost', random: 0.5, failure: failureOf(), byPeer: false, retryable: null },
  requests: { type: 'requests', requests: [publishOf(1)], hold: false },
  refused: { type: 'refused', count: 1 },
  births: { type: 'births', requests: [publishOf(1)] },
  requestsEnded: { type: 'requestsEnded' },
  apart: { type: 'apart', handle: 99, requests: [] },
  cancel: { type: 'cancel', handle: 99, cause: 1 },
  pulled: { type: 'pulled', packets: 0, bytes: 0, yieldedThrough: 0, handledThrough: 0 },
  ack: { type: 'ack', sequence: 1, messageId: 1, reasonCode: 0 },
  unread: { type: 'unread', handles: [99] },
  pause: { type: 'pause', ms: Infinity },
  resume: { type: 'resume' },
  throttle: { type: 'throttle', perSecond: 5 },
  reconnect: { type: 'reconnect', policy },
  ping: { type: 'ping', id: 1 },
  disconnect: { type: 'disconnect', timeoutMs: 5000, failure: null },
  shutdown: { type: 'shutdown', failure: null },
  connectivity: { type: 'connectivity', online: true },
  network: { type: 'network', online: false },
  authenticated: { type: 'authenticated', data: null },
  unauthenticated: { type: 'unauthenticated', failure: failureOf() },
  reauthenticate: { type: 'reauthenticate' },
  diverted: { type: 'diverted', handle: 99, failure: null },
  tick: { type: 'tick' },
} as const satisfies { readonly [T in InputType]: Extract<Untimed, { type: T }> }

/** The new kind, if it changes, and the effects. An empty cell means that nothing happens. */
type Row = readonly [
  idle: string,
  dialling: string,
  asking: string,
  connected: string,
  dropping: string,
  waiting: string,
  suspended: string,
  closing: string,
]
const COLUMNS = [
  'idle',
  'dialling',
  'asking',
  'connected',
  'dropping',
  'waiting',
  'suspended',
  'closing',
] as const

// biome-ignore format: a table is read by its columns
const TABLE = {
  //              idle                dialling               asking                            connected                                   dropping          waiting             suspended           closing
  start:          ['→connecting dial', '',                     '',                               '',                                         '',               '',                 '',                 ''],
  opened:         ['',                 'connect',              '',                               '',                                         '',               '',                 '',                 ''],
  received:       ['',                 '→disconnected close',  '→disconnected disconnect close', 'yield warn',                               '',               '',                 '',                 ''],
  deviated:       ['warn',             'warn',                 'warn',                           'warn',                                     'warn',           'warn',             'warn',             'warn'],
  malformed:      ['',                 '→disconnected close',  '→disconnected disconnect close', '→disconnected disconnect holdBack close',  '',               '',                 '',                 ''],
  written:        ['',                 '',                     '',                               '',                                         '',               '',                 '',                 ''],
  released:       ['',                 '',                     '',                               '',                                         '',               '',                 '',                 ''],
  congestion:     ['',                 '',                     '',                               '',                                         '',               '',                 '',                 ''],
  unwritable:     ['',                 '',                     '',                               '',                                         '',               '',                 '',                 ''],
  lost:           ['',                 '→disconnected',        '→disconnected',                  '→disconnected holdBack',                   '',               '',                 '',                 '→closed finished'],
  requests:       ['',                 '',                     '',                               'publish',                                  '',               '',                 '',                 ''],
  refused:        ['',                 '',                     '',                               '',                                         '',               '',                 '',                 ''],
  births:         ['',                 '',                     '',                               'publish',                                  '',               '',                 '',                 ''],
  requestsEnded:  ['',                 '',                     '',                               '',                                         '',               '',                 '',                 ''],
  apart:          ['',                 '',                     '',                               '',                                         '',               '',                 '',                 ''],
  cancel:         ['',                 '',                     '',                               '',                                         '',               '',                 '',                 ''],
  pulled:         ['',                 '',                     '',                               '',                                         '',               '',                 '',                 ''],
  ack:            ['',                 '',                     '',                               '',                                         '',               '',                 '',                 ''],
  unread:         ['',                 '',                     '',                               '',                                         '',               '',                 '',                 ''],
  pause:          ['',                 '',                     '',                               'pauseReading',                             '',               '',                 '',                 ''],
  resume:         ['',                 '',                     '',                               '',                                         '',               '',                 '',                 ''],
  throttle:       ['',                 '',                     '',                               '',                                         '',               '',                 '',                 ''],
  reconnect:      ['',                 '',                     '',                               '→disconnected disconnect holdBack close',  '',               '→connecting dial', '→connecting dial', ''],
  ping:           ['',                 '',                     '',                               'pingreq',                                  '',               '',                 '',                 ''],
  disconnect:     ['→closed finished', '→closing destroy',     '→closing destroy',               '→closing disconnect close holdBack',       '→closing',       '→closed finished', '→closed finished', ''],
  shutdown:       ['→closed finished', '→closing destroy',     '→closing destroy',               '→closing disconnect close holdBack',       '→closing',       '→closed finished', '→closed finished', ''],
  connectivity:   ['',                 '',                     '',                               '',                                         '',               '',                 '',                 ''],
  network:        ['',                 '→disconnected close destroy', '→disconnected close destroy',    '→disconnected holdBack close destroy',     '',               '',                 '',                 ''],
  authenticated:  ['',                 '',                     '',                               '',                                         '',               '',                 '',                 ''],
  unauthenticated:['',                 '→disconnected close',  '→disconnected disconnect close', '→disconnected disconnect holdBack close',  '',               '',                 '',                 ''],
  reauthenticate: ['',                 '',                     '',                               '',                                         '',               '',                 '',                 ''],
  diverted:       ['',                 '',                     '',                               '',                                         '',               '',                 '',                 ''],
  tick:           ['',                 '',                     '',                               '',                                         '',               '',                 '',                 ''],
} as const satisfies Record<InputType, Row>

function told(before: Driver['kind'], driver: Driver, effects: readonly Effect[]): string {
  const way = driver.kind === before ? [] : [`→${driver.kind}`]
  return [...way, ...types(effects)].join(' ')
}

describe('each kind of connection × each type of input', () => {
  for (const type of Object.keys(TABLE) as InputType[]) {
    COLUMNS.forEach((place, column) => {
      const expected = TABLE[type][column]!
      test(`${place}, ${type}: ${expected || 'nothing'}`, () => {
        const driver = PLACES[place]()
        const before = driver.kind
        expect(told(before, driver, driver.feed(INPUTS[type]))).toBe(expected)
      })
    })
  }

  test('what is over stays over: no input changes anything, but requests are held', () => {
    for (const place of ['closed', 'failed'] as const) {
      for (const { type, ...fields } of Object.values(INPUTS)) {
        if (type === 'requests') continue
        const input = { type, ...fields } as Untimed
        const driver = PLACES[place]()
        const { state } = driver
        expect(driver.feed(input)).toEqual([])
        expect(driver.state).toEqual(state)
      }
    }
  })

  test('no deadline spins, wherever it is', () => {
    for (const prepare of Object.values(PLACES)) {
      for (const input of Object.values(INPUTS)) {
        const driver = prepare()
        driver.feed(input)
        driver.advance(3_600_000)
      }
    }
  })
})

/** Makes a connection with one request of each kind in flight. */
describe('each packet, on a connection with something of each kind', () => {
  function busy(): Driver {
    const driver = new Driver({ acks: 'manual', tolerance: 'strict' })
    driver.connect()
    driver.request(publishOf(1, 1), publishOf(2, 2), subscribeOf(3), unsubscribeOf(4))
    driver.receive(messageOf(2, 9))
    driver.feed({ type: 'ping', id: 1 })
    return driver
  }
  const violation = '→disconnected disconnect holdBack close'
  const PACKETS: Record<ServerPacket['cmd'], [ServerPacket, string][]> = {
    connack: [[connackOf(), violation]],
    publish: [
      [messageOf(0), 'yield'],
      [messageOf(1, 1), 'yield'],
      [messageOf(2, 2), 'yield'],
      [messageOf(2, 9, { dup: true }), ''],
      [messageOf(1, 9), violation],
    ],
    puback: [
      [ackOf('puback', 1), 'yield settle'],
      [ackOf('puback', 1, 0x97), 'yield settle'],
      [ackOf('puback', 2), violation],
      [ackOf('puback', 3), violation],
      [ackOf('puback', 99), 'warn'],
    ],
    pubrec: [
      [ackOf('pubrec', 2), 'yield acknowledge'],
      [ackOf('pubrec', 2, 0x97), 'yield settle'],
      [ackOf('pubrec', 1), violation],
      [ackOf('pubrec', 4), violation],
      [ackOf('pubrec', 99), 'acknowledge warn'],
    ],
    pubrel: [
      [ackOf('pubrel', 9), violation],
      [ackOf('pubrel', 99), 'acknowledge yield'],
    ],
    pubcomp: [
      [ackOf('pubcomp', 2), violation],
      [ackOf('pubcomp', 1), violation],
      [ackOf('pubcomp', 99), 'warn'],
    ],
    suback: [
      [subackOf(3, 0), 'yield settle'],
      [subackOf(3, 0x80), 'yield settle'],
      [subackOf(3, 0, 0), violation],
      [subackOf(4, 0), violation],
      [subackOf(99, 0), 'warn'],
    ],
    unsuback: [
      [unsubackOf(4, 0), 'yield settle'],
      [unsubackOf(4), violation],
      [unsubackOf(3, 0), violation],
      [unsubackOf(99, 0), 'warn'],
    ],
    pingreq: [[{ cmd: 'pingreq' }, violation]],
    pingresp: [[PINGRESP, 'yield pong']],
    disconnect: [[byeOf(0x8b), '→disconnected yield holdBack close']],
    auth: [[{ cmd: 'auth', reasonCode: 0x18 }, violation]],
  }
  for (const [packet, expected] of Object.values(PACKETS).flat()) {
    const { cmd, ...rest } = packet
    const id = 'messageId' in rest ? ` ${rest.messageId}` : ''
    const code = 'reasonCode' in rest && rest.reasonCode ? ` ${hex(rest.reasonCode)}` : ''
    const codes = 'granted' in rest ? ` [${rest.granted}]` : 'qos' in rest ? ` QoS ${rest.qos}` : ''
    test(`${cmd}${id}${code}${codes}: ${expected || 'nothing'}`, () => {
      const driver = busy()
      const before = driver.kind
      const effects = driver.receive(packet)
      expect(told(before, driver, effects)).toBe(expected)
      if (expected === violation) expect(wire(effects)).toEqual(['DISCONNECT 0x82'])
    })
  }

  test('packets behind the one that ended it are not looked at', () => {
    const driver = busy()
    const effects = driver.receive(byeOf(0x8b), ackOf('puback', 1), messageOf(0), connackOf())
    expect(yielded(effects)).toEqual([byeOf(0x8b)])
    expect(outcomes(effects)).toEqual([])
  })

  test('MQTT 3 says nothing when it closes', () => {
    const driver = new Driver({ protocolVersion: 4 })
    driver.connect(plainConnack())
    expect(types(driver.receive(plainConnack()))).toEqual(['holdBack', 'close'])
  })

  test('[MQTT-3.1.2-29] reasons although Request Problem Information is 0', () => {
    const told: ServerPacket = { ...ackOf('puback', 1), properties: { reasonString: 'no' } }
    for (const [requestProblemInformation, kind] of [
      [true, 'connected'],
      [false, 'disconnected'],
    ] as const) {
      const driver = new Driver({ requestProblemInformation, tolerance: 'strict' })
      driver.connect()
      driver.request(publishOf(1))
      driver.receive(told)
      expect(driver.kind).toBe(kind)
    }
    const spared = new Driver({ requestProblemInformation: false })
    spared.connect()
    spared.receive(messageOf(0, 0, { properties: { userProperties: { a: 'b' } } }))
    expect(spared.kind).toBe('connected')
  })
})

describe('[D5] births', () => {
  test('asked for after each CONNACK; the backlog waits for them, then comes behind', () => {
    const driver = new Driver({ hasBirths: true }, undefined)
    driver.open()
    driver.receive(connackOf(false, { receiveMaximum: 1 }))
    driver.feed({ type: 'births', requests: [subscribeOf(1, ['s'])] })
    driver.receive(subackOf(1, 0))
    driver.request(publishOf(2), publishOf(3))
    driver.lose()
    const connected = driver.connect(connackOf(false))
    expect(types(connected).at(-1)).toBe('births')
    expect(wire(connected)).toEqual(['CONNECT 5', 'SUBSCRIBE 3 s'])
    expect(driver.request(publishOf(4, 0))).toEqual([])
    const births = driver.feed({ type: 'births', requests: [publishOf(5, 0), publishOf(6)] })
    expect(wire(births)).toEqual([
      'PUBLISH h5',
      'PUBLISH 4 h6',
      'PUBLISH 5 h2',
      'PUBLISH 6 h3',
      'PUBLISH h4',
    ])
  })

  test('[D5] births that come when the connection is gone are held, and nothing is sent', () => {
    for (const end of [
      (driver: Driver) => driver.receive(byeOf(0x8b)),
      (driver: Driver) => driver.lose(),
      (driver: Driver) => driver.feed({ type: 'shutdown', failure: null }),
    ]) {
      const driver = new Driver({ hasBirths: true })
      driver.connect()
      end(driver)
      const births = [publishOf(1), publishOf(2, 0), subscribeOf(3)]
      expect(wire(driver.feed({ type: 'births', requests: births }))).toEqual([])
      expect(driver.state.outgoing).toMatchObject({ inFlight: 0, subscribing: 0, unconfirmed: 0 })
      expect(driver.state.session.waiting.length).toBe(3)
    }
  })

  test('[D6] births that wait for the end of a caution are not asked for after the end of the loop', () => {
    const driver = new Driver({ hasBirths: true })
    driver.connect()
    driver.feed({ type: 'births', requests: [publishOf(1)] })
    driver.lose({ byPeer: true })
    driver.connect(connackOf(false))
    expect(driver.state.isolation?.birthsDeferred).toBe(true)
    driver.feed({ type: 'shutdown', failure: null })
    driver.feed({ type: 'cancel', handle: 1, cause: 1 })
    expect(types(driver.request(publishOf(2)))).not.toContain('births')
  })

  test('[MQTT-3.3.4-7] the window holds for them too', () => {
    const driver = new Driver({ hasBirths: true })
    driver.open()
    driver.receive(connackOf(false, { receiveMaximum: 1 }))
    const births = [publishOf(1), publishOf(2), publishOf(3, 0)]
    expect(wire(driver.feed({ type: 'births', requests: births }))).toEqual([
      'PUBLISH 1 h1',
      'PUBLISH h3',
    ])
    expect(wire(driver.receive(ackOf('puback', 1)))).toEqual(['PUBLISH 2 h2'])
  })
})

test('pings: each PINGRESP answers one, and one that nobody asked for is only yielded', () => {
  const driver = new Driver({ tolerance: 'strict' })
  driver.connect()
  driver.feed({ type: 'ping', id: 1 })
  driver.feed({ type: 'ping', id: 1 })
  const answers = [1, 2, 3].map(() => types(driver.receive(PINGRESP)))
  expect(answers).toEqual([['yield', 'pong'], ['yield', 'pong'], ['yield']])
  expect(only(driver.effects, 'pingreq').length).toBe(2)
})
