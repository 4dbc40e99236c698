/**
 * Runs the same tests with each broker that is installed, in each version that it speaks.
 */
import { afterAll, beforeAll, describe } from 'vitest'
import { type Broker, isInstalled, KINDS, type Kind } from './brokers.ts'
import { Authority } from './certificates.ts'
import { temporaryFolder } from './process.ts'

const REQUIRED = process.env['IT_MQTT_REQUIRE_BROKERS'] === '1'
/** NATS sends a message again after this time only, also to a client that has reconnected. */
const ACK_WAIT_MS = 2000

/** One broker, spoken to in one version. */
export interface Spoken {
  readonly kind: Kind
  readonly version: 4 | 5
  /** Only tests may ask for it: it runs then. */
  readonly broker: Broker
}

/** Calls `tests` for each broker and version. Titles begin with both. */
export function withEachBroker(timeout: number, tests: (spoken: Spoken) => void): void {
  for (const kind of KINDS) {
    const isAbsent = !REQUIRED && !isInstalled(kind)
    if (isAbsent) console.log(`not run: ${kind.name} is not installed`)
    describe.skipIf(isAbsent)(kind.name, { timeout }, () => {
      const folder = temporaryFolder()
      let broker: Broker | undefined
      beforeAll(async () => {
        const authority = await Authority.create(folder.path, 'authority')
        const certificate = await authority.issue({ names: 'DNS:localhost,IP:127.0.0.1' })
        broker = await kind.start(folder.path, certificate, { ackWaitMs: ACK_WAIT_MS })
      }, 200_000)
      afterAll(async () => {
        await broker?.stop()
        folder.remove()
      }, 100_000)
      for (const version of kind.versions) {
        const spoken = {
          kind,
          version,
          get broker() {
            if (broker === undefined) throw new Error(`${kind.name} did not start`)
            return broker
          },
        }
        describe(`MQTT ${version === 5 ? '5' : '3.1.1'}`, () => tests(spoken))
      }
    })
  }
}
