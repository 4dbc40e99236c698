/**
 * How does a subscription get a connection of its own? By a client of its own, which ends with it.
 * (M7, the subscription that holds back others is named)
 */
import { Connected, UsageError } from '../index.ts'
import { ClientCore } from './client-core.ts'
import { ClientSubscription } from './subscription.ts'
import type { SubscriptionPlan } from './subscription-plan.ts'

/**
 * @returns a subscription of another client with the same options. Its client identifier is made of
 *   that of the client and the filters, so that it finds its own session again.
 * @throws UsageError if the client was made of a connection, of which there is only one.
 */
export function ownConnection(core: ClientCore, plan: SubscriptionPlan): ClientSubscription {
  const { target } = core
  if (target instanceof Connected) {
    const what = "subscribe: connection: 'own' needs the options of a connection"
    throw new UsageError(`${what}, and this client was made of what connect() resolved with`)
  }
  const options = typeof target === 'string' || target instanceof URL ? { url: target } : target
  const { clientId, session, will, ...rest } = options
  const own = new ClientCore({
    ...rest,
    ...(clientId ? { clientId: `${clientId}-${digest(plan.filters.join('\n'))}` } : {}),
    ...(session === undefined ? {} : { cleanStart: false }),
  })
  const subscription = new ClientSubscription(plan, own)
  own.reception.add(subscription)
  const unlisten = core.onClose(async () => {
    subscription.close()
    await own.end()
  })
  own.afterLeaving = () => {
    unlisten()
    void own.end()
  }
  return subscription
}

/** @returns eight hexadecimal digits that depend on a text (FNV-1a). */
function digest(text: string): string {
  let hash = 0x811c9dc5
  for (let i = 0; i < text.length; i++) {
    hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
  }
  return (hash >>> 0).toString(16).padStart(8, '0')
}
