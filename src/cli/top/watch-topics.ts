/**
 * How do messages get into the tree of topics, and when does that end? The screen and the lines of
 * NDJSON both use this.
 *
 * A message with the retain flag is one that the server kept (it sends those as it takes a
 * subscription) or, with Retain As Published, one that was just published. To tell the two apart,
 * the filters are subscribed to twice: the first SUBSCRIBE brings what is retained; the second
 * replaces it and brings nothing by itself, and its identifier comes with each message that is
 * published afterwards. This needs MQTT 5. (mosquitto 2.0.11 leaves Retain As Published as it was
 * when a subscription is replaced, so both ask for it.)
 */
import { setImmediate } from 'node:timers/promises'
import { type Pushable, pushable } from 'it-pushable'
import {
  type Eventloop,
  eventloop,
  type IncomingPublish,
  type Outcome,
  publish,
  type Request,
  type SubscribeRequest,
  type Subscription,
  subscribe,
  UsageError,
} from '../../index.ts'
import { checkFlags } from '../check-flags.ts'
import { FAILED, TIMED_OUT } from '../exit-codes.ts'
import { printable, say } from '../fail.ts'
import {
  type ConnectionFlags,
  connectionOptions,
  protocolVersionOf,
  qosFlag,
  topicOfUrl,
} from '../flags.ts'
import { Interrupt } from '../interrupt.ts'
import { propertiesOf } from '../property-flags.ts'
import { selectorOf } from '../receive-flags.ts'
import { type TopicNode, Traffic } from './traffic.ts'

export interface TopFlags extends ConnectionFlags {
  readonly topic?: readonly string[]
  readonly qos?: '0' | '1' | '2'
  readonly filterOut?: readonly string[]
  readonly skipRetained?: boolean
  readonly count?: number
  readonly timeout?: number
  readonly interval: number
  readonly maxTopics: number
  readonly json?: boolean
}

/** Who shows what is counted. */
export interface Viewer {
  /** @param node its topic, or null if there is no room for it. */
  counted(node: TopicNode | null, packet: IncomingPublish, isStored: boolean): void
  /** A retained message was removed, or could not be. */
  removed(topic: string, error: unknown): void
  warned(message: string): void
}

/** Names the second subscription of each filter. */
const FOLLOWING_ID = 1
/** How long messages are counted without a rest, in ms. */
const BUSY_MS_MAX = 10
/** How long an end waits for the server to remove what it was asked to. */
const REMOVALS_MS_MAX = 2_000

export class Watch {
  readonly loop: Eventloop
  readonly traffic: Traffic
  readonly #flags: TopFlags
  readonly #viewer: Viewer
  /** What is subscribed to first. */
  #subscription: SubscribeRequest
  readonly #requests: Pushable<Request> = pushable({ objectMode: true })
  readonly #selects: (packet: IncomingPublish) => boolean
  #isSubscribed = false
  #isFollowing = false
  #restedAt = 0
  #removals = 0
  #counted = 0
  #status = 0
  #refusal: unknown
  #timer: NodeJS.Timeout | undefined

  /** @throws UsageError for filters or options that cannot be used. */
  constructor(filters: readonly string[], flags: TopFlags, viewer: Viewer) {
    this.#flags = flags
    this.#viewer = viewer
    this.#subscription = filtersRequest(filters, flags)
    this.#selects = selectorOf(flags.filterOut === undefined ? {} : { filterOut: flags.filterOut })
    this.traffic = new Traffic(flags.maxTopics, wholeMs())
    this.loop = eventloop(
      {
        ...connectionOptions(flags, null),
        acks: 'pull',
        until: 'closed',
        onSettled: (request, outcome) => this.#settled(request, outcome),
        onWarning: ({ message }) => viewer.warned(message),
      },
      this.#requests,
    )
  }

