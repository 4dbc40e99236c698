/**
 * What passes between the members and the broker: which connection of presence belongs to which
 * process, what each of its records says, and what each process has been sent. The records are read
 * here by a few lines of their own, so that a mistake of the code under test is not believed.
 */
import type { PacketRecord } from '../../../src/testing/index.ts'
import type { MemberProcess } from './presence-program.ts'

export const PREFIX = 'presence'

export interface ParsedRecord {
  readonly epoch: number
  /** 0 in a will. */
  readonly seq: number
  readonly state: string
  readonly ttl: number
  readonly n: number
  readonly left: boolean
}

/** @returns what a valid record says, or null. */
export function parsed(payload: unknown): ParsedRecord | null {
  try {
    const value = JSON.parse(Buffer.from(payload as Uint8Array).toString())
    if (value?.v !== 1 || !isCount(value.epoch)) return null
    const { epoch, seq = 0, state = '', ttl = 0, data, left = false } = value
    if (state === 'lost' ? seq !== 0 : !isCount(seq)) return null
    return { epoch, seq, state, ttl, n: data?.n ?? 0, left }
  } catch {
    return null
  }
}

function isCount(value: unknown): boolean {
  return Number.isSafeInteger(value) && (value as number) >= 1
}

/** @returns the connection of `presence/c/{connection}`, or null. */
export function connectionOf(topic: string): string | null {
  return /^presence\/c\/([0-9a-f]{24})$/.exec(topic)?.[1] ?? null
}

/** @returns the connection of `presence/s/{space}/{client}/{connection}`, or null. */
export function memberOf(topic: string): string | null {
  return /^presence\/s\/[^/]+\/[^/]+\/([0-9a-f]{24})$/.exec(topic)?.[1] ?? null
}

/** The newest that a process was told of a connection. */
export interface Told {
  epoch: number
  seq: number
  state: string
  ttl: number
  /** The last epoch whose will came: each counts once, and a repetition is left to the lease. */
  willOf: number
  /** When the newest `up` came. */
  signAt: number
  /** When the newest record of any kind came. */
  at: number
  /** Whether the process has acknowledged it. What it has not may have gone into a dead link. */
  isRead: boolean
}

/** What is known of one connection object. */
export interface Known {
  readonly process: MemberProcess
  /** The epoch in the will of the latest CONNECT. */
  epoch: number
  /** The records that left, by epoch and seq. */
  readonly sent: Map<string, string>
  /** Records that left, whatever they are about. */
  records: number
  /** When its process died or ended; Infinity while it lives. */
  endedAt: number
  /** Whether the will of its last connection comes as the standard says. */
  isWillSure: boolean
}

export class Wire {
  readonly known = new Map<string, Known>()
  /** What was sent to anybody and has no PUBACK yet. */
  readonly #unread = new Map<string, Told>()
  readonly #report: (id: string, what: string) => void
  readonly #now: () => number

  constructor(now: () => number, report: (id: string, what: string) => void) {
    this.#now = now
    this.#report = report
  }

  /** A CONNECT came: its will says which connection object it is. (T6, H4) */
  connected(process: MemberProcess, record: PacketRecord): void {
    const { will } = record.packet as { will?: { topic: string; payload: Uint8Array } }
    const connection = connectionOf(will?.topic ?? '')
    const says = parsed(will?.payload)
    if (connection === null || says?.state !== 'lost') {
      this.#report('H2', `${process.name} connects without a will of presence`)
      return
    }
    process.connection ??= connection
    if (process.connection !== connection) {
      this.#report('H1', `${process.name} is ${connection} now, and was ${process.connection}`)
    }
    const known = this.known.get(connection)
    if (known === undefined) {
      this.known.set(connection, {
        ...{ process, epoch: says.epoch, sent: new Map(), records: 0 },
        ...{ endedAt: Number.POSITIVE_INFINITY, isWillSure: true },
      })
      return
    }
    if (known.process !== process) this.#report('H1', `two processes are ${connection}`)
    if (says.epoch <= known.epoch) {
      this.#report('H1', `the will of ${process.name} has epoch ${says.epoch} again`)
    }
    known.epoch = says.epoch
    known.isWillSure = true
  }

  /** A record left a process: it has an epoch and a seq of its own. (H1) */
  sent(process: MemberProcess, record: PacketRecord): void {
    const { topic, payload } = record.packet as { topic: string; payload: Uint8Array }
    const connection = connectionOf(topic) ?? memberOf(topic)
    const known = this.known.get(connection ?? '')
    if (known === undefined) return
    // A janitor clears the records of others, once for each space that it watches.
    if (payload.length > 0) known.records++
    // What a process left in its session leaves with the next one. Janitors remove records.
    if (known.process !== process || payload.length === 0) return
    const says = parsed(payload)
    if (says === null) return this.#report('H7', `${process.name} sends ${Buffer.from(payload)}`)
    const { epoch, seq, state } = says
    if (state === 'lost') return this.#report('H2', `${process.name} says that it is lost`)
    // Records are repeated, also after later ones; but each (epoch, seq) is one record.
    const place = `${epoch}.${seq}`
    const text = `${topic} ${Buffer.from(payload)}`
    const before = known.sent.get(place) ?? text
    known.sent.set(place, text)
    if (before !== text) this.#report('H1', `${process.name} sends ${text} after ${before}`)
  }

