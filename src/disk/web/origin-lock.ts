/**
 * How does a database of a browser have one owner at a time? The owner holds a Web Lock, which all
 * pages and workers of an origin share, and which ends with its page or worker.
 */
import { StorageError, UsageError } from '../../errors.ts'
import { machine } from '../../platform/machine.ts'
import { storageGlobals } from './indexed-db.ts'
import { openFailure } from './storage-failures.ts'

/**
 * In ms. When a page is loaded again, the locks of the page before may end a moment after the new
 * page has begun.
 */
const WAIT_MS_MAX = 1000

/**
 * Waits until the lock is free.
 * @returns a function that gives the lock up.
 * @throws UsageError (`NO_STORAGE_ENGINE`) if there are no Web Locks here.
 * @throws StorageError (`IN_USE`) if another part of this origin holds the lock.
 */
export async function takeLock(lockName: string, directory: string): Promise<() => void> {
  const locks = storageGlobals.navigator?.locks
  if (locks === undefined) {
    throw new UsageError(
      `${directory}: Web Locks are needed to store anything, so that two tabs do not write to ` +
        'one database, and this page has none: load it over https: or from localhost',
      { code: 'NO_STORAGE_ENGINE' },
    )
  }
  const waiting = new AbortController()
  const timer = machine.setTimer(() => waiting.abort(), WAIT_MS_MAX)
  try {
    return await new Promise<() => void>((resolve, reject) => {
      const held = () => new Promise<void>((release) => resolve(release))
      locks.request(lockName, { signal: waiting.signal }, held).catch(reject)
    })
  } catch (cause) {
    // A sandboxed frame may have neither locks nor a database.
    if (!waiting.signal.aborted) throw openFailure(directory, cause)
    const message =
      `${directory} is in use by another tab or worker, or by another part of this one; end that ` +
      'first (or close what has it open), or use another name'
    throw new StorageError(message, { code: 'IN_USE', retryable: true })
  } finally {
    machine.clearTimer(timer)
  }
}
