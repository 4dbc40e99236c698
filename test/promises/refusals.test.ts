/**
 * Goal: no refusal of the server passes unheard. Method: every packet that can refuse, on both
 * versions, with every way of listening and of not listening; the error names topic or filter and
 * the reason.
 */
import { inspect } from 'node:util'
import fc from 'fast-check'
import { pushable } from 'it-pushable'
import type { Packet } from 'mqtt-packet'
import { describe, expect, test } from 'vitest'
import {
  type EventloopOptions,
  type Incoming,
  publish,
  RefusedError,
  type Request,
  run,
  subscribe,
  unsubscribe,
} from '../../src/index.ts'
import { peek, VirtualClock } from '../support/clock.ts'
import { startLoop } from '../support/loop.ts'
import { ScriptedServer, type ServerConnection } from '../support/server.ts'

const OPTIONS: EventloopOptions = { keepAlive: 0, cleanStart: false, until: 'closed' }

/** How a server answers a request with these codes. */
function answer(connection: ServerConnection, packet: Packet, codes: readonly number[]): void {
  const { messageId } = packet
  const id = messageId === undefined ? {} : { messageId }
  if (packet.cmd === 'publish') {
    const cmd = packet.qos === 2 ? 'pubrec' : 'puback'
    connection.send({ cmd, ...id, reasonCode: codes[0]! })
  } else if (packet.cmd === 'subscribe')
    connection.send({ cmd: 'suback', ...id, granted: [...codes] })
  else if (packet.cmd === 'unsubscribe')
    connection.send({ cmd: 'unsuback', ...id, granted: [...codes] })
  else connection.acknowledge(packet)
}

/** A server that answers each kind of request with these codes. */
function refusing(codes: readonly number[]): ScriptedServer {
  const server = new ScriptedServer(new VirtualClock())
  server.onConnection = (connection) => {
    connection.autoAck = (packet) => {
      if (!/^(publish|subscribe|unsubscribe)$/.test(packet.cmd)) return true
      answer(connection, packet as Packet, codes)
      return false
    }
  }
  return server
}

interface Refusal {
  readonly request: Request
  readonly codes: readonly number[]
  readonly message: string
  readonly versions: readonly (4 | 5)[]
}

const REFUSALS: Record<string, Refusal> = {
  PUBACK: {
    request: publish('a/b', 'x', { qos: 1 }),
    codes: [0x87],
    message: 'The server refused the publish to "a/b" at QoS 1: not authorized (0x87).',
    versions: [5],
  },
  PUBREC: {
    request: publish('a/b', 'x', { qos: 2 }),
    codes: [0x97],
    message: 'The server refused the publish to "a/b" at QoS 2: quota exceeded (0x97).',
    versions: [5],
  },
  SUBACK: {
    request: subscribe('a/#'),
    codes: [0x87],
    message: 'The server refused to subscribe to "a/#": not authorized (0x87).',
    versions: [5],
  },
  'SUBACK 0x80': {
    request: subscribe('a/#'),
    codes: [0x80],
    message: 'The server refused to subscribe to "a/#": unspecified error (0x80).',
    versions: [4, 5],
  },
  'SUBACK, one of two': {
    request: subscribe(['a/#', 'b']),
    codes: [1, 0x80],
    message: 'The server refused to subscribe to "b": unspecified error (0x80). It granted "a/#".',
    versions: [4, 5],
  },
  'SUBACK, three of five': {
    request: subscribe(['a', 'b', 'c', 'd', 'e']),
    codes: [0x87, 0, 0x97, 0x87, 2],
    message:
      'The server refused to subscribe to "a", "d": not authorized (0x87); "c": quota exceeded' +
      ' (0x97). It granted "b", "e".',
    versions: [5],
  },
  'UNSUBACK, one of two': {
    request: unsubscribe(['a', 'b']),
    codes: [0x11, 0x87],
    message:
      'The server refused to unsubscribe from "b": not authorized (0x87). It unsubscribed "a".',
    versions: [5],
  },
}

const CASES = Object.entries(REFUSALS).flatMap(([name, refusal]) =>
  refusal.versions.map((version) => ({ name, version, ...refusal })),
)

