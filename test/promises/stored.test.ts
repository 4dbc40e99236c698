/**
 * Goal: with a store, what rests on the session leaves only once it is safe there, nothing else waits for it, and whatever ends
 * a loop, the store is left as it should be. Method: a store that answers when the test says so.
 */
import { describe, expect, test } from 'vitest'
import {
  decodeSession,
  encodeSession,
  type Outcome,
  publish,
  type Request,
  Session,
  StorageError,
} from '../../src/index.ts'
import { peek, VirtualClock } from '../support/clock.ts'
import { type Started, startLoop } from '../support/loop.ts'
import { ScriptedServer } from '../support/server.ts'

class HeldStore {
  text: string | null = null
  readonly asked: string[] = []
  #answer: { resolve: () => void; reject: (error: Error) => void } | null = null
  readonly #clock: VirtualClock

  constructor(clock: VirtualClock) {
    this.#clock = clock
  }

  load(): Promise<Session | null> {
    return this.#ask('load', () => (this.text === null ? null : decodeSession(this.text)))
  }

  commit(session: Session): Promise<void> {
    const text = encodeSession(session)
    return this.#ask('commit', () => {
      this.text = text
    })
  }

  close(): Promise<void> {
    return this.#ask('close', () => {})
  }

  /** What is asked now is answered, and all that follows from it happens. */
  async answer(error?: Error): Promise<void> {
    await this.#clock.advance(0)
    const answer = this.#answer
    this.#answer = null
    if (error === undefined) answer?.resolve()
    else answer?.reject(error)
    await this.#clock.advance(0)
  }

  /** Until nothing is asked any more. */
  async answerAll(): Promise<void> {
    await this.#clock.advance(0)
    while (this.#answer !== null) await this.answer()
  }

  async #ask<T>(what: string, done: () => T): Promise<T> {
    if (this.#answer !== null) throw new Error(`${what} while it is busy`)
    this.asked.push(what)
    this.#clock.touch()
    await new Promise<void>((resolve, reject) => {
      this.#answer = { resolve, reject }
    })
    return done()
  }
}

interface Stored extends Started {
  readonly store: HeldStore
}

function stored(requests: Parameters<typeof startLoop>[1], options = {}): Stored {
  const clock = new VirtualClock()
  const store = new HeldStore(clock)
  const server = new ScriptedServer(clock)
  const started = startLoop(
    { session: store, until: 'closed', clientId: 'kept', ...options },
    requests,
    undefined,
    { server },
  )
  return Object.assign(started, { store })
}

const full = new Error('no space is left')
const q1 = (payload: string) => publish('t', payload, { qos: 1 })

describe('what waits for a commit', () => {
  test('[D1] a PUBLISH at QoS 1 leaves after the commit, one at QoS 0 and a PINGREQ at once', async () => {
    const { store, server, loop } = stored([publish('t', 'now'), q1('later')])
    await store.answer()
    await server.clock.advance(0)
    expect(server.current.of('publish').map(({ payload }) => String(payload))).toEqual(['now'])
    loop.ping().catch(() => {})
    await server.clock.advance(0)
    expect(server.current.of('pingreq').length).toBe(1)
    await store.answerAll()
    expect(server.current.of('publish').map(({ payload }) => String(payload))).toEqual([
      'now',
      'later',
    ])
  })

  test('[K1] it does not spare the PINGREQ before it leaves', async () => {
    const started = stored([q1('later')], { keepAlive: 10 })
    await started.store.answer()
    await started.clock.advance(6000)
    // The acknowledgement of this message waits for a commit that takes its time.
    started.server.current.send({
      cmd: 'publish',
      topic: 'd',
      payload: 'x',
      qos: 1,
      messageId: 1,
      dup: false,
      retain: false,
    })
    await started.clock.advance(4000)
    expect(started.server.current.of('pingreq').length).toBe(1)
  })

  test('[E2] [MQTT-3.14.4-1] nothing of it is written after DISCONNECT', async () => {
    const { store, server, loop } = stored([q1('later')])
    await store.answer()
    loop.shutdown()
    await store.answerAll()
    expect(server.current.packets.map(({ cmd }) => cmd)).toEqual(['connect', 'disconnect'])
  })

  test('[D7] the commit that forgets a request remembers its key until the outcome is told', async () => {
    const heard: Outcome[] = []
    const source = {
      *[Symbol.iterator]() {
        yield { ...q1('a'), key: 'k' } as Request
      },
      settled: (_: Request, outcome: Outcome) => void heard.push(outcome),
    }
    const { store } = stored(source)
    for (let commits = 0; heard.length === 0 && commits < 10; commits++) await store.answer()
    // Killed in the instant before it was told, this is what is left.
    const { settling } = JSON.parse(store.text!.split('\n')[1]!)
    expect(settling).toEqual([['k', true]])
  })
})

