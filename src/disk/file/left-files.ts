/**
 * Which files were replaced and read, and may still grow? Some writers go on with a renamed file
 * for a long time, or come back to it.
 */
import { LEFT_MAX, LEFT_MS } from './next-move.ts'
import type { OpenFile } from './open-file.ts'
import type { LeftFile } from './position.ts'

/** A file that is watched for more. */
export interface WatchedFile extends LeftFile {
  readonly file: OpenFile
  /** How large it was when it was read last. */
  readonly size: number
  /** When it was read last. */
  readonly at: number
  /** Whether it will not be watched any more, so that an unfinished line at its end is one. */
  readonly isFinal: boolean
}

export class LeftFiles {
  #files: readonly WatchedFile[] = []

  /** @returns what a later process needs to know of them. */
  get positions(): readonly LeftFile[] {
    return this.#files.map(({ inode, offset, line, proof }) => ({ inode, offset, line, proof }))
  }

  get open(): readonly OpenFile[] {
    return this.#files.map(({ file }) => file)
  }

  add(left: Omit<WatchedFile, 'isFinal'>): void {
    this.#files = [...this.#files, { ...left, isFinal: false }].slice(-LEFT_MAX)
  }

  clear(): void {
    this.#files = []
  }

  /** Removes and returns the entry of a file; null if there is none. */
  take({ inode, device }: OpenFile): WatchedFile | null {
    const found = this.#files.find(({ file }) => file.inode === inode && file.device === device)
    this.#files = this.#files.filter((left) => left !== found)
    return found ?? null
  }

  /**
   * Removes files that were quiet for so long that they are not watched any more.
   * @returns a file that has grown, or that is not watched any more and ends with an unfinished
   *   line; null if there is none.
   */
  async findGrown(now: number): Promise<WatchedFile | null> {
    for (const left of this.#files) {
      const { size } = await left.file.handle.stat()
      if (size > left.size) return left
      const isOver = now - left.at >= LEFT_MS || size < left.offset
      if (isOver && size > left.offset) return { ...left, isFinal: true }
      if (isOver) this.take(left.file)
    }
    return null
  }
}
