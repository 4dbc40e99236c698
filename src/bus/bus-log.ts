/**
 * What does a bus write into the log of the user? A line for each call and each event when it has
 * ended, and for each warning, with the names as fields: a report has no payloads in it.
 */
import { UsageError, type Warning } from '../index.ts'
import type { ReportListener } from './bus-reports.ts'
import type { BusLogger, EventReport, RpcReport } from './report-types.ts'

const LOG_LEVELS = ['debug', 'info', 'warn', 'error'] as const

/** The handler itself is at fault, and not who has called. */
const HANDLER_FAULTS: ReadonlySet<string | null> = new Set(['thrown', 'INVALID_PAYLOAD', 'USAGE'])

export class BusLog implements ReportListener {
  readonly #logger: BusLogger

  /** @throws UsageError if it has not the four functions. */
  constructor(logger: BusLogger) {
    const missing = LOG_LEVELS.find((level) => typeof Object(logger)[level] !== 'function')
    if (missing !== undefined) {
      const what = 'createBus: logger must have the functions debug, info, warn and error'
      throw new UsageError(`${what}, each called with (fields, message); ${missing} is missing`)
    }
    this.#logger = logger
  }

  rpc(report: RpcReport): void {
    const { kind, api, rpc, code } = report
    const what = `${kind} ${api} ${rpc ?? '(an unknown rpc)'}`
    if (code === null) return this.#write('debug', report, what)
    const isFault = kind === 'execute' && HANDLER_FAULTS.has(code)
    this.#write(isFault ? 'error' : 'warn', report, `${what} failed: ${code}`)
  }

  event(report: EventReport): void {
    const { kind, api, event, action, code } = report
    const what = `${kind} ${api} ${event}`
    if (code === null) return this.#write('debug', report, what)
    const outcome = action === null ? '' : `, ${action}`
    const isGivenUp = kind === 'handle' && action !== 'retry'
    this.#write(isGivenUp ? 'error' : 'warn', report, `${what} failed: ${code}${outcome}`)
  }

  warning({ code, message }: Warning): void {
    this.#write('warn', { code }, message)
  }

  /** The bus begins to run, or ends. */
  life(fields: { readonly service: string; readonly process: string }, message: string): void {
    this.#write('info', fields, message)
  }

  /** A logger that throws does no harm to the bus: its error is an unhandled rejection. */
  #write(level: (typeof LOG_LEVELS)[number], fields: object, message: string): void {
    try {
      this.#logger[level](fields, message)
    } catch (error) {
      void Promise.reject(error)
    }
  }
}
