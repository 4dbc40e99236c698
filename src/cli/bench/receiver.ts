/**
 * What did a subscriber receive? Counts messages, finds those that are missing or came twice, and
 * measures how long they took.
 */
import type { IncomingPublish } from '../../index.ts'
import { SequenceTracker } from './sequence.ts'
import { clockNow, dueAtIn, isStamped, keyIn, sentAtIn, sequenceIn, streamKey } from './stamp.ts'
import type { Tally } from './tally.ts'

export class Receiver {
  readonly #tally: Tally
  /** The run whose messages count, or null if those of all runs do. */
  readonly #run: number | null
  readonly #isOpen: boolean
  readonly #trackers = new Map<number, SequenceTracker>()
  /** The numbers with which streams began that were met on the way. */
  readonly #firsts = new Map<number, number>()

  constructor(tally: Tally, run: number | null, isOpen: boolean) {
    this.#tally = tally
    this.#run = run
    this.#isOpen = isOpen
  }

  take({ payload, retain }: IncomingPublish): void {
    const tally = this.#tally
    const now = clockNow()
    // A retained message is an old one: it says nothing of how long messages take.
    const isStampedNow = isStamped(payload) && !retain
    const key = isStampedNow ? keyIn(payload) : 0
    if (this.#run !== null && Math.floor(key / 2 ** 32) !== this.#run) {
      tally.foreign++
      return
    }
    const dueAt = isStampedNow ? dueAtIn(payload) : now
    const isMeasured = (this.#run === null ? now : dueAt) >= tally.measureAt
    const arrival = isStampedNow ? this.#track(key, sequenceIn(payload), isMeasured) : 'in order'
    if (!isMeasured) return
    tally.received++
    tally.receivedAt = now
    if (arrival === 'repeated') tally.duplicates++
    else if (isStampedNow) {
      tally.endToEnd.record(now - dueAt)
      if (this.#isOpen) tally.endToEndFromSend.record(now - sentAtIn(payload))
    }
    if (arrival === 'late') tally.outOfOrder++
  }

  /** @returns how many messages of a stream, from `from` up to `to`, did not come. */
  missing(run: number, stream: number, from: number, to: number): number {
    return this.#trackers.get(streamKey(run, stream))?.missing(from, to) ?? to - from
  }

  /** @returns how many are missing between the first and the last message of every stream. */
  gaps(): number {
    let sum = 0
    for (const [key, tracker] of this.#trackers) {
      sum += tracker.missing(this.#firsts.get(key) ?? 0, tracker.next)
    }
    return sum
  }

  #track(key: number, sequence: number, isMeasured: boolean) {
    let tracker = this.#trackers.get(key)
    if (tracker === undefined) {
      tracker = new SequenceTracker(this.#run === null ? sequence : 0)
      this.#trackers.set(key, tracker)
    }
    if (this.#run === null && isMeasured && !this.#firsts.has(key)) this.#firsts.set(key, sequence)
    return tracker.add(sequence)
  }
}
