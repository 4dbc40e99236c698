/**
 * When are the schemas of what is served published? At each connection while `run()` is awaited,
 * and again before a lease ends. (B12, a served API has its schema at the server)
 */
import { hostOf } from '../../client/index.ts'
import type { Api } from '../api-types.ts'
import type { BusParts } from '../bus-parts.ts'
import { PublishedSchema, REFRESH_MS } from './published-schema.ts'
import type { SchemaPlan } from './schema-options.ts'

export class SchemaPublisher {
  readonly #bus: BusParts
  readonly #schemas: PublishedSchema[] = []
  #wake: (() => void) | null = null

  constructor(bus: BusParts) {
    this.#bus = bus
  }

  /**
   * @param plan null: the schema is not published.
   * @returns a promise that resolves when the API may be served; null: now.
   */
  add(api: Api, plan: SchemaPlan | null): Promise<void> | null {
    if (plan === null) return null
    const schema = new PublishedSchema(this.#bus, api, plan)
    this.#schemas.push(schema)
    this.#wake?.()
    return schema.approved
  }

  /**
   * Looks at the schemas that may keep APIs from being served.
   * @throws UsageError `SCHEMA_BREAKING`; what ends the client.
   */
  async approve(signal: AbortSignal): Promise<void> {
    const aborted = whenAborted(signal)
    await Promise.race([this.#approveAll(), aborted])
  }

  async #approveAll(): Promise<void> {
    const open = this.#schemas.filter((schema) => !schema.isApproved)
    const { client } = this.#bus
    while (open.some((schema) => !schema.isApproved)) {
      await client.ready()
      const { attempt } = hostOf(client)
      try {
        await Promise.all(open.map((schema) => schema.approve()))
      } catch (error) {
        // After the loss of a connection it looks again.
        if (this.#isHere(attempt)) throw error
      }
    }
  }

  /** Publishes until the signal is aborted. @throws as `approve` */
  async drive(signal: AbortSignal): Promise<void> {
    const host = hostOf(this.#bus.client)
    let refreshAt = Number.POSITIVE_INFINITY
    const aborted = whenAborted(signal)
    for (const schema of this.#schemas) schema.isDue = true
    const unlisten = host.onConnected(() => {
      for (const schema of this.#schemas) schema.isDue = true
      this.#wake?.()
    })
    try {
      while (!signal.aborted) {
        const due = host.isConnected ? this.#schemas.filter((schema) => schema.isDue) : []
        const now = this.#bus.clock.now()
        if (due.length > 0) {
          await Promise.race([this.#settle(due), aborted])
          if (this.#schemas.some((schema) => schema.isLease)) refreshAt = now + REFRESH_MS
        } else if (now >= refreshAt && host.isConnected) {
          const leases = this.#schemas.filter((schema) => schema.isLease)
          await Promise.race([Promise.all(leases.map((schema) => schema.refresh())), aborted])
          refreshAt = now + REFRESH_MS
        } else await this.#pause(aborted, host.isConnected ? refreshAt - now : null)
      }
    } finally {
      unlisten()
      this.#wake = null
    }
  }

  async #settle(due: readonly PublishedSchema[]): Promise<void> {
    const { attempt } = hostOf(this.#bus.client)
    await Promise.all(
      due.map(async (schema) => {
        schema.isDue = false
        try {
          await schema.settle()
        } catch (error) {
          // The next connection makes it due again.
          if (this.#isHere(attempt)) throw error
        }
      }),
    )
  }

  /** @returns whether the connection is still that of an attempt. */
  #isHere(attempt: number): boolean {
    const host = hostOf(this.#bus.client)
    return host.isOpen && host.isConnected && host.attempt === attempt
  }

  /** Waits until something is due; `ms` at most, if it is a number. */
  async #pause(aborted: Promise<void>, ms: number | null): Promise<void> {
    const { clock } = this.#bus
    const woken = new Promise<void>((resolve) => {
      this.#wake = resolve
    })
    const isTimed = ms !== null && Number.isFinite(ms)
    const timer = isTimed ? clock.setTimer(() => this.#wake?.(), Math.max(1, ms)) : null
    await Promise.race([woken, aborted])
    if (timer !== null) clock.clearTimer(timer)
  }
}

function whenAborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    signal.addEventListener('abort', () => resolve(), { once: true })
    if (signal.aborted) resolve()
  })
}
