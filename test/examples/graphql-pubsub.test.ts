/**
 * Goal: a public program that is written for MQTT.js does the same after its migration. Method: the
 * package graphql-mqtt-subscriptions, unchanged, and docs/examples/migration/graphql-pubsub.ts are
 * used in the same way, each at a broker of its own. What the broker was sent and what listeners
 * were given are compared, over a lost connection too.
 */
import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { MQTTPubSub } from 'graphql-mqtt-subscriptions'
import mqtt from 'mqtt'
import { describe, expect, onTestFinished, test } from 'vitest'
import { MqttPubSub } from '../../docs/examples/migration/graphql-pubsub.ts'
import { createClient } from '../../src/client/index.ts'
import { type BrokerOptions, createBroker, type TestBroker } from '../../src/testing/index.ts'
import { until } from '../support/process.ts'

/** The methods that both have. */
interface Engine {
  publish(trigger: string, payload: unknown): unknown
  subscribe(trigger: string, listener: (payload: unknown) => void): Promise<number>
  unsubscribe(id: number): void
  asyncIterator(triggers: string[]): AsyncIterator<unknown>
}

const CLIENT_ID = 'pubsub'

/** A broker behind a real socket, since MQTT.js dials one. */
class World {
  readonly broker: TestBroker
  url = ''
  isReachable = true

  constructor(options: BrokerOptions = {}) {
    this.broker = createBroker(options)
  }

