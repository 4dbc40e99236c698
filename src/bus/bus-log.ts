/**
 * What does a bus write into the log of the user? A line for each call and each event when it has
 * ended, and for each warning, with the names as fields: a report has no payloads in it.
 */
import { MqttError, UsageError, type Warning } from '../index.ts'
import type { ReportListener } from './bus-reports.ts'
import type {
  BusLogger,
  BusLogLevel,
  EventReport,
  RpcReport,
  SchemaReport,
} from './report-types.ts'

const LOG_LEVELS = ['debug', 'info', 'warn', 'error'] as const
/** From the one that writes everything to the one that writes nothing. */
export const LEVELS_OF_LOG: readonly BusLogLevel[] = [...LOG_LEVELS, 'silent']

/** The handler itself is at fault, and not who has called. */
const HANDLER_FAULTS: ReadonlySet<string | null> = new Set(['thrown', 'INVALID_PAYLOAD', 'USAGE'])

export class BusLog implements ReportListener {
  readonly #logger: BusLogger
  readonly #levelOf: (api: string) => BusLogLevel
  /** The API that the warning is about which is being reported. */
  #subject: string | null = null

  /**
   * @param levelOf gives the least level of the lines about an API.
   * @throws UsageError if it has not the four functions.
   */
  constructor(logger: BusLogger, levelOf: (api: string) => BusLogLevel) {
    this.#levelOf = levelOf
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
    if (code === null) return this.#writeOf(api, 'debug', report, what)
    const isFault = kind === 'execute' && HANDLER_FAULTS.has(code)
    this.#writeOf(api, isFault ? 'error' : 'warn', report, `${what} failed: ${code}`)
  }

  event(report: EventReport): void {
    const { kind, api, event, action, code } = report
    const what = `${kind} ${api} ${event}`
    if (code === null) return this.#writeOf(api, 'debug', report, what)
    const outcome = action === null ? '' : `, ${action}`
    const isGivenUp = kind === 'handle' && action !== 'retry'
    this.#writeOf(api, isGivenUp ? 'error' : 'warn', report, `${what} failed: ${code}${outcome}`)
  }

  /** What is not published is told by a warning. */
  schema(report: SchemaReport): void {
    const { kind, api, version, code } = report
    const level = kind === 'publish' ? 'info' : 'debug'
    if (code === null) this.#writeOf(api, level, report, `${kind} schema ${api} ${version}`)
  }

  warning({ code, message, cause }: Warning): void {
    const hasStack = cause instanceof Error && !(cause instanceof MqttError)
    const fields = hasStack ? { code, stack: cause.stack } : { code }
    if (this.#subject === null) this.#write('warn', fields, message)
    else this.#writeOf(this.#subject, 'warn', fields, message)
  }

  /** Warnings that are reported meanwhile are about an API. */
  about(api: string, report: () => void): void {
    this.#subject = api
    try {
      report()
    } finally {
      this.#subject = null
    }
  }

  /** The bus begins to run, or ends. */
  life(fields: { readonly service: string; readonly process: string }, message: string): void {
    this.#write('info', fields, message)
  }

  #writeOf(api: string, level: (typeof LOG_LEVELS)[number], fields: object, message: string): void {
    const least = LEVELS_OF_LOG.indexOf(this.#levelOf(api))
    if (LEVELS_OF_LOG.indexOf(level) >= least) this.#write(level, fields, message)
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
