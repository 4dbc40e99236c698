/**
 * Goal: the table of the connection lists every change that can happen, and no other. Method: each
 * arrow has a recipe that walks it. A change that is not in the table throws in the engine itself,
 * under every test and simulation of this project.
 */
import { describe, expect, test } from 'vitest'
import type { Config } from '../../src/protocol/config.ts'
import { Draft } from '../../src/protocol/draft.ts'
import type { Failure } from '../../src/protocol/facts.ts'
import { initialSession, initialState } from '../../src/protocol/initial.ts'
import { enter, LIFECYCLE } from '../../src/protocol/lifecycle.ts'
import type { SessionState } from '../../src/protocol/session-state.ts'
import {
  ackOf,
  byeOf,
  configOf,
  connackOf,
  Driver,
  failureOf,
  messageOf,
  publishOf,
  serversOf,
  type Untimed,
} from './support.ts'

const AUTH = { authenticationMethod: 'm', authenticator: 'client' } as const
const DIVERT = { divert: { afterMs: 3000, concurrency: 2 } } as const
const SUSPENDS = { servers: serversOf({ suspendAfterMs: 0 }) }
const TWO = { servers: serversOf({ hosts: 2, checksConnectivity: true }) }
const SOON = { servers: serversOf({ hosts: 2, checksConnectivity: true, suspendAfterMs: 10 }) }
const NEVER = { reconnect: { when: 'never', minMs: 0, maxMs: 0, stableMs: 0 } } as const
const UNTIL = { until: 'settled' } as const

const SHUTDOWN = { type: 'shutdown', failure: null } as const
const UNREAD = { type: 'unread', handles: [1] } as const
const CANCEL = { type: 'cancel', handle: 1, cause: 1 } as const
const TICK = { type: 'tick' } as const
const OFFLINE = { type: 'network', online: false } as const
const ONLINE = { type: 'network', online: true } as const
const RECONNECT = { type: 'reconnect', policy: null } as const
const DIVERTED = { type: 'diverted', handle: 1, failure: null } as const
const CONTENT = { type: 'authenticated', data: null } as const
const WORDS = { type: 'authenticated', data: new Uint8Array(500) } as const
const BROKEN = {
  type: 'malformed',
  reasonCode: 0x81,
  clause: 'MQTT-2.1.3-1',
  message: 'broken',
} as const
const UNAUTHENTICATED = { type: 'unauthenticated', failure: failureOf() } as const
const PULLED = {
  type: 'pulled',
  packets: 1,
  bytes: 64,
  yieldedThrough: 0,
  handledThrough: 0,
} as const
const ENDED = { type: 'requestsEnded' } as const

function lostBy(over: Partial<Failure> = {}): Untimed {
  const failure = failureOf(over)
  return { type: 'lost', random: 0.5, failure, byPeer: false, retryable: null }
}

/**
 * A `disconnect` with this time limit. With a failure it is what an error of the request stream
 * causes.
 */
function drain(failure: Failure | null = null): Untimed {
  return { type: 'disconnect', timeoutMs: 5000, failure }
}

const received = (...packets: Extract<Untimed, { type: 'received' }>['packets']): Untimed => ({
  type: 'received',
  packets,
})

type Prepare = (driver: Driver) => void
interface Recipe {
  readonly config?: Partial<Config>
  readonly session?: SessionState
  readonly prepare?: readonly Prepare[]
  readonly last: Untimed
}

const feed =
  (...inputs: readonly Untimed[]): Prepare =>
  (driver) => {
    for (const input of inputs) driver.feed(input)
  }
const start: Prepare = (driver) => driver.feed({ type: 'start' })
const open: Prepare = (driver) => driver.open()
const connect: Prepare = (driver) => driver.connect()
/** A connection with one publish in flight, for which `drain` waits. */
const owing: Prepare = (driver) => driver.request(publishOf(1))
/**
 * A connection with a QoS 0 publish that the kernel has not taken. It is settled when the
 * connection is lost.
 */
const unconfirmed: Prepare = (driver) => driver.request(publishOf(1, 0))
const lose: Prepare = (driver) => driver.lose()
const sleep =
  (ms: number): Prepare =>
  (driver) =>
    driver.sleep(ms)
