/**
 * `presence()`: who is there in one space, and being there. The object that users get checks what
 * they give, and passes it on: to the watch of the space, and to the presence of the client.
 */
import { type Client, type ClientHost, hostOf } from '../client/index.ts'
import { UsageError } from '../index.ts'
import { BOUND_NAMES, checkBounds } from './call-bounds.ts'
import type { OwnPresence } from './own-presence.ts'
import {
  checkName,
  checkPresenceFields,
  DEFAULT_PREFIX,
  dataTextOf,
  spaceTerms,
} from './presence-checks.ts'
import { notPrepared, presenceEnded } from './presence-errors.ts'
import type {
  GetOptions,
  Member,
  MemberOptions,
  Presence,
  PresenceChange,
  PresenceOptions,
  PresenceState,
  PresenceSynced,
} from './presence-types.ts'
import { SpaceWatch } from './space-watch.ts'
import { preparedFor } from './with-presence.ts'

/**
 * The presence of clients in a space. Nothing happens before something of it is awaited.
 * @param client a client of `createClient()`. To enter, its options have to be those of
 *   `withPresence()`; any client can watch.
 * @param space a name, of any characters.
 * @throws UsageError for a name or an option that cannot be used.
 */
export function presence(client: Client, space: string, options: PresenceOptions = {}): Presence {
  return new SpacePresence(hostOf(client), checkName('presence: the space', space), options)
}

class SpacePresence implements Presence {
  readonly space: string
  readonly #host: ClientHost
  readonly #own: OwnPresence | null
  readonly #watch: SpaceWatch
  readonly #maxData: number
  #closing: Promise<void> | null = null

  constructor(host: ClientHost, space: string, options: PresenceOptions) {
    const terms = spaceTerms(options)
    this.space = space
    this.#host = host
    this.#maxData = terms.maxData
    this.#own = preparedFor(host.target)
    this.#own?.attach(host)
    const ownPrefix = this.#own?.terms.prefix
    const prefix = terms.prefix ?? ownPrefix ?? DEFAULT_PREFIX
    if (ownPrefix !== undefined && prefix !== ownPrefix) {
      const rule = `must be that of withPresence(), "${ownPrefix}"`
      throw new UsageError(`presence: prefix ${rule}, or be left out`)
    }
    this.#watch = new SpaceWatch(host, prefix, space, terms)
  }

  async enter(data?: unknown, options: MemberOptions = {}): Promise<void> {
    const { own, client } = this.#owner('enter', options)
    const text = dataTextOf('enter', data, this.#maxData)
    return own.enter({ owner: this, what: 'enter', bounds: options }, this.space, client, text)
  }

  async update(data: unknown, options: MemberOptions = {}): Promise<void> {
    const { own, client } = this.#owner('update', options)
    if (data === undefined) throw new UsageError('update: the data is missing')
    const text = dataTextOf('update', data, this.#maxData)
    return own.enter({ owner: this, what: 'update', bounds: options }, this.space, client, text)
  }

  async leave(data?: unknown, options: MemberOptions = {}): Promise<void> {
    const { own, client } = this.#owner('leave', options)
    const text = dataTextOf('leave', data, this.#maxData)
    return own.leave({ owner: this, what: 'leave', bounds: options }, this.space, client, text)
  }

  async get(options: GetOptions = {}): Promise<readonly Member[]> {
    checkPresenceFields('get', options, ['waitForSync', 'client', 'connection', ...BOUND_NAMES])
    const { waitForSync = true, client, connection } = options
    this.#mustBeOpen('get')
    checkBounds('get', options)
    if (waitForSync) await this.#watch.synced(options)
    else this.#watch.begin()
    return this.#watch.list().filter((member) => {
      const isClient = client === undefined || member.client === client
      return isClient && (connection === undefined || member.connection === connection)
    })
  }

  changes(): AsyncIterableIterator<PresenceChange, undefined> {
    this.#mustBeOpen('changes')
    return this.#watch.changes()
  }

  get synced(): Promise<PresenceSynced> {
    if (this.#closing !== null) return Promise.reject(presenceEnded('synced'))
    return this.#watch.synced()
  }

  get state(): PresenceState {
    const entered = this.#own?.countIn(this.space) ?? 0
    return Object.freeze({ ...this.#watch.state, entered })
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    this.#watch.close()
    await this.#own?.leaveAll(this)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  #mustBeOpen(what: string): void {
    if (this.#closing !== null) throw presenceEnded(what)
    if (!this.#host.isOpen) throw new UsageError(`${what}: the client has ended`, { code: 'ENDED' })
  }

  /** @returns who enters, and under which name; null: that of the client. */
  #owner(what: string, options: MemberOptions) {
    this.#mustBeOpen(what)
    checkPresenceFields(what, options, ['client', ...BOUND_NAMES])
    checkBounds(what, options)
    const own = this.#own
    if (own === null) throw notPrepared()
    const { client } = options
    if (client === undefined) return { own, client: null }
    const name = checkName(`${what}: client`, client)
    return { own, client: name === this.#host.clientId ? null : name }
  }
}
