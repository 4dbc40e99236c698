/**
 * How does an event stream go over MQTT? Each message is the payload of one PUBLISH. Its user
 * properties number it, so that a message that comes twice is dropped and one that is missing is
 * found (V10).
 */
import type { Client, Message as ReceivedMessage, Subscription } from '../client/index.ts'
import { ConnectionError, type QoS, systemPlatform, UsageError } from '../index.ts'
import { checkTimeout, type IdleOptions, withinIdle } from './chunk-source.ts'
import { type DecodeLimits, resolveLimits } from './codec/frame-rules.ts'
import type { MessageInput, StreamMessage } from './codec/header-values.ts'
import { decodeStreamMessage } from './codec/message-decoder.ts'
import { encodeStreamMessage } from './codec/message-encoder.ts'
import type { Carrier } from './event-stream-types.ts'
import { incomplete, protocolFault } from './incoming-events.ts'

/** The options of `overMqtt()`. */
export interface MqttCarrierOptions extends DecodeLimits, IdleOptions {
  /** The Topic Name to publish to. Default: nothing can be sent. */
  readonly sendTopic?: string | undefined
  /** The Topic Filter to receive from. Default: nothing comes, and the other side has ended. */
  readonly receiveFilter?: string | undefined
  /** The QoS, both ways. Default 1. */
  readonly qos?: QoS | undefined
  /**
   * `sequence`: messages are numbered, which needs MQTT 5. One that came before is dropped, and if
   * one is missing the stream rejects with `STREAM_GAP`. `none`: each message is taken as it comes;
   * such a stream has no end. Default `sequence`.
   */
  readonly order?: 'sequence' | 'none' | undefined
  /** The name of what is sent. Default: 32 random hexadecimal digits. */
  readonly streamId?: string | undefined
  /**
   * The name of what is received; messages of other streams are passed over. Default: that of the
   * first message, and a message of another stream rejects with `STREAM_GAP`.
   */
  readonly receiveId?: string | undefined
}

/** The Content Type of each PUBLISH. */
const MEDIA_TYPE = 'application/vnd.amazon.eventstream'
/** The user properties: the stream, the number of the message from 0, and the mark of the end. */
const STREAM = 'itm-stream'
const NUMBER = 'itm-seq'
const LAST = 'itm-last'

/**
 * Carries an event stream over MQTT. `send` resolves when the server has the message.
 * @param client its connection is used; it is not closed with the stream
 * @throws UsageError if an option cannot be used
 */
export function overMqtt(
  client: Pick<Client, 'publish' | 'subscribe'>,
  options: MqttCarrierOptions,
): Carrier {
  const { sendTopic, receiveFilter, qos = 1, order = 'sequence' } = options
  if (order !== 'sequence' && order !== 'none') {
    throw new UsageError('the option order of overMqtt() must be sequence or none')
  }
  if (sendTopic === undefined && receiveFilter === undefined) {
    throw new UsageError('overMqtt() needs sendTopic, receiveFilter or both')
  }
  checkTimeout('idleTimeout', options.idleTimeout)
  const streamId = options.streamId ?? randomName()
  const isNumbered = order === 'sequence'
  const received = new ReceivedMessages(client, options)
  let count = 0
  const publish = async (payload: Uint8Array, isLast: boolean): Promise<void> => {
    if (sendTopic === undefined) throw new UsageError('overMqtt() was given no sendTopic')
    // The answers to what is sent must not come before the subscription.
    received.begin()
    const last = isLast ? { [LAST]: '1' } : {}
    const userProperties = { [STREAM]: streamId, [NUMBER]: String(count), ...last }
    if (isNumbered) count++
    const properties = isNumbered ? { contentType: MEDIA_TYPE, userProperties } : undefined
    await client.publish(sendTopic, payload, { qos, properties })
  }
  return {
    receive: { [Symbol.asyncIterator]: () => received },
    send: (message: MessageInput) => publish(encodeStreamMessage(message), false),
    async end() {
      if (isNumbered && sendTopic !== undefined) await publish(new Uint8Array(0), true)
    },
    close: () => void received.return(),
  }
}

