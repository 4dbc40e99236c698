/**
 * Random but plausible runs of a loop. A story is a list of short instructions; each becomes an
 * input that the loop could give in the state that was reached. The same instructions always become
 * the same inputs.
 */
import fc from 'fast-check'
import type { Config } from '../../src/protocol/config.ts'
import type { Effect, Input, YieldEffect } from '../../src/protocol/contract.ts'
import type {
  PublishFacts,
  QoS,
  ReceivedPublish,
  RequestFacts,
  ServerPacket,
} from '../../src/protocol/facts.ts'
import { isWaiting } from '../../src/protocol/lifecycle.ts'
import { entries } from '../../src/protocol/packet-table.ts'
import { requestCapacity } from '../../src/protocol/queries.ts'
import { nextDeadline } from '../../src/protocol/timers.ts'
import {
  ackOf,
  byeOf,
  connackOf,
  Driver,
  failureOf,
  messageOf,
  PINGRESP,
  plainConnack,
  publishOf,
  subackOf,
  subscribeOf,
  type Untimed,
  unsubackOf,
  unsubscribeOf,
} from './support.ts'

export const INSTRUCTIONS = [
  'connect',
  'answer',
  'answerUnknown',
  'message',
  'pubrel',
  'pingresp',
  'bye',
  'stray',
  'malformed',
  'deviated',
  'written',
  'congestion',
  'lost',
  'requests',
  'refused',
  'requestsEnded',
  'cancel',
  'pulled',
  'ack',
  'unread',
  'pause',
  'resume',
  'throttle',
  'reconnect',
  'ping',
  'disconnect',
  'shutdown',
  'leave',
  'tick',
  'jump',
  'network',
  'checked',
  'auth',
  'authenticated',
  'reauthenticate',
  'diverted',
  'anything',
] as const
type InstructionName = (typeof INSTRUCTIONS)[number]

export interface Instruction {
  readonly name: InstructionName
  /** The time that passes before, in ms. */
  readonly after: number
  /** Numbers for everything that the instruction leaves open. */
  readonly dice: readonly [number, number, number]
}

/** The weights of the instructions. Those that end a loop are rare. */
const WEIGHTS: Partial<Record<InstructionName, number>> = {
  connect: 16,
  answer: 24,
  requests: 20,
  message: 16,
  pubrel: 8,
  pulled: 14,
  ack: 8,
  written: 10,
  tick: 10,
  pingresp: 4,
  ping: 3,
  cancel: 4,
  lost: 3,
  bye: 2,
  throttle: 3,
  pause: 3,
  resume: 4,
  checked: 3,
  reauthenticate: 3,
  auth: 6,
  authenticated: 10,
  diverted: 4,
}

export const instructions: fc.Arbitrary<Instruction> = fc.record({
  name: fc.oneof(
    ...INSTRUCTIONS.map((name) => ({ weight: WEIGHTS[name] ?? 1, arbitrary: fc.constant(name) })),
  ),
  after: fc.oneof(
    { weight: 5, arbitrary: fc.constant(0) },
    { weight: 3, arbitrary: fc.nat(50) },
    { weight: 2, arbitrary: fc.nat(20_000) },
    { weight: 1, arbitrary: fc.constantFrom(60_000, 90_000, 10_800_000) },
  ),
  dice: fc.tuple(fc.nat(1000), fc.nat(1000), fc.nat(1000)),
})

