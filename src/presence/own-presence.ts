/**
 * How does a client say that it is there? One for each client that was made with `withPresence()`:
 * it performs what own-records.ts decides, for all spaces, and settles the promises of those who
 * enter and leave.
 *
 * Its timer runs as the keep-alive of the connection does, also while nobody awaits anything: to
 * have entered is a promise to others. It keeps no process alive.
 */
import type { ClientHost, ClientListener, Published } from '../client/index.ts'
import {
  type ConnackPacket,
  type IncomingPublish,
  type PublishRequest,
  RefusedError,
  UsageError,
  validateTopic,
} from '../index.ts'
import { watchBounds } from './call-bounds.ts'
import { type EnteringPresence, type OwnCall, OwnCalls } from './own-calls.ts'
import { OwnRecords } from './own-records.ts'
import type { OwnMember, OwnTerms, OwnWish, Write } from './own-steps.ts'
import type { ConnectionTerms } from './presence-checks.ts'
import { endedMeanwhile, keepsNothing, tellUnread } from './presence-errors.ts'
import { PresenceTimer } from './presence-timer.ts'
import type { CallBounds } from './presence-types.ts'
import { connectionTopic, memberTopic, readConnection } from './records.ts'

/** Who calls, and for how long. */
interface OwnCaller {
  readonly owner: EnteringPresence
  /** The name of the method, for messages. */
  readonly what: string
  readonly bounds: CallBounds
}

export class OwnPresence {
  readonly terms: ConnectionTerms
  readonly connection: string
  /** Whether the will of the connection is another one, so that only leases tell of a loss. */
  hasOtherWill = false
  readonly #records: OwnRecords
  #host: ClientHost | null = null
  readonly #calls = new OwnCalls()
  readonly #owners = new Map<OwnMember, Set<EnteringPresence>>()
  #listener: ClientListener | null = null
  #timer: PresenceTimer | null = null
  /** Records without an outcome. */
  readonly #open = new Set<Write>()
  /** Who waits for the outcome of which record. */
  readonly #whenWritten = new Map<Write, () => void>()
  /** The client closes, and waits for what it owes. */
  #whenChanged = () => {}
  /** The attempt whose connection has got its first records, or needs none. */
  #bornOn = 0
  #hasTold = false
  #end: { readonly error: unknown } | null = null

  constructor(connection: string, terms: ConnectionTerms) {
    this.connection = connection
    this.terms = terms
    const own: OwnTerms = { connection, ...terms }
    this.#records = new OwnRecords(own)
  }

