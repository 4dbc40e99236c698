/** What can be seen of a loop: transitions, subscriptions, round trips, gauges, and Node's diagnostics channels. */
import { subscribe as listen, unsubscribe as unlisten } from 'node:diagnostics_channel'
import { pushable } from 'it-pushable'
import { describe, expect, onTestFinished, test } from 'vitest'
import type { Transition } from '../../src/loop/transitions.ts'
import type { EventloopOptions } from '../../src/options/options.ts'
import { publish, subscribe, unsubscribe } from '../../src/requests/build.ts'
import type { Request } from '../../src/requests/vocabulary.ts'
import { peek, resolved, VirtualClock } from '../support/clock.ts'
import { type Started, startLoop } from '../support/loop.ts'
import { networkError, ScriptedServer, type ServerOptions } from '../support/server.ts'

const STILL: EventloopOptions = { reconnect: 'always', until: 'closed', keepAlive: 0 }

function stage(options: ServerOptions = {}) {
  return { server: new ScriptedServer(new VirtualClock(), options) }
}

async function over({ loop, clock, server }: Started): Promise<void> {
  loop.shutdown()
  await clock.advance(1000)
  expect([clock.pendingTimers, server.open]).toEqual([0, 0])
}

describe('transitions', () => {
  function watch(transitions: AsyncIterable<Transition>) {
    const seen: Transition[] = []
    const done = (async () => {
      for await (const transition of transitions) seen.push(transition)
    })()
    return { seen, done }
  }

  test('[T3] each change, with reason, instant and when the next attempt is due; the end ends them', async () => {
    const s = stage()
    const started = startLoop(STILL, [], undefined, { ...s, manual: true })
    const { seen, done } = watch(started.loop.transitions())
    started.loop.next()
    await s.server.clock.advance(5000)
    s.server.refuse(networkError('ECONNREFUSED'))
    s.server.current.reset()
    await s.server.clock.advance(1200)
    s.server.accept()
    await s.server.clock.advance(30_000)
    await over(started)
    await done
    expect(seen.map(({ from, to, reason }) => [from, to, reason?.code])).toEqual([
      ['idle', 'connecting', undefined],
      ['connecting', 'connected', undefined],
      ['connected', 'disconnected', 'ECONNRESET'],
      ['disconnected', 'connecting', 'ECONNRESET'],
      ['connecting', 'disconnected', 'ECONNREFUSED'],
      ['disconnected', 'connecting', 'ECONNREFUSED'],
      ['connecting', 'connected', undefined],
      ['connected', 'closing', undefined],
      ['closing', 'closed', undefined],
    ])
    const times = seen.map(({ at }) => at)
    expect(times).toEqual(times.slice().sort((a, b) => a - b))
    const lost = seen[2]!
    expect(lost.at - s.server.clock.startedAt).toBe(5000)
    expect(seen[3]!.at).toBe(Math.ceil(lost.retryAt!))
    expect(seen.filter(({ retryAt }) => retryAt !== null).map(({ to }) => to)).toEqual([
      'disconnected',
      'disconnected',
    ])
  })

  test('[T3] [D5] connected says whether the session goes on, and no other change does', async () => {
    const s = stage()
    const started = startLoop(STILL, [], undefined, { ...s, manual: true })
    const { seen } = watch(started.loop.transitions())
    started.loop.next()
    await s.server.clock.advance(10)
    for (const sessionPresent of [true, false]) {
      s.server.autoConnack = { sessionPresent }
      s.server.current.reset()
      await s.server.clock.advance(60_000)
    }
    const said = (wanted: boolean) =>
      seen
        .filter(({ to }) => (to === 'connected') === wanted)
        .map((transition) => transition.sessionPresent)
    expect(said(true)).toEqual([false, true, false])
    expect(new Set(said(false))).toEqual(new Set([null]))
    await over(started)
  })

  test('[T3] [D5] a session that the loop cannot go on with counts as none', async () => {
    const s = stage()
    s.server.autoConnack = { sessionPresent: true }
    const started = startLoop({ ...STILL, cleanStart: true }, [], undefined, s)
    const { seen } = watch(started.loop.transitions())
    await s.server.clock.advance(10)
    expect(seen.at(-1)).toMatchObject({ to: 'connected', sessionPresent: false })
    await over(started)
  })

  test('[T3] where the server said goodbye, retryAt comes when its transport has closed', async () => {
    const s = stage({ autoClose: false })
    const started = startLoop(STILL, [], undefined, s)
    const { seen } = watch(started.loop.transitions())
    await s.server.clock.advance(0)
    s.server.current.send({ cmd: 'disconnect', reasonCode: 0x8b })
    await s.server.clock.advance(0)
    const last = seen.slice(-2).map(({ from, to, retryAt }) => [from, to, retryAt !== null])
    expect(last).toEqual([
      ['connected', 'disconnected', false],
      ['disconnected', 'disconnected', true],
    ])
    expect(seen.at(-1)!.reason).toMatchObject({ code: 'SERVER_SHUTTING_DOWN', reasonCode: 0x8b })
    await over(started)
  })

  test('[T3] several watch, each sees all from when it began, and one that leaves leaves alone', async () => {
    const s = stage()
    const started = startLoop(STILL, [], undefined, s)
    const early = watch(started.loop.transitions())
    const leaving = started.loop.transitions()
    await s.server.clock.advance(0)
    const late = watch(started.loop.transitions())
    await leaving.return?.()
    s.server.current.reset()
    await s.server.clock.advance(1000)
    expect(late.seen).toEqual(early.seen.slice(-late.seen.length))
    expect(late.seen.length).toBeLessThan(early.seen.length)
    expect(await leaving.next()).toEqual({ done: true, value: undefined })
    await over(started)
    await Promise.all([early.done, late.done])
    const after = started.loop.transitions()
    expect(await after.next()).toEqual({ done: true, value: undefined })
  })

  test('[T3] a watcher that takes nothing holds nothing up, and is told that it fell behind', async () => {
    const s = stage()
    const options = { ...STILL, reconnect: { when: 'always', minMs: 0, maxMs: 0 } } as const
    const started = startLoop(options, [], undefined, s)
    const lazy = started.loop.transitions()
    for (let i = 0; i < 400; i++) {
      await s.server.clock.advance(10)
      s.server.current.reset()
    }
    await s.server.clock.advance(10)
    expect(started.loop.state.connection.kind).toBe('connected')
    await expect(lazy.next()).rejects.toMatchObject({ code: 'WATCHER_FELL_BEHIND' })
    expect(await lazy.next()).toEqual({ done: true, value: undefined })
    await over(started)
  })

  test('[T3] two next() at once are answered in order', async () => {
    const s = stage()
    const started = startLoop(STILL, [], undefined, { ...s, manual: true })
    const transitions = started.loop.transitions()
    const both = Promise.all([transitions.next(), transitions.next()])
    started.loop.next()
    const kinds = (await resolved(s.server.clock, both)).map(({ value }) => value?.to)
    expect(kinds).toEqual(['connecting', 'connected'])
    await over(started)
  })
})

