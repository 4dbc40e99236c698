/**
 * How is a client prepared to be there? Its server is told with each CONNECT what to say when the
 * connection is lost, and that will has the number of the attempt: so a late one is known for what
 * it is. (H1, the changes of a member come in its order; H4, after a reconnection everybody is
 * entered again)
 */
import type { ClientOptions, ClientTarget } from '../client/index.ts'
import {
  type AttemptOptions,
  Connected,
  type ProtocolVersion,
  systemPlatform,
  UsageError,
  type WillOptions,
} from '../index.ts'
import { OwnPresence } from './own-presence.ts'
import { connectionTerms } from './presence-checks.ts'
import type { ConnectionPresenceOptions } from './presence-types.ts'
import { connectionTopic, newConnection } from './records.ts'

/** Options can be copied, and their functions go with them. */
const prepared = new WeakMap<object, Prepared>()

/** What the options had that are a part of presence. */
interface Prepared {
  readonly own: OwnPresence
  readonly will: ClientOptions['will']
}

/**
 * Prepares the options of a client that is to enter spaces: `createClient(withPresence(options))`.
 * They get a will, renewed for each attempt, and requests that are sent after each CONNACK. What
 * `connectOptions` and `onConnected` of the user do stays. A will of the user's own stays, too;
 * then others see the loss of this client only when its `ttl` has passed, and a warning says so.
 * A new process that resumes the session of another one discards the will of that one: others see
 * the loss of the old process when its `ttl` has passed. Change `will` and `onConnected` before the
 * call, and not in what it returns: `presence()` refuses that.
 * @param options the options of the client, or a URL.
 * @returns options for one client.
 * @throws UsageError for an option that cannot be used.
 */
export function withPresence(
  options: ClientOptions | string | URL,
  presenceOptions: ConnectionPresenceOptions = {},
): ClientOptions {
  if (typeof options === 'string' || options instanceof URL) {
    return withPresence({ url: options }, presenceOptions)
  }
  if (typeof options !== 'object' || options === null || options instanceof Connected) {
    throw new UsageError('withPresence: the options of createClient() or a URL are expected')
  }
  const terms = connectionTerms(presenceOptions)
  const { random } = options.platform ?? systemPlatform
  const own = new OwnPresence(
    newConnection(() => random()),
    terms,
  )
  const connectOptions: NonNullable<ClientOptions['connectOptions']> = async (...context) => {
    const given = await options.connectOptions?.(...context)
    const [, , , attempt, version] = context
    return { ...given, ...willFor(own, options, given, attempt, version) }
  }
  const onConnected: NonNullable<ClientOptions['onConnected']> = (connack, attempt) => [
    ...own.births(connack, attempt),
    ...(options.onConnected?.(connack, attempt) ?? []),
  ]
  for (const one of [connectOptions, onConnected]) prepared.set(one, { own, will: options.will })
  return { ...options, connectOptions, onConnected }
}

/**
 * @returns what `withPresence()` has prepared for a client, or null.
 * @throws UsageError if a part of it was replaced, so that others would see wrong things.
 */
export function preparedFor(target: ClientTarget): OwnPresence | null {
  if (typeof target !== 'object' || target instanceof URL || target instanceof Connected)
    return null
  const { connectOptions, onConnected, will } = target
  const before = connectOptions && prepared.get(connectOptions)
  const after = onConnected && prepared.get(onConnected)
  const found = before ?? after
  if (found === undefined) return null
  const { own } = found
  const replaced =
    before?.own !== own ? 'connectOptions' : after?.own !== own ? 'onConnected' : null
  const name = replaced ?? (will === found.will ? null : 'will')
  if (name === null) return own
  const message = `presence: ${name} was replaced after withPresence(), which needs it`
  throw new UsageError(`${message}; give your ${name} to withPresence(), which keeps it`)
}

function willFor(
  own: OwnPresence,
  options: ClientOptions,
  given: AttemptOptions | undefined,
  attempt: number,
  version: ProtocolVersion,
): { readonly will?: WillOptions } {
  own.hasOtherWill = (given?.will ?? options.will) !== undefined
  if (own.hasOtherWill) return {}
  const { prefix, ttl, grace } = own.terms
  const delay = grace > 0 ? { willDelayInterval: grace } : {}
  const expiry = ttl > 0 ? { messageExpiryInterval: 2 * ttl } : {}
  const will = {
    topic: connectionTopic(prefix, own.connection),
    payload: own.will(attempt, given?.clientId ?? options.clientId),
    qos: 1,
    retain: true,
    ...(version === 5 ? { properties: { ...delay, ...expiry } } : {}),
  } as const
  return { will }
}
