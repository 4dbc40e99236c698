/**
 * How does a responder treat its requests? Its options, checked and with their defaults.
 */
import { type QoS, UsageError, validateFilter } from '../../index.ts'
import { checkChoice, checkCount, checkOptionFields, shown, TIME_MS_MAX } from '../check-options.ts'
import type {
  DedupeOptions,
  DedupeStore,
  RequestsOptions,
  RespondOptions,
} from '../respond-types.ts'
import { type Reading, readingOf } from './response.ts'

export interface CallPlan {
  readonly reading: Reading
  readonly qos: QoS | undefined
  readonly share: string | undefined
  readonly responseQos: QoS
  readonly timeout: number | undefined
  readonly dedupe: DedupePlan | null
  readonly allowed: readonly string[] | undefined
}

interface DedupePlan {
  readonly maxBytes: number
  readonly maxEntries: number
  readonly store: DedupeStore | undefined
}

/** What a handler's responder adds. */
export interface PoolPlan {
  readonly concurrency: number
  readonly maxPending: number
  readonly onError: RespondOptions<never, never>['onError']
}

const SHARED_NAMES = [
  'qos',
  'share',
  'responseQos',
  'timeout',
  'dedupe',
  'allowResponseTopics',
  'codec',
  'schema',
]
const REQUESTS_FIELDS: ReadonlySet<string> = new Set([...SHARED_NAMES, 'signal'])
const RESPOND_FIELDS: ReadonlySet<string> = new Set([
  ...SHARED_NAMES,
  'concurrency',
  'maxPending',
  'onError',
])
const DEDUPE_FIELDS: ReadonlySet<string> = new Set(['maxBytes', 'maxEntries', 'store'])
const DEDUPE_BYTES = 16_777_216
const DEDUPE_ENTRIES = 65_536

/** A `Topic`, as far as a responder needs it. */
interface TypedTopic {
  readonly codec?: Reading['codec']
  readonly schema?: Reading['schema']
}

/** @throws UsageError for an option that cannot be used. */
export function callPlanOf(
  what: 'respond' | 'requests',
  given: unknown,
  options: RequestsOptions<never>,
): CallPlan {
  checkOptionFields(
    `${what}: options`,
    options,
    what === 'respond' ? RESPOND_FIELDS : REQUESTS_FIELDS,
  )
  const { qos, share, responseQos = 0, timeout, allowResponseTopics: allowed } = options
  checkChoice(`${what}: qos`, qos, [undefined, 0, 1, 2])
  checkChoice(`${what}: responseQos`, responseQos, [0, 1, 2])
  if (allowed !== undefined) checkFilters(what, allowed)
  const topic: TypedTopic = typeof given === 'object' && given !== null ? given : {}
  const own = readingOf(options)
  return {
    reading: { codec: own.codec ?? topic.codec, schema: own.schema ?? topic.schema },
    qos,
    share,
    responseQos,
    timeout:
      timeout === undefined ? undefined : checkCount(`${what}: timeout`, timeout, 1, TIME_MS_MAX),
    dedupe: dedupeOf(what, options.dedupe ?? true),
    allowed,
  }
}

function dedupeOf(what: string, given: boolean | DedupeOptions): DedupePlan | null {
  if (given === false) return null
  const options: DedupeOptions = given === true ? {} : given
  checkOptionFields(`${what}: dedupe`, options, DEDUPE_FIELDS)
  const { maxBytes = DEDUPE_BYTES, maxEntries = DEDUPE_ENTRIES, store } = options
  return {
    maxBytes: checkCount(`${what}: dedupe.maxBytes`, maxBytes, 1024, Number.MAX_SAFE_INTEGER),
    maxEntries: checkCount(`${what}: dedupe.maxEntries`, maxEntries, 1, 10_000_000),
    store,
  }
}

/** @throws UsageError for an option that cannot be used. */
export function poolPlanOf(options: RespondOptions<never, never>): PoolPlan {
  const { concurrency = 16, maxPending = 1024, onError } = options
  if (onError !== undefined && typeof onError !== 'function') {
    throw new UsageError(`respond: onError must be a function, not ${shown(onError)}`)
  }
  return {
    concurrency: checkCount('respond: concurrency', concurrency, 1, 65_535),
    maxPending: checkCount('respond: maxPending', maxPending, 0, 65_535),
    onError,
  }
}

function checkFilters(what: string, filters: readonly string[]): void {
  const name = `${what}: allowResponseTopics`
  if (!Array.isArray(filters)) {
    throw new UsageError(`${name} must be a list of filters, not ${shown(filters)}`)
  }
  for (const filter of filters) {
    const problem = validateFilter(filter)
    if (problem !== null) throw new UsageError(`${name}: ${problem}`)
  }
}
