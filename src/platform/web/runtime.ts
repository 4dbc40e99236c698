/**
 * What does a browser, a worker or React Native give: turns of the event loop, random bytes,
 * warnings? This is `#runtime` there; ../node/runtime.ts is its twin.
 *
 * There are no diagnostics channels, so the channels have no subscribers. Whatever may be missing
 * somewhere is looked for when it is used.
 */
import type { EventChannel } from '../event-channel.ts'
import { utf8Bytes } from './bytes.ts'
import { digestOf } from './sha256.ts'

/** Options for TLS. The runtime has none; a transport of the user may have some. */
export interface TlsOptions {
  /** What the `transport` of the user takes. */
  readonly [name: string]: unknown
}

/** A function that finds the addresses of a name; only a `transport` of the user may call it. */
export type Lookup = (...args: never[]) => unknown

interface Port {
  onmessage: (() => void) | null
  postMessage(message: unknown): void
}

/** What is used of the runtime, and may be missing. */
interface Globals {
  readonly setImmediate?: (callback: () => void) => unknown
  readonly MessageChannel?: new () => { readonly port1: Port; readonly port2: Port }
  readonly crypto?: { getRandomValues?(bytes: Uint8Array): unknown }
  readonly console?: { warn(message: string): void }
  readonly navigator?: { readonly userAgent?: string }
}

const globals: Globals = globalThis as unknown as Globals

/** What waits for its turn. Each has a message of its own, so promise callbacks run in between. */
const turns: (() => void)[] = []

let port: Port | null = null

/**
 * Calls `callback` in a task of its own. Messages of a channel are the tasks that a page in the
 * background has without delay; timers are throttled there.
 */
function inOwnTask(callback: () => void): void {
  const { setImmediate, MessageChannel } = globals
  if (typeof setImmediate === 'function') {
    setImmediate(callback)
    return
  }
  // In Cloudflare Workers a message of a channel is a promise callback, which starves timers.
  const isWorkerd = globals.navigator?.userAgent === 'Cloudflare-Workers'
  if (isWorkerd || (port === null && MessageChannel === undefined)) {
    setTimeout(callback, 0)
    return
  }
  port ??= openPort(MessageChannel!)
  turns.push(callback)
  port.postMessage(null)
}

function openPort(Channel: NonNullable<Globals['MessageChannel']>): Port {
  const { port1, port2 } = new Channel()
  port1.onmessage = () => turns.shift()?.()
  return port2
}

/** Calls `callback(argument)` after the current code and the promise callbacks that it caused. */
export function soon<T>(callback: (argument: T) => void, argument: T): void {
  inOwnTask(() => callback(argument))
}

/** Calls `callback` after the runtime has polled its sockets and timers once. */
export function later(callback: () => void): void {
  inOwnTask(callback)
}

/**
 * @returns random bytes as hexadecimal digits, two for each byte. They are cryptographically secure
 * where the runtime can do that; client identifiers, for which they are used, are no secrets.
 */
export function randomHex(bytes: number): string {
  const random = new Uint8Array(bytes)
  if (typeof globals.crypto?.getRandomValues === 'function') globals.crypto.getRandomValues(random)
  else for (let i = 0; i < bytes; i++) random[i] = Math.random() * 256
  return Array.from(random, (byte) => byte.toString(16).padStart(2, '0')).join('')
}

/** @returns the SHA-256 of `bytes`. */
export function sha256(bytes: Uint8Array): Uint8Array {
  return digestOf(bytes)
}

/** @returns the SHA-256 of the UTF-8 of `text`, as hexadecimal digits. */
export function sha256Hex(text: string): string {
  return Array.from(digestOf(utf8Bytes(text)), (byte) => byte.toString(16).padStart(2, '0')).join(
    '',
  )
}

/** @returns null: a page does not know the name of its machine. */
export function machineName(): string | null {
  return null
}

/** Reports a warning on the console. */
export function warnOfProcess(message: string, code: string): void {
  globals.console?.warn(`MqttWarning [${code}]: ${message}`)
}

const SILENT: EventChannel = { hasSubscribers: false, publish: () => {} }

export const packetChannel: EventChannel = SILENT
export const transitionChannel: EventChannel = SILENT
export const outcomeChannel: EventChannel = SILENT
export const stallChannel: EventChannel = SILENT

/** The channel `it-mqtt:request`, to which nobody can subscribe here. */
export const requestChannel: EventChannel = SILENT

/** @returns a channel to which nobody can subscribe here, whatever its name. */
export function diagnosticsChannel(_name: string): EventChannel {
  return SILENT
}
