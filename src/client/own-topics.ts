/**
 * Which topics are the client's own? Those of its answers and measurements. What an earlier process
 * of the session has asked for below them is for nobody.
 */
import { BugError, type ConnackPacket } from '../index.ts'
import { encodeLevel } from './levels.ts'

export class OwnTopics {
  readonly #chosen: string | undefined
  /** How they begin, with a slash at the end; known once there was a connection. */
  #area: string | null = null
  #responseTopic: string | null = null
  #scratches = 0

  /** @param responseTopic the topic of answers that the user chose. */
  constructor(responseTopic: string | undefined) {
    this.#chosen = responseTopic
  }

  /**
   * The first CONNACK came.
   * @param random chooses one of the response topics of this client identifier, 0 to 1.
   */
  connected({ properties }: ConnackPacket, clientId: string, random: () => number): void {
    if (this.#responseTopic !== null) return
    const id = encodeLevel(properties?.assignedClientIdentifier ?? clientId)
    const area = properties?.responseInformation ?? `clients/${id}/r`
    // Another process of this client identifier has another random number, and the same area.
    this.#area = `${this.#chosen ?? area}/`
    this.#responseTopic = this.#chosen ?? `${area}/${Math.floor(random() * 2 ** 32).toString(36)}`
  }

  has(topic: string): boolean {
    return `${topic}/`.startsWith(this.#area!)
  }

  get responseTopic(): string {
    if (this.#responseTopic === null) throw new BugError('no response topic yet')
    return this.#responseTopic
  }

  /** @returns a topic for one measurement. */
  scratchTopic(): string {
    return `${this.responseTopic}/s${++this.#scratches}`
  }
}
