/**
 * How does the server treat a message that matches two filters of this client? It is measured once,
 * on a scratch topic, when there are two such filters; messages that come meanwhile are held. (M6,
 * a message is given once to each subscription)
 */
import type { BrokerProfile, IncomingPublish } from '../index.ts'
import type { ProbeHost } from './probe-host.ts'
import { PROBE_MS, whileRead } from './probes.ts'
import { profileHere } from './profile-here.ts'

type Overlap = NonNullable<BrokerProfile['overlap']>

/** How often a measurement is begun again because its connection was lost. */
const MEASUREMENTS_MAX = 5

/** Holds the messages that come meanwhile. */
interface Holder {
  hold(): void
  release(): void
}

export class Overlaps {
  readonly #core: ProbeHost
  readonly #holder: Holder
  #overlap: Overlap
  /** What is measured, or was. Filters of one QoS say nothing about filters of two. */
  #found: 'nothing' | 'one QoS' | 'two QoS' = 'nothing'
  /** Measurements go one after the other. */
  #latest: Promise<void> = Promise.resolve()
  #open = 0

  constructor(core: ProbeHost, holder: Holder) {
    this.#core = core
    this.#holder = holder
    this.#overlap = core.plan.profile.overlap ?? 'unknown'
  }

  /** Whether the profile says what is measured otherwise: here, and not for another version. */
  get #isGiven(): boolean {
    const { overlap = 'unknown' } = profileHere(this.#core)
    return overlap !== 'unknown'
  }

  /** Whether identifiers do not name all subscriptions of a message. */
  get byFilter(): boolean {
    return this.#overlap === 'one-id'
  }

  /**
   * Two filters of this client may match the same topic. The measurement is no demand.
   *
   * @param isMixed whether one of them has QoS 0 and the other one does not. There are servers that
   *   send one copy for all filters of one QoS, and one for each QoS.
   */
  found(a: string, b: string, isMixed: boolean): void {
    const core = this.#core
    if (this.#isGiven || core.plan.dispatch !== 'auto' || this.#found === 'two QoS') return
    const isFirst = this.#found === 'nothing'
    // Identifiers tell the copies of MQTT 5 apart, whatever their QoS.
    if (!isFirst && (!isMixed || this.#overlap === 'unknown' || core.terms().isMqtt5)) return
    this.#found = isMixed ? 'two QoS' : 'one QoS'
    this.#open++
    this.#holder.hold()
    core.whenConnected(() => {
      this.#latest = this.#latest.then(() => this.#learn(a, b, isMixed))
    })
  }

  async #learn(a: string, b: string, isMixed: boolean): Promise<void> {
    const core = this.#core
    const qos = isMixed && !core.terms().isMqtt5 ? 1 : 0
    for (let attempt = 1; attempt <= MEASUREMENTS_MAX; attempt++) {
      const { epoch } = core
      this.#overlap = await this.#measure(qos).catch(() => 'unknown' as const)
      // What was lost with a connection says nothing about the server.
      if (this.#overlap !== 'unknown' || core.epoch === epoch) break
    }
    this.#open--
    if (this.#open === 0) this.#holder.release()
    if (this.#overlap !== 'unknown' || !core.isOpen) return
    core.warn(
      'OVERLAP',
      `The filters "${a}" and "${b}" overlap, and this server does not say which copy of a` +
        ' message is for which: a subscription may get one twice. Use filters that do not overlap.',
    )
  }

  /**
   * Publishes one message that two filters match, and others behind it.
   *
   * @param qos that of the second filter; the first one has QoS 0. What comes at one QoS is no
   *   proof that all has come at the other, so that each of them has a message behind.
   */
  async #measure(qos: 0 | 1): Promise<Overlap> {
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
        ends.push(core.onConnected(() => reject(new Error('the connection was lost'))))
        let expected = 1 + qos
        const behind = () => {
          expected--
          if (expected === 0) resolve()
        }
        const listeners = [
          core.listen(`${scratch}/+`, 0, (packet) => {
            note(packet)
            if (packet.topic === `${scratch}/behind`) behind()
          }),
          core.listen(`${scratch}/both`, qos, note),
        ]
        if (qos === 1) listeners.push(core.listen(`${scratch}/behind/1`, 1, behind))
        for (const { close } of listeners) ends.push(close)
        const send = (topic: string) =>
          core.send({ cmd: 'publish', topic: `${scratch}/${topic}`, payload: '', qos })
        const publishBoth = async () => {
          await Promise.all(listeners.map(({ granted }) => granted))
          await send('both')
          await send('behind')
          if (qos === 1) await send('behind/1')
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
