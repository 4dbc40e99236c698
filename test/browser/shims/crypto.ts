/**
 * `createHmac` of Node, for a browser, which has digests only as promises. The tests look at chains
 * of signatures and not at their strength: this one has 32 bits, which depend on the key and on all
 * bytes.
 */
import { crc32 } from './zlib.ts'

export function createHmac(algorithm: string, key: string) {
  let state = crc32(new TextEncoder().encode(algorithm + key))
  const hmac = {
    update(bytes: Uint8Array) {
      state = crc32(bytes, state)
      return hmac
    },
    digest: () => Uint8Array.of(state >>> 24, state >>> 16, state >>> 8, state),
  }
  return hmac
}
