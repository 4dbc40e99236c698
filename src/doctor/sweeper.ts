/**
 * Who removes what the questions have made? One connection for retained messages, opened when
 * something is to be removed, and one for each session. After each question there is a short try;
 * what then remains is tried again at the end of the examination.
 */
import type { Remover } from './leavings.ts'
import { Pacer } from './pacer.ts'
import type { Peer } from './peer.ts'
import { NotKnown, type Rounds, Visit } from './visit.ts'

/** How long removing may take at the end, in ms. */
const REMOVAL_MS = 5000

export class Sweeper {
  readonly #rounds: Rounds
  readonly #visit: Visit
  /** How long an answer is waited for, in ms; undefined: as for every answer. */
  readonly #patienceMs: number | undefined
  #peer: Promise<Peer> | null = null

  constructor(rounds: Rounds, signal: AbortSignal, isShort: boolean) {
    this.#rounds = rounds
    this.#visit = new Visit(rounds, 'removal', signal)
    this.#patienceMs = isShort ? this.#visit.absenceMs : undefined
  }

  /** @param question whose things are removed; null: those of all. */
  async sweep(question: string | null): Promise<void> {
    const before = await this.#peer?.catch(() => null)
    if (before == null || before.ended !== null) this.#peer = null
    const remover: Remover = {
      clear: async (topic) => {
        this.#peer ??= this.#visit.open()
        const peer = await this.#peer
        const choice = { qos: 1, retain: true, ...this.#patience } as const
        return (await peer.publish(topic, '', choice)).kind === 'accepted'
      },
      forget: async (id) => {
        const peer = await this.#visit.tryOpen({ id })
        await peer.close()
        return peer.connack !== null
      },
    }
    await this.#rounds.removal.run(remover, question)
  }

  /** Ends its connections. */
  async end(): Promise<void> {
    await this.#visit.end()
  }

  get #patience() {
    return this.#patienceMs === undefined ? {} : { patienceMs: this.#patienceMs }
  }
}

/**
 * Removes everything that is left, also when the time is up or the examination is ended. It has a
 * pace of its own: questions that were ended have turns that they did not use.
 * @returns how many requests that took.
 */
export async function removeAll(rounds: Rounds): Promise<number> {
  const { clock, removal, roundTripMs } = rounds
  if (removal.size === 0) return 0
  const time = new AbortController()
  const ms = REMOVAL_MS + removal.size * 2 * roundTripMs
  const timer = clock.setTimer(() => time.abort(new NotKnown('the time was up')), ms)
  const pacer = new Pacer(clock)
  const paced: Rounds = { ...rounds, turn: (requests, own) => pacer.turn(requests, own) }
  const sweeper = new Sweeper(paced, time.signal, false)
  try {
    await sweeper.sweep(null)
  } finally {
    clock.clearTimer(timer)
    await sweeper.end()
  }
  return pacer.count
}