describe('state.subscriptions', () => {
  const shown = ({ loop }: Started) =>
    loop.state.subscriptions.map(({ topic, status, granted, reasonCode }) =>
      [topic, status, granted, ...(reasonCode === undefined ? [] : [reasonCode])].join(' '),
    )

  test('[T8] requested, granted with its QoS, refused with its reason', async () => {
    const s = stage({ autoAck: false })
    const requests = pushable<Request>({ objectMode: true })
    const started = startLoop({ ...STILL, protocolVersion: 5 }, requests, undefined, s)
    requests.push(subscribe(['a', 'b'], { qos: 2 }))
    await s.server.clock.advance(0)
    expect(shown(started)).toEqual(['a requested ', 'b requested '])
    const messageId = s.server.current.of('subscribe')[0]!.messageId!
    s.server.current.send({ cmd: 'suback', messageId, granted: [1, 0x87] })
    await s.server.clock.advance(0)
    expect(shown(started)).toEqual(['a granted 1', 'b refused  135'])
    s.server.autoAck = true
    s.server.current.autoAck = true
    requests.push(subscribe('b', { qos: 1 }))
    requests.push(unsubscribe('a'))
    await s.server.clock.advance(0)
    expect(shown(started)).toEqual(['b granted 1'])
    await over(started)
  })

  test('[T8] asked again: requested, with what was granted before; refused here: with the reason code', async () => {
    const s = stage({
      autoAck: ({ messageId }) => messageId === 1,
      autoConnack: { properties: { wildcardSubscriptionAvailable: false } },
    })
    const requests = [subscribe('a', { qos: 1 }), subscribe('a', { qos: 2 }), subscribe('#')]
    const started = startLoop(STILL, requests, undefined, s)
    await s.server.clock.advance(0)
    expect(shown(started).sort()).toEqual(['# refused  162', 'a requested 1'])
    await over(started)
  })

  test('[T8] renewing after the server lost the session, then granted or refused', async () => {
    const s = stage()
    const started = startLoop(STILL, [subscribe(['a', 'b'], { qos: 1 })], undefined, s)
    await s.server.clock.advance(0)
    s.server.autoAck = false
    s.server.current.reset()
    await s.server.clock.advance(1000)
    expect(shown(started)).toEqual(['a renewing 1', 'b renewing 1'])
    const messageId = s.server.current.of('subscribe')[0]!.messageId!
    s.server.current.send({ cmd: 'suback', messageId, granted: [1, 0x80] })
    await s.server.clock.advance(0)
    expect(shown(started)).toEqual(['a granted 1', 'b refused  128'])
    await over(started)
  })

  test('[T8] waiting for a connection: requested', async () => {
    const s = stage({ autoConnack: false })
    const started = startLoop(STILL, [subscribe('a')], undefined, s)
    await s.server.clock.advance(0)
    expect(shown(started)).toEqual([])
    s.server.current.connack()
    s.server.current.autoAck = false
    await s.server.clock.advance(0)
    expect(shown(started)).toEqual(['a requested '])
    s.server.hang()
    s.server.current.reset()
    await s.server.clock.advance(2000)
    expect(shown(started)).toEqual(['a requested '])
    await over(started)
  })

  test('[T8] of those that were refused a hundred are remembered', async () => {
    const s = stage({ autoConnack: { properties: { wildcardSubscriptionAvailable: false } } })
    const requests = Array.from({ length: 150 }, (_, i) => subscribe(`t${i}/#`))
    const started = startLoop(STILL, requests, undefined, s)
    await s.server.clock.advance(0)
    const refused = shown(started)
    expect([refused.length, refused[0], refused.at(-1)]).toEqual([
      100,
      't50/# refused  162',
      't149/# refused  162',
    ])
    await over(started)
  })
})