const OVER = { done: true, value: undefined } as const

/** The messages of one stream, out of those of a subscription. */
class ReceivedMessages implements AsyncIterator<StreamMessage, undefined> {
  readonly #client: Pick<Client, 'subscribe'>
  readonly #options: MqttCarrierOptions
  readonly #limits: DecodeLimits
  #subscription: Subscription | null = null
  #hasEnded: boolean
  /** The stream that is received, once it is known. */
  #id: string | undefined
  /** The number of the next message. */
  #next = 0

  constructor(client: Pick<Client, 'subscribe'>, options: MqttCarrierOptions) {
    this.#client = client
    this.#options = options
    this.#limits = resolveLimits(options)
    this.#id = options.receiveId
    this.#hasEnded = options.receiveFilter === undefined
  }

  begin(): void {
    const { receiveFilter, qos = 1 } = this.#options
    if (this.#hasEnded || this.#subscription !== null) return
    const subscription = this.#client.subscribe(receiveFilter as string, {
      ...{ qos, retained: 'none' },
      // No other stream can go on with the messages of this one, so a session must not keep them.
      onLeave: 'release',
    })
    this.#subscription = subscription as unknown as Subscription
  }

  next(): Promise<IteratorResult<StreamMessage, undefined>> {
    this.begin()
    // Repeats and messages of other streams are no sign of life.
    return withinIdle(this.#nextOfStream(), this.#options)
  }

  async #nextOfStream(): Promise<IteratorResult<StreamMessage, undefined>> {
    for (;;) {
      if (this.#hasEnded || this.#subscription === null) return OVER
      const { done, value } = await this.#subscription.next()
      if (done === true) {
        // Unless this side has left it, the client was closed before the mark of the end.
        if (this.#hasEnded) return OVER
        this.#hasEnded = true
        throw incomplete('with its subscription')
      }
      if (!this.#isNext(value)) continue
      if (markedBy(value)[LAST] === undefined) {
        return { done: false, value: decodeStreamMessage(value.payload, this.#limits) }
      }
      await this.return()
    }
  }

  async return(): Promise<IteratorResult<StreamMessage, undefined>> {
    this.#hasEnded = true
    const subscription = this.#subscription
    this.#subscription = null
    await subscription?.return()
    return OVER
  }

  /** @returns whether a message is the next one of the stream, and not one that came before */
  #isNext(message: ReceivedMessage): boolean {
    if (this.#options.order === 'none') return true
    const { [STREAM]: id, [NUMBER]: number } = markedBy(message)
    if (typeof id !== 'string' || typeof number !== 'string' || !/^\d{1,15}$/.test(number)) {
      throw protocolFault(NUMBER, `came over MQTT without the user properties ${STREAM}, ${NUMBER}`)
    }
    if (this.#id !== undefined && id !== this.#id) {
      if (this.#options.receiveId !== undefined) return false
      throw gap(`another stream began on its topic after ${this.#next} messages`)
    }
    this.#id = id
    const found = Number(number)
    if (found > this.#next) throw gap(`message ${found} came, and ${this.#next} did not`)
    if (found < this.#next) return false
    this.#next++
    return true
  }
}

function markedBy(message: ReceivedMessage): Readonly<Record<string, unknown>> {
  return message.properties?.userProperties ?? {}
}

function gap(problem: string): ConnectionError {
  return new ConnectionError(`an event stream has a gap: ${problem}`, { code: 'STREAM_GAP' })
}

/** A page without TLS has no `crypto.randomUUID()`, and nobody has to be unable to guess it. */
function randomName(): string {
  const part = () => Math.floor(systemPlatform.random() * 2 ** 32).toString(16)
  return Array.from({ length: 4 }, () => part().padStart(8, '0')).join('')
}
