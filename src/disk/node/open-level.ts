/**
 * How is LevelDB opened, and which error of it means what? A directory that it cannot open is
 * repaired once.
 */
import { readdir, readFile, stat, statfs } from 'node:fs/promises'
import { join } from 'node:path'
import type { ClassicLevel } from 'classic-level'
import { StorageError } from '../../errors.ts'
import { importFailure } from '../../platform/import-failure.ts'
import { ownerWords } from './owner.ts'
import { removeReserveFile, writeReserveFile } from './reserve-file.ts'

export type Level = ClassicLevel<string, Uint8Array>

/** The keys are ASCII. A damaged one that is not must still be found under what was read. */
const ASCII = {
  name: 'latin1',
  format: 'buffer' as const,
  encode: (key: string) => Buffer.from(key, 'latin1'),
  decode: (key: Buffer) => key.toString('latin1'),
}
/** The file that names the process which has the directory open. */
export const OWNER = 'owner.json'
/** The file of LevelDB that names its table of contents. */
const CURRENT = 'CURRENT'
/**
 * How much LevelDB gathers in memory before it writes a table, in bytes. With LevelDB's default of
 * 4 MiB a message costs a third more in a queue of ten million messages than in one of ten
 * thousand; with 16 MiB it costs a tenth more.
 */
const WRITE_BUFFER_BYTES = 16 << 20
const WRITE_BUFFER_BYTES_MIN = 64 << 10
/**
 * On a small disk the write buffer is this fraction of the disk, because its content is on disk
 * twice.
 */
const WRITE_BUFFER_PART = 64

/**
 * @returns the free and the total bytes of the disk, or infinite if the system does not report
 *   them.
 */
export async function diskOf(path: string): Promise<{ free: number; size: number }> {
  try {
    const { bavail, blocks, bsize } = await statfs(path)
    return { free: bavail * bsize, size: blocks * bsize }
  } catch {
    return { free: Infinity, size: Infinity }
  }
}

export async function engineOf(kind: string): Promise<typeof ClassicLevel> {
  try {
    return (await import('classic-level')).ClassicLevel
  } catch (cause) {
    throw importFailure(cause, {
      name: 'classic-level',
      need: `${kind}: the package classic-level is needed to store anything on disk`,
      install: 'classic-level@3',
      code: 'NO_STORAGE_ENGINE',
    })
  }
}

function writeBufferBytes(diskSize: number): number {
  return Math.max(
    WRITE_BUFFER_BYTES_MIN,
    Math.min(WRITE_BUFFER_BYTES, diskSize / WRITE_BUFFER_PART),
  )
}

/**
 * When LevelDB is opened, it writes its log and the one before as tables. Each log is as long as
 * the write buffer and the record that exceeded it.
 */
export function reserveBytes(diskSize: number): number {
  return writeBufferBytes(diskSize) * 4
}

async function openLevel(engine: typeof ClassicLevel, directory: string): Promise<Level> {
  const { size } = await diskOf(directory)
  const level: Level = new engine(join(directory, 'data'), {
    keyEncoding: ASCII,
    valueEncoding: 'view',
    writeBufferSize: writeBufferBytes(size),
  })
  await level.open()
  return level
}

/** Opens LevelDB, also if the files of an interrupted compaction fill the disk. */
async function openWithReserve(engine: typeof ClassicLevel, directory: string): Promise<Level> {
  try {
    return await openLevel(engine, directory)
  } catch (error) {
    if (!isFull(rootCauseOf(error)) || !(await removeReserveFile(directory))) throw error
  }
  // Opening removes those files. Closing immediately leaves no time to compact, which would take
  // the room before the reserve file is written again.
  const level = await openLevel(engine, directory)
  await level.close()
  await writeReserveFile(directory, reserveBytes((await diskOf(directory)).size))
  return openLevel(engine, directory)
}

/** @param isCorrupt True if LevelDB has met what it cannot read, and is to be repaired. */
export async function openOrRepair(
  engine: typeof ClassicLevel,
  directory: string,
  isCorrupt = false,
): Promise<{ level: Level; repaired: boolean }> {
  try {
    if (!isCorrupt && !(await isHeadless(directory))) {
      return { level: await openWithReserve(engine, directory), repaired: false }
    }
  } catch (error) {
    const reason = rootCauseOf(error)
    if (reason.code === 'LEVEL_LOCKED') throw await inUse(directory, error)
    if (isFull(reason) || /permission|read-only/i.test(reason.message)) {
      throw failed(`${directory} cannot be opened`, 'OPEN_FAILED', error)
    }
  }
  try {
    await engine.repair(join(directory, 'data'))
    return { level: await openLevel(engine, directory), repaired: true }
  } catch (error) {
    throw failed(`${directory} is damaged and could not be repaired`, 'DAMAGED', error)
  }
}

/**
 * @returns whether the directory has data, and not the file that LevelDB begins with. LevelDB would
 *   make an empty database there, and remove the data.
 */
async function isHeadless(directory: string): Promise<boolean> {
  const names = await readdir(join(directory, 'data'))
  return !names.includes(CURRENT) && names.some((name) => /\.(ldb|sst|log)$/.test(name))
}

/** @returns what tells the database in the directory from another one, or null if it is gone. */
export async function levelIdentityOf(directory: string): Promise<number | null> {
  const inodeOf = (name: string) => {
    return stat(join(directory, 'data', name)).then(
      ({ ino }) => ino,
      (error) => (error.code === 'ENOENT' ? null : 0),
    )
  }
  const [current, lock] = await Promise.all([inodeOf(CURRENT), inodeOf('LOCK')])
  return current === null ? null : lock
}

/** A table that is missing, or was cut off to nothing. */
const NO_TABLE = /\.(ldb|sst): (Invalid argument|No such file)/

/** @returns whether LevelDB has met something that it cannot read, and repairing helps. */
export function isCorruption(error: unknown): boolean {
  const { code, message } = rootCauseOf(error)
  return code === 'LEVEL_CORRUPTION' || NO_TABLE.test(message)
}

async function inUse(directory: string, cause: unknown): Promise<StorageError> {
  let who = 'by another process'
  try {
    who = ownerWords(JSON.parse(await readFile(join(directory, OWNER), 'utf8')))
  } catch {
    // The other process opened the directory a moment ago and has not written its file yet.
  }
  const message = `${directory} is in use ${who}; end that process first, or use another directory`
  return new StorageError(message, { code: 'IN_USE', retryable: true, cause })
}

function rootCauseOf(error: unknown): Error & { code?: string } {
  let root = error as Error & { code?: string }
  while (root.cause instanceof Error) root = root.cause
  return root
}

function isFull({ message, code }: Error & { code?: string }): boolean {
  return code === 'DISK_FULL' || /no space left|disk quota|file too large/i.test(message)
}

export function failed(what: string, code: string, cause: unknown): StorageError {
  if (cause instanceof StorageError) return cause
  const reason = rootCauseOf(cause)
  if (isFull(reason)) {
    const message = `${what}: the disk is full (${reason.message}). Make room and try again.`
    return new StorageError(message, { code: 'DISK_FULL', retryable: true, cause })
  }
  return new StorageError(`${what}: ${reason.message}.`, { code, cause })
}
