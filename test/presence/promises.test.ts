/** What presence promises, with faults: H2 to H8 at a broker in memory, on a virtual clock. */
import { describe, expect, test } from 'vitest'
import { createClient } from '../../src/client/index.ts'
import { connect } from '../../src/index.ts'
import { presence, withPresence } from '../../src/presence/index.ts'
import { VERSIONS } from '../client/world.ts'
import { PresenceWorld, SYNC_MS, shown } from './presence-world.ts'

const NEVER = { reconnect: { when: 'never' } } as const
const TTL = 20

/** @returns the topics and payloads that a client has published, oldest first. */
function published(world: PresenceWorld, clientId: string): { topic: string; text: string }[] {
  return world.broker
    .packets({ direction: 'toBroker', clientId, cmd: 'publish' })
    .map((packet) => packet as unknown as { topic: string; payload: Uint8Array })
    .map(({ topic, payload }) => ({ topic, text: new TextDecoder().decode(payload) }))
}

/** @returns the retained record below a topic, as it is. */
function kept(world: PresenceWorld, begin: string) {
  const found = [...world.broker.retained.values()].filter(({ topic }) => topic.startsWith(begin))
  return found.map(({ topic, payload }) => ({ topic, text: new TextDecoder().decode(payload) }))
}

describe.each(VERSIONS)('MQTT %d', (version) => {
  test('[H2] without a will a dead connection is lost within its ttl', async () => {
    const world = new PresenceWorld(version)
    const watching = world.watching(world.running(world.client({ clientId: 'w' })))
    await world.clock.advance(SYNC_MS)
    const { room } = await world.entered('ada', 1, { ttl: TTL, grace: 3600 }, NEVER)
    await world.clock.advance(TTL * 1000 - 1000)
    expect(watching.news()).toEqual(['enter ada 1'])
    await world.clock.advance(TTL * 1000)
    expect(watching.news()).toEqual([])
    expect(room.state.entered).toBe(1)
    // The broker crashes: no will is published.
    world.broker.restart()
    await world.clock.advance(TTL * 1000 + 2000)
    expect(watching.news()).toEqual(['lost ada 1'])
    expect(watching.certainty).toBe('lease')
  })

  test('[H3] a loss that is not true is taken back', async () => {
    const world = new PresenceWorld(version)
    const watching = world.watching(world.running(world.client()))
    await world.clock.advance(SYNC_MS)
    await world.entered('ada', 1)
    const [record] = kept(world, 'presence/c/')
    const { epoch, ttl } = JSON.parse(record!.text)
    const will = JSON.stringify({ v: 1, epoch, state: 'lost', ttl })
    world.broker.publish(record!.topic, will, { qos: 1, retain: true })
    await world.clock.advance(10)
    expect(watching.news()).toEqual(['enter ada 1', 'lost ada 1', 'present ada 1'])
    expect(JSON.parse(kept(world, 'presence/c/')[0]!.text)).toMatchObject({ state: 'up', epoch })
  })

  test.each([
    ['older', JSON.stringify({ v: 1, epoch: 1, state: 'lost', ttl: 300 })],
    ['taken away', ''],
  ])('[H3] a record of its connection that is %s is written again', async (_, payload) => {
    const world = new PresenceWorld(version)
    const { client } = await world.entered('ada', 1)
    client.reconnect()
    await world.clock.advance(1000)
    const { topic } = kept(world, 'presence/c/')[0]!
    world.broker.publish(topic, payload, { qos: 1, retain: true })
    await world.clock.advance(10)
    expect(JSON.parse(kept(world, topic)[0]!.text)).toMatchObject({ state: 'up', epoch: 2 })
  })

  test.each(['before', 'after'])(
    '[H3] what only an earlier process of the session read holds nobody back: %s it comes',
    async (when) => {
      const world = new PresenceWorld(version)
      const { client: ada } = await world.entered('ada', 1)
      const earlier = world.running(world.keeping({ clientId: 'w' }))
      world.watching(earlier)
      await world.clock.advance(SYNC_MS)
      await world.value(earlier.close())
      await world.value(ada.close())
      const client = world.running(world.keeping({ clientId: 'w' }))
      if (when === 'after') await world.clock.advance(100)
      expect(world.broker.sessions.get('w')!.inflight > 0).toBe(when === 'after')
      presence(client, 'another room')
      await world.clock.advance(100)
      expect(world.broker.sessions.get('w')!.inflight).toBe(0)
      // Nor does the server send it any more.
      expect(world.broker.sessions.get('w')!.subscriptions).toEqual({})
    },
  )

  test('[H4] after a lost session everybody is entered again, before the backlog', async () => {
    const world = new PresenceWorld(version)
    const { client, room } = await world.entered('ada', 1)
    await world.value(room.enter(2, { client: 'sensor' }))
    world.broker.refuseConnections()
    world.broker.restart({ keepSessions: false })
    await world.clock.advance(10)
    const backlog = client.publish('other', 'x')
    world.broker.acceptConnections()
    world.broker.clearLog()
    await world.value(backlog, 1000)
    const topics = published(world, 'ada').map(({ topic }) =>
      topic.split('/').slice(0, 4).join('/'),
    )
    const scratch = (topic: string) => topic.startsWith('clients/')
    expect(topics.filter((topic) => !scratch(topic))).toEqual([
      'presence/s/room/ada',
      'presence/s/room/sensor',
      `presence/c/${published(world, 'ada')[0]!.topic.split('/').at(-1)}`,
      'other',
    ])
    const epochs = published(world, 'ada')
      .slice(0, 3)
      .map(({ text }) => JSON.parse(text).epoch)
    expect(new Set(epochs)).toEqual(new Set([client.state.connection.attempt]))
  })

  test('[H4] [H6] who enters or leaves without a connection has done so with the next', async () => {
    const world = new PresenceWorld(version)
    const { client, room } = await world.entered('ada', 1)
    world.broker.refuseConnections()
    world.broker.kill()
    await world.clock.advance(10)
    const left = room.leave('bye')
    const entered = room.enter(2, { client: 'bob' })
    expect(await world.after(1000, entered)).toBe('pending')
    world.broker.acceptConnections()
    await world.value(Promise.all([left, entered]), 1000)
    const names = kept(world, 'presence/s/').map(({ topic }) => topic.split('/')[3])
    expect(names).toEqual(['bob'])
    expect(client.state.connection.kind).toBe('connected')
  })

  test('[H5] get() without a connection rejects, and has who was there before', async () => {
    const world = new PresenceWorld(version)
    await world.entered('ada', 1)
    const room = presence(world.running(world.client({ clientId: 'w' })), 'room')
    await world.value(room.get(), SYNC_MS)
    world.broker.refuseConnections()
    world.broker.kill('w')
    await world.clock.advance(10)
    const error = await world.error(room.get())
    expect(error).toMatchObject({ code: 'NOT_SYNCED', retryable: true })
    expect(error.members).toMatchObject([{ client: 'ada', certainty: 'before' }])
    expect(shown(await world.value(room.get({ waitForSync: false })))).toEqual(['ada 1'])
    world.broker.acceptConnections()
    await world.clock.advance(200)
    const members = await world.value(room.get(), SYNC_MS)
    expect(members).toMatchObject([{ client: 'ada', certainty: 'seen' }])
  })

  test('[H5] who left while a watcher was away leaves at the end of its sync', async () => {
    const world = new PresenceWorld(version)
    const { room } = await world.entered('ada', 1)
    await world.entered('bob', 2)
    const watching = world.watching(world.running(world.client({ clientId: 'w' })))
    await world.clock.advance(SYNC_MS)
    expect(watching.news().sort()).toEqual(['present ada 1', 'present bob 2'])
    world.broker.refuseConnections()
    world.broker.restart({ keepSessions: false })
    world.broker.acceptConnections()
    await world.clock.advance(50)
    await world.value(room.leave(), 1000)
    await world.clock.advance(SYNC_MS)
    expect(watching.news()).toEqual(['leave ada 1'])
    expect(await world.value(watching.room.synced)).toEqual({ certainty: 'quiet' })
  })

  test('[H6] disposal leaves with all who entered, and then says `down`', async () => {
    const world = new PresenceWorld(version)
    const { room } = await world.entered('ada', 1)
    await world.value(room.enter(2, { client: 'sensor' }))
    await world.value(Promise.resolve(room[Symbol.asyncDispose]()))
    expect(kept(world, 'presence/')).toEqual([])
    expect((await world.error(room.enter(3))).code).toBe('ENDED')
  })

  test('[H6] close() of the client leaves, and no will is published', async () => {
    const world = new PresenceWorld(version)
    const watching = world.watching(world.running(world.client()))
    await world.clock.advance(SYNC_MS)
    const { client } = await world.entered('ada', 1)
    await world.value(client.close(), 100)
    await world.clock.advance(60_000)
    expect(watching.news()).toEqual(['enter ada 1', 'leave ada 1'])
  })

  test('[H6] two spaces of a client: the connection is up until the last is left', async () => {
    const world = new PresenceWorld(version)
    const { client, room } = await world.entered('ada', 1)
    const other = presence(client, 'other')
    await world.value(other.enter())
    await world.value(room.close())
    expect(JSON.parse(kept(world, 'presence/c/')[0]!.text)).toMatchObject({ state: 'up' })
    await world.value(other.close())
    expect(kept(world, 'presence/')).toEqual([])
  })

  test('[H6] a farewell is seen with its data', async () => {
    const world = new PresenceWorld(version)
    const watching = world.watching(world.running(world.client()))
    await world.clock.advance(SYNC_MS)
    const { room } = await world.entered('ada', 1)
    await world.value(room.leave({ why: 'lunch' }))
    await world.clock.advance(10)
    expect(watching.news()).toEqual(['enter ada 1', 'leave ada {"why":"lunch"}'])
    expect(kept(world, 'presence/s/')).toEqual([])
    await world.value(room.leave())
  })

  test('[H7] what is no record is counted and ignored', async () => {
    const world = new PresenceWorld(version)
    const { client } = await world.entered('ada', 1)
    const watching = world.watching(client)
    await world.clock.advance(SYNC_MS)
    const connection = 'f'.repeat(24)
    const bad: [string, string][] = [
      [`presence/s/room/bob/${connection}`, 'no JSON'],
      [`presence/s/room/bob/${connection}`, '{"v":2,"epoch":1,"seq":1}'],
      [`presence/s/room/bob/${connection}`, '{"v":1,"epoch":9007199254740993,"seq":1}'],
      [`presence/s/room/bob/${connection}`, '{"v":1,"epoch":1,"seq":-1}'],
      [
        `presence/s/room/bob/${connection}`,
        `{"v":1,"epoch":1,"seq":1,"data":"${'x'.repeat(30_000)}"}`,
      ],
      [`presence/s/room/bob/${connection}`, `${'['.repeat(5000)}`],
      ['presence/s/room/bob/short', '{"v":1,"epoch":1,"seq":1}'],
      [`presence/s/room/b%2fb/${connection}`, '{"v":1,"epoch":1,"seq":1}'],
      [`presence/s/room/%41/${connection}`, '{"v":1,"epoch":1,"seq":1}'],
    ]
    for (const [topic, payload] of bad) world.broker.publish(topic, payload, { qos: 1 })
    const good = { v: 1, epoch: 1, seq: 1, data: { ['__proto__']: { admin: true }, a: 1 } }
    world.broker.publish(`presence/s/room/eve/${connection}`, JSON.stringify(good), { qos: 1 })
    await world.clock.advance(10)
    expect(watching.news()).toEqual(['present ada 1', 'enter eve {"a":1}'])
    expect(watching.room.state.ignored).toBe(bad.length)
    expect(watching.state.ended).toBe(false)
  })

  test('[H8] a connection sends one sign each half of its ttl, whatever it has entered', async () => {
    const world = new PresenceWorld(version)
    const { room } = await world.entered('ada', 1, { ttl: TTL })
    for (let i = 0; i < 50; i++) void room.enter(i, { client: `m${i}` })
    await world.clock.advance(100)
    world.broker.clearLog()
    await world.clock.advance(5 * TTL * 500)
    const signs = published(world, 'ada')
    expect(signs).toHaveLength(5)
    expect(signs.every(({ topic }) => topic.startsWith('presence/c/'))).toBe(true)
  })
})

