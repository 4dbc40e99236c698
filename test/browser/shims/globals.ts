/**
 * What the tests, and not the engine, use of Node, for a browser. The tests' own server speaks
 * through mqtt-packet and through streams of Node, which npm packages bring.
 */
import { Buffer } from 'buffer'

const { port1, port2 } = new MessageChannel()
const turns: (() => void)[] = []
port1.onmessage = () => turns.shift()?.()

function inOwnTurn(callback: (...args: unknown[]) => void, ...args: unknown[]): void {
  turns.push(() => callback(...args))
  port2.postMessage(null)
}

const process = {
  env: {},
  argv: [],
  version: 'v0.0.0',
  versions: {},
  platform: 'browser',
  nextTick: (callback: (...args: unknown[]) => void, ...args: unknown[]) =>
    queueMicrotask(() => callback(...args)),
  on: () => process,
  off: () => process,
  emitWarning: (text: string) => console.warn(text),
}

Object.assign(globalThis, { Buffer, process, global: globalThis, setImmediate: inOwnTurn })
