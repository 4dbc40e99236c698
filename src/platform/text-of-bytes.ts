/** Which text do these bytes hold? The same answer on every runtime. */
import { asBytes, utf8Text } from '#bytes'

/**
 * Reads bytes, the payload of a message for example, as UTF-8. `payload.toString()` does the same
 * on Node alone: elsewhere a payload is a plain Uint8Array, and `toString()` gives its numbers.
 *
 * @returns the text. Ill-formed sequences become U+FFFD.
 */
export function textOfBytes(bytes: Uint8Array): string {
  const all = asBytes(bytes)
  return utf8Text(all, 0, all.length)
}
