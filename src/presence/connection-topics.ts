/**
 * How are the records of connections read? The topic of each one that has a member here, as long as
 * they are few. With more, one filter for all connections: it brings connections of other spaces
 * too, but costs the server one subscription, and no SUBSCRIBE when somebody comes.
 */
import type { ClientHost, ClientListener } from '../client/index.ts'
import type { IncomingPublish } from '../index.ts'
import { connectionTopic } from './records.ts'

/** So many topics are subscribed one by one; their filters fit one SUBSCRIBE. */
const SINGLE_MAX = 512
const OPTIONS = { qos: 1, retained: true } as const

export class ConnectionTopics {
  readonly #host: ClientHost
  readonly #prefix: string
  readonly #take: (packet: IncomingPublish) => void
  readonly #failed: (error: unknown) => void
  /** The listener of each topic that is read; null: it is to be subscribed next. */
  readonly #topics = new Map<string, ClientListener | null>()
  #all: ClientListener | null = null
  /** In a sync: what was subscribed and not asked for by `takeFresh`. */
  #fresh: ClientListener[] = []
  #isSyncing = false
  #timer: unknown = null

  constructor(
    host: ClientHost,
    prefix: string,
    take: (packet: IncomingPublish) => void,
    failed: (error: unknown) => void,
  ) {
    this.#host = host
    this.#prefix = prefix
    this.#take = take
    this.#failed = failed
  }

  watch(connection: string): void {
    const topic = connectionTopic(this.#prefix, connection)
    if (this.#topics.has(topic)) return
    this.#topics.set(topic, null)
    if (this.#all !== null) return
    if (this.#topics.size > SINGLE_MAX) return this.#readAll()
    this.#timer ??= this.#host.platform.setTimer(() => this.#flush(), 0)
  }

  unwatch(connection: string): void {
    const topic = connectionTopic(this.#prefix, connection)
    this.#topics.get(topic)?.close([topic])
    this.#topics.delete(topic)
  }

  /** Asks again for everything, so that the server repeats what it has kept. */
  renew(): void {
    this.#isSyncing = true
    this.#fresh = []
    const before = new Set(this.#topics.values()).add(this.#all)
    if (this.#topics.size > SINGLE_MAX) this.#readAll()
    else {
      this.#all = null
      for (const topic of this.#topics.keys()) this.#topics.set(topic, null)
      this.#flush()
    }
    for (const listener of before) listener?.close()
  }

  /** Subscribes to what waits for it. @returns what was subscribed since the last call. */
  takeFresh(): ClientListener[] {
    this.#flush()
    return this.#fresh.splice(0)
  }

  /** The sync has ended: who comes later is not waited for, and not remembered. */
  allHaveCome(): void {
    this.#isSyncing = false
  }

  close(): void {
    this.#stopTimer()
    for (const listener of new Set(this.#topics.values())) listener?.close()
    this.#all?.close()
    this.#topics.clear()
    this.#all = null
    this.#fresh = []
  }

  #flush(): void {
    this.#stopTimer()
    if (this.#all !== null) return
    const topics = [...this.#topics].flatMap(([topic, is]) => (is === null ? [topic] : []))
    if (topics.length === 0) return
    const listener = this.#listen(topics)
    for (const topic of topics) this.#topics.set(topic, listener)
  }

  #readAll(): void {
    this.#stopTimer()
    const single = new Set(this.#topics.values())
    this.#all = this.#listen([connectionTopic(this.#prefix, '+')])
    for (const topic of this.#topics.keys()) this.#topics.set(topic, null)
    for (const listener of single) listener?.close()
  }

  #listen(filters: readonly string[]): ClientListener {
    const listener = this.#host.listen(filters, OPTIONS, this.#take)
    listener.granted.catch((error: unknown) => this.#failed(error))
    if (this.#isSyncing) this.#fresh.push(listener)
    return listener
  }

  #stopTimer(): void {
    if (this.#timer !== null) this.#host.platform.clearTimer(this.#timer)
    this.#timer = null
  }
}