const diverting: Prepare = (driver) => {
  driver.feed({ type: 'start' })
  driver.sleep(3000)
  driver.tick()
  driver.request(publishOf(1))
}
/** The server sent DISCONNECT, and the transport is not closed yet. */
const dropped: Prepare = (driver) => driver.receive(byeOf(0x8b))
const suspended: Prepare = (driver) => {
  driver.connect()
  driver.request(publishOf(1))
  driver.lose()
}
const verifying: Prepare = (driver) => {
  driver.open()
  driver.receive(connackOf(false, { authenticationMethod: 'm' }))
}
/** The dial failed, and the connectivity check is under way. */
const checking: Prepare = (driver) => {
  driver.feed({ type: 'start' })
  driver.lose({ failure: failureOf({ phase: 'dial' }) })
}
const holding: SessionState = {
  ...initialSession('c'),
  waiting: [{ facts: publishOf(1), order: 1, strikes: 0 }],
  nextOrder: 2,
}
const fatal = failureOf({ retryable: false })

/** An idle loop whose session holds a request, after `disconnect`, and then the input. */
const idleEnd = (last: Untimed, ends: Failure | null, ms = 0): Recipe => ({
  session: holding,
  prepare: [feed(drain(ends)), sleep(ms)],
  last,
})
/** A draining connection with one publish in flight. */
const drained = (last: Untimed, prepare: readonly Prepare[], config: Partial<Config> = {}) => ({
  config,
  prepare: [connect, owing, ...prepare],
  last,
})
/** A draining connection whose last request fails when the connection is lost. */
const undone = (last: Untimed, config: Partial<Config> = {}): Recipe => ({
  config,
  prepare: [config.authenticator ? verifiedConnect : connect, unconfirmed, feed(drain())],
  last,
})
const verifiedConnect: Prepare = (driver) => {
  verifying(driver)
  driver.feed(CONTENT)
}
const reauthenticating: Prepare = (driver) => driver.feed({ type: 'reauthenticate' })

const small = connackOf(false, { authenticationMethod: 'm', maximumPacketSize: 100 })

