/**
 * Goal: dead letters are kept, come back to their listener and to nobody else, and a listener that
 * nobody needs leaves nothing at the server (B11). Method: buses at a broker in memory.
 */
import { describe, expect, test } from 'vitest'
import {
  type Bus,
  forgetListener,
  type RedrivenLetter,
  type RedriveOptions,
  redriveDeadLetters,
} from '../../src/bus/index.ts'
import type { PacketRecord } from '../../src/testing/index.ts'
import { answers, auth, BusWorld } from './bus-world.ts'

/** What a process says that does nothing. */
const idle = {
  ...{ itm: 1, service: 'mail', process: 'p1', uptimeMs: 5 },
  ...{ apis: [], listeners: [] },
}

const ada = { name: 'Ada', age: '36' }

function place(w: BusWorld, version: 4 | 5 = 5) {
  const client = {
    ...{ protocolVersion: version, keepAlive: 0, platform: w.clock },
    transport: w.broker.transport,
  }
  return { service: 'mail', listener: 'welcome', client }
}

async function redrive(w: BusWorld, version: 4 | 5 = 5, options: Partial<RedriveOptions> = {}) {
  const letters: RedrivenLetter[] = []
  const result = await w.value(
    redriveDeadLetters({
      ...{ ...place(w, version), idle: 100, onLetter: (letter) => letters.push(letter) },
      ...options,
    }),
    10_000,
  )
  return { ...result, letters }
}

/** A service, a listener that fails as often as it is told, and one that does not. */
async function story(w: BusWorld, failures: number, retainDead = false) {
  const server = w.bus('server')
  server.serve(auth, answers)
  await w.run(server)
  const mail = w.bus('mail')
  const seen: { name: string; key: string | null; dedupeId: string | null }[] = []
  let left = failures
  const listener = mail
    .api(auth)
    .registered.listen('welcome', { onError: 'deadLetter', retainDead }, (event) => {
      seen.push({ name: event.value.name, key: event.key, dedupeId: event.dedupeId })
      if (left-- > 0) throw new Error('no mail today')
    })
  await w.run(mail)
  const other: string[] = []
  const audit = w.bus('audit')
  audit.api(auth).registered.listen('log', {}, ({ value }) => other.push(value.name))
  await w.run(audit)
  return { server, mail, listener, seen, other }
}

const texts = (w: BusWorld) => w.warnings.map(({ message }) => message)

const fire = (bus: Bus, name: string, options = {}) =>
  bus.fire(auth, 'registered', { ...ada, name }, { id: name, ...options })

