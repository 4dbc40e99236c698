/**
 * What becomes of dead letters? They wait in a session of their own until they are put back to
 * their listener. (B11, a poison event is not in the way for ever)
 */
import type { Client, Message, Subscription } from '../client/index.ts'
import { MqttError } from '../index.ts'
import {
  BUS_PROPERTIES,
  deadKeeperId,
  deadTopics,
  redriveCountIn,
  redriveTopics,
} from './bus-names.ts'
import { checkTimeMs, checkWholeNumber, hasProperties, headerOf } from './bus-parts.ts'
import { KEEPER_CLOSE_MS, KEPT_SECONDS, sessionClient } from './dead-keeper.ts'
import { checkFieldNames } from './define-api.ts'
import { envelopeOf } from './event-envelope.ts'
import { type ListenerPlace, listenerPlaceOf, PLACE_FIELDS, type Place } from './listener-place.ts'

const KEPT_SECONDS_MAX = 4_294_967_295
const LETTER_IDLE_MS = 1000
const LETTERS_MAX = 1_000_000_000

/** A dead letter that was put back. */
export interface RedrivenLetter {
  /** The name of the API. */
  readonly api: string
  /** The name of the event. */
  readonly event: string
  /** The name of this very event, or null. */
  readonly id: string | null
  /** The code of the error for which it was not handled, or null. */
  readonly code: string | null
  /** The text of that error, or null. */
  readonly message: string | null
  /** How often it has been put back, this time included. */
  readonly times: number
}

/** The options of `redriveDeadLetters()`. */
export interface RedriveOptions extends ListenerPlace {
  /** After how many ms without a dead letter it ends, 1 to 86,400,000. Default 1,000. */
  readonly idle?: number | undefined
  /** How many dead letters it puts back at most, 0 to 1,000,000,000. Default: all. */
  readonly max?: number | undefined
  /**
   * For how many seconds from now on the server keeps dead letters until the next call, 1 to
   * 4,294,967,295. Default 2,592,000, thirty days. MQTT 3.1.1 has no such time.
   */
  readonly keep?: number | undefined
  /** Is told of each dead letter that was put back. */
  readonly onLetter?: ((letter: RedrivenLetter) => unknown) | undefined
}

/** What `redriveDeadLetters()` resolves with. */
export interface Redriven {
  /** How many dead letters were put back. */
  readonly count: number
  /**
   * Whether the server had kept dead letters before this call. It does from now on in any case.
   */
  readonly wasKept: boolean
  /** Whether the server said that no process of the listener has a session: the letters stay. */
  readonly isUnheard: boolean
}

/**
 * Puts dead letters back: only their listener gets them, and handles them as new events. The server
 * keeps dead letters in a session named after the listener. The first call makes it, and so does a
 * listener that hears from the server that nobody gets its dead letter; not every server says that,
 * and before the first call only retained ones are found there (`retainDead`). A letter is removed
 * when the server has it again, and put back under the same name if that fails in between.
 * @throws UsageError for an option that cannot be used; what `client.publish()` rejects with.
 */
