/**
 * What does this client have to write, and when? Its connection and those whom it has entered, in
 * whatever spaces. No clock and no waiting: connections, calls, outcomes and what is read of the
 * own record go in; what is to be written comes out, in order.
 *
 * Within a connection the members are written first and `up` last: then whatever has an older epoch
 * is over. A record that was under way when a connection was lost may arrive after newer ones, so
 * that what it was about is written once more. (H3, a false loss is taken back; H4, after a
 * reconnection everybody is entered again; H6, disposal leaves)
 */
import type { OwnMember, OwnTerms, OwnWish, Write } from './own-steps.ts'
import {
  type ConnectionRecord,
  connectionTopic,
  memberTopic,
  writeConnection,
  writeMember,
} from './records.ts'

/** Half a second, in ms: half of a `ttl` is so many of these. */
const HALF_MS = 500

/** How long the last `up` may take to come back, in ms, where the server had kept another one. */
const DOUBT_MS = 1000
/** Wrong records are answered once in so long, in ms: anybody may write them. */
const ANSWER_MS = 1000

export class OwnRecords {
  readonly terms: OwnTerms
  readonly #members = new Map<string, OwnMember>()
  /** How many have entered each space. */
  readonly #counts = new Map<string, number>()
  #clientId = ''
  #epoch = 0
  #seq = 0
  /** Whether there is a connection, so that something can be written. */
  #isOnline = false
  /** Whether `up` was the last that was written of the connection. */
  #isUp = false
  /** Whether the server may have a record of the connection. */
  #isKept = false
  #hasWill = false
  /** The seq of the last record of the connection, and when the last `up` was written. */
  #upSeq = 0
  #upAt = 0
  /** The newest record of the connection that has an outcome. */
  #settledSeq = 0
  /** When to look for records that grow old. */
  #lookAt = Number.POSITIVE_INFINITY
  /** When to answer a wrong record, if the last `up` was not read by then. */
  #answerAt = Number.POSITIVE_INFINITY
  #answeredAt = Number.NEGATIVE_INFINITY
  /** Whether the members are a part of the answer. */
  #answersAll = false
  /** The last own `up` that was read. */
  #readSeq = 0

  constructor(terms: OwnTerms) {
    this.terms = terms
  }

  get isOnline(): boolean {
    return this.#isOnline
  }

  /** Whether anybody has entered. */
  get hasMembers(): boolean {
    return this.#counts.size > 0
  }

  /** Whether the server may have a record that has to be written anew, or taken away. */
  get owes(): boolean {
    return this.#members.size > 0 || this.#isKept
  }

  /** @returns how many have entered a space. */
  countIn(space: string): number {
    return this.#counts.get(space) ?? 0
  }

  find(space: string, client: string | null): OwnMember | undefined {
    return this.#members.get(memberKey(space, client))
  }

  /** @returns the payload of the will of an attempt. */
  will(epoch: number, client: string): string {
    const { ttl } = this.terms
    this.#hasWill = true
    return writeConnection({ state: 'lost', epoch, seq: 0, client, ttl })
  }

  // ---------------------------------------------------------------------------------- connections

  /** There is a connection. @returns what is to be written before anything else. */
  connected(epoch: number, clientId: string, now: number): Write[] {
    this.#epoch = epoch
    this.#clientId = clientId
    this.#isOnline = true
    this.#isUp = false
    const writes = this.#all(now)
    // What an earlier connection said lies there for nobody.
    return this.#isKept && !this.hasMembers ? [...writes, this.#empty(now)] : writes
  }