describe('a dead letter', () => {
  test('[B11] comes back to its listener alone, as often as it is put back', async () => {
    const w = new BusWorld()
    const { server, listener, seen, other } = await story(w, 3)
    expect(await redrive(w)).toMatchObject({ count: 0, wasKept: false, isUnheard: false })
    await w.value(fire(server, 'a', { key: 'k/1' }), 50)
    await w.value(fire(server, 'b'), 50)
    expect(listener.stats).toMatchObject({ dead: 2 })
    const first = await redrive(w)
    expect(first).toMatchObject({ count: 2, wasKept: true, isUnheard: false })
    expect(first.letters).toEqual([
      {
        ...{ api: 'auth', event: 'registered', id: 'a', code: 'Error', times: 1 },
        message: 'no mail today',
      },
      expect.objectContaining({ id: 'b', times: 1 }),
    ])
    // The first of them fails for the third time.
    const again = await redrive(w)
    expect(again.letters).toMatchObject([{ id: 'a', times: 2 }])
    expect(await redrive(w)).toMatchObject({ count: 0, wasKept: true })
    expect(seen).toEqual([
      { name: 'a', key: 'k/1', dedupeId: 'mail.welcome/a' },
      { name: 'b', key: null, dedupeId: 'mail.welcome/b' },
      { name: 'a', key: 'k/1', dedupeId: 'mail.welcome~1/a' },
      { name: 'b', key: null, dedupeId: 'mail.welcome~1/b' },
      { name: 'a', key: 'k/1', dedupeId: 'mail.welcome~2/a' },
    ])
    expect(other).toEqual(['a', 'b'])
  })

  test('[B11] is kept from the first one on, though nobody has asked for it', async () => {
    const w = new BusWorld()
    const { server, listener } = await story(w, 3)
    await w.value(fire(server, 'a'), 500)
    await w.value(fire(server, 'b'), 500)
    expect(listener.stats).toMatchObject({ dead: 2 })
    expect(texts(w)).toEqual(Array(2).fill(expect.stringContaining('and becomes a dead letter')))
    const kept = () => w.broker.sessions.get('bus._dead.mail.welcome')?.queued
    expect(kept()).toBe(2)
    // Somebody has removed what keeps them: it is made again.
    await w.value(forgetListener({ ...place(w), process: 'nobody', dead: true }), 9000)
    expect(kept()).toBeUndefined()
    await w.value(fire(server, 'c'), 500)
    expect(kept()).toBe(1)
    const { letters, wasKept } = await redrive(w)
    expect([letters.map(({ id }) => id), wasKept]).toEqual([['c'], true])
  })

  test('[B11] of each of several processes is kept, if they fail at the same time', async () => {
    const w = new BusWorld()
    const server = w.bus('server')
    server.serve(auth, answers)
    await w.run(server)
    const fail = () => {
      throw new Error('no mail today')
    }
    for (let i = 0; i < 3; i++) {
      const mail = w.bus('mail')
      mail.api(auth).registered.listen('welcome', { onError: 'deadLetter' }, fail)
      await w.run(mail)
    }
    await Promise.all([...'abcdef'].map((name) => w.value(fire(server, name), 3000)))
    await w.clock.advance(3000)
    expect(texts(w)).toEqual(Array(6).fill(expect.stringContaining('and becomes a dead letter')))
    const letters = w.broker.sessions.get('bus._dead.mail.welcome')!
    expect(letters.queued + letters.inflight).toBe(6)
  })

  test('[B11] that the server does not keep is lost, and the warning says so', async () => {
    const w = new BusWorld()
    const { server } = await story(w, 3)
    const asked = () =>
      w.broker.received.filter(
        ({ packet }) =>
          packet.cmd === 'subscribe' &&
          packet.subscriptions[0]!.topic === 'bus/_dead/mail/welcome/#',
      ).length
    w.broker.faults.refuse({ cmd: 'subscribe', topic: 'bus/_dead/mail/welcome/#' }, 0x87)
    await w.value(fire(server, 'a'), 500)
    await w.value(fire(server, 'b'), 500)
    expect(texts(w)).toEqual(
      Array(2).fill(
        expect.stringMatching(
          /is lost, since the server refuses to keep it \(.* \(0x87\).*\); permit the client identifier "bus._dead.mail.welcome"/,
        ),
      ),
    )
    expect(asked()).toBe(1)
    await w.clock.advance(60_000)
    await w.value(fire(server, 'c'), 500)
    expect(asked()).toBe(2)
    expect(texts(w).at(-1)).toContain('becomes a dead letter')
    expect(await redrive(w)).toMatchObject({ count: 1 })
  })

  test('[B11] whose session the server ends at once is lost, and the warning says why', async () => {
    const w = new BusWorld(5, { sessionExpiryMaximum: 0 })
    const { server } = await story(w, 5)
    for (const name of 'abc') await w.value(fire(server, name), 3000)
    await w.clock.advance(2000)
    const why = 'is lost, since the server does not keep the session that is made for it'
    expect(texts(w)).toEqual(Array(3).fill(expect.stringContaining(why)))
    expect(w.broker.packets({ cmd: 'connect', clientId: 'bus._dead.mail.welcome' })).toHaveLength(4)
  })

  test('[B11] is kept though the connection is lost meanwhile', async () => {
    const w = new BusWorld()
    const { server, listener } = await story(w, 1)
    w.broker.faults.kill({ cmd: 'subscribe', topic: 'bus/_dead/mail/welcome/#' })
    await w.value(fire(server, 'a'), 500)
    await w.clock.advance(5000)
    expect(listener.stats).toMatchObject({ dead: 1 })
    expect(texts(w).at(-1)).toContain('and becomes a dead letter')
    expect(await redrive(w)).toMatchObject({ count: 1, wasKept: true })
  })

  test('[B11] [B18] stays with an iterated listener that ends meanwhile, without an error', async () => {
    const w = new BusWorld()
    const server = w.bus('server')
    server.serve(auth, answers)
    await w.run(server)
    const mail = w.bus('mail')
    const iterator = mail.api(auth).registered.listen('welcome', { onError: 'deadLetter' })
    await w.value(iterator.granted, 50)
    w.broker.faults.drop({ cmd: 'subscribe', topic: 'bus/_dead/mail/welcome/#' })
    const next = iterator.next()
    w.broker.publish('bus/auth/v1/event/registered', '7', { qos: 1 })
    await w.clock.advance(500)
    await w.value(mail.close({ timeout: 1000 }), 3000)
    expect(await w.value(next, 50)).toEqual({ done: true, value: undefined })
    expect(w.codes()).toEqual([])
    expect(w.broker.sessions.get('bus.mail.welcome@p1')?.inflight).toBe(1)
  })

  test('[B11] [B18] stays with its listener if that ends before the server keeps it', async () => {
    const w = new BusWorld()
    const { server, mail, listener } = await story(w, 1)
    w.broker.faults.drop({ cmd: 'subscribe', topic: 'bus/_dead/mail/welcome/#' })
    await w.value(fire(server, 'a'), 500)
    await w.value(mail.close({ timeout: 1000 }), 3000)
    expect(listener.stats).toMatchObject({ dead: 0 })
    expect(w.broker.sessions.get('bus.mail.welcome@p1')?.inflight).toBe(1)
    expect(w.broker.sessions.get('bus._dead.mail.welcome')?.connected).toBe(false)
  })

  test('[B11] that the server refuses is told with the error of its handler', async () => {
    const w = new BusWorld()
    const { server } = await story(w, 1)
    const isDeadLetter = ({ packet }: PacketRecord) =>
      packet.cmd === 'publish' && packet.topic.startsWith('bus/_dead/')
    w.broker.faults.refuse(isDeadLetter, 0x87)
    await w.value(fire(server, 'a'), 50)
    const [told] = w.warnings.filter(({ code }) => code === 'EVENT_FAILED')
    expect(told?.message).toMatch(/cannot become a dead letter \(.*\): no mail today/)
    expect(w.failures).toHaveLength(1)
  })

  test('[B11] that is retained is found without a session, put back once, and removed', async () => {
    const w = new BusWorld()
    const { server, seen } = await story(w, 2, true)
    await w.value(fire(server, 'a'), 50)
    expect(w.broker.retained.size).toBe(1)
    expect(await redrive(w)).toMatchObject({ count: 1, wasKept: false })
    expect(w.broker.retained.size).toBe(1)
    // It failed again: now it is retained and in the session.
    expect(await redrive(w)).toMatchObject({ count: 1, wasKept: true })
    expect(w.broker.retained.size).toBe(0)
    expect(seen.map(({ name }) => name)).toEqual(['a', 'a', 'a'])
    expect(await redrive(w)).toMatchObject({ count: 0 })
  })

  test('[B11] stays where it is if the listener has no session', async () => {
    const w = new BusWorld()
    const { server, mail } = await story(w, 1)
    await redrive(w)
    await w.value(fire(server, 'a'), 50)
    await w.value(mail.close(), 3000)
    const forgotten = forgetListener({ ...place(w), process: 'p1' })
    expect(await w.value(forgotten, 5000)).toEqual({ session: true, dead: false })
    expect(await redrive(w)).toMatchObject({ count: 0, isUnheard: true })
    const reborn = w.bus('mail', { process: 'p1' })
    const names: string[] = []
    reborn.api(auth).registered.listen('welcome', {}, ({ value }) => names.push(value.name))
    await w.run(reborn)
    expect(await redrive(w)).toMatchObject({ count: 1, isUnheard: false })
    expect(names).toEqual(['a'])
  })

  test('[B11] is put back again under its name if the server is lost in between', async () => {
    const w = new BusWorld()
    const { server, seen } = await story(w, 1)
    await redrive(w)
    await w.value(fire(server, 'a'), 50)
    w.broker.faults.kill({
      cmd: 'puback',
      clientId: 'bus._dead.mail.welcome',
      direction: 'toBroker',
    })
    await redrive(w)
    await redrive(w)
    expect(seen.map(({ name }) => name)).toEqual(['a', 'a'])
  })

  test('[B11] of MQTT 3.1.1 comes back without its key', async () => {
    const w = new BusWorld(4)
    const { server, seen, other } = await story(w, 1)
    await redrive(w, 4)
    await w.value(fire(server, 'a', { key: 'k' }), 50)
    expect(await redrive(w, 4)).toMatchObject({ count: 1, wasKept: true })
    expect(seen.map(({ name, key }) => [name, key])).toEqual([
      ['a', 'k'],
      ['a', null],
    ])
    expect(other).toEqual(['a'])
  })
})

