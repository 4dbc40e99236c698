/**
 * Goal: what Sentry gets of requests. Method: an object with Sentry's two methods, and clients at a
 * broker in memory that fail in every way that is captured.
 */
import { channel } from 'node:diagnostics_channel'
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import {
  type ReportingOptions,
  reportRequests,
  type SentryLike,
} from '../../docs/examples/observability/sentry.ts'
import { World } from '../client/world.ts'

type Breadcrumb = Parameters<SentryLike['addBreadcrumb']>[0]
type Context = Parameters<SentryLike['captureException']>[1]

/** Keeps what the real one would send. */
class FakeSentry implements SentryLike {
  readonly breadcrumbs: Breadcrumb[] = []
  readonly captured: { readonly error: Error; readonly context: Context }[] = []

  addBreadcrumb(breadcrumb: Breadcrumb): void {
    this.breadcrumbs.push(breadcrumb)
  }

  captureException(error: unknown, context: Context): string {
    this.captured.push({ error: error as Error, context })
    return 'event-id'
  }
}

describe('requests in Sentry', () => {
  let world: World
  let sentry: FakeSentry

  beforeEach(() => {
    world = new World()
    sentry = new FakeSentry()
  })

  function reporting(options: ReportingOptions = {}): Disposable {
    const reporter = reportRequests(sentry, { now: () => world.clock.now(), ...options })
    onTestFinished(() => reporter[Symbol.dispose]())
    return reporter
  }

  test('a request that is answered is a breadcrumb, without its payload', async () => {
    reporting()
    const client = world.running(world.client())
    client.respond('door/1', () => 'opened')
    await world.value(client.request('door/1', 'secret', { key: 'k' }))
    expect(sentry.captured).toEqual([])
    expect(sentry.breadcrumbs).toEqual([
      {
        category: 'mqtt.request',
        type: 'default',
        level: 'info',
        message: 'door/1: answered after 0 ms',
        data: { topic: 'door/1', key: 'k', attempt: 1, code: null, ms: 0, via: 'mqtt' },
      },
    ])
    expect(JSON.stringify(sentry.breadcrumbs)).not.toContain('secret')
  })

  test('a failure is captured too, grouped by its code and the name of the topic', async () => {
    reporting({ nameOf: (topic) => topic.replace(/\d+/, '{id}') })
    const client = world.running(world.client())
    await world.error(client.request('door/7', 'x', { key: 'k' }))
    expect(sentry.breadcrumbs.map(({ level }) => level)).toEqual(['warning'])
    const [{ error, context }] = sentry.captured as [(typeof sentry.captured)[0]]
    expect(error.message).toBe('the request to door/{id} failed: NO_RESPONDERS')
    expect(error.stack).toBe(`RequestFailed: ${error.message}`)
    expect(context).toEqual({
      level: 'error',
      fingerprint: ['it-mqtt', 'NO_RESPONDERS', 'door/{id}'],
      tags: { 'mqtt.code': 'NO_RESPONDERS', 'mqtt.client_id': 'c0', 'mqtt.via': 'mqtt' },
      extra: { topic: 'door/7', key: 'k', attempt: 1, ms: 0, suppressed: 0 },
    })
  })

  test('handlers that throw and answers that do not come are captured with their codes', async () => {
    reporting()
    const client = world.running(world.client())
    client.respond('broken', () => {
      throw new Error('no')
    })
    client.respond('mute', () => new Promise(() => {}))
    await world.error(client.request('broken', 'x'))
    await world.error(client.request('mute', 'x', { timeout: 50 }), 100)
    expect(sentry.captured.map(({ context }) => context.tags['mqtt.code'])).toEqual([
      'RESPONDER_FAILED',
      'TIMEOUT',
    ])
  })

  test('what a responder declares and what the caller aborts are breadcrumbs only', async () => {
    reporting()
    const client = world.running(world.client())
    client.respond('stock', (request) => request.fail('SOLD_OUT', 'none left'))
    client.respond('mute', () => new Promise(() => {}))
    await world.error(client.request('stock', 'x'))
    const controller = new AbortController()
    const aborted = client.request('mute', 'x', { signal: controller.signal })
    await world.clock.advance(0)
    controller.abort()
    await world.error(aborted)
    expect(sentry.breadcrumbs.map(({ data }) => data['code'])).toEqual(['SOLD_OUT', 'CANCELLED'])
    expect(sentry.captured).toEqual([])
  })

  test('an outage is captured once a minute for each group, with the number of the others', async () => {
    reporting()
    const client = world.running(world.client())
    const fail = (topic: string) => world.error(client.request(topic, 'x'))
    for (let i = 0; i < 5; i++) await fail('a')
    await fail('b')
    expect(sentry.captured).toHaveLength(2)
    await world.clock.advance(60_000)
    await fail('a')
    expect(sentry.captured).toHaveLength(3)
    expect(sentry.captured[2]?.context.extra['suppressed']).toBe(4)
    expect(sentry.breadcrumbs).toHaveLength(7)
  })

  test('the codes that are captured are a choice', async () => {
    reporting({ captured: ['SOLD_OUT'] })
    const client = world.running(world.client())
    client.respond('stock', (request) => request.fail('SOLD_OUT'))
    await world.error(client.request('stock', 'x'))
    await world.error(client.request('nobody', 'x'))
    expect(sentry.captured.map(({ context }) => context.tags['mqtt.code'])).toEqual(['SOLD_OUT'])
  })

  test('after dispose nobody listens', async () => {
    const reporter = reporting()
    expect(channel('it-mqtt:request').hasSubscribers).toBe(true)
    reporter[Symbol.dispose]()
    expect(channel('it-mqtt:request').hasSubscribers).toBe(false)
  })
})
