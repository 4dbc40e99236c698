/**
 * What does a page say of its network? The events `online` and `offline`, and that the page is seen
 * again, as hints for the option `networkHints`.
 */
import { UsageError } from '../errors.ts'

/** A hint about the network, as the option `networkHints` takes it. */
type Hint = 'online' | 'offline'

/** What is used of an EventTarget. */
interface Listened {
  addEventListener(type: string, listener: () => void): void
  removeEventListener(type: string, listener: () => void): void
}

/** What is used of the globals of a page or a worker. */
interface Page {
  readonly window?: Partial<Listened> & { readonly navigator?: { readonly onLine?: unknown } }
  readonly self?: Page['window']
  readonly document?: Listened & { readonly visibilityState?: string }
}

/**
 * Makes the hints of a page or a worker for the option `networkHints`:
 *
 * - `offline` when the browser says that it has no network. The connection is then dropped
 *   immediately, and not only after the Keep Alive.
 * - `online` when it has one again, and when the page becomes visible while it has one: timers of a
 *   hidden page are late, so that the next attempt may be due but not made. It ends the wait for
 *   the next attempt; to a loop that has a connection it does nothing.
 *
 * The listeners are added when the iteration begins, and removed when it ends; a loop ends it. Each
 * iteration has listeners of its own. At most two hints wait for a slow reader: hints that later
 * ones made pointless are left out. A worker has no `visibilitychange`; it is not throttled either.
 *
 * @returns an iterable that never ends by itself.
 * @throws UsageError if the runtime has no events of that kind, as Node and React Native.
 */
export function browserHints(): AsyncIterable<'online' | 'offline'> {
  const { window, self, document } = globalThis as unknown as Page
  const target = window ?? self
  if (typeof target?.addEventListener !== 'function' || !isKnown(target.navigator?.onLine)) {
    const message =
      'browserHints: this runtime has no window that reports `online` and `offline`; give the' +
      ' option networkHints an iterable of your own, or leave it out'
    throw new UsageError(message)
  }
  const isOnline = (): boolean => target.navigator?.onLine !== false
  return {
    [Symbol.asyncIterator]: () => new PageHints(target as Listened, document ?? null, isOnline),
  }
}

/** Deno and Bun have a navigator too, but it does not know about networks. */
function isKnown(onLine: unknown): boolean {
  return typeof onLine === 'boolean'
}

const NO_MORE_HINTS: IteratorResult<Hint, undefined> = { done: true, value: undefined }

class PageHints implements AsyncIterator<Hint, undefined> {
  readonly #forget: (() => void)[] = []
  #waiting: Hint[] = []
  #readers: ((result: IteratorResult<Hint, undefined>) => void)[] = []
  #ended = false

  constructor(
    window: Listened,
    document: NonNullable<Page['document']> | null,
    online: () => boolean,
  ) {
    this.#listen(window, 'online', () => this.#add('online'))
    this.#listen(window, 'offline', () => this.#add('offline'))
    if (document === null) return
    this.#listen(document, 'visibilitychange', () => {
      if (document.visibilityState === 'visible' && online()) this.#add('online')
    })
  }

  #listen(target: Listened, type: string, listener: () => void): void {
    target.addEventListener(type, listener)
    this.#forget.push(() => target.removeEventListener(type, listener))
  }

  #add(hint: Hint): void {
    const reader = this.#readers.shift()
    if (reader !== undefined) return reader({ done: false, value: hint })
    // An `offline` drops the connection, whatever was said before it.
    if (hint === 'offline') this.#waiting = ['offline']
    else if (this.#waiting.at(-1) !== 'online') this.#waiting.push('online')
  }

  next(): Promise<IteratorResult<Hint, undefined>> {
    const value = this.#waiting.shift()
    if (value !== undefined) return Promise.resolve({ done: false, value })
    if (this.#ended) return Promise.resolve(NO_MORE_HINTS)
    return new Promise((resolve) => this.#readers.push(resolve))
  }

  return(): Promise<IteratorResult<Hint, undefined>> {
    this.#ended = true
    this.#waiting = []
    for (const forget of this.#forget.splice(0)) forget()
    for (const reader of this.#readers.splice(0)) reader(NO_MORE_HINTS)
    return Promise.resolve(NO_MORE_HINTS)
  }
}
