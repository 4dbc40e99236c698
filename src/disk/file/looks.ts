/**
 * When is it time to look at a file again? As soon as the system says that something in its folder
 * has changed, and otherwise after a while.
 *
 * Some file systems (NFS, say) report nothing, and a system can run out of watches. So a report
 * only makes a look earlier.
 */
import { type FSWatcher, watch } from 'node:fs'
import type { Platform } from '../../platform/machine.ts'

export class Looks {
  readonly #platform: Platform
  /** Null if the folders are not watched. */
  #watchers: Map<string, FSWatcher> | null
  /** True if something changed since the last wait ended. */
  #hasChanged = false
  #wake: (() => void) | null = null

  constructor(platform: Platform, watches: boolean) {
    this.#platform = platform
    this.#watchers = watches ? new Map() : null
  }

  /**
   * Watches these folders, and no others.
   * @param stem What the names of the files that matter begin with, for each folder.
   */
  watch(folders: ReadonlyMap<string, string>): void {
    const watchers = this.#watchers
    if (watchers === null) return
    for (const [folder, watcher] of watchers) {
      if (folders.has(folder)) continue
      watcher.close()
      watchers.delete(folder)
    }
    for (const [folder, stem] of folders) {
      if (watchers.has(folder)) continue
      try {
        const watcher = watch(folder, { persistent: false }, (_, name) => {
          if (name === null || name.startsWith(stem)) this.#changed()
        })
        watchers.set(folder, watcher)
        // The folder may be watched again after it was replaced.
        watcher.on('error', () => {
          watcher.close()
          if (watchers.get(folder) === watcher) watchers.delete(folder)
        })
      } catch {
        // Looks in turn are enough.
      }
    }
  }

  #changed(): void {
    this.#hasChanged = true
    this.#wake?.()
  }

  /** Resolves after `ms`, or earlier if something has changed. Rejects if `signal` aborts. */
  async wait(ms: number, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    if (!this.#hasChanged) {
      await new Promise<void>((resolve) => {
        const timer = this.#platform.setTimer(() => this.#wake?.(), ms)
        const wake = () => {
          this.#wake = null
          this.#platform.clearTimer(timer)
          signal.removeEventListener('abort', wake)
          resolve()
        }
        this.#wake = wake
        signal.addEventListener('abort', wake)
      })
    }
    this.#hasChanged = false
    signal.throwIfAborted()
  }

  close(): void {
    this.watch(new Map())
    this.#watchers = null
    this.#wake?.()
  }
}
