/**
 * How does the command come to a space, and leave it? A signal and the end of the output both end
 * the visit in order, so that others see the command leave, and not as lost.
 */
import { type Client, createClient } from '../../client/index.ts'
import { MqttError, type Warning } from '../../index.ts'
import { type Presence, presence, withPresence } from '../../presence/index.ts'
import { type ConnectionFlags, connectionOptions } from '../flags.ts'
import { Interrupt } from '../interrupt.ts'

export interface PresenceFlags extends ConnectionFlags {
  readonly plain?: boolean
  readonly json?: boolean
  readonly once?: boolean
  /** In an object of its own, since commander makes an empty text of null. */
  readonly enter?: { readonly data: unknown }
  readonly prefix?: string
  readonly ttl?: number
}

export class SpaceVisit {
  readonly client: Client
  readonly space: Presence
  readonly #flags: PresenceFlags
  readonly #onEnd: () => void
  #ending: Promise<unknown> | null = null

  /**
   * @param onEnd is called when the end begins, for example to give up output.
   * @throws UsageError for a name or a flag that cannot be used.
   */
  constructor(
    name: string,
    flags: PresenceFlags,
    onWarning: (warning: Warning) => void,
    onEnd: () => void = () => {},
  ) {
    const { prefix, ttl, enter } = flags
    const options = { ...connectionOptions(flags, null), onWarning }
    const isWatcher = enter === undefined
    this.client = createClient(isWatcher ? options : withPresence(options, { prefix, ttl }))
    this.space = presence(this.client, name, { prefix })
    this.#flags = flags
    this.#onEnd = onEnd
  }

  /**
   * Connects, enters if that is asked for, and does `what`; leaves after it, or at a signal.
   * @returns the exit status.
   */
  async during(what: () => Promise<void>): Promise<number> {
    const interrupt = new Interrupt(() => this.end())
    try {
      await this.client.ready()
      const { enter } = this.#flags
      if (enter !== undefined) await this.space.enter(enter.data)
      await what()
    } catch (error) {
      // What ends the visit also rejects what was awaited.
      if (this.#ending === null) throw causeOf(error)
    } finally {
      this.end()
      await this.#ending
      interrupt.close()
    }
    return interrupt.status
  }

  /** Begins the end. Without a connection nobody would hear a farewell, so none is waited for. */
  end(): void {
    if (this.#ending !== null) return
    const isConnected = this.client.state.connection.kind === 'connected'
    const timeout = isConnected ? this.#flags.disconnectTimeout : 1
    // What ended the client has been reported by what was awaited.
    this.#ending = this.client.close({ timeout }).catch(() => {})
    this.#onEnd()
  }
}

/** @returns the error that ended the client, if another one only says that it has ended. */
function causeOf(error: unknown): unknown {
  const isEnd = error instanceof MqttError && error.code === 'ENDED'
  return isEnd && error.cause instanceof Error ? error.cause : error
}
