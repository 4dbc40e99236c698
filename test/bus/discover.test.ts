/**
 * Goal: a bus finds the processes that run, what they serve and how they fare, and takes nothing of
 * an answer that is not as docs/WIRE.md says (B20). Method: buses at a broker in memory in both
 * versions of MQTT; strangers who answer; a table of answers for the pure reader.
 */
import { describe, expect, test } from 'vitest'
import { readControlAnswer } from '../../src/bus/control-wire.ts'
import {
  type Bus,
  type DiscoveredProcess,
  type DiscoverOptions,
  defineApi,
} from '../../src/bus/index.ts'
import { answers, auth, BusWorld } from './bus-world.ts'

const plain = defineApi({ name: 'shop/cart', version: '2.0.1', rpcs: { add: {} } })

/** @returns what is discovered within the time. */
function found(w: BusWorld, bus: Bus, options: DiscoverOptions = {}): Promise<DiscoveredProcess[]> {
  const all = async () => {
    const list: DiscoveredProcess[] = []
    for await (const one of bus.discover(options)) list.push(one)
    return list.sort((a, b) =>
      `${a.service}/${a.process}`.localeCompare(`${b.service}/${b.process}`),
    )
  }
  return w.value(all(), 3000)
}

const namesOf = (list: readonly DiscoveredProcess[]) =>
  list.map(({ service, process }) => `${service}/${process}`)

describe.each([5, 4] as const)('discover(), MQTT %i', (version) => {
  test('[B20] yields processes with their APIs, listeners and numbers', async () => {
    const w = new BusWorld(version)
    const server = w.bus('server', { process: 'a/b c+1' })
    server.serve(auth, answers)
    server.serve(plain, { add: () => {} })
    server.api(auth).cleared.listen('mail', {}, () => {})
    server.every({ seconds: 0.05 }, () => {}, { name: 'tick' })
    server.every({ days: 1 }, () => {}, { name: 'daily' })
    await w.run(server)
    const other = w.bus('client')
    for (let call = 0; call < 3; call++) await w.value(other.api(auth).length('a'), 100)
    await w.error(other.api(auth).check({ name: 'a', at: 7 } as never), 100)
    await w.value(server.fire(auth, 'cleared'), 100)
    const [one, ...more] = await found(w, other)
    expect(more).toEqual([])
    expect(one).toMatchObject({
      ...{ service: 'server', process: 'a/b c+1' },
      apis: [
        {
          ...{ name: 'auth', version: '1.2.0', rpcs: ['check', 'echo', 'length', 'reset'] },
          events: ['registered', 'cleared'],
          stats: { received: 3, answered: 3, failed: 0, running: 0 },
        },
        { name: 'shop/cart', version: '2.0.1', rpcs: ['add'], events: [] },
      ],
      listeners: [{ name: 'mail', events: ['auth/cleared'], waiting: 0, stats: { handled: 1 } }],
      tasks: [
        { name: 'tick', stats: { running: 0, skipped: 0, missed: 0, passed: 0 } },
        { name: 'daily', stats: { handled: 0 } },
      ],
    })
    const [tick, daily] = one!.tasks
    expect(tick!.stats.handled).toBeGreaterThan(5)
    expect(daily!.nextAt! - tick!.nextAt!).toBeGreaterThan(86_390_000)
    expect(one!.uptimeMs).toBeGreaterThan(400)
    expect(one!.uptimeMs).toBeLessThan(1000)
  })

  test('[B20] asks all, a service, or one process, or for an API', async () => {
    const w = new BusWorld(version)
    for (const [service, api] of [
      ['one', auth],
      ['one', auth],
      ['two', plain],
    ] as const) {
      const bus = w.bus(service)
      if (api === auth) bus.serve(auth, answers)
      else bus.serve(plain, { add: () => {} })
      await w.run(bus)
    }
    const idle = w.bus('idle')
    const names = async (options: DiscoverOptions) => namesOf(await found(w, idle, options))
    expect(await names({})).toEqual(['one/p0', 'one/p1', 'two/p2'])
    expect(await names({ service: 'one' })).toEqual(['one/p0', 'one/p1'])
    expect(await names({ service: 'one', process: 'p1' })).toEqual(['one/p1'])
    expect(await names({ service: 'two', process: 'p1' })).toEqual([])
    expect(await names({ api: 'auth' })).toEqual(['one/p0', 'one/p1'])
    expect(await names({ api: 'none' })).toEqual([])
    expect(await names({ max: 2 })).toHaveLength(2)
    expect(await names({ timeoutMs: 2000 })).toHaveLength(3)
  })

  test('[B20] PING and INFO say less, and other verbs are not known', async () => {
    const w = new BusWorld(version)
    await w.pair()
    const client = w.client()
    const ask = async (verb: string) => {
      const { payload } = await client.request(`bus/_control/${verb}/server`, '')
      return JSON.parse(new TextDecoder().decode(payload))
    }
    const who = { itm: 1, service: 'server', process: 'p0' }
    expect(await w.value(ask('PING'), 100)).toEqual(who)
    const info = await w.value(ask('INFO'), 100)
    expect(info).toEqual({
      ...{ ...who, uptimeMs: expect.any(Number), listeners: [], tasks: [] },
      apis: [expect.not.objectContaining({ stats: expect.anything() })],
    })
    expect(await w.error(ask('RESTART'), 100)).toMatchObject({ code: 'UNKNOWN' })
  })

  test('[B20] passes over what strangers answer, and tells once', async () => {
    const w = new BusWorld(version)
    const stranger = w.running(w.client())
    const payloads = ['no JSON', '{}', '[]', JSON.stringify({ itm: 1, service: 'evil' })]
    for (const payload of payloads) {
      await w.value(stranger.respond('bus/_control/+', () => payload).granted, 100)
    }
    await w.pair()
    expect(namesOf(await found(w, w.bus('asks')))).toEqual(['server/p0'])
    expect(w.warnings.map(({ code }) => code)).toEqual(['ANSWER_PASSED_OVER'])
    expect(w.warnings[0]!.message).toMatch(
      /^discover: 4 of the answers were passed over; the first/,
    )
  })

  test('[B20] goes on after an answer that refuses', async () => {
    const w = new BusWorld(version)
    await w.pair()
    const stranger = w.running(w.client())
    let refusals = 0
    const responder = stranger.respond('bus/_control/+', (call) => {
      if (refusals++ === 0) return call.fail('NO')
      return new Promise(() => {})
    })
    await w.value(responder.granted, 100)
    expect(namesOf(await found(w, w.bus('asks')))).toEqual(['server/p0'])
    expect(w.codes()).toEqual(['ANSWER_PASSED_OVER'])
  })
})

