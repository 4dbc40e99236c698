import {
  type Eventloop,
  type EventloopOptions,
  eventloop,
  type IncomingPublish,
  matches,
  type Outcome,
  publish,
  type Request,
  subscribe,
  unsubscribe,
} from 'it-mqtt'
import { pushable } from 'it-pushable'

type Handler = (message: IncomingPublish) => unknown

class Client {
  readonly #requests = pushable<Request>({ objectMode: true })
  readonly #waiting = new Map<Request, (outcome: Outcome) => void>()
  readonly #handlers = new Map<string, Handler>()
  readonly #loop: Eventloop
  /** Rejects if the connection is lost for good. */
  readonly ended: Promise<void>

  constructor(options: EventloopOptions) {
    const onSettled = (request: Request, outcome: Outcome) => this.#settle(request, outcome)
    this.#loop = eventloop({ ...options, until: 'closed', onSettled }, this.#requests)
    this.ended = this.#consume()
  }

  publish(topic: string, payload: string): Promise<void> {
    return this.#send(publish(topic, payload, { qos: 1 }))
  }

  subscribe(filter: string, handler: Handler): Promise<void> {
    this.#handlers.set(filter, handler)
    return this.#send(subscribe(filter, { qos: 1 }))
  }

  unsubscribe(filter: string): Promise<void> {
    this.#handlers.delete(filter)
    return this.#send(unsubscribe(filter))
  }

  /** Waits for what is in flight, 10 s at most. */
  async close(): Promise<void> {
    this.#loop.disconnect()
    await this.ended
  }

  #send(request: Request): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.set(request, (outcome) => (outcome.ok ? resolve() : reject(outcome.error)))
      this.#requests.push(request)
    })
  }

  #settle(request: Request, outcome: Outcome): void {
    this.#waiting.get(request)?.(outcome)
    this.#waiting.delete(request)
  }

  async #consume(): Promise<void> {
    try {
      for await (const packet of this.#loop) {
        if (packet.cmd !== 'publish') continue
        for (const [filter, handle] of this.#handlers) {
          if (matches(filter, packet.topic)) await handle(packet)
        }
      }
    } finally {
      // The loop has ended: nobody else tells those who still wait.
      const error = new Error('the client is closed')
      for (const settle of this.#waiting.values()) settle({ ok: false, error })
      this.#waiting.clear()
    }
  }
}

const client = new Client({ url: 'mqtt://localhost' })
const switchedOn = new Promise<void>((resolve) => {
  void client.subscribe('rooms/+/light', ({ topic, payload }) => {
    console.log(topic, payload.toString())
    resolve()
  })
})
await client.publish('rooms/kitchen/light', 'on')
await switchedOn
await client.unsubscribe('rooms/+/light')
await client.publish('rooms/kitchen/light', 'off')
await client.close()
console.log('closed')
