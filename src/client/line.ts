/**
 * In which order do requests leave, and how many publishes may be open? One line for publishes,
 * SUBSCRIBEs and UNSUBSCRIBEs, in the order of the calls. (M3, the order of the calls is kept; M13,
 * the memory of a client is bounded)
 *
 * The head of the line waits while there is no room for its publish. A SUBSCRIBE waits for the
 * first connection too, because only then it is known what the server understands.
 */
import { pushableV } from 'it-pushable'
import type { Outcome, PublishRequest, Request } from '../index.ts'
import { Fifo } from './fifo.ts'
import { PublishCall } from './publish-call.ts'

/** Makes a request when its turn has come; null if it is not needed any more. */
export type Making = () => Request | null

/** So many settled publishes may be in the line before they are removed from it. */
const DEAD_MAX = 512

/** Is given the outcome of each request that has left. */
interface LineListener {
  outcome(request: Request, outcome: Outcome): void
}

/** It is the request stream of the loop, too. */
export class RequestLine implements AsyncIterable<Request[]> {
  readonly #stream = pushableV<Request>({ objectMode: true })
  readonly #listener: LineListener
  readonly #waiting = new Fifo<PublishCall | Making>()
  #connected = false
  #open = 0
  #bytes = 0
  /** Publishes in the line that are not settled. */
  #queued = 0
  #queuedBytes = 0
  /** Publishes in the line that are settled, and pass when their turn comes. */
  #dead = 0
  readonly #openMax: number
  readonly #bytesMax: number

  /**
   * @param openMax how many publishes may be without an outcome.
   * @param bytesMax how many bytes they may have.
   */
  constructor(openMax: number, bytesMax: number, listener: LineListener) {
    this.#openMax = openMax
    this.#bytesMax = bytesMax
    this.#listener = listener
  }

  [Symbol.asyncIterator](): AsyncIterator<Request[]> {
    return this.#stream
  }

  /** The loop has an outcome of a request. */
  settled(request: Request, outcome: Outcome): void {
    this.#listener.outcome(request, outcome)
  }

  get open(): number {
    return this.#open
  }

  get bytes(): number {
    return this.#bytes
  }

  /** How many publishes wait for room. */
  get waiting(): number {
    return this.#queued
  }

  /** @returns whether there is room for one more publish, behind those that are in the line. */
  hasRoom(bytes: number): boolean {
    return this.#fits(bytes, this.#open + this.#queued, this.#bytes + this.#queuedBytes)
  }

  /** A message that is larger than the bound leaves alone. */
  #fits(bytes: number, open: number, openBytes: number): boolean {
    return open === 0 || (open < this.#openMax && openBytes + bytes <= this.#bytesMax)
  }

  add(item: PublishCall | Making): void {
    if (this.#waiting.length === 0 && this.#leaves(item)) return
    this.#waiting.push(item)
    if (!(item instanceof PublishCall)) return
    item.isQueued = true
    this.#queued++
    this.#queuedBytes += item.bytes
  }

  /** A publish that is in the line was settled: it does not leave. */
  abandoned(call: PublishCall): void {
    this.#queued--
    this.#queuedBytes -= call.bytes
    this.#dead++
    if (this.#dead < DEAD_MAX || this.#dead * 2 < this.#waiting.length) return
    this.#waiting.filter((item) => !(item instanceof PublishCall && item.isSettled))
    this.#dead = 0
  }

  /** The first connection is there. */
  connected(): void {
    this.#connected = true
    this.advance()
  }

  /** A publish that had left was settled. */
  left(bytes: number): void {
    this.#open--
    this.#bytes -= bytes
    this.advance()
  }

  /** Lets leave what may leave now. */
  advance(): void {
    const waiting = this.#waiting
    for (;;) {
      const item = waiting.first
      if (item === undefined) return
      const isDead = item instanceof PublishCall && item.isSettled
      if (!this.#leaves(item)) return
      waiting.shift()
      if (isDead) this.#dead--
      else if (item instanceof PublishCall) {
        this.#queued--
        this.#queuedBytes -= item.bytes
      }
    }
  }

  /** @returns whether the item is out of the line. */
  #leaves(item: PublishCall | Making): boolean {
    if (!(item instanceof PublishCall)) {
      if (!this.#connected) return false
      const request = item()
      if (request !== null) this.#stream.push(request)
      return true
    }
    if (item.isSettled) return true
    if (!this.#fits(item.bytes, this.#open, this.#bytes)) return false
    this.#open++
    this.#bytes += item.bytes
    item.left = true
    item.isQueued = false
    this.#stream.push(item.request)
    return true
  }

  /** Nothing leaves any more. */
  clear(): void {
    this.#queued = 0
    this.#queuedBytes = 0
    this.#dead = 0
    for (const item of this.#waiting.clear()) {
      if (item instanceof PublishCall) item.isQueued = false
    }
  }
}

/** @returns how many bytes a publish counts: text one for each UTF-16 unit. */
export function countedBytes({ topic, payload }: PublishRequest): number {
  if (payload === undefined) return topic.length
  const { length } = typeof payload === 'object' && 'base64' in payload ? payload.base64 : payload
  return topic.length + length
}