test('[B20] without a connection it rejects, and does not say that nobody is there', async () => {
  const w = new BusWorld()
  w.broker.faults.drop({ cmd: 'connect' })
  const bus = w.bus('asks')
  expect(await w.error(bus.discover()[Symbol.asyncIterator]().next(), 2000)).toMatchObject({
    code: 'TIMEOUT',
  })
})

test('[B20] `control: false` answers nobody, and subscribes to nothing', async () => {
  const w = new BusWorld()
  const quiet = await w.run(w.bus('quiet', { control: false }))
  await w.run(w.bus('loud'))
  expect(namesOf(await found(w, quiet))).toEqual(['loud/p1'])
  const filters = w.broker
    .packets({ cmd: 'subscribe' })
    .flatMap((packet) => (packet as { subscriptions?: { topic: string }[] }).subscriptions ?? [])
  expect(filters.filter(({ topic }) => topic.includes('_control'))).toHaveLength(3)
})

test('[B20] a server that refuses the control topics is told, and the bus runs', async () => {
  const w = new BusWorld(5, { wildcardAvailable: false })
  await w.run(w.bus('a'))
  expect(w.codes()).toEqual(['CONTROL_REFUSED'])
  expect(w.failures).toEqual([])
})

test('[B20] a run that ends without a connection does not say that control topics are refused', async () => {
  const w = new BusWorld()
  w.broker.refuseConnections(0x86)
  await w.run(w.bus('a'))
  expect(w.failures).toMatchObject([{ code: 'BAD_CREDENTIALS' }])
  expect(w.codes()).toEqual([])
})

test.each([
  [['rpcs'], ['auth'], [], []],
  [['events'], [], ['mail'], []],
  [['tasks'], [], [], ['daily']],
] as const)(
  '[B20] a process that only does %j answers with no more than that',
  async (only, apis, names, tasks) => {
    const w = new BusWorld()
    const worker = w.bus('worker')
    worker.serve(auth, answers)
    worker.api(auth).cleared.listen('mail', {}, () => {})
    worker.every({ days: 1 }, () => {}, { name: 'daily' })
    worker.run({ only }).catch((error: unknown) => w.failures.push(error))
    // It can be found when what it serves is granted.
    await w.clock.advance(100)
    const [one] = await found(w, w.bus('asks'))
    expect(one!.apis.map(({ name }) => name)).toEqual(apis)
    expect(one!.listeners.map(({ name }) => name)).toEqual(names)
    expect(one!.tasks.map(({ name }) => name)).toEqual(tasks)
  },
)

