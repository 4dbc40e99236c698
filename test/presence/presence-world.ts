/**
 * Clients that enter and watch spaces, at a broker in memory, on a virtual clock. The world of the
 * client's tests ends them, and looks for what is left.
 */
import type { Client, ClientOptions } from '../../src/client/index.ts'
import {
  type ConnectionPresenceOptions,
  type Member,
  type Presence,
  type PresenceChange,
  type PresenceOptions,
  presence,
  withPresence,
} from '../../src/presence/index.ts'
import { World } from '../client/world.ts'

/** Longer than a sync takes at a broker that promises nothing: its quiet time, twice. */
export const SYNC_MS = 600

export class PresenceWorld extends World {
  /** A client that may enter. */
  present(options: ClientOptions = {}, terms: ConnectionPresenceOptions = {}): Client {
    return this.client(withPresence({ platform: this.clock, ...options }, terms))
  }

  /** One who has entered a space, with a client that is read. */
  async entered(
    clientId: string,
    data: unknown,
    terms: ConnectionPresenceOptions = {},
    options: ClientOptions = {},
  ): Promise<{ readonly client: Client; readonly room: Presence }> {
    const client = this.running(this.present({ clientId, ...options }, terms))
    const room = presence(client, 'room')
    await this.value(room.enter(data))
    return { client, room }
  }

  /** One who watches a space for as long as the test runs. */
  watching(client: Client, options: PresenceOptions = {}): Watching {
    return new Watching(presence(client, 'room', options))
  }
}

export class Watching {
  readonly room: Presence
  readonly changes: PresenceChange[] = []
  readonly state: { ended: boolean; error: unknown } = { ended: false, error: undefined }
  #told = 0

  constructor(room: Presence) {
    this.room = room
    void this.#watch()
  }

  async #watch(): Promise<void> {
    try {
      for await (const change of this.room.changes()) this.changes.push(change)
    } catch (error) {
      this.state.error = error
    }
    this.state.ended = true
  }

  /** What has happened since the last call. */
  news(): string[] {
    const news = this.changes.slice(this.#told)
    this.#told = this.changes.length
    return news.map(({ action, member }) => {
      const data = member.data === undefined ? '' : ` ${JSON.stringify(member.data)}`
      return `${action} ${member.client}${data}`
    })
  }

  /** How sure the last change was. */
  get certainty(): string | undefined {
    return this.changes.at(-1)?.member.certainty
  }
}

/** @returns the names and the data of members, in order. */
export function shown(members: readonly Member[]): string[] {
  return members.map(({ client, data }) => `${client} ${JSON.stringify(data)}`).sort()
}
