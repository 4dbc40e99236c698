/**
 * Turns of the event loop for a browser, in one order: messages of a channel are tasks that nothing
 * delays.
 */
const { port1, port2 } = new MessageChannel()
const turns: (() => void)[] = []
port1.onmessage = () => turns.shift()?.()

/** Calls `callback` in a task of its own, after the promise callbacks that wait. */
export function inOwnTurn(callback: (...args: unknown[]) => void, ...args: unknown[]): void {
  turns.push(() => callback(...args))
  port2.postMessage(null)
}