describe('numbers', () => {
  test('[T8] unansweredPings counts those since the server last sent anything, the engine’s too', async () => {
    const s = stage()
    const { clock } = s.server
    const started = startLoop({ ...STILL, keepAlive: 60 }, [], undefined, s)
    const { loop } = started
    const unanswered = () => loop.state.connection.unansweredPings
    await clock.advance(1000)
    expect(unanswered()).toBe(0)
    s.server.current.autoAck = false
    await clock.advance(61_000)
    expect(s.server.current.of('pingreq')).toHaveLength(1)
    expect(unanswered()).toBe(1)
    for (let i = 0; i < 2; i++) {
      loop.ping().catch(() => {})
      await clock.advance(10)
    }
    expect(unanswered()).toBe(3)
    s.server.current.send({ cmd: 'pingresp' })
    await clock.advance(10)
    expect(unanswered()).toBe(0)
    loop.ping().catch(() => {})
    await clock.advance(10)
    expect(unanswered()).toBe(1)
    // Any byte proves that the server is there, though the PINGREQs before it have no answer.
    const message = { cmd: 'publish', topic: 't', payload: '', qos: 0, dup: false } as const
    s.server.current.send({ ...message, retain: false })
    await clock.advance(10)
    expect(unanswered()).toBe(0)
    loop.ping().catch(() => {})
    await clock.advance(10)
    expect(unanswered()).toBe(1)
    s.server.current.reset()
    await clock.advance(10)
    expect(unanswered()).toBe(0)
    await over(started)
  })

  test('[T8] unansweredPings is 0 while nothing is read, and counts again afterwards', async () => {
    const s = stage({ autoAck: false })
    const { clock } = s.server
    const started = startLoop({ ...STILL, keepAlive: 60 }, [], undefined, s)
    const { loop } = started
    await clock.advance(1000)
    loop.pause()
    for (let i = 0; i < 3; i++) {
      loop.ping().catch(() => {})
      await clock.advance(10)
    }
    expect(s.server.current.of('pingreq')).toHaveLength(3)
    expect(loop.state.connection.unansweredPings).toBe(0)
    loop.resume()
    await clock.advance(10)
    expect(loop.state.connection.unansweredPings).toBe(0)
    loop.ping().catch(() => {})
    await clock.advance(10)
    expect(loop.state.connection.unansweredPings).toBe(1)
    await over(started)
  })

  test('[T8] downSince is the beginning of the outage, whatever is attempted', async () => {
    const s = stage()
    const { clock } = s.server
    const started = startLoop(STILL, [], undefined, { ...s, manual: true })
    const downSince = () => started.loop.state.connection.downSince
    expect(downSince()).toBe(null)
    s.server.refuse(networkError('ECONNREFUSED'))
    const begun = clock.now()
    started.loop.next()
    const kinds = new Set<string>()
    for (let i = 0; i < 50; i++) {
      await clock.advance(5000)
      kinds.add(started.loop.state.connection.kind)
      expect(downSince()).toBe(begun)
    }
    expect(kinds).toContain('suspended')
    s.server.accept()
    await clock.advance(60_000)
    expect(downSince()).toBe(null)
    s.server.refuse(networkError('ECONNREFUSED'))
    const lost = clock.now()
    s.server.current.reset()
    await clock.advance(30_000)
    expect(downSince()).toBe(lost)
    await over(started)
    expect(downSince()).toBe(null)
  })

  test('[T8] a ping has an outcome with its round trip, and the state shows the last one', async () => {
    const s = stage({ autoAck: false })
    const started = startLoop({ ...STILL, keepAlive: 60 }, [], undefined, s)
    await s.server.clock.advance(0)
    expect(started.loop.state.counters.roundTripMs).toBeNull()
    const ping = started.loop.ping()
    await s.server.clock.advance(120)
    s.server.current.send({ cmd: 'pingresp' })
    expect(await resolved(s.server.clock, ping)).toEqual({ roundTripMs: 120 })
    expect(started.loop.state.counters.roundTripMs).toBe(120)
    const control = startLoop(
      { ...STILL, onConnected: () => [{ cmd: 'ping' } as never] },
      [],
      undefined,
      stage(),
    )
    await control.clock.advance(0)
    expect(control.outcomes).toMatchObject([
      { request: { cmd: 'ping' }, outcome: { ok: true, roundTripMs: 0 } },
    ])
    await over(control)
    await over(started)
  })

  test('[T8] an answer belongs to the oldest question', async () => {
    const s = stage({ autoAck: false })
    const started = startLoop({ ...STILL, keepAlive: 60 }, [], undefined, s)
    await s.server.clock.advance(0)
    const first = started.loop.ping()
    await s.server.clock.advance(100)
    const second = started.loop.ping()
    await s.server.clock.advance(10)
    s.server.current.send({ cmd: 'pingresp' })
    expect(await resolved(s.server.clock, first)).toEqual({ roundTripMs: 110 })
    expect(await peek(s.server.clock, second)).toBe('pending')
    s.server.current.send({ cmd: 'pingresp' })
    expect(await resolved(s.server.clock, second)).toEqual({ roundTripMs: 10 })
    await over(started)
  })

  test('[T8] queued bytes: what the transport has not taken, and what waits', async () => {
    const s = stage({ autoConnack: { properties: { receiveMaximum: 1 } }, autoAck: false })
    const requests = [
      publish('a', 'x'.repeat(1000), { qos: 1 }),
      publish('a', 'x'.repeat(500), { qos: 1 }),
    ]
    const started = startLoop(STILL, requests, undefined, s)
    await s.server.clock.advance(0)
    const { queuedBytes } = started.loop.state.counters
    expect(queuedBytes).toBeGreaterThan(500)
    expect(queuedBytes).toBeLessThan(600)
    await over(started)
  })
})

