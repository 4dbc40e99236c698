/**
 * A scenario is data: how the client is configured, and what happens to it, when. All of it is
 * drawn from one seed. To shrink a scenario is to leave events out; the seed and the numbers of the
 * remaining events suffice to repeat it.
 */
import { randomOf } from '../support/random.ts'
import type { Direction, Ending, LinkQuality } from './network.ts'
import { type Quirk, quirksOf } from './quirks.ts'

export interface Setup {
  readonly protocolVersion: 4 | 5
  /** How a run of the client follows another: which part of the session it has. */
  readonly memory: 'none' | 'copy' | 'store'
  readonly acks: 'pull' | 'receipt' | 'manual'
  readonly cleanStart: boolean
  readonly keepAlive: number
  readonly maxInflight: number
  readonly receiveMaximum: number
  readonly maxBufferedPackets: number
  readonly topicAliasMaximum: number
  readonly onSessionLost: 'republish' | 'fail'
  readonly ackTimeoutMs: number
  readonly quarantineAfter: number
  readonly births: boolean
  readonly reconnect: { readonly minMs: number; readonly maxMs: number; readonly stableMs: number }
  /** The size of the arrays in which requests come; one by one if it is 1. */
  readonly batch: number
  /** How many `next()` are outstanding. */
  readonly pulls: number
  readonly quality: LinkQuality
  /** What the broker does against the standard. */
  readonly quirks: readonly Quirk[]
}

/** What a broker does from now on. Rates are probabilities. */
export interface Mood {
  readonly connack: 'good' | 'busy' | 'silent'
  readonly closeAfterConnackMs: number | null
  readonly answerDelayMs: number
  readonly loseAnswer: number
  readonly doubleAnswer: number
  readonly refuse: number
  readonly pings: boolean
  readonly aliases: boolean
  /** Fields of its next CONNACK. 0 means unlimited: the field is absent. */
  readonly receiveMaximum: number
  readonly maximumPacketSize: number
  readonly maximumQoS: 0 | 1 | 2
  readonly serverKeepAlive: number | null
}

/** What the broker does not bear. `renewal`: a filter that was granted before. */
export type Victim = 'publish' | 'filter' | 'renewal'

/** How the broker closes on a request that it does not bear. */
export interface Poison {
  /** `half`: in the middle of an answer. `unreadable`: not at all, the answer is malformed. */
  readonly way: 'fin' | 'reset' | 'disconnect' | 'half' | 'unreadable'
  /** The reason code of the DISCONNECT, in MQTT 5. */
  readonly code: number
}

export const GOOD_MOOD: Mood = {
  connack: 'good',
  closeAfterConnackMs: null,
  answerDelayMs: 0,
  loseAnswer: 0,
  doubleAnswer: 0,
  refuse: 0,
  pings: true,
  aliases: false,
  receiveMaximum: 0,
  maximumPacketSize: 0,
  maximumQoS: 2,
  serverKeepAlive: null,
}

const DEPARTURES = [
  'break',
  'throw',
  'return',
  'abort',
  'disconnect',
  'shutdown',
  'kill',
  'kill',
  'settled throws',
  'requests throw',
] as const
/** How a run of the client ends. */
export type Departure = (typeof DEPARTURES)[number]

export interface PlannedRequest {
  readonly cmd: 'publish' | 'subscribe' | 'unsubscribe' | 'bad' | 'ping' | 'pause' | 'throttle'
  readonly qos: 0 | 1 | 2
  readonly bytes: number
  /** 0 for none. */
  readonly expirySeconds: number
}

