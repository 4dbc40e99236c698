/**
 * Goal: a listener whose new release listens to less goes on, and nothing is lost silently (B6,
 * B10). Method: two lives of one process at a broker in memory; the second one has fewer events,
 * another major version, or other options.
 */
import { expect, test } from 'vitest'
import { type Bus, defineApi, type ListenerOptions } from '../../src/bus/index.ts'
import { answers, auth, BusWorld } from './bus-world.ts'

/** More than a server sends ahead, so that one that is not acknowledged stops all. */
const MANY = 30
const SESSION = 'bus.mail.welcome@one'
const second = defineApi({ name: 'auth', version: '2.0.0', events: { registered: {} } })

/** What the listener of one life listens to. */
type Life = (
  bus: Bus,
  seen: string[],
  options?: Pick<ListenerOptions<unknown>, 'stream' | 'share'>,
) => void

const both: Life = (bus, seen, options = {}) => {
  const api = bus.api(auth)
  const handler = ({ event }: { event: string }) => void seen.push(event)
  bus.listen('welcome', [api.registered, api.cleared], options, handler)
}
const one: Life = (bus, seen, options = {}) => {
  bus.listen('welcome', [bus.api(auth).registered], options, ({ event }) => void seen.push(event))
}
const later: Life = (bus, seen, options = {}) => {
  const handler = ({ version }: { version: string | null }) => void seen.push(`v${version}`)
  bus.listen('welcome', [bus.api(second).registered], options, handler)
}

interface Change {
  readonly before: Life
  readonly after: Life
  readonly options?: Pick<ListenerOptions<unknown>, 'stream' | 'share'>
  /** Filters of the first life, without those of the dead letters. */
  readonly gone: readonly string[]
  /** What the second life hears of what came between, and of what comes then. */
  readonly seen: readonly string[]
}

const SHARED = '$share/mail.welcome/bus/auth'
const CHANGES: readonly (readonly [string, Change])[] = [
  [
    'fewer events',
    { before: both, after: one, gone: [`${SHARED}/v1/event/cleared/#`], seen: ['registered'] },
  ],
  [
    'fewer events of one stream',
    {
      ...{ before: both, after: one, gone: [`${SHARED}/v1/event/#`], seen: ['registered'] },
      options: { stream: 'api' },
    },
  ],
  [
    'fewer events, and shares no longer',
    {
      ...{ before: both, after: one, gone: ['bus/auth/v1/event/cleared/#'] },
      ...{ options: { share: false }, seen: ['registered'] },
    },
  ],
  [
    'another major version',
    {
      ...{ before: both, after: later, seen: ['v2.0.0'] },
      gone: [`${SHARED}/v1/event/registered/#`, `${SHARED}/v1/event/cleared/#`],
    },
  ],
]

for (const version of [5, 4] as const) {
  test.each(CHANGES)(
    `[B6] [B10] a listener that has %s hears what it listens to (MQTT ${version})`,
    async (_, { before, after, options, gone, seen }) => {
      const w = new BusWorld(version)
      const server = w.bus('server')
      server.serve(auth, answers)
      server.serve(second, {})
      await w.run(server)
      const clear = (count: number) => {
        const all = Array.from({ length: count }, () => server.fire(auth, 'cleared'))
        return w.value(Promise.all(all), 50)
      }
      const register = async () => {
        await w.value(server.fire(auth, 'registered', { name: 'Ada', age: '3' }), 50)
        await w.value(server.fire(second, 'registered'), 50)
      }
      const first = w.bus('mail', { process: 'one' })
      before(first, [], options)
      await w.run(first)
      await w.value(first.close(), 3000)
      expect(Object.keys(w.broker.sessions.get(SESSION)!.subscriptions)).toEqual(
        expect.arrayContaining([...gone]),
      )
      await clear(MANY)

      const mail = w.bus('mail', { process: 'one' })
      const heard: string[] = []
      after(mail, heard)
      await w.run(mail)
      await register()
      await clear(MANY)
      await register()
      expect([...new Set(heard)]).toEqual(version === 5 ? seen : seen.map(nameless))
      // Without ids nothing recognizes what both filters bring that it has and has had.
      expect(heard.length).toBe(version === 4 && options?.share === false ? 4 : 2)

      const { subscriptions, inflight, queued } = w.broker.sessions.get(SESSION)!
      for (const filter of gone) expect(Object.keys(subscriptions)).not.toContain(filter)
      expect([inflight, queued]).toEqual([0, 0])
      const dropped = w.warnings.filter(({ code }) => code === 'EVENT_DROPPED')
      expect(dropped.length).toBeGreaterThan(0)
      expect(dropped[0]!.message).toContain('auth v1 cleared')
    },
  )
}

/** Without MQTT 5 nothing says a version. */
const nameless = (text: string) => (text.startsWith('v') ? 'vnull' : text)
