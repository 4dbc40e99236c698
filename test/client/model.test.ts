/**
 * Goal: whatever subscribes, breaks, publishes and fails in whatever order, each subscription is
 * given what a list would have: nothing acknowledged is lost, nothing comes twice without saying
 * so, nothing comes to a subscription that it does not match, and every promise settles. Method:
 * fast-check draws stories; a broker in memory and a virtual clock play them.
 *
 * `FC_RUNS=20000 npx vitest run test/client/model.test.ts` looks longer.
 */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Client, Message, Subscription } from '../../src/client/index.ts'
import { matches } from '../../src/index.ts'
import { type BrokerHabits, createBroker, virtualClock } from '../../src/testing/index.ts'
import '../support/seed.ts'
import { createClient } from '../../src/client/index.ts'

const RUNS = Number(process.env['FC_RUNS'] ?? 200)
const FILTERS = ['a/b', 'a/+', 'a/#', 'c/d', '+/d', 'e'] as const
const TOPICS = ['a/b', 'a/x', 'c/d', 'e', 'z'] as const

type Step =
  | { type: 'subscribe'; filters: string[]; qos: 0 | 1 | 2; keeps: boolean; acks: Acks }
  | { type: 'next' | 'break' | 'ack' | 'first' | 'timedNext'; which: number }
  | { type: 'publish'; topic: string; qos: 0 | 1 | 2 }
  | { type: 'own'; topic: string; qos: 0 | 1 | 2 }
  | { type: 'kill' | 'restart' | 'settle' | 'pass' | 'ping' | 'close' }
  | { type: 'refuse'; filter: string }

type Publish = Extract<Step, { topic: string }>
type Acks = 'pull' | 'receipt' | 'manual'

const qos = fc.constantFrom(0 as const, 1 as const, 2 as const)
const which = fc.nat(5)
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      type: fc.constant('subscribe' as const),
      filters: fc.uniqueArray(fc.constantFrom(...FILTERS), { minLength: 1, maxLength: 2 }),
      qos,
      keeps: fc.boolean(),
      acks: fc.constantFrom<Acks>('pull', 'pull', 'receipt', 'manual'),
    }),
  },
  { weight: 8, arbitrary: fc.record({ type: fc.constant('next' as const), which }) },
  { weight: 2, arbitrary: fc.record({ type: fc.constant('timedNext' as const), which }) },
  { weight: 2, arbitrary: fc.record({ type: fc.constant('ack' as const), which }) },
  { weight: 2, arbitrary: fc.record({ type: fc.constant('break' as const), which }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('first' as const), which }) },
  {
    weight: 10,
    arbitrary: fc.record({
      type: fc.constant('publish' as const),
      topic: fc.constantFrom(...TOPICS),
      qos,
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      type: fc.constant('own' as const),
      topic: fc.constantFrom(...TOPICS),
      qos,
    }),
  },
  { weight: 2, arbitrary: fc.record({ type: fc.constant('kill' as const) }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('restart' as const) }) },
  { weight: 6, arbitrary: fc.record({ type: fc.constant('settle' as const) }) },
  { weight: 3, arbitrary: fc.record({ type: fc.constant('pass' as const) }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('ping' as const) }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('close' as const) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      type: fc.constant('refuse' as const),
      filter: fc.constantFrom(...FILTERS),
    }),
  },
)

const story = fc.record({
  version: fc.constantFrom(5 as const, 4 as const),
  overlap: fc.constantFrom('merged' as const, 'separate' as const, 'one-id' as const),
  window: fc.constantFrom(2, 65_535),
  weather: fc.constantFrom<Weather>('calm', 'losses', 'losses', 'anything'),
  steps: fc.array(step, { minLength: 5, maxLength: 60, size: 'max' }),
})

interface Story {
  version: 4 | 5
  overlap: NonNullable<BrokerHabits['overlap']>
  window: number
  weather: Weather
  steps: Step[]
}

/** What may happen: a session that is lost excuses much, so that most stories have none. */
type Weather = 'calm' | 'losses' | 'anything'

const MAY: Readonly<Record<Weather, (step: Step) => boolean>> = {
  calm: ({ type }) => type !== 'kill' && MAY.losses({ type } as Step),
  losses: ({ type }) => type !== 'restart' && type !== 'close' && type !== 'refuse',
  anything: () => true,
}