  /**
   * Takes the client whose options these are.
   * @throws UsageError if another client has them, too.
   */
  attach(host: ClientHost): void {
    if (this.#host === host) return
    if (this.#host !== null) {
      const message = 'presence: the options of one withPresence() are for one client'
      throw new UsageError(`${message}; call it for each client`)
    }
    this.#host = host
    this.#timer = new PresenceTimer(host.platform, () => this.#refresh(host))
    if (host.isConnected) {
      this.#bornOn = host.attempt
      this.#records.connected(host.attempt, host.clientId, host.platform.now())
    }
    host.onLost(() => this.#lost())
    host.onClose(() => this.leaveAll(null))
    host.onEnd((error) => this.#ended(error))
  }

  // ---------------------------------------------------------------- what the options of it ask for

  /** @returns the payload of the will of an attempt. */
  will(attempt: number, clientId: string | undefined): string {
    return this.#records.will(attempt, clientId ?? this.#host?.clientId ?? '')
  }

  /** There is a connection. @returns what is to be sent before everything else. */
  births(connack: ConnackPacket, attempt: number): PublishRequest[] {
    const host = this.#host
    if (host === null) return []
    this.#bornOn = attempt
    this.#whenChanged()
    const clientId = connack.properties?.assignedClientIdentifier ?? host.clientId
    if (connack.properties?.retainAvailable === false) {
      this.#calls.rejectAll(() => keepsNothing(), null)
      return []
    }
    const writes = this.#records.connected(attempt, clientId, host.platform.now())
    if (writes.length > 0) this.#tellLeasesOnly(host)
    const requests = writes.map((write) =>
      host.birth(this.#requestOf(write), this.#listenerOf(write)),
    )
    this.#arm()
    return requests
  }

  // ----------------------------------------------------------------------------------------- calls

  countIn(space: string): number {
    return this.#records.countIn(space)
  }

  enter(caller: OwnCaller, space: string, client: string | null, dataText: string | undefined) {
    const host = this.#host!
    if (host.limits?.retainAvailable === false) return Promise.reject(keepsNothing())
    this.#checkTopic(host, space, client)
    const [member, writes] = this.#records.enter(space, client, dataText, host.platform.now())
    const { owner } = caller
    const owners = this.#owners.get(member) ?? new Set()
    const isNewOwner = !owners.has(owner)
    this.#owners.set(member, owners.add(owner))
    this.#read(host)
    if (writes.length > 0) this.#tellLeasesOnly(host)
    const wish = { isIn: true, dataText, farewell: undefined }
    return this.#called(caller, member, wish, writes, (call) => {
      const isCurrent = call.version === member.version && call === this.#calls.of(member).at(-1)
      this.#calls.take(member, (one) => one === call)
      if (!isCurrent || this.#end !== null) return
      if (isNewOwner) owners.delete(owner)
      this.#takeBack(member)
    })
  }

  /** The last call about a member was given up: what it wrote is taken back. */
  #takeBack(member: OwnMember): void {
    const waiting = this.#calls.of(member)
    const before = waiting.at(-1)?.wish ?? null
    const writes = this.#records.takenBack(member, before, this.#host!.platform.now())
    // What the call has written may still have an outcome, which is not theirs.
    for (const one of waiting) one.version = member.version
    this.#post(writes)
    if (!member.isIn) this.#owners.delete(member)
    this.#readNoMore()
    this.#arm()
  }

  /** @throws UsageError if the names are too long together. */
  #checkTopic({ clientId }: ClientHost, space: string, client: string | null): void {
    const { connection, terms } = this
    const member = { client: client ?? clientId, connection }
    const problem = validateTopic(memberTopic(terms.prefix, space, member))
    if (problem === null) return
    throw new UsageError(`enter: the space and the client make no topic together: ${problem}`)
  }

  leave(
    caller: OwnCaller,
    space: string,
    client: string | null,
    farewell: string | undefined,
  ): Promise<void> {
    const now = this.#host!.platform.now()
    const left = this.#records.leave(space, client, farewell, now)
    if (left === null) return Promise.resolve()
    const [member, writes] = left
    this.#owners.delete(member)
    this.#readNoMore()
    // A leave that was given up stays in the list: the member leaves, whoever waits for it.
    const wish = { isIn: false, dataText: member.dataText, farewell }
    return this.#called(caller, member, wish, writes, () => {})
  }

  /**
   * Leaves with all whom the owner has entered, or all (null). Resolves when the server knows; if
   * there is no connection at once: then it is written after the next CONNACK, and calls of the
   * owner that wait are rejected.
   */
  async leaveAll(owner: EnteringPresence | null): Promise<void> {
    const host = this.#host
    if (host === null || this.#end !== null) return
    if (!this.#records.isOnline)
      this.#calls.rejectAll(() => endedMeanwhile('presence', null), owner)
    const now = host.platform.now()
    const written: Write[] = []
    for (const [member, owners] of this.#owners) {
      if (owner !== null) owners.delete(owner)
      if (owner !== null && owners.size > 0) continue
      this.#owners.delete(member)
      const left = this.#records.leave(member.space, member.client, undefined, now)
      written.push(...(left?.[1] ?? []))
    }
    this.#post(written)
    this.#readNoMore()
    this.#arm()
    if (owner !== null) return this.#outcomesOf(written)
    // Also over a loss: what the server is sent again after it is taken away again.
    const release = host.demand()
    while (this.#owes(host)) await new Promise<void>((resolve) => (this.#whenChanged = resolve))
    release()
  }

  /** Whether records have no outcome, or the connection has not got its first ones. */
  #owes({ isConnected, attempt }: ClientHost): boolean {
    if (this.#end !== null) return false
    return this.#open.size > 0 || (isConnected && attempt !== this.#bornOn && this.#records.owes)
  }

  /** Resolves when records have their outcomes, or the connection is lost. */
  async #outcomesOf(writes: readonly Write[]): Promise<void> {
    if (!this.#records.isOnline) return
    const outcome = (write: Write) =>
      new Promise<void>((resolve) => {
        const before = this.#whenWritten.get(write)
        this.#whenWritten.set(write, () => [before?.(), resolve()])
      })
    await Promise.all(writes.filter((write) => this.#open.has(write)).map(outcome))
  }

  #readNoMore(): void {
    if (this.#records.hasMembers) return
    this.#listener?.close()
    this.#listener = null
  }

  /** @returns a promise that is settled with the record that this call has caused. */
  #called(
    { owner, what, bounds }: OwnCaller,
    member: OwnMember,
    wish: OwnWish,
    writes: readonly Write[],
    givenUp: (call: OwnCall) => void,
  ): Promise<void> {
    const { version } = member
    const { platform } = this.#host!
    const endings = [this.#host!.demand()]
    const done = new Promise<void>((resolve, reject) => {
      const call: OwnCall = { owner, wish, version, resolve, reject }
      this.#calls.add(member, call)
      const end = watchBounds(platform, what, bounds, (reason) => {
        if (!this.#calls.of(member).includes(call)) return
        reject(reason)
        givenUp(call)
      })
      endings.push(end)
    }).finally(() => {
      for (const end of endings) end()
    })
    this.#post(writes)
    this.#arm()
    return done
  }

  // --------------------------------------------------------------------------------------- records

  #post(writes: readonly Write[]): void {
    for (const write of writes) this.#host!.post(this.#requestOf(write), this.#listenerOf(write))
  }

  #requestOf({ topic, payload, expiry }: Write): PublishRequest {
    const request = { cmd: 'publish', topic, payload, qos: 1, retain: true } as const
    const hasExpiry = expiry > 0 && this.#host!.protocolVersion === 5
    return hasExpiry ? { ...request, properties: { messageExpiryInterval: expiry } } : request
  }

  #listenerOf(write: Write) {
    this.#open.add(write)
    return {
      published: (_: Published) => this.#settled(write, null),
      failed: (error: unknown) => this.#settled(write, { error }),
    }
  }

  #settled(write: Write, failure: { readonly error: unknown } | null): void {
    const { member, version } = write
    this.#open.delete(write)
    if (member !== null && version > 0) {
      if (failure === null) this.#acknowledged(member, write)
      else this.#failed(member, write, failure.error)
    } else if (failure !== null) this.#tellRefused(failure.error)
    if (this.#end === null) {
      this.#post(this.#records.settled(write, this.#host!.platform.now()))
      this.#arm()
    }
    this.#whenWritten.get(write)?.()
    this.#whenWritten.delete(write)
    this.#whenChanged()
  }

  #acknowledged(member: OwnMember, write: Write): void {
    this.#records.acknowledged(write)
    for (const { resolve } of this.#calls.take(member, ({ version }) => version <= write.version))
      resolve()
  }

  /** A record will not be there: that of a call, or one that renews another. */
  #failed(member: OwnMember, write: Write, error: unknown): void {
    const waiting = this.#calls.take(member, ({ version }) => version <= write.version)
    if (waiting.length === 0) return this.#tellRefused(error)
    if (this.#end === null) {
      this.#post(this.#records.refused(write, this.#host!.platform.now()))
      if (!member.isIn) this.#owners.delete(member)
      this.#readNoMore()
    }
    for (const { reject } of waiting) reject(error)
  }

  #written(): void {
    const all = [...this.#whenWritten.values()]
    this.#whenWritten.clear()
    for (const resolve of all) resolve()
    this.#whenChanged()
  }

  #tellRefused(error: unknown): void {
    if (this.#end !== null || !(error instanceof RefusedError)) return
    const message = `presence: the server refuses a record of this client: ${error.message}`
    this.#host!.warn('PRESENCE_REFUSED', message)
  }

  #tellLeasesOnly(host: ClientHost): void {
    if (this.#hasTold || !this.hasOtherWill) return
    this.#hasTold = true
    const message =
      'presence: this client has a will of its own, so that others see its loss only when its' +
      ` ttl of ${this.terms.ttl} s has passed; leave out \`will\` to have it seen sooner`
    host.warn('PRESENCE_LEASES_ONLY', message)
  }

  // ---------------------------------------------------------------------- the own record, and time

  /** Reads what the server says of this connection. */
  #read(host: ClientHost): void {
    if (this.#listener !== null) return
    const topic = connectionTopic(this.terms.prefix, this.connection)
    const options = { qos: 1, retained: true } as const
    this.#listener = host.listen([topic], options, (packet) => this.#received(packet))
    this.#listener.granted.catch((error) => tellUnread(host, topic, this.terms.prefix, error))
  }

  #received({ payload, retain }: IncomingPublish): void {
    const record = payload.length === 0 ? null : readConnection(payload)
    if (record === null && payload.length > 0) return
    this.#post(this.#records.read(record, retain === true, this.#host!.platform.now()))
    this.#arm()
  }

  #arm(): void {
    this.#timer?.set(this.#end === null ? this.#records.dueAt : Number.POSITIVE_INFINITY)
  }

  #refresh(host: ClientHost): void {
    this.#post(this.#records.refresh(host.platform.now()))
    this.#arm()
  }

  #lost(): void {
    this.#records.lost()
    this.#arm()
    this.#written()
  }

  #ended(error: unknown): void {
    this.#end = { error }
    this.#records.lost()
    this.#arm()
    this.#written()
    this.#calls.rejectAll(() => endedMeanwhile('presence', error), null)
  }
}
