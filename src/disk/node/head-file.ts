/**
 * How is it noticed that a database has lost commits? A file beside it has a summary of its content
 * after the last one.
 *
 * LevelDB skips what it cannot read in its log, and a file of it may be deleted. Neither is an
 * error then, so what was lost has to be known from elsewhere. The file is written after each
 * commit, in place and without `fsync`: it survives the process, and never says more than what is
 * in the database.
 */
import { constants } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { join } from 'node:path'
import { checkedJson, checkedValueOf } from '../store/checked-record.ts'

/** The name is a part of the format on disk. */
const NAME = 'head'
/** The length of the record, before the record. */
const LENGTH_BYTES = 4
/** The most bytes that are read. */
const BYTES_MAX = 64 << 10

export class HeadFile {
  /** Null if the directory takes no such file: then what was lost may go unnoticed. */
  readonly #handle: FileHandle | null
  /** The summary that an earlier process wrote, or null if that is missing or damaged. */
  readonly found: unknown

  private constructor(handle: FileHandle | null, found: unknown) {
    this.#handle = handle
    this.found = found
  }

  static async open(directory: string): Promise<HeadFile> {
    const { O_RDWR, O_CREAT } = constants
    const handle = await open(join(directory, NAME), O_RDWR | O_CREAT, 0o600).catch(() => null)
    if (handle === null) return new HeadFile(null, null)
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(BYTES_MAX), 0, BYTES_MAX, 0)
    const bytes = bytesRead < LENGTH_BYTES ? 0 : buffer.readUInt32LE(0)
    return new HeadFile(handle, checkedValueOf(buffer.subarray(LENGTH_BYTES, LENGTH_BYTES + bytes)))
  }

  /** A file that cannot be written is no reason to refuse a commit that is on disk. */
  async write(summary: unknown): Promise<void> {
    const record = checkedJson(summary)
    const length = Buffer.alloc(LENGTH_BYTES)
    length.writeUInt32LE(record.length)
    const bytes = Buffer.concat([length, record])
    await this.#handle?.write(bytes, 0, bytes.length, 0).catch(() => {})
  }

  async close(): Promise<void> {
    await this.#handle?.sync().catch(() => {})
    await this.#handle?.close()
  }
}
