/**
 * Goal: `prometheus()` shows what a bus does, with labels that no other process can choose (B19).
 * Method: buses at a broker in memory, strangers who publish what they like, and the text of a
 * scrape.
 */
import { Registry } from 'prom-client'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { type Bus, defineApi, prometheus } from '../../src/bus/index.ts'
import { answers, auth, BusWorld } from './bus-world.ts'

const ada = { name: 'Ada', age: '36' }

afterEach(() => {
  vi.doUnmock('prom-client')
  vi.resetModules()
})

/** @returns the series of a scrape with their values, without the prefix. */
async function scrape(registry: Registry): Promise<Readonly<Record<string, number>>> {
  const text = await registry.metrics()
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'))
  return Object.fromEntries(
    lines.map((line) => {
      const [, series, value] = /^itmqtt_bus_(.*) (\S+)$/.exec(line)!
      return [series!.replaceAll('"', '').replace('service=server,', ''), Number(value)]
    }),
  )
}

/** @returns the series whose names begin so, that are not 0. */
function some(values: Readonly<Record<string, number>>, begin: RegExp) {
  return Object.fromEntries(
    Object.entries(values).filter(([name, value]) => begin.test(name) && value !== 0),
  )
}

async function shown(bus: Bus): Promise<Registry> {
  const registry = new Registry()
  await prometheus(bus, registry)
  return registry
}

