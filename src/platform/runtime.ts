/**
 * What does the runtime give: clock, timers, random numbers, turns of its event loop, hashes,
 * diagnostics channels, printing?
 *
 * Below the transports only this folder may use Node's modules and globals. Each function reads
 * Node's globals when it is called, so that it uses the fake timers of a test.
 *
 * The channels report what a loop does on Node's `diagnostics_channel`. They cost nothing as long
 * as nobody subscribes.
 *
 * | channel | message |
 * | --- | --- |
 * | `it-mqtt:packet` | `{ clientId, direction, packet }` |
 * | `it-mqtt:transition` | `{ clientId, from, to, reason, at, retryAt, sessionPresent }` |
 * | `it-mqtt:outcome` | `{ clientId, request, outcome }` |
 * | `it-mqtt:stall` | `{ clientId, kind, message }` |
 * | `it-mqtt:request` | `{ clientId, topic, key, attempt, code, ms, via }` |
 *
 * `direction` is `'sent'` or `'received'`, and `packet` comes without passwords and authentication
 * data. `kind` is `'consumer'`, `'acknowledgement'` or `'transport'`.
 */
import { createHash, randomBytes } from 'node:crypto'
import { channel } from 'node:diagnostics_channel'
import type { LookupFunction } from 'node:net'
import type { ConnectionOptions } from 'node:tls'
import { isDeepStrictEqual } from 'node:util'

/** The options for TLS of this runtime. */
export type TlsOptions = ConnectionOptions

/** A function that finds the addresses of a name, as Node's `dns.lookup` does. */
export type Lookup = LookupFunction

/** The clock, the timers and the random numbers of a loop. Tests and simulations replace them. */
export interface Platform {
  /** @returns milliseconds on a clock that never goes back. */
  now(): number
  /**
   * Calls `callback` after `ms` milliseconds.
   * @returns what `clearTimer` takes.
   */
  setTimer(callback: () => void, ms: number): unknown
  /** Prevents the call of a timer that has not fired. */
  clearTimer(timer: unknown): void
  /** @returns a number r with 0 ≤ r < 1. */
  random(): number
  /**
   * @returns milliseconds since 1970 on the wall clock, which may be set. Default: the machine's.
   */
  wallNow?(): number
}

/** The longest that a Node timer can wait, in ms. */
const TIMER_MS_MAX = 2 ** 31 - 1

/**
 * The clock, the timers and the random numbers of the machine: the default of the option
 * `platform`. It is public as `systemPlatform`, so that a program can replace only a part of it,
 * and code above a loop can use the same clock.
 */
export const machine: Platform = {
  now: () => performance.now(),
  setTimer: (callback, ms) => setTimeout(callback, Math.min(Math.max(0, ms), TIMER_MS_MAX)),
  clearTimer: (timer) => clearTimeout(timer as NodeJS.Timeout),
  random: () => Math.random(),
}

/** @returns milliseconds since 1970 on the wall clock of the machine. */
export function wallNow(): number {
  return Date.now()
}

/** Calls `callback(argument)` after the current code and the promise callbacks that it caused. */
export function soon<T>(callback: (argument: T) => void, argument: T): void {
  process.nextTick(callback, argument)
}

/** Calls `callback` after the runtime has polled its sockets and timers once. */
export function later(callback: () => void): void {
  setImmediate(callback)
}

/** @returns cryptographically secure random bytes as hexadecimal digits, two for each byte. */
export function randomHex(bytes: number): string {
  return randomBytes(bytes).toString('hex')
}

/** @returns the SHA-256 of the UTF-8 of `text`, as hexadecimal digits. */
export function sha256Hex(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}

/** Whether two values hold the same data, to any depth. */
export function equal(a: unknown, b: unknown): boolean {
  return isDeepStrictEqual(a, b)
}

/** The name of the method that tells `console.log` and `util.inspect` how to show an object. */
export const INSPECT: unique symbol = Symbol.for('nodejs.util.inspect.custom')

export const packetChannel = channel('it-mqtt:packet')
export const transitionChannel = channel('it-mqtt:transition')
export const outcomeChannel = channel('it-mqtt:outcome')
export const stallChannel = channel('it-mqtt:stall')

/** A diagnostics channel, as far as code above a loop needs it. */
export interface EventChannel {
  /** Whether anybody listens. */
  readonly hasSubscribers: boolean
  /** Gives a message to those who listen. */
  publish(message: unknown): void
}

/** The channel `it-mqtt:request`, on which a client reports how each request ended. */
export const requestChannel: EventChannel = channel('it-mqtt:request')