/** Options with small bounds, so that a short story reaches all of them. */
export const configs: fc.Arbitrary<Partial<Config>> = fc.record({
  protocolVersion: fc.constantFrom(5, 5, 4, 3),
  versionMayFall: fc.boolean(),
  cleanStart: fc.constantFrom<Config['cleanStart']>(true, false, 'always'),
  resumes: fc.boolean(),
  adopt: fc.boolean(),
  generatedClientId: fc.boolean(),
  renewSubscriptions: fc.constantFrom('lost', 'unsure', 'always'),
  filtersPerSubscribe: fc.constantFrom(null, 1, 2, 1000),
  keepAlive: fc.constantFrom(0, 10, 60),
  reconnect: fc.record({
    when: fc.constantFrom('always', 'always', 'after-first-success', 'never'),
    minMs: fc.constant(100),
    maxMs: fc.constant(30_000),
    stableMs: fc.constant(30_000),
  }),
  maxInflight: fc.constantFrom(1, 3, 1000),
  maxInflightQos2: fc.constantFrom(1, 2, 20),
  receiveMaximum: fc.constantFrom(1, 3, 1024),
  tolerance: fc.constantFrom('field', 'strict'),
  maxBufferedPackets: fc.constantFrom(1, 4, 2048),
  maxBufferedBytes: fc.constantFrom(1, 1000, 1 << 24),
  topicAliasMaximum: fc.constantFrom(0, 2),
  acks: fc.constantFrom('pull', 'receipt', 'manual'),
  onSessionLost: fc.constantFrom('republish', 'fail'),
  ackTimeout: fc.constantFrom(
    null,
    { afterMs: 5000, then: 'reconnect' as const },
    { afterMs: 5000, then: 'fail' as const },
  ),
  quarantineAfter: fc.constantFrom(0, 1, 3),
  until: fc.constantFrom('idle', 'settled', 'closed', 'closed'),
  hasBirths: fc.boolean(),
  authenticationMethod: fc.constantFrom(null, null, 'm'),
  authenticator: fc.constantFrom('none', 'client', 'either'),
  requestProblemInformation: fc.boolean(),
  servers: fc.record({
    hosts: fc.constantFrom(1, 1, 3),
    checksConnectivity: fc.boolean(),
    followRedirects: fc.boolean(),
    renewsCredentials: fc.boolean(),
    suspendAfterMs: fc.constant(120_000),
    suspendedRetryMs: fc.constant(30_000),
  }),
  divert: fc.constantFrom(null, null, { afterMs: 3000, concurrency: 2 }),
})

const pick = <T>(list: readonly T[], die: number): T | undefined => list[die % list.length]

/**
 * Plays a story. It remembers what a loop knows: packets that were not pulled, requests without an
 * outcome.
 */
export class Player {
  readonly driver: Driver
  #nextHandle = 1
  readonly #live = new Set<number>()
  readonly #groups = new Map<number, PublishFacts>()
  #buffer: YieldEffect[] = []
  #withheld: YieldEffect[] = []
  /** The packets that were dropped, which are reported as pulled with the next pull. */
  #dropped: YieldEffect[] = []
  #inHand: YieldEffect[] = []
  #yieldedThrough = 0
  #ended = false
  #diverted: number[] = []
  #asked = false
  #checking = false

  constructor(config: Partial<Config>) {
    this.driver = new Driver(config)
    this.#feed({ type: 'start' })
  }

  play({ name, after, dice }: Instruction): void {
    this.driver.sleep(after)
    // Mostly to the end: the wait, the transport, the CONNACK.
    const again = name === 'connect' && dice[2] % 5 > 0 ? 3 : 1
    for (let i = 1; i < again; i++) for (const input of this.#inputs(name, dice)) this.#feed(input)
    for (const input of this.#inputs(name, dice)) this.#feed(input)
  }

  #feed(input: Untimed): void {
    const effects = this.driver.feed(input)
    for (const effect of effects) this.#perform(effect)
    if (effects.some(({ type }) => type === 'births')) {
      this.#feed({ type: 'births', requests: this.#requests(this.driver.at, 2, false) })
    }
    for (const effect of effects) if (effect.type === 'takeApart') this.#takeApart(effect.handle)
  }

  /** The messages of a group have the numbers after its own. The first is the largest. */
  #takeApart(handle: number): void {
    const { bytes, retain, count } = this.#groups.get(handle)!
    const requests = Array.from({ length: count }, (_, i) =>
      publishOf(handle + 1 + i, 0, i === 0 ? { bytes, retain } : {}),
    )
    this.#feed({ type: 'apart', handle, requests })
  }

