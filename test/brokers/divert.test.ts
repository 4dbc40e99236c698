/**
 * Goal: an HTTP endpoint takes over while the broker is frozen, and hands back afterwards. Method:
 * a mosquitto is stopped by SIGSTOP in the middle of a stream and continued by SIGCONT several
 * times; an observer that stays connected, and the endpoint, count what arrived.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { eventloop, publish, subscribe, type Transition } from '../../src/index.ts'
import { HttpIngest } from '../support/http-ingest.ts'
import { DURABLE, Mosquitto, requireMosquitto } from '../support/mosquitto.ts'
import { until } from '../support/process.ts'

/** A client that sees everything that the broker forwards, however late. */
async function observe(url: string, topic: string) {
  const arrived = new Map<string, number>()
  const options = { url, keepAlive: 0, reconnect: 'always', cleanStart: false } as const
  const loop = eventloop(options, [subscribe(topic, { qos: 2 })])
  const reading = (async () => {
    for await (const packet of loop) {
      if (packet.cmd !== 'publish') continue
      const payload = packet.payload.toString()
      arrived.set(payload, (arrived.get(payload) ?? 0) + 1)
    }
  })()
  const granted = () => loop.state.subscriptions.some(({ status }) => status === 'granted')
  await until(granted, 'the observer is subscribed')
  return { loop, arrived, reading }
}

/** Yields one message every two milliseconds, numbered. */
function steady(topic: string, qos: 1 | 2) {
  const stream = {
    produced: 0,
    producing: true,
    async *requests() {
      while (stream.producing) {
        yield publish(topic, `${stream.produced++}`, { qos })
        await sleep(2)
      }
    },
  }
  return stream
}

describe.each([1, 2] as const)('QoS %i', (qos) => {
  test('[T9] the broker freezes and thaws three times: every message arrives exactly once, by MQTT or by HTTP', async (context) => {
    requireMosquitto(context)
    await using broker = await Mosquitto.start(DURABLE)
    const ingest = await HttpIngest.open()
    const topic = `frozen/${qos}`
    const observer = await observe(broker.url, topic)

    const stream = steady(topic, qos)
    const outcomes: boolean[] = []
    const seen: Transition[] = []
    const loop = eventloop(
      {
        url: broker.url,
        // With this default the connection itself outlives the freeze.
        keepAlive: 60,
        cleanStart: false,
        reconnect: 'always',
        until: 'settled',
        divert: { afterMs: 600, to: ingest.post },
        onSettled: (_, { ok }) => outcomes.push(ok),
      },
      stream.requests(),
    )
    const watching = (async () => {
      for await (const transition of loop.transitions()) seen.push(transition)
    })()
    const driving = (async () => {
      for await (const _ of loop);
    })()
    await until(() => observer.arrived.size > 100, 'messages arrive')
    for (let i = 0; i < 3; i++) {
      broker.signal('SIGSTOP')
      await until(() => loop.state.diverting, 'the endpoint takes over', 10_000)
      const before = ingest.arrived.size
      await until(() => ingest.arrived.size > before + 100, 'messages are diverted')
      broker.signal('SIGCONT')
      await until(() => !loop.state.diverting, 'the loop takes over again', 10_000)
      const back = observer.arrived.size
      await until(() => observer.arrived.size > back + 100, 'messages arrive again')
    }
    stream.producing = false
    await driving
    await watching
    await until(
      () => observer.arrived.size + ingest.arrived.size >= stream.produced,
      'everything has arrived',
    )
    observer.loop.shutdown()
    await observer.reading
    await ingest.close()

    const ways = [...observer.arrived.keys()].filter((payload) => ingest.arrived.has(payload))
    expect(ways).toEqual([])
    const counts = [...observer.arrived.values(), ...ingest.arrived.values()]
    expect(counts.every((count) => count === 1)).toBe(true)
    expect(counts.length).toBe(stream.produced)
    expect(outcomes.length).toBe(stream.produced)
    expect(outcomes.every((ok) => ok)).toBe(true)
    expect(ingest.arrived.size).toBeGreaterThan(300)
    // The same connection was kept all the time.
    expect(seen.map(({ to }) => to)).toEqual(['connecting', 'connected', 'closing', 'closed'])
  })

  test('[T9] the broker is away: messages are diverted, and are published again after its restart', async (context) => {
    requireMosquitto(context)
    await using broker = await Mosquitto.start(DURABLE)
    const ingest = await HttpIngest.open()
    const topic = `away/${qos}`
    const observer = await observe(broker.url, topic)
    const stream = steady(topic, qos)
    const loop = eventloop(
      {
        url: broker.url,
        cleanStart: false,
        reconnect: { when: 'always', minMs: 10, maxMs: 200 },
        until: 'settled',
        divert: { afterMs: 600, to: ingest.post },
      },
      stream.requests(),
    )
    const driving = (async () => {
      for await (const _ of loop);
    })()
    await until(() => observer.arrived.size > 100, 'messages arrive')
    // The requests go one after the other, so that each answer is saved in order.
    await broker.down('SIGTERM')
    await until(() => ingest.arrived.size > 100, 'messages are diverted', 10_000)
    await broker.up()
    await until(() => !loop.state.diverting, 'the loop takes over again', 20_000)
    const back = observer.arrived.size
    await until(() => observer.arrived.size > back + 50, 'messages arrive again')
    stream.producing = false
    await driving
    await until(
      () => new Set([...observer.arrived.keys(), ...ingest.arrived.keys()]).size >= stream.produced,
      'everything has arrived',
    )
    observer.loop.shutdown()
    await observer.reading
    await ingest.close()
    const ways = [...observer.arrived.keys()].filter((payload) => ingest.arrived.has(payload))
    expect(ways).toEqual([])
    expect([...ingest.arrived.values()].every((count) => count === 1)).toBe(true)
    if (qos === 2) expect([...observer.arrived.values()].every((count) => count === 1)).toBe(true)
  })
})
