/**
 * Whose turn is it in a lane, and what does a turn wait for? Plain data with the time as an input.
 * (Q12, in a lane one request is open at a time)
 */

/** Lanes by name, each with those who wait behind the one whose turn it is. */
export class LaneOrder<T> {
  readonly #lanes = new Map<string, T[]>()

  /** @returns whether it is its turn now. */
  join(lane: string, item: T): boolean {
    const line = this.#lanes.get(lane)
    if (line === undefined) this.#lanes.set(lane, [item])
    else line.push(item)
    return line === undefined
  }

  /** Takes an item out. @returns the one whose turn it is therefore, or undefined. */
  leave(lane: string, item: T): T | undefined {
    const line = this.#lanes.get(lane)
    const at = line?.indexOf(item) ?? -1
    if (line === undefined || at < 0) return undefined
    line.splice(at, 1)
    if (line.length === 0) this.#lanes.delete(lane)
    return at === 0 ? line[0] : undefined
  }

  /** How many lanes are in use. */
  get size(): number {
    return this.#lanes.size
  }
}

/** The bounds of a turn. */
export interface TurnBounds {
  readonly ackMs: number
  readonly responseMs: number
  readonly hasFallback: boolean
}

/** Where a turn is: `sent` waits for the PUBACK, the other two for an answer. */
export interface Turn {
  readonly phase: 'sent' | 'acknowledged' | 'fallback'
  /** When this phase is over. */
  readonly dueAt: number
}

export function beginTurn(now: number, healthy: boolean, bounds: TurnBounds): Turn {
  if (bounds.hasFallback && !healthy) return { phase: 'fallback', dueAt: now + bounds.responseMs }
  return { phase: 'sent', dueAt: now + bounds.ackMs }
}

/** The PUBACK is there. */
export function acknowledgeTurn(turn: Turn, now: number, { responseMs }: TurnBounds): Turn {
  return turn.phase === 'sent' ? { phase: 'acknowledged', dueAt: now + responseMs } : turn
}

/** The time of the phase is over. @returns the next phase, or null if the turn is over. */
export function expireTurn(turn: Turn, now: number, bounds: TurnBounds): Turn | null {
  if (turn.phase !== 'sent' || !bounds.hasFallback) return null
  return { phase: 'fallback', dueAt: now + bounds.responseMs }
}

/** Unanswered pings from which on a connection is taken to be dead. */
const UNANSWERED_PINGS_MAX = 3

/** @returns whether requests of a lane go to the server, and not to the fallback. */
export function isHealthy(
  now: number,
  unansweredPings: number,
  disconnectedAt: number | null,
  afterMs: number,
): boolean {
  if (disconnectedAt !== null) return now - disconnectedAt < afterMs
  return unansweredPings < UNANSWERED_PINGS_MAX
}
