/**
 * Why could a package not be loaded that is installed only by those who need it?
 *
 * It is not installed, or the permissions of the process forbid to load it (`node --permission`,
 * `deno run` without `--allow-all`), or it is installed and fails. Each has a remedy of its own, so
 * each is an error of its own. Only the error that says that this very package was not found means
 * that it is not installed: the package may miss one that it needs itself.
 */
import { UsageError } from '../errors.ts'

/** A package that is a peer and optional. */
interface OptionalPackage {
  readonly name: string
  /** What needs it, as the beginning of a message: `url: ws: needs the package ws`. */
  readonly need: string
  /** What npm installs. */
  readonly install: string
  /** The code of the error if it is not installed. */
  readonly code: 'NO_WEBSOCKET' | 'NO_STORAGE_ENGINE'
}

/** The fields that errors of an import have in Node, Bun and Deno. */
interface ImportError {
  readonly code?: unknown
  readonly message?: unknown
  readonly name?: unknown
  /** What `node --permission` forbade, and on which file. */
  readonly permission?: unknown
  readonly resource?: unknown
}

/** The flag of Node that grants each permission. Node 20 does not name it in its message. */
const NODE_FLAGS: Readonly<Record<string, string>> = {
  FileSystemRead: '--allow-fs-read',
  FileSystemWrite: '--allow-fs-write',
  ChildProcess: '--allow-child-process',
  WorkerThreads: '--allow-worker',
  Addon: '--allow-addons',
}

/**
 * @param cause what `import()` of the package rejected with.
 * @returns the error to throw, with this `cause`.
 */
export function importFailure(
  cause: unknown,
  { name, need, install, code }: OptionalPackage,
): UsageError {
  if (isMissing(cause, name)) {
    return new UsageError(`${need}: npm install ${install}`, { code, cause })
  }
  const denial = denialOf(cause)
  if (denial !== null) {
    const message = `${need}, and the permissions of this process forbid loading it: ${denial}`
    return new UsageError(message, { code: 'PACKAGE_FORBIDDEN', cause })
  }
  const message = `${need}, which is installed and cannot be loaded: ${textIn(cause)}`
  return new UsageError(message, { code: 'PACKAGE_FAILED', cause })
}

/** Node and Bun say `Cannot find package 'ws'`, `require` says "module", and Deno `Import "ws"`. */
function isMissing(cause: unknown, name: string): boolean {
  if (!/^(ERR_)?MODULE_NOT_FOUND$/.test(String(fieldsOf(cause).code))) return false
  const [, missing] =
    /^(?:Cannot find (?:package|module)|Import) ['"]([^'"]*)['"]/.exec(textIn(cause)) ?? []
  return missing === name
}

/** @returns what was forbidden and which flag allows it, or null if nothing was forbidden. */
function denialOf(cause: unknown): string | null {
  const { code, name, permission, resource } = fieldsOf(cause)
  // Deno's message has the flag.
  if (name === 'NotCapable') return textIn(cause)
  if (code === 'ERR_DLOPEN_DISABLED') return `start Node with ${NODE_FLAGS['Addon']}`
  if (code !== 'ERR_ACCESS_DENIED') return null
  const what = [permission, resource].filter((one) => typeof one === 'string' && one !== '')
  const flag = NODE_FLAGS[String(permission)]
  const remedy = flag === undefined ? textIn(cause) : `start Node with ${flag}`
  return [what.join(' of '), remedy].filter(Boolean).join('; ')
}

function textIn(cause: unknown): string {
  const { message } = fieldsOf(cause)
  return typeof message === 'string' ? message : String(cause)
}

/** An error of Bun's resolver is no instance of `Error`. */
function fieldsOf(cause: unknown): ImportError {
  return typeof cause === 'object' && cause !== null ? cause : {}
}
