/**
 * What is used of IndexedDB, Web Locks and the storage manager, and how do their events become
 * promises?
 *
 * The types are written here because the types of a browser (`lib` DOM) would be there for all of
 * src/, on Node too. Names are those of the standards.
 */

interface DomRequest<T> {
  readonly result: T
  readonly error: Error | null
  onsuccess: (() => void) | null
  onerror: (() => void) | null
}

interface OpeningRequest extends DomRequest<OpenedDatabase> {
  readonly transaction: DomTransaction | null
  onupgradeneeded: ((event: UpgradeEvent) => void) | null
}

interface UpgradeEvent {
  /** 0 for a database that is new. */
  readonly oldVersion: number
  /** Chromium says here that it has removed a damaged database. Other browsers do not have it. */
  readonly dataLoss?: 'none' | 'total'
}

export interface OpenedDatabase {
  readonly objectStoreNames: { contains(name: string): boolean }
  createObjectStore(name: string): unknown
  transaction(
    store: string,
    mode: 'readonly' | 'readwrite',
    options?: { readonly durability: 'strict' | 'relaxed' },
  ): DomTransaction
  close(): void
  /** Called if the browser closes the database, because its data was cleared, say. */
  onclose: (() => void) | null
  /** Called if somebody wants to remove the database, or to open a later version of it. */
  onversionchange: (() => void) | null
}

export interface DomTransaction {
  readonly error: Error | null
  objectStore(name: string): ObjectStore
  commit?(): void
  abort(): void
  oncomplete: (() => void) | null
  onabort: (() => void) | null
}

export interface ObjectStore {
  get(key: string): DomRequest<Uint8Array | undefined>
  getAll(range: unknown, count: number): DomRequest<Uint8Array[]>
  getAllKeys(range: unknown, count: number): DomRequest<string[]>
  put(value: Uint8Array, key: string): DomRequest<unknown>
  delete(key: string): DomRequest<unknown>
}

interface LockManager {
  request(
    name: string,
    options: { readonly ifAvailable?: boolean; readonly signal?: AbortSignal },
    held: (lock: object | null) => unknown,
  ): Promise<unknown>
}

/** The part of the globals of a page or a worker that is used here. */
interface StorageGlobals {
  readonly indexedDB?: { open(name: string, version: number): OpeningRequest }
  readonly IDBKeyRange?: {
    bound(lower: string, upper: string, lowerOpen: boolean, upperOpen: boolean): unknown
  }
  readonly navigator?: {
    readonly locks?: LockManager
    readonly storage?: { estimate?(): Promise<{ usage?: number; quota?: number }> }
  }
}

/** The globals. They are read when they are used, because reading them may throw. */
export const storageGlobals = globalThis as unknown as StorageGlobals

/** Resolves with the result of a request. */
export function resultOf<T>(request: DomRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result)
    request.onerror = () => reject(request.error)
  })
}

/** Resolves once a transaction is on the disk; rejects if it was aborted, and changed nothing. */
export function completionOf(transaction: DomTransaction): Promise<void> {
  return new Promise((resolve, reject) => {
    transaction.oncomplete = () => resolve()
    transaction.onabort = () => reject(transaction.error ?? new Error('the browser aborted it'))
  })
}
