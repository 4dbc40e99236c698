/**
 * Whose turn is it to run a task that one process of the service runs? That of the process which
 * has been present longest. Each enters a space of presence with the instant at which it came, not
 * before any that is there, and all choose the first one by the same rule. This is best effort:
 * presence is what a process has heard, and two of them may have heard different things.
 */
import { type Client, createClient } from '../client/index.ts'
import { MqttError } from '../index.ts'
import { type Member, type Presence, presence, withPresence } from '../presence/index.ts'
import { busClientId } from './bus-names.ts'
import { type BusParts, uuid } from './bus-parts.ts'
import { wallNowOf } from './task-times.ts'

/** How long the end of a run waits until the server knows that this process has left. */
const LEAVE_MS = 1000

/** What a process says of itself. */
interface Arrival {
  /** When it came, in ms since 1970. */
  readonly at: number
  /** Decides between two that came together. */
  readonly id: string
}

interface TurnPlace {
  readonly space: Presence
  readonly own: Promise<Arrival>
}

export class TaskTurns {
  readonly #bus: BusParts
  readonly #turns = new Map<string, TurnPlace>()
  #client: Client | null = null

  constructor(bus: BusParts) {
    this.#bus = bus
  }

  /** Is present for these names until the signal is aborted. @throws what ended the connection. */
  async drive(names: readonly string[], signal: AbortSignal): Promise<void> {
    if (signal.aborted) return
    const bus = this.#bus
    const { session, will, responseTopic, clientId, ...rest } = bus.clientOptions
    const prefix = `${bus.prefix}/_presence`
    const id = busClientId(bus.prefix, bus.service, bus.process, 'tasks.exclusive')
    const client = createClient(withPresence({ ...rest, clientId: id }, { prefix }))
    this.#client = client
    try {
      for (const name of names) this.#join(client, name)
      await client.run({ signal })
    } finally {
      this.#client = null
      const turns = [...this.#turns.values()]
      this.#turns.clear()
      const left = Promise.all(turns.map(({ space }) => space.close()))
      left.catch(() => {})
      await client.close({ timeout: LEAVE_MS }).catch(() => {})
    }
  }

  /** @returns whether this process runs the task now. It waits until it is present. */
  async isOurs(name: string, signal: AbortSignal): Promise<boolean> {
    const client = this.#client
    if (client === null) return false
    const { space, own } = this.#turns.get(name) ?? this.#join(client, name)
    try {
      const mine = await unlessAborted(own, signal)
      if (mine === null) return false
      const others = await lastMembers(space)
      return others.every((member) => {
        // One of this name on another connection was this process before its restart.
        if (member.client === client.state.clientId) return true
        const other = arrivalIn(member)
        return other === null || isBefore(mine, other)
      })
    } catch (error) {
      // `run()` has ended meanwhile.
      if (this.#client !== client) return false
      throw error
    }
  }

  #join(client: Client, name: string): TurnPlace {
    const space = presence(client, `tasks/${this.#bus.service}/${name}`)
    const turn = { space, own: this.#enter(space) }
    turn.own.catch(() => {})
    this.#turns.set(name, turn)
    return turn
  }

  async #enter(space: Presence): Promise<Arrival> {
    const arrivals = (await lastMembers(space)).flatMap((member) => arrivalIn(member) ?? [])
    const latest = Math.max(...arrivals.map(({ at }) => at + 1), wallNowOf(this.#bus.clock))
    const own = { at: Math.min(latest, Number.MAX_SAFE_INTEGER), id: uuid(this.#bus.clock) }
    await space.enter(own)
    return own
  }
}

/** @returns who is there; without a connection, who was there last. */
async function lastMembers(space: Presence): Promise<readonly Member[]> {
  try {
    return await space.get()
  } catch (error) {
    const { members } = error as { readonly members?: readonly Member[] }
    if (error instanceof MqttError && error.code === 'NOT_SYNCED') return members ?? []
    throw error
  }
}

/** @returns what a member says of itself; null for what no process of a bus says. */
function arrivalIn({ data }: Member): Arrival | null {
  const { at, id } = Object(data) as Partial<Record<keyof Arrival, unknown>>
  return typeof at === 'number' && Number.isSafeInteger(at) && typeof id === 'string'
    ? { at, id }
    : null
}

function isBefore(one: Arrival, other: Arrival): boolean {
  return one.at === other.at ? one.id < other.id : one.at < other.at
}

/** @returns what a promise resolves with; null if the signal is aborted before. */
function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T | null> {
  return new Promise((resolve, reject) => {
    const abort = () => resolve(null)
    signal.addEventListener('abort', abort, { once: true })
    if (signal.aborted) abort()
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort))
  })
}
