/**
 * Requests in Sentry: each one is a breadcrumb of whatever is captured later, and a failure that
 * somebody has to look at is captured itself. It listens to the diagnostics channel
 * `it-mqtt:request`, so no call of `request()` has to be changed.
 *
 *   import * as Sentry from '@sentry/node'
 *   Sentry.init({ dsn })
 *   using reporting = reportRequests(Sentry, { nameOf: (topic) => topic.split('/')[0] ?? topic })
 *
 * No payload is reported. Topics and keys are: `nameOf` makes of a topic what groups failures.
 */
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { RequestEvent } from 'it-mqtt/client'

/** What is used of the SDK of Sentry. */
export interface SentryLike {
  addBreadcrumb(breadcrumb: {
    readonly category: string
    readonly type: string
    readonly level: 'info' | 'warning'
    readonly message: string
    readonly data: Record<string, unknown>
  }): void
  captureException(
    exception: unknown,
    context: {
      readonly level: 'error'
      readonly fingerprint: string[]
      readonly tags: Record<string, string>
      readonly extra: Record<string, unknown>
    },
  ): unknown
}

export interface ReportingOptions {
  /**
   * The codes of failures that are captured. Others, such as `BUSY`, the codes that a responder
   * declares, and the abort of a signal, are answers that a program expects: breadcrumbs only.
   */
  readonly captured?: readonly string[] | undefined
  /** The name under which failures of a topic are grouped. Default: the topic. */
  readonly nameOf?: ((topic: string) => string) | undefined
  /**
   * For how many ms failures of one code and name are counted and not captured, after one was. An
   * outage makes thousands. Default 60,000.
   */
  readonly quietMs?: number | undefined
  /** A clock in ms. Default: that of the machine. */
  readonly now?: (() => number) | undefined
}

const CAPTURED = [
  'TIMEOUT',
  'NO_RESPONDERS',
  'RESPONDER_FAILED',
  'RESPONDER_TIMEOUT',
  'INVALID_RESPONSE',
  'STREAM_GAP',
]
/** So many pairs of code and name are known; then all are forgotten. */
const KNOWN_MAX = 1000

/** What Sentry groups by: its stack would be that of the channel, and says nothing. */
class RequestFailed extends Error {
  override readonly name = 'RequestFailed'

  constructor(code: string, name: string) {
    super(`the request to ${name} failed: ${code}`)
    this.stack = `${this.name}: ${this.message}`
  }
}

/** Reports requests to Sentry until it is disposed of. */
export function reportRequests(sentry: SentryLike, options: ReportingOptions = {}): Disposable {
  const { nameOf = (topic: string) => topic, quietMs = 60_000, now = () => Date.now() } = options
  const captured = new Set(options.captured ?? CAPTURED)
  /** When the last one was captured, and how many were not since then. */
  const known = new Map<string, { at: number; suppressed: number }>()

  const capture = (code: string, event: RequestEvent): void => {
    const { topic, key, attempt, ms, via, clientId } = event
    const name = nameOf(topic)
    const group = `${code} ${name}`
    const at = now()
    const before = known.get(group)
    if (before !== undefined && at - before.at < quietMs) {
      before.suppressed++
      return
    }
    if (known.size >= KNOWN_MAX) known.clear()
    known.set(group, { at, suppressed: 0 })
    sentry.captureException(new RequestFailed(code, name), {
      level: 'error',
      fingerprint: ['it-mqtt', code, name],
      tags: { 'mqtt.code': code, 'mqtt.client_id': clientId, 'mqtt.via': via },
      extra: { topic, key, attempt, ms, suppressed: before?.suppressed ?? 0 },
    })
  }

  const listener = (message: unknown): void => {
    const event = message as RequestEvent
    const { topic, key, attempt, code, ms, via } = event
    sentry.addBreadcrumb({
      category: 'mqtt.request',
      type: 'default',
      level: code === null ? 'info' : 'warning',
      message: `${topic}: ${code ?? 'answered'} after ${Math.round(ms)} ms`,
      data: { topic, key, attempt, code, ms, via },
    })
    if (code !== null && captured.has(code)) capture(code, event)
  }

  subscribe('it-mqtt:request', listener)
  return {
    [Symbol.dispose]() {
      unsubscribe('it-mqtt:request', listener)
    },
  }
}