test('[B11] letters that are alike and have no id are all put back, one with each call', async () => {
  const w = new BusWorld(4)
  const { server, seen } = await story(w, 2)
  await redrive(w, 4)
  for (let i = 0; i < 2; i++) await w.value(fire(server, 'a'), 50)
  expect(seen).toHaveLength(2)
  for (let i = 1; i <= 2; i++) {
    expect(await redrive(w, 4)).toMatchObject({ count: 1 })
    expect(seen).toHaveLength(2 + i)
  }
  expect(await redrive(w, 4)).toMatchObject({ count: 0 })
})

test('[B11] a listener that is forgotten leaves no session, and dead letters only if asked', async () => {
  const w = new BusWorld()
  const { server, mail } = await story(w, 0)
  await redrive(w)
  await w.value(mail.close(), 3000)
  await w.value(fire(server, 'a'), 50)
  const ids = () => [...w.broker.sessions.keys()].filter((id) => id.includes('welcome'))
  expect(ids()).toEqual(['bus.mail.welcome@p1', 'bus._dead.mail.welcome'])
  const forget = (options = {}) =>
    w.value(forgetListener({ ...place(w), process: 'p1', ...options }), 10_000)
  expect(await forget()).toEqual({ session: true, dead: false })
  expect(ids()).toEqual(['bus._dead.mail.welcome'])
  expect(await forget({ dead: true })).toEqual({ session: false, dead: true })
  expect(ids()).toEqual([])
  expect(w.broker.violations).toEqual([])
})

