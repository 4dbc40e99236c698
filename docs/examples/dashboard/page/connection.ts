/**
 * The connection of the page: one client, its subscription, and what became of both. The page looks
 * at this object a few times a second; it need not be told of changes.
 */
import { browserHints, type Transition } from 'it-mqtt'
import { type Client, createClient, type Subscription } from 'it-mqtt/client'
import type { Settings } from './settings.ts'
import { Topics } from './topics.ts'

const CHANGES_MAX = 200
const SENT_MAX = 6
/** Messages at QoS 0 that wait while the page has other things to do; the oldest are dropped. */
const WAITING_MAX = 20_000

export interface Change extends Pick<Transition, 'from' | 'to' | 'reason' | 'sessionPresent'> {
  /** In ms since 1970. */
  readonly at: number
}

/** A publish from the form. */
export interface Sent {
  readonly topic: string
  readonly text: string
  readonly at: number
  /** `open` until there is an outcome. */
  status: 'open' | 'ok' | 'failed'
  /** After how many ms there was an outcome. */
  ms: number
  problem: string
}

/** The loop's clock as that of the wall. */
const wallTime = (at: number): number => performance.timeOrigin + at

export class Connection {
  readonly settings: Settings
  readonly topics = new Topics()
  readonly since = Date.now()
  /** The newest first. */
  changes: Change[] = []
  sent: Sent[] = []
  /** Why the client or its subscription ended; empty while they live. */
  problem = ''
  readonly #client: Client
  #subscription: Subscription | null = null

  /** @throws UsageError for settings that cannot be used. */
  constructor(settings: Settings) {
    this.settings = settings
    const { url, username, password, protocolVersion } = settings
    this.#client = createClient({
      url,
      ...(username === '' ? {} : { username, password }),
      ...(protocolVersion === 0 ? {} : { protocolVersion }),
      networkHints: browserHints(),
      reconnect: { when: 'always', minMs: 500, maxMs: 10_000 },
    })
    this.#follow().catch((error: unknown) => this.#end(error))
    try {
      this.#receive()
    } catch (error) {
      void this.close()
      throw error
    }
  }

  get state(): Client['state'] {
    return this.#client.state
  }

  /** When the next attempt is due, in ms since 1970; null if none is. */
  get retryAt(): number | null {
    const { retryAt } = this.state.connection
    return retryAt === null ? null : wallTime(retryAt)
  }

  get dropped(): number {
    return this.#subscription?.state.dropped ?? 0
  }

  #receive(): void {
    const filters = this.settings.filter.split(/[\s,]+/).filter((filter) => filter !== '')
    const { qos } = this.settings
    const options = { qos, acks: 'receipt', overflow: { max: WAITING_MAX } } as const
    const subscription = this.#client.subscribe(filters, options)
    this.#subscription = subscription
    subscription
      .forEach((message) => {
        this.topics.receive(message, Date.now())
      })
      .catch((error: unknown) => this.#end(error))
  }

  async #follow(): Promise<void> {
    for await (const { from, to, reason, sessionPresent, at } of this.#client.transitions()) {
      this.changes.unshift({ from, to, reason, sessionPresent, at: wallTime(at) })
      this.changes.length = Math.min(this.changes.length, CHANGES_MAX)
    }
  }

  #end(error: unknown): void {
    this.problem ||= error instanceof Error ? error.message : String(error)
  }

  /** Publishes now, or as soon as there is a connection. */
  async publish(
    topic: string,
    text: string,
    options: { readonly qos: 0 | 1 | 2; readonly retain: boolean },
  ): Promise<void> {
    const startedAt = performance.now()
    const sent: Sent = { topic, text, at: Date.now(), status: 'open', ms: 0, problem: '' }
    this.sent = [sent, ...this.sent].slice(0, SENT_MAX)
    try {
      await this.#client.publish(topic, text, options)
      sent.status = 'ok'
    } catch (error) {
      sent.status = 'failed'
      sent.problem = error instanceof Error ? error.message : String(error)
    }
    sent.ms = performance.now() - startedAt
  }

  /** Ends the wait for the next attempt, or connects again. */
  reconnect(): void {
    this.#client.reconnect()
  }

  async close(): Promise<void> {
    await this.#client.close({ timeout: 1000 })
  }
}
