/**
 * Goal: at each broker a client does what a list for each subscription would do, whatever
 * subscribes, breaks and publishes, and wherever links are lost: nothing acknowledged is lost,
 * nothing comes twice without saying so, and every promise settles. Method: as
 * test/client/model.test.ts, with real brokers, real time and a relay that cuts links within
 * packets; the stories are drawn from seeds.
 *
 * `SEED=7 RUNS=1 npx vitest run --config vitest.brokers.config.ts test/brokers/client-model.test.ts`
 * plays the story of one seed again, `-t NATS` that of one broker.
 */
import { expect, test } from 'vitest'
import type { Client, Subscription } from '../../src/client/index.ts'
import { matches, type QoS } from '../../src/index.ts'
import { type Spoken, withEachBroker } from '../support/each-broker.ts'
import { randomOf } from '../support/random.ts'
import { Collected, RealClients, reconnects, soon } from '../support/real-clients.ts'
import type { Relay } from '../support/relay.ts'

const TEST_MS = 30_000
const SEED = Number(process.env['SEED'] ?? 1)
const RUNS = Number(process.env['RUNS'] ?? 3)
const STEPS = 25
const FILTERS = ['a/b', 'a/+', 'a/#', 'c/d', '+/d', 'e'] as const
/** Those of a broker that loses messages if filters overlap. */
const DISJOINT = ['a/b', 'a/x', 'c/#', 'e', 'z'] as const
const TOPICS = ['a/b', 'a/x', 'c/d', 'e', 'z'] as const

withEachBroker(TEST_MS, (spoken) => {
  for (let seed = SEED; seed < SEED + RUNS; seed++) {
    test(`[M5] [M6] [M12] a list for each subscription, SEED=${seed}`, async (context) => {
      const clients = new RealClients(spoken, context)
      const { relay, url } = await clients.relayed()
      const client = clients.client(clients.keeping({ url }))
      const play = new Play(spoken, clients, client, relay, randomOf(seed))
      await soon(play.run(), 'the story ends', TEST_MS - 6000).catch((error: unknown) => {
        play.problems.push(`after "${play.steps.at(-1)}": ${error}`)
      })
      expect(play.problems, `SEED=${seed}: ${play.steps.join('; ')}`).toEqual([])
    })
  }
})

interface Follower {
  readonly subscription: Subscription
  readonly filters: readonly string[]
  readonly qos: QoS
  readonly collected: Collected
  /** The numbers that were published while it was granted, with their QoS. */
  readonly expected: Map<string, number>
  hasLeft: boolean
}

class Play {
  readonly steps: string[] = []
  readonly problems: string[] = []
  readonly #spoken: Spoken
  readonly #clients: RealClients
  readonly #client: Client
  readonly #sender: Client
  readonly #relay: Relay
  readonly #random: () => number
  readonly #followers: Follower[] = []
  readonly #topics = new Map<string, { readonly topic: string; readonly line: string }>()
  #count = 0
  #hasLost = false

  constructor(
    spoken: Spoken,
    clients: RealClients,
    client: Client,
    relay: Relay,
    random: () => number,
  ) {
    this.#spoken = spoken
    this.#clients = clients
    this.#client = client
    this.#sender = clients.client()
    this.#relay = relay
    this.#random = random
  }

  async run(): Promise<void> {
    await this.#subscribe()
    for (let i = 0; i < STEPS; i++) await this.#step()
    await this.#finish()
  }

  #pick<T>(from: readonly T[]): T {
    return from[Math.floor(this.#random() * from.length)]!
  }

  async #step(): Promise<void> {
    const draw = this.#random()
    if (draw < 0.2) return this.#subscribe()
    if (draw < 0.3) return this.#break()
    if (draw < 0.7) return this.#publish(this.#sender, 'theirs')
    if (draw < 0.85) return this.#publish(this.#client, 'own')
    return this.#lose()
  }

  async #subscribe(): Promise<void> {
    const from = this.#spoken.kind.keepsOverlaps ? FILTERS : DISJOINT
    const drawn = new Set<string>([this.#pick(from), this.#pick(from)])
    const filters = [...drawn].map((filter) => this.#below(filter))
    const qos = Math.min(this.#pick([0, 1, 2]), this.#highestQoS) as QoS
    this.steps.push(`subscribe ${filters} at QoS ${qos}`)
    const subscription = this.#client.subscribe(filters, { qos, onLeave: 'release' })
    const collected = new Collected(subscription)
    await subscription.granted
    const expected = new Map<string, number>()
    this.#followers.push({ subscription, filters, qos, collected, expected, hasLeft: false })
  }

  async #break(): Promise<void> {
    const live = this.#followers.filter(({ hasLeft }) => !hasLeft)
    // One stays, so that there is somebody who can be given something.
    if (live.length < 2) return
    const follower = this.#pick(live)
    this.steps.push(`break ${follower.filters}`)
    follower.hasLeft = true
    await follower.subscription.return()
  }

  /** aedes sends messages at QoS 2 that were complete again after a loss, as if they were new. */
  get #highestQoS(): number {
    const { maximumQoS, marksRepetitions } = this.#spoken.kind
    return marksRepetitions ? maximumQoS : 1
  }

  #below(topic: string): string {
    return `${this.#clients.base}/${topic}`
  }

