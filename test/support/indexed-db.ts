/**
 * IndexedDB and Web Locks for tests on Node. The database is that of fake-indexeddb, in memory; the locks do what the
 * standard says of exclusive ones, and can be taken away as at the end of a tab.
 */
import 'fake-indexeddb/auto'

interface Waiting {
  readonly grant: () => void
}

/** The holders of locks and those who wait, by name. The first of each is the holder. */
const queues = new Map<string, Waiting[]>()

function release(name: string, waiting: Waiting): void {
  const queue = queues.get(name) ?? []
  const wasHolder = queue[0] === waiting
  queues.set(
    name,
    queue.filter((one) => one !== waiting),
  )
  if (wasHolder) queues.get(name)![0]?.grant()
}

const locks = {
  request(
    name: string,
    { signal }: { readonly signal?: AbortSignal },
    held: (lock: object) => unknown,
  ): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const waiting: Waiting = {
        grant: () => {
          signal?.removeEventListener('abort', aborted)
          Promise.resolve(held({ name }))
            .then(resolve, reject)
            .finally(() => release(name, waiting))
        },
      }
      const aborted = () => {
        release(name, waiting)
        reject(signal!.reason)
      }
      signal?.addEventListener('abort', aborted)
      const queue = queues.get(name) ?? []
      queues.set(name, [...queue, waiting])
      if (queue.length === 0) waiting.grant()
    })
  },
}

/** Ends all locks, as the end of a tab does. */
export function endTab(): void {
  queues.clear()
}

/** What `navigator.storage.estimate()` answers. */
export const storage = { usage: 0, quota: 1 << 30 }

Object.defineProperty(globalThis, 'navigator', {
  configurable: true,
  value: { locks, storage: { estimate: async () => ({ ...storage }) } },
})
