/**
 * How are the records of connections read? The topic of each one that has a member here, as long as
 * they are few. With more, one filter for all connections: it brings connections of other spaces
 * too, but costs the server one subscription, and no SUBSCRIBE when somebody comes. A server that
 * refuses that filter is asked for the topics one by one after all.
 */
import type { ClientHost, ClientListener } from '../client/index.ts'
import { type IncomingPublish, RefusedError } from '../index.ts'
import { isQuotaExceeded } from './presence-errors.ts'
import { connectionTopic } from './records.ts'

/** So many topics are subscribed one by one, and so many filters one SUBSCRIBE has. */
const SINGLE_MAX = 512
const OPTIONS = { qos: 1, retained: true } as const

export class ConnectionTopics {
  readonly #host: ClientHost
  readonly #prefix: string
  readonly #take: (packet: IncomingPublish) => void
  readonly #refused: (error: unknown) => void
  /** The listener of each topic that is read; null: it is to be subscribed next. */
  readonly #topics = new Map<string, ClientListener | null>()
  #all: ClientListener | null = null
  /** Why the server has refused the filter for all; null: it has not. */
  #refusal: RefusedError | null = null
  #hasTold = false
  /** In a sync: what was subscribed and not asked for by `takeFresh`. */
  #fresh: ClientListener[] = []
  #isSyncing = false
  #timer: unknown = null

  constructor(
    host: ClientHost,
    prefix: string,
    take: (packet: IncomingPublish) => void,
    refused: (error: unknown) => void,
  ) {
    this.#host = host
    this.#prefix = prefix
    this.#take = take
    this.#refused = refused
  }

  watch(connection: string): void {
    const topic = connectionTopic(this.#prefix, connection)
    if (this.#topics.has(topic)) return
    this.#topics.set(topic, null)
    if (this.#all !== null) return
    if (this.#readsAll) return this.#readAll()
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
    if (isQuotaExceeded(this.#refusal)) this.#refusal = null
    const before = new Set(this.#topics.values()).add(this.#all)
    if (this.#readsAll) this.#readAll()
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
    for (let i = 0; i < topics.length; i += SINGLE_MAX) {
      const some = topics.slice(i, i + SINGLE_MAX)
      const listener = this.#host.listen(some, OPTIONS, this.#take)
      for (const topic of some) this.#topics.set(topic, listener)
      listener.granted.catch((error: unknown) => {
        if (some.some((topic) => this.#topics.get(topic) === listener)) this.#refused(error)
      })
      if (this.#isSyncing) this.#fresh.push(listener)
    }
  }

  get #readsAll(): boolean {
    return this.#topics.size > SINGLE_MAX && this.#refusal === null
  }

  #readAll(): void {
    this.#stopTimer()
    const single = new Set(this.#topics.values())
    const all = this.#host.listen([connectionTopic(this.#prefix, '+')], OPTIONS, this.#take)
    this.#all = all
    const granted = all.granted.catch((error: unknown) => this.#allRefused(all, error))
    // A sync goes on with the topics that are asked for in place of the filter.
    if (this.#isSyncing) this.#fresh.push(withGrant(all, granted))
    for (const topic of this.#topics.keys()) this.#topics.set(topic, null)
    for (const listener of single) listener?.close()
  }

  #allRefused(all: ClientListener, error: unknown): void {
    if (this.#all !== all) return
    if (!(error instanceof RefusedError)) return this.#refused(error)
    all.close()
    this.#all = null
    this.#refusal = error
    this.#flush()
    if (this.#hasTold) return
    this.#hasTold = true
    const message = 'presence: connections are read one by one, which takes many subscriptions'
    this.#host.warn('PRESENCE_REFUSED', `${message}: ${error.message}`)
  }

  #stopTimer(): void {
    if (this.#timer !== null) this.#host.platform.clearTimer(this.#timer)
    this.#timer = null
  }
}

/** @returns a listener as it is, but for when it counts as granted. */
function withGrant(listener: ClientListener, granted: Promise<void>): ClientListener {
  return {
    granted,
    get retained() {
      return listener.retained
    },
    get retainedAt() {
      return listener.retainedAt
    },
    close: (filters) => listener.close(filters),
  }
}
