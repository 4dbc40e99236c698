/**
 * How is one segment read, up to where it ends?
 *
 * Each read begins a little before the position, and the bytes there have to be those that were
 * read before. So a file that was truncated and has grown again is noticed by its content. What was
 * lost with it is read on in its copy.
 */
import { stat } from 'node:fs/promises'
import { StorageError } from '../../errors.ts'
import { gapPossible } from './file-warnings.ts'
import { findFile, foldersOf } from './find-file.ts'
import type { LeftFiles, WatchedFile } from './left-files.ts'
import { Looks } from './looks.ts'
import { type Move, moveAfter, paceMs } from './next-move.ts'
import { type OpenFile, unpackedFrom } from './open-file.ts'
import { RecentBytes } from './recent-bytes.ts'
import { type FileChainSetup, isSameFile, type Segment } from './segment.ts'

/** How reading a segment ended. What is unfinished at the end of a `whole` one is a line. */
type Ending = 'whole' | 'left' | 'torn'

export class SegmentReader {
  /** What was read last. */
  readonly recent = new RecentBytes()
  ending: Ending = 'whole'
  /** A file that was left before and is to be read next, because it has grown. */
  grown: WatchedFile | null = null
  /** Until the name was seen to belong to the file, others may have had it unseen. */
  mayHaveMissed = true
  readonly #setup: FileChainSetup
  readonly #left: LeftFiles
  readonly #opened: (file: OpenFile) => void
  /** When bytes came last. */
  #movedAt: number
  /** When another file was seen under the name; null if it was not. */
  #replacedAt: number | null = null
  #looks: Looks | null = null

  /** @param opened Is called with each file that the reader opens. */
  constructor(setup: FileChainSetup, left: LeftFiles, opened: (file: OpenFile) => void) {
    this.#setup = setup
    this.#left = left
    this.#opened = opened
    this.#movedAt = setup.platform.now()
  }

  /** Ends watching. */
  end(): void {
    this.#looks?.close()
    this.#looks = null
  }

  /** Notes that the next file is read from here on. */
  beginFile(): void {
    this.#movedAt = this.#setup.platform.now()
    this.#replacedAt = null
  }

  /** Yields the bytes of a segment from an offset in its file on. */
  async *read(segment: Segment, from: number, signal: AbortSignal): AsyncGenerator<Buffer> {
    this.ending = 'whole'
    this.recent.begin(from)
    if (segment.file.isPacked) yield* this.#unpack(segment)
    else yield* this.#readPlain(segment, signal)
  }

  async *#unpack({ file, end }: Segment): AsyncGenerator<Buffer> {
    const { follow, note } = this.#setup
    try {
      for await (const bytes of unpackedFrom(file, this.recent.end, note)) {
        const wanted = bytes.subarray(0, Math.max(0, (end ?? Infinity) - this.recent.end))
        if (wanted.length === 0) return
        this.recent.add(wanted)
        yield wanted
      }
    } catch (error) {
      this.ending = 'torn'
      if (!follow || !(error instanceof StorageError)) throw error
      // The files after a damaged copy are read all the same.
      this.#warnOfGap(this.recent.end, error.message)
    }
  }

  async *#readPlain(segment: Segment, signal: AbortSignal): AsyncGenerator<Buffer> {
    const { follow, platform, note } = this.#setup
    for (;;) {
      signal.throwIfAborted()
      const bytes = await this.recent.readOn(segment.file, segment.end)
      if (bytes === null) {
        if (!(await this.#moveToCopy(segment))) return
        if (segment.file.isPacked) return yield* this.#unpack(segment)
      } else if (bytes.length > 0) {
        this.#movedAt = platform.now()
        note(this.recent.end)
        yield bytes
      } else if (!follow || segment.isCopy || segment.end !== null) return
      else if (segment.late !== 'no') {
        if (segment.late === 'yes') this.ending = 'left'
        return
      } else if ((await this.#look(segment)) === 'wait') await this.pause(signal)
      else {
        this.ending = 'left'
        return
      }
    }
  }

  async #look({ file }: Segment): Promise<Move> {
    const now = this.#setup.platform.now()
    const stats = await stat(this.#setup.path).catch(() => null)
    const isSame = stats !== null && isSameFile({ inode: stats.ino, device: stats.dev }, file)
    const named = stats === null ? 'none' : isSame ? 'same' : 'other'
    if (named === 'same') this.mayHaveMissed = false
    this.#replacedAt = named === 'other' ? (this.#replacedAt ?? now) : null
    const grown = await this.#left.findGrown(now)
    if (grown !== null) {
      this.grown = grown
      this.#left.take(grown.file)
    }
    return moveAfter({
      named,
      otherHasContent: (stats?.size ?? 0) > 0,
      quietMs: now - this.#movedAt,
      replacedMs: now - (this.#replacedAt ?? now),
      leftHasGrown: grown !== null,
    })
  }

  /** Waits until it is time for the next look. */
  async pause(signal: AbortSignal): Promise<void> {
    const { platform, watch } = this.#setup
    this.#looks ??= new Looks(platform, watch)
    const looks = this.#looks
    const movedAt = Math.max(this.#movedAt, this.#replacedAt ?? 0)
    looks.watch(await foldersOf(this.#setup.path))
    await looks.wait(paceMs(platform.now() - movedAt), signal)
  }

  #warnOfGap(offset: number, why: string): void {
    const { path, warn } = this.#setup
    warn(gapPossible(path, offset, why))
  }

  /**
   * Reads on in a copy of a file that has lost what was read of it.
   * @returns false if there is none.
   */
  async #moveToCopy(segment: Segment): Promise<boolean> {
    const { proof, end, isUnfinished } = this.recent
    const { inode } = segment.file
    const isFirst = this.#setup.follow && !segment.isCopy
    const found = isFirst ? await findFile(this.#setup.path, { inode, proof }, inode) : null
    if (found !== null) {
      this.#opened(found.file)
      segment.file = found.file
      segment.isCopy = true
      return true
    }
    this.ending = 'torn'
    const copy = isFirst ? ', and no copy was found' : ''
    const torn = isUnfinished ? '; the line that was unfinished there is not sent' : ''
    this.#warnOfGap(end, `it was truncated or overwritten${copy}${torn}`)
    return false
  }
}
