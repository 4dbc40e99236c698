/**
 * Which files carried a name one after another, and which bytes of them were read? They form a
 * chain of segments whose places go on from one to the next.
 */
import { stat } from 'node:fs/promises'
import { UsageError } from '../../errors.ts'
import { fileMissing, gapPossible } from './file-warnings.ts'
import { filesAfter, filesSince, findFile, openProven } from './find-file.ts'
import { LeftFiles, type WatchedFile } from './left-files.ts'
import { holds, type OpenFile, openFile } from './open-file.ts'
import {
  type Generation,
  type LeftFile,
  type Position,
  PROOF_BYTES,
  type Proof,
  proofOf,
} from './position.ts'
import { type FileChainSetup, isSameFile, type Segment } from './segment.ts'
import { SegmentReader } from './segment-reader.ts'

export class FileChain {
  readonly #setup: FileChainSetup
  #segments: Segment[] = []
  #current: Segment | null = null
  /** Files that are to be read next. */
  #upcoming: OpenFile[] = []
  readonly #left = new LeftFiles()
  readonly #reader: SegmentReader
  readonly #open = new Set<OpenFile>()

  constructor(setup: FileChainSetup) {
    this.#setup = setup
    this.#reader = new SegmentReader(setup, this.#left, (file) => this.#open.add(file))
  }

  /** Whether the segment that was read last has ended for good, as a copy has. */
  get endsWhole(): boolean {
    return this.#reader.ending === 'whole'
  }

  /** Whether the present file may grow: what is packed does not. */
  get mayGrow(): boolean {
    return this.#current?.file.isPacked === false
  }

  /**
   * Opens the files of an earlier process, or the file at the path. It does not wait for a file.
   * @returns the places that are lost because their file is gone; null if the last file is gone.
   */
  async open(position: Position | null): Promise<readonly [from: number, to: number][] | null> {
    const { path, follow } = this.#setup
    const generations = position?.generations ?? []
    if (generations.length === 0) {
      if (!follow || (await stat(path).catch(() => null)) !== null) {
        const file = await openFile(path)
        this.#open.add(file)
        if (follow && file.isPacked) {
          throw new UsageError(`${path} is packed and does not grow; unpack it to follow it`)
        }
        const base = position?.readThrough ?? 0
        this.#append({ base, start: 0, line: 1, joins: false, file, late: 'no' })
      } else this.#setup.warn(fileMissing(path))
      return []
    }
    const lost: [number, number][] = []
    for (const [index, generation] of generations.entries()) {
      const next = generations[index + 1]
      const own = generation.proof ?? null
      const proof = next === undefined ? (position!.proof ?? own) : own
      const segment = await this.#reopen(generation, proof, next?.base ?? null)
      if (segment !== null) this.#segments.push(segment)
      else if (next === undefined) {
        await this.#forget()
        return null
      } else lost.push([generation.base, next.base])
    }
    const last = this.#segments.at(-1)!
    for (const left of position?.left ?? []) {
      if (left.inode !== last.inode) await this.#watchLeft(left)
    }
    return lost
  }

