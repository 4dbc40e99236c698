/** When did a record come, and how old was it then? Pure. */
import type { IncomingPublish } from '../index.ts'
import type { RecordArrival } from './space-steps.ts'

/**
 * A server that counts says how much of the record's life is left, and so how old it is. With any
 * other a lease ends with the record at the latest.
 * @param ttl the lease of the record in s, 0 for none.
 * @param counts whether the server is known to count.
 */
export function arrivalOf(
  { retain, properties }: IncomingPublish,
  at: number,
  ttl: number,
  counts: boolean,
): RecordArrival {
  const retained = retain === true
  const leftS = properties?.messageExpiryInterval
  if (ttl === 0 || leftS === undefined) return { at, retained, ageMs: 0 }
  const ageS = retained && counts ? 2 * ttl - leftS : ttl - leftS
  return { at, retained, ageMs: Math.max(0, ageS) * 1000 }
}
