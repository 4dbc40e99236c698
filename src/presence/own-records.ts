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
import {
  type ConnectionRecord,
  connectionTopic,
  memberTopic,
  writeConnection,
  writeMember,
} from './records.ts'

/** One whom this client has entered. */
export interface OwnMember {
  readonly space: string
  /** Its name; null: the identifier of this client. */
  readonly client: string | null
  /** Its data as JSON; undefined: none. */
  dataText: string | undefined
  isIn: boolean
  /** The data of the farewell that is still to be written; null: none is. */
  farewell: string | undefined | null
  /** Counts the calls about it. */
  version: number
  /** The seq of the last record of it, and when it was written. */
  lastSeq: number
  writtenAt: number
  /** The topic of the last record; empty: there was none. */
  topic: string
  /** Records without an outcome. */
  open: number
}

/** A record to be written. */
export interface Write {
  readonly topic: string
  readonly payload: string
  /** For how many seconds the server is to keep it; 0: for ever. */
  readonly expiry: number
  readonly epoch: number
  readonly seq: number
  /** Whom it is about; null: the connection. */
  readonly member: OwnMember | null
  /** Which call about the member it settles; 0: none. */
  readonly version: number
}

/** How a connection speaks of itself. */
export interface OwnTerms {
  readonly connection: string
  readonly prefix: string
  readonly ttl: number
  readonly recordTtl: number
}

/** Half a second, in ms: half of a `ttl` is so many of these. */
const HALF_MS = 500

/** How long the last `up` may take to come back, in ms, where the server had kept another one. */
const DOUBT_MS = 1000

export class OwnRecords {
  readonly terms: OwnTerms
  readonly #members = new Map<string, OwnMember>()
  #clientId = ''
  #epoch = 0
  #seq = 0
  /** Whether there is a connection, so that something can be written. */
  #isOnline = false
  /** Whether `up` was the last that was written of the connection. */
  #isUp = false
  #upSeq = 0
  #upAt = 0
  /** When to look for records that grow old. */
  #lookAt = Number.POSITIVE_INFINITY
  /** When to write everything once more, if the last `up` was not read by then. */
  #doubtAt = Number.POSITIVE_INFINITY
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
    for (const { isIn } of this.#members.values()) if (isIn) return true
    return false
  }

