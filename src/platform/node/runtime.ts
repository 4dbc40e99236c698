/**
 * What does Node give that other runtimes have under other names: turns of its event loop, random
 * bytes, hashes, diagnostics channels, warnings of the process? This is `#runtime` on Node, Bun and
 * Deno; ../web/runtime.ts is its twin.
 *
 * Each function reads Node's globals when it is called, so that it uses the fake timers of a test.
 */
import { createHash, randomBytes } from 'node:crypto'
import { channel } from 'node:diagnostics_channel'
import type { LookupFunction } from 'node:net'
import { hostname } from 'node:os'
import type { ConnectionOptions } from 'node:tls'
import type { EventChannel } from '../event-channel.ts'

/** The options for TLS of this runtime. */
export type TlsOptions = ConnectionOptions

/** A function that finds the addresses of a name, as Node's `dns.lookup` does. */
export type Lookup = LookupFunction

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

/** @returns the SHA-256 of `bytes`. */
export function sha256(bytes: Uint8Array): Uint8Array {
  return createHash('sha256').update(bytes).digest()
}

/** @returns the SHA-256 of the UTF-8 of `text`, as hexadecimal digits. */
export function sha256Hex(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}

/**
 * Names the machine on which the program runs, for programs that need a name that stays the same.
 * @returns the host name; null if the runtime does not give it, as in a page.
 */
export function machineName(): string | null {
  try {
    return hostname() || null
  } catch {
    // Deno asks for a permission.
    return null
  }
}

/**
 * Reports a warning to the process, which writes it to standard error: `process.on('warning')`
 * hears it, `--no-warnings` silences it.
 */
export function warnOfProcess(message: string, code: string): void {
  process.emitWarning(message, { type: 'MqttWarning', code })
}

export const packetChannel: EventChannel = channel('it-mqtt:packet')
export const transitionChannel: EventChannel = channel('it-mqtt:transition')
export const outcomeChannel: EventChannel = channel('it-mqtt:outcome')
export const stallChannel: EventChannel = channel('it-mqtt:stall')

/** The channel `it-mqtt:request`, on which a client reports how each request ended. */
export const requestChannel: EventChannel = channel('it-mqtt:request')

/** @returns the diagnostics channel of a name, for code above a loop that reports what it does. */
export function diagnosticsChannel(name: string): EventChannel {
  return channel(name)
}
