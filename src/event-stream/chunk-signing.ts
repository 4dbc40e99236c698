/**
 * How are messages signed as AWS signs them? The message becomes the payload of another one, whose
 * headers are the date and the signature. Keys and what is signed stay with the user.
 */

import { decodeStreamMessage } from './codec/message-decoder.ts'
import { encodeHeaders, encodeStreamMessage } from './codec/message-encoder.ts'
import type { Signer, Verifier } from './event-stream-types.ts'
import { protocolFault } from './incoming-events.ts'

/** What `chunkSigning()` gives to be signed. */
export interface ChunkToSign {
  /** The signature before this one; the `seed` for the first chunk. */
  readonly prior: Uint8Array
  /** The date of the chunk, as it is in its header `:date`. */
  readonly at: Date
  /** The encoded headers that are signed: `:date` alone. */
  readonly headers: Uint8Array
  /** The payload that is signed: an encoded message, or nothing at the end of the stream. */
  readonly payload: Uint8Array
}

/** The options of `chunkSigning()`. */
export interface ChunkSigningOptions {
  /** Makes the signature of a chunk. A verifier calls it as well, and compares. */
  readonly sign: (chunk: ChunkToSign) => Uint8Array | Promise<Uint8Array>
  /** What the first signature continues, such as that of a request. Default: empty. */
  readonly seed?: Uint8Array | undefined
}

/** Wraps messages with the headers `:date` and `:chunk-signature`, and unwraps them. */
export function chunkSigning({ sign, seed }: ChunkSigningOptions): Signer & Verifier {
  const signatureOf = async (prior: Uint8Array, at: Date, payload: Uint8Array) =>
    sign({ prior, at, headers: encodeHeaders({ ':date': at }), payload })
  return {
    seed,
    async sign({ prior, kind, headers, payload: inner, at }) {
      const isEnd = kind === 'end'
      const payload = isEnd ? inner : encodeStreamMessage({ headers, payload: inner })
      const signature = await signatureOf(prior, at, payload)
      const message = { headers: { ':date': at, ':chunk-signature': signature }, payload }
      return { message, signature }
    },
    async verify({ prior, message: { headers, payload } }) {
      const at = headers.get(':date')?.value
      const signature = headers.get(':chunk-signature')?.value
      if (!(at instanceof Date) || !(signature instanceof Uint8Array)) {
        throw badSignature('has no :date and :chunk-signature')
      }
      const expected = await signatureOf(prior, at, payload)
      if (!isEqual(signature, expected)) throw badSignature('has a wrong signature')
      const message = payload.length === 0 ? null : decodeStreamMessage(payload)
      return { message, signature: expected }
    },
  }
}

const badSignature = (problem: string) => protocolFault('signature', problem, 'BAD_SIGNATURE')

/** Compares without telling, by the time that it takes, how much of a signature is right. */
function isEqual(a: Uint8Array, b: Uint8Array): boolean {
  let difference = a.length ^ b.length
  for (let i = 0; i < a.length; i++) difference |= a[i]! ^ (b[i] ?? 0)
  return difference === 0
}