  static async start(options: BrokerOptions = {}): Promise<World> {
    const world = new World(options)
    const server = createServer((socket) => {
      if (world.isReachable) world.broker.accept(socket)
      else socket.destroy()
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    onTestFinished(() => {
      world.broker.close()
      server.close()
    })
    world.url = `mqtt://127.0.0.1:${(server.address() as AddressInfo).port}`
    return world
  }

  /** What the client is subscribed to now. */
  get filters(): string[] {
    return Object.keys(this.broker.sessions.get(CLIENT_ID)?.subscriptions ?? {}).sort()
  }

  /** Waits until the client is subscribed to these. */
  async subscribedTo(...filters: string[]): Promise<void> {
    await until(
      () => this.filters.join() === filters.join(),
      () => `${filters} in ${this.filters}`,
    )
  }
}

interface Made {
  readonly engine: Engine
  /** Whether the client knows that it is not connected. */
  isDown(): boolean
}

const ENGINES: Record<'before' | 'after', (url: string) => Made> = {
  before(url) {
    const client = mqtt.connect(url, { clientId: CLIENT_ID, reconnectPeriod: 20 })
    onTestFinished(() => client.endAsync(true))
    // Its types are those of MQTT.js 2; its code takes a client of MQTT.js 5.
    const engine = new MQTTPubSub({ client: client as never, connectionListener() {} }) as Engine
    return { engine, isDown: () => !client.connected }
  },
  after(url) {
    const client = createClient({
      url,
      clientId: CLIENT_ID,
      reconnect: { when: 'always', minMs: 20, maxMs: 20 },
    })
    onTestFinished(async () => {
      await client.close()
    })
    const isDown = () => client.state.connection.kind !== 'connected'
    return { engine: new MqttPubSub({ client }), isDown }
  },
}

/** What the engine sent, apart from acknowledgements and pings. */
function sentBy(broker: TestBroker) {
  const published: string[] = []
  const subscribed = new Set<string>()
  const unsubscribed: string[] = []
  for (const { packet } of broker.received) {
    if (packet.cmd === 'publish') {
      published.push(`${packet.topic} ${new TextDecoder().decode(packet.payload as Uint8Array)}`)
      expect([packet.qos, packet.retain]).toEqual([0, false])
    }
    if (packet.cmd === 'subscribe') {
      for (const { topic, qos } of packet.subscriptions) subscribed.add(`${topic} ${qos}`)
    }
    if (packet.cmd === 'unsubscribe') unsubscribed.push(...packet.unsubscriptions)
  }
  return { published, subscribed: [...subscribed].sort(), unsubscribed: unsubscribed.sort() }
}

/** Uses an engine, and waits for each effect before the next step. */
async function story(name: 'before' | 'after') {
  const world = await World.start()
  const { broker } = world
  const { engine, isDown } = ENGINES[name](world.url)
  const given: string[] = []
  const listener = (who: string) => (payload: unknown) => {
    given.push(`${who} ${JSON.stringify(payload)}`)
  }
  const givenBy = (count: number) =>
    until(
      () => given.length >= count,
      () => `${name}: ${count} in ${given.join(', ')}`,
    )
  const a = await engine.subscribe('rooms/kitchen', listener('a'))
  const b = await engine.subscribe('rooms/kitchen', listener('b'))
  await engine.subscribe('rooms/+/light', listener('c'))
  await engine.publish('rooms/kitchen', { celsius: 21 })
  await givenBy(2)
  broker.publish('rooms/kitchen', 'no JSON {')
  await givenBy(4)
  broker.publish('rooms/bath/light', '"on"')
  await givenBy(5)

  engine.unsubscribe(a)
  broker.publish('rooms/kitchen', '22')
  await givenBy(6)

  // The connection is lost. What is published meanwhile is sent later, and nothing is forgotten.
  world.isReachable = false
  broker.kill()
  await until(isDown, 'the loss')
  const published = engine.publish('rooms/cellar', { celsius: 9 })
  world.isReachable = true
  await published
  await until(
    () => broker.packets({ cmd: 'publish', topic: 'rooms/cellar' }).length > 0,
    `${name}: the publish of the outage`,
  )
  await world.subscribedTo('rooms/+/light', 'rooms/kitchen')
  broker.publish('rooms/kitchen', '23')
  await givenBy(7)

  engine.unsubscribe(b)
  await world.subscribedTo('rooms/+/light')
  expect(() => engine.unsubscribe(99)).toThrow('There is no subscription of id "99"')

  const values = engine.asyncIterator(['x', 'y'])
  const first = values.next()
  // Before, what comes right behind the SUBACK is lost; once this is granted, the iterator listens.
  const z = await engine.subscribe('z', listener('z'))
  await world.subscribedTo('rooms/+/light', 'x', 'y', 'z')
  await engine.publish('x', 1)
  await engine.publish('y', { two: 2 })
  const iterated = [await first, await values.next()]
  await values.return?.()
  const after = await values.next()
  engine.unsubscribe(z)
  await world.subscribedTo('rooms/+/light')
  expect(broker.violations).toEqual([])
  return { ...sentBy(broker), given, iterated, after }
}

describe('GraphQL subscriptions', () => {
  test('the same is sent and given before and after the migration', async () => {
    const before = await story('before')
    const after = await story('after')
    expect(after).toEqual(before)
    expect(after).toEqual({
      published: [
        'rooms/kitchen {"celsius":21}',
        'rooms/cellar {"celsius":9}',
        'x 1',
        'y {"two":2}',
      ],
      subscribed: ['rooms/+/light 0', 'rooms/kitchen 0', 'x 0', 'y 0', 'z 0'],
      unsubscribed: ['rooms/kitchen', 'x', 'y', 'z'],
      given: [
        'a {"celsius":21}',
        'b {"celsius":21}',
        'a "no JSON {"',
        'b "no JSON {"',
        'c "on"',
        'b 22',
        'b 23',
      ],
      iterated: [
        { done: false, value: 1 },
        { done: false, value: { two: 2 } },
      ],
      after: { done: true, value: undefined },
    })
  })

  /** What a listener is called with until the last message has come. */
  async function calls(name: 'before' | 'after', world: World, filters: string[]) {
    const { engine } = ENGINES[name](world.url)
    const given: string[] = []
    for (const filter of filters) await engine.subscribe(filter, () => given.push(filter))
    await engine.subscribe('last', () => given.push('last'))
    world.broker.publish('rooms/bath', '1')
    world.broker.publish('last', '1')
    await until(() => given.includes('last'), 'the last message')
    return given
  }

  test('what differs: filters that overlap multiply messages no more', async () => {
    // The broker sends a copy for each filter, and before each copy was given to both listeners.
    const world = await World.start({ overlap: 'separate' })
    const both = ['rooms/+', 'rooms/bath']
    expect((await calls('before', world, both)).sort()).toEqual(['last', ...both, ...both].sort())
    const another = await World.start({ overlap: 'separate' })
    expect((await calls('after', another, both)).sort()).toEqual(['last', ...both])
  })

  test('what differs: retained messages reach the listeners, the second one too', async () => {
    // Before, they came with the SUBACK, and the listener was noted only after it.
    const given = async (name: 'before' | 'after') => {
      const world = await World.start()
      world.broker.publish('state', '"on"', { retain: true })
      return calls(name, world, ['state', 'state'])
    }
    expect(await given('before')).toEqual(['last'])
    expect(await given('after')).toEqual(['state', 'state', 'last'])
  })

  test('what differs: a publish that cannot be sent is an error', async () => {
    const world = await World.start()
    const before = ENGINES.before(world.url).engine
    const cyclic: { self?: unknown } = {}
    cyclic.self = cyclic
    const lost = once(process, 'unhandledRejection').catch(() => {})
    expect(before.publish('a', cyclic)).toBe(true)
    await lost
    const after = ENGINES.after(world.url).engine
    await expect(after.publish('a', cyclic)).rejects.toThrow('could not be encoded')
  })
})