interface Given {
  readonly text: string
  readonly qos: number
  readonly redelivered: boolean
  readonly message: Message
}

interface Follower {
  readonly subscription: Subscription
  readonly filters: readonly string[]
  readonly qos: number
  readonly acks: Acks
  readonly keeps: boolean
  readonly given: Given[]
  /** What was published while it was granted, and the number of sessions lost before. */
  readonly expected: { text: string; qos: number; topic: string }[]
  /** What the follower has acknowledged, or asked for the next one after. */
  readonly handled: Set<string>
  ended: boolean
  /** Whether it was left by `break`, so that `keeps` counts. */
  left: boolean
  lossy: boolean
}

class Play {
  readonly clock = virtualClock()
  readonly broker
  readonly client: Client
  readonly followers: Follower[] = []
  readonly pending = new Map<Promise<unknown>, string>()
  readonly problems: string[] = []
  /** Whether nothing tells copies of one message apart. */
  readonly #isUntold: boolean
  #count = 0
  readonly #window: number
  readonly #overlap: Story['overlap']
  #closed = false
  /** The next record of the log that was not looked at. */
  #looked = 0
  readonly #sent = new Map<string, string>()
  readonly #topics = new Map<string, { topic: string; source: string }>()

  constructor({ version, overlap, window }: Story) {
    this.broker = createBroker({ clock: this.clock, overlap, maxInflight: window })
    this.#overlap = overlap
    this.#window = window
    this.#isUntold = version === 4 && overlap === 'separate'
    this.client = createClient({
      clientId: 'c',
      protocolVersion: version,
      keepAlive: 0,
      cleanStart: false,
      platform: this.clock,
      transport: this.broker.transport,
      reconnect: { when: 'always', minMs: 100, maxMs: 100 },
      onWarning: () => {},
    })
  }

