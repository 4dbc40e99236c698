/** What must lie at the broker as the schema of the API that is served? (B12) */
import { loadSchema } from '../../../src/bus/index.ts'
import type { TestBroker } from '../../../src/testing/index.ts'
import type { Life } from './bus-process.ts'

type Report = (id: string, what: string) => void

export const SCHEMA_TOPIC = 'bus/shop/v1/schema/shop'
/** A lease ends after this time, unless somebody refreshes it. */
export const LEASE_MS = 60_000

export class SchemaLedger {
  readonly #broker: TestBroker
  readonly #now: () => number
  readonly #isLease: boolean
  readonly #problem: Report
  /** Since when the same document lies there. */
  #since = Number.POSITIVE_INFINITY
  #text = ''

  constructor(broker: TestBroker, now: () => number, isLease: boolean, problem: Report) {
    this.#broker = broker
    this.#now = now
    this.#isLease = isLease
    this.#problem = problem
  }

  /** A process publishes its document. */
  published(life: Life, text: string, isDup: boolean): void {
    const isSame = text === this.#text
    const isNeedless = isSame && this.#since < life.beganAt
    if (isNeedless && !this.#isLease && !isDup) {
      this.#problem('B12', `${life.name} publishes a schema that lay there before it began`)
    }
    if (isSame) return
    this.#since = this.#now()
    this.#text = text
  }

  /** The broker loses it. */
  lost(): void {
    this.#broker.publish(SCHEMA_TOPIC, '', { retain: true })
    this.#since = Number.POSITIVE_INFINITY
    this.#text = ''
  }

  /** @returns what is wrong when a process that serves is there, or null. */
  wrong(version: string): string | null {
    const there = this.#broker.retained.get(SCHEMA_TOPIC)
    if (there === undefined) return 'there is no schema'
    const document = loadSchema(new TextDecoder().decode(there.payload))
    return document.version === version ? null : `the schema is that of ${document.version}`
  }
}