test('[B10] a listener that runs is not forgotten, unless it is forced', async () => {
  const w = new BusWorld()
  const mail = w.bus('mail', { process: 'p1' })
  mail.api(auth).registered.listen('welcome', {}, () => {})
  await w.run(mail)
  const forget = (options = {}) => forgetListener({ ...place(w), process: 'p1', ...options })
  const connects = () => {
    const all = w.broker.packets({ cmd: 'connect' })
    return all.filter((one) => 'clientId' in one && one.clientId === 'bus.mail.welcome@p1').length
  }
  expect(await w.error(forget(), 2000)).toMatchObject({
    code: 'LISTENER_RUNS',
    message: expect.stringMatching(/the process "p1" of mail runs the listener welcome now/),
  })
  expect(connects()).toBe(1)
  // Other names are not there, and another listener of the process is not this one.
  const nothing = { session: false, dead: false }
  expect(await w.value(forget({ listener: 'other' }), 9000)).toEqual(nothing)
  expect(await w.value(forget({ process: 'p9' }), 9000)).toEqual(nothing)
  // The connection that asks leaves nothing.
  expect([...w.broker.sessions.keys()].filter((id) => id.includes('it-mqtt'))).toEqual([])
  expect(await w.value(forget({ force: true }), 9000)).toEqual({ session: true, dead: false })
  expect(connects()).toBe(3)
  expect(w.failures).toMatchObject([{ code: 'SESSION_TAKEN_OVER' }])
})

