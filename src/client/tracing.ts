/**
 * What does the `trace` of a client surround? Each publish, each request, and each handler of
 * `forEach` and `respond`. Without it nothing is made.
 */
import type { PublishRequest, UserProperties } from '../index.ts'
import type { ClientPlan } from './client-options.ts'
import type { Published } from './client-types.ts'
import type { Trace } from './request-types.ts'
import type { Message, NextOptions } from './subscription-types.ts'
import type { Topic, TopicParams } from './topic-types.ts'

/** What it uses of the client. */
interface Traced {
  readonly plan: ClientPlan
  readonly loop: { readonly state: { readonly clientId: string } }
  send(request: PublishRequest, limits: NextOptions): Promise<Published>
}

/** Sends a publish within the trace. @param to the `Topic` that it goes to, or text. */
export function sendTraced(
  core: Traced,
  request: PublishRequest,
  limits: NextOptions,
  to: unknown,
): Promise<Published> {
  const { trace } = core.plan
  if (trace === undefined) return core.send(request, limits)
  const { topic, payload, properties } = request
  const operation = {
    kind: 'publish',
    clientId: core.loop.state.clientId,
    topic,
    template: templateOf(to),
    userProperties: properties?.userProperties,
    key: undefined,
    payloadBytes: payloadBytesOf(payload),
  } as const
  return trace(operation, (added) => core.send(withProperties(request, added), limits))
}

/** @returns a handler of messages that runs within the trace. */
export function tracedHandler<M extends Message<TopicParams, unknown>>(
  { plan, loop }: Omit<Traced, 'send'>,
  topics: readonly Pick<Topic<TopicParams, unknown>, 'template' | 'match'>[],
  handler: (message: M) => unknown,
): (message: M) => unknown {
  const { trace } = plan
  if (trace === undefined) return handler
  return (message) => {
    const { topic, payload, properties } = message
    const from = topics.length === 1 ? topics[0] : topics.find((one) => one.match(topic) !== null)
    const operation = {
      kind: 'process',
      clientId: loop.state.clientId,
      topic,
      template: from && withoutShare(from.template),
      userProperties: properties?.userProperties,
      key: undefined,
      payloadBytes: payload.length,
    } as const
    return trace(operation, async () => handler(message))
  }
}

/**
 * Surrounds an iteration, which begins with the first `next()` and ends with its last.
 * @param make makes what is iterated, with more User Properties.
 */
export async function* tracedMany<T>(
  trace: Trace,
  operation: Parameters<Trace>[0],
  make: (added: UserProperties | undefined) => AsyncIterable<T>,
): AsyncGenerator<T, undefined> {
  let begun: (items: AsyncIterable<T>) => void = () => {}
  const items = new Promise<AsyncIterable<T>>((resolve) => {
    begun = resolve
  })
  let end: { resolve(): void; reject(error: unknown): void } | null = null
  const whole = trace(operation, (added) => {
    begun(make(added))
    return new Promise<void>((resolve, reject) => {
      end = { resolve, reject }
    })
  })
  const failed = whole.then(() => Promise.reject(new TypeError('trace did not call proceed')))
  failed.catch(() => {})
  const ending = () => end as { resolve(): void; reject(error: unknown): void } | null
  try {
    yield* await Promise.race([items, failed])
    ending()?.resolve()
  } catch (error) {
    ending()?.reject(error)
    throw error
  } finally {
    // After `break`: nothing happens to what is settled.
    ending()?.resolve()
  }
  await whole
  return undefined
}

const utf8Encoder = new TextEncoder()

/** @returns how many bytes a payload has when it is sent. */
export function payloadBytesOf(payload: PublishRequest['payload'] = ''): number {
  if (typeof payload === 'string') return utf8Encoder.encode(payload).length
  if (!('base64' in payload)) return payload.length
  const digits = payload.base64.replace(/=+$/, '').length
  return Math.floor((digits * 3) / 4)
}

/** @returns the template of a `Topic`, without `$share/name/`; of text undefined. */
export function templateOf(to: unknown): string | undefined {
  return typeof to === 'string' ? undefined : withoutShare((to as Topic).template)
}

/** @returns the template, or the filter, that topics match. */
export function withoutShare(template: string): string {
  return template.replace(/^\$share\/[^/]*\//, '')
}

/** @returns a publish with more User Properties. */
function withProperties(
  request: PublishRequest,
  added: UserProperties | undefined,
): PublishRequest {
  if (added === undefined) return request
  const { properties } = request
  const userProperties = { ...properties?.userProperties, ...added }
  return { ...request, properties: { ...properties, userProperties } }
}
