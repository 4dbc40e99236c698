/**
 * In which order do requests leave, and how many publishes may be open? One line for publishes,
 * SUBSCRIBEs and UNSUBSCRIBEs, in the order of the calls. (M3, publishes keep their order; M13,
 * memory is bounded)
 *
 * The head of the line waits while there is no room for its publish. A SUBSCRIBE waits for the
 * first connection too, because only then it is known what the server understands.
 */
import { pushableV } from 'it-pushable'
import type { Outcome, PublishRequest, Request } from '../index.ts'
import { PublishCall } from './publish-call.ts'

/** Makes a request when its turn has come; null if it is not needed any more. */
export type Deferred = () => Request | null

export class Line {
  readonly #stream = pushableV<Request>({ objectMode: true })
  readonly #settled: (request: Request, outcome: Outcome) => void
  #waiting: (PublishCall | Deferred)[] = []
  #head = 0
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
    let count = 0
    for (let i = this.#head; i < this.#waiting.length; i++) {
      if (this.#waiting[i] instanceof PublishCall) count++
    }
    return count
  }

  /** @returns whether a publish of so many bytes could leave now. */
  hasRoom(bytes: number): boolean {
    return this.#head === this.#waiting.length && this.#fits(bytes)
  }

  /** A message that is larger than the bound leaves alone. */
  #fits(bytes: number): boolean {
    if (this.#open === 0) return true
    return this.#open < this.#openMax && this.#bytes + bytes <= this.#bytesMax
  }

  add(item: PublishCall | Deferred): void {
    if (this.#head === this.#waiting.length && this.#leaves(item)) return
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
    if (this.#head < this.#waiting.length) this.advance()
  }

  /** Lets leave what may leave now. */
  advance(): void {
    const waiting = this.#waiting
    while (this.#head < waiting.length && this.#leaves(waiting[this.#head]!)) this.#head++
    if (this.#head === waiting.length) {
      this.#waiting = []
      this.#head = 0
    } else if (this.#head > 1024 && this.#head * 2 > waiting.length) {
      this.#waiting = waiting.slice(this.#head)
      this.#head = 0
    }
  }

  /** @returns whether the item is out of the line. */
  #leaves(item: PublishCall | Deferred): boolean {
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
    const rest = this.#waiting.slice(this.#head)
    this.#waiting = []
    this.#head = 0
    return rest.filter((item) => item instanceof PublishCall)
  }
}

/** @returns how many bytes a publish counts: text one for each UTF-16 unit. */
export function bytesOf({ topic, payload }: PublishRequest): number {
  if (payload === undefined) return topic.length
  return topic.length + ('base64' in Object(payload) ? base64Bytes(payload) : lengthOf(payload))
}

function lengthOf(payload: PublishRequest['payload']): number {
  return (payload as string | Uint8Array).length
}

function base64Bytes(payload: PublishRequest['payload']): number {
  return (payload as { base64: string }).base64.length
}
