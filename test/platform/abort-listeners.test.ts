/**
 * One listener on each signal, whatever waits for it; none once nothing waits.
 */
import { getEventListeners } from 'node:events'
import { describe, expect, test } from 'vitest'
import { ignoreAbort, listenForAbort } from '../../src/platform/abort-listeners.ts'

const count = (signal: AbortSignal) => getEventListeners(signal, 'abort').length

describe('callbacks for an abort', () => {
  test('[N4] a thousand callbacks share one listener, which goes with the last of them', () => {
    const { signal } = new AbortController()
    const callbacks = Array.from({ length: 1000 }, () => () => {})
    for (const callback of callbacks) listenForAbort(signal, callback)
    expect(count(signal)).toBe(1)
    for (const callback of callbacks) {
      expect(count(signal)).toBe(1)
      ignoreAbort(signal, callback)
    }
    expect(count(signal)).toBe(0)
    listenForAbort(signal, callbacks[0]!)
    expect(count(signal)).toBe(1)
  })

  test('each is called once, in order, and not if an earlier one took it back', () => {
    const controller = new AbortController()
    const { signal } = controller
    const called: string[] = []
    const third = () => called.push('third')
    listenForAbort(signal, () => called.push('first'))
    listenForAbort(signal, () => {
      called.push('second')
      ignoreAbort(signal, third)
    })
    listenForAbort(signal, third)
    listenForAbort(signal, () => called.push('fourth'))
    controller.abort()
    expect(called).toEqual(['first', 'second', 'fourth'])
    expect(count(signal)).toBe(0)
    ignoreAbort(signal, third)
  })

  test('signals do not share callbacks', () => {
    const [one, other] = [new AbortController(), new AbortController()]
    let called = 0
    const callback = () => called++
    listenForAbort(one.signal, callback)
    listenForAbort(other.signal, callback)
    one.abort()
    expect(called).toBe(1)
    other.abort()
    expect(called).toBe(2)
  })
})
