/** Request streams that record what was asked of them. */

import { publish } from '../../src/requests/build.ts'
import type { Request } from '../../src/requests/vocabulary.ts'

export interface Calls {
  iterators: number
  next: number
  return: number
}

/** Yields these requests one by one; `returned` is awaited inside `return()`. */
export function counted(
  requests: readonly Request[],
  returned: () => unknown = () => undefined,
): { readonly stream: AsyncIterable<Request>; readonly calls: Calls } {
  const calls: Calls = { iterators: 0, next: 0, return: 0 }
  const stream: AsyncIterable<Request> = {
    [Symbol.asyncIterator]() {
      calls.iterators++
      let index = 0
      return {
        async next() {
          calls.next++
          const value = requests[index++]
          return value === undefined ? { done: true, value: undefined } : { done: false, value }
        },
        async return() {
          calls.return++
          await returned()
          return { done: true, value: undefined }
        },
      }
    },
  }
  return { stream, calls }
}

/** Publishes to one topic with their numbers as payloads, at QoS 1 and 2 in turn. */
export function numbered(n: number): Request[] {
  return Array.from({ length: n }, (_, i) => publish('a', `${i}`, { qos: ((i % 2) + 1) as 1 | 2 }))
}
