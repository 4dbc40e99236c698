/**
 * How is a space watched? It subscribes, gives the view what arrives and performs what the view
 * asks for. It begins when somebody first awaits something of it, and reads while somebody awaits.
 *
 * At each connection, and after a time in which nobody read, everything is asked for again, since
 * a server may drop what waits for too long: then the end of the sync tells who is not there any
 * more. (H5, a sync ends; H8, the costs of presence are bounded)
 */
import type { ClientHost, ClientListener } from '../client/index.ts'
import { type IncomingPublish, type PublishRequest, RefusedError } from '../index.ts'
import { withinBounds } from './call-bounds.ts'
import { ChangeReader } from './change-readers.ts'
import { ConnectionTopics } from './connection-topics.ts'
import { giveUpFormer } from './former-topics.ts'
import type { SpaceTerms } from './presence-checks.ts'
import {
  endedMeanwhile,
  isQuotaExceeded,
  keepsNothing,
  notSynced,
  syncOverdue,
  watchRefused,
} from './presence-errors.ts'
import { PresenceTimer } from './presence-timer.ts'
import type { CallBounds, Member, PresenceState, PresenceSynced } from './presence-types.ts'
import { ReadingPauses } from './reading-pauses.ts'
import { arrivalOf } from './record-arrival.ts'
import {
  connectionTopic,
  memberTopic,
  readConnection,
  readConnectionTopic,
  readMember,
  readMemberTopic,
  spaceTopic,
} from './records.ts'
import type { RecordArrival, ViewEffect, ViewInput } from './space-steps.ts'
import { SpaceView } from './space-view.ts'
import { SyncWaiters } from './sync-waiters.ts'

/** After so long without reading the server may have dropped something, in ms. */
const IDLE_MS = 30_000
/** A sync that failed is tried again after so long, then after twice as long each time, in ms. */
const SYNC_AGAIN_MS = 1000
const SYNC_AGAIN_MS_MAX = 30_000
/** A sync fails after so long, in ms: a server may leave a SUBSCRIBE without an answer. */
const SYNC_MS_MAX = 120_000

export class SpaceWatch {
  readonly #host: ClientHost
  readonly #prefix: string
  readonly #space: string
  readonly #maxData: number
  readonly #view: SpaceView
  readonly #topics: ConnectionTopics
  readonly #readers = new Set<ChangeReader>()
  readonly #waiters = new SyncWaiters()
  #unlisten: (() => void)[] = []
  #members: ClientListener | null = null
  #status: PresenceState['status'] = 'idle'
  #certainty: PresenceSynced['certainty'] = 'quiet'
  /** Whether there was ever a connection since this began. */
  #wasConnected = false
  /** The number of the sync under way. */
  #run = 0
  #syncDueAt = 0
  readonly #timer: PresenceTimer
  /** Begins a sync again that failed, while somebody reads. */
  readonly #retry: PresenceTimer
  /** How many syncs have failed since the last good one. */
  #failures = 0
  readonly #pauses = new ReadingPauses()
  #ignored = 0
  #end: { readonly error: unknown } | null = null