  async #reopen(
    { base, inode, start = 0, line = 1, joins = false }: Generation,
    proof: Proof | null,
    nextBase: number | null,
  ): Promise<Segment | null> {
    const { path, follow } = this.#setup
    const opened = follow ? null : await openProven(path, proof)
    const found = follow
      ? await findFile(path, { inode, proof })
      : opened && { file: opened, isCopy: false }
    if (found === null) return null
    this.#open.add(found.file)
    const end = nextBase === null ? null : start + nextBase - base
    return { base, start, line, joins, inode, ...found, end, proof, late: 'no' }
  }

  async #watchLeft(left: LeftFile): Promise<void> {
    const found = await findFile(this.#setup.path, left)
    if (found === null) return
    const { file, isCopy } = found
    this.#open.add(file)
    const at = this.#setup.platform.now()
    if (!isCopy) this.#left.add({ ...left, file, size: left.offset, at })
  }

  /** Begins with what was written since an instant, because the file that was read is gone. */
  async beginAgain(since: number): Promise<void> {
    await this.#forget()
    this.#upcoming = [...(await filesSince(this.#setup.path, since))]
    for (const file of this.#upcoming) this.#open.add(file)
  }

  /** Ends watching, until something is waited for again. */
  endIteration(): void {
    this.#reader.end()
  }

  /** @returns the open segment that holds a place; null if no file was there yet. */
  segmentAt(place: number): Segment | null {
    this.#current = this.#segments.findLast(({ base }) => base <= place) ?? null
    return this.#current
  }

  /**
   * @returns the segment after the current one, or null if the file is not followed.
   * @param base The place up to which everything was read: its first place.
   * @param line The number of the next line.
   */
  async next(base: number, line: number, signal: AbortSignal): Promise<Segment | null> {
    const { follow } = this.#setup
    const last = this.#current
    const index = last === null ? -1 : this.#segments.indexOf(last)
    const known = this.#segments[index + 1]
    if (last !== null && known !== undefined) {
      this.#current = known
      return known
    }
    if (!follow) return null
    if (last !== null) await this.#leave(last, last.start + base - last.base, line)
    const grown = this.#reader.grown
    this.#reader.grown = null
    if (grown !== null) {
      const { file, offset: start, isFinal } = grown
      const late = isFinal ? 'final' : 'yes'
      return this.#append({ base, start, line: grown.line, joins: false, file, late })
    }
    const file = await this.#nextFile(last, signal)
    const left = await this.#takeLeft(file)
    this.#upcoming = this.#upcoming.filter((other) => other !== file)
    const [start, number] = left === null ? [0, 1] : [left.offset, left.line]
    return this.#append({ base, start, line: number, joins: false, file, late: 'no' })
  }

  #append(segment: Pick<Segment, 'base' | 'start' | 'line' | 'joins' | 'file' | 'late'>): Segment {
    const { inode, isPacked } = segment.file
    const whole = { ...segment, inode, isCopy: isPacked, end: null, proof: null }
    this.#open.add(segment.file)
    this.#segments.push(whole)
    this.#current = whole
    return whole
  }

  /** Notes up to where a segment was read, and watches its file if it may still grow. */
  async #leave(segment: Segment, end: number, line: number): Promise<void> {
    if (segment.end !== null) return
    const { file, inode } = segment
    segment.end = end
    segment.proof = await this.#reader.recent.proofAt(file, end)
    if (this.#reader.ending !== 'left') return
    const at = this.#setup.platform.now()
    const size = this.#reader.recent.end
    this.#left.add({ file, inode, offset: end, line, proof: segment.proof, size, at })
  }

  /** @returns the file that is read next. It stays among those that are not closed meanwhile. */
  async #nextFile(last: Segment | null, signal: AbortSignal): Promise<OpenFile> {
    while (this.#upcoming.length === 0) {
      await this.#findUpcoming(last)
      if (this.#upcoming.length === 0) await this.#reader.pause(signal)
    }
    this.#reader.beginFile()
    return this.#upcoming[0]!
  }

  async #findUpcoming(last: Segment | null): Promise<void> {
    const { path } = this.#setup
    if (last === null) {
      if ((await stat(path).catch(() => null)) !== null) this.#upcoming = [await openFile(path)]
      return
    }
    const after = await filesAfter(path, last.file)
    if (after === null) return
    for (const file of after.files) this.#open.add(file)
    const current = after.files.at(-1)!
    const used = [...this.#segments.map(({ file }) => file), ...this.#left.open]
    this.#upcoming = after.files.filter((file) => {
      return file === current || !used.some((other) => isSameFile(other, file))
    })
    if (after.gap !== null && (this.#reader.mayHaveMissed || !after.isLinked)) {
      this.#warnOfGap(last.end ?? this.#reader.recent.end, after.gap)
    }
  }

  /** @returns what is known of a file that was left before, if it still has what was read. */
  async #takeLeft(file: OpenFile): Promise<WatchedFile | null> {
    const left = this.#left.take(file)
    if (left === null || (await holds(file, left.proof))) return left
    this.#warnOfGap(left.offset, 'it was truncated while an older file was read')
    return null
  }

  // ------------------------------------------------------------------------------ reading

  /** Yields the bytes of a segment from an offset in its file on. */
  async *read(segment: Segment, from: number, signal: AbortSignal): AsyncGenerator<Buffer> {
    this.#current = segment
    yield* this.#reader.read(segment, from, signal)
    const next = this.#reader.ending === 'whole' ? await this.#joined(segment) : null
    if (next !== null) yield* this.read(next, next.start, signal)
  }

  /**
   * @returns the segment that goes on with a line in whose middle a file was copied and truncated,
   *   or null if there is none.
   */
  async #joined(segment: Segment): Promise<Segment | null> {
    const next = this.#segments[this.#segments.indexOf(segment) + 1]
    if (next !== undefined) return next.joins ? next : null
    const { isUnfinished, end } = this.#reader.recent
    if (!isUnfinished || !segment.isCopy || segment.late !== 'no') return null
    if (!this.#setup.follow) return null
    if (this.#upcoming.length === 0) await this.#findUpcoming(segment)
    // The writer goes on in the same file only if it was truncated; a new file begins with a line.
    if (this.#upcoming.at(-1)?.inode !== segment.inode) return null
    await this.#leave(segment, end, 0)
    const base = segment.base + end - segment.start
    const file = this.#upcoming.shift()!
    return this.#append({ base, start: 0, line: 1, joins: true, file, late: 'no' })
  }

  // ----------------------------------------------------------------------------- position

  /** @returns the segments that hold what is at `offset` and behind it, and files left before. */
  positionFrom(offset: number): Pick<Position, 'generations' | 'left'> {
    const generations = this.#segments
      .filter((_, i) => (this.#segments[i + 1]?.base ?? Infinity) > offset)
      .map(({ base, file, start, line, joins, proof }) => {
        return { base, inode: file.inode, start, line, joins, proof }
      })
    return { generations, left: this.#left.positions }
  }

  /** @returns what identifies the last file, which was read up to a place. */
  async proofAt(place: number): Promise<Proof | null> {
    const last = this.#segments.at(-1)
    if (last === undefined) return null
    const { file, base, start } = last
    if (!this.#setup.follow && file.isPacked) return proofOfPacked(file)
    if (last !== this.#current) return last.proof
    return (await this.#reader.recent.proofAt(file, start + place - base)) ?? last.proof
  }

  /** Closes files that were read and are settled to their end. */
  async release(offset: number): Promise<void> {
    const { length } = this.#segments
    this.#segments = this.#segments.filter((segment, i) => {
      const isLast = i === length - 1 || segment === this.#current
      return isLast || this.#segments[i + 1]!.base > offset
    })
    const used = new Set([
      ...this.#segments.map(({ file }) => file),
      ...this.#left.open,
      ...this.#upcoming,
      ...(this.#reader.grown === null ? [] : [this.#reader.grown.file]),
    ])
    await this.#closeAll([...this.#open].filter((file) => !used.has(file)))
  }

  #warnOfGap(offset: number, why: string): void {
    const { path, warn } = this.#setup
    warn(gapPossible(path, offset, why))
  }

  async #forget(): Promise<void> {
    this.#segments = []
    this.#upcoming = []
    this.#reader.grown = null
    this.#current = null
    this.#left.clear()
    await this.#closeAll([...this.#open])
  }

  async #closeAll(files: readonly OpenFile[]): Promise<void> {
    for (const file of files) {
      this.#open.delete(file)
      await file.handle.close()
    }
  }

  /** Closes all files. */
  async close(): Promise<void> {
    this.endIteration()
    await this.#forget()
  }
}

/** @returns what identifies a packed file that is not followed: a hash of its packed bytes. */
async function proofOfPacked({ handle }: OpenFile): Promise<Proof> {
  const { size } = await handle.stat()
  return proofOf(handle, Math.min(PROOF_BYTES, size))
}