describe('awaiting is driving', () => {
  test('[M1] [H8] nothing is dialled, read or timed before something is awaited', async () => {
    const world = new PresenceWorld()
    const room = presence(world.present(), 'room')
    const changes = room.changes()
    expect(room.state).toMatchObject({ status: 'idle', members: 0 })
    await world.clock.advance(60_000)
    expect(world.broker.log).toEqual([])
    expect(world.clock.pendingTimers).toBe(0)
    await room.close()
    expect(await changes.next()).toEqual({ done: true, value: undefined })
  })

  test('[H8] a watcher that nobody awaits does not read, and loses nobody meanwhile', async () => {
    const world = new PresenceWorld()
    await world.entered('ada', 1, { ttl: TTL })
    const room = presence(world.client(), 'room')
    const changes = room.changes()
    expect((await world.value(changes.next(), SYNC_MS)).value).toMatchObject({ action: 'present' })
    await world.clock.advance(10 * TTL * 1000)
    expect(shown(await world.value(room.get(), SYNC_MS))).toEqual(['ada 1'])
    expect(await world.after(5_000, changes.next())).toBe('pending')
  })

  test('[H8] a reader that lags gets the net change of each member', async () => {
    const world = new PresenceWorld()
    const { room } = await world.entered('ada', 0)
    const watcher = world.running(world.client())
    const changes = presence(watcher, 'room').changes()
    await world.value(changes.next(), SYNC_MS)
    for (let i = 1; i <= 3000; i++) void room.update(i)
    void room.enter('new', { client: 'bob' })
    await world.clock.advance(100)
    const news: string[] = []
    for (;;) {
      const next = await world.after(0, changes.next())
      if (next === 'pending' || !('value' in next)) break
      const { action, member } = next.value.value!
      news.push(`${action} ${member.client} ${member.data}`)
    }
    expect(news.length).toBeLessThan(2100)
    expect(news.filter((one) => one.includes('ada')).at(-1)).toBe('update ada 3000')
    expect(news.filter((one) => one.includes('bob'))).toEqual(['enter bob new'])
  })
})

