/**
 * What the examples of web frameworks share: a plant whose lines report their temperature and take
 * a set point. Only the client is used here, nothing of a framework.
 */
import { MqttError } from 'it-mqtt'
import {
  type Client,
  type ClientOptions,
  json,
  type Message,
  type ParamsOf,
  type StandardSchema,
  topic,
} from 'it-mqtt/client'

export interface Reading {
  readonly celsius: number
}

/** A Standard Schema by hand; schemas of zod, valibot and arktype fit as well. */
const reading: StandardSchema<Reading> = {
  '~standard': {
    version: 1,
    vendor: 'plant',
    validate: (value) => {
      const { celsius } = (value ?? {}) as Partial<Reading>
      return typeof celsius === 'number'
        ? { value: { celsius } }
        : { issues: [{ message: 'has to be a number', path: ['celsius'] }] }
    },
  },
}

export const temperature = topic('plant/{line}/temperature', { codec: json, schema: reading })
export const alarm = topic('plant/{line}/alarm', { codec: json, schema: reading })
export const setPoint = topic('plant/{line}/set-point', {
  codec: json,
  schema: reading,
  retain: true,
})

/** A temperature, as handlers get it. */
export type TemperatureMessage = Message<ParamsOf<'plant/{line}/temperature'>, Reading>

/** A web service answers soon, or says when to come back: so publishes neither wait nor pile up. */
export const options: ClientOptions = {
  reconnect: 'always',
  maxQueued: 1000,
  whenFull: 'reject',
  publishTimeout: 2000,
}

/** The last temperature of each line, kept by one subscription. */
export class Temperatures {
  readonly #latest = new Map<string, Reading>()
  #isSynced = false

  /** Whether what the broker had retained is known, so that a line without a value has none. */
  get isSynced(): boolean {
    return this.#isSynced
  }

  of(line: string): Reading | undefined {
    return this.#latest.get(line)
  }

  /** @returns a promise that settles when the client has ended, with the error that ended it. */
  async follow(client: Client): Promise<void> {
    const subscription = client.subscribe(temperature, {
      onInvalid: (error, { topic, payload }) => {
        // An empty message removes a retained one.
        if (payload.length === 0) this.#latest.delete(temperature.match(topic)?.line ?? '')
        else console.error(topic, error)
      },
    })
    subscription.synced.then(
      () => {
        this.#isSynced = true
      },
      // `forEach` rejects with the same error.
      () => {},
    )
    await subscription.forEach(({ params, value }) => {
      this.#latest.set(params.line, value)
    })
  }
}

export interface Refusal {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: { readonly code: string; readonly message: string }
}

/** The same request may succeed later: after so many seconds it may come again. */
const RETRY_AFTER_SECONDS: Readonly<Record<string, number>> = {
  QUEUE_FULL: 1,
  TIMEOUT: 2,
  ENDED: 5,
}
/** The caller gave what cannot be sent. */
const BAD_INPUT: ReadonlySet<string> = new Set(['INVALID_PAYLOAD', 'TOPIC_PARAMS'])

/** @returns what an HTTP client is told about an error of the MQTT client; null: it is another. */
export function refusalOf(error: unknown): Refusal | null {
  if (!(error instanceof MqttError)) return null
  const { code, message } = error
  const body = { code, message }
  const seconds = RETRY_AFTER_SECONDS[code]
  if (seconds !== undefined) {
    return { status: 503, headers: { 'retry-after': String(seconds) }, body }
  }
  return { status: BAD_INPUT.has(code) ? 400 : 502, headers: {}, body }
}

/** The temperatures are not known yet. */
export const NOT_YET: Refusal = {
  status: 503,
  headers: { 'retry-after': '1' },
  body: { code: 'NOT_SYNCED', message: 'the temperatures have not come yet' },
}
