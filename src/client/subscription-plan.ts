/**
 * What does a subscription ask for? The options of `subscribe()`, checked and with their defaults.
 */
import { matches, type QoS, UsageError, validateFilter } from '../index.ts'
import { checkChoice, checkCount, checkOptionFields, checkSignal, shown } from './check-options.ts'
import { bytes, type Codec } from './codec.ts'
import type { StandardSchema } from './standard-schema.ts'
import type { ClientSubscribeOptions, Overflow } from './subscription-types.ts'
import { topic } from './topic.ts'
import type { Topic, TopicParams } from './topic-types.ts'

export type AnyTopic = Topic<TopicParams, unknown>

export interface SubscriptionPlan {
  readonly topics: readonly AnyTopic[]
  /**
   * Whether a template may refuse a topic that its filter matches, such as one with empty levels.
   */
  readonly isStrict: boolean
  /** As they are sent, with `$share`; each once. */
  readonly filters: readonly string[]
  /** Whether messages that are left unhandled, and the filters, are kept. */
  keeps: boolean
  readonly rules: SubscriptionRules
}

/** What does not depend on the filters: subscriptions without options share one. */
export interface SubscriptionRules {
  readonly qos: QoS
  readonly acks: 'pull' | 'receipt' | 'manual'
  readonly overflow: { readonly max: number; readonly then: NonNullable<Overflow['then']> }
  readonly own: boolean
  readonly retained: 'all' | 'new' | 'none'
  readonly noLocal: boolean
  /** The codec and the schema of the options, or else those of the topic that a message matches. */
  readonly codec: Codec<unknown> | undefined
  readonly schema: StandardSchema<unknown, unknown> | undefined
  /** Whether payloads are decoded before they are given. */
  readonly decodes: boolean
  readonly onInvalid: NonNullable<ClientSubscribeOptions['onInvalid']>
  readonly signal: AbortSignal | undefined
}

const FIELDS = new Set([
  'qos',
  'acks',
  'overflow',
  'onLeave',
  'connection',
  'share',
  'retained',
  'noLocal',
  'codec',
  'schema',
  'onInvalid',
  'signal',
])
const OVERFLOW_FIELDS = new Set(['max', 'then'])
const SHARE = '$share/'

/**
 * @param defaults what the client says about `qos` and `onLeave`.
 * @throws UsageError for a filter or an option that cannot be used.
 */
export function subscriptionPlan(
  filters: unknown,
  options: ClientSubscribeOptions,
  defaults: { readonly qos: QoS; readonly keeps: boolean },
): SubscriptionPlan {
  checkOptionFields('subscribe: options', options, FIELDS)
  const topics = topicsOf(filters)
  const share = checkedShare(options.share, topics)
  const { onLeave } = options
  const qos = qosOf(topics, defaults.qos)
  const decodes = topics.some((one) => isDecoded(one, options))
  const isPlain = Object.keys(options).length === 0 && !decodes
  return {
    topics,
    isStrict: topics.some(({ template }) => template.includes('{')),
    filters: [...new Set(topics.map(({ filter }) => share + filter))],
    keeps:
      onLeave === undefined
        ? defaults.keeps
        : checkChoice('onLeave', onLeave, ['keep', 'release']) === 'keep',
    rules: isPlain ? plainRules(qos) : rulesOf(options, qos, decodes),
  }
}

/** Whether payloads of a topic are decoded before they are given. */
function isDecoded(one: AnyTopic, { codec, schema }: ClientSubscribeOptions): boolean {
  return (schema ?? one.schema) !== undefined || (codec ?? one.codec) !== (bytes as unknown)
}

/** By QoS. */
const PLAIN_RULES: (SubscriptionRules | undefined)[] = []

/** @returns the rules of subscriptions without options. */
function plainRules(qos: QoS): SubscriptionRules {
  PLAIN_RULES[qos] ??= rulesOf({}, qos, false)
  return PLAIN_RULES[qos]
}

function rulesOf(options: ClientSubscribeOptions, qos: QoS, decodes: boolean): SubscriptionRules {
  const { overflow = {}, schema, codec } = options
  checkOptionFields('subscribe: overflow', overflow, OVERFLOW_FIELDS)
  const { onInvalid = 'throw', connection } = options
  if (typeof onInvalid !== 'function') checkChoice('onInvalid', onInvalid, ['throw', 'skip'])
  return {
    qos: checkChoice('qos', options.qos ?? qos, [0, 1, 2]),
    acks: checkChoice('acks', options.acks ?? 'pull', ['pull', 'receipt', 'manual']),
    overflow: {
      max: checkCount('overflow.max', overflow.max ?? 1000, 1, 1_000_000),
      then: checkChoice('overflow.then', overflow.then ?? 'dropOldest', [
        'dropOldest',
        'dropNewest',
        'wait',
      ]),
    },
    own: checkChoice('connection', connection ?? 'shared', ['shared', 'own']) === 'own',
    retained: checkChoice('retained', options.retained ?? 'all', ['all', 'new', 'none']),
    noLocal: checkChoice('noLocal', options.noLocal ?? false, [true, false]),
    codec: codec as Codec<unknown> | undefined,
    schema,
    decodes,
    onInvalid,
    signal: checkSignal('subscribe: signal', options.signal),
  }
}

function topicsOf(given: unknown): readonly AnyTopic[] {
  const list: readonly unknown[] = Array.isArray(given) ? given : [given]
  if (list.length === 0) {
    throw new UsageError('subscribe: there is no filter; give at least one [MQTT-3.8.3-2]')
  }
  return list.map((one) => {
    if (typeof one === 'string') return topic(one) as unknown as AnyTopic
    const { filter, match } = Object(one) as Partial<AnyTopic>
    if (typeof filter === 'string' && typeof match === 'function') return one as AnyTopic
    throw new UsageError(`subscribe: a filter must be a string or a topic(), not ${shown(one)}`)
  })
}

/** @returns the largest QoS of the topics; one that has none has that of the client. */
function qosOf(topics: readonly AnyTopic[], fallback: QoS): QoS {
  return Math.max(...topics.map(({ qos = fallback }) => qos)) as QoS
}

/** @returns what is put before each filter. */
function checkedShare(share: string | undefined, topics: readonly AnyTopic[]): string {
  if (share === undefined) return ''
  const problem =
    typeof share === 'string' ? validateFilter(`${SHARE}${share}/x`) : `not ${shown(share)}`
  if (problem !== null || /[/+#]/.test(share)) {
    const what = `subscribe: share must be a name without / + and #, not ${shown(share)}`
    throw new UsageError(`${what} [MQTT-4.8.2-2]`)
  }
  const written = topics.find(({ filter }) => filter.startsWith(SHARE))
  if (written === undefined) return `${SHARE}${share}/`
  const message = `subscribe: the filter "${written.filter}" has a share name already`
  throw new UsageError(`${message}; leave out the option share`)
}

/** @returns the filter of a subscription to which a message belongs, or null. */
export function filterMatching({ filters }: SubscriptionPlan, topic: string): string | null {
  return filters.find((filter) => matches(filter, topic)) ?? null
}

/** Whether messages wait to be acknowledged by the subscription. */
export function isAcknowledged({ acks, qos }: SubscriptionRules): boolean {
  return acks !== 'receipt' && qos > 0
}
