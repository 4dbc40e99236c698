/**
 * Which part of a streamed response comes next, and how much credit has its responder? Plain data;
 * nothing is waited for here. (Q9, a streamed response is complete or says so)
 *
 * Parts come in order, because MQTT keeps the order of messages of one topic and QoS. One that was
 * seen is passed over, and one that is missing is a gap: it will not come any more. Credit is the
 * number of parts that the responder may have sent in all, so that a message of credit that is lost
 * or repeated does no harm.
 */

/** How many parts a responder may send beyond those that were consumed. */
export const CREDIT_PARTS = 64
/** Credit is sent after so many parts were consumed. */
const CREDIT_STEP = CREDIT_PARTS / 2

export class PartOrder {
  /** The number of the next part. */
  next = 0
  /** Whether the last part was seen. */
  ended = false
  /** The topic for credit and cancels, or null. */
  control: string | null = null
  #consumed = 0
  #granted = CREDIT_PARTS

  /**
   * @param control the topic that the part names, or null.
   * @returns `next` if the part is the next one, `seen` if it is not needed, `gap` if parts are
   *   missing before it, `mixed` if it is of another responder.
   */
  take(seq: number, last: boolean, control: string | null): 'next' | 'seen' | 'gap' | 'mixed' {
    if (seq === 0 && this.next > 0 && control !== this.control) return 'mixed'
    if (this.ended || seq < this.next) return 'seen'
    if (seq > this.next) return 'gap'
    if (seq === 0) this.control = control
    this.next++
    this.ended = last
    return 'next'
  }

  /**
   * The user has consumed a part.
   * @returns the credit to send, or 0 if none needs to be sent.
   */
  consumed(): number {
    this.#consumed++
    if (this.ended || this.#consumed + CREDIT_PARTS - this.#granted < CREDIT_STEP) return 0
    this.#granted = this.#consumed + CREDIT_PARTS
    return this.#granted
  }

  /** The credit that was sent last. It is sent again after a loss of the connection. */
  get granted(): number {
    return this.#granted
  }
}