test.each([
  [{ api: '' }, /discover: api/],
  [{ api: 7 }, /discover: api/],
  [{ service: 'a/b' }, /discover: service/],
  [{ process: 'p' }, /process needs service/],
  [{ service: 'a', process: 7 }, /process must be a text/],
  [{ timeoutMs: 0 }, /discover: timeoutMs/],
  [{ max: 0 }, /discover: max/],
  [{ wait: 1 }, /no field "wait"/],
])('[B20] %j is refused', (options, message) => {
  const bus = new BusWorld().bus('a')
  expect(() => bus.discover(options as never)).toThrow(message)
})

describe('answers', () => {
  const stats = { received: 1 }
  const api = { name: 'a/b', version: '1.0.0', rpcs: ['x'], events: ['y'], stats }
  const listener = { name: 'l', events: ['a/b/y'], waiting: 0, stats: {} }
  const good = {
    ...{ itm: 1, service: 's', process: 'p/1 é', uptimeMs: 5 },
    ...{ apis: [api], listeners: [listener] },
  }
  const bytes = (value: unknown) =>
    new TextEncoder().encode(typeof value === 'string' ? value : JSON.stringify(value))

  test('[B20] that are good are read, and what a later version adds is passed over', () => {
    const more = {
      ...good,
      future: [],
      apis: [{ ...api, future: 1, stats: { ...stats, more: 'x' } }],
    }
    const read = readControlAnswer(bytes(more)) as DiscoveredProcess
    expect(read.apis[0]!.stats).toMatchObject({ received: 1, answered: 0, abandoned: 0 })
    const names = ['service', 'process', 'uptimeMs', 'apis', 'listeners', 'tasks']
    expect(Object.keys(read)).toEqual(names)
    // An earlier version names no tasks.
    expect(read.tasks).toEqual([])
    const tasks = [{ name: 't', nextAt: 5, stats: { handled: 2, more: 1 }, future: 1 }]
    expect(readControlAnswer(bytes({ ...good, tasks }))).toMatchObject({
      tasks: [{ name: 't', nextAt: 5, stats: { handled: 2, passed: 0 } }],
    })
    expect(Object.keys(read.apis[0]!.stats)).not.toContain('more')
  })

  test.each([
    ['', /not JSON/],
    ['nul', /not JSON/],
    [null, /^it /],
    [[good], /^it/],
    [{ ...good, itm: 2 }, /itm/],
    [{ ...good, service: 'a/b' }, /service/],
    [{ ...good, service: ['s'] }, /service/],
    [{ ...good, process: '' }, /process/],
    [{ ...good, process: 'x'.repeat(201) }, /process/],
    [{ ...good, process: 'a\u001b[2J' }, /process/],
    [{ ...good, uptimeMs: -1 }, /uptimeMs/],
    [{ ...good, uptimeMs: 1e300 }, /uptimeMs/],
    [{ ...good, uptimeMs: '5' }, /uptimeMs/],
    [{ ...good, apis: {} }, /apis/],
    [{ ...good, apis: [null] }, /apis/],
    [{ ...good, apis: [{ ...api, name: '_control' }] }, /apis: name/],
    [{ ...good, apis: [{ ...api, name: 'a/v1' }] }, /apis: name/],
    [{ ...good, apis: [{ ...api, version: 'zzz' }] }, /apis: version/],
    [{ ...good, apis: [{ ...api, rpcs: 'x' }] }, /apis: rpcs/],
    [{ ...good, apis: [{ ...api, rpcs: [{}] }] }, /apis: rpcs/],
    [{ ...good, apis: [{ ...api, events: ['a b'] }] }, /apis: events/],
    [{ ...good, apis: [{ ...api, stats: null }] }, /apis: stats/],
    [{ ...good, apis: [{ ...api, stats: { failed: 'x' } }] }, /apis: stats\.failed/],
    [{ ...good, listeners: [{ ...listener, name: '#' }] }, /listeners: name/],
    [{ ...good, listeners: [{ ...listener, events: ['y'] }] }, /listeners: events/],
    [{ ...good, listeners: [{ ...listener, events: [7] }] }, /listeners: events/],
    [{ ...good, listeners: [{ ...listener, waiting: 0.5 }] }, /listeners: waiting/],
    [{ ...good, listeners: [{ ...listener, stats: { dead: -1 } }] }, /listeners: stats\.dead/],
    [{ ...good, tasks: {} }, /tasks/],
    [{ ...good, tasks: [{ name: 't' }] }, /tasks: nextAt/],
    [{ ...good, tasks: [{ name: 'a b', nextAt: null, stats: {} }] }, /tasks: name/],
    [{ ...good, tasks: [{ name: 't', nextAt: null, stats: { missed: '1' } }] }, /tasks: stats/],
    [{ ...good, future: 'x'.repeat(262_144) }, /bytes, and at most 262144/],
    ['{"__proto__":{"itm":1}}', /itm/],
  ])('[B20] %j is passed over', (value, why) => {
    expect(readControlAnswer(bytes(value))).toMatch(why)
  })
})