/** The arrows as `from input to`, each with a way to walk it. */
const RECIPES: Readonly<Record<string, Recipe>> = {
  'idle start connecting': { last: { type: 'start' } },
  'idle cancel closed': idleEnd(CANCEL, null),
  'idle unread closed': idleEnd(UNREAD, null),
  'idle cancel failed': idleEnd(CANCEL, fatal),
  'idle unread failed': idleEnd(UNREAD, fatal),
  'idle disconnect closed': { last: drain() },
  'idle disconnect failed': { last: drain(fatal) },
  'idle shutdown closed': { last: SHUTDOWN },
  'idle shutdown failed': { last: { ...SHUTDOWN, failure: fatal } },
  'idle tick closed': idleEnd(TICK, null, 5000),
  'idle tick failed': idleEnd(TICK, fatal, 5000),

  'connecting network disconnected': { prepare: [start], last: OFFLINE },
  'connecting received connected': { prepare: [open], last: received(connackOf()) },
  'connecting received disconnected': {
    prepare: [open],
    last: received(connackOf(false, {}, 0x88)),
  },
  'connecting malformed disconnected': { prepare: [open], last: BROKEN },
  'connecting authenticated connected': { config: AUTH, prepare: [verifying], last: CONTENT },
  'connecting unauthenticated disconnected': {
    config: AUTH,
    prepare: [verifying],
    last: UNAUTHENTICATED,
  },
  'connecting lost disconnected': { prepare: [open], last: lostBy() },
  'connecting lost suspended': { config: SUSPENDS, prepare: [open], last: lostBy() },
  'connecting lost failed': { config: NEVER, prepare: [open], last: lostBy() },
  'connecting cancel closing': drained(CANCEL, [lose, open, feed(drain())]),
  'connecting unread closing': drained(UNREAD, [lose, open, feed(drain())]),
  'connecting diverted closing': {
    config: DIVERT,
    prepare: [diverting, feed(drain())],
    last: DIVERTED,
  },
  'connecting disconnect closing': { prepare: [open], last: drain() },
  'connecting shutdown closing': { prepare: [open], last: SHUTDOWN },
  'connecting tick disconnected': { prepare: [open, sleep(10_000)], last: TICK },
  'connecting tick closing': drained(TICK, [lose, open, feed(drain()), sleep(5000)]),

  'connected network disconnected': { prepare: [connect], last: OFFLINE },
  'connected received disconnected': { prepare: [connect], last: received(byeOf(0x8b)) },
  'connected received closing': drained(received(ackOf('puback', 1)), [feed(drain())]),
  'connected malformed disconnected': { prepare: [connect], last: BROKEN },
  'connected authenticated disconnected': {
    config: AUTH,
    prepare: [open, (d) => d.receive(small), feed(CONTENT), reauthenticating],
    last: WORDS,
  },
  'connected authenticated closing': {
    config: { ...AUTH, onSessionLost: 'fail' },
    prepare: [verifiedConnect, owing, lose, verifying, feed(drain())],
    last: CONTENT,
  },
  'connected unauthenticated disconnected': { prepare: [connect], last: UNAUTHENTICATED },
  'connected written closing': {
    prepare: [connect, unconfirmed, feed(drain())],
    last: { type: 'written', publishes: 1, ping: false, more: false },
  },
  'connected lost disconnected': { prepare: [connect], last: lostBy() },
  'connected lost suspended': { config: SUSPENDS, prepare: [connect], last: lostBy() },
  'connected lost failed': { prepare: [connect], last: lostBy({ retryable: false }) },
  'connected births closing': {
    config: { ...UNTIL, hasBirths: true },
    prepare: [connect, feed(ENDED, PULLED)],
    last: { type: 'births', requests: [] },
  },
  'connected requestsEnded closing': {
    config: UNTIL,
    prepare: [connect, feed(PULLED)],
    last: ENDED,
  },
  'connected apart closing': {
    prepare: [
      open,
      (d) => d.receive(connackOf(false, { retainAvailable: false })),
      (d) => d.request(publishOf(1, 0, { count: 2, retain: true })),
      feed(drain()),
    ],
    last: {
      type: 'apart',
      handle: 1,
      requests: [publishOf(2, 0, { retain: true }), publishOf(3, 0, { retain: true })],
    },
  },
  'connected cancel closing': drained(CANCEL, [feed(drain())]),
  'connected unread closing': drained(UNREAD, [feed(drain())]),
  'connected diverted closing': {
    config: DIVERT,
    prepare: [diverting, connect, feed(drain())],
    last: DIVERTED,
  },
  'connected pulled closing': { config: UNTIL, prepare: [connect, feed(ENDED)], last: PULLED },
  'connected ack closing': {
    config: UNTIL,
    prepare: [
      connect,
      feed(ENDED),
      (d) => d.receive(messageOf(1, 1)),
      feed({ ...PULLED, packets: 2, bytes: 68, yieldedThrough: 1 }),
    ],
    last: { type: 'ack', sequence: 1, messageId: 1, reasonCode: 0 },
  },
  'connected throttle closing': {
    config: { maxInflight: 1 },
    prepare: [
      connect,
      feed({ type: 'throttle', perSecond: 0.1 }),
      (d) => d.request(publishOf(1, 0), publishOf(2, 0, { expiresAt: d.at + 100 })),
      feed({ type: 'written', publishes: 1, ping: false, more: false }, drain()),
      sleep(200),
    ],
    last: { type: 'throttle', perSecond: 0 },
  },
  'connected reconnect disconnected': { prepare: [connect], last: RECONNECT },
  'connected disconnect closing': { prepare: [connect], last: drain() },
  'connected shutdown closing': { prepare: [connect], last: SHUTDOWN },
  'connected tick disconnected': {
    config: { ackTimeout: { afterMs: 100, then: 'reconnect' } },
    prepare: [connect, owing, sleep(100)],
    last: TICK,
  },
  'connected tick closing': drained(TICK, [feed(drain()), sleep(5000)]),

  'disconnected connectivity connecting': {
    config: TWO,
    prepare: [checking],
    last: { type: 'connectivity', online: true },
  },
  'disconnected connectivity disconnected': {
    config: TWO,
    prepare: [checking],
    last: { type: 'connectivity', online: false },
  },
  'disconnected connectivity suspended': {
    config: SOON,
    prepare: [checking, sleep(10)],
    last: { type: 'connectivity', online: false },
  },
  'disconnected connectivity failed': {
    config: { ...TWO, ...NEVER },
    prepare: [checking],
    last: { type: 'connectivity', online: false },
  },
  'disconnected network connecting': { prepare: [connect, lose], last: ONLINE },
  'disconnected network closing': undone(OFFLINE),
  'disconnected received closing': undone(received(byeOf(0x8b))),
  'disconnected malformed closing': undone(BROKEN),
  'disconnected authenticated closing': {
    config: AUTH,
    prepare: [
      open,
      (d) => d.receive(small),
      feed(CONTENT),
      reauthenticating,
      unconfirmed,
      feed(drain()),
    ],
    last: WORDS,
  },
  'disconnected unauthenticated closing': undone(UNAUTHENTICATED),
  'disconnected lost connecting': { prepare: [connect, dropped, feed(ONLINE)], last: lostBy() },
  'disconnected lost disconnected': { prepare: [connect, dropped], last: lostBy() },
  'disconnected lost suspended': {
    config: { servers: serversOf({ suspendAfterMs: 10 }) },
    prepare: [connect, dropped, sleep(10)],
    last: lostBy(),
  },
  'disconnected lost closed': undone(lostBy()),
  'disconnected lost failed': { prepare: [connect, feed(OFFLINE)], config: NEVER, last: lostBy() },
  'disconnected cancel closing': drained(CANCEL, [feed(drain()), dropped]),
  'disconnected unread closing': drained(UNREAD, [feed(drain()), dropped]),
  'disconnected cancel closed': drained(CANCEL, [feed(drain()), lose]),
  'disconnected unread closed': drained(UNREAD, [feed(drain()), lose]),
  'disconnected cancel failed': drained(CANCEL, [feed(drain(fatal)), lose]),
  'disconnected unread failed': drained(UNREAD, [feed(drain(fatal)), lose]),
  'disconnected diverted closing': {
    config: DIVERT,
    prepare: [diverting, feed(drain(), OFFLINE)],
    last: DIVERTED,
  },
  'disconnected diverted closed': {
    config: DIVERT,
    prepare: [diverting, feed(drain()), lose],
    last: DIVERTED,
  },
  'disconnected diverted failed': {
    config: DIVERT,
    prepare: [diverting, feed(drain(fatal)), lose],
    last: DIVERTED,
  },
  'disconnected reconnect connecting': { prepare: [connect, lose], last: RECONNECT },
  'disconnected reconnect closing': undone(RECONNECT),
  'disconnected disconnect closing': { prepare: [connect, dropped], last: drain() },
  'disconnected disconnect closed': { prepare: [connect, lose], last: drain() },
  'disconnected disconnect failed': { prepare: [connect, lose], last: drain(fatal) },
  'disconnected shutdown closing': { prepare: [connect, dropped], last: SHUTDOWN },
  'disconnected shutdown closed': { prepare: [connect, lose], last: SHUTDOWN },
  'disconnected shutdown failed': {
    prepare: [connect, lose],
    last: { ...SHUTDOWN, failure: fatal },
  },
  'disconnected tick connecting': { prepare: [connect, lose, sleep(1000)], last: TICK },
  'disconnected tick disconnected': {
    config: TWO,
    prepare: [checking, sleep(10_000)],
    last: TICK,
  },
  'disconnected tick suspended': {
    config: SOON,
    prepare: [checking, sleep(10)],
    last: TICK,
  },
  'disconnected tick closing': drained(TICK, [feed(drain()), dropped, sleep(5000)]),
  'disconnected tick closed': drained(TICK, [feed(drain()), lose, sleep(5000)], {
    reconnect: { when: 'always', minMs: 9000, maxMs: 0, stableMs: 30_000 },
  }),
  'disconnected tick failed': drained(TICK, [feed(drain(fatal)), lose, sleep(5000)], {
    reconnect: { when: 'always', minMs: 9000, maxMs: 0, stableMs: 30_000 },
  }),

  'suspended connectivity connecting': {
    config: SOON,
    prepare: [checking, sleep(10), feed(TICK)],
    last: { type: 'connectivity', online: true },
  },
  'suspended connectivity suspended': {
    config: SOON,
    prepare: [checking, sleep(10), feed(TICK)],
    last: { type: 'connectivity', online: false },
  },
  'suspended connectivity failed': {
    config: { ...SOON, ...NEVER },
    prepare: [checking, sleep(10), feed(TICK)],
    last: { type: 'connectivity', online: false },
  },
  'suspended network connecting': { config: SUSPENDS, prepare: [suspended], last: ONLINE },
  'suspended lost connecting': {
    config: SUSPENDS,
    prepare: [connect, dropped, feed(ONLINE)],
    last: lostBy(),
  },
  'suspended lost closed': undone(lostBy(), SUSPENDS),
  'suspended lost failed': {
    config: SUSPENDS,
    prepare: [connect, unconfirmed, feed(drain(fatal))],
    last: lostBy(),
  },
  'suspended cancel closed': {
    config: SUSPENDS,
    prepare: [suspended, feed(drain())],
    last: CANCEL,
  },
  'suspended unread closed': {
    config: SUSPENDS,
    prepare: [suspended, feed(drain())],
    last: UNREAD,
  },
  'suspended cancel failed': {
    config: SUSPENDS,
    prepare: [suspended, feed(drain(fatal))],
    last: CANCEL,
  },
  'suspended unread failed': {
    config: SUSPENDS,
    prepare: [suspended, feed(drain(fatal))],
    last: UNREAD,
  },
  'suspended diverted closed': {
    config: { ...SUSPENDS, ...DIVERT },
    prepare: [diverting, feed(drain()), lose],
    last: DIVERTED,
  },
  'suspended diverted failed': {
    config: { ...SUSPENDS, ...DIVERT },
    prepare: [diverting, feed(drain(fatal)), lose],
    last: DIVERTED,
  },
  'suspended reconnect connecting': { config: SUSPENDS, prepare: [suspended], last: RECONNECT },
  'suspended disconnect closed': {
    config: SUSPENDS,
    prepare: [connect, lose],
    last: drain(),
  },
  'suspended disconnect failed': {
    config: SUSPENDS,
    prepare: [connect, lose],
    last: drain(fatal),
  },
  'suspended shutdown closed': { config: SUSPENDS, prepare: [suspended], last: SHUTDOWN },
  'suspended shutdown failed': {
    config: SUSPENDS,
    prepare: [suspended],
    last: { ...SHUTDOWN, failure: fatal },
  },
  'suspended tick connecting': {
    config: SUSPENDS,
    prepare: [suspended, sleep(30_000)],
    last: TICK,
  },
  'suspended tick suspended': {
    config: SOON,
    prepare: [checking, sleep(10), feed(TICK), sleep(10_000)],
    last: TICK,
  },
  'suspended tick closed': {
    config: SUSPENDS,
    prepare: [suspended, feed(drain()), sleep(5000)],
    last: TICK,
  },
  'suspended tick failed': {
    config: SUSPENDS,
    prepare: [suspended, feed(drain(fatal)), sleep(5000)],
    last: TICK,
  },

  'closing lost closed': { prepare: [connect, feed(SHUTDOWN)], last: lostBy() },
  'closing lost failed': {
    prepare: [connect, feed({ ...SHUTDOWN, failure: fatal })],
    last: lostBy(),
  },
}

