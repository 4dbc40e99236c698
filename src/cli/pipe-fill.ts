/**
 * How do lines get into the spool? As fast as the disk takes them: neither the network nor a full
 * disk ends that. Lines are stored together with the position behind them.
 */
import { setTimeout } from 'node:timers/promises'
import type { FileRequests, Position, Spool } from '../disk/index.ts'
import { type Outcome, type Request, type SentRequest, StorageError, UsageError } from '../index.ts'
import { type PositionKeeper, positionWithout, producerName } from './pipe-position.ts'

interface FillSetup {
  readonly path: string
  readonly lines: FileRequests
  readonly queue: Spool
  readonly keeper: PositionKeeper
  /** A line cannot be stored, whatever room there is. */
  readonly refused: (request: Request, outcome: Outcome) => void
  readonly say: (message: string) => void
}

/** How long to wait until a full disk is tried again. */
export const FULL_DISK_RETRY_MS = 1_000
const STORED: Outcome = { ok: true }

export class Fill {
  readonly #setup: FillSetup
  readonly #stop = new AbortController()
  /** True while the disk is full. */
  #isWaiting = false

  constructor(setup: FillSetup) {
    this.#setup = setup
  }

  /** Ends the waiting for room. */
  stop(): void {
    this.#stop.abort()
  }

  /**
   * Moves all lines to the spool. A line of the file counts as settled once its request is safe in
   * the spool.
   * @throws what reading and storing throw.
   */
  async run(): Promise<void> {
    const { lines, keeper, queue, say } = this.#setup
    for await (const requests of lines) {
      if (!(await this.#store(requests))) return
      for (const request of requests) {
        // If a checkpoint cannot be written, some lines are stored again after a kill.
        lines.settled(request, STORED)?.catch((error: Error) => say(error.message))
      }
    }
    if (this.#stop.signal.aborted || !keeper.isInSpool || !lines.ended) return
    const whole = { position: await lines.prove(lines.position()), isWhole: true }
    await this.#insist(() => queue.setPosition(this.#name, whole))
  }

  get #name(): string {
    return producerName(this.#setup.path)
  }

  /** @returns false if it was stopped. */
  async #store(requests: readonly Request[]): Promise<boolean> {
    const { lines, keeper, refused } = this.#setup
    const base = keeper.isInSpool ? await lines.prove(lines.position()) : null
    let done = 0
    let length = requests.length
    while (done < requests.length) {
      const { stored, error } = await this.#push(requests, done, length, base)
      done += stored
      if (this.#stop.signal.aborted) return false
      if (error === null) length = requests.length
      else if (isDiskFull(error)) await this.#wait(error)
      else if (length > 1 && isOfOne(error)) length = Math.ceil(length / 2)
      else if (error instanceof UsageError) refused(requests[done++]!, { ok: false, error })
      else throw error
    }
    return true
  }

  /** Pushes some of the requests. @returns how many of them are stored. */
  async #push(
    requests: readonly Request[],
    from: number,
    length: number,
    base: Position | null,
  ): Promise<{ readonly stored: number; readonly error: unknown }> {
    const { queue } = this.#setup
    const piece = requests.slice(from, from + length)
    const positions: unknown[] = []
    const positionAfter = (count: number) => {
      const position = positionWithout(base!, requests.slice(0, from + count))
      positions[count] = { position, isWhole: false }
      return positions[count]
    }
    try {
      const producer = base === null ? null : { name: this.#name, positionAfter }
      await queue.push(piece.map(withoutKey), producer)
      this.#isWaiting = false
      return { stored: piece.length, error: null }
    } catch (error) {
      const stored = positions.indexOf(queue.positionOf(this.#name))
      return { stored: Math.max(0, stored), error }
    }
  }

  /** Tries again as long as the disk is full. */
  async #insist(store: () => Promise<void>): Promise<void> {
    while (!this.#stop.signal.aborted) {
      try {
        return await store()
      } catch (error) {
        if (!isDiskFull(error)) throw error
        await this.#wait(error)
      }
    }
  }

  async #wait({ message }: StorageError): Promise<void> {
    if (!this.#isWaiting) this.#setup.say(`${message} Lines wait until there is room.`)
    this.#isWaiting = true
    await setTimeout(FULL_DISK_RETRY_MS, undefined, { signal: this.#stop.signal }).catch(() => {})
  }
}

/** @returns whether the disk is full. */
export function isDiskFull(error: unknown): error is StorageError {
  return error instanceof StorageError && error.code === 'DISK_FULL'
}

/** @returns whether one request of a push may be the reason, and others could be stored. */
function isOfOne(error: unknown): boolean {
  return error instanceof UsageError || (error as StorageError).code === 'SPOOL_FULL'
}

/** Removes the key, because the spool gives each request a key of its own. */
function withoutKey(request: Request): SentRequest {
  const { key, ...rest } = request as SentRequest
  return rest as SentRequest
}
