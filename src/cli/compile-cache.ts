/**
 * Where does the command line keep what the runtime has compiled? Without it, each start compiles a
 * megabyte again, which takes about a quarter of it.
 */
import { lstatSync, mkdirSync } from 'node:fs'
import module from 'node:module'
import { homedir } from 'node:os'
import { isAbsolute, join } from 'node:path'

/** Node has it from 22.1 on, and other runtimes may never have it. */
type Enable = (folder: string) => unknown

/** @returns the folder that XDG Base Directory names, for files that may be deleted at any time. */
function cacheFolder(): string {
  const base = process.env['XDG_CACHE_HOME'] ?? ''
  return join(isAbsolute(base) ? base : join(homedir(), '.cache'), 'it-mqtt')
}

/** @returns whether nobody but this user can write to a folder. */
function isOwn(folder: string): boolean {
  const { uid, mode } = lstatSync(folder)
  // Windows has neither, and keeps folders of users apart.
  return process.getuid === undefined || (uid === process.getuid() && (mode & 0o022) === 0)
}

/**
 * Keeps compiled files for the next start, if the runtime can. Nobody else may write there, since
 * what lies there is run. A folder that cannot be used changes nothing.
 */
export function keepCompiled(): void {
  const enable = (module as { readonly enableCompileCache?: Enable }).enableCompileCache
  const { NODE_COMPILE_CACHE: other, NODE_DISABLE_COMPILE_CACHE: isOff } = process.env
  if (enable === undefined || other !== undefined || isOff !== undefined) return
  try {
    const folder = cacheFolder()
    if (!isAbsolute(folder)) return
    mkdirSync(folder, { recursive: true, mode: 0o700 })
    if (isOwn(folder)) enable.call(module, folder)
  } catch {
    // The command does the same without it.
  }
}
