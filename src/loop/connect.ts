/**
 * The first connection is the user's to judge: one attempt, and a value that goes to one `eventloop()`.
 */
import type { IConnackPacket } from 'mqtt-packet'
import { UsageError } from '../errors.ts'
import { type EventloopOptions, hasSession, resolveOptions } from '../options/options.ts'
import type { ReconnectPolicy } from '../protocol/contract.ts'
import type { Source } from '../requests/source.ts'
import { adopt, driveBy, establish } from './beginning.ts'
import { Loop } from './loop.ts'
import type { Driver } from './parts.ts'

/** A connection that was accepted and of which nobody has read anything beyond the CONNACK. Sends nothing by itself. */
export class Connected implements AsyncDisposable {
  readonly connack: IConnackPacket
  /** @internal A saved session or a store was given. */
  readonly hasSession: boolean
  readonly #policy: ReconnectPolicy
  #loop: Loop | null

  /** @internal */
  constructor(loop: Loop, connack: IConnackPacket, policy: ReconnectPolicy, hasSession: boolean) {
    this.#loop = loop
    this.#policy = policy
    this.connack = connack
    this.hasSession = hasSession
  }

  /** @internal The loop behind it goes on with these streams: once. */
  claim(requests: Source | null, controls: Source | null, driver: Driver | null): Loop {
    const loop = this.#loop
    if (loop === null) {
      throw new UsageError(
        'options: this connection was given to a loop already, or disposed of; connect again',
      )
    }
    this.#loop = null
    adopt(loop, requests, controls, this.#policy)
    if (driver !== null) driveBy(loop, driver)
    return loop
  }

  /** Says goodbye and closes, where no loop took it. */
  async [Symbol.asyncDispose](): Promise<void> {
    const loop = this.#loop
    this.#loop = null
    await loop?.return()
  }
}

/**
 * Connects once. Resolves after a good CONNACK, or rejects with the reason and leaves nothing behind.
 * @throws UsageError for options that cannot be used.
 */
export async function connect(options: string | URL | EventloopOptions): Promise<Connected> {
  const resolved = resolveOptions(options)
  const { reconnect } = resolved.config
  const config = { ...resolved.config, reconnect: { ...reconnect, when: 'never' as const } }
  const loop = new Loop({ ...resolved, config }, null, null, null)
  await establish(loop)
  const connack = loop.state.connection.connack as IConnackPacket
  return new Connected(loop, connack, reconnect, hasSession(resolved))
}