describe('the end', () => {
  test('[D2] a commit that fails ends the loop with a StorageError', async () => {
    const started = stored([q1('later')])
    await started.store.answer()
    await started.store.answer(full)
    await started.clock.advance(2000)
    await started.store.answerAll()
    expect(started.error).toBeInstanceOf(StorageError)
    expect(started.error).toMatchObject({ code: 'COMMIT_FAILED' })
    expect(started.loop.state.counters.held).toBe(1)
  })

  test('[N4] a commit that fails while the loop ends does not keep it', async () => {
    const started = stored([])
    await started.store.answerAll()
    started.loop.shutdown()
    await started.clock.advance(2000)
    expect(started.ended).toBe(false)
    await started.store.answer(full)
    await started.store.answerAll()
    expect(started.error).toBeInstanceOf(StorageError)
    expect(started.clock.pendingTimers).toBe(0)
  })

  test('[N4] the end is told once the store is closed', async () => {
    const { store, loop, clock, ...started } = stored([])
    await store.answerAll()
    const done = loop.next()
    loop.shutdown()
    await clock.advance(2000)
    while (store.asked.at(-1) !== 'close') await store.answer()
    expect(await peek(clock, done)).toBe('pending')
    await store.answer()
    expect(await peek(clock, done)).toMatchObject({ value: { done: true } })
    expect(started.server.open).toBe(0)
  })

  test('[D1] a loop that is left while its session is loaded does not replace it', async () => {
    const { store, loop, server } = stored([])
    store.text = 'what is kept'
    const left = loop.return()
    expect(await peek(server.clock, left)).toBe('pending')
    await store.answer()
    await store.answerAll()
    expect(store.asked).toEqual(['load', 'close'])
    expect(store.text).toBe('what is kept')
    expect(await peek(server.clock, left)).toMatchObject({ value: { done: true } })
  })

  test('[R2] whatever ends the loop, what it knows is committed once more before the store is closed', async () => {
    const started = stored([publish('t', 'x')], {
      onSettled: () => {
        throw new Error('of the user')
      },
    })
    await started.store.answerAll()
    await started.clock.advance(2000)
    await started.store.answerAll()
    expect(started.error).toMatchObject({ message: 'of the user' })
    expect(started.store.asked.slice(-2)).toEqual(['commit', 'close'])
    expect(started.server.open).toBe(0)
  })
})

describe('the beginning', () => {
  test('[D5] a store in which nothing is kept asks for a session that outlives a restart of the server', async () => {
    const { store, server } = stored([])
    await store.answer()
    expect(server.current.of('connect')[0]).toMatchObject({
      clean: false,
      properties: { sessionExpiryInterval: 86_400 },
    })
  })

  test('[D5] so does one whose session never met a server', async () => {
    const first = stored([q1('kept')])
    await first.store.answer()
    first.server.refuse(new Error('no road'))
    first.loop.shutdown()
    await first.store.answerAll()
    const again = stored([])
    again.store.text = encodeSession(
      new Session(
        { clientId: 'kept', protocolVersion: 0, final: true },
        { record: { ...first.loop.session.record(), protocolVersion: 0 } },
      ),
    )
    await again.store.answer()
    expect(again.server.current.of('connect')[0]).toMatchObject({ clean: false })
  })
})
