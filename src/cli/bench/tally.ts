/**
 * What is counted and measured while a bench runs? One record for all clients. Messages that were
 * due before `measureAt` belong to the warm-up and count only as far as they caused errors.
 */
import { MqttError } from '../../index.ts'
import { oneLine } from '../fail.ts'
import type { Latency } from './latencies.ts'

export interface ErrorCount {
  /** What failed. */
  readonly during: 'connect' | 'connection' | 'subscribe' | 'publish' | 'clean-up'
  readonly code: string
  readonly count: number
  /** The message of the first of them. */
  readonly message: string
}

export class Tally {
  readonly connect: Latency
  readonly acknowledgement: Latency
  readonly acknowledgementFromSend: Latency
  readonly endToEnd: Latency
  readonly endToEndFromSend: Latency
  /** How late messages were sent: in the open model, what the bench itself or the window cost. */
  readonly sendDelay: Latency
  /** From when messages are measured, in ms since 1970. */
  measureAt = Number.POSITIVE_INFINITY
  connected = 0
  failedToConnect = 0
  lostConnections = 0
  sent = 0
  acknowledged = 0
  failed = 0
  received = 0
  duplicates = 0
  outOfOrder = 0
  /** Messages that were not of this run. */
  foreign = 0
  /** When the last publish was settled, and when the last message came. */
  settledAt = 0
  receivedAt = 0
  /** The first error that ended a client, for the exit status. */
  firstError: unknown
  readonly #errors = new Map<string, ErrorCount>()

  constructor(make: () => Latency) {
    this.connect = make()
    this.acknowledgement = make()
    this.acknowledgementFromSend = make()
    this.endToEnd = make()
    this.endToEndFromSend = make()
    this.sendDelay = make()
  }

  get errors(): readonly ErrorCount[] {
    return [...this.#errors.values()].sort((a, b) => b.count - a.count)
  }

  addError(during: ErrorCount['during'], error: unknown): void {
    const message = error instanceof Error ? oneLine(error.message) : String(error)
    this.addErrors(during, codeOf(error), 1, message)
  }

  addErrors(during: ErrorCount['during'], code: string, more: number, message: string): void {
    const key = `${during} ${code}`
    const { count = 0, message: first = message } = this.#errors.get(key) ?? {}
    this.#errors.set(key, { during, code, count: count + more, message: first })
  }
}

function codeOf(error: unknown): string {
  if (error instanceof MqttError) return error.code
  return (error as NodeJS.ErrnoException)?.code ?? 'UNKNOWN'
}
