/** `step` as a total table: each kind of connection × each type of input, and what happens. Then what couples the reducers. */
import { describe, expect, test } from 'vitest'
import type { InputType } from '../../src/protocol/contract.ts'
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
  publishOf,
  subackOf,
  subscribeOf,
  types,
  type Untimed,
  wire,
  yielded,
} from './support.ts'

/** Where a loop can be. Two kinds have two faces: with a transport and without. */
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
type Place = keyof typeof PLACES

function begun(prepare: (driver: Driver) => void): Driver {
  const driver = new Driver()
  prepare(driver)
  return driver
}

const policy = { when: 'always', minMs: 1, maxMs: 2, stableMs: 3 } as const
const INPUTS = {
  start: { type: 'start' },
  opened: { type: 'opened' },
  received: { type: 'received', packets: [PINGRESP] },
  malformed: { type: 'malformed', reasonCode: 0x81, clause: 'MQTT-2.1.3-1', message: 'broken' },
  written: { type: 'written', publishes: 0, ping: false, more: false },
  congestion: { type: 'congestion', congested: true },
  lost: { type: 'lost', random: 0.5, failure: failureOf(), byPeer: false, retryable: null },
  requests: { type: 'requests', requests: [publishOf(1)], hold: false },
  refused: { type: 'refused', count: 1 },
  births: { type: 'births', requests: [publishOf(1)] },
  requestsEnded: { type: 'requestsEnded' },
  cancel: { type: 'cancel', handle: 99, cause: 1 },
  pulled: { type: 'pulled', packets: 0, bytes: 0, yieldedThrough: 0, handledThrough: 0 },
  ack: { type: 'ack', sequence: 1, messageId: 1, reasonCode: 0 },
  pause: { type: 'pause', ms: Infinity },
  resume: { type: 'resume' },
  throttle: { type: 'throttle', perSecond: 5 },
  reconnect: { type: 'reconnect', policy },
  ping: { type: 'ping' },
  disconnect: { type: 'disconnect', timeoutMs: 5000, failure: null },
  shutdown: { type: 'shutdown', failure: null },
  tick: { type: 'tick' },
} as const satisfies { readonly [T in InputType]: Extract<Untimed, { type: T }> }

/** `kind: effects`; a dash: none. */
const TABLE: Record<Place, Record<InputType, string>> = {} as never

if (process.env['T4']) {
  test('print', () => {
    let out = ''
    for (const place of Object.keys(PLACES) as Place[]) {
      out += `  ${place}: {\n`
      for (const type of Object.keys(INPUTS) as InputType[]) {
        const driver = PLACES[place]()
        const effects = driver.feed(INPUTS[type])
        out += `    ${type}: '${driver.kind}: ${types(effects).join(' ') || '-'}',\n`
      }
      out += '  },\n'
    }
    console.log(out)
  })
}
expect([ackOf, connackOf, messageOf, only, outcomes, subackOf, subscribeOf, wire, yielded, describe, TABLE]).toBeTruthy()
