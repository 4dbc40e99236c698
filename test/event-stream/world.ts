/**
 * Two ends of event streams in memory, and what tests give them: schemas, events, a signer.
 */
import { createHmac } from 'node:crypto'
import type { StandardSchema } from '../../src/client/index.ts'
import {
  type Carrier,
  chunkSigning,
  decodeMessage,
  defineEvents,
  encodeMessage,
  type Message,
  type MessageInput,
} from '../../src/event-stream/index.ts'

/** A schema that takes what `check` takes. */
export function schema<T>(check: (value: unknown) => boolean): StandardSchema<T> {
  return {
    '~standard': {
      version: 1,
      vendor: 'test',
      validate: (value) =>
        check(value)
          ? { value: value as T }
          : { issues: [{ message: `no: ${value}`, path: ['text'] }] },
    },
  }
}

const hasText = (value: unknown) => typeof (value as { text?: unknown } | null)?.text === 'string'

/** A schema that makes something else of what it takes. */
const length: StandardSchema<string, number> = {
  '~standard': {
    version: 1,
    vendor: 'test',
    validate: (value) =>
      typeof value === 'string' ? { value: value.length } : { issues: [{ message: 'no text' }] },
  },
}

export const events = defineEvents(
  {
    said: { payload: schema<{ text: string }>(hasText) },
    counted: {
      headers: schema<{ n: number }>((value) => typeof (value as { n: unknown }).n === 'number'),
    },
    measured: { payload: length },
    done: {},
  },
  {
    exceptions: { Busy: { payload: schema<{ message: string; after: number }>(() => true) } },
  },
)

/** A queue that is iterated, once. */
export class Queue<T> implements AsyncIterable<T> {
  readonly #items: T[] = []
  readonly #waiting: ((result: IteratorResult<T, undefined>) => void)[] = []
  #isOver = false
  returns = 0
  pulls = 0

  push(item: T): void {
    const waiting = this.#waiting.shift()
    if (waiting === undefined) this.#items.push(item)
    else waiting({ done: false, value: item })
  }

  end(): void {
    this.#isOver = true
    for (const waiting of this.#waiting.splice(0)) waiting({ done: true, value: undefined })
  }

  [Symbol.asyncIterator](): AsyncIterator<T, undefined> {
    return {
      next: () => {
        this.pulls++
        const value = this.#items.shift()
        if (value !== undefined) return Promise.resolve({ done: false, value })
        if (this.#isOver) return Promise.resolve({ done: true, value: undefined })
        return new Promise((resolve) => this.#waiting.push(resolve))
      },
      return: async () => {
        this.returns++
        return { done: true, value: undefined }
      },
    }
  }
}

/** One end of a pair: what it receives, what it sent, and how it was closed. */
export class End implements Carrier {
  readonly receive = new Queue<Message>()
  readonly sent: Message[] = []
  readonly closed: unknown[] = []
  /** Where what is sent goes; an end of nothing keeps it. */
  other: End | null = null
  /** What `send` waits for. */
  room: Promise<void> | null = null

  send(message: MessageInput): Promise<void> | void {
    // As on a wire.
    const copy = decodeMessage(encodeMessage(message))
    this.sent.push(copy)
    this.other?.receive.push(copy)
    return this.room ?? undefined
  }

  end(): void {
    this.other?.receive.end()
  }

  close(reason?: unknown): void {
    this.closed.push(reason)
  }
}

export function pair(): [client: End, server: End] {
  const ends: [End, End] = [new End(), new End()]
  ends[0].other = ends[1]
  ends[1].other = ends[0]
  return ends
}

/** Signs chunks with a key. */
export function signing(key = 'secret', seed = Uint8Array.of(1, 2, 3)) {
  return chunkSigning({
    seed,
    sign: ({ prior, headers, payload }) =>
      new Uint8Array(
        createHmac('sha256', key).update(prior).update(headers).update(payload).digest(),
      ),
  })
}

export const event = (type: string, payload: unknown = undefined): MessageInput => ({
  headers: { ':message-type': 'event', ':event-type': type },
  payload: payload === undefined ? undefined : new TextEncoder().encode(JSON.stringify(payload)),
})

/** Turns of promises, in which everything happens that takes no time. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 50; turn++) await Promise.resolve()
}

/** @returns what came of an iteration */
export async function taken(stream: AsyncIterable<unknown>) {
  const events: unknown[] = []
  try {
    for await (const one of stream) events.push(one)
  } catch (error) {
    // biome-ignore lint/suspicious/noExplicitAny: what errors have is what tests look at
    return { events, error: error as any }
  }
  return { events, error: null }
}