describe('diagnostics channels', () => {
  type Message = { clientId: string } & Record<string, unknown>

  function hear(name: string): Message[] {
    const heard: Message[] = []
    const listener = (message: unknown) => heard.push(message as Message)
    listen(name, listener)
    onTestFinished(() => void unlisten(name, listener))
    return heard
  }

  test('[T8] packets, transitions and outcomes, of each loop under its client identifier', async () => {
    const packets = hear('it-mqtt:packet')
    const transitions = hear('it-mqtt:transition')
    const outcomes = hear('it-mqtt:outcome')
    const s = stage()
    const requests = [0, 1, 2].map((qos) => publish('a', `${qos}`, { qos: qos as 0 }))
    const options: EventloopOptions = { ...STILL, password: 'secret', username: 'u' }
    const started = startLoop(options, [...requests, subscribe('b')], undefined, {
      ...s,
      silent: true,
    })
    await s.server.clock.advance(0)
    const name = ({ direction, packet }: Message) => `${direction} ${(packet as Request).cmd}`
    expect(packets.map(name).sort()).toEqual(
      [
        ...['connect', 'publish', 'publish', 'publish', 'pubrel', 'subscribe'].map(
          (p) => `sent ${p}`,
        ),
        ...['connack', 'puback', 'pubrec', 'pubcomp', 'suback'].map((p) => `received ${p}`),
      ].sort(),
    )
    expect(JSON.stringify(packets)).not.toMatch(/secret|password/)
    const published = packets.filter(({ packet }) => (packet as Request).cmd === 'publish')
    expect(published.map(({ packet }) => packet)).toMatchObject([
      { topic: 'a', payload: '0', qos: 0 },
      { topic: 'a', payload: '1', qos: 1, messageId: 1, dup: false },
      { topic: 'a', payload: '2', qos: 2, messageId: 2 },
    ])
    expect(transitions.map(({ to }) => to)).toEqual(['connecting', 'connected'])
    expect(
      outcomes.map(({ request, outcome }) => [(request as Request).cmd, outcome]),
    ).toMatchObject([
      ['publish', { ok: true }],
      ['publish', { ok: true }],
      ['subscribe', { ok: true }],
      ['publish', { ok: true }],
    ])
    expect(
      new Set([...packets, ...transitions, ...outcomes].map(({ clientId }) => clientId)),
    ).toEqual(new Set(['test']))
    await over(started)
  })

  test('[T8] [T6] neither passwords nor the words of an authentication are told', async () => {
    const packets = hear('it-mqtt:packet')
    const authenticator = {
      method: 'M',
      *exchange() {
        yield 'hidden-1'
        yield 'hidden-2'
      },
    }
    const started = startLoop({ ...STILL, authenticator })
    started.server.autoConnack = false
    await started.clock.advance(0)
    const properties = { authenticationMethod: 'M', authenticationData: Buffer.from('hidden-3') }
    started.server.current.send({ cmd: 'auth', reasonCode: 0x18, properties })
    await started.clock.advance(0)
    started.server.current.connack({ properties })
    await started.clock.advance(0)
    expect(packets.length).toBe(4)
    const text = JSON.stringify(packets)
    expect(text).not.toMatch(/hidden|authenticationData/)
    await over(started)
  })

  test('[T8] stalls: a consumer, a forgotten acknowledgement, a transport', async () => {
    const stalls = hear('it-mqtt:stall')
    const s = stage()
    const options: EventloopOptions = { ...STILL, maxBufferedPackets: 1, warnAfterMs: 1000 }
    const stalled = startLoop(options, [], undefined, { ...s, manual: true })
    stalled.loop.next()
    await s.server.clock.advance(0)
    const message = { cmd: 'publish', topic: 't', payload: 'x', qos: 0, dup: false, retain: false }
    for (let i = 0; i < 3; i++) s.server.current.send(message as never)
    await s.server.clock.advance(2000)
    await over(stalled)

    const forgets = startLoop(
      { ...STILL, acks: 'manual', warnAfterMs: 1000 },
      [],
      undefined,
      stage(),
    )
    await forgets.clock.advance(0)
    forgets.server.current.send({ ...message, qos: 1, messageId: 1 } as never)
    await forgets.clock.advance(2000)
    await over(forgets)

    const slow = stage()
    const large = Array.from({ length: 20 }, () => publish('a', Buffer.alloc(100_000)))
    const backed = startLoop(STILL, large, undefined, slow)
    await slow.server.clock.advance(0)
    slow.server.current.stall()
    await slow.server.clock.advance(10)
    const kinds = new Set(stalls.map(({ kind }) => kind))
    expect(kinds).toEqual(new Set(['consumer', 'acknowledgement', 'transport']))
    await over(backed)
  })

  test('[T8] where nobody listens nothing is made', async () => {
    const started = startLoop(STILL, [publish('a', '1', { qos: 1 })])
    await started.clock.advance(0)
    const late = hear('it-mqtt:packet')
    await started.clock.advance(1000)
    expect(late).toEqual([])
    await over(started)
  })
})