export async function redriveDeadLetters(options: RedriveOptions): Promise<Redriven> {
  const what = 'redriveDeadLetters'
  checkFieldNames(what, options, [...PLACE_FIELDS, 'idle', 'max', 'keep', 'onLetter'])
  const place = listenerPlaceOf(what, options)
  const {
    idle = LETTER_IDLE_MS,
    max = LETTERS_MAX,
    keep = KEPT_SECONDS,
    signal,
    onLetter,
  } = options
  checkTimeMs(`${what}: idle`, idle)
  checkWholeNumber(`${what}: max`, max, 0, LETTERS_MAX)
  checkWholeNumber(`${what}: keep`, keep, 1, KEPT_SECONDS_MAX)
  const session = sessionClient(place.clientOptions, deadKeeperId(place), {
    seconds: keep,
    isClean: false,
  })
  const { client } = session
  try {
    const letters = client.subscribe(`${deadTopics(place)}/#`, {
      ...{ qos: 1, acks: 'manual', onLeave: 'keep', signal },
    }) as Subscription
    await letters.granted
    const wasKept = await session.wasThere
    let count = 0
    let isUnheard = false
    /** What was put back, and for which time. */
    const known = new Map<string, number>()
    const next = nextOf(letters, idle, signal)
    while (count < max) {
      const message = await next()
      if (message === null) break
      const letter = letterOf(place, message)
      const before = letter === null ? 0 : known.get(letterName(letter, message))
      // It has failed again meanwhile: it stays for the next call, as does all that came behind it.
      if (letter !== null && before !== undefined && before < letter.times) break
      // A letter without a name may have failed again, or be another one that is alike.
      const isRepeat = message.retain || message.redelivered
      if (letter !== null && before !== undefined && !isRepeat && !hasName(letter, message)) break
      // A retained letter may come twice: from the session, and because it is retained.
      const isNew = letter !== null && before === undefined
      if (isNew) {
        isUnheard = !(await putBack(client, place, message, letter))
        if (isUnheard) break
        known.set(letterName(letter, message), letter.times)
        count++
      }
      if (message.retain) await client.publish(message.topic, '', { qos: 1, retain: true })
      message.ack()
      if (isNew) await onLetter?.(letter)
    }
    return { count, wasKept, isUnheard }
  } finally {
    await client.close({ timeout: KEEPER_CLOSE_MS })
  }
}

/** @returns a function that waits for the next message; null if none comes. */
function nextOf(
  letters: Subscription,
  idle: number,
  signal: AbortSignal | undefined,
): () => Promise<Message | null> {
  return async () => {
    try {
      const { done, value } = await letters.next({ timeout: idle, signal })
      return done ? null : value
    } catch (error) {
      if (error instanceof MqttError && error.code === 'TIMEOUT') return null
      throw error
    }
  }
}

/** @returns null for what is no dead letter: its removal, where nothing tells the two apart. */
function letterOf(place: Place, message: Message): RedrivenLetter | null {
  const levels = message.topic.slice(deadTopics(place).length + 1).split('/')
  const event = levels.pop() ?? ''
  const headers = message.properties?.userProperties
  const { code, message: text, topic } = BUS_PROPERTIES
  if (levels.length === 0) return null
  if (message.payload.length === 0 && headerOf(headers, topic) === null) return null
  return {
    ...{ api: levels.join('/'), event, id: envelopeOf(message).id },
    ...{ code: headerOf(headers, code), message: headerOf(headers, text) },
    times: redriveCountIn(headers) + 1,
  }
}

/** @returns what a letter has in common with itself when it comes again. */
function letterName(letter: RedrivenLetter, message: Message): string {
  if (!hasName(letter, message)) return `${message.topic} ${message.payload.join()}`
  return `${envelopeOf(message).source ?? ''} ${letter.id}`
}

/** @returns false for a letter without an id, or a malformed one. */
function hasName({ id }: RedrivenLetter, message: Message): boolean {
  return id !== null && envelopeOf(message).fault === null
}

/** Publishes a letter to its listener. @returns false if the server says that nobody gets it. */
async function putBack(
  client: Client,
  place: Place,
  { payload, properties = {} }: Message,
  { api, event, times }: RedrivenLetter,
): Promise<boolean> {
  const topic = `${redriveTopics(place)}/${api}/${event}`
  const { code, message, redrive } = BUS_PROPERTIES
  const { [code]: _, [message]: __, ...kept } = properties.userProperties ?? {}
  const { contentType, payloadFormatIndicator } = properties
  const userProperties = { ...kept, [redrive]: String(times) }
  const hasThem = await hasProperties(client)
  const { noMatchingSubscribers } = await client.publish(topic, payload, {
    qos: 1,
    ...(hasThem ? { properties: { contentType, payloadFormatIndicator, userProperties } } : {}),
  })
  return !noMatchingSubscribers
}
