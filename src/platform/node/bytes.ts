/**
 * How does the engine hold, read and write bytes on this runtime? This is `#bytes` on Node, Bun and
 * Deno; ../web/bytes.ts is its twin.
 *
 * Everything that is made here is a `Bytes`: a Buffer on Node, so that users get the class that
 * they know. The rooms below the transports use only the methods of a `Bytes` that every Uint8Array
 * has. For everything else they call a function of this file, so that another runtime needs another
 * version of this file alone.
 *
 * Each function is one call of a function of Node, and short enough that V8 inlines it, so it costs
 * nothing on the hot paths.
 */
import { isUtf8 as isUtf8Bytes } from 'node:buffer'

/** Bytes as this runtime gives them to the user. */
export type Bytes = Buffer

/** No bytes. All users share this one. */
export const NO_BYTES: Bytes = Buffer.allocUnsafeSlow(0)

type BytesOver = new (memory: ArrayBufferLike, offset: number, length: number) => Bytes

/**
 * `new BytesView(memory, offset, length)` is a view of memory that exists already; nothing is
 * copied.
 *
 * This is the constructor behind Buffer (its species). It costs half of `Buffer.from(memory, …)`
 * and makes the same class.
 */
export const BytesView: BytesOver = (Buffer as unknown as { readonly [Symbol.species]: BytesOver })[
  Symbol.species
]

/**
 * @returns `bytes` as a `Bytes` over the same memory, or `bytes` itself if it is one already;
 *   nothing is copied.
 */
export function asBytes(bytes: Uint8Array): Bytes {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
}

/** Allocates `length` bytes that are all 0. */
export function allocate(length: number): Bytes {
  return Buffer.alloc(length)
}

/**
 * Allocates memory that only the caller uses. Its contents are arbitrary: the caller overwrites all
 * of it.
 */
export function allocateOwn(length: number): Bytes {
  return Buffer.allocUnsafeSlow(length)
}

/**
 * Allocates memory that may be a part of a pool of the runtime. The pool, up to 64 KiB, stays in
 * memory with it. This is the cheapest way to allocate bytes that are soon dropped. The contents
 * are arbitrary: the caller overwrites all of them.
 */
export function allocatePooled(length: number): Bytes {
  return Buffer.allocUnsafe(length)
}

/** Copies `from[start, end)` to `into`, from the offset `at` on. */
export function copyBytes(from: Bytes, start: number, end: number, into: Bytes, at: number): void {
  from.copy(into, at, start, end)
}

/** @returns how many bytes the UTF-8 of `text` has. */
export function byteLength(text: string): number {
  return Buffer.byteLength(text)
}

/** @returns the UTF-8 of `text`, in memory of its own. */
export function utf8Bytes(text: string): Bytes {
  const bytes = Buffer.allocUnsafeSlow(Buffer.byteLength(text))
  bytes.write(text)
  return bytes
}

/** Writes the UTF-8 of `text`, which has `length` bytes, to `into` from the offset `at` on. */
export function writeUtf8(into: Bytes, text: string, at: number, length: number): void {
  into.write(text, at, length)
}

const { latin1Write } = Buffer.prototype as unknown as {
  latin1Write(this: Bytes, text: string, at: number, length: number): number
}

/**
 * Writes `text` to `into` from the offset `at` on, one byte for each character. All characters are
 * below U+0100.
 *
 * `into.write(text, at, length, 'latin1')` ends in the same function, after steps that are not
 * needed here.
 */
export function writeLatin1(into: Bytes, text: string, at: number, length: number): void {
  latin1Write.call(into, text, at, length)
}

/**
 * @returns the text of which `bytes[start, end)` is the UTF-8. Ill-formed sequences become U+FFFD.
 */
export function utf8Text(bytes: Bytes, start: number, end: number): string {
  return bytes.toString('utf8', start, end)
}

/** @returns `bytes[start, end)` as text, each byte one character. */
export function latin1Text(bytes: Bytes, start: number, end: number): string {
  return bytes.toString('latin1', start, end)
}

/** Whether `bytes[start, end)` is well-formed UTF-8. */
export function isUtf8(bytes: Bytes, start: number, end: number): boolean {
  return isUtf8Bytes(bytes.subarray(start, end))
}

/** @returns the Base64 of `bytes`, padded. */
export function base64Text(bytes: Uint8Array): string {
  return asBytes(bytes).toString('base64')
}

/** @returns the bytes of a Base64 text, in memory of their own; other characters are skipped. */
export function base64Bytes(text: string): Bytes {
  const bytes = Buffer.allocUnsafeSlow(Buffer.byteLength(text, 'base64'))
  const written = bytes.write(text, 'base64')
  return written === bytes.length ? bytes : bytes.subarray(0, written)
}
