/**
 * Clients of it-mqtt/client at a real broker, for one test: each ends with it, and what is awaited
 * in vain says what it was.
 */
import { expect } from 'vitest'
import {
  type Client,
  type ClientOptions,
  createClient,
  type Message,
} from '../../src/client/index.ts'
import type { Warning } from '../../src/index.ts'
import type { Spoken } from './each-broker.ts'
import { Relay } from './relay.ts'

interface Scope {
  onTestFinished(done: () => Promise<void> | void): void
}

/** Nothing at a broker on this machine takes so long, in ms: the limit only ends what hangs. */
const HANG_MS = 20_000
/** Longer than any test. */
const SESSION_S = 600

let worlds = 0

/** @returns what a promise resolves with, or throws what was awaited in vain. */
export async function soon<T>(
  promise: Promise<T>,
  what: string | (() => string),
  hangMs = HANG_MS,
): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(new Error(`in vain: ${typeof what === 'string' ? what : what()}`))
    }, hangMs)
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}

export class RealClients {
  readonly warnings: Warning[] = []
  /** The beginning of all topics of this test. */
  readonly base: string
  readonly #spoken: Spoken
  readonly #scope: Scope
  readonly #number = ++worlds
  #count = 0

  constructor(spoken: Spoken, scope: Scope) {
    this.#spoken = spoken
    this.#scope = scope
    this.base = `t${this.#number}v${spoken.version}`
  }

  get highestQoS(): 1 | 2 {
    return this.#spoken.kind.maximumQoS
  }

  /** What `eventloop()` and `createClient()` need to reach the broker. */
  get target() {
    return { url: this.#spoken.broker.url, protocolVersion: this.#spoken.version } as const
  }

  client(options: ClientOptions = {}): Client {
    const client = createClient({
      ...this.target,
      clientId: `${this.base}c${++this.#count}`,
      reconnect: { when: 'always', minMs: 5, maxMs: 100 },
      onWarning: (warning) => this.warnings.push(warning),
      ...options,
    })
    this.#scope.onTestFinished(async () => {
      const closed = client.close({ timeout: 500 }).catch(() => {})
      await soon(closed, 'the client closes', 9000)
    })
    return client
  }

  /** The options of a client whose session outlives its connections. */
  keeping(options: ClientOptions = {}): ClientOptions {
    const expiry = this.#spoken.version === 5 ? { sessionExpiryInterval: SESSION_S } : {}
    return { cleanStart: false, ...expiry, ...options }
  }

  /** A relay before the broker, and the URL that leads through it. */
  async relayed(): Promise<{ readonly relay: Relay; readonly url: string }> {
    const url = new URL(this.target.url)
    const relay = await Relay.open(this.#scope, Number(url.port))
    url.port = String(relay.port)
    return { relay, url: url.href }
  }
}

const decoder = new TextDecoder()
export const textOf = ({ payload }: { readonly payload: Uint8Array }) => decoder.decode(payload)

/** What a subscription gives, taken in the background. */
export class Collected {
  readonly messages: Message[] = []
  error: unknown = null
  hasEnded = false
  #look = () => {}

  constructor(subscription: AsyncIterable<Message>) {
    void this.#take(subscription)
  }

  async #take(subscription: AsyncIterable<Message>): Promise<void> {
    try {
      for await (const message of subscription) {
        this.messages.push(message)
        this.#look()
      }
    } catch (error) {
      this.error = error
    }
    this.hasEnded = true
    this.#look()
  }

  get texts(): string[] {
    return this.messages.map(textOf)
  }

  /** The texts without repetitions that say that they are. */
  get fresh(): string[] {
    const seen = new Set<string>()
    return this.messages.flatMap((message) => {
      const text = textOf(message)
      if (message.redelivered && seen.has(text)) return []
      seen.add(text)
      return [text]
    })
  }

  /** Resolves once a text has come. */
  has(text: string): Promise<void> {
    return this.when(() => this.texts.includes(text), `the message "${text}"`)
  }

  async when(condition: () => boolean, what: string): Promise<void> {
    const waiting = async () => {
      while (!condition()) {
        if (this.hasEnded) throw new Error(`it has ended before: ${what} (${this.error})`)
        await new Promise<void>((resolve) => {
          this.#look = resolve
        })
      }
    }
    await soon(waiting(), () => `${what}; there are ${this.texts}`)
  }
}

/** Waits until the client has another good connection than before. */
export async function reconnects(client: Client, lose: () => void): Promise<boolean | null> {
  const transitions = client.transitions()
  lose()
  const again = async () => {
    let lost = false
    for await (const { to, sessionPresent } of transitions) {
      if (to !== 'connected') lost = true
      else if (lost) return sessionPresent
    }
    throw new Error('the client has ended')
  }
  const endDemand = new AbortController()
  // A client is read, and connects again, only while somebody awaits something of it.
  const running = client.run({ signal: endDemand.signal })
  try {
    return await soon(again(), () => `connected again; ${JSON.stringify(client.state.connection)}`)
  } finally {
    endDemand.abort()
    await running
  }
}

/** Expects the warnings of a test to be these. */
export function expectWarnings({ warnings }: RealClients, codes: readonly string[]): void {
  expect(warnings.map(({ code }) => code)).toEqual(codes)
}