export type Happening =
  | { readonly do: 'requests'; readonly requests: readonly PlannedRequest[] }
  | { readonly do: 'stall'; readonly on: boolean }
  | {
      readonly do: 'offer'
      readonly qos: 0 | 1 | 2
      readonly count: number
      readonly bytes: number
    }
  | { readonly do: 'cancel' }
  | { readonly do: 'consumer'; readonly mood: 'steady' | 'slow' | 'stopped' }
  | { readonly do: 'leave'; readonly how: Departure }
  | { readonly do: 'save' }
  | { readonly do: 'pause'; readonly ms: number }
  | { readonly do: 'resume' }
  | { readonly do: 'throttle'; readonly perSecond: number | null }
  | { readonly do: 'reconnect' }
  | { readonly do: 'ping' }
  | { readonly do: 'jump'; readonly ms: number }
  | { readonly do: 'end'; readonly how: Ending }
  | { readonly do: 'breakAfter'; readonly direction: Direction; readonly bytes: number }
  | { readonly do: 'swallow'; readonly direction: Direction | 'both' }
  | { readonly do: 'dialling'; readonly dialling: 'accept' | 'refuse' | 'hang' }
  | { readonly do: 'link'; readonly quality: LinkQuality }
  | { readonly do: 'restart'; readonly keep: boolean }
  | { readonly do: 'mood'; readonly mood: Mood }
  | { readonly do: 'poison'; readonly what: Victim; readonly poison: Poison }
  | { readonly do: 'disk full' }

export interface Event {
  /** Virtual ms since the previous event. */
  readonly after: number
  readonly what: Happening
}

export interface Scenario {
  readonly seed: number
  readonly setup: Setup
  readonly events: readonly Event[]
}