  lost(): void {
    this.#isOnline = false
    // The server may have published the will, also of a connection that had said `down`.
    if (this.#hasWill) this.#isKept = true
  }

  /** @returns the records of all, and of the connection if anybody is there. */
  #all(now: number): Write[] {
    const writes = [...this.#members.values()].flatMap((member) => this.#member(member, now))
    if (this.hasMembers) writes.push(this.#connection('up', now))
    return writes
  }

  // ----------------------------------------------------------------------------------------- calls

  /** Somebody enters, or has other data. */
  enter(
    space: string,
    client: string | null,
    dataText: string | undefined,
    now: number,
  ): [OwnMember, Write[]] {
    const key = memberKey(space, client)
    let member = this.#members.get(key)
    if (member === undefined) {
      const rest = {
        isIn: false,
        accepted: null,
        version: 0,
        lastSeq: 0,
        settledSeq: 0,
        writtenAt: 0,
      }
      member = { space, client, dataText, farewell: null, topic: '', open: 0, ...rest }
      this.#members.set(key, member)
    }
    const isFirst = this.countIn(space) === 0
    member.dataText = dataText
    this.#setIn(member, true)
    member.farewell = null
    member.version++
    if (!this.#isOnline) return [member, []]
    const writes = this.#member(member, now)
    // Who watches the space may not have seen this connection: it says its `ttl` there.
    if (!this.#isUp || isFirst) writes.push(this.#connection('up', now))
    return [member, writes]
  }

  /** Somebody leaves. @returns null if nobody of that name is there. */
  leave(
    space: string,
    client: string | null,
    farewell: string | undefined,
    now: number,
  ): [OwnMember, Write[]] | null {
    const member = this.find(space, client)
    if (member === undefined || !member.isIn) return null
    this.#setIn(member, false)
    member.farewell = farewell
    member.accepted = null
    member.version++
    return [member, this.#isOnline ? [...this.#member(member, now), ...this.#down(now)] : []]
  }

  /**
   * The last call about a member was given up before the server has answered.
   * @param wish what an earlier call asks for that still waits; null: what the server has
   *   acknowledged counts.
   * @returns what takes back what the call has written.
   */
  takenBack(member: OwnMember, wish: OwnWish | null, now: number): Write[] {
    const { accepted } = member
    const isIn = wish?.isIn ?? accepted !== null
    member.version++
    member.dataText = (wish ?? accepted)?.dataText
    this.#setIn(member, isIn)
    // Nothing takes away what was never written.
    const isNowhere = !isIn && wish === null && member.topic === ''
    member.farewell = isIn || isNowhere ? null : wish?.farewell
    if (isNowhere && member.open === 0) this.#drop(member)
    if (!this.#isOnline) return []
    return [...this.#member(member, now), ...this.#down(now)]
  }

  /** @returns what ends the connection and leaves nothing of it behind, if nobody is there. */
  #down(now: number): Write[] {
    if (!this.#isOnline || !this.#isUp || this.hasMembers) return []
    return [this.#connection('down', now), this.#empty(now)]
  }

  #setIn(member: OwnMember, isIn: boolean): void {
    if (member.isIn === isIn) return
    member.isIn = isIn
    const count = this.countIn(member.space) + (isIn ? 1 : -1)
    if (count === 0) this.#counts.delete(member.space)
    else this.#counts.set(member.space, count)
  }

  // ------------------------------------------------------------------------------------------ time

  /** @returns when `refresh` has something to do; infinite if never. */
  get dueAt(): number {
    if (!this.#isOnline || !this.#isUp) return Number.POSITIVE_INFINITY
    const { ttl } = this.terms
    const upDueAt = ttl === 0 ? Number.POSITIVE_INFINITY : this.#upAt + ttl * HALF_MS
    return Math.min(upDueAt, this.#lookAt, this.#answerAt)
  }

  /** @returns the signs that are due: one for the connection, and records that would expire. */
  refresh(now: number): Write[] {
    if (!this.#isOnline || !this.#isUp) return []
    if (this.#answerAt <= now) return this.#answer(now)
    const { ttl } = this.terms
    const writes = this.#lookAt <= now ? this.#look(now) : []
    if (ttl > 0 && this.#upAt + ttl * HALF_MS <= now) writes.push(this.#connection('up', now))
    return writes
  }

  /** Looks four times in the life of a record, so that none is older than a half of it. */
  #look(now: number): Write[] {
    const quarterMs = (this.terms.recordTtl * HALF_MS) / 2
    this.#lookAt = now + quarterMs
    const old = [...this.#members.values()].filter(
      ({ isIn, writtenAt }) => isIn && writtenAt + quarterMs <= now,
    )
    return old.flatMap((member) => this.#member(member, now))
  }

  // ------------------------------------------------------------------------ what the server says

  /**
   * A record has an outcome.
   * @returns what has to be written once more, since this one came after newer ones.
   */
  settled(write: Write, now: number): Write[] {
    const { member, epoch, seq } = write
    const { lastSeq, settledSeq } = member ?? { lastSeq: this.#upSeq, settledSeq: this.#settledSeq }
    // What was sent again is late, also before it is known that there is another connection.
    const isLate = seq < settledSeq || (epoch !== this.#epoch && seq < lastSeq)
    if (member === null) return this.#connectionSettled(seq, isLate, now)
    member.settledSeq = Math.max(seq, settledSeq)
    member.open--
    // Without a connection it is written after the next CONNACK.
    if (isLate && !member.isIn) member.farewell = undefined
    if (!member.isIn && member.open === 0 && member.farewell === null) this.#drop(member)
    return isLate && this.#isOnline ? this.#member(member, now) : []
  }

  #connectionSettled(seq: number, isLate: boolean, now: number): Write[] {
    this.#settledSeq = Math.max(seq, this.#settledSeq)
    if (isLate) this.#isKept = true
    if (!this.#isOnline) return []
    if (seq === this.#upSeq && !this.#isUp) this.#isKept = false
    if (!isLate) return []
    return [this.#isUp ? this.#connection('up', now) : this.#empty(now)]
  }

  /** The server has acknowledged a record; `settled` is called after it. */
  acknowledged({ member, gives, version }: Write): void {
    if (member !== null && version > 0) member.accepted = gives
  }

  /**
   * A record will not reach the server: its member is what was acknowledged before. `settled` is
   * called after it.
   * @returns what is to be written if nobody is left by it.
   */
  refused({ member, version }: Write, now: number): Write[] {
    if (member === null || version !== member.version || !member.isIn) return []
    if (member.accepted !== null) {
      member.dataText = member.accepted.dataText
      return []
    }
    this.#setIn(member, false)
    // The server may still take what was sent about it before.
    if (member.open > 1) member.farewell = undefined
    return this.#isOnline ? [...this.#member(member, now), ...this.#down(now)] : []
  }

  /**
   * The record of this connection was read.
   * @param record null: it was taken away.
   * @param retained whether the server had kept it.
   * @returns what mends it, if it is wrong; at most once in a second.
   */
  read(record: ConnectionRecord | null, retained: boolean, now: number): Write[] {
    if (!this.#isOnline || !this.#isUp) return []
    if (record?.state === 'up' && record.epoch === this.#epoch) {
      this.#readSeq = Math.max(this.#readSeq, record.seq)
      this.#answerAt = Number.POSITIVE_INFINITY
      return []
    }
    const isRead = this.#readSeq === this.#upSeq
    // What was on its way before the last `up` is no news: that one should come behind it.
    if (!isRead && !retained) return []
    // After a loss the members count again with the connection; after the rest they do not.
    const isLoss = record !== null && record.epoch <= this.#epoch && record.state !== 'down'
    this.#answersAll ||= !isLoss
    const waited = isRead ? now : now + DOUBT_MS
    this.#answerAt = Math.min(this.#answerAt, Math.max(waited, this.#answeredAt + ANSWER_MS))
    return this.#answerAt <= now ? this.#answer(now) : []
  }

  #answer(now: number): Write[] {
    this.#answeredAt = now
    return this.#answersAll ? this.#all(now) : [this.#connection('up', now)]
  }

  // --------------------------------------------------------------------------------------- records

  #member(member: OwnMember, now: number): Write[] {
    const { connection, prefix, recordTtl } = this.terms
    const client = member.client ?? this.#clientId
    const topic = memberTopic(prefix, member.space, { client, connection })
    if (member.isIn) {
      // The client has another identifier now: the record with the old one is of nobody.
      const isMoved = member.topic !== '' && member.topic !== topic
      const moved = isMoved ? [this.#memberWrite(member, { payload: '', isLast: false }, now)] : []
      const lookAt = now + (recordTtl * HALF_MS) / 2
      if (recordTtl > 0) this.#lookAt = Math.min(this.#lookAt, lookAt)
      member.topic = topic
      const head = { epoch: this.#epoch, seq: this.#seq + 1, left: false }
      const payload = writeMember(head, member.dataText)
      return [...moved, this.#memberWrite(member, { payload, isLast: true }, now)]
    }
    const { farewell } = member
    if (farewell === null) return []
    member.farewell = null
    if (member.topic === '') member.topic = topic
    const writes: Write[] = []
    if (farewell !== undefined) {
      const head = { epoch: this.#epoch, seq: this.#seq + 1, left: true }
      const payload = writeMember(head, farewell)
      writes.push(this.#memberWrite(member, { payload, isLast: false }, now))
    }
    return [...writes, this.#memberWrite(member, { payload: '', isLast: true }, now)]
  }

  /** @param record `isLast`: whether it settles what was called about the member. */
  #memberWrite(
    member: OwnMember,
    { payload, isLast }: { readonly payload: string; readonly isLast: boolean },
    now: number,
  ): Write {
    const seq = ++this.#seq
    member.open++
    member.lastSeq = seq
    member.writtenAt = now
    const { topic, dataText, isIn } = member
    const expiry = payload === '' ? 0 : this.terms.recordTtl
    const gives = isIn && isLast ? { dataText } : null
    const version = isLast ? member.version : 0
    return { topic, payload, expiry, epoch: this.#epoch, seq, member, version, gives }
  }

  #connection(state: 'up' | 'down', now: number): Write {
    const { ttl } = this.terms
    const epoch = this.#epoch
    const seq = this.#seq + 1
    const payload = writeConnection({ state, epoch, seq, client: this.#clientId, ttl })
    return this.#connectionWrite(payload, state === 'up', now)
  }

  /** @returns what takes the record of the connection away. */
  #empty(now: number): Write {
    return this.#connectionWrite('', false, now)
  }

  #connectionWrite(payload: string, isUp: boolean, now: number): Write {
    const { connection, prefix, ttl } = this.terms
    const seq = ++this.#seq
    this.#isUp = isUp
    this.#isKept = true
    this.#answerAt = Number.POSITIVE_INFINITY
    this.#answersAll = false
    this.#upSeq = seq
    this.#upAt = now
    const topic = connectionTopic(prefix, connection)
    const rest = { epoch: this.#epoch, seq, member: null, version: 0, gives: null }
    return { topic, payload, expiry: payload === '' ? 0 : 2 * ttl, ...rest }
  }

  /** Another one of the same name may have entered since. */
  #drop(member: OwnMember): void {
    const key = memberKey(member.space, member.client)
    if (this.#members.get(key) === member) this.#members.delete(key)
  }
}

function memberKey(space: string, client: string | null): string {
  return client === null ? JSON.stringify([space]) : JSON.stringify([space, client])
}