  /** What the client acknowledged must have been handled by all who have it. */
  lookAtAcks(): void {
    const { log } = this.broker
    for (; this.#looked < log.length; this.#looked++) {
      const { direction, connection, packet } = log[this.#looked]!
      if (packet.cmd === 'publish' && direction === 'toClient' && (packet.qos ?? 0) > 0) {
        const text = new TextDecoder().decode(packet.payload as Uint8Array)
        this.#sent.set(`${connection} ${packet.messageId}`, text)
      } else if (direction === 'toBroker' && ['puback', 'pubrec'].includes(packet.cmd)) {
        const { messageId } = packet as { messageId: number }
        this.#acknowledged(this.#sent.get(`${connection} ${messageId}`)!)
      }
    }
  }

  #acknowledged(text: string): void {
    // Each filter has a copy of its own, with an acknowledgement of its own.
    if (this.#overlap === 'separate') return
    for (const follower of this.followers) {
      const { expected, handled, filters, subscription, acks, left, keeps, lossy } = follower
      if (acks === 'receipt' || lossy || handled.has(text)) continue
      if (subscription.state.status === 'refused' || (left && !keeps)) continue
      if (!expected.some((one) => one.text === text && one.qos > 0)) continue
      const at = this.followers.indexOf(follower)
      const heirs = this.followers
        .slice(at + 1)
        .filter((other) => other.filters.some((filter) => filters.includes(filter)))
      // What was received and not read when it was left never was its own.
      const had = follower.given.some((one) => one.text === text)
      // Sent again after a loss, it is what another subscription matches, too.
      const { topic } = this.#topics.get(text)!
      const shared = this.followers.some(
        (other) => other !== follower && other.filters.some((filter) => matches(filter, topic)),
      )
      if (left && (heirs.length > 0 || !had || shared)) continue
      const state = left ? 'left it' : follower.ended ? 'has ended' : 'has not handled it'
      if (!left && follower.ended) continue
      this.problems.push(`${text} was acknowledged, and ${filters} ${state}`)
    }
  }

  watch<T>(what: string, promise: Promise<T>): Promise<T> {
    this.pending.set(promise, what)
    const over = () => {
      this.pending.delete(promise)
    }
    promise.then(over, over)
    return promise
  }

  async do(step: Step): Promise<void> {
    switch (step.type) {
      case 'subscribe':
        return this.#subscribe(step)
      case 'next':
      case 'timedNext':
      case 'first':
      case 'ack':
      case 'break': {
        const live = this.followers.filter(({ ended }) => !ended)
        const follower = live[step.which % live.length]
        return follower === undefined ? undefined : this.#use(step.type, follower)
      }
      case 'publish':
        return this.#publish(step, (text) => {
          this.broker.publish(step.topic, text, { qos: step.qos })
        })
      case 'own':
        return this.#publish(step, (text) => {
          const published = this.client.publish(step.topic, text, { qos: step.qos })
          this.watch('publish', published).catch((error) => {
            if (step.qos > 0) this.#unexpected('publish', error)
          })
        })
      case 'kill':
        return this.broker.kill()
      case 'restart':
        for (const one of this.followers) one.lossy = true
        return this.broker.restart({ keepSessions: false })
      case 'ping':
        this.watch('ping', this.client.ping()).catch(() => {})
        return
      case 'close':
        this.#closed = true
        this.watch('close', this.client.close({ timeout: 500 }))
        return
      case 'refuse':
        this.broker.faults.refuse({ cmd: 'subscribe', topic: step.filter })
        return
      case 'settle':
        return this.clock.settle()
      case 'pass':
        return this.clock.advance(300)
      default:
    }
  }

  #unexpected(what: string, error: unknown): void {
    if ((error as { code?: string }).code !== 'ENDED') this.problems.push(`${what}: ${error}`)
  }

  #refusable(what: string, error: unknown): void {
    if ((error as { code?: string }).code !== 'SUBSCRIBE_REFUSED') this.#unexpected(what, error)
  }

  #subscribe({ filters, qos, keeps, acks }: Extract<Step, { type: 'subscribe' }>): void {
    if (this.#closed) return
    const onLeave = keeps ? 'keep' : 'release'
    const subscription = this.client.subscribe(filters, { qos, onLeave, acks })
    const follower: Follower = {
      ...{ subscription, filters, qos, acks, keeps, given: [], expected: [] },
      ...{ handled: new Set<string>(), ended: false, left: false, lossy: false },
    }
    this.followers.push(follower)
    this.watch('granted', subscription.granted).catch((error) => this.#refusable('granted', error))
  }

  #publish({ topic, qos, type: source }: Publish, send: (text: string) => void): void {
    const text = `${this.#count++}`
    this.#topics.set(text, { topic, source: `${source} of ${topic} at QoS ${qos}` })
    for (const follower of this.followers) {
      // From the grant on the server has its filters; before, it may or may not get a message.
      if (follower.ended || follower.subscription.state.status === 'requested') continue
      if (!follower.filters.some((filter) => matches(filter, topic))) continue
      follower.expected.push({ text, qos: Math.min(qos, follower.qos), topic })
    }
    send(text)
  }

  #use(type: 'next' | 'timedNext' | 'first' | 'ack' | 'break', follower: Follower): void {
    const { subscription } = follower
    if (type === 'break') {
      follower.ended = true
      follower.left = true
      this.watch('return', subscription.return!())
    } else if (type === 'ack') {
      const at = follower.given.find(({ text }) => !follower.handled.has(text))
      if (at === undefined) return
      this.#handle(follower, at.text)
      at.message.ack()
    } else if (type === 'first') {
      follower.ended = true
      const first = this.watch('first', subscription.first({ timeout: 1000 }))
      first.then((message) => this.#note(follower, message)).catch(() => {})
    } else {
      const options = type === 'next' ? [] : [{ timeout: 200 }]
      if (follower.acks === 'pull') this.#handleAll(follower)
      const next = this.watch('next', subscription.next(...options))
      next
        .then(({ done, value }) => (done ? undefined : this.#note(follower, value!)))
        .catch((error) => {
          if (error?.code !== 'TIMEOUT') this.#refusable('next', error)
        })
    }
  }

  #handle({ handled }: Follower, text: string): void {
    handled.add(text)
  }

  #handleAll(follower: Follower): void {
    for (const { text } of follower.given) this.#handle(follower, text)
  }

  #note(follower: Follower, message: Message): void {
    const { qos, redelivered } = message
    const text = new TextDecoder().decode(message.payload)
    follower.given.push({ text, qos, redelivered, message })
    const { topic } = this.#topics.get(text) ?? { topic: '?' }
    if (topic !== message.topic) this.problems.push(`${text} came on ${message.topic}`)
    if (!follower.filters.some((filter) => matches(filter, message.topic))) {
      this.problems.push(`${text} on ${message.topic} came to ${follower.filters}`)
    }
    const before = follower.given.filter((one) => one.text === text)
    if (before.length > 1 && !redelivered && !this.#isBlurred) {
      this.problems.push(`${text} came ${before.length} times to ${follower.filters}`)
    }
    if (qos === 2 && before.length > 1 && !follower.lossy && !this.#isBlurred) {
      this.problems.push(`${text} came again at QoS 2`)
    }
  }

  /** Lets everything come, and takes it all. */
  async finish(): Promise<void> {
    await this.clock.advance(10_000)
    this.lookAtAcks()
    for (let quiet = 0; quiet < 2; ) {
      let came = 0
      for (const follower of this.followers) {
        if (follower.ended) continue
        const { given, subscription } = follower
        const before = given.length
        this.#handleAll(follower)
        for (const { message } of given) if (follower.acks === 'manual') message.ack()
        const next = this.watch('next', subscription.next({ timeout: 50 }))
        next
          .then(({ done, value }) => (done ? undefined : this.#note(follower, value!)))
          .catch(() => {})
        await this.clock.advance(60)
        this.lookAtAcks()
        came += given.length - before
      }
      quiet = came === 0 ? quiet + 1 : 0
    }
    this.#judge()
    const closed = this.watch('close', this.client.close({ timeout: 100 }))
    await this.clock.advance(20_000)
    for (const what of this.pending.values()) this.problems.push(`${what} is pending`)
    await closed
    this.broker.close()
    await this.clock.settle()
    if (this.clock.pendingTimers > 0) this.problems.push(`${this.clock.pendingTimers} timers left`)
    for (const { message } of this.broker.violations) this.problems.push(message)
  }

  /**
   * Whether a subscription may get two copies of a message: also the one that was left for the one
   * filter, and the one that comes for another.
   */
  get #isBlurred(): boolean {
    const hasLeft = this.followers.some(({ left, keeps }) => left && keeps)
    return this.#isUntold || (this.#overlap === 'separate' && hasLeft)
  }

  /** What was left with `keep` takes room in the window, for as long as nobody asks for it. */
  get #isBlocked(): boolean {
    return this.#window < 10 && this.followers.some(({ left, keeps }) => left && keeps)
  }

  #judge(): void {
    for (const follower of this.followers) {
      const { ended, filters, given, expected, lossy } = follower
      const seen = new Set(given.map(({ text }) => text))
      const { status } = follower.subscription.state
      if (!ended && !lossy && !this.#closed && !this.#isBlocked && status !== 'refused') {
        for (const { text, qos } of expected) {
          if (qos > 0 && !seen.has(text)) this.problems.push(`${text} is lost for ${filters}`)
        }
      }
      // What is sent again may be older than the subscription.
      const texts = given.filter((one) => !one.redelivered).map(({ text }) => text)
      // The order is that of each topic at each QoS. (4.6)
      const sources = new Set(texts.map((text) => this.#topics.get(text)?.source))
      for (const source of sources) {
        if (source?.endsWith('0')) continue
        const sent = texts.filter((text) => this.#topics.get(text)?.source === source)
        const order = [...new Set(sent)]
        if (!isSorted(order)) {
          this.problems.push(`order of ${filters} of ${source}: ${order}`)
        }
      }
    }
  }
}

function isSorted(texts: readonly string[]): boolean {
  return texts.every((text, i) => i === 0 || Number(texts[i - 1]) < Number(text))
}

async function play(story: Story): Promise<string[]> {
  const stage = new Play(story)
  for (const one of story.steps.filter(MAY[story.weather])) {
    // A message that a pull got is seen before the next pull acknowledges it.
    for (let turn = 0; turn < 8; turn++) await null
    await stage.do(one)
    stage.lookAtAcks()
  }
  await stage.finish()
  return stage.problems
}

test('M5, M6, M12: a client does what a list for each subscription would do', async () => {
  await fc.assert(
    fc.asyncProperty(story, async (drawn) => {
      expect(await play(drawn)).toEqual([])
    }),
    { numRuns: RUNS, ...(process.env['FC_PATH'] ? { path: process.env['FC_PATH'] } : {}) },
  )
}, 3_600_000)
