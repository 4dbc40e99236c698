/**
 * How is a file written that cannot be replaced, because it is a mount point of its own? Records
 * are lines. A new one is written where the last one is not, so that a crash leaves one of the two
 * whole.
 */
import { open } from 'node:fs/promises'

const LINE_FEED = 10

/**
 * Writes a record over older ones, or behind the last one if it would reach into that. Resolves
 * once it is on the disk.
 * @param record One line, with its line end.
 */
export async function writeInPlace(path: string, record: string): Promise<void> {
  const file = await open(path, 'r+')
  try {
    const found = await file.readFile()
    const bytes = Buffer.from(record)
    const isWhole = found.at(-1) === LINE_FEED
    const lastAt = found.lastIndexOf(LINE_FEED, isWhole ? -2 : undefined) + 1
    if (bytes.length <= lastAt) {
      await writeAll(file, bytes, 0)
      await file.sync()
      // The rest of older records goes once the new one is safe.
      await file.truncate(bytes.length)
    } else {
      const separator = isWhole || found.length === 0 ? '' : '\n'
      await writeAll(file, Buffer.concat([Buffer.from(separator), bytes]), found.length)
    }
    await file.sync()
  } finally {
    await file.close()
  }
}

async function writeAll(file: Awaited<ReturnType<typeof open>>, bytes: Buffer, at: number) {
  for (let done = 0; done < bytes.length; ) {
    const { bytesWritten } = await file.write(bytes, done, bytes.length - done, at + done)
    done += bytesWritten
  }
}
