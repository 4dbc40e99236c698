/** Names of any characters, and data at its bound. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { UsageError } from '../../src/index.ts'
import { presence, withPresence } from '../../src/presence/index.ts'
import { levelOf, readMember, readMemberTopic, writeMember } from '../../src/presence/records.ts'
import { PresenceWorld, SYNC_MS } from './presence-world.ts'

/** What a server may close the connection for, and what means something in a topic. (1.5.4, 4.7) */
const UNSAFE = /[\u0000-\u001f\u007f-\u009f+#/]/

function isNoCharacter(point: number): boolean {
  return (point & 0xfffe) === 0xfffe || (point >= 0xfdd0 && point <= 0xfdef)
}

const ODD: readonly (readonly [name: string, level: string])[] = [
  ['a\u0080b', 'a%C2%80b'],
  ['\u009f', '%C2%9F'],
  ['\u00a0', '\u00a0'],
  ['\u0000\u007f', '%00%7F'],
  ['\ufffe\uffff', '%EF%BF%BE%EF%BF%BF'],
  ['\ufdd0\ufdef', '%EF%B7%90%EF%B7%AF'],
  ['\ufdcf\ufdf0', '\ufdcf\ufdf0'],
  ['\u{1fffe}', '%F0%9F%BF%BE'],
  ['\u{10ffff}', '%F4%8F%BF%BF'],
  ['\u{10fffd}🙂', '\u{10fffd}🙂'],
  ['%/+#é', '%25%2F%2B%23é'],
]

test.each(ODD)('[H7] the name %j is the level %j, and back', (name, level) => {
  expect(levelOf(name)).toBe(level)
  const topic = `begin/${level}/${'0'.repeat(24)}`
  expect(readMemberTopic('begin/', topic)?.client).toBe(name)
})

test('[H7] whatever the name, its level is one that every server takes, and gives the name', () => {
  const odd = fc.oneof(
    fc.constantFrom(...ODD.map(([name]) => name)),
    fc.string({ unit: 'binary', minLength: 1 }),
  )
  fc.assert(
    fc.property(fc.array(odd, { minLength: 1 }), (parts) => {
      const name = parts.join('')
      const level = levelOf(name)
      expect(UNSAFE.test(level)).toBe(false)
      expect([...level].some((one) => isNoCharacter(one.codePointAt(0)!))).toBe(false)
      const topic = `begin/${level}/${'0'.repeat(24)}`
      expect(readMemberTopic('begin/', topic)?.client).toBe(name)
    }),
    { seed: 19 },
  )
})

test.each(['%80', '%C2', '%c2%80', '%C3%A9', '\u0080', '\ufffe', '%ZZ', ''])(
  '[H7] the level %j is nobody',
  (level) => {
    expect(readMemberTopic('begin/', `begin/${level}/${'0'.repeat(24)}`)).toBeNull()
  },
)

test('[H1] [H7] spaces and members with such names meet, and no topic has them', async () => {
  const world = new PresenceWorld()
  const space = 'room\u0085\ufffe'
  const client = world.running(world.present({ clientId: 'ada' }))
  await world.value(presence(client, space).enter(1, { client: 'x\u009c\u{1ffff}' }))
  const watcher = presence(world.client(), space)
  const members = await world.value(watcher.get(), SYNC_MS)
  expect(members.map((member) => member.client)).toEqual(['x\u009c\u{1ffff}'])
  for (const topic of world.broker.retained.keys())
    expect(UNSAFE.test(topic.replaceAll('/', ''))).toBe(false)
})

test.each(['a\u0080', 'a/\u0001', '\ufffe', 'b\u{10ffff}'])(
  '[H7] a prefix %j, for which a server may close the connection, is refused',
  (prefix) => {
    const world = new PresenceWorld()
    expect(() => withPresence({}, { prefix })).toThrow(UsageError)
    expect(() => presence(world.client(), 'room', { prefix })).toThrow(/MQTT-1.5.4/)
  },
)

test('[H7] a name with a lone surrogate is refused', () => {
  const world = new PresenceWorld()
  expect(() => presence(world.client(), 'a\ud800')).toThrow(UsageError)
})

/** Data of so many bytes as JSON. */
const ofBytes = (bytes: number) => 'x'.repeat(bytes - 2)

test.each([
  ['exactly', ofBytes(100), 100, true],
  ['one byte more', ofBytes(101), 100, false],
  ['one byte more in two units', `é${ofBytes(99)}`, 100, false],
  ['a great deal more', ofBytes(3000), 100, false],
  ['1 byte', 1, 1, true],
  ['2 bytes', 12, 1, false],
  ['none', undefined, 1, true],
])(
  '[H7] data of others with %s is judged as its own sender does: %#',
  (_, data, maxData, isTaken) => {
    const text = data === undefined ? undefined : JSON.stringify(data)
    const payload = writeMember({ epoch: 1, seq: 1, left: false }, text)
    const record = readMember(new TextEncoder().encode(payload), maxData)
    expect(record !== null).toBe(isTaken)
    // White space counts for nothing.
    const wide = new TextEncoder().encode(JSON.stringify(JSON.parse(payload), null, 4))
    expect(readMember(wide, maxData) !== null).toBe(isTaken)
  },
)

test('[H7] data at the bound of both sides is entered and seen; one byte more is neither', async () => {
  const world = new PresenceWorld()
  const { client } = await world.entered('ada', 1)
  const watching = world.watching(world.client(), { maxData: 50 })
  await world.clock.advance(SYNC_MS)
  const room = presence(client, 'room', { maxData: 51 })
  expect((await world.error(room.update(ofBytes(52)))).message).toContain(
    '52 bytes; maxData allows 51',
  )
  await world.value(room.update(ofBytes(51)))
  expect(watching.room.state.ignored).toBe(1)
  await world.value(room.update(ofBytes(50)))
  await world.clock.advance(10)
  expect(watching.news()).toEqual(['present ada 1', `update ada "${ofBytes(50)}"`])
})
