/**
 * Who is there, by what has arrived so far? Records, the beginning and the end of a sync and the
 * passing of time go in; changes, and what is to be read, removed or told, come out. It has no
 * clock and waits for nothing: time is an argument. The same inputs give the same outputs.
 *
 * A member is there if its last record is no farewell, its connection is up, and the record is no
 * older than what the connection has said last (connection-sign.ts). All that may change this ends
 * in `#judge`. (H1, the changes of a member come in its order; H2, a lost connection is noticed;
 * H5, a sync ends)
 */
import { endLease, isAbove, type SignOutcome, takeConnection, takeSign } from './connection-sign.ts'
import { LeaseHeap } from './lease-heap.ts'
import type { Certainty, Member } from './presence-types.ts'
import type { ConnectionRecord, MemberRecord, MemberTopic } from './records.ts'
import {
  isNewer,
  isSameData,
  memberOf,
  newSpaceConnection,
  type SpaceConnection,
  type SpaceMember,
} from './space-entries.ts'
import type {
  ChangeAction,
  RecordArrival,
  ViewEffect,
  ViewInput,
  ViewLimits,
} from './space-steps.ts'

/**
 * The lease of a connection whose own record has not come, in seconds. It is written directly after
 * those of the first members, so that it comes within moments, unless the connection is lost
 * between them; and then perhaps no will comes either. (H2)
 */
const TTL_ASSUMED = 10
/** After how long what a connection without a lease has left behind is removed, in seconds. */
const TIDIED_S = 600
/** What a lost connection has left behind is removed after so many times its `ttl`. */
const TIDIED_TTLS = 2
/** How long a lost connection is remembered, in seconds, since it may come back: as its records. */
const FORGOTTEN_S = 86_400
/** It is told that there are too many members once, until so large a part of them is left. */
const ROOM_AGAIN = 0.9
/** How many members who have left are remembered. */
const GONE_MAX = 10_000
/** Connections without a member here that are remembered, for each that may be kept. */
const BARE_PER_MEMBER = 10

export class SpaceView {
  readonly #limits: ViewLimits
  readonly #connections = new Map<string, SpaceConnection>()
  readonly #leases = new LeaseHeap<SpaceConnection>()
  /** Connections that are over, or of which nothing is known, the oldest first. */
  readonly #over = new Set<SpaceConnection>()
  /** Members who have left, the oldest first. */
  readonly #gone = new Set<SpaceMember>()
  /** Connections without a member here, those that have had none for longest first. */
  readonly #bare = new Set<SpaceConnection>()
  #effects: ViewEffect[] = []
  /** The number of the sync, from 1. */
  #round = 0
  #isSyncing = false
  #isFull = false
  #records = 0
  #visible = 0
  repeated = 0
  overflowed = 0

  constructor(limits: ViewLimits) {
    this.#limits = limits
  }

  get members(): number {
    return this.#visible
  }

  get records(): number {
    return this.#records
  }

  get connections(): number {
    return this.#connections.size
  }

  /** The earliest instant at which `time` may change anything; infinite if there is none. */
  get dueAt(): number {
    return this.#leases.nextAt
  }

  /** @returns who is there. */
  list(): Member[] {
    const found: Member[] = []
    for (const { members } of this.#connections.values()) {
      for (const member of members.values()) {
        if (member.visible) found.push(memberOf(member, this.#certaintyOf(member)))
      }
    }
    return found
  }

  step(input: ViewInput): readonly ViewEffect[] {
    switch (input.type) {
      case 'member':
        this.#member(input.topic, input.record, input.arrival)
        break
      case 'connection':
        this.#connection(input.connection, input.record, input.arrival)
        break
      case 'syncBegins':
        this.#round++
        this.#isSyncing = true
        break
      case 'syncFails':
        // Who was not seen in it has the certainty `before`, until the next one ends.
        this.#round += this.#isSyncing ? 0 : 1
        this.#isSyncing = false
        break
      case 'syncEnds':
        this.#syncEnds(input.certainty, input.at)
        break
      case 'time':
        this.#time(input.at)
    }
    const effects = this.#effects
    if (effects.length > 0) this.#effects = []
    return effects
  }

  // --------------------------------------------------------------------------------------- records

  #member(topic: MemberTopic, record: MemberRecord | null, arrival: RecordArrival): void {
    const known = this.#connections.get(topic.connection)?.members.get(topic.client)
    if (record === null) return this.#emptied(known, arrival.at)
    if (known !== undefined && !isNewer(record, known)) return this.#again(known, record, arrival)
    const member = known ?? this.#add(topic, record)
    if (member === null) return
    const { connection, data: before, visible: wasVisible } = member
    const isBack = !member.gone && member.epoch === record.epoch
    member.epoch = record.epoch
    member.seq = record.seq
    if (!record.left || record.data !== undefined) member.data = record.data
    member.round = this.#round
    // What has just been published needs no record of the connection beside it.
    if (!arrival.retained) connection.round = this.#round
    if (!wasVisible) member.since = arrival.retained ? 'sync' : 'live'
    this.#setGone(member, record.left)
    const outcome = takeSign(connection.sign, record.epoch, record.seq, !arrival.retained)
    this.#signed(connection, outcome, arrival)
    const appears = arrival.retained || (known !== undefined && isBack) ? 'present' : 'enter'
    this.#judge(member, appears, 'leave', 'seen')
    if (wasVisible && member.visible && !isSameData(before, member.data)) {
      this.#tell('update', member, 'seen')
    }
    if (outcome === 'up') this.#judgeAll(connection, 'seen')
    if (record.left) this.#leftAlone(connection, arrival.at)
  }

  /** The record of a member was taken away: it has left, or somebody has tidied. */
  #emptied(member: SpaceMember | undefined, at: number): void {
    if (member === undefined || member.gone) return
    // While the server repeats what it has, an old message may come first: the end of it tells.
    if (this.#isSyncing) {
      member.round = this.#round - 1
      return
    }
    this.#setGone(member, true)
    this.#judge(member, 'present', 'leave', 'seen')
    this.#leftAlone(member.connection, at)
  }

