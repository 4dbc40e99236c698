/**
 * How are requests answered by services with a wire of their own, such as the shadows of AWS IoT?
 * Each of their topics is subscribed once, and stays so, because services limit how often one
 * subscribes, and how many subscriptions one has.
 */
import type { IncomingPublish } from '../../index.ts'
import type { Core, Listener } from '../core.ts'
import type { AnswerTopic } from '../request-types.ts'
import type { GivenAnswer } from './answers.ts'
import { STATUS } from './statuses.ts'
import type { AnswerWaiter } from './waiter.ts'

/** How many topics stay subscribed when nobody waits at them; AWS IoT has 50 for a connection. */
const IDLE_TOPICS_MAX = 25

interface TopicEntry {
  readonly listener: Listener
  /** Those who wait at the topic, oldest first, and whether a message says that it went well. */
  readonly waiters: Map<AnswerWaiter, boolean>
}

export class AnswerTopics {
  readonly #core: Core
  readonly #entries = new Map<string, TopicEntry>()
  /** Those who wait at any topic. */
  readonly #waiters = new Set<AnswerWaiter>()

  constructor(core: Core) {
    this.#core = core
  }

  /** Calls `granted` when all topics are, or rejects the waiter; neither after `remove`. */
  add(waiter: AnswerWaiter, topics: readonly AnswerTopic[], granted: () => void): void {
    this.#waiters.add(waiter)
    const grants = topics.map(({ topic, ok }) => {
      const entry = this.#entries.get(topic) ?? this.#open(topic)
      // The topic that was used last is the last to be given up.
      this.#entries.delete(topic)
      this.#entries.set(topic, entry)
      entry.waiters.set(waiter, ok)
      return entry.listener.granted
    })
    Promise.all(grants).then(
      () => {
        if (this.#waiters.has(waiter)) granted()
      },
      (error: unknown) => {
        if (this.#waiters.has(waiter)) waiter.reject(error)
      },
    )
  }

  remove(waiter: AnswerWaiter): void {
    this.#waiters.delete(waiter)
    let idle = 0
    for (const { waiters } of this.#entries.values()) {
      waiters.delete(waiter)
      if (waiters.size === 0) idle++
    }
    for (const [topic, { listener, waiters }] of this.#entries) {
      if (idle <= IDLE_TOPICS_MAX) return
      if (waiters.size > 0) continue
      this.#entries.delete(topic)
      listener.close()
      idle--
    }
  }

  reconnected(): void {
    for (const waiter of [...this.#waiters]) waiter.reconnected()
  }

  /** @returns those who wait. */
  clear(): readonly AnswerWaiter[] {
    return [...this.#waiters]
  }

  #open(topic: string): TopicEntry {
    const waiters = new Map<AnswerWaiter, boolean>()
    const listener = this.#core.listen(topic, 1, (packet) => {
      for (const [waiter, ok] of waiters) {
        if (!answers(packet, waiter)) continue
        waiter.answered(foreignAnswer(packet, ok))
        return
      }
    })
    // A topic that was refused may be granted later.
    listener.granted.catch(() => this.#entries.delete(topic))
    return { listener, waiters }
  }
}

/** A message that the user's function cannot read belongs to somebody else. */
function answers(packet: IncomingPublish, { ask }: AnswerWaiter): boolean {
  try {
    return ask.rare?.correlate?.(packet) ?? true
  } catch {
    return false
  }
}

/** A message of a service with a wire of its own, as an answer. */
function foreignAnswer({ payload, properties }: IncomingPublish, ok: boolean): GivenAnswer {
  return {
    status: ok ? STATUS.done : STATUS.declared,
    code: undefined,
    message: undefined,
    seq: -1,
    last: false,
    control: undefined,
    payload,
    properties,
  }
}
