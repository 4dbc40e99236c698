/**
 * What does a spool know of its content as a whole? How many requests are in it, and a number that
 * is another one if other requests are. What is found is compared with it, so that a loss that
 * LevelDB does not report is noticed.
 */
import type { Chunk } from './chunks.ts'
import type { ClockRecord } from './spool-clock.ts'

/** Requests that are not settled. */
export interface Amount {
  readonly size: number
  /** Their bytes. */
  readonly bytes: number
  /** The sum of a hash of their numbers. */
  readonly digest: number
}

export interface Totals extends Amount {
  /** The highest number that was given to a request. */
  readonly last: number
  /** How many commits there were. */
  readonly commits: number
  /** How many requests were lost to damage, since that was last cleared. */
  readonly lost: number
  readonly clock: ClockRecord | null
}

export const EMPTY_AMOUNT: Amount = { size: 0, bytes: 0, digest: 0 }

/** @returns the sum of two amounts; with `sign` -1 their difference. */
export function sum(a: Amount, b: Amount, sign: 1 | -1 = 1): Amount {
  return {
    size: a.size + sign * b.size,
    bytes: a.bytes + sign * b.bytes,
    digest: (a.digest + sign * b.digest) >>> 0,
  }
}

/** @param number The number of a request. @param bytes The size of it. */
export function one(number: number, bytes: number): Amount {
  return { size: 1, bytes, digest: hashOfNumber(number) }
}

/** @returns what is not settled in these chunks. */
export function amountOf(chunks: readonly Chunk[]): Amount {
  let size = 0
  let bytes = 0
  let digest = 0
  for (const chunk of chunks) {
    size += chunk.left
    chunk.requests.forEach((request, i) => {
      if (request === null) return
      bytes += chunk.sizes[i]!
      digest = (digest + hashOfNumber(chunk.first + i)) >>> 0
    })
  }
  return { size, bytes, digest }
}

/** A hash of 32 bits (the finalizer of MurmurHash3). */
function hashOfNumber(number: number): number {
  let hash = (number >>> 0) ^ Math.floor(number / 2 ** 32)
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return (hash ^ (hash >>> 16)) >>> 0
}