describe('prometheus()', () => {
  test('[B19] counts calls and handlers, and how long they took', async () => {
    const w = new BusWorld()
    const server = w.bus('server')
    const registry = await shown(server)
    server.serve(auth, {
      ...answers,
      length: ((text: string) =>
        new Promise((resolve) => w.clock.setTimer(() => resolve(text.length), 300))) as never,
    })
    const api = server.api(auth)
    // They are there before anything has happened.
    const early = await scrape(registry)
    expect(early['called_rpcs_total{api=auth,name=length}']).toBe(0)
    expect(early['processed_rpcs_total{api=auth,name=length}']).toBe(0)
    expect(early['fired_events_total{api=auth,name=cleared}']).toBe(0)
    await w.run(server)
    for (let call = 0; call < 3; call++) await w.value(api.length('a'), 400)
    await w.error(api.length(7 as never))
    const values = await scrape(registry)
    expect(some(values, /total/)).toEqual({
      'called_rpcs_total{api=auth,name=length}': 4,
      'processed_rpcs_total{api=auth,name=length}': 3,
      'rpc_errors_total{api=auth,name=length,side=call,code=INVALID_INPUT}': 1,
    })
    const rest = 'api=auth,name=length,side=execute'
    const buckets = ['0.25', '0.5', '+Inf'].map(
      (le) => values[`rpc_seconds_bucket{le=${le},${rest}}`],
    )
    expect(buckets).toEqual([0, 3, 3])
    expect(values[`rpc_seconds_sum{${rest}}`]).toBeCloseTo(0.9)
  })

  test('[B19] counts events, what becomes of them, and dead letters', async () => {
    const w = new BusWorld()
    const server = w.bus('server')
    const registry = await shown(server)
    server.serve(auth, answers)
    const outcomes = ['deadLetter', 'retry', 'skip', null] as const
    let turn = 0
    server.api(auth).registered.listen('mail', { onError: (_, error) => error as never }, () => {
      const outcome = outcomes[turn++]
      if (outcome) throw outcome
    })
    await w.run(server)
    expect((await scrape(registry))['dead_letters_total{listener=mail}']).toBe(0)
    for (let event = 0; event < 3; event++) {
      await w.value(server.fire(auth, 'registered', ada), 1000)
    }
    const of = 'api=auth,name=registered,listener=mail'
    expect(some(await scrape(registry), /total/)).toEqual({
      'fired_events_total{api=auth,name=registered}': 3,
      [`processed_events_total{${of}}`]: 1,
      [`listener_errors_total{${of},action=deadLetter}`]: 1,
      [`listener_errors_total{${of},action=retry}`]: 1,
      [`listener_errors_total{${of},action=skip}`]: 1,
      'dead_letters_total{listener=mail}': 1,
    })
    expect((await scrape(registry))[`event_seconds_count{${of}}`]).toBe(4)
  })

  test('[B19] shows how many events wait, and how old the oldest is', async () => {
    const w = new BusWorld()
    const server = w.bus('server')
    const registry = await shown(server)
    server.serve(auth, answers)
    const ends: (() => void)[] = []
    const handler = () => new Promise<void>((resolve) => ends.push(resolve))
    server.api(auth).cleared.listen('slow', {}, handler)
    await w.run(server)
    const seen = async () => {
      const values = await scrape(registry)
      return [
        values['listener_waiting{listener=slow}'],
        values['listener_oldest_seconds{listener=slow}'],
      ]
    }
    expect(await seen()).toEqual([0, 0])
    for (let event = 0; event < 3; event++) await w.value(server.fire(auth, 'cleared'), 1000)
    await w.clock.advance(7000)
    expect(await seen()).toEqual([2, expect.closeTo(10, 0)])
    ends.shift()!()
    await w.clock.advance(100)
    expect(await seen()).toEqual([1, expect.closeTo(9, 0)])
    for (let event = 0; event < 2; event++) {
      ends.shift()!()
      await w.clock.advance(100)
    }
    expect(await seen()).toEqual([0, 0])
  })

  test('[B19] has no label that a stranger has made', async () => {
    const w = new BusWorld()
    const server = w.bus('server')
    const registry = await shown(server)
    server.serve(auth, answers)
    server.api(auth).cleared.listen('mail', { stream: 'api', onError: 'skip' }, () => {})
    await w.run(server)
    const other = defineApi({ name: 'other', version: '1.0.0', rpcs: { work: {} } })
    const stranger = w.running(w.client())
    const responder = stranger.respond('bus/other/v1/rpc/+', (call) =>
      call.fail(`EVIL_${call.key}`),
    )
    await w.value(responder.granted, 100)
    const count = 50
    const tries = []
    for (let n = 0; n < count; n++) {
      tries.push(
        stranger.request(`bus/auth/v1/rpc/evil${n}`, '1').catch(() => {}),
        stranger.request('bus/auth/v1/rpc/length', '1').catch(() => {}),
        stranger.publish(`bus/auth/v1/event/evil${n}`, '1', { qos: 1 }),
        stranger.publish(`bus/auth/v1/event/cleared/evil${n}`, '1', {
          qos: 1,
          properties: { userProperties: { 'itm-by': `evil/${n}`, 'itm-version': `${n}.evil.0` } },
        }),
        server
          .api(other)
          .work()
          .catch(() => {}),
      )
    }
    await w.value(Promise.all(tries), 10_000)
    const text = await registry.metrics()
    expect(text).not.toMatch(/evil/i)
    expect(some(await scrape(registry), /errors|called_|processed_/)).toEqual({
      'called_rpcs_total{api=other,name=work}': count,
      'processed_rpcs_total{api=auth,name=length}': count,
      'processed_rpcs_total{api=auth,name=}': count,
      'rpc_errors_total{api=auth,name=,side=execute,code=UNKNOWN}': count,
      'rpc_errors_total{api=auth,name=length,side=execute,code=BAD_REQUEST}': count,
      'rpc_errors_total{api=other,name=work,side=call,code=REFUSED_BY_RESPONDER}': count,
      'processed_events_total{api=auth,name=cleared,listener=mail}': count,
    })
  })

  test('[B19] shows several buses in one registry, and leaves nothing there', async () => {
    const w = new BusWorld()
    const { server, client } = await w.pair()
    const registry = new Registry()
    const [one, two] = [await prometheus(server, registry), await prometheus(client, registry)]
    expect(await w.error(prometheus(client, registry))).toMatchObject({ name: 'UsageError' })
    await w.value(client.api(auth).length('a'), 100)
    const both = some(await scrape(registry), /rpcs_total/)
    expect(both).toEqual({
      'called_rpcs_total{service=client,api=auth,name=length}': 1,
      'processed_rpcs_total{api=auth,name=length}': 1,
    })
    one[Symbol.dispose]()
    one[Symbol.dispose]()
    await w.value(client.api(auth).length('a'), 100)
    expect(some(await scrape(registry), /rpcs_total/)).toEqual({
      'called_rpcs_total{service=client,api=auth,name=length}': 2,
      'processed_rpcs_total{api=auth,name=length}': 1,
    })
    two[Symbol.dispose]()
    expect(await registry.metrics()).toBe('\n')
    const again = await prometheus(server, registry)
    expect(await registry.metrics()).toContain('itmqtt_bus_called_rpcs_total')
    again[Symbol.dispose]()
  })

  test('[B19] says what it needs', async () => {
    const w = new BusWorld()
    const bus = w.bus('server')
    await expect(prometheus({} as never, new Registry())).rejects.toThrow(/what createBus\(\)/)
    await expect(prometheus(bus, {} as never)).rejects.toThrow(/a Registry of prom-client/)
    vi.doMock('prom-client', () => {
      throw new Error('Cannot find package')
    })
    await expect(prometheus(bus, new Registry())).rejects.toMatchObject({
      ...{ name: 'UsageError', code: 'NO_METRICS' },
      message: expect.stringContaining('npm install prom-client@15'),
    })
  })
})
