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
    return [...this.#waiting].filter((item) => item instanceof PublishCall).length
  }

  /** @returns whether a publish of so many bytes could leave now. */
  hasRoom(bytes: number): boolean {
    return this.#waiting.length === 0 && this.#fits(bytes)
  }

  /** A message that is larger than the bound leaves alone. */
  #fits(bytes: number): boolean {
    if (this.#open === 0) return true
    return this.#open < this.#openMax && this.#bytes + bytes <= this.#bytesMax
  }

  add(item: PublishCall | Making): void {
    if (this.#waiting.length === 0 && this.#leaves(item)) return
    this.#waiting.push(item)
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
    if (item.isSettled) return true
    if (!this.#fits(item.bytes)) return false
    this.#open++
    this.#bytes += item.bytes
    item.left = true
    this.#stream.push(item.request)
    return true
  }

  /** @returns the publishes that are still in the line, which is empty then. */
  clear(): PublishCall[] {
    return this.#waiting.clear().filter((item) => item instanceof PublishCall)
  }
}

/** @returns how many bytes a publish counts: text one for each UTF-16 unit. */
export function countedBytes({ topic, payload }: PublishRequest): number {
  if (payload === undefined) return topic.length
  const { length } = typeof payload === 'object' && 'base64' in payload ? payload.base64 : payload
  return topic.length + length
}