  /** Without a lease nothing would tell that a connection is over whose last member has left. */
  #leftAlone(connection: SpaceConnection, at: number): void {
    const isEndless = connection.dueAt === Number.POSITIVE_INFINITY
    if (connection.present === 0 && isEndless) this.#forgetLater(connection, at)
  }

  /** A record that is known came again. */
  #again(member: SpaceMember, record: MemberRecord, { retained }: RecordArrival): void {
    this.repeated++
    const isLast = record.epoch === member.epoch && record.seq === member.seq
    if (!isLast || !this.#isSyncing || !retained) return
    member.round = this.#round
    if (!member.gone || record.left) return
    // It was taken for gone, and the server still has it.
    this.#setGone(member, false)
    this.#judge(member, 'present', 'leave', 'seen')
  }

  #add({ client, connection: name }: MemberTopic, record: MemberRecord): SpaceMember | null {
    // The farewell of somebody who was not known says nothing, and anybody may write it.
    if (record.left) {
      this.repeated++
      return null
    }
    if (!this.#hasRoom()) {
      this.overflowed++
      if (!this.#isFull) this.#effects.push({ type: 'full' })
      this.#isFull = true
      return null
    }
    const { epoch, seq, data } = record
    const connection = this.#connectionOf(name)
    const head = { client, connection, epoch, seq, data, since: 'live', round: 0 } as const
    const member: SpaceMember = { ...head, gone: true, visible: false }
    connection.members.set(client, member)
    this.#gone.add(member)
    return member
  }

  /** What was lost longest ago makes room. */
  #hasRoom(): boolean {
    while (this.#records >= this.#limits.maxMembers) {
      const [oldest] = this.#over
      if (oldest === undefined) return false
      this.#forget(oldest)
    }
    return true
  }

  /** Those who have left are remembered for a while, so that repeats of their records are known. */
  #setGone(member: SpaceMember, isGone: boolean): void {
    if (member.gone === isGone) return
    member.gone = isGone
    const { connection } = member
    connection.present += isGone ? -1 : 1
    this.#records += isGone ? -1 : 1
    if (this.#records < this.#limits.maxMembers * ROOM_AGAIN) this.#isFull = false
    if (connection.present === (isGone ? 0 : 1)) {
      if (isGone) this.#bare.add(connection)
      else this.#bare.delete(connection)
      const type = isGone ? 'unwatch' : 'watch'
      this.#effects.push({ type, connection: connection.name })
    }
    if (!isGone) {
      this.#gone.delete(member)
      return
    }
    this.#gone.add(member)
    if (this.#gone.size <= GONE_MAX) return
    for (const oldest of this.#gone) {
      this.#gone.delete(oldest)
      oldest.connection.members.delete(oldest.client)
      return
    }
  }

  #connectionOf(name: string): SpaceConnection {
    let connection = this.#connections.get(name)
    if (connection !== undefined) return connection
    // Those with members are bounded by these.
    const [oldest] = this.#bare
    const most = this.#limits.maxMembers * BARE_PER_MEMBER
    if (oldest !== undefined && this.#bare.size >= most) this.#forget(oldest)
    connection = newSpaceConnection(name, TTL_ASSUMED)
    this.#connections.set(name, connection)
    this.#bare.add(connection)
    return connection
  }

  #connection(name: string, record: ConnectionRecord | null, arrival: RecordArrival): void {
    // An empty one is the work of a janitor; a connection that is there writes it again.
    if (record === null) return
    const connection = this.#connectionOf(name)
    const { standing, floorEpoch } = connection.sign
    connection.round = this.#round
    connection.ttl = record.ttl
    const outcome = takeConnection(connection.sign, record)
    if (outcome === 'repeated') this.repeated++
    this.#signed(connection, outcome, arrival)
    const { sign } = connection
    const hasChanged = standing !== sign.standing || floorEpoch !== sign.floorEpoch
    if (hasChanged) this.#judgeAll(connection, sign.lostBy === 'lease' ? 'lease' : 'seen')
  }

  /** A record of a connection says how it is now. */
  #signed(connection: SpaceConnection, outcome: SignOutcome, { at, ageMs }: RecordArrival): void {
    const { sign, ttl } = connection
    const isKnown = connection.dueAt < Number.POSITIVE_INFINITY
    if (outcome === 'repeated' && (isKnown || sign.standing === 'up')) return
    if (sign.standing !== 'up') return this.#forgetLater(connection, at)
    this.#over.delete(connection)
    connection.dueAt = ttl === 0 ? Number.POSITIVE_INFINITY : at + ttl * 1000 - ageMs
    if (connection.dueAt <= at) {
      endLease(sign)
      return this.#forgetLater(connection, at)
    }
    this.#leases.put(connection)
  }

  /** A connection is over, or nothing is known of it. */
  #forgetLater(connection: SpaceConnection, at: number): void {
    const { sign, ttl } = connection
    // Nobody tidies up after a connection whose own record has never come.
    const hasSpoken = sign.floorEpoch > 0 || sign.willOf > 0
    const isEmpty = sign.standing === 'down' || connection.present === 0
    const isTidied = (this.#limits.janitor && hasSpoken) || isEmpty
    const tidiedS = ttl === 0 ? TIDIED_S : TIDIED_TTLS * ttl
    connection.dueAt = at + (isTidied ? tidiedS : FORGOTTEN_S) * 1000
    this.#over.delete(connection)
    // In a sync it may come only now.
    if (sign.standing !== 'unknown' || !this.#isSyncing) this.#over.add(connection)
    this.#leases.put(connection)
  }

  // ------------------------------------------------------------------------------------- judgement

  /** What is known of a connection has changed. */
  #judgeAll(connection: SpaceConnection, certainty: Certainty): void {
    const vanishes = connection.sign.standing === 'lost' ? 'lost' : 'leave'
    for (const member of connection.members.values()) {
      this.#judge(member, 'present', vanishes, certainty)
    }
  }

  /** Reports a member that is there now and was not, or the reverse. */
  #judge(
    member: SpaceMember,
    appears: ChangeAction,
    vanishes: ChangeAction,
    certainty: Certainty,
  ): void {
    const { sign } = member.connection
    const isThere =
      !member.gone && sign.standing === 'up' && isAbove(sign, member.epoch, member.seq)
    if (isThere === member.visible) return
    member.visible = isThere
    this.#visible += isThere ? 1 : -1
    this.#tell(isThere ? appears : vanishes, member, isThere ? 'seen' : certainty)
  }

  #tell(action: ChangeAction, member: SpaceMember, certainty: Certainty): void {
    const change = Object.freeze({ action, member: memberOf(member, certainty) })
    this.#effects.push({ type: 'change', change })
  }

  #certaintyOf({ round, connection }: SpaceMember): Certainty {
    return round === this.#round && connection.round === round ? 'seen' : 'before'
  }

  // --------------------------------------------------------------------------------- sync and time

  #syncEnds(certainty: 'ordered' | 'quiet', at: number): void {
    this.#isSyncing = false
    for (const connection of this.#connections.values()) {
      const isSeen = connection.round === this.#round
      // A connection whose record the server has not kept is no more than its members are.
      if (!isSeen) connection.sign.standing = 'unknown'
      for (const member of connection.members.values()) {
        const isKept = member.round === this.#round
        if (!isKept) this.#setGone(member, true)
        this.#judge(member, 'present', isKept ? 'lost' : 'leave', certainty)
      }
      if (!isSeen) this.#forgetLater(connection, at)
    }
    this.#time(at)
  }

  #time(at: number): void {
    for (let due = this.#leases.take(at); due !== null; due = this.#leases.take(at)) {
      // Without a member and a lease it is no news that nothing was heard of it.
      if ((due.present > 0 || due.ttl > 0) && endLease(due.sign)) {
        this.#judgeAll(due, 'lease')
        this.#forgetLater(due, at)
      } else {
        this.#isOver(due)
      }
    }
  }

  /** A connection has been over for long. */
  #isOver(connection: SpaceConnection): void {
    if (this.#limits.janitor) this.#clear(connection)
    // As long as its members' records are kept by the server, they must not count as new.
    else if (connection.present > 0 && connection.sign.standing !== 'unknown') return
    this.#forget(connection)
  }

  #clear({ name, members, sign }: SpaceConnection): void {
    const kept = [...members.values()].filter(({ gone }) => !gone)
    // Of a connection without a member here only what it said itself is known to be of no use.
    const isSaid = sign.standing === 'down' || (sign.standing === 'lost' && sign.lostBy === 'will')
    if (kept.length === 0 && !isSaid) return
    const topics = kept.map(({ client }) => ({ client, connection: name }))
    this.#effects.push({ type: 'clear', members: topics, connection: name })
  }

  #forget(connection: SpaceConnection): void {
    for (const member of connection.members.values()) {
      this.#setGone(member, true)
      this.#gone.delete(member)
    }
    this.#connections.delete(connection.name)
    this.#over.delete(connection)
    this.#bare.delete(connection)
    connection.dueAt = Number.POSITIVE_INFINITY
  }
}
