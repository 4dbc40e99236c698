/**
 * Who watches a subscription change? Each watcher has a queue of its own, so that none delays the
 * client.
 */
import { type Pushable, pushable } from 'it-pushable'
import { UsageError } from '../index.ts'

/** How many changes may wait in a queue. */
const QUEUED_MAX = 1024

export class Watchers<T> {
  readonly #queues = new Set<Pushable<T>>()
  #ended = false

  report(change: T): void {
    for (const queue of this.#queues) {
      if (queue.readableLength < QUEUED_MAX) queue.push(change)
      else {
        const message = `transitions: ${QUEUED_MAX} of them were not taken; call it again`
        queue.end(new UsageError(message, { code: 'WATCHER_FELL_BEHIND' }))
      }
    }
  }

  watch(): AsyncIterableIterator<T, undefined> {
    const queue: Pushable<T> = pushable<T>({
      objectMode: true,
      onEnd: () => this.#queues.delete(queue),
    })
    if (this.#ended) queue.end()
    else this.#queues.add(queue)
    return queue as unknown as AsyncIterableIterator<T, undefined>
  }

  end(): void {
    this.#ended = true
    for (const queue of this.#queues) queue.end()
  }
}
