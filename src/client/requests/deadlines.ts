/**
 * When are requests and handlers called because their time is over? One timer serves all of them.
 * It is armed only while somebody waits.
 */
import type { Platform } from '../../index.ts'
import { DeadlineHeap, type HasDeadline } from './deadline-heap.ts'

/** Something that is called when its deadline has passed. It is in no heap then. */
export interface Timed extends HasDeadline {
  due(now: number): void
}

export class Deadlines {
  readonly #clock: Platform
  readonly #heap = new DeadlineHeap<Timed>()
  #timer: unknown = null
  #armedFor = Number.POSITIVE_INFINITY
  #isOver = false

  constructor(clock: Platform) {
    this.#clock = clock
  }

  add(item: Timed): void {
    if (this.#isOver) return
    this.#heap.add(item)
    if (item.dueAt < this.#armedFor) this.#arm()
  }

  remove(item: Timed): void {
    // A timer that is too early costs less than a new one for each request that was answered.
    if (this.#heap.remove(item) && this.#heap.size === 0) this.#disarm()
  }

  /** Gives an item another deadline. */
  move(item: Timed, dueAt: number): void {
    this.#heap.remove(item)
    item.dueAt = dueAt
    this.add(item)
  }

  /** The client has ended: nothing has a deadline any more. */
  end(): void {
    this.#isOver = true
    for (let item = this.#heap.first; item !== undefined; item = this.#heap.first) {
      this.#heap.remove(item)
    }
    this.#disarm()
  }

  #arm(): void {
    this.#disarm()
    const { first } = this.#heap
    if (first === undefined) return
    this.#armedFor = first.dueAt
    const ms = Math.max(0, Math.ceil(first.dueAt - this.#clock.now()))
    this.#timer = this.#clock.setTimer(() => this.#fired(), ms)
  }

  #disarm(): void {
    if (this.#timer !== null) this.#clock.clearTimer(this.#timer)
    this.#timer = null
    this.#armedFor = Number.POSITIVE_INFINITY
  }

  #fired(): void {
    this.#timer = null
    // Whoever adds a deadline meanwhile does not arm the timer, which is armed below.
    this.#armedFor = Number.NEGATIVE_INFINITY
    const now = this.#clock.now()
    for (let item = this.#heap.take(now); item !== undefined; item = this.#heap.take(now)) {
      item.due(now)
    }
    this.#arm()
  }
}
