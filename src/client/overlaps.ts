/**
 * How does the server treat a message that matches two filters of this client? It is measured once,
 * on a scratch topic, when there are two such filters; messages that come meanwhile are held. (M6,
 * a message is given once to each subscription)
 */
import type { IncomingPublish } from '../index.ts'
import type { BrokerProfile } from './broker-profile.ts'
import type { ProbeHost } from './probe-host.ts'
import { PROBE_MS, whileRead } from './probes.ts'

type Overlap = NonNullable<BrokerProfile['overlap']>

/** Holds the messages that come meanwhile. */
interface Holder {
  hold(): void
  release(): void
}

export class Overlaps {
  readonly #core: ProbeHost
  readonly #holder: Holder
  #overlap: Overlap
  /** Whether two filters were found. */
  #isFound = false

  constructor(core: ProbeHost, holder: Holder) {
    this.#core = core
    this.#holder = holder
    this.#overlap = core.plan.profile.overlap ?? 'unknown'
  }

  /** Whether identifiers do not name all subscriptions of a message. */
  get byFilter(): boolean {
    return this.#overlap === 'one-id'
  }

  /** Two filters of this client may match the same topic. The measurement is no demand. */
  found(a: string, b: string): void {
    const core = this.#core
    if (this.#isFound || this.#overlap !== 'unknown' || core.plan.dispatch !== 'auto') return
    this.#isFound = true
    this.#holder.hold()
    core.whenConnected(async () => {
      this.#overlap = await this.#measure().catch(() => 'unknown' as const)
      this.#holder.release()
      if (this.#overlap !== 'unknown' || !core.isOpen) return
      core.warn(
        'OVERLAP',
        `The filters "${a}" and "${b}" overlap, and the copies that this server sends of one` +
          ' message cannot be told apart: a subscription may be given a message twice, or not for' +
          ' each of its filters. Use filters that do not overlap.',
      )
    })
  }

  /** Publishes one message that two filters match, and a second one behind it. */
  async #measure(): Promise<Overlap> {
    const core = this.#core
    const scratch = core.scratchTopic()
    const copies = new Set<IncomingPublish>()
    const note = (packet: IncomingPublish) => {
      if (packet.topic === `${scratch}/both`) copies.add(packet)
    }
    const ends: (() => void)[] = []
    try {
      await new Promise<void>((resolve, reject) => {
        ends.push(whileRead(core, PROBE_MS, () => reject(new Error('no copy has come'))))
        ends.push(core.onEnd(() => reject(new Error('the client has ended'))))
        const any = core.listen(`${scratch}/+`, 0, (packet) => {
          note(packet)
          if (packet.topic === `${scratch}/behind`) resolve()
        })
        const one = core.listen(`${scratch}/both`, 0, note)
        ends.push(any.close, one.close)
        const publishBoth = async () => {
          await Promise.all([any.granted, one.granted])
          await core.send({ cmd: 'publish', topic: `${scratch}/both`, payload: '', qos: 0 })
          await core.send({ cmd: 'publish', topic: `${scratch}/behind`, payload: '', qos: 0 })
        }
        publishBoth().catch(reject)
      })
    } finally {
      for (const end of ends) end()
    }
    return overlapOf([...copies])
  }
}

function overlapOf(copies: readonly IncomingPublish[]): Overlap {
  const counts = copies.map(({ properties }) => {
    const identifiers = properties?.subscriptionIdentifier
    return identifiers === undefined ? 0 : [identifiers].flat().length
  })
  if (counts.length === 1) return counts[0] === 2 ? 'merged' : 'one-id'
  return counts.length === 2 && counts.every((count) => count === 1) ? 'separate' : 'unknown'
}