/** Ways to look at the code of a packet. */
const LOOKS: Record<string, (packet: Incoming) => unknown> = {
  'reading it': (packet) =>
    'granted' in packet ? packet.granted : (packet as never)['reasonCode'],
  'taking the packet apart': (packet) => {
    const { granted, reasonCode } = packet as { granted?: unknown; reasonCode?: unknown }
    return [granted, reasonCode]
  },
  'copying it': (packet) => ({ ...packet }),
  'writing it as JSON': (packet) => JSON.stringify(packet),
  'printing it': (packet) => inspect(packet),
}

describe.each(CASES)('[D6] $name, MQTT $version', ({ request, codes, message, version }) => {
  const options: EventloopOptions = { ...OPTIONS, protocolVersion: version }

  test('that nobody heard ends the loop with an error that names it and the reason', async () => {
    const server = refusing(codes)
    const s = startLoop(options, [request], undefined, { server, silent: true })
    await server.clock.advance(5000)
    expect(s.ended).toBe(true)
    expect(s.error).toBeInstanceOf(RefusedError)
    expect(s.error).toMatchObject({ code: 'NEGATIVE_ACKNOWLEDGEMENT', message })
    expect([server.clock.pendingTimers, server.open]).toEqual([0, 0])
    expect(server.packets.at(-1)!.cmd).toBe('disconnect')
  })

  test('the loop ends with it, too, if it was ending anyway', async () => {
    for (const ending of [{ until: 'settled' }, { until: 'idle' }] as const) {
      const server = refusing(codes)
      const s = startLoop({ ...options, ...ending }, [request], undefined, { server, silent: true })
      await server.clock.advance(5000)
      expect(s.error).toMatchObject({ message })
    }
  })

  test.each(Object.keys(LOOKS))('%s is hearing it: the loop goes on', async (look) => {
    const server = refusing(codes)
    const s = startLoop(options, [request], undefined, { server, silent: true, manual: true })
    let seen: unknown
    const consume = (async () => {
      for await (const packet of s.loop) {
        server.clock.touch()
        if (/ack|rec/.test(packet.cmd) && packet.cmd !== 'connack') seen = LOOKS[look]!(packet)
      }
    })()
    await server.clock.advance(5000)
    expect(inspect(seen)).toContain(String(codes.at(-1)))
    expect(inspect(seen)).not.toMatch(/Getter/)
    expect(s.loop.state.connection.kind).toBe('connected')
    s.loop.shutdown()
    await server.clock.advance(1000)
    expect(await peek(server.clock, consume)).toEqual({ value: undefined })
  })

  test('onSettled or settled hear it: the error has the codes, and the packet is plain', async () => {
    const server = refusing(codes)
    const s = startLoop(options, [request], undefined, { server })
    await server.clock.advance(5000)
    expect(s.ended).toBe(false)
    const [{ outcome } = { outcome: undefined }] = s.outcomes
    expect(outcome).toMatchObject({ ok: false, error: { message } })
    const error = (outcome as { error: RefusedError }).error
    const filters = (wanted: boolean) =>
      (request.cmd === 'subscribe'
        ? request.subscriptions.map(({ topic }) => topic)
        : request.cmd === 'unsubscribe'
          ? request.unsubscriptions
          : []
      ).flatMap((topic, i) =>
        codes[i]! >= 0x80 === wanted ? [{ topic, reasonCode: codes[i] }] : [],
      )
    expect([error.refused, error.granted]).toEqual([filters(true), filters(false)])
    expect(error.reasonCode).toBe(codes.find((code) => code >= 0x80))
    const packet = s.received.find(({ cmd }) => cmd !== 'connack')!
    const name = 'granted' in packet ? 'granted' : 'reasonCode'
    expect(Object.getOwnPropertyDescriptor(packet, name)).toHaveProperty('value')
    await s.loop.return()

    const heard: unknown[] = []
    const stream = Object.assign([request], {
      settled: (...all: unknown[]) => void heard.push(all),
    })
    const t = startLoop(options, stream, undefined, { server, silent: true })
    await server.clock.advance(5000)
    expect([t.ended, heard.length]).toEqual([false, 1])
    await t.loop.return()
  })

  test('a consumer that leaves with it, or was not given it, is told nothing more', async () => {
    const server = refusing(codes)
    const s = startLoop(options, [request], undefined, { server, silent: true, manual: true })
    for await (const packet of s.loop) if (packet.cmd !== 'connack') break
    expect(await peek(server.clock, s.loop.next())).toMatchObject({ value: { done: true } })
    await server.clock.advance(1000)
  })
})

