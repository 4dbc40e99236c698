/**
 * Goal: browserHints() says what a page says of its network, no more, and leaves no listener.
 * Method: EventTargets that count their listeners stand for the window and the document.
 */
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { browserHints, UsageError } from '../../src/index.ts'
import { VirtualClock } from '../support/clock.ts'
import { startLoop } from '../support/loop.ts'
import { ScriptedServer } from '../support/server.ts'

class CountedTarget extends EventTarget {
  listeners = 0

  override addEventListener(type: string, listener: (event: Event) => void): void {
    this.listeners++
    super.addEventListener(type, listener)
  }

  override removeEventListener(type: string, listener: (event: Event) => void): void {
    this.listeners--
    super.removeEventListener(type, listener)
  }

  tell(type: string): void {
    this.dispatchEvent(new Event(type))
  }
}

class PageWindow extends CountedTarget {
  navigator: { onLine?: boolean } = { onLine: true }
}

class PageDocument extends CountedTarget {
  visibilityState = 'visible'

  turn(visibilityState: 'visible' | 'hidden'): void {
    this.visibilityState = visibilityState
    this.tell('visibilitychange')
  }
}

let window: PageWindow
let document: PageDocument

beforeEach(() => {
  window = new PageWindow()
  document = new PageDocument()
  vi.stubGlobal('window', window)
  vi.stubGlobal('document', document)
})

afterEach(() => vi.unstubAllGlobals())

const begin = () => browserHints()[Symbol.asyncIterator]()
const listeners = () => window.listeners + document.listeners

describe('browserHints', () => {
  test('[T5] online and offline are hints, one for each event that is awaited', async () => {
    const hints = begin()
    for (const type of ['offline', 'online', 'online', 'offline'] as const) {
      const next = hints.next()
      window.tell(type)
      expect(await next).toEqual({ done: false, value: type })
    }
  })

  test('[T5] a page that is seen again is a hint to go on, if it has a network', async () => {
    const hints = begin()
    const next = hints.next()
    document.turn('hidden')
    window.navigator.onLine = false
    document.turn('visible')
    window.navigator.onLine = true
    document.turn('visible')
    expect(await next).toEqual({ done: false, value: 'online' })
    // The two before it were no hints, or one of them would still wait.
    const after = hints.next()
    window.tell('offline')
    expect(await after).toEqual({ done: false, value: 'offline' })
  })

  test('[T5] of hints that wait only those with a meaning are kept', async () => {
    const hints = begin()
    for (const type of ['online', 'online', 'offline', 'offline', 'online', 'online']) {
      window.tell(type)
    }
    expect([await hints.next(), await hints.next()].map(({ value }) => value)).toEqual([
      'offline',
      'online',
    ])
    const third = hints.next()
    window.tell('offline')
    expect((await third).value).toBe('offline')
    window.tell('online')
    window.tell('offline')
    expect((await hints.next()).value).toBe('offline')
  })

  test('[T5] [N4] listeners come with the iteration and go with it', async () => {
    const hints = browserHints()
    expect(listeners()).toBe(0)
    const [one, other] = [hints[Symbol.asyncIterator](), hints[Symbol.asyncIterator]()]
    expect(listeners()).toBe(6)
    const reader = one.next()
    await one.return?.()
    expect(await reader).toEqual({ done: true, value: undefined })
    expect(listeners()).toBe(3)
    window.tell('offline')
    expect(await one.next()).toEqual({ done: true, value: undefined })
    expect(await other.next()).toEqual({ done: false, value: 'offline' })
    await other.return?.()
    await other.return?.()
    expect(listeners()).toBe(0)
  })

  test('[T5] a worker has its own events and no document', async () => {
    vi.stubGlobal('window', undefined)
    vi.stubGlobal('document', undefined)
    vi.stubGlobal('self', window)
    const hints = begin()
    window.tell('offline')
    expect(await hints.next()).toEqual({ done: false, value: 'offline' })
    await hints.return?.()
    expect(listeners()).toBe(0)
  })

  test('[T5] a runtime without such events gets a UsageError', () => {
    window.navigator = {}
    expect(browserHints).toThrow(UsageError)
    vi.stubGlobal('window', { navigator: { onLine: true } })
    expect(browserHints).toThrow(/browserHints: this runtime has no window that reports/)
    vi.stubGlobal('window', undefined)
    expect(browserHints).toThrow(UsageError)
  })

  test('[T5] [N4] a loop follows them, and its end removes the listeners', async () => {
    const server = new ScriptedServer(new VirtualClock())
    const options = {
      ...({ reconnect: 'always', until: 'closed', keepAlive: 0 } as const),
      networkHints: browserHints(),
    }
    const { loop, clock } = startLoop(options, [], undefined, { server })
    await clock.advance(0)
    expect([loop.state.connection.kind, listeners()]).toEqual(['connected', 3])
    window.tell('offline')
    await clock.advance(0)
    expect(loop.state.connection.reason?.code).toBe('NETWORK_OFFLINE')
    document.turn('visible')
    await clock.advance(0)
    expect([loop.state.connection.kind, clock.elapsed]).toEqual(['connected', 0])
    loop.shutdown()
    await clock.advance(1000)
    expect([clock.pendingTimers, server.open, listeners()]).toEqual([0, 0, 0])
  })
})