/** Draws a scenario. Each has only some kinds of events, so that rare combinations come often. */
export function scenarioOf(seed: number): Scenario {
  const random = randomOf(seed)
  const below = (n: number) => Math.floor(random() * n)
  const chance = (p: number) => random() < p
  const oneOf = <T>(...all: readonly T[]): T => all[below(all.length)]!
  /** Draws evenly over the orders of magnitude. */
  const upTo = (max: number) => Math.floor(Math.exp(random() * Math.log(max + 1)))

  const quality = (): LinkQuality => ({
    latencyMs: chance(0.7) ? below(3) : upTo(1500),
    bytesPerMs: chance(0.8) ? Number.POSITIVE_INFINITY : 0.5 + random() * 20,
    bufferBytes: chance(0.7) ? 65_536 : 100 + below(1000),
  })
  const protocolVersion = oneOf(4, 5)
  const memory = oneOf('none', 'copy', 'store', 'store')
  const acks = chance(0.6) ? 'pull' : oneOf('receipt', 'manual')
  const setup: Setup = {
    protocolVersion,
    memory,
    acks,
    cleanStart: memory === 'none' || (memory === 'copy' && chance(0.3)),
    keepAlive: oneOf(0, 1, 2, 5, 30),
    maxInflight: chance(0.5) ? 1 + below(4) : 1000,
    receiveMaximum: chance(0.5) ? 1 + below(4) : 100,
    maxBufferedPackets: chance(0.5) ? 1 + below(5) : 1000,
    topicAliasMaximum: oneOf(0, 3),
    onSessionLost: chance(0.8) ? 'republish' : 'fail',
    ackTimeoutMs: chance(0.2) ? 500 + below(5000) : 0,
    quarantineAfter: oneOf(3, 3, 2, 0),
    births: chance(0.2),
    reconnect: { minMs: oneOf(0, 10, 100), maxMs: oneOf(20, 1000), stableMs: oneOf(500, 30_000) },
    batch: chance(0.6) ? 1 : 2 + below(6),
    pulls: acks === 'manual' && chance(0.4) ? 2 + below(3) : 1,
    quality: chance(0.6)
      ? { latencyMs: 1, bytesPerMs: Number.POSITIVE_INFINITY, bufferBytes: 65_536 }
      : quality(),
    quirks: quirksOf(seed),
  }

  const planned = (): PlannedRequest => {
    const common = {
      qos: oneOf(0, 1, 1, 2, 2),
      bytes: chance(0.95) ? below(60) : below(3000),
      expirySeconds: protocolVersion === 5 && chance(0.03) ? 1 + below(5) : 0,
    } as const
    if (chance(0.9)) return { ...common, cmd: 'publish' }
    return { ...common, cmd: oneOf('subscribe', 'unsubscribe', 'bad', 'ping', 'pause', 'throttle') }
  }
  const mood = (): Mood => ({
    connack: chance(0.85) ? 'good' : oneOf('busy', 'silent'),
    closeAfterConnackMs: chance(0.1) ? 50 : null,
    answerDelayMs: chance(0.5) ? 0 : upTo(3000),
    loseAnswer: chance(0.6) ? 0 : random() * 0.5,
    doubleAnswer: chance(0.8) ? 0 : random() * 0.5,
    refuse: chance(0.85) || protocolVersion === 4 ? 0 : random() * 0.3,
    pings: chance(0.85),
    aliases: chance(0.5),
    receiveMaximum: chance(0.5) ? 0 : 1 + below(5),
    maximumPacketSize: chance(0.9) ? 0 : 200 + below(1000),
    maximumQoS: chance(0.9) ? 2 : oneOf(0, 1),
    serverKeepAlive: chance(0.85) ? null : below(4),
  })
  const poison = (): Poison => ({
    way: oneOf('fin', 'reset', 'disconnect', 'half', 'unreadable'),
    code: oneOf(0x80, 0x81, 0x82, 0x83, 0x87, 0x90, 0x93, 0x95, 0x97, 0x99, 0x9b),
  })
  const kinds: readonly (readonly [weight: number, draw: () => Happening])[] = [
    [10, () => ({ do: 'requests', requests: Array.from({ length: 1 + upTo(12) }, planned) })],
    [6, () => ({ do: 'offer', qos: oneOf(0, 1, 1, 2, 2), count: upTo(8), bytes: upTo(400) })],
    [2, () => ({ do: 'consumer', mood: oneOf('steady', 'slow', 'stopped') })],
    [2, () => ({ do: 'end', how: oneOf('fin', 'reset') })],
    [2, () => ({ do: 'breakAfter', direction: oneOf('up', 'down'), bytes: 1 + upTo(500) })],
    [1, () => ({ do: 'swallow', direction: oneOf('up', 'down', 'both') })],
    [1, () => ({ do: 'dialling', dialling: oneOf('accept', 'accept', 'refuse', 'hang') })],
    [1, () => ({ do: 'link', quality: quality() })],
    [1, () => ({ do: 'restart', keep: chance(0.6) })],
    [2, () => ({ do: 'mood', mood: mood() })],
    [2, () => ({ do: 'leave', how: oneOf(...DEPARTURES) })],
    [1, () => ({ do: 'save' })],
    [1, () => ({ do: 'pause', ms: upTo(5000) })],
    [1, () => ({ do: 'resume' })],
    [1, () => ({ do: 'throttle', perSecond: chance(0.5) ? null : 1 + upTo(200) })],
    [1, () => ({ do: 'reconnect' })],
    [1, () => ({ do: 'ping' })],
    [1, () => ({ do: 'jump', ms: upTo(100_000) })],
    [1, () => ({ do: 'stall', on: chance(0.5) })],
    [2, () => ({ do: 'cancel' })],
    [0.5, () => ({ do: 'poison', what: oneOf('publish', 'filter', 'renewal'), poison: poison() })],
    [0.3, () => ({ do: 'disk full' })],
  ]
  // Requests and offers are always in it; of the other kinds of events, those that chance picks.
  const share = 0.1 + random() * 0.6
  const chosen = kinds.filter((_, i) => i < 2 || chance(share))
  const total = chosen.reduce((sum, [weight]) => sum + weight, 0)
  const draw = (): Happening => {
    let at = random() * total
    for (const [weight, one] of chosen) {
      at -= weight
      if (at < 0) return one()
    }
    return chosen[0]![1]()
  }
  const events: Event[] = Array.from({ length: 10 + below(30) }, () => ({
    after: chance(0.3) ? 0 : upTo(chance(0.8) ? 300 : 8000),
    what: draw(),
  }))
  return { seed, setup, events }
}
