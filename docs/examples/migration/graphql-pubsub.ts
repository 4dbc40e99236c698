/**
 * GraphQL subscriptions over MQTT, with it-mqtt. This is the engine `MQTTPubSub` of the package
 * graphql-mqtt-subscriptions 1.2.0 (MIT, David Yahalomi,
 * https://github.com/davidyaha/graphql-mqtt-subscriptions), which is written for MQTT.js, after its
 * migration: the same methods, the same topics, payloads and QoS.
 */
import type {
  Client,
  ClientPublishOptions,
  ClientSubscribeOptions,
  Codec,
  Subscription,
} from 'it-mqtt/client'

/** Makes the options of a publish or a subscription. */
type Resolver<Options, Given> = (trigger: string, given: Given) => Options | Promise<Options>

export interface PubSubOptions {
  readonly client: Client
  readonly publishOptions?: Resolver<ClientPublishOptions, unknown>
  readonly subscribeOptions?: Resolver<ClientSubscribeOptions<unknown>, object>
  /** Makes a topic filter of a trigger. */
  readonly triggerTransform?: (trigger: string, options: object) => string
  /** Called if a listener throws, and if a subscription is refused after a reconnection. */
  readonly onError?: (error: unknown) => void
}

const utf8 = new TextDecoder()

/** JSON, and text where it is not JSON. */
const jsonOrText: Codec<unknown> = {
  encode: (value) => JSON.stringify(value),
  decode(payload) {
    const text = utf8.decode(payload)
    try {
      return JSON.parse(text)
    } catch {
      return text
    }
  },
}

export class MqttPubSub {
  readonly #options: PubSubOptions
  readonly #subscriptions = new Map<number, Subscription<unknown, unknown>>()
  #latestId = -1

  constructor(options: PubSubOptions) {
    this.#options = options
  }

  async publish(trigger: string, payload: unknown): Promise<void> {
    const { client, publishOptions } = this.#options
    const options = await publishOptions?.(trigger, payload)
    await client.publish(trigger, payload, { qos: 0, ...options, codec: jsonOrText })
  }

  async subscribe(
    trigger: string,
    onMessage: (payload: unknown) => void,
    options: object = {},
  ): Promise<number> {
    const { client, subscribeOptions, onError = console.error } = this.#options
    const own = await subscribeOptions?.(trigger, options)
    const filter = this.#filterOf(trigger, options)
    const subscription = client.subscribe(filter, { qos: 0, ...own, codec: jsonOrText })
    const id = ++this.#latestId
    this.#subscriptions.set(id, subscription)
    const handled = subscription.forEach(async ({ value }) => onMessage(value), { onError })
    handled.catch(onError)
    await subscription.granted
    return id
  }

  unsubscribe(id: number): void {
    const subscription = this.#subscriptions.get(id)
    if (subscription === undefined) throw new Error(`There is no subscription of id "${id}"`)
    this.#subscriptions.delete(id)
    void subscription.return()
  }

  asyncIterator<T>(triggers: string | readonly string[]): AsyncIterableIterator<T> {
    const filters = [triggers].flat().map((trigger) => this.#filterOf(trigger, {}))
    const messages = this.#options.client.subscribe(filters, { qos: 0, codec: jsonOrText })
    const end = async (): Promise<IteratorResult<T>> => {
      await messages.return()
      return { done: true, value: undefined }
    }
    return {
      async next() {
        const { value: message } = await messages.next()
        return message === undefined ? end() : { done: false, value: message.value as T }
      },
      return: end,
      [Symbol.asyncIterator]() {
        return this
      },
    }
  }

  #filterOf(trigger: string, options: object): string {
    return this.#options.triggerTransform?.(trigger, options) ?? trigger
  }
}
