/** `process` of Node, as far as the tests and the streams under them use it, for a browser. */
export const env: Readonly<Record<string, string>> = {}
export const argv: readonly string[] = []
export const version = 'v0.0.0'
export const versions: Readonly<Record<string, string>> = {}
export const platform = 'browser'
export const stdout = null
export const stderr = null

/** A microtask: a task of its own would be later than what Node does. */
export function nextTick(callback: (...args: unknown[]) => void, ...args: unknown[]): void {
  queueMicrotask(() => callback(...args))
}

export function on(): void {}

export function off(): void {}

export function emitWarning(text: string): void {
  console.warn(text)
}
