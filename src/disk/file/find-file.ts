/**
 * Where is a file now that was read under a name, and which files came after it? A rotation renames
 * it, copies it, packs it, or points a link to another one. A file is found by its inode or its
 * content, and always proven by its content.
 */
import { lstat, readdir, realpath, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { StorageError, UsageError } from '../../errors.ts'
import { holds, type OpenFile, openFile } from './open-file.ts'
import { type Proof, proves } from './position.ts'
import { isRotated, rotatedSince, type Sibling, stemOf, targetsBetween } from './rotated-names.ts'

/** A file in one of the folders where rotated files are. */
interface NearbyFile extends Sibling {
  readonly path: string
  readonly inode: number
  readonly device: number
  readonly isPacked: boolean
}

/** What is known of a file that was read. */
interface Remembered {
  readonly inode: number
  readonly proof: Proof | null
}

interface FoundFile {
  readonly file: OpenFile
  /** Whether it is a copy, which will not grow. */
  readonly isCopy: boolean
}

/** The files that came after another one, oldest first; the last has the followed name now. */
interface FilesAfter {
  readonly files: readonly OpenFile[]
  /** Why something may have been missed between them, or null. */
  readonly gap: string | null
  /** Whether only the order of the targets of a link says that nothing was missed. */
  readonly isLinked: boolean
}

/** So many folders within the folder are searched: rotated files are often kept in one. */
const FOLDERS_MAX = 64
/** So many files are compared by content. Unpacking costs more. */
const COMPARED_MAX = 64
const UNPACKED_MAX = 16
/** How often a folder is searched that changes all the time. */
const SEARCHES_MAX = 8
/** In a folder of more files only those that are named like the followed one are considered. */
const NAMES_MAX = 2_000
const PACKED = /\.gz$/i

/** @returns the folders in which a change matters, each with what the names in it begin with. */
export async function foldersOf(path: string): Promise<ReadonlyMap<string, string>> {
  const real = await realpath(path).catch(() => path)
  const folders = new Map([[dirname(path), stemOf(basename(path))]])
  if (dirname(real) === dirname(path) && real !== path) folders.set(dirname(path), '')
  else folders.set(dirname(real), stemOf(basename(real)))
  return folders
}

/**
 * Finds and opens a file that was read under `path`. A file that is renamed or packed during the
 * search may be missed, so the search begins again if the folder has changed meanwhile.
 * @param except The inode of a file that has lost the content, or null.
 * @returns null if no file has what was read.
 */
export async function findFile(
  path: string,
  remembered: Remembered,
  except: number | null = null,
): Promise<FoundFile | null> {
  let entries = await entriesAround(path)
  for (let search = 1; ; search++) {
    const found = await findAmong(entries, path, remembered, except)
    if (found !== null || search === SEARCHES_MAX) return found
    const before = listing(entries)
    entries = await entriesAround(path)
    if (listing(entries) === before) return null
  }
}

/** @returns a text that is another one if a file came, went, or got another name. */
function listing(entries: readonly NearbyFile[]): string {
  return entries
    .map(({ path, inode }) => `${inode} ${path}`)
    .sort()
    .join('\n')
}

async function findAmong(
  entries: readonly NearbyFile[],
  path: string,
  { inode, proof }: Remembered,
  except: number | null,
): Promise<FoundFile | null> {
  const named = await entryAt(path)
  const all = named === null ? entries : [named, ...entries]
  for (const entry of all.filter((other) => other.inode === inode && inode !== except)) {
    const file = await openIf(entry.path, (opened) => holds(opened, proof))
    if (file !== null) return { file, isCopy: file.isPacked }
  }
  if (proof === null || proof.bytes === 0) return null
  const others = all.filter((other) => other.inode !== inode && other.inode !== except)
  const plain = others.filter(({ isPacked }) => !isPacked).slice(0, COMPARED_MAX)
  const packed = others.filter(({ isPacked }) => isPacked).slice(0, UNPACKED_MAX)
  for (const entry of [...plain, ...packed]) {
    const file = await openIf(entry.path, (opened) => holds(opened, proof))
    // A file that was restored from a copy under its old name goes on growing.
    if (file !== null) return { file, isCopy: entry !== named }
  }
  return null
}

/**
 * Opens the file at `path` if it is the one that was read.
 * @throws UsageError if it cannot be read.
 */
export async function openProven(path: string, proof: Proof | null): Promise<OpenFile | null> {
  const file = await openFile(path)
  // The proof of a packed file that is not followed is about its packed bytes.
  if ((await proves(proof, file.handle)) || (await holds(file, proof))) return file
  await file.handle.close()
  return null
}

/**
 * Opens the files that came after one that was read, up to the one that has the name now.
 * @returns null if there is no file at `path` at this moment.
 */
export async function filesAfter(path: string, read: OpenFile): Promise<FilesAfter | null> {
  const current = await openIf(path, async () => true)
  if (current === null) return null
  const real = await realpath(path).catch(() => path)
  const entries = await entriesAround(path)
  const base = basename(real)
  const mine = entries.find((entry) => entry.inode === read.inode && entry.device === read.device)
  const isLinked =
    (await lstat(path).catch(() => null))?.isSymbolicLink() === true &&
    mine !== undefined &&
    dirname(mine.path) === dirname(real) &&
    mine.name !== base &&
    !isRotated(mine.name, base)
  if (mine?.name === base && mine.path === real) return { files: [current], gap: null, isLinked }
  const { names, gap } = isLinked
    ? targetsBetween(namesIn(entries, dirname(real)), mine.name, base)
    : rotatedSince(entries, base, mine?.name ?? null, (await read.handle.stat()).mtimeMs)
  const opened = await openAll(names, entries)
  return { files: [...opened.files, current], gap: gap ?? opened.gap, isLinked }
}

/** Opens the rotated files that were written after an instant, and the present one. */
export async function filesSince(path: string, modifiedAt: number): Promise<readonly OpenFile[]> {
  const current = await openIf(path, async () => true)
  if (current === null) return []
  const entries = await entriesAround(path)
  const base = basename(await realpath(path).catch(() => path))
  const { names } = rotatedSince(entries, base, null, modifiedAt)
  return [...(await openAll(names, entries)).files, current]
}

async function openAll(names: readonly string[], entries: readonly NearbyFile[]) {
  const files: OpenFile[] = []
  let gap: string | null = null
  for (const name of names) {
    const entry = entries.find((other) => other.name === name)!
    try {
      files.push(await openFile(entry.path))
    } catch (error) {
      if (!(error instanceof UsageError || error instanceof StorageError)) throw error
      gap ??= error.message
    }
  }
  return { files, gap }
}

/** Opens a file and closes it again unless it is wanted. */
async function openIf(
  path: string,
  isWanted: (file: OpenFile) => Promise<boolean>,
): Promise<OpenFile | null> {
  const file = await openFile(path).catch(() => null)
  if (file === null || (await isWanted(file))) return file
  await file.handle.close()
  return null
}

function namesIn(entries: readonly NearbyFile[], folder: string): readonly string[] {
  return entries.filter((entry) => dirname(entry.path) === folder).map(({ name }) => name)
}

/**
 * @returns the files whose names begin like that of the followed one, rotated ones first and the
 *   youngest of them first; and then all others, which a rotation may have given any name.
 */
async function entriesAround(path: string): Promise<readonly NearbyFile[]> {
  const real = await realpath(path).catch(() => path)
  const base = basename(real)
  const folder = dirname(real)
  const entries: NearbyFile[] = []
  const folders = [folder]
  if (dirname(path) !== folder) folders.push(dirname(path))
  for (const entry of await readdir(folder, { withFileTypes: true }).catch(() => [])) {
    if (entry.isDirectory() && folders.length < FOLDERS_MAX) folders.push(join(folder, entry.name))
  }
  const stem = stemOf(base)
  for (const place of folders) {
    const names = await readdir(place).catch(() => [])
    for (const name of names) {
      if ((place !== folder || names.length > NAMES_MAX) && !name.startsWith(stem)) continue
      const entry = await entryAt(join(place, name))
      if (entry !== null) entries.push(entry)
    }
  }
  const rank = ({ name }: NearbyFile) => (isRotated(name, base) ? 0 : name.startsWith(stem) ? 1 : 2)
  return entries.sort((a, b) => rank(a) - rank(b) || b.modifiedAt - a.modifiedAt)
}

async function entryAt(path: string): Promise<NearbyFile | null> {
  const stats = await stat(path).catch(() => null)
  if (stats === null || !stats.isFile()) return null
  return {
    path,
    name: basename(path),
    inode: stats.ino,
    device: stats.dev,
    modifiedAt: stats.mtimeMs,
    isPacked: PACKED.test(path),
  }
}
