/** What must lie at the broker as the schema of the API that is served? (B12, B13, B14, B15) */
import { defineApi, dumpSchema, loadSchema, schemaText } from '../../../src/bus/index.ts'
import type { TestBroker } from '../../../src/testing/index.ts'
import type { Life } from './bus-process.ts'
import { SHOPS } from './bus-program.ts'
import { type ForgeryName, RELEASES, type ReleaseName } from './bus-scenario.ts'

type Report = (id: string, what: string) => void

export const SCHEMA_TOPIC = 'bus/shop/v1/schema/shop'
/** A lease ends after this time, unless somebody refreshes it. */
export const LEASE_MS = 60_000

/** What each release breaks. */
const BROKEN: Readonly<Record<ReleaseName, readonly ReleaseName[]>> = {
  first: ['wider'],
  wider: [],
  narrower: ['first', 'wider'],
}

/** A document that lies there, or has lain there. */
interface Lying {
  readonly text: string
  readonly release: ReleaseName
  /** Since when it lies there without a pause. */
  since: number
  /** When it is gone. */
  until: number
}

export class SchemaLedger {
  readonly #broker: TestBroker
  readonly #now: () => number
  readonly #isLease: boolean
  readonly #problem: Report
  readonly #seen: Lying[] = []
  /** Who has said that it replaces what it breaks. */
  readonly #warned = new Set<Life>()
  /** How often each process has said that a schema has no JSON form. */
  readonly #incomplete = new Map<Life, number>()

  constructor(broker: TestBroker, now: () => number, isLease: boolean, problem: Report) {
    this.#broker = broker
    this.#now = now
    this.#isLease = isLease
    this.#problem = problem
  }

  /** A process publishes its document. */
  published(life: Life, text: string, isDup: boolean): void {
    const now = this.#now()
    const there = this.#lying()
    if (there !== null) this.#checkBroken(life, there)
    const isNeedless = text === there?.text && there.since < life.beganAt
    if (isNeedless && !this.#isLease && !isDup) {
      this.#problem('B12', `${life.name} publishes a schema that lay there before it began`)
    }
    const until = this.#isLease ? now + LEASE_MS : Number.POSITIVE_INFINITY
    if (text === there?.text) {
      there.until = until
      return
    }
    if (there !== null) there.until = now
    this.#seen.push({ text, release: releaseOf(text), since: now, until })
  }

  /** A process has said that it replaces a document that it breaks. */
  warned(life: Life): void {
    this.#warned.add(life)
    this.#checkReason(life, 'says that it breaks what lies there')
  }

  /** `run()` of a process has rejected, since it breaks what lies there. */
  refused(life: Life): void {
    this.#checkReason(life, 'is refused')
  }

  /** A process begins to take calls. */
  serves(life: Life, onBreaking: 'warn' | 'refuse'): void {
    const there = this.#lying()
    if (there === null || onBreaking === 'warn' || !this.#isBroken(life, there)) return
    this.#problem('B13', `${life.name} is served, and breaks what lies there`)
  }

  /** The broker loses it. */
  lost(): void {
    this.#replaced('')
  }

  /** Somebody leaves something else there. (B14) */
  forged(name: ForgeryName): void {
    this.#replaced(forgeryOf(name))
  }

  /** A process says that its document is not complete. (B15) */
  incomplete(life: Life): void {
    const count = (this.#incomplete.get(life) ?? 0) + 1
    this.#incomplete.set(life, count)
    const isRight = count === 1 && life.release === 'wider'
    if (!isRight) this.#problem('B15', `${life.name} says ${count} times that a schema is missing`)
  }

  /** @returns whether a process has told that a schema is missing, if one is. (B15) */
  isTold(life: Life): boolean {
    return life.release !== 'wider' || this.#incomplete.has(life)
  }

  #replaced(text: string): void {
    this.#broker.publish(SCHEMA_TOPIC, text, { retain: true })
    const there = this.#lying()
    if (there !== null) there.until = this.#now()
  }

  /** @returns the release whose schema lies there, or null. */
  get release(): ReleaseName | null {
    return this.#lying()?.release ?? null
  }

  /** @returns what is wrong when a process that serves is there, or null. */
  wrong(release: ReleaseName): string | null {
    const there = this.#broker.retained.get(SCHEMA_TOPIC)
    if (there === undefined) return 'there is no schema'
    const text = new TextDecoder().decode(there.payload)
    if (this.#lying()?.text !== text) return 'what lies there is not what was published last'
    const is = releaseOf(text)
    return is === release ? null : `the schema is that of release ${is}, not of ${release}`
  }

  #lying(): Lying | null {
    const last = this.#seen.at(-1)
    return last !== undefined && last.until > this.#now() ? last : null
  }

  /** @returns whether a process must have seen a document, and breaks it. */
  #isBroken(life: Life, there: Lying): boolean {
    return there.since < life.beganAt && BROKEN[life.release].includes(there.release)
  }

  #checkBroken(life: Life, there: Lying): void {
    if (!this.#isBroken(life, there) || this.#warned.has(life)) return
    this.#problem('B13', `${life.name} replaces a schema that it breaks, and says nothing of it`)
  }

  #checkReason(life: Life, what: string): void {
    const isRight = this.#seen.some(
      ({ release, until }) => until >= life.beganAt && BROKEN[life.release].includes(release),
    )
    if (!isRight) this.#problem('B13', `${life.name} ${what}, and it breaks nothing`)
  }
}

/** @returns the release whose document a text is. */
function releaseOf(text: string): ReleaseName {
  const { version } = loadSchema(text)
  return RELEASES.find((name) => SHOPS[name].version === version)!
}

function forgeryOf(name: ForgeryName): string {
  const text = schemaText(dumpSchema(SHOPS.first, { service: 'shop' }))
  switch (name) {
    case 'no JSON':
      return text.slice(0, -1)
    case 'another API':
      return schemaText(dumpSchema(defineApi({ name: 'x', version: '1.0.0' }), { service: 'shop' }))
    case 'another hash':
      return text.replace('"1.1.0"', '"1.1.9"')
    case 'a cycle':
      return text.replace('"payload":{}', '"payload":{"$ref":"#"}')
    case '1 MB':
      return text + ' '.repeat(1_000_000)
  }
}