  #perform(effect: Effect): void {
    switch (effect.type) {
      case 'yield':
        this.#buffer.push(effect)
        return
      case 'holdBack':
        this.#withheld.push(...this.#buffer.filter(({ sequence }) => sequence > 0))
        this.#buffer = this.#buffer.filter(({ sequence }) => sequence === 0)
        return
      case 'releaseHeldBack':
        if (effect.drop) this.#dropped.push(...this.#withheld)
        else this.#buffer.push(...this.#withheld)
        this.#withheld = []
        return
      case 'settle':
        if (effect.outcome) this.#live.delete(effect.handle)
        return
      case 'divert':
        this.#diverted.push(effect.handle)
        return
      case 'authenticate':
        this.#asked = true
        return
      case 'checkConnectivity':
        this.#checking = true
        return
      case 'dial':
        this.#asked = false
        this.#checking = false
        return
      default:
        return
    }
  }

  #group(seed: number): PublishFacts {
    const handle = this.#nextHandle
    const count = 2 + (seed % 3)
    this.#nextHandle += count + 1
    const group = publishOf(handle, 0, {
      count,
      bytes: seed % 4 === 0 ? 500 : 20,
      retain: seed % 5 === 0,
    })
    this.#groups.set(handle, group)
    return group
  }

  #requests(seed: number, publishes: number, grouping = true): RequestFacts[] {
    const requests: RequestFacts[] = []
    let counted = 0
    for (let i = 0; i < 5 && counted < publishes; i++) {
      if (grouping && (seed + i) % 6 === 0) {
        requests.push(this.#group(seed + i * 5))
        continue
      }
      const handle = this.#nextHandle++
      this.#live.add(handle)
      const die = (seed * 7 + i * 13) % 17
      const expiresAt = die % 5 === 0 ? this.driver.at + 1 + ((die * 997) % 9000) : 0
      if (die < 10) {
        const qos = (die % 3) as QoS
        if (qos > 0) counted++
        const bytes = die === 9 ? 500 : 20
        requests.push(publishOf(handle, qos, { bytes, expiresAt, retain: die === 8 }))
      } else if (die < 14) {
        requests.push(subscribeOf(handle, die === 10 ? ['a', '$share/g/b'] : ['a/+', 'b']))
      } else requests.push(unsubscribeOf(handle, ['a/+', 'c']))
    }
    return requests
  }

  /** @returns the server's answer to an open request. */
  #answer([a, b]: readonly number[]): ServerPacket[] {
    const open = [...entries(this.driver.state.session.open)]
    const chosen = pick(open, a!)
    if (chosen === undefined) return []
    const [messageId, { facts, stage }] = chosen
    const bad = b! % 7 === 0
    if (facts.kind === 'subscribe') {
      const codes = facts.subscriptions.map((_, i) => (bad && i === 0 ? 0x80 : b! % 3))
      return [subackOf(messageId, ...codes)]
    }
    if (facts.kind === 'unsubscribe') {
      return [unsubackOf(messageId, ...facts.unsubscriptions.map(() => (bad ? 0x80 : 0)))]
    }
    const code = bad && this.driver.state.connection.protocolVersion === 5 ? 0x97 : 0
    if (facts.qos === 1) return [ackOf('puback', messageId, code)]
    if (stage === 'pubrel') return [ackOf(b! % 5 === 0 ? 'pubrec' : 'pubcomp', messageId)]
    return [ackOf('pubrec', messageId, code)]
  }

  #message([a, b, c]: readonly [number, number, number]): ReceivedPublish {
    const alias = { properties: { topicAlias: 1 + (b % 2) } }
    const over = c % 6 === 0 ? { ...alias, topic: c % 12 === 0 ? 't' : '' } : {}
    return messageOf((a % 3) as QoS, 1 + (b % 4), { dup: c % 2 === 0, ...over })
  }

  #pulled(die: number): Untimed {
    const taken = this.#buffer.splice(0, die % (this.#buffer.length + 1))
    const { acks } = this.driver.state.config
    const handledThrough = acks === 'pull' ? (this.#inHand.at(-1)?.sequence ?? 0) : 0
    if (acks === 'pull') this.#inHand = []
    this.#inHand.push(...taken.filter(({ sequence }) => sequence > 0))
    for (const { sequence } of taken)
      this.#yieldedThrough = Math.max(this.#yieldedThrough, sequence)
    const gone = [...taken, ...this.#dropped]
    this.#dropped = []
    const bytes = gone.reduce((sum, one) => sum + one.bytes, 0)
    const yieldedThrough = this.#yieldedThrough
    return { type: 'pulled', packets: gone.length, bytes, yieldedThrough, handledThrough }
  }

  #ack([a, b]: readonly number[]): Untimed[] {
    const held = pick(this.#inHand, a!)
    if (held === undefined) return []
    const { sequence, packet } = held
    const messageId = (packet as ReceivedPublish).messageId!
    const five = this.driver.state.connection.protocolVersion === 5
    return [{ type: 'ack', sequence, messageId, reasonCode: five && b! % 5 === 0 ? 0x83 : 0 }]
  }

  #connect([a, b, c]: readonly [number, number, number]): Untimed[] {
    const { connection, reconnect } = this.driver.state
    if (isWaiting(connection.kind) && !connection.engaged) {
      if (connection.retryAt === Number.POSITIVE_INFINITY) return this.#checked(a)
      this.driver.sleep(Math.max(0, connection.retryAt - this.driver.at))
      return [{ type: 'tick' }]
    }
    if (connection.kind !== 'connecting') return []
    if (!connection.opened) {
      const other = { clientId: b % 2 === 0 ? 'other' : 'c', keepAlive: 10 }
      return [{ type: 'opened', attempt: a % 9 === 0 ? other : null }]
    }
    if (this.#asked) return this.#authenticated(b)
    const present = a % 3 > 0
    if (connection.protocolVersion < 5) {
      return [{ type: 'received', packets: [plainConnack(present, b % 9 === 0 ? (c % 5) + 1 : 0)] }]
    }
    const code = b % 9 === 0 ? [0x84, 0x87, 0x88, 0x89, 0x97, 0x9d][c % 6]! : 0
    const properties = {
      ...(code === 0x9d && c % 4 === 0 ? { serverReference: 'elsewhere' } : {}),
      ...(b % 2 === 0 ? { receiveMaximum: 1 + (c % 4) } : {}),
      ...(b % 5 === 0 ? { maximumPacketSize: 100 } : {}),
      ...(c % 5 === 0 ? { serverKeepAlive: c % 3 } : {}),
      ...(c % 7 === 0 ? { maximumQoS: c % 2, retainAvailable: false } : {}),
      ...(a % 5 === 0 ? { sharedSubscriptionAvailable: false } : {}),
      ...(reconnect.everConnected ? {} : { assignedClientIdentifier: 'x' }),
      ...(this.driver.state.config.authenticationMethod && { authenticationMethod: 'm' }),
    }
    return [{ type: 'received', packets: [connackOf(present, properties, code)] }]
  }

  #checked(die: number): Untimed[] {
    if (!this.#checking) return []
    this.#checking = false
    return [{ type: 'connectivity', online: die % 3 > 0 }]
  }

  #authenticated(die: number): Untimed[] {
    if (!this.#asked) return []
    this.#asked = false
    if (die % 5 === 0) {
      return [{ type: 'unauthenticated', failure: failureOf({ retryable: die % 2 === 0 }) }]
    }
    return [{ type: 'authenticated', data: new Uint8Array(die % 200) }]
  }

  /** Begins an authentication, and ends it half of the time. */
  #reauthenticate([a, b]: readonly number[]): Untimed[] {
    const { connection, config } = this.driver.state
    const begin: Untimed = { type: 'reauthenticate' }
    const able = config.authenticator !== 'none' && config.authenticationMethod !== null
    if (!able || connection.kind !== 'connected' || a! % 2 === 0) return [begin]
    const properties = { authenticationMethod: 'm' }
    const reasonCode = b! % 4 === 0 ? 0x18 : 0
    const answer: Untimed = { type: 'authenticated', data: null }
    return [
      begin,
      answer,
      { type: 'received', packets: [{ cmd: 'auth', reasonCode, properties }] },
      answer,
    ]
  }

  #auth(die: number): ServerPacket {
    const properties = { authenticationMethod: die % 9 === 0 ? 'n' : 'm' }
    return { cmd: 'auth', reasonCode: die % 3 === 0 ? 0 : 0x18, properties }
  }

  #stray([a, b]: readonly number[]): ServerPacket {
    return pick<ServerPacket>(
      [
        connackOf(true),
        { cmd: 'auth', reasonCode: 0x18, properties: { authenticationMethod: 'm' } },
        ackOf('puback', 1 + (b! % 3)),
        ackOf('pubrec', 1 + (b! % 3)),
        ackOf('pubcomp', 1 + (b! % 3)),
        subackOf(1 + (b! % 3), 0),
        unsubackOf(1 + (b! % 3), 0),
        { cmd: 'puback', messageId: 1, reasonCode: 0, properties: { reasonString: 'because' } },
      ],
      a!,
    )!
  }

  #lost([a, b, c]: readonly [number, number, number]): Untimed[] {
    const { connection } = this.driver.state
    if (!connection.engaged) return []
    return [
      {
        type: 'lost',
        random: b / 1001,
        failure: failureOf({
          code: c % 8 === 0 ? 'ENOTFOUND' : 'ECONNRESET',
          retryable: c % 8 > 0,
          phase: connection.opened ? 'connected' : 'dial',
        }),
        byPeer: a % 2 === 0,
        retryable: c % 9 === 0 ? true : c % 9 === 1 ? false : null,
      },
    ]
  }

  #inputs(name: InstructionName, dice: readonly [number, number, number]): Untimed[] {
    const [a, b, c] = dice
    const { state } = this.driver
    const received = (...packets: ServerPacket[]): Untimed[] =>
      state.connection.opened ? [{ type: 'received', packets }] : []
    switch (name) {
      case 'connect':
        return this.#connect(dice)
      case 'answer':
        return received(...this.#answer(dice), ...(c % 3 === 0 ? this.#answer([b, c]) : []))
      case 'answerUnknown':
        return received(ackOf(pick(['puback', 'pubrec', 'pubcomp'] as const, a)!, 40_000 + b))
      case 'message':
        return received(this.#message(dice), ...(c % 4 === 0 ? [this.#message([b, c, a])] : []))
      case 'pubrel':
        return received(ackOf('pubrel', 1 + (a % 4)))
      case 'pingresp':
        return received(PINGRESP)
      case 'bye':
        return received(byeOf(pick([0, 0x82, 0x87, 0x8b, 0x95, 0x99, 0x9b, 0x8e], a)!))
      case 'stray':
        return received(this.#stray(dice))
      case 'malformed':
        return state.connection.opened
          ? [{ type: 'malformed', reasonCode: 0x81, clause: 'MQTT-2.2.2-2', message: 'broken' }]
          : []
      case 'deviated': {
        const what = { what: 'bits', clause: 'MQTT-2.1.3-1', count: 1 + (a % 3) }
        return state.connection.opened
          ? [{ type: 'deviated', deviations: [{ kind: 'RESERVED_BITS', ...what }] }]
          : []
      }
      case 'written': {
        const publishes = a % (state.outgoing.unconfirmed + 1)
        return [{ type: 'written', publishes, ping: b % 2 === 0, more: c % 2 === 0 }]
      }
      case 'congestion':
        return [{ type: 'congestion', congested: a % 2 === 0 }]
      case 'lost':
        return this.#lost(dice)
      case 'requests': {
        const allowed = this.#ended ? 0 : requestCapacity(state)
        const requests = this.#requests(a, Math.min(allowed, 3))
        return requests.length > 0 ? [{ type: 'requests', requests, hold: false }] : []
      }
      case 'refused':
        return [{ type: 'refused', count: 1 + (a % 2) }]
      case 'requestsEnded':
        this.#ended = true
        return [{ type: 'requestsEnded' }]
      case 'cancel': {
        const handle = pick([...this.#live], a)
        return handle === undefined ? [] : [{ type: 'cancel', handle, cause: 1 }]
      }
      case 'pulled':
        return [this.#pulled(a)]
      case 'ack':
        return this.#ack(dice)
      case 'unread':
        return [{ type: 'unread', handles: [...this.#live].filter((_, i) => i % 3 === a % 3) }]
      case 'pause':
        return [{ type: 'pause', ms: a % 2 === 0 ? Number.POSITIVE_INFINITY : b * 20 }]
      case 'resume':
        return [{ type: 'resume' }]
      case 'throttle':
        return [{ type: 'throttle', perSecond: pick([0, 0.5, 10, 1000], a)! }]
      case 'network':
        return [{ type: 'network', online: a % 3 > 0 }]
      case 'checked':
        return this.#checked(a)
      case 'auth':
        return received(this.#auth(a))
      case 'authenticated':
        return this.#authenticated(a)
      case 'reauthenticate':
        return this.#reauthenticate(dice)
      case 'diverted': {
        const handle = this.#diverted.shift()
        const failure = a % 2 === 0 ? null : failureOf()
        return handle === undefined ? [] : [{ type: 'diverted', handle, failure }]
      }
      case 'reconnect': {
        const policy = a % 2 === 0 ? null : { ...state.reconnect.policy, minMs: 1 + b }
        return [{ type: 'reconnect', policy }]
      }
      case 'ping':
        return [{ type: 'ping', id: 1 }]
      case 'disconnect':
        return c % 3 > 0 ? [] : [{ type: 'disconnect', timeoutMs: a * 10, failure: null }]
      case 'shutdown':
        return c % 3 > 0 ? [] : [{ type: 'shutdown', failure: a % 2 === 0 ? null : failureOf() }]
      case 'leave':
        if (c % 3 > 0) return []
        return [
          { type: 'requests', requests: this.#requests(b, 2), hold: true },
          { type: 'shutdown', failure: null },
        ]
      case 'tick':
        this.#untilDue()
        return [{ type: 'tick' }]
      case 'jump':
        this.driver.sleep(3 * 3_600_000)
        return [{ type: 'tick' }]
      case 'anything':
        // The loop closes a transport that opened too late, without an input.
        return [pick<Untimed>([{ type: 'start' }, { type: 'tick' }, { type: 'resume' }], a)!]
    }
  }

  /** Lets time pass until the next deadline, if there is one. */
  #untilDue(): void {
    const due = nextDeadline(this.driver.state)
    if (due !== Number.POSITIVE_INFINITY) this.driver.sleep(Math.max(0, due - this.driver.at))
  }
}

/** @returns the inputs of a whole story. */
export function play(config: Partial<Config>, story: readonly Instruction[]): Driver {
  const player = new Player(config)
  for (const one of story) player.play(one)
  return player.driver
}

export type { Input }
