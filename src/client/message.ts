/**
 * What does a subscription give for one PUBLISH? The fields are taken over; parameters and value
 * are made when somebody reads them.
 */
import type { IncomingPublish, QoS } from '../index.ts'
import type { Receipt } from './receipts.ts'
import type { Message, Subscription } from './subscription-types.ts'
import type { TopicParams } from './topic-types.ts'

/** What a message needs of its subscription. */
export interface MessageReader extends Subscription<TopicParams, unknown> {
  /** @returns the parameters of a topic. */
  paramsOf(topic: string): TopicParams
  /** @returns the decoded and validated payload. */
  decode(message: DeliveredMessage): unknown
  /** Called once, when a message is handled. */
  handled(message: DeliveredMessage): void
}

const NOT_DECODED = Symbol('not decoded')

export class DeliveredMessage implements Message<TopicParams, unknown> {
  readonly topic: string
  readonly payload: IncomingPublish['payload']
  readonly qos: QoS
  readonly retain: boolean
  readonly properties: IncomingPublish['properties']
  readonly redelivered: boolean
  readonly deliveryId: number | undefined
  readonly subscription: MessageReader
  /** Null if nothing waits for its acknowledgement. */
  readonly receipt: Receipt | null
  #params: TopicParams | null = null
  #value: unknown = NOT_DECODED
  #handled = false

  constructor(
    packet: IncomingPublish,
    subscription: MessageReader,
    receipt: Receipt | null,
    qos: QoS,
    redelivered: boolean,
  ) {
    this.topic = packet.topic
    this.payload = packet.payload
    this.qos = qos
    this.retain = packet.retain
    this.properties = packet.properties
    this.redelivered = redelivered || packet.dup || packet.redelivered === true
    this.deliveryId = packet.deliveryId
    this.subscription = subscription
    this.receipt = receipt
  }

  get params(): TopicParams {
    this.#params ??= this.subscription.paramsOf(this.topic)
    return this.#params
  }

  get value(): unknown {
    if (this.#value === NOT_DECODED) this.#value = this.subscription.decode(this)
    return this.#value
  }

  get isHandled(): boolean {
    return this.#handled
  }

  /** Another subscription has it now: an acknowledgement that comes late counts no more. */
  supersede(): void {
    this.#handled = true
  }

  ack(): void {
    if (this.#handled) return
    this.#handled = true
    this.subscription.handled(this)
  }
}
