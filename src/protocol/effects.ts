/**
 * How is each effect treated: is it a packet, does it wait for a commit, and is it performed after
 * the end?
 *
 * Whoever adds an effect must answer these questions here, or it does not compile. An effect that
 * depends on a commit is performed once the session is safe in the store. Keep-alive, dialling and
 * DISCONNECT must never wait for that. SUBSCRIBE need not: sending it twice is harmless.
 */
import type { Effect } from './contract.ts'

interface Treatment {
  /** Whether it sends a packet to the server. */
  readonly packet: boolean
  /** Whether it waits until the session is committed to the store. */
  readonly dependsOnCommit: boolean | 'above QoS 0'
  /** Whether it is dropped if its connection is lost while it waits for the commit. */
  readonly needsConnection: boolean
  /** Whether it is still performed after the loop has ended. */
  readonly afterEnd: boolean
  /** Whether it is still performed after a commit has failed, although it depends on one. */
  readonly afterFailedCommit: boolean
}

/** The treatment of most effects: performed immediately, and not after the end. */
const PLAIN = {
  packet: false,
  dependsOnCommit: false,
  needsConnection: false,
  afterEnd: false,
  afterFailedCommit: false,
} as const
const PACKET = { ...PLAIN, packet: true } as const
const COMMITTED = { ...PLAIN, dependsOnCommit: true } as const

export const EFFECTS = {
  // transport
  dial: PLAIN,
  close: PLAIN,
  destroy: PLAIN,
  pauseReading: PLAIN,
  resumeReading: PLAIN,
  transition: PLAIN,
  finished: { ...COMMITTED, afterFailedCommit: true },
  // packets
  connect: PACKET,
  publish: { ...PACKET, dependsOnCommit: 'above QoS 0', needsConnection: true },
  subscribe: PACKET,
  unsubscribe: PACKET,
  acknowledge: { ...PACKET, dependsOnCommit: true, needsConnection: true },
  pingreq: PACKET,
  auth: PACKET,
  disconnect: PACKET,
  // requests
  settle: { ...COMMITTED, afterEnd: true },
  confirm: PLAIN,
  takeApart: PLAIN,
  births: COMMITTED,
  divert: PLAIN,
  // consumer
  yield: COMMITTED,
  holdBack: PLAIN,
  releaseHeldBack: PLAIN,
  warn: PLAIN,
  noProgress: PLAIN,
  unread: PLAIN,
  // controls
  pong: PLAIN,
  reauthenticated: PLAIN,
  // authentication and network
  authenticate: PLAIN,
  checkConnectivity: PLAIN,
} as const satisfies Record<Effect['type'], Treatment>

type TypesWith<K extends keyof Treatment> = {
  [T in Effect['type']]: (typeof EFFECTS)[T][K] extends false ? never : T
}[Effect['type']]

type EffectWith<K extends keyof Treatment> = Extract<Effect, { type: TypesWith<K> }>

export type PacketEffect = EffectWith<'packet'>

export function dependsOnCommit(effect: Effect): boolean {
  if (effect.type === 'publish') return effect.qos > 0
  return EFFECTS[effect.type].dependsOnCommit
}

export function needsConnection({ type }: Effect): boolean {
  return EFFECTS[type].needsConnection
}

export function isAfterEnd(effect: Effect): effect is EffectWith<'afterEnd'> {
  return EFFECTS[effect.type].afterEnd
}

export function isAfterFailedCommit({ type }: Effect): boolean {
  return EFFECTS[type].afterFailedCommit
}