  /** Publishes a few messages, of which the link may be lost while they are under way. */
  async #publish(client: Client, whose: string): Promise<void> {
    const topic = this.#below(this.#pick(TOPICS))
    const qos = Math.min(this.#pick([0, 1, 2]), this.#highestQoS) as QoS
    const count = 1 + Math.floor(this.#random() * 6)
    this.steps.push(`publish ${whose} ${count} × ${topic} at QoS ${qos} from ${this.#count}`)
    const published: Promise<unknown>[] = []
    for (let i = 0; i < count; i++) {
      const text = String(this.#count++)
      this.#topics.set(text, { topic, line: `${whose} ${topic} ${qos}` })
      for (const follower of this.#followers) {
        if (follower.hasLeft || !follower.filters.some((one) => matches(one, topic))) continue
        follower.expected.set(text, Math.min(qos, follower.qos))
      }
      published.push(client.publish(topic, text, { qos }))
    }
    await Promise.all(published)
  }

  /** Loses the link, mostly in the middle of a packet. */
  async #lose(): Promise<void> {
    const bytes = Math.floor(this.#random() * 60)
    this.steps.push(`lose the link after ${bytes} bytes`)
    const { connections } = this.#relay
    let publishing = Promise.resolve()
    const present = await reconnects(this.#client, () => {
      this.#relay.endAfter(bytes + 1)
      publishing = this.#publish(this.#sender, 'at a loss').then(() => {
        // So few bytes may have come that the link is still there.
        if (this.#relay.connections === connections) this.#relay.cut()
      })
    })
    await publishing
    this.#hasLost = true
    // RabbitMQ has no session for subscriptions at QoS 0.
    const isKept = this.#followers.some(({ qos, hasLeft }) => qos > 0 && !hasLeft)
    if (present !== true && isKept) this.problems.push('the session was lost')
  }

  async #finish(): Promise<void> {
    this.steps.push('finish')
    await soon(this.#client.ping(), 'the last PINGRESP')
    for (const follower of this.#followers) {
      const { collected, expected, hasLeft, filters } = follower
      if (hasLeft) continue
      const wanted = [...expected].flatMap(([text, qos]) => (qos > 0 ? [text] : []))
      const missing = () => wanted.filter((text) => !collected.texts.includes(text))
      await collected
        .when(() => missing().length === 0, 'all messages')
        .catch(() => this.problems.push(`lost for ${filters}: ${missing()}`))
    }
    await soon(this.#client.ping(), 'the last PINGRESP')
    for (const follower of this.#followers) this.#judge(follower)
    const { unsettled } = await soon(this.#client.close({ timeout: 2000 }), 'close()')
    if (unsettled > 0) this.problems.push(`${unsettled} publishes are unsettled`)
    for (const { collected, filters } of this.#followers) {
      if (!collected.hasEnded) this.problems.push(`${filters} has not ended`)
      if (collected.error !== null) this.problems.push(`${filters}: ${collected.error}`)
    }
  }

  #judge({ collected, filters }: Follower): void {
    const seen = new Set<string>()
    const lines = new Map<string, number>()
    for (const message of collected.messages) {
      const text = message.payload.toString()
      const { topic, line } = this.#topics.get(text) ?? { topic: '?', line: '?' }
      if (topic !== message.topic) this.problems.push(`${text} came on ${message.topic}`)
      if (!filters.some((one) => matches(one, message.topic))) {
        this.problems.push(`${text} on ${message.topic} came to ${filters}`)
      }
      if (seen.has(text)) {
        const isSaid = message.redelivered || !this.#spoken.kind.marksRepetitions
        // A filter at QoS 0 is asked for at QoS 1 if another subscription wants it so.
        const mayCome = (message.qos < 2 && isSaid) || this.#isUntold(topic)
        if (!mayCome) this.problems.push(`${text} came again to ${filters} at QoS ${message.qos}`)
        continue
      }
      seen.add(text)
      // The order is that of each topic and sender at each QoS. (4.6)
      const last = lines.get(line) ?? -1
      const isFree = this.#hasLost && !this.#spoken.kind.resendsInOrder
      const isOrdered = Number(text) > last || message.redelivered || isFree
      if (!isOrdered) this.problems.push(`${text} came after ${last} to ${filters}`)
      lines.set(line, Math.max(last, Number(text)))
    }
  }

  /** Whether copies of a message come for several filters, and nothing tells them apart. */
  #isUntold(topic: string): boolean {
    const overlap = this.#spoken.kind.overlap[4]
    if (this.#spoken.version === 5 || overlap === 'one copy') return false
    const matching = this.#followers
      .flatMap(({ filters }) => filters)
      .filter((filter) => matches(filter, topic))
    return new Set(matching).size > 1
  }
}