  /** @returns how many have entered a space. */
  countIn(space: string): number {
    let count = 0
    for (const member of this.#members.values()) if (member.isIn && member.space === space) count++
    return count
  }

  find(space: string, client: string | null): OwnMember | undefined {
    return this.#members.get(memberKey(space, client))
  }

  /** @returns the payload of the will of an attempt. */
  will(epoch: number, client: string): string {
    const { ttl } = this.terms
    return writeConnection({ state: 'lost', epoch, seq: 0, client, ttl })
  }

  // ---------------------------------------------------------------------------------- connections

  /** There is a connection. @returns what is to be written before anything else. */
  connected(epoch: number, clientId: string, now: number): Write[] {
    this.#epoch = epoch
    this.#clientId = clientId
    this.#isOnline = true
    this.#isUp = false
    return this.#all(now)
  }

  lost(): void {
    this.#isOnline = false
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
      const rest = { isIn: false, version: 0, lastSeq: 0, writtenAt: 0, topic: '', open: 0 }
      member = { space, client, dataText, farewell: null, ...rest }
      this.#members.set(key, member)
    }
    member.dataText = dataText
    member.isIn = true
    member.farewell = null
    member.version++
    if (!this.#isOnline) return [member, []]
    const writes = this.#member(member, now)
    if (!this.#isUp) writes.push(this.#connection('up', now))
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
    member.isIn = false
    member.farewell = farewell
    member.version++
    return [member, this.#isOnline ? this.#member(member, now) : []]
  }

  /** @returns what ends the connection, if nobody is there any more and it was up. */
  down(now: number): Write[] {
    if (!this.#isOnline || !this.#isUp || this.hasMembers) return []
    return [this.#connection('down', now)]
  }

  // ------------------------------------------------------------------------------------------ time

  /** @returns when `refresh` has something to do; infinite if never. */
  get dueAt(): number {
    if (!this.#isOnline || !this.#isUp) return Number.POSITIVE_INFINITY
    const { ttl } = this.terms
    const upDueAt = ttl === 0 ? Number.POSITIVE_INFINITY : this.#upAt + ttl * HALF_MS
    return Math.min(upDueAt, this.#lookAt, this.#doubtAt)
  }

  /** @returns the signs that are due: one for the connection, and records that would expire. */
  refresh(now: number): Write[] {
    if (!this.#isOnline || !this.#isUp) return []
    if (this.#doubtAt <= now) return this.#all(now)
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
    if (member !== null) {
      member.open--
      if (!member.isIn && member.open === 0 && member.farewell === null) this.#drop(member)
    }
    if (epoch === this.#epoch || !this.#isOnline) return []
    if (member === null) return this.#isUp && seq < this.#upSeq ? [this.#connection('up', now)] : []
    if (seq >= member.lastSeq) return []
    if (!member.isIn) member.farewell = undefined
    return this.#member(member, now)
  }

  /** The server refused what a member would have become. */
  refused(member: OwnMember, former: { readonly dataText: string | undefined } | null): void {
    if (former === null) {
      member.isIn = false
      this.#drop(member)
    } else member.dataText = former.dataText
  }

  /**
   * The record of this connection was read.
   * @param record null: it was taken away.
   * @param retained whether the server had kept it.
   * @returns everything once more, if it is wrong.
   */
  read(record: ConnectionRecord | null, retained: boolean, now: number): Write[] {
    if (!this.#isOnline || !this.#isUp) return []
    if (record?.state === 'up' && record.epoch === this.#epoch) {
      this.#readSeq = Math.max(this.#readSeq, record.seq)
      this.#doubtAt = Number.POSITIVE_INFINITY
      return []
    }
    if (this.#readSeq === this.#upSeq) return this.#all(now)
    // What was on its way before the last `up` is no news: that one should come behind it.
    if (retained) this.#doubtAt = now + DOUBT_MS
    return []
  }

  // --------------------------------------------------------------------------------------- records

  #member(member: OwnMember, now: number): Write[] {
    const { connection, prefix, recordTtl } = this.terms
    const client = member.client ?? this.#clientId
    const topic = memberTopic(prefix, member.space, { client, connection })
    const write = (payload: string, seq: number, isLast: boolean): Write => {
      member.open++
      member.lastSeq = seq
      member.writtenAt = now
      member.topic = topic
      const version = isLast ? member.version : 0
      const expiry = payload === '' ? 0 : recordTtl
      return { topic, payload, expiry, epoch: this.#epoch, seq, member, version }
    }
    if (member.isIn) {
      const lookAt = now + (recordTtl * HALF_MS) / 2
      if (recordTtl > 0) this.#lookAt = Math.min(this.#lookAt, lookAt)
      const seq = ++this.#seq
      const head = { epoch: this.#epoch, seq, left: false }
      return [write(writeMember(head, member.dataText), seq, true)]
    }
    const { farewell } = member
    if (farewell === null) return []
    member.farewell = null
    const empty = () => write('', ++this.#seq, true)
    if (farewell === undefined) return [empty()]
    const seq = ++this.#seq
    const head = { epoch: this.#epoch, seq, left: true }
    return [write(writeMember(head, farewell), seq, false), empty()]
  }

  #connection(state: 'up' | 'down', now: number): Write {
    const { connection, prefix, ttl } = this.terms
    const epoch = this.#epoch
    const seq = ++this.#seq
    this.#isUp = state === 'up'
    this.#doubtAt = Number.POSITIVE_INFINITY
    this.#upSeq = seq
    this.#upAt = now
    const payload = writeConnection({ state, epoch, seq, client: this.#clientId, ttl })
    const topic = connectionTopic(prefix, connection)
    return { topic, payload, expiry: 2 * ttl, epoch, seq, member: null, version: 0 }
  }

  #drop(member: OwnMember): void {
    this.#members.delete(memberKey(member.space, member.client))
  }
}

function memberKey(space: string, client: string | null): string {
  return client === null ? JSON.stringify([space]) : JSON.stringify([space, client])
}
