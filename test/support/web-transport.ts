/**
 * `#transport` for the tests with the web flavours: that of the web, except that it refuses no
 * option. Most tests name `mqtt:` servers that nobody dials. test/platform/web-transport.test.ts
 * tests what the web refuses.
 */
import type { Lack } from '../../src/platform/byte-stream.ts'

export {
  meaningOf,
  memoryPair,
  openEndpoint,
  restsWell,
  tlsProblem,
} from '../../src/platform/web/transport.ts'

/** Refuses nothing. */
export function lackOf(): Lack | null {
  return null
}