  /** A process was sent a record of a connection, or of one of its members. */
  told(process: MemberProcess, record: PacketRecord): void {
    const { topic, payload } = record.packet as { topic: string; payload: Uint8Array }
    const connection = connectionOf(topic)
    const says = parsed(payload)
    if (says === null) return
    const { retain } = record.packet as { retain?: boolean }
    const standing = process.told.get(connection ?? '')
    // What a process left in its session says `up` again after its will. Who had not heard of the
    // will finds only that, and the lease must end it.
    const isLeft = retain === true && says.state === 'up' && standing?.epoch === says.epoch
    // The copy before it may have gone into a link that was dead, so that this one is news.
    const isRepeat = says.state === 'up' && standing !== undefined && isSame(says, standing)
    const isBack = (isLeft && process.setup.memory !== 'none') || isRepeat
    if (isBack && standing?.state === 'lost') {
      standing.state = 'up'
      standing.signAt = this.#now()
    }
    const name = connection ?? memberOf(topic)
    if (name === null) return
    // It may be the first copy that arrives: the one before went into a link that was dead.
    const told = process.told.get(name)
    const isUnread = told?.state === 'up' && !told.isRead && isSame(told, says)
    if (isUnread) told.signAt = this.#now()
    this.#take(process, name, connection === null, says)
    const newest = process.told.get(name)
    const isTaken = newest !== undefined && (isUnread || newest !== told)
    if (isTaken) this.#unread.set(placeOf(record), newest)
  }

  /** A process acknowledges what it was sent. */
  acknowledged(record: PacketRecord): void {
    const told = this.#unread.get(placeOf(record))
    if (told !== undefined) told.isRead = true
    this.#unread.delete(placeOf(record))
  }

  #take(process: MemberProcess, name: string, isMember: boolean, says: ParsedRecord): void {
    if (!isMember) return this.#toldOf(process, name, outdated(process, name, says) ?? says)
    const before = process.told.get(name)
    if (before === undefined) {
      const shown = process.toldOfMembers.get(name)
      if (shown === undefined || isAfter(says, shown)) process.toldOfMembers.set(name, says)
      return
    }
    // A member's record is a sign, too, also of who was down and enters again before it says `up`;
    // it takes no loss back but with a newer epoch.
    if (!isAfter(says, before)) return
    if (before.state === 'lost' && says.epoch === before.epoch) return
    this.#toldOf(process, name, { ...says, state: 'up', ttl: before.ttl })
  }

  #toldOf(process: MemberProcess, connection: string, says: ParsedRecord): void {
    const before = process.told.get(connection)
    const { epoch, seq, state, ttl } = says
    const isWill = state === 'lost' && epoch === before?.epoch && epoch !== before.willOf
    if (before !== undefined && !isWill && !isAfter(says, before)) return
    const willOf = state === 'lost' ? epoch : (before?.willOf ?? 0)
    const at = this.#now()
    const signAt = state === 'up' ? at : (before?.signAt ?? Number.NEGATIVE_INFINITY)
    // A will has no seq: an `up` of its epoch counts again only if it is newer than all before.
    const count = state === 'lost' && before?.epoch === epoch ? before.seq : seq
    const told = { epoch, seq: count, state, ttl, willOf, signAt, at, isRead: false }
    process.told.set(connection, told)
  }
}

/**
 * The records of members come before that of their connection. The first one of the connection may
 * then be older than they are: most often it is the will of an epoch before, published late over
 * the `up` of now. By H1 it changes nothing, so the connection counts as up, for its `ttl` at most:
 * if it lives, its client writes `up` again (H3), and else the lease or the right will ends it.
 * @returns what the members have shown, if it is newer than the record; else null.
 */
function outdated(
  process: MemberProcess,
  connection: string,
  says: ParsedRecord,
): ParsedRecord | null {
  const shown = process.toldOfMembers.get(connection)
  const isFirst = !process.told.has(connection)
  if (!isFirst || shown === undefined || shown.epoch <= says.epoch) return null
  return { ...shown, state: 'up', ttl: says.ttl }
}

type Place = Pick<ParsedRecord, 'epoch' | 'seq'>

function isSame(says: Place, before: Place): boolean {
  return says.epoch === before.epoch && says.seq === before.seq
}

/** @returns the connection of the broker and the Packet Identifier. */
function placeOf({ connection, packet }: PacketRecord): string {
  return `${connection}/${packet.messageId}`
}

function isAfter(says: Place, before: Place): boolean {
  return says.epoch > before.epoch || (says.epoch === before.epoch && says.seq > before.seq)
}
