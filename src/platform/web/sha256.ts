/**
 * What is the SHA-256 of some bytes? The runtime computes it asynchronously, and a session is
 * decoded synchronously. (FIPS 180-4, 6.2)
 */

/**
 * @returns the first 32 bits behind the point of a root of each of the first primes. All words of
 *   this file are signed, because unsigned ones above 2^31 would become floating point numbers.
 */
function rootsOfPrimes(count: number, exponent: number): Int32Array {
  const roots = new Int32Array(count)
  for (let candidate = 2, found = 0; found < count; candidate++) {
    let divisor = 2
    while (divisor * divisor <= candidate && candidate % divisor !== 0) divisor++
    if (divisor * divisor <= candidate) continue
    const root = candidate ** exponent
    roots[found++] = (root - Math.floor(root)) * 2 ** 32
  }
  return roots
}

/** Bytes of a block. */
const BLOCK_BYTES = 64
/** Bytes of a hash. */
const HASH_BYTES = 32

interface Tables {
  /** The hash of nothing. */
  readonly begin: Int32Array
  readonly constants: Int32Array
  /** Is written by each block. */
  readonly schedule: Int32Array
}

/** The tables of the algorithm, which are made when they are first used; null before. */
let tables: Tables | null = null

/** @returns the SHA-256 of `bytes`. */
export function digestOf(bytes: Uint8Array): Uint8Array {
  tables ??= {
    begin: rootsOfPrimes(8, 1 / 2),
    constants: rootsOfPrimes(64, 1 / 3),
    schedule: new Int32Array(64),
  }
  const hash = tables.begin.slice()
  const whole = bytes.length - (bytes.length % BLOCK_BYTES)
  for (let at = 0; at < whole; at += BLOCK_BYTES) mixBlock(hash, tables, bytes, at)
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
  for (let at = 0; at < tail.length; at += BLOCK_BYTES) mixBlock(hash, tables, tail, at)
  const digest = new Uint8Array(HASH_BYTES)
  for (let i = 0; i < HASH_BYTES; i++) digest[i] = hash[i >> 2]! >> (24 - 8 * (i & 3))
  return digest
}

function mixBlock(
  hash: Int32Array,
  { constants, schedule }: Tables,
  bytes: Uint8Array,
  at: number,
): void {
  for (let i = 0, from = at; i < 16; i++, from += 4) {
    schedule[i] =
      (bytes[from]! << 24) | (bytes[from + 1]! << 16) | (bytes[from + 2]! << 8) | bytes[from + 3]!
  }
  for (let i = 16; i < 64; i++) {
    const x = schedule[i - 15]!
    const y = schedule[i - 2]!
    const low = ((x >>> 7) | (x << 25)) ^ ((x >>> 18) | (x << 14)) ^ (x >>> 3)
    const high = ((y >>> 17) | (y << 15)) ^ ((y >>> 19) | (y << 13)) ^ (y >>> 10)
    schedule[i] = schedule[i - 16]! + low + schedule[i - 7]! + high
  }
  let a = hash[0]!
  let b = hash[1]!
  let c = hash[2]!
  let d = hash[3]!
  let e = hash[4]!
  let f = hash[5]!
  let g = hash[6]!
  let h = hash[7]!
  for (let i = 0; i < 64; i++) {
    const sumE = ((e >>> 6) | (e << 26)) ^ ((e >>> 11) | (e << 21)) ^ ((e >>> 25) | (e << 7))
    const choice = (e & f) ^ (~e & g)
    const first = (h + sumE + choice + constants[i]! + schedule[i]!) | 0
    const sumA = ((a >>> 2) | (a << 30)) ^ ((a >>> 13) | (a << 19)) ^ ((a >>> 22) | (a << 10))
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
  hash[0] = hash[0]! + a
  hash[1] = hash[1]! + b
  hash[2] = hash[2]! + c
  hash[3] = hash[3]! + d
  hash[4] = hash[4]! + e
  hash[5] = hash[5]! + f
  hash[6] = hash[6]! + g
  hash[7] = hash[7]! + h
}
