/**
 * `connect()`: makes one attempt, so that the user can decide what a failure means, and resolves
 * with a value that one `eventloop()` takes over.
 */

import { UsageError } from '../errors.ts'
import type { EventloopOptions } from '../options/options.ts'
import { hasSession, resolveOptions } from '../options/resolve.ts'
import type { ReconnectPolicy } from '../protocol/config.ts'
import type { Source } from '../requests/source.ts'
import type { ConnackPacket } from '../requests/vocabulary.ts'
import { adopt, choose, driveBy, establish, type LoopChoices } from './beginning.ts'
import { Loop } from './loop.ts'
import type { Driver } from './parts.ts'

/**
 * A connection that the server accepted. Nothing after the CONNACK was read, and nothing is sent
 * until a loop takes the connection over.
 */
export class Connected implements AsyncDisposable {
  /** The CONNACK with which the server accepted the connection. */
  readonly connack: ConnackPacket
  /** Whether a saved session or a session store was given. */
  readonly hasSession: boolean
  readonly #policy: ReconnectPolicy
  #loop: Loop | null

  /** @internal */
  constructor(loop: Loop, connack: ConnackPacket, policy: ReconnectPolicy, hasSession: boolean) {
    this.#loop = loop
    this.#policy = policy
    this.connack = connack
    this.hasSession = hasSession
  }

  /** @internal Gives the loop behind it these streams. It works once. */
  claim(
    requests: Source | null,
    controls: Source | null,
    driver: Driver | null,
    choices: LoopChoices | null,
  ): Loop {
    const loop = this.#loop
    if (loop === null) {
      throw new UsageError(
        'options: this connection was given to a loop already, or disposed of; connect again',
      )
    }
    this.#loop = null
    adopt(loop, requests, controls, this.#policy)
    if (driver !== null) driveBy(loop, driver)
    if (choices !== null) choose(loop, choices)
    return loop
  }

  /** Sends DISCONNECT and closes, unless a loop has taken the connection over. */
  async [Symbol.asyncDispose](): Promise<void> {
    const loop = this.#loop
    this.#loop = null
    await loop?.return()
  }
}

/**
 * Connects once. Resolves after a good CONNACK, or rejects with the reason and leaves nothing
 * behind.
 * @throws UsageError for options that cannot be used.
 */
export async function connect(options: string | URL | EventloopOptions): Promise<Connected> {
  const resolved = resolveOptions(options)
  const { reconnect } = resolved.config
  const config = { ...resolved.config, reconnect: { ...reconnect, when: 'never' as const } }
  const loop = new Loop({ ...resolved, config }, null, null, null)
  await establish(loop)
  const connack = loop.state.connection.connack as ConnackPacket
  return new Connected(loop, connack, reconnect, hasSession(resolved))
}
