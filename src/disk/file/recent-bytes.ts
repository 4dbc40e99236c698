/**
 * Is a file still the one that was read? The bytes that were read last are remembered, and each
 * read begins with them.
 */
import { type OpenFile, READ_BYTES, readBytesAt } from './open-file.ts'
import { PROOF_BYTES, type Proof, proofIn, proofOf } from './position.ts'

const NOTHING = Buffer.alloc(0)
const LF = 10

export class RecentBytes {
  /** The bytes up to `#end`, as they were read. */
  #bytes: Buffer = NOTHING
  #end = 0
  /** False until bytes of this file were read. */
  #isKnown = false

  /** The offset in the file up to which it was read. */
  get end(): number {
    return this.#end
  }

  /** Whether they end in the middle of a line. */
  get isUnfinished(): boolean {
    return this.#bytes.length > 0 && this.#bytes.at(-1) !== LF
  }

  /** Begins at an offset of a file of which nothing was read yet. */
  begin(offset: number): void {
    this.#bytes = NOTHING
    this.#end = offset
    this.#isKnown = false
  }

  /**
   * Reads on.
   * @returns the next bytes, none at the end of the file; null if the bytes before them are not
   *   the ones that were read.
   */
  async readOn(file: OpenFile, end: number | null): Promise<Buffer | null> {
    const overlap = this.#isKnown ? this.#tail() : null
    const overlapBytes = overlap?.length ?? Math.min(PROOF_BYTES, this.#end)
    const wanted = Math.min(READ_BYTES, (end ?? Infinity) - this.#end)
    const bytes = await readBytesAt(file, this.#end - overlapBytes, overlapBytes + wanted)
    const found = bytes.subarray(0, overlapBytes)
    if (found.length < overlapBytes || (overlap !== null && !overlap.equals(found))) return null
    this.#isKnown = true
    this.#bytes = bytes
    this.#end += bytes.length - overlapBytes
    return bytes.subarray(overlapBytes)
  }

  /** Adds bytes that were read elsewhere: what was unpacked. */
  add(bytes: Buffer): void {
    this.#bytes = Buffer.concat([this.#tail(), bytes])
    this.#end += bytes.length
    this.#isKnown = true
  }

  #tail(): Buffer {
    return this.#bytes.subarray(Math.max(0, this.#bytes.length - PROOF_BYTES))
  }

  /** @returns what identifies a file that was read up to here. */
  get proof(): Proof {
    return proofIn(this.#tail(), this.#end)
  }

  /** @returns what identifies the file that was read up to `offset`; null if that is not known. */
  async proofAt(file: OpenFile, offset: number): Promise<Proof | null> {
    if (offset <= 0) return proofIn(NOTHING, 0)
    const from = this.#end - this.#bytes.length
    const isRemembered = offset <= this.#end && offset - Math.min(PROOF_BYTES, offset) >= from
    if (isRemembered) return proofIn(this.#bytes.subarray(0, offset - from), offset)
    return file.isPacked ? null : proofOf(file.handle, offset)
  }
}