  constructor(host: ClientHost, prefix: string, space: string, terms: SpaceTerms) {
    this.#host = host
    giveUpFormer(host, prefix)
    this.#prefix = prefix
    this.#space = space
    this.#maxData = terms.maxData
    this.#view = new SpaceView(terms)
    this.#timer = new PresenceTimer(host.platform, (lateMs) => this.#look(lateMs))
    this.#retry = new PresenceTimer(host.platform, () => {
      if (this.#status === 'idle' && host.isConnected) void this.#sync()
    })
    this.#topics = new ConnectionTopics(
      host,
      prefix,
      (packet) => this.#connectionRecord(packet),
      (error) => this.#refused(error, error instanceof RefusedError),
    )
  }

  get state(): Omit<PresenceState, 'entered'> {
    const { members, records, connections, repeated, overflowed } = this.#view
    const counts = { ignored: this.#ignored, repeated, overflowed }
    return { members, records, connections, status: this.#status, ...counts }
  }

  list(): readonly Member[] {
    return this.#view.list()
  }

  // ------------------------------------------------------------------------------- those who wait

  /** Resolves when the members are known, and what the server had sent before was read. */
  async synced(bounds: CallBounds = {}): Promise<PresenceSynced> {
    this.begin()
    if (this.#end !== null) throw this.#end.error ?? endedMeanwhile('presence', null)
    // To demand it ends the time in which nobody read.
    const { isIdle } = this.#pauses
    const release = this.#host.demand()
    try {
      const { platform } = this.#host
      return await withinBounds(platform, 'get', bounds, (signal) =>
        this.#whenSynced(isIdle, signal),
      )
    } finally {
      release()
    }
  }

  async #whenSynced(isIdle: boolean, signal: AbortSignal): Promise<PresenceSynced> {
    if (this.#status === 'idle' && this.#failures > 0 && this.#host.isConnected) void this.#sync()
    if (this.#status === 'idle' || this.#status === 'syncing') return this.#waiters.wait(signal)
    if (!this.#host.isConnected) throw notSynced(this.#space, this.list())
    if (this.#status === 'lost') return this.#waiters.wait(signal)
    // It was read up to now, or the messages come before this one's own.
    if (isIdle) {
      await this.#host.roundTrip()
      this.#pauses.caughtUp()
      if (this.#status === 'synced') this.#look(0)
    }
    signal.throwIfAborted()
    if (this.#status === 'synced') return { certainty: this.#certainty }
    return this.#whenSynced(false, signal)
  }

  changes(): ChangeReader {
    return new ChangeReader(this)
  }

  join(reader: ChangeReader): readonly Member[] {
    this.begin()
    if (this.#end === null) {
      this.#readers.add(reader)
      return this.list()
    }
    reader.end(this.#end.error)
    return []
  }

  leave(reader: ChangeReader): void {
    this.#readers.delete(reader)
  }

  demand(): () => void {
    return this.#host.demand()
  }

  // ----------------------------------------------------------------------------------- connections

  begin(): void {
    if (this.#unlisten.length > 0 || this.#end !== null) return
    const host = this.#host
    if (!host.isRead) this.#pauses.begin(host.platform.now())
    this.#unlisten = [
      host.onConnected(() => this.#connected()),
      host.onLost(() => this.#lost()),
      host.onRead(() => this.#readingChanged()),
      host.onEnd((error) => this.#clientEnded(error)),
    ]
    if (host.isConnected) this.#connected()
  }

  #connected(): void {
    this.#wasConnected = true
    if (this.#host.limits?.retainAvailable === false) return this.#finish(keepsNothing())
    void this.#sync()
  }

  async #sync(): Promise<void> {
    const run = ++this.#run
    this.#status = 'syncing'
    this.#syncDueAt = this.#host.platform.now() + SYNC_MS_MAX
    this.#timer.stop()
    this.#retry.stop()
    this.#arm()
    const filter = `${spaceTopic(this.#prefix, this.#space)}+/+`
    const before = this.#members
    const options = { qos: 1, retained: true } as const
    const members = this.#host.listen([filter], options, (packet) => this.#memberRecord(packet))
    this.#members = members
    members.granted.catch((error: unknown) => {
      if (members === this.#members) this.#refused(error, isQuotaExceeded(error))
    })
    before?.close()
    this.#step({ type: 'syncBegins' })
    this.#topics.renew()
    try {
      const certainty = await this.#allHaveCome(members)
      if (run !== this.#run || this.#end !== null) return
      this.#status = 'synced'
      this.#failures = 0
      this.#certainty = certainty
      this.#step({ type: 'syncEnds', certainty, at: this.#host.platform.now() })
      this.#arm()
      this.#waiters.resolve({ certainty })
    } catch (error) {
      if (run !== this.#run || this.#end !== null) return
      this.#syncFailed(watchRefused(this.#space, this.#prefix, error))
    }
  }

  /** Whoever asks next tries again, and else it is tried later: who reads changes asks nothing. */
  #syncFailed(error: unknown): void {
    this.#run++
    this.#status = 'idle'
    this.#failures++
    this.#timer.stop()
    this.#step({ type: 'syncFails' })
    this.#retryLater()
    this.#waiters.reject(error)
  }

  /**
   * When all members have come, their connections are known and subscribed; when the records of
   * these have come too, that is all. Who enters meanwhile is there by what it publishes: to wait
   * for its connection too would never end where somebody always enters.
   */
  async #allHaveCome(members: ClientListener): Promise<PresenceSynced['certainty']> {
    await members.granted
    await this.#host.roundTrip()
    const { certainty } = await this.#host.synced([members, ...this.#topics.takeFresh()])
    const found = this.#topics.takeFresh()
    if (found.length > 0) await this.#host.synced(found)
    this.#topics.allHaveCome()
    return certainty
  }

  #retryLater(): void {
    if (this.#failures === 0 || !this.#host.isRead) return
    const ms = Math.min(SYNC_AGAIN_MS_MAX, SYNC_AGAIN_MS * 2 ** (this.#failures - 1))
    this.#retry.set(this.#host.platform.now() + ms)
  }

  #lost(): void {
    if (!this.#wasConnected || this.#end !== null) return
    this.#run++
    this.#status = 'lost'
    this.#timer.stop()
    this.#retry.stop()
    this.#step({ type: 'syncBegins' })
    if (this.#waiters.length > 0) this.#waiters.reject(notSynced(this.#space, this.list()))
  }

  #readingChanged(): void {
    const now = this.#host.platform.now()
    if (!this.#host.isRead) {
      this.#pauses.begin(now)
      this.#retry.stop()
      return this.#timer.stop()
    }
    const idleMs = this.#pauses.end(now)
    if (this.#status === 'idle') return this.#retryLater()
    if (this.#status !== 'synced') return this.#arm()
    if (idleMs >= IDLE_MS && this.#host.isConnected) return void this.#sync()
    this.#arm()
  }

  // --------------------------------------------------------------------------------------- records

  #memberRecord(packet: IncomingPublish): void {
    const begin = spaceTopic(this.#prefix, this.#space)
    const topic = readMemberTopic(begin, packet.topic)
    const isEmpty = packet.payload.length === 0
    const record = isEmpty ? null : readMember(packet.payload, this.#maxData)
    if (topic === null || (record === null && !isEmpty)) {
      this.#ignored++
      return
    }
    this.#step({ type: 'member', topic, record, arrival: this.#arrivalOf(packet, 0) })
  }

  #connectionRecord(packet: IncomingPublish): void {
    const connection = readConnectionTopic(this.#prefix, packet.topic)
    const isEmpty = packet.payload.length === 0
    const record = isEmpty ? null : readConnection(packet.payload)
    if (connection === null || (record === null && !isEmpty)) {
      this.#ignored++
      return
    }
    const arrival = this.#arrivalOf(packet, record?.ttl ?? 0)
    this.#step({ type: 'connection', connection, record, arrival })
  }

  #arrivalOf(packet: IncomingPublish, ttl: number): RecordArrival {
    const { platform, profile } = this.#host
    return arrivalOf(packet, platform.now(), ttl, profile.retainedExpires === true)
  }

  #step(input: ViewInput): void {
    if (this.#end !== null) return
    for (const effect of this.#view.step(input)) this.#perform(effect)
    this.#arm()
  }

  #perform(effect: ViewEffect): void {
    switch (effect.type) {
      case 'change':
        for (const reader of this.#readers) reader.push(effect.change)
        return
      case 'watch':
        return this.#topics.watch(effect.connection)
      case 'unwatch':
        return this.#topics.unwatch(effect.connection)
      case 'clear':
        return this.#clear(effect)
      case 'full': {
        const message = `presence: ${this.#space} has more members than maxMembers allows to keep`
        return this.#host.warn('PRESENCE_FULL', message)
      }
    }
  }

  #clear({ members, connection }: Extract<ViewEffect, { type: 'clear' }>): void {
    const topics = members.map((member) => memberTopic(this.#prefix, this.#space, member))
    const failed = (error: unknown) => {
      const message = `presence: the server lets no janitor remove records: ${error}`
      if (this.#host.isOpen) this.#host.warn('PRESENCE_REFUSED', message)
    }
    for (const topic of [...topics, connectionTopic(this.#prefix, connection)]) {
      const request: PublishRequest = { cmd: 'publish', topic, payload: '', qos: 1, retain: true }
      this.#host.post(request, { published() {}, failed })
    }
  }

  // ------------------------------------------------------------------------------------------ time

  #arm(): void {
    if (!this.#host.isRead) return
    if (this.#status === 'syncing') this.#timer.set(this.#syncDueAt)
    if (this.#status !== 'synced') return
    this.#timer.set(Math.max(this.#view.dueAt, this.#pauses.heldUntil))
  }

  /** After a time in which this process stood still, signs wait in its sockets: they come first. */
  #look(lateMs: number): void {
    const at = this.#host.platform.now()
    if (this.#status === 'syncing' && at >= this.#syncDueAt) {
      return this.#syncFailed(syncOverdue(this.#space))
    }
    this.#pauses.late(at, lateMs)
    if (at >= this.#pauses.heldUntil) this.#step({ type: 'time', at })
    this.#arm()
  }

  // --------------------------------------------------------------------------------------- the end

  /**
   * The server refuses a subscription.
   * @param isDoubt whether the watch goes on: who is there is uncertain then, until it is granted.
   */
  #refused(cause: unknown, isDoubt: boolean): void {
    const error = watchRefused(this.#space, this.#prefix, cause)
    if (!isDoubt) return this.#finish(error)
    if (this.#end !== null) return
    if (this.#failures === 0) {
      const message = `presence: it is not certain who is in ${this.#space}; it is tried again`
      this.#host.warn('PRESENCE_REFUSED', `${message}: ${(error as Error).message}`)
    }
    // A sync under way fails by itself.
    if (this.#status === 'synced') this.#syncFailed(error)
  }

  #clientEnded(error: unknown): void {
    this.#finish(error === null ? null : endedMeanwhile('presence', error))
  }

  close(): void {
    this.#finish(null)
  }

  #finish(error: unknown): void {
    if (this.#end !== null) return
    this.#end = { error }
    this.#status = 'idle'
    this.#timer.stop()
    this.#retry.stop()
    this.#members?.close()
    this.#topics.close()
    for (const unlisten of this.#unlisten.splice(0)) unlisten()
    this.#waiters.reject(error ?? endedMeanwhile('presence', null))
    for (const reader of this.#readers) reader.end(error)
    this.#readers.clear()
  }
}