  /**
   * Counts messages until the end that the flags, a signal or `end` ask for.
   *
   * @returns the exit status.
   */
  async run(): Promise<number> {
    const interrupt = new Interrupt(() => this.end())
    try {
      for await (const packet of this.loop) {
        if (packet.cmd === 'connack') this.#connected()
        if (packet.cmd === 'suback' && packet.request === this.#subscription) this.#follow()
        if (packet.cmd === 'publish' && this.#count(packet)) break
        if (wholeMs() - this.#restedAt > BUSY_MS_MAX) await this.#rest()
      }
    } finally {
      clearTimeout(this.#timer)
      this.#requests.end()
      interrupt.close()
      await this.loop.return()
    }
    return interrupt.status || this.#status
  }

  /** Says why it ended, if that is not what the user asked for. */
  conclude(): void {
    if (this.#refusal !== undefined) say(printable(this.#refusal))
    else if (this.#status === TIMED_OUT) say('timed out')
    if (this.#removals > 0) say(`${this.#removals} retained messages may not have been removed`)
  }

  end(): void {
    if (this.#removals > 0) this.loop.disconnect(REMOVALS_MS_MAX)
    else this.loop.shutdown()
  }

  /** Asks the server to remove the retained messages of these topics. */
  remove(topics: readonly string[]): void {
    this.#removals += topics.length
    for (const topic of topics) this.#requests.push(publish(topic, '', { qos: 1, retain: true }))
  }

  /** @returns whether that was the last message that is wanted. */
  #count(packet: IncomingPublish): boolean {
    const { retain, payload, properties } = packet
    const isFollowed = [properties?.subscriptionIdentifier].flat().includes(FOLLOWING_ID)
    const isStored = retain && !isFollowed
    if (!this.#selects(packet) || (isStored && this.#flags.skipRetained)) return false
    const isRetained = retain ? payload.length > 0 : null
    const node = this.traffic.add(packet, wholeMs(), isStored, isRetained)
    this.#viewer.counted(node, packet, isStored)
    return ++this.#counted === this.#flags.count
  }

  /** Lets keys, timers and sockets have their turn: messages that wait come without a pause. */
  async #rest(): Promise<void> {
    await setImmediate()
    this.#restedAt = wholeMs()
  }

  #connected(): void {
    this.#startTimer()
    if (this.#isSubscribed) return
    this.#isSubscribed = true
    const { protocolVersion, limits } = this.loop.state.connection
    this.#isFollowing = protocolVersion === 5 && limits?.subscriptionIdentifiersAvailable === true
    if (this.#isFollowing) this.#subscription = withOptions(this.#subscription, { rap: true })
    this.#requests.push(this.#subscription)
  }

  #follow(): void {
    if (!this.#isFollowing) return
    const { properties } = this.#subscription
    this.#requests.push({
      ...withOptions(this.#subscription, { rh: 2 }),
      properties: { ...properties, subscriptionIdentifier: FOLLOWING_ID },
    })
  }

  #settled(request: Request, outcome: Outcome): void {
    if (request.cmd === 'publish') {
      this.#removals--
      if (outcome.ok) this.traffic.removed(request.topic)
      this.#viewer.removed(request.topic, outcome.ok ? undefined : outcome.error)
    } else if (request === this.#subscription && !outcome.ok) {
      this.#refusal = outcome.error
      this.#status = FAILED
      this.loop.shutdown()
    }
  }

  /** The time of `-W` begins with the first connection. */
  #startTimer(): void {
    const { timeout } = this.#flags
    if (timeout === undefined || this.#timer !== undefined) return
    this.#timer = setTimeout(() => {
      this.#status = TIMED_OUT
      this.loop.shutdown()
    }, timeout * 1000)
  }
}

/** @returns the time in whole ms: small integers need no memory of their own. */
function wholeMs(): number {
  return Math.floor(performance.now())
}

function withOptions(
  request: SubscribeRequest,
  options: Pick<Subscription, 'rap' | 'rh'>,
): SubscribeRequest {
  return { ...request, subscriptions: request.subscriptions.map((one) => ({ ...one, ...options })) }
}

function filtersRequest(given: readonly string[], flags: TopFlags): SubscribeRequest {
  const { topic = [], session, disableCleanSession, property, mqtt } = flags
  if (session !== undefined || disableCleanSession) {
    throw new UsageError('top counts what comes now, without a session: leave out --session and -c')
  }
  const fromUrl = topicOfUrl(flags)
  const filters = [...given, ...topic, ...(fromUrl === null ? [] : [fromUrl])]
  const properties = propertiesOf(property).subscribe
  const request = subscribe(filters.length === 0 ? ['#'] : filters, {
    qos: qosFlag(flags.qos),
    ...(properties === undefined ? {} : { properties }),
  })
  checkFlags(request, protocolVersionOf(mqtt))
  const subscriptions = request.subscriptions.filter(
    ({ topic: one }, at, all) =>
      !all.some(({ topic: other }, index) => {
        // Of two that are the same, the first is kept.
        return index !== at && covers(other, one) && (index < at || !covers(one, other))
      }),
  )
  return { ...request, subscriptions }
}

/**
 * A server may send a message once for each filter that matches, and it would count as often.
 *
 * @returns whether the first filter matches everything that the second one does.
 */
function covers(filter: string, other: string): boolean {
  const levels = other.split('/')
  const own = filter.split('/')
  if (other.startsWith('$') && /^[+#]/.test(filter)) return false
  for (const [index, level] of own.entries()) {
    if (level === '#') return true
    const theirs = levels[index]
    if (theirs === undefined || theirs === '#') return false
    if (level !== '+' && level !== theirs) return false
  }
  return own.length === levels.length
}
