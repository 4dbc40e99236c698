/**
 * How are many requests published, as fast as their outcomes come?
 */
import type { PublishRequest } from '../index.ts'
import { checkCount } from './check-options.ts'
import type { ClientCore } from './client-core.ts'
import type { Published, PublishedOne } from './client-types.ts'
import { sendTraced } from './tracing.ts'

const CONCURRENCY = 1000

export async function* publishAll<R extends Omit<PublishRequest, 'cmd'>>(
  core: ClientCore,
  requests: Iterable<R> | AsyncIterable<R>,
  options: { readonly concurrency?: number | undefined },
): AsyncIterableIterator<PublishedOne<R>, undefined> {
  const concurrency = checkCount('concurrency', options.concurrency ?? CONCURRENCY, 1, 65_535)
  let open = 0
  let outcomes: PublishedOne<R>[] = []
  let failure: { readonly error: unknown } | null = null
  let hasEnded = false
  /** Whether nothing is taken any more: the client has ended, or nobody wants the outcomes. */
  let isClosed = false
  let isTaking = false
  let wake = () => {}
  const settle = (request: R, outcome: PublishedOne<R>['outcome']) => {
    open--
    outcomes.push({ request, outcome })
    wake()
  }
  const iterator = iteratorOver(requests)
  const take = async () => {
    isTaking = true
    try {
      while (open < concurrency && !hasEnded && core.isOpen) {
        const { done, value } = await iterator.next()
        if (isClosed) break
        if (done) hasEnded = true
        else {
          open++
          publishOne(core, value).then(
            (published: Published) => settle(value, { ok: true, value: published }),
            (error: unknown) => settle(value, { ok: false, error }),
          )
        }
      }
    } catch (error) {
      failure = { error }
      hasEnded = true
    }
    if (!core.isOpen) isClosed = true
    isTaking = false
    wake()
  }
  const unlisten = core.onEnd(() => {
    isClosed = true
    wake()
  })
  try {
    for (;;) {
      if (!isTaking && !hasEnded && !isClosed && open < concurrency) void take()
      const due = outcomes
      outcomes = []
      yield* due
      if (outcomes.length > 0) continue
      if ((hasEnded || isClosed) && open === 0) break
      await new Promise<void>((resolve) => {
        wake = resolve
      })
    }
    if (failure !== null) throw (failure as { error: unknown }).error
  } finally {
    isClosed = true
    unlisten()
    // A generator that is being asked for its next item returns after it: nobody waits for that.
    const returned = hasEnded ? undefined : Promise.resolve(iterator.return?.())
    if (isTaking) returned?.catch(() => {})
    else await returned
  }
  return undefined
}

function iteratorOver<T>(items: Iterable<T> | AsyncIterable<T>): Iterator<T> | AsyncIterator<T> {
  return Symbol.asyncIterator in items ? items[Symbol.asyncIterator]() : items[Symbol.iterator]()
}

async function publishOne<R extends Omit<PublishRequest, 'cmd'>>(
  core: ClientCore,
  request: R,
): Promise<Published> {
  const { qos = core.plan.qos, signal, ...rest } = request
  return sendTraced(core, { ...rest, cmd: 'publish', qos }, { signal }, request.topic)
}
