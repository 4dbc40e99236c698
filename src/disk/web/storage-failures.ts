/**
 * Which error of IndexedDB means what? It has the same codes as an error of LevelDB on Node.
 */
import { MqttError, messageOf, StorageError, UsageError } from '../../errors.ts'

/** @returns what a failed operation rejects with. */
export function databaseFailure(what: string, code: string, cause: unknown): StorageError {
  if (cause instanceof StorageError) return cause
  if (errorNameOf(cause) === 'QuotaExceededError') return fullFailure(`${what}: `, cause)
  return new StorageError(`${what}: ${messageOf(cause)}.`, { code, cause })
}

/** @returns what is said if no room is left for new records. */
export function fullFailure(what: string, cause?: unknown): StorageError {
  const message =
    `${what}the disk is full, or the room that the browser gives to this origin. Nothing was ` +
    'stored; make room and try again.'
  return new StorageError(message, { code: 'DISK_FULL', retryable: true, cause })
}

/** @returns what is said if a database is not there any more. */
export function goneFailure(directory: string): StorageError {
  const message =
    `${directory} was removed while it was in use, by the user or by the browser: what is not ` +
    'delivered yet is lost. Open it again to begin with an empty one.'
  return new StorageError(message, { code: 'DIRECTORY_GONE' })
}

/** @returns what is said if the browser does not open a database. */
export function openFailure(directory: string, cause: unknown): MqttError {
  if (cause instanceof MqttError) return cause
  switch (errorNameOf(cause)) {
    case 'ReferenceError':
      return new UsageError(`${directory}: this runtime has no IndexedDB, so nothing is stored`, {
        code: 'NO_STORAGE_ENGINE',
        cause,
      })
    case 'VersionError':
      return new UsageError(
        `${directory} was made by a later version of it-mqtt, and this one cannot read it`,
        { cause },
      )
    case 'QuotaExceededError':
      return fullFailure(`${directory} cannot be opened: `, cause)
    case 'SecurityError':
    case 'InvalidStateError':
      return new StorageError(
        `${directory} cannot be opened: the browser lets this page store nothing (a private ` +
          `window, blocked site data or a sandboxed frame): ${messageOf(cause)}.`,
        { code: 'OPEN_FAILED', cause },
      )
    default:
      return new StorageError(`${directory} cannot be opened: ${messageOf(cause)}.`, {
        code: 'OPEN_FAILED',
        cause,
      })
  }
}

function errorNameOf(cause: unknown): unknown {
  return (cause as { readonly name?: unknown } | null)?.name
}