const arrows = Object.entries(LIFECYCLE).flatMap(([from, row]) =>
  Object.entries(row).flatMap(([input, kinds]) => kinds.map((to) => `${from} ${input} ${to}`)),
)

describe('the table of the connection', () => {
  test('[T3] every arrow of it has a recipe, and there is no recipe beside it', () => {
    expect(Object.keys(RECIPES).sort()).toEqual([...arrows].sort())
  })

  test.each(Object.entries(RECIPES))('%s', (arrow, { config, session, prepare = [], last }) => {
    const [from, input, to] = arrow.split(' ')
    expect(last.type).toBe(input)
    const driver = new Driver(config, session)
    for (const step of prepare) step(driver)
    const before = driver.transitions.length
    driver.feed(last)
    const walked = driver.transitions.slice(before).map((one) => `${one.from} ${one.to}`)
    expect(walked).toContain(`${from} ${to}`)
  })

  test('what is not in it is a defect, and says so', () => {
    const draft = new Draft(initialState(configOf(), initialSession('c')))
    draft.input = 'pulled'
    expect(() => enter(draft, 'connected', 0)).toThrow(/idle became connected at the input pulled/)
  })

  test('what is closed or has failed has no way out', () => {
    for (const kind of ['closed', 'failed'] as const) {
      expect(Object.values(LIFECYCLE[kind]).flat()).toEqual([])
    }
  })
})