describe('[D6] refusals', () => {
  test('the reason that the server gives is told, control characters escaped', async () => {
    const server = new ScriptedServer(new VirtualClock(), { autoAck: false })
    const s = startLoop(OPTIONS, [publish('t', 'x', { qos: 1 })], undefined, { server })
    await server.clock.advance(0)
    const properties = { reasonString: 'no "writes"\u001b[2J here' }
    server.current.send({ cmd: 'puback', messageId: 1, reasonCode: 0x87, properties })
    await server.clock.advance(0)
    const { outcome } = s.outcomes[0]!
    expect(outcome.ok ? '' : (outcome.error as Error).message).toBe(
      'The server refused the publish to "t" at QoS 1: not authorized (0x87). It says' +
        ' "no \\"writes\\"\\u001b[2J here".',
    )
    await s.loop.return()
  })

  test('other failures name the request too', async () => {
    const server = new ScriptedServer(new VirtualClock())
    server.autoConnack = { properties: { retainAvailable: false, maximumPacketSize: 100 } }
    const requests = [
      publish('kept', 'x', { retain: true }),
      publish('large', 'x'.repeat(1000)),
      publish(`long/${'x'.repeat(10_000)}`, 'x'),
    ]
    const s = startLoop(OPTIONS, requests, undefined, { server })
    await server.clock.advance(0)
    const messages = s.outcomes.map(({ outcome }) =>
      outcome.ok ? '' : (outcome.error as Error).message,
    )
    expect(messages[0]).toBe(
      'The server does not take retained messages: the publish to "kept" at QoS 0.',
    )
    expect(messages[1]).toContain('(Maximum Packet Size): the publish to "large" at QoS 0.')
    expect(messages[2]!.length).toBeLessThan(500)
    await s.loop.return()
  })

  test('the code may be read until next() is called again, and good answers need no look', async () => {
    const server = refusing([0x87])
    const requests = pushable<Request>({ objectMode: true })
    const s = startLoop(OPTIONS, requests, undefined, { server, silent: true, manual: true })
    const next = async () => {
      const result = await peek(server.clock, s.loop.next())
      if (result === 'pending' || 'error' in result)
        throw result === 'pending' ? 'pending' : result.error
      return result.value.value
    }
    await next()
    requests.push(publish('t', '1', { qos: 1 }))
    const first = await next()
    await server.clock.advance(60_000)
    expect(s.loop.state.connection.kind).toBe('connected')
    expect(first?.cmd === 'puback' && first.reasonCode).toBe(0x87)
    requests.push(publish('t', '2', { qos: 1 }))
    await next()
    const last = s.loop.next()
    // It is looked at after the clock was moved.
    last.catch(() => {})
    await server.clock.advance(1000)
    expect(await peek(server.clock, last)).toMatchObject({ error: { reasonCode: 0x87 } })
    expect(await peek(server.clock, s.loop.next())).toMatchObject({ value: { done: true } })
  })

  test('[D6] reauthenticate without an authenticator ends the loop if nobody is told', async () => {
    const server = new ScriptedServer(new VirtualClock())
    // A list of its own for each loop: a list that is given again goes on where it was left.
    const controls = () => [{ cmd: 'reauthenticate' } as const]
    const s = startLoop(OPTIONS, controls(), undefined, { server, silent: true })
    await server.clock.advance(1000)
    expect(s.error).toMatchObject({ code: 'NO_AUTHENTICATOR' })
    const told = startLoop(OPTIONS, controls(), undefined, {
      server: new ScriptedServer(new VirtualClock()),
    })
    await told.clock.advance(1000)
    const outcome = { ok: false, error: { code: 'NO_AUTHENTICATOR' } }
    expect(told.outcomes).toMatchObject([{ outcome }])
    expect(told.ended).toBe(false)
    await told.loop.return()
  })

  test('a cancelled request whose refusal comes later is told already', async () => {
    const server = new ScriptedServer(new VirtualClock(), { autoAck: false })
    const controller = new AbortController()
    const request = { ...publish('t', 'x', { qos: 1 }), signal: controller.signal }
    const s = startLoop(OPTIONS, [request], undefined, { server, silent: true })
    await server.clock.advance(0)
    controller.abort()
    await server.clock.advance(0)
    server.current.send({ cmd: 'puback', messageId: 1, reasonCode: 0x87 })
    await server.clock.advance(1000)
    expect(s.ended).toBe(false)
    await s.loop.return()
  })

  test('a renewal that is refused is warned of, with the reason', async () => {
    const server = new ScriptedServer(new VirtualClock())
    const s = startLoop({ ...OPTIONS, reconnect: 'always' }, [subscribe('a/#')], undefined, {
      server,
    })
    await server.clock.advance(1000)
    server.onConnection = (connection) => {
      connection.autoAck = (packet) => {
        if (packet.cmd === 'subscribe') answer(connection, packet as Packet, [0x87])
        return packet.cmd !== 'subscribe'
      }
    }
    server.current.reset()
    await server.clock.advance(60_000)
    expect(s.warnings).toMatchObject([
      {
        code: 'RENEWAL_REFUSED',
        message: expect.stringMatching(/"a\/#".*not authorized \(0x87\)/),
      },
    ])
    await s.loop.return()
  })

  test('any mixture of answers and looks: the loop ends exactly if a refusal was not looked at', async () => {
    const plan = fc.array(
      fc.record({ code: fc.constantFrom(0, 0x10, 0x87, 0x97), look: fc.boolean() }),
      {
        minLength: 1,
        maxLength: 20,
      },
    )
    await fc.assert(
      fc.asyncProperty(plan, async (answers) => {
        const server = new ScriptedServer(new VirtualClock())
        let asked = 0
        server.onConnection = (connection) => {
          connection.autoAck = (packet) => {
            if (packet.cmd !== 'publish') return true
            answer(connection, packet as Packet, [answers[asked++]!.code])
            return false
          }
        }
        const requests = answers.map((_, i) => publish('t', `${i}`, { qos: 1 }))
        const options: EventloopOptions = { ...OPTIONS, until: 'settled' }
        const s = startLoop(options, requests, undefined, { server, silent: true, manual: true })
        const consume = (async () => {
          let i = 0
          for await (const packet of s.loop) {
            server.clock.touch()
            if (packet.cmd === 'puback' && answers[i++]!.look) void packet.reasonCode
          }
        })()
        // It is looked at after the clock was moved.
        consume.catch(() => {})
        await server.clock.advance(5000)
        const unheard = answers.find(({ code, look }) => code >= 0x80 && !look)
        expect(await peek(server.clock, consume)).toMatchObject(
          unheard === undefined ? { value: undefined } : { error: { reasonCode: unheard.code } },
        )
      }),
      { numRuns: 200 },
    )
  })
})

