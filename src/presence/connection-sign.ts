/**
 * Is a connection there? A pure account of its records: which is newer, which counts, and what it
 * says. No clock is compared: within one connection (epoch, seq) says what is newer. (H1, the
 * changes of a member come in its order; H3, a false loss is taken back)
 */
import type { ConnectionRecord } from './records.ts'

/** `unknown`: no record of it has come. */
type Standing = 'unknown' | 'up' | 'lost' | 'down'

/** What is known of a connection by its records. */
export interface ConnectionSign {
  /** The largest epoch of all its records. */
  epoch: number
  /** The largest seq of that epoch. */
  seq: number
  standing: Standing
  /** The last epoch of which a will was counted. */
  willOf: number
  /** A loss is taken back by a larger seq of the same epoch. */
  lostSeq: number
  /** Why it is lost. */
  lostBy: 'will' | 'lease'
  /** Members count whose last record is newer than (floorEpoch, floorSeq). */
  floorEpoch: number
  floorSeq: number
}

/** What a record did. `sign`: it is alive, as before. */
export type SignOutcome = 'repeated' | 'sign' | 'up' | 'lost' | 'down'

export function newSign(): ConnectionSign {
  return {
    ...{ epoch: 0, seq: 0, standing: 'unknown', willOf: 0 },
    ...{ lostSeq: 0, lostBy: 'will', floorEpoch: 0, floorSeq: 0 },
  }
}

/** @returns whether a member counts whose last record has these. */
export function isAbove(sign: ConnectionSign, epoch: number, seq: number): boolean {
  return epoch > sign.floorEpoch || (epoch === sign.floorEpoch && seq > sign.floorSeq)
}

/** Takes a record of the connection. */
export function takeConnection(sign: ConnectionSign, record: ConnectionRecord): SignOutcome {
  const { state, epoch, seq } = record
  if (epoch < sign.epoch) {
    // A member's record has shown a newer epoch; what this one ended is still over.
    if (sign.standing !== 'unknown') return 'repeated'
    raiseFloor(sign, epoch, state === 'lost' ? Number.MAX_SAFE_INTEGER : state === 'up' ? 0 : seq)
    sign.standing = 'up'
    return 'up'
  }
  if (state === 'lost') return takeWill(sign, epoch)
  return state === 'up' ? takeUp(sign, epoch, seq) : takeDown(sign, epoch, seq)
}

function takeWill(sign: ConnectionSign, epoch: number): SignOutcome {
  const isAgain = sign.willOf === epoch
  if (isAgain && sign.standing === 'lost' && sign.lostBy === 'will') return 'repeated'
  advance(sign, epoch, 0)
  sign.willOf = epoch
  // A will has no seq. If one came before it may be a repeat, with the `up` that healed it behind
  // it once more: then that counts, and the order in which the server sends is what holds.
  if (!isAgain) sign.lostSeq = sign.seq
  sign.lostBy = 'will'
  if (sign.standing === 'down') return 'repeated'
  sign.standing = 'lost'
  return 'lost'
}

function takeUp(sign: ConnectionSign, epoch: number, seq: number): SignOutcome {
  const { standing } = sign
  const isNewEpoch = epoch > sign.epoch
  if (!isNewEpoch) {
    if (standing === 'lost' && seq <= sign.lostSeq) return 'repeated'
    if (standing === 'down' && !isAbove(sign, epoch, seq)) return 'repeated'
    if (standing === 'up' && seq <= sign.seq && epoch <= sign.floorEpoch) return 'repeated'
  }
  advance(sign, epoch, seq)
  raiseFloor(sign, epoch, 0)
  sign.standing = 'up'
  return standing === 'up' && !isNewEpoch ? 'sign' : 'up'
}

function takeDown(sign: ConnectionSign, epoch: number, seq: number): SignOutcome {
  const isOld = epoch === sign.epoch && seq < sign.seq
  if (isOld || (sign.standing === 'down' && epoch === sign.epoch)) return 'repeated'
  if (epoch === sign.epoch && sign.standing === 'lost' && seq <= sign.lostSeq) return 'repeated'
  advance(sign, epoch, seq)
  raiseFloor(sign, epoch, seq)
  sign.standing = 'down'
  return 'down'
}

/**
 * Takes note of a member's record, which is a sign of its connection too.
 * @param isLive whether it has just been published, and was not kept by the server.
 */
export function takeSign(
  sign: ConnectionSign,
  epoch: number,
  seq: number,
  isLive: boolean,
): SignOutcome {
  const { standing } = sign
  if (epoch < sign.epoch) return 'repeated'
  const isNewEpoch = epoch > sign.epoch
  const isNewer = isNewEpoch || seq > sign.seq
  if (standing === 'lost') {
    const takesBack = isNewEpoch || (sign.lostBy === 'lease' && seq > sign.lostSeq)
    if (!takesBack) {
      advance(sign, epoch, seq)
      return 'repeated'
    }
    // Whoever was lost comes back with a record of its own.
    if (isNewEpoch) raiseFloor(sign, epoch, 0)
  }
  if (standing === 'down' && !isNewer) return 'repeated'
  advance(sign, epoch, seq)
  if (standing === 'unknown' && !isLive) return 'repeated'
  sign.standing = 'up'
  if (standing !== 'up') return 'up'
  return isNewer ? 'sign' : 'repeated'
}

/** No sign came for too long. @returns whether that changes anything. */
export function endLease(sign: ConnectionSign): boolean {
  if (sign.standing !== 'up') return false
  sign.standing = 'lost'
  sign.lostBy = 'lease'
  sign.lostSeq = sign.seq
  return true
}

function advance(sign: ConnectionSign, epoch: number, seq: number): void {
  if (epoch > sign.epoch) {
    sign.epoch = epoch
    sign.seq = seq
  } else if (seq > sign.seq) sign.seq = seq
}

function raiseFloor(sign: ConnectionSign, epoch: number, seq: number): void {
  if (epoch < sign.floorEpoch || (epoch === sign.floorEpoch && seq <= sign.floorSeq)) return
  sign.floorEpoch = epoch
  sign.floorSeq = seq
}
