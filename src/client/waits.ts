/**
 * How do promises end that wait for something other than an outcome? (M2, every promise of the
 * client settles)
 */
import type { Platform } from '../index.ts'
import { calledAfterEnd, endedUnder } from './client-errors.ts'
import { CallLimits } from './publish-call.ts'
import type { NextOptions } from './subscription-types.ts'

interface WaitsHost {
  readonly clock: Platform
  readonly isOpen: boolean
  demanding(type: 'calls' | 'lasting'): () => void
  onEnd(listener: (error: unknown) => void): () => void
}

/**
 * @param begin begins to wait, and returns what ends that.
 * @returns a promise that `begin` settles, or the limits, or the end of the client.
 */
export function waitFor<T>(
  host: WaitsHost,
  what: string,
  { signal, timeout }: NextOptions,
  begin: (resolve: (value: T) => void, reject: (error: unknown) => void) => () => void,
): Promise<T> {
  if (!host.isOpen) return Promise.reject(calledAfterEnd(what))
  const limits = new CallLimits(host.clock, what, signal, timeout)
  return new Promise<T>((resolve, reject) => {
    const endings = [host.demanding('calls'), () => limits.end()]
    const over = () => {
      for (const end of endings.splice(0)) end()
    }
    const fail = (error: unknown) => {
      over()
      reject(error)
    }
    const succeed = (value: T) => {
      over()
      resolve(value)
    }
    endings.push(host.onEnd((error) => fail(error ?? endedUnder(what, false, null))))
    endings.push(begin(succeed, fail))
    limits.begin(fail)
  })
}

/** Keeps the client reading until the signal is aborted. */
export function runUntil(host: WaitsHost, signal: AbortSignal | undefined): Promise<void> {
  if (!host.isOpen) return Promise.reject(calledAfterEnd('run'))
  if (signal?.aborted) return Promise.resolve()
  return new Promise((resolve, reject) => {
    const endDemand = host.demanding('lasting')
    let unlisten = () => {}
    const over = () => {
      endDemand()
      unlisten()
      signal?.removeEventListener('abort', aborted)
    }
    const aborted = () => {
      over()
      resolve()
    }
    signal?.addEventListener('abort', aborted)
    unlisten = host.onEnd((error) => {
      over()
      if (error === null) resolve()
      else reject(error)
    })
  })
}

/** Resolves after `ms` ms, or when the client ends. */
export function sleep(host: WaitsHost, ms: number): Promise<void> {
  return new Promise((resolve) => {
    let unlisten = () => {}
    const over = () => {
      host.clock.clearTimer(timer)
      unlisten()
      resolve()
    }
    const timer = host.clock.setTimer(over, ms)
    unlisten = host.onEnd(over)
  })
}