describe('run()', () => {
  test('[D6] shows the reason codes, and how many publishes nobody received', async () => {
    const server = new ScriptedServer(new VirtualClock())
    const codes = [0, 0x10, 0x87, 0x10]
    server.onConnection = (connection) => {
      connection.autoAck = (packet) => {
        const publishes = packet.cmd === 'publish' && packet.qos > 0
        const needs = publishes || packet.cmd === 'subscribe'
        if (!needs) return true
        answer(
          connection,
          packet as Packet,
          packet.cmd === 'subscribe' ? [1, 0x87] : [codes.shift()!],
        )
        return false
      }
    }
    const requests = [
      publish('a', '1', { qos: 1 }),
      publish('a', '2', { qos: 1 }),
      publish('a', '3', { qos: 1 }),
      publish('a', '4', { qos: 2 }),
      publish('a', '5'),
      subscribe(['f', 'g']),
    ]
    const options = {
      platform: server.clock,
      transport: server.transport,
      clientId: 'c',
      keepAlive: 0,
    }
    const running = run(options, requests)
    await server.clock.advance(2000)
    const result = await peek(server.clock, running)
    expect(result).toMatchObject({
      value: { settled: 6, unmatched: 2, reasonCodes: { 0: 1, 1: 1, 16: 2, 135: 2 } },
    })
  })
})