test('[B10] a process that answers nobody is not asked for long', async () => {
  const w = new BusWorld(4)
  const mail = w.bus('mail', { control: false })
  mail.api(auth).registered.listen('welcome', {}, () => {})
  await w.run(mail)
  const forgotten = forgetListener({ ...place(w, 4), process: mail.process })
  expect(await w.after(900, forgotten)).toBe('pending')
  expect(await w.value(forgotten, 200)).toEqual({ session: true, dead: false })
})

test.each([5, 4] as const)(
  '[B10] a listener is kept if somebody says that it runs, or what is unreadable (MQTT %i)',
  async (version) => {
    for (const [told, reply, why] of [
      ['nothing of it', JSON.stringify(idle), 'runs the listener welcome now'],
      ['a later form', JSON.stringify({ ...idle, itm: 2 }), 'itm is not as it must be'],
      ['too much', 'x'.repeat(262_145), 'at most 262144 are read'],
      ['an error', null, 'not as a bus does'],
    ] as const) {
      const w = new BusWorld(version)
      const stranger = w.running(w.client())
      const responder = stranger.respond('bus/_control/STATS/mail/p1', (call) => {
        return reply ?? call.fail('NO')
      })
      await w.value(responder.granted, 100)
      const mail = w.bus('mail', { process: 'p1', control: told === 'nothing of it' })
      mail.api(auth).registered.listen('welcome', {}, () => {})
      await w.run(mail)
      const forgotten = forgetListener({ ...place(w, version), process: 'p1' })
      expect(await w.error(forgotten, 3000), told).toMatchObject({
        code: 'LISTENER_RUNS',
        message: expect.stringContaining(why),
      })
      expect(w.broker.sessions.has('bus.mail.welcome@p1')).toBe(true)
      expect(w.failures).toEqual([])
    }
  },
)

test('[B10] a server that refuses the question is told, with what to do', async () => {
  const w = new BusWorld()
  w.broker.faults.refuse({ cmd: 'publish', topic: 'bus/_control/STATS/mail/p1' }, 0x87)
  const forgotten = forgetListener({ ...place(w), process: 'p1' })
  expect(await w.error(forgotten, 3000)).toMatchObject({
    name: 'RefusedError',
    message: expect.stringMatching(/permit bus\/_control\/STATS\/mail\/p1 .* or use force/),
  })
})

test('[B10] the second for answers does not count while there is no connection', async () => {
  const w = new BusWorld()
  w.broker.faults.drop({ cmd: 'connect' })
  const client = { ...place(w).client, reconnect: 'always', connectTimeout: 2000 } as const
  const forgotten = forgetListener({ ...place(w), client, process: 'p1' })
  expect(await w.after(1900, forgotten)).toBe('pending')
  expect(await w.value(forgotten, 60_000)).toEqual({ session: false, dead: false })
})

test.each([
  [{ force: 'false' }, 'forgetListener: force must be true or false'],
  [{ dead: 1 }, 'forgetListener: dead must be true or false'],
  [{ process: 'a\nb' }, 'forgetListener: process must be'],
])('[B10] forgetListener() refuses %j', async (options, message) => {
  const w = new BusWorld()
  const forgotten = forgetListener({ ...place(w), process: 'p1', ...options } as never)
  expect(await w.error(forgotten, 10)).toMatchObject({ name: 'UsageError' })
  await expect(forgotten).rejects.toThrow(message)
})

test.each([
  ['service', { service: 'a/b' }, 'redriveDeadLetters: service'],
  ['listener', { listener: '' }, 'redriveDeadLetters: listener'],
  ['prefix', { prefix: '#' }, 'prefix'],
  ['idle', { idle: 0 }, 'redriveDeadLetters: idle'],
  ['max', { max: -1 }, 'redriveDeadLetters: max'],
  ['keep', { keep: 0 }, 'redriveDeadLetters: keep'],
  ['an unknown one', { idel: 1 }, 'idel'],
])('redriveDeadLetters() refuses a wrong option: %s', async (_, options, text) => {
  const w = new BusWorld()
  const error = await w.error(redriveDeadLetters({ ...place(w), ...options } as never), 10)
  expect(error).toMatchObject({ name: 'UsageError', message: expect.stringContaining(text) })
})
