/**
 * What the runtime gives: clock, timers, chance, turns of its event loop, hashes, diagnostics channels.
 *
 * This room is the only one below the transports that may name Node's modules and globals. Each function looks up what it
 * needs at the call, so that the fake timers of a test are seen.
 *
 * The channels say what a loop does to whoever listens on Node's `diagnostics_channel`; they cost nothing while nobody does.
 *
 * | channel | message |
 * | --- | --- |
 * | `it-mqtt:packet` | `{ clientId, direction: 'sent' or 'received', packet }`, without passwords and authentication data |
 * | `it-mqtt:transition` | `{ clientId, from, to, reason, at, retryAt }` |
 * | `it-mqtt:outcome` | `{ clientId, request, outcome }` |
 * | `it-mqtt:stall` | `{ clientId, kind: 'consumer' or 'acknowledgement' or 'transport', message }` |
 */
import { createHash, randomBytes } from 'node:crypto'
import { channel } from 'node:diagnostics_channel'
import { isDeepStrictEqual } from 'node:util'

/** The clock, the timers and the random numbers of a loop. Tests and simulations replace them. */
export interface Platform {
  /** Milliseconds on a clock that never goes back. */
  now(): number
  setTimer(callback: () => void, ms: number): unknown
  clearTimer(timer: unknown): void
  /** 0 ≤ r < 1. */
  random(): number
  /** Milliseconds since 1970 on the wall clock, which may be set. Default: the machine's. */
  wallNow?(): number
}

/** The longest that a Node timer can wait, in ms. */
const TIMER_MS_MAX = 2 ** 31 - 1

/** The clock, the timers and the random numbers of the machine. */
export const machine: Platform = {
  now: () => performance.now(),
  setTimer: (callback, ms) => setTimeout(callback, Math.min(Math.max(0, ms), TIMER_MS_MAX)),
  clearTimer: (timer) => clearTimeout(timer as NodeJS.Timeout),
  random: () => Math.random(),
}

/** Milliseconds since 1970 on the wall clock of the machine. */
export function wallNow(): number {
  return Date.now()
}

/** Calls `callback(argument)` once the current code and the promise callbacks that it caused have run. */
export function soon<T>(callback: (argument: T) => void, argument: T): void {
  process.nextTick(callback, argument)
}

/** Calls `callback` after the runtime has looked at its sockets and timers once. */
export function later(callback: () => void): void {
  setImmediate(callback)
}

/** Random bytes that nobody can guess, as hexadecimal digits: twice as many digits as `bytes`. */
export function randomHex(bytes: number): string {
  return randomBytes(bytes).toString('hex')
}

/** The SHA-256 of the UTF-8 of `text`, as hexadecimal digits. */
export function sha256Hex(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}

/** Whether two values hold the same data. */
export function equal(a: unknown, b: unknown): boolean {
  return isDeepStrictEqual(a, b)
}

export const packetChannel = channel('it-mqtt:packet')
export const transitionChannel = channel('it-mqtt:transition')
export const outcomeChannel = channel('it-mqtt:outcome')
export const stallChannel = channel('it-mqtt:stall')
