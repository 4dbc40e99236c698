/**
 * What is the SHA-256 of a text? The runtime computes it asynchronously, and a session is decoded
 * synchronously. (FIPS 180-4, 6.2)
 */
import { utf8Bytes } from './bytes.ts'

/** The first 32 bits behind the point of a root of each of the first primes. */
function rootsOfPrimes(count: number, exponent: number): Uint32Array {
  const roots = new Uint32Array(count)
  for (let candidate = 2, found = 0; found < count; candidate++) {
    let divisor = 2
    while (divisor * divisor <= candidate && candidate % divisor !== 0) divisor++
    if (divisor * divisor <= candidate) continue
    const root = candidate ** exponent
    roots[found++] = (root - Math.floor(root)) * 2 ** 32
  }
  return roots
}

function rotated(word: number, by: number): number {
  return (word >>> by) | (word << (32 - by))
}

/** Bytes of a block. */
const BLOCK_BYTES = 64

/** @returns the SHA-256 of the UTF-8 of `text`, as hexadecimal digits. */
export function sha256Digits(text: string): string {
  const bytes = utf8Bytes(text)
  const hash = rootsOfPrimes(8, 1 / 2)
  const constants = rootsOfPrimes(64, 1 / 3)
  const schedule = new Uint32Array(64)
  const whole = bytes.length - (bytes.length % BLOCK_BYTES)
  for (let at = 0; at < whole; at += BLOCK_BYTES) {
    mixBlock(hash, constants, schedule, bytes, at)
  }
  // The end: what is left, one bit, zeros, and the length in bits in 8 bytes.
  const rest = bytes.length - whole
  const tail = new Uint8Array(rest + 9 > BLOCK_BYTES ? 2 * BLOCK_BYTES : BLOCK_BYTES)
  tail.set(bytes.subarray(whole))
  tail[rest] = 0x80
  let bits = bytes.length * 8
  for (let i = 1; i <= 8; i++) {
    tail[tail.length - i] = bits % 256
    bits = Math.floor(bits / 256)
  }
  for (let at = 0; at < tail.length; at += BLOCK_BYTES) {
    mixBlock(hash, constants, schedule, tail, at)
  }
  return Array.from(hash, (word) => word.toString(16).padStart(8, '0')).join('')
}

function mixBlock(
  hash: Uint32Array,
  constants: Uint32Array,
  schedule: Uint32Array,
  bytes: Uint8Array,
  at: number,
): void {
  for (let i = 0; i < 16; i++) {
    const from = at + i * 4
    schedule[i] =
      (bytes[from]! << 24) | (bytes[from + 1]! << 16) | (bytes[from + 2]! << 8) | bytes[from + 3]!
  }
  for (let i = 16; i < 64; i++) {
    const x = schedule[i - 15]!
    const y = schedule[i - 2]!
    const low = rotated(x, 7) ^ rotated(x, 18) ^ (x >>> 3)
    const high = rotated(y, 17) ^ rotated(y, 19) ^ (y >>> 10)
    schedule[i] = schedule[i - 16]! + low + schedule[i - 7]! + high
  }
  let [a, b, c, d, e, f, g, h] = hash as unknown as readonly [
    ...[number, number, number, number],
    ...[number, number, number, number],
  ]
  for (let i = 0; i < 64; i++) {
    const sumE = rotated(e, 6) ^ rotated(e, 11) ^ rotated(e, 25)
    const choice = (e & f) ^ (~e & g)
    const first = (h + sumE + choice + constants[i]! + schedule[i]!) | 0
    const sumA = rotated(a, 2) ^ rotated(a, 13) ^ rotated(a, 22)
    const majority = (a & b) ^ (a & c) ^ (b & c)
    h = g
    g = f
    f = e
    e = (d + first) | 0
    d = c
    c = b
    b = a
    a = (first + sumA + majority) | 0
  }
  const mixed = [a, b, c, d, e, f, g, h]
  for (let i = 0; i < 8; i++) hash[i] = hash[i]! + mixed[i]!
}
