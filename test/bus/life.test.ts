/**
 * Goal: a bus runs while somebody awaits `run()`, and ends in order (B18); events leave the outbox
 * (B9). Method: a broker in memory; handlers that take time; a spool in a folder.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import type { Bus, EventOutbox } from '../../src/bus/index.ts'
import { spool } from '../../src/disk/index.ts'
import { machineName, type Outcome, type Request } from '../../src/index.ts'
import type { TestBroker } from '../../src/testing/index.ts'
import { VERSIONS } from '../client/world.ts'
import { answers, auth, BusWorld } from './bus-world.ts'

const ada = { name: 'Ada', age: '36' }

describe('a bus', () => {
  test('connects when somebody awaits something', async () => {
    const w = new BusWorld()
    const server = w.bus('server')
    server.serve(auth, answers)
    server.api(auth).cleared.listen('self', {}, () => {})
    await w.clock.advance(1000)
    expect(w.broker.clients.size).toBe(0)
    await w.run(server)
    expect([...w.broker.clients.keys()]).toEqual(['bus.server@p0', 'bus.server.self@p0'])
  })

  test.each(VERSIONS)(
    '[B18] says so if the server does not grant what it serves, MQTT %s',
    async (version) => {
      const w = new BusWorld(version, { sharedAvailable: false, sharedInMqtt3: false })
      const early = w.bus('early')
      early.serve(auth, answers)
      await w.run(early)
      const late = w.bus('late')
      await w.run(late)
      late.serve(auth, answers)
      await w.clock.advance(10_000)
      const code = version === 5 ? 'SUBSCRIBE_REFUSED' : 'SHARED_UNAVAILABLE'
      expect(w.failures).toMatchObject([{ code }, { code }])
    },
  )

  test.each([
    ['no server is there', (broker: TestBroker) => broker.refuseConnections()],
    ['its SUBSCRIBE is lost', (broker: TestBroker) => broker.faults.drop({ cmd: 'subscribe' })],
  ])('[B18] ends with its signal although %s', async (_, break_) => {
    const w = new BusWorld()
    break_(w.broker)
    const server = w.bus('server')
    server.serve(auth, answers)
    const stop = new AbortController()
    const running = server.run({ signal: stop.signal })
    await w.clock.advance(1000)
    stop.abort()
    expect(await w.after(0, running)).toEqual({ value: undefined })
  })

  test('[B18] lets handlers end, acknowledges what was handled, and leaves nothing', async () => {
    const w = new BusWorld()
    const ends: (() => void)[] = []
    const wait = () => new Promise<void>((resolve) => ends.push(resolve))
    const server = w.bus('server')
    server.serve(auth, { ...answers, length: (text) => wait().then(() => text.length) })
    server.api(auth).cleared.listen('self', {}, wait)
    const running = server.run()
    await w.clock.advance(100)
    const call = w.bus('client').api(auth).length('abc')
    await w.value(server.fire(auth, 'cleared'), 50)
    await w.value(server.fire(auth, 'cleared'), 50)
    expect(ends).toHaveLength(2)
    const closing = server.close({ timeout: 3000 })
    expect(await w.after(500, closing)).toBe('pending')
    expect(await w.error(server.fire(auth, 'cleared'))).toMatchObject({ code: 'ENDED' })
    for (const end of ends) end()
    expect(await w.after(1500, closing)).toEqual({ value: undefined })
    expect(await w.value(call)).toBe(3)
    expect(await w.after(0, running)).toEqual({ value: undefined })
    expect(server.close()).toBeInstanceOf(Promise)
    // The event that had not begun is still at the server.
    const { connected, inflight, queued } = w.broker.sessions.get('bus.server.self@p0')!
    expect({ connected, waiting: inflight + queued }).toEqual({ connected: false, waiting: 1 })
    expect(w.broker.packets({ cmd: 'disconnect' })).toHaveLength(2)
  })

  test('[B18] waits no longer than the time-out', async () => {
    const w = new BusWorld()
    const server = w.bus('server')
    server.api(auth).cleared.listen('self', { onError: 'retry' }, () => new Promise(() => {}))
    server.serve(auth, answers)
    await w.run(server)
    await w.value(server.fire(auth, 'cleared'), 50)
    const closing = server.close({ timeout: 2000 })
    expect(await w.after(1900, closing)).toBe('pending')
    expect(await w.after(200, closing)).toEqual({ value: undefined })
  })

  test('[B18] has one time for a handler and the connection of its listener', async () => {
    const w = new BusWorld()
    const server = w.bus('server')
    server.api(auth).cleared.listen('self', { onError: 'deadLetter' }, () => {
      throw new Error('not today')
    })
    server.serve(auth, answers)
    await w.run(server)
    // The event comes, and its dead letter is never acknowledged: both wait for that.
    const match = { cmd: 'publish', direction: 'toBroker' } as const
    w.broker.faults.drop(match, { after: 1, times: 99 })
    await w.value(server.fire(auth, 'cleared'), 50)
    const closing = server.close({ timeout: 2000 })
    expect(await w.after(1900, closing)).toBe('pending')
    expect(await w.after(200, closing)).toEqual({ value: undefined })
  })

  test('[B18] does not wait for a next attempt', async () => {
    const w = new BusWorld()
    const server = w.bus('server')
    const retry = { minMs: 60_000, maxMs: 60_000 }
    server.api(auth).cleared.listen('self', { onError: 'retry', retry }, () => {
      throw new Error('not now')
    })
    server.serve(auth, answers)
    await w.run(server)
    await w.value(server.fire(auth, 'cleared'), 50)
    expect(await w.after(1500, server.close())).toEqual({ value: undefined })
    expect(w.broker.sessions.get('bus.server.self@p0')!.inflight).toBe(1)
  })

  test.each([true, false])(
    '[B18] ends without an error if it is closed while it begins, connected: %s',
    async (isConnected) => {
      const w = new BusWorld()
      if (!isConnected) w.broker.refuseConnections()
      const server = w.bus('server')
      server.serve(auth, answers)
      const running = server.run()
      const closing = server.close({ timeout: 500 })
      expect(await w.after(1000, running)).toEqual({ value: undefined })
      expect(await w.after(0, closing)).toEqual({ value: undefined })
      expect(w.broker.clients.size).toBe(0)
    },
  )

  test('run() ends with its signal, and another run() goes on', async () => {
    const w = new BusWorld()
    const names: string[] = []
    const server = w.bus('server')
    server.serve(auth, answers)
    server.api(auth).registered.listen('self', {}, ({ value }) => names.push(value.name))
    const controller = new AbortController()
    const running = server.run({ signal: controller.signal })
    await w.clock.advance(100)
    expect(await w.error(server.run())).toMatchObject({ name: 'UsageError' })
    await w.value(server.fire(auth, 'registered', { ...ada, name: 'a' }), 50)
    controller.abort()
    expect(await w.after(50, running)).toEqual({ value: undefined })
    await w.value(server.fire(auth, 'registered', { ...ada, name: 'b' }), 50)
    expect(names).toEqual(['a'])
    await w.run(server)
    expect(names).toEqual(['a', 'b'])
  })

  test('a listener that is added while it runs, runs', async () => {
    const w = new BusWorld()
    const server = await w.run(w.bus('server'))
    server.serve(auth, answers)
    let calls = 0
    const listener = server.api(auth).cleared.listen('self', {}, () => calls++)
    await w.value(listener.granted, 100)
    await w.value(server.fire(auth, 'cleared'), 100)
    expect(calls).toBe(1)
    await w.value(listener.close(), 3000)
    // Its name is free again.
    server.api(auth).cleared.listen('self', {}, () => calls++)
    await w.clock.advance(100)
    await w.value(server.fire(auth, 'cleared'), 100)
    expect(calls).toBe(2)
  })

  test.each([
    ['the process', (second: Bus) => void second.run().catch(() => {})],
    ['a listener', (second: Bus) => void second.api(auth).cleared.listen('welcome').granted],
  ])(
    '[B18] two of one name, of %s, are told of each other, and what to do',
    async (what, begin) => {
      const w = new BusWorld()
      const first = w.bus('mail', { process: 'one' })
      const listener = first.api(auth).cleared.listen('welcome', {}, () => {})
      await w.run(first)
      begin(w.bus('mail', { process: 'one' }))
      await w.clock.advance(100)
      expect(w.failures).toHaveLength(1)
      expect(w.failures[0]).toMatchObject({ name: 'RefusedError', code: 'SESSION_TAKEN_OVER' })
      const words = /^Another process runs as mail\/one, .* option `process`/
      expect((w.failures[0] as Error).message).toMatch(words)
      if (what === 'a listener') expect(await w.error(listener.done)).toBe(w.failures[0])
    },
  )

  test('a process without a name is told that nobody finds its sessions', async () => {
    const w = new BusWorld()
    const bus = w.bus('server', { process: undefined })
    expect(bus.process).toMatch(/./)
    bus.api(auth).cleared.listen('self', {}, () => {})
    expect(w.codes()).toEqual(machineName() === null ? ['PROCESS_UNNAMED'] : [])
  })
})

describe('the outbox', () => {
  test('[B9] has an event when fire() resolves, and sends all in order', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'it-mqtt-bus-'))
    const outbox = await spool(folder)
    onTestFinished(async () => {
      await outbox.close()
      rmSync(folder, { recursive: true })
    })
    const w = new BusWorld()
    const server = w.bus('server', { outbox })
    server.serve(auth, answers)
    for (const name of ['a', 'b', 'c']) {
      const fired = await server.fire(
        auth,
        'registered',
        { ...ada, name },
        { durable: true, id: name },
      )
      expect(fired).toEqual({ id: name, unheard: false })
    }
    expect(outbox.size).toBe(3)
    expect(w.broker.clients.size).toBe(0)
    const mail = w.bus('mail')
    const names: string[] = []
    mail.api(auth).registered.listen('welcome', {}, ({ value, by }) => names.push(value.name + by))
    await w.run(mail)
    void server.run()
    // The disk takes time that is not virtual.
    for (let i = 0; i < 100 && outbox.size > 0; i++) {
      await w.clock.advance(10)
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
    expect(names).toEqual(['aserver/p0', 'bserver/p0', 'cserver/p0'])
    expect(outbox.size).toBe(0)
    const closing = server.close()
    await w.clock.advance(3000)
    await closing
  })

  /** An outbox in memory. */
  function memory() {
    const requests: Request[] = []
    const outcomes: Outcome[] = []
    let wake = () => {}
    const outbox: EventOutbox = {
      push: async (request) => {
        requests.push(request)
        wake()
      },
      settled: (_, outcome) => {
        outcomes.push(outcome)
      },
      async *[Symbol.asyncIterator]() {
        for (;;) {
          if (requests.length > 0) yield requests.splice(0)
          await new Promise<void>((resolve) => {
            wake = resolve
          })
        }
      },
    }
    return { outbox, outcomes, requests }
  }

  test('[B9] gives up what the server refuses, and keeps what it could not send', async () => {
    const w = new BusWorld()
    const { outbox, outcomes } = memory()
    const server = w.bus('server', { outbox })
    server.serve(auth, answers)
    await w.run(server)
    w.broker.faults.refuse({ cmd: 'publish', direction: 'toBroker' })
    const durable = { durable: true }
    await w.value(server.fire(auth, 'cleared', undefined, durable), 100)
    expect(outcomes).toMatchObject([{ ok: false, error: { name: 'RefusedError' } }])
    expect(w.codes()).toEqual(['EVENT_FAILED'])
    w.broker.refuseConnections?.()
    w.broker.kill('bus.server@p0')
    await w.value(server.fire(auth, 'cleared', undefined, durable), 100)
    await w.value(server.close({ timeout: 500 }), 3000)
    expect(outcomes).toHaveLength(1)
  })

  test('[B18] is not used after close(), and lets run() end while it waits for events', async () => {
    const w = new BusWorld()
    const { outbox, outcomes } = memory()
    let isClosed = false
    const uses: string[] = []
    const slow: EventOutbox = {
      ...outbox,
      settled: async (request, outcome) => {
        await new Promise<void>((resolve) => w.clock.setTimer(resolve, 50))
        if (isClosed) uses.push('settled')
        return outbox.settled(request, outcome)
      },
    }
    const server = w.bus('server', { outbox: slow })
    server.serve(auth, answers)
    const running = server.run()
    await w.clock.advance(100)
    await w.value(server.fire(auth, 'cleared', undefined, { durable: true }), 10)
    const closing = server.close().then(() => {
      isClosed = true
    })
    await w.value(closing, 3000)
    expect(await w.after(0, running)).toEqual({ value: undefined })
    await w.clock.advance(1000)
    expect(outcomes).toEqual([{ ok: true }])
    expect(uses).toEqual([])
  })

  test('[B9] sends many events together, and Node has nothing to warn of', async () => {
    const w = new BusWorld()
    const { outbox, outcomes } = memory()
    const server = w.bus('server', { outbox })
    server.serve(auth, answers)
    const warned: Error[] = []
    const hear = (warning: Error) => warned.push(warning)
    process.on('warning', hear)
    onTestFinished(() => {
      process.off('warning', hear)
    })
    for (let i = 0; i < 30; i++) {
      await server.fire(auth, 'cleared', undefined, { durable: true })
    }
    await w.run(server)
    expect(outcomes).toHaveLength(30)
    expect(warned).toEqual([])
  })

  test('[B9] that fails ends run() with its error, and nothing else', async () => {
    const w = new BusWorld()
    const failure = new Error('the disk is full')
    const server = w.bus('server', {
      outbox: { ...memory().outbox, settled: () => Promise.reject(failure) },
    })
    server.serve(auth, answers)
    await w.run(server)
    await w.value(server.fire(auth, 'cleared', undefined, { durable: true }), 100)
    expect(w.failures).toEqual([failure])
  })

  test('[B9] is needed for durable events', async () => {
    const w = new BusWorld()
    const server = w.bus('server')
    server.serve(auth, answers)
    const error = await w.error(server.fire(auth, 'cleared', undefined, { durable: true }))
    expect(error).toMatchObject({ name: 'UsageError', message: expect.stringContaining('outbox') })
  })
})
