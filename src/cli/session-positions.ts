/**
 * How far were files piped with a session that is in a directory? The directory has a checkpoint
 * for each of them, until it is delivered.
 */
import { createHash, randomBytes } from 'node:crypto'
import { mkdir, readdir, readFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import type { Position } from '../disk/index.ts'

/** The folder of a session directory that has a checkpoint for each file. */
const FOLDER = 'positions'
export const ID_LENGTH = 12

/** @returns the path of the checkpoint of a file in a session directory; it may not exist yet. */
export async function checkpointIn(session: string, path: string): Promise<string> {
  const folder = join(session, FOLDER)
  await mkdir(folder, { recursive: true, mode: 0o700 })
  const found = (await namesIn(session)).find((name) => name.startsWith(hashOf(path)))
  // The end of the name is new whenever the file begins again, so that no key comes back.
  const id = randomBytes(ID_LENGTH / 2).toString('hex')
  return join(folder, found ?? `${hashOf(path)}-${id}`)
}

async function namesIn(session: string): Promise<string[]> {
  const names = await readdir(join(session, FOLDER)).catch(() => [])
  return names.filter((name) => !name.includes('.'))
}

/**
 * @param path The path of a file, or null for any file.
 * @returns the position of a file that a session directory has, or null.
 */
export async function positionInDirectory(
  session: string,
  path: string | null,
): Promise<Position | null> {
  const names = await namesIn(session)
  const name = names.find((one) => path === null || one.startsWith(hashOf(path)))
  if (name === undefined) return null
  return JSON.parse(await readFile(join(session, FOLDER, name), 'utf8')) as Position
}

export function hashOf(path: string): string {
  return createHash('sha256').update(resolve(path)).digest('hex').slice(0, 16)
}
