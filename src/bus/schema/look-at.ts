/** Which schema documents lie at some topics now? */
import type { ClientHost } from '../../client/index.ts'

/** Filters for several APIs match other topics of a bus too. */
const SCHEMA_TOPIC = /\/v\d+\/schema\/[^/]+$/

/** More bytes than this are not kept of what strangers have retained. */
const LOOKED_AT_BYTES_MAX = 33_554_432

/**
 * @param filters Topic Filters.
 * @param max how many messages are kept at most.
 * @returns the payloads by topic. It keeps the client reading until all have come.
 * @throws RefusedError if the server refuses the filter; `TIMEOUT`; what ends the client.
 */
export async function lookAt(
  host: ClientHost,
  filters: readonly string[],
  max: number,
): Promise<ReadonlyMap<string, Uint8Array>> {
  const found = new Map<string, Uint8Array>()
  let bytes = 0
  const listener = host.listen(filters, { qos: 1, retained: true }, ({ topic, payload }) => {
    if (!SCHEMA_TOPIC.test(topic)) return
    const old = found.get(topic)
    const length = payload.length - (old?.length ?? 0)
    if ((old === undefined && found.size >= max) || bytes + length > LOOKED_AT_BYTES_MAX) return
    bytes += length
    found.set(topic, payload)
  })
  try {
    await host.synced([listener])
    return found
  } finally {
    listener.close()
  }
}