describe('bad input', () => {
  test('[H7] what cannot be used is refused with a text that says why', async () => {
    const world = new PresenceWorld()
    const client = world.present()
    const room = presence(client, 'room')
    expect(() => presence(client, '')).toThrow(/the space must be a text that is not empty/)
    expect(() => presence(client, 'a\u0000')).not.toThrow()
    expect(() => presence({} as never, 'a')).toThrow(/createClient/)
    expect(() => presence(client, 'a', { maxMembers: 0 })).toThrow(/maxMembers must be a whole/)
    expect(() => presence(client, 'a', { ttl: 1 } as never)).toThrow(/no option "ttl"/)
    expect(() => presence(client, 'a', { prefix: 'x' })).toThrow(/must be that of withPresence/)
    expect(() => withPresence({}, { prefix: 'a/+' })).toThrow(/prefix/)
    expect(() => withPresence({}, { ttl: 1 })).toThrow(/ttl must be 0, or a whole number from 2/)
    expect(() => withPresence(5 as never)).toThrow(/options of createClient/)
    expect((await world.error(room.enter(() => 1))).code).toBe('INVALID_PAYLOAD')
    expect((await world.error(room.enter('x'.repeat(20_000)))).message).toMatch(
      /maxData allows 16384/,
    )
    expect((await world.error(room.enter(1, { client: '' }))).message).toMatch(/not empty/)
    expect((await world.error(room.update(undefined))).message).toMatch(/data is missing/)
    const plain = presence(world.client(), 'room')
    expect((await world.error(plain.enter(1))).message).toMatch(/withPresence\(options\)/)
    expect(world.broker.log).toEqual([])
  })

  test('[H4] options of one withPresence() are for one client', () => {
    const world = new PresenceWorld()
    const options = withPresence({ platform: world.clock })
    presence(world.client(options), 'room')
    expect(() => presence(world.client(options), 'room')).toThrow(/for one client/)
  })

  test('[T7] a server without retained messages cannot carry presence', async () => {
    const world = new PresenceWorld(5, { retainAvailable: false })
    const room = presence(world.client(), 'room')
    const error = await world.error(room.get(), SYNC_MS)
    expect(error).toMatchObject({ name: 'UsageError', code: 'RETAIN_NOT_SUPPORTED' })
  })

  test('[H2] a will of the user stays, and that only leases tell is said once', async () => {
    const world = new PresenceWorld()
    const will = { topic: 'mine', payload: 'x' }
    await world.entered('ada', 1, {}, { will })
    expect(world.broker.clients.get('ada')!.connect.will).toMatchObject({ topic: 'mine' })
    expect(world.codes()).toEqual(['PRESENCE_LEASES_ONLY'])
  })

  test('[H4] what connectOptions and onConnected of the user do stays', async () => {
    const world = new PresenceWorld()
    const client = world.present({
      connectOptions: () => ({ username: 'u' }),
      onConnected: () => [{ cmd: 'publish', topic: 'born', payload: '1' }],
    })
    await world.value(client.ready())
    const { connect: packet } = [...world.broker.clients.values()][0]!
    expect(packet).toMatchObject({ username: 'u', will: { retain: true, qos: 1 } })
    expect(published(world, 'c0').map(({ topic }) => topic)).toEqual(['born'])
  })

  test('[H4] a client that took over a connection of connect() can watch only', async () => {
    const world = new PresenceWorld()
    const { transport } = world.broker
    const connected = await world.value(connect({ transport, platform: world.clock }))
    const client = createClient(connected)
    expect((await world.error(presence(client, 'room').enter(1))).message).toMatch(/withPresence/)
    await client.close({ timeout: 1 })
  })

  test('[H7] a record that the server refuses rejects the call; the member has not entered', async () => {
    const world = new PresenceWorld()
    const { room } = await world.entered('ada', 1)
    const isBob = { cmd: 'publish', topic: 'presence/s/room/bob/+', direction: 'toBroker' } as const
    world.broker.faults.refuse(isBob)
    const error = await world.error(room.enter(1, { client: 'bob' }))
    expect(error).toMatchObject({ name: 'RefusedError', reasonCode: 0x87 })
    expect(room.state.entered).toBe(1)
    await world.value(room.enter(1, { client: 'bob' }))
    world.broker.faults.refuse(isBob)
    expect(await world.error(room.enter(2, { client: 'bob' }))).toMatchObject({ reasonCode: 0x87 })
    expect(room.state.entered).toBe(2)
    expect(world.codes()).toEqual([])
  })

  test('[H7] a record that is refused after a reconnection is told, and ends nothing', async () => {
    const world = new PresenceWorld()
    const { client, room } = await world.entered('ada', 1)
    world.broker.faults.refuse({ cmd: 'publish', topic: 'presence/s/#', direction: 'toBroker' })
    client.reconnect()
    await world.clock.advance(1000)
    expect(world.codes()).toEqual(['PRESENCE_REFUSED'])
    expect(client.state.connection.kind).toBe('connected')
    await world.value(room.enter(2))
  })

  test('[H5] a filter that the server refuses ends the watch with the error', async () => {
    const world = new PresenceWorld()
    world.broker.faults.refuse({ cmd: 'subscribe', topic: 'presence/s/room/+/+' })
    const watching = world.watching(world.running(world.client()))
    await world.clock.advance(SYNC_MS)
    expect(watching.state).toMatchObject({ ended: true, error: { code: 'SUBSCRIBE_REFUSED' } })
    const error = await world.error(watching.room.get())
    expect(error).toMatchObject({ code: 'SUBSCRIBE_REFUSED', reasonCode: 0x87 })
    expect(error.message).toMatch(/presence of room: .*get\(\).*permit it .* to "presence\/#"/)
  })

  test('[H3] a client that may not read its own record is told so', async () => {
    const world = new PresenceWorld()
    world.broker.faults.refuse(
      ({ packet }) =>
        packet.cmd === 'subscribe' &&
        packet.subscriptions.some(({ topic }) => /^presence\/c\/[\da-f]{24}$/.test(topic)),
    )
    const { client } = await world.entered('ada', 1)
    expect(world.codes()).toEqual(['PRESENCE_REFUSED'])
    expect(world.warnings[0]!.message).toMatch(/"presence\/c\/[\da-f]{24}" \(0x87\).*permit it/)
    expect(client.state.connection.kind).toBe('connected')
  })

  test('[M2] everything that waits settles when the client ends', async () => {
    const world = new PresenceWorld()
    const client = world.present({ reconnect: { when: 'never' } })
    const room = presence(client, 'room')
    const waiting = [room.enter(1), room.get(), room.changes().next(), room.synced, room.leave()]
    world.broker.refuseConnections()
    const codes = (await world.errors(waiting, 1000)).map(({ code }) => code)
    expect(codes).toEqual(['ENDED', 'ENDED', 'ENDED', 'ENDED', 'ENDED'])
  })
})
