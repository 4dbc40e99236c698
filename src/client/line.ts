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

export class RequestLine {
  readonly #stream = pushableV<Request>({ objectMode: true })
  readonly #settled: (request: Request, outcome: Outcome) => void
  readonly #waiting = new Fifo<PublishCall | Making>()
  #connected = false
  #open = 0
  #bytes = 0
  /** Publishes in the line, and their bytes. */
  #waitingCalls = 0
  #waitingBytes = 0
  readonly #openMax: number
  readonly #bytesMax: number

  /**
   * @param openMax how many publishes may be without an outcome.
   * @param bytesMax how many bytes they may have.
   * @param settled is given the outcome of each request that has left.
   */
  constructor(
    openMax: number,
    bytesMax: number,
    settled: (request: Request, outcome: Outcome) => void,
  ) {
    this.#openMax = openMax
    this.#bytesMax = bytesMax
    this.#settled = settled
  }

  /** The request stream of the loop. */
  get requests(): AsyncIterable<Request[]> & {
    settled(request: Request, outcome: Outcome): void
  } {
    const stream = this.#stream
    const settled = this.#settled
    return { [Symbol.asyncIterator]: () => stream[Symbol.asyncIterator](), settled }
  }

  get open(): number {
    return this.#open
  }

  get bytes(): number {
    return this.#bytes
  }

  /** How many publishes wait for room. */
  get waiting(): number {
    return this.#waitingCalls
  }

  /**
   * @returns whether there is room for a publish of so many bytes beside those that are open and
   *   those that wait, for example behind a SUBSCRIBE.
   */
  hasRoom(bytes: number): boolean {
    return this.#fits(bytes + this.#waitingBytes, this.#open + this.#waitingCalls)
  }

  /** A message that is larger than the bound leaves alone. */
  #fits(bytes: number, open: number): boolean {
    if (open === 0) return true
    return open < this.#openMax && this.#bytes + bytes <= this.#bytesMax
  }

  add(item: PublishCall | Making): void {
    if (this.#waiting.length === 0 && this.#leaves(item)) return
    this.#waiting.push(item)
    if (item instanceof PublishCall) this.#waits(item, 1)
  }

  #waits(call: PublishCall, by: 1 | -1): void {
    call.waits = by > 0
    this.#waitingCalls += by
    this.#waitingBytes += by * call.bytes
  }

  /** A publish that had not left was given up: those behind it need not wait for it. */
  givenUp(call: PublishCall): void {
    if (!call.waits) return
    this.#waits(call, -1)
    this.#waiting.remove((item) => item === call)
    this.advance()
  }

  /** The first connection is there. */
  connected(): void {
    this.#connected = true
    this.advance()
  }

  /** A publish that had left was settled. */
  settled(bytes: number): void {
    this.#open--
    this.#bytes -= bytes
    this.advance()
  }

  /** Lets leave what may leave now. */
  advance(): void {
    const waiting = this.#waiting
    while (waiting.first !== undefined && this.#leaves(waiting.first)) waiting.shift()
  }

  /** @returns whether the item is out of the line. */
  #leaves(item: PublishCall | Making): boolean {
    if (!(item instanceof PublishCall)) {
      if (!this.#connected) return false
      const request = item()
      if (request !== null) this.#stream.push(request)
      return true
    }
    if (!this.#fits(item.bytes, this.#open)) return false
    if (item.waits) this.#waits(item, -1)
    this.#open++
    this.#bytes += item.bytes
    item.left = true
    this.#stream.push(item.request)
    return true
  }

  /** Nothing leaves any more. */
  clear(): void {
    for (const item of this.#waiting.clear()) {
      if (item instanceof PublishCall) this.#waits(item, -1)
    }
  }
}

/** @returns how many bytes a publish counts: text one for each UTF-16 unit. */
export function countedBytes({ topic, payload }: PublishRequest): number {
  if (payload === undefined) return topic.length
  const { length } = typeof payload === 'object' && 'base64' in payload ? payload.base64 : payload
  return topic.length + length
}
