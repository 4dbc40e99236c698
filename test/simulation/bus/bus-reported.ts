/**
 * Is everything that ends reported, once? Calls and events are counted where a program sees their
 * end, and where the diagnostics channels report it. The files of browsers have no such channels, so
 * that with them nothing may be reported. (B19)
 */
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { EventReport, RpcReport } from '../../../src/bus/index.ts'
import { hasNodeFlavour } from '../../support/flavour.ts'

const KINDS = ['call', 'fire', 'handle'] as const
type Kind = (typeof KINDS)[number]

export class ReportLedger {
  readonly #seen = { call: 0, fire: 0, handle: 0 }
  readonly #reported = { call: 0, fire: 0, handle: 0 }
  readonly #isCounted: (listener: string) => boolean
  readonly #listen = (report: unknown) => this.#report(report as RpcReport | EventReport)

  /** @param isCounted of which listeners a program sees the end of each attempt. */
  constructor(isCounted: (listener: string) => boolean) {
    this.#isCounted = isCounted
  }

  begin(): void {
    subscribe('it-mqtt:rpc', this.#listen)
    subscribe('it-mqtt:event', this.#listen)
  }

  end(): void {
    unsubscribe('it-mqtt:rpc', this.#listen)
    unsubscribe('it-mqtt:event', this.#listen)
  }

  ended(kind: Kind): void {
    this.#seen[kind]++
  }

  /** @returns what is wrong while nothing is under way, or null. */
  get wrong(): string | null {
    const wrong = KINDS.find((kind) => this.#reported[kind] !== this.#reportable(kind))
    if (wrong === undefined) return null
    return `${this.#seen[wrong]} have ended (${wrong}), and ${this.#reported[wrong]} are reported`
  }

  #reportable(kind: Kind): number {
    return hasNodeFlavour ? this.#seen[kind] : 0
  }

  #report(report: RpcReport | EventReport): void {
    if (report.kind === 'execute') return
    if (report.kind === 'handle') {
      if (!this.#isCounted(`${report.service}.${report.listener}`)) return
    }
    this.#reported[report.kind]++
  }
}
