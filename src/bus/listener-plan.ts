/** Can the options of a listener be used, and what becomes of an event that fails? */
import { type Platform, UsageError } from '../index.ts'
import { checkBusName } from './bus-names.ts'
import { checkTimeMs, checkWholeNumber } from './bus-parts.ts'
import { checkFieldNames } from './define-api.ts'
import type {
  BusEvent,
  EventAction,
  EventDedupe,
  ListenerOptions,
  RetryOptions,
} from './listener-types.ts'
import { RecentIds } from './recent-ids.ts'

const LISTENER_FIELDS = [
  ...['onError', 'retry', 'concurrency', 'orderBy', 'dedupe', 'maxRedeliveries', 'share'],
  ...['stream', 'sessionExpiryInterval', 'retainDead'],
]
const ACTIONS: readonly unknown[] = ['stop', 'skip', 'retry', 'deadLetter']
const LAST_ACTIONS: readonly unknown[] = ['stop', 'skip', 'deadLetter']
const HANDLERS_MAX = 65_535
const EVENT_ATTEMPTS_MAX = 1_000_000
const EXPIRY_MAX_S = 4_294_967_295
const EXPIRY_S = 7 * 24 * 3600
const RECENT_IDS = 10_000
const RECENT_IDS_MAX = 10_000_000
/** Beyond this many doublings every delay is the longest. */
const DOUBLINGS_MAX = 40

export interface ListenerPlan {
  readonly name: string
  readonly onError: NonNullable<ListenerOptions['onError']>
  readonly retry: {
    readonly max: number
    readonly minMs: number
    readonly maxMs: number
    readonly last: 'stop' | 'skip' | 'deadLetter'
  }
  readonly concurrency: number
  readonly orderBy: ((event: BusEvent) => string) | undefined
  readonly dedupe: EventDedupe | null
  readonly maxRedeliveries: number | undefined
  readonly isShared: boolean
  readonly isWholeApi: boolean
  readonly expirySeconds: number
  readonly retainDead: boolean
}

/** @throws UsageError for an option that cannot be used. */
export function listenerPlan(name: string, options: ListenerOptions<never> = {}): ListenerPlan {
  checkBusName('listen: the name of the listener', name)
  const what = `listen: ${name}`
  if (typeof options === 'function') {
    throw new UsageError(`${what}: the handler comes after the options; write {} for none`)
  }
  checkFieldNames(`${what}: options`, options, LISTENER_FIELDS)
  const { onError = 'stop', concurrency = 1, orderBy, share = true, stream = 'event' } = options
  const { retainDead = false, sessionExpiryInterval = EXPIRY_S, maxRedeliveries } = options
  if (typeof onError !== 'function' && !ACTIONS.includes(onError)) {
    throw new UsageError(`${what}: onError must be one of ${ACTIONS.join(', ')}, or a function`)
  }
  if (orderBy !== undefined && typeof orderBy !== 'function') {
    throw new UsageError(`${what}: orderBy must be a function of an event`)
  }
  for (const [field, value] of Object.entries({ share, retainDead })) {
    if (typeof value === 'boolean') continue
    throw new UsageError(`${what}: ${field} must be true or false`)
  }
  if (stream !== 'event' && stream !== 'api') {
    throw new UsageError(`${what}: stream must be one of event, api`)
  }
  checkWholeNumber(`${what}: concurrency`, concurrency, 1, HANDLERS_MAX)
  checkWholeNumber(`${what}: sessionExpiryInterval`, sessionExpiryInterval, 1, EXPIRY_MAX_S)
  const dedupe = dedupeOf(what, options.dedupe)
  if (maxRedeliveries !== undefined) {
    checkWholeNumber(`${what}: maxRedeliveries`, maxRedeliveries, 1, EVENT_ATTEMPTS_MAX)
    if (dedupe?.begin === undefined) {
      throw new UsageError(`${what}: maxRedeliveries needs a dedupe store that has \`begin\``)
    }
  }
  return {
    ...{ name, onError: onError as ListenerPlan['onError'], concurrency, dedupe, maxRedeliveries },
    ...{ isShared: share, isWholeApi: stream === 'api', retainDead },
    orderBy: orderBy as ListenerPlan['orderBy'],
    retry: retryPlan(what, options.retry),
    expirySeconds: sessionExpiryInterval,
  }
}

function retryPlan(what: string, given: RetryOptions = {}): ListenerPlan['retry'] {
  checkFieldNames(`${what}: retry`, given, ['max', 'minMs', 'maxMs', 'then'])
  const { max = 5, minMs = 100, maxMs = 30_000 } = given
  const last = given.then ?? 'stop'
  checkWholeNumber(`${what}: retry.max`, max, 1, EVENT_ATTEMPTS_MAX)
  checkTimeMs(`${what}: retry.minMs`, minMs)
  checkTimeMs(`${what}: retry.maxMs`, maxMs)
  if (!LAST_ACTIONS.includes(last)) {
    throw new UsageError(`${what}: retry.then must be one of ${LAST_ACTIONS.join(', ')}`)
  }
  return { max, minMs, maxMs: Math.max(minMs, maxMs), last }
}

function dedupeOf(what: string, given: ListenerOptions['dedupe']): EventDedupe | null {
  if (given === false) return null
  if (given === undefined) return new RecentIds(RECENT_IDS)
  checkFieldNames(`${what}: dedupe`, given, ['memory', 'store'])
  if ('memory' in given) {
    return new RecentIds(
      checkWholeNumber(`${what}: dedupe.memory`, given.memory, 1, RECENT_IDS_MAX),
    )
  }
  const { store } = given
  if (typeof store?.seen === 'function' && typeof store.done === 'function') return store
  throw new UsageError(`${what}: dedupe.store must have the functions seen(id) and done(id)`)
}

/** What becomes of an event now. */
type Decision =
  | { readonly action: 'stop' | 'skip' | 'deadLetter' }
  | { readonly action: 'retry'; readonly delayMs: number }

/**
 * @param attempt which attempt has failed, from 1.
 * @param isFinal whether another attempt cannot help: the payload is not valid.
 * @throws what the user's function throws.
 */
export function decideOnEvent(
  { onError, retry }: ListenerPlan,
  clock: Platform,
  event: BusEvent,
  error: unknown,
  attempt: number,
  isFinal: boolean,
): Decision {
  const action: EventAction =
    typeof onError === 'function' ? onError(event as BusEvent<never>, error, attempt) : onError
  if (action === 'retry') {
    if (isFinal || attempt > retry.max) return { action: retry.last }
    const doubled = retry.minMs * 2 ** Math.min(attempt - 1, DOUBLINGS_MAX)
    return { action, delayMs: Math.min(doubled, retry.maxMs) * (0.5 + clock.random()) }
  }
  // What a function of the user returns by mistake loses no event.
  return { action: ACTIONS.includes(action) ? action : 'stop' }
}
