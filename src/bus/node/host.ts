/**
 * Where does a configuration come from, beside the network: files, modules, the environment? This
 * is `#host` on Node, Bun and Deno; ../web/host.ts is its twin.
 */
import { open } from 'node:fs/promises'
import { dirname, isAbsolute, resolve } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

/** @returns the text of a file; null if it has more bytes than that. @throws errors of Node. */
export async function readFileText(path: string, bytesMax: number): Promise<string | null> {
  const file = await open(path)
  try {
    const bytes = new Uint8Array(bytesMax + 1)
    let length = 0
    for (;;) {
      const { bytesRead } = await file.read(bytes, length, bytes.length - length)
      length += bytesRead
      if (length > bytesMax) return null
      if (bytesRead === 0) break
    }
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes.subarray(0, length))
  } finally {
    await file.close()
  }
}

/** @returns the path of a `file:` URL. @throws errors of Node. */
export function pathOfUrl(url: URL): string {
  return fileURLToPath(url)
}

/** @returns a path from the folder of a file; null for a relative one if there is no file. */
export function pathBeside(file: string | null, path: string): string | null {
  if (isAbsolute(path)) return path
  return file === null ? null : resolve(dirname(resolve(file)), path)
}

/** @returns the exports of a module. */
export function importFile(path: string): Promise<Readonly<Record<string, unknown>>> {
  return import(pathToFileURL(path).href)
}

/** @returns the environment of the process. */
export function environment(): Readonly<Record<string, string | undefined>> {
  return process.env
}

const unrun = new Set<() => void>()
const tellAll = () => {
  for (const tell of unrun) tell()
}

/**
 * Calls a function when this process is about to end because there is nothing left to do.
 * @returns what takes it back.
 */
export function beforeEnd(tell: () => void): () => void {
  if (unrun.size === 0) process.once('beforeExit', tellAll)
  unrun.add(tell)
  return () => {
    unrun.delete(tell)
    if (unrun.size === 0) process.off('beforeExit', tellAll)
  }
}

/** @returns the number of the process; null where there are none. */
export function processId(): number | null {
  return process.pid
}
