/**
 * Goal: the witness of the simulated presence holds a watcher to what is promised, and to no more.
 * Method: records in the order in which they come, and what a process may then still believe of
 * their connection; calls of `get()` whose answers a fault has lost, and ones that have no excuse.
 */
import { expect, test } from 'vitest'
import { createClient } from '../../src/client/index.ts'
import { ConnectionError, decodeSession, encodeSession } from '../../src/index.ts'
import { presence, withPresence } from '../../src/presence/index.ts'
import type { PacketRecord } from '../../src/testing/index.ts'
import type { MemberProcess } from './presence/presence-program.ts'
import type {
  Event,
  Happening,
  MemberSetup,
  PresenceScenario,
} from './presence/presence-scenario.ts'
import { Wire } from './presence/presence-wire.ts'
import { type PresenceSubject, simulatePresence } from './presence/presence-world.ts'

const A = 'a'.repeat(24)

function member(epoch: number, seq: number, client = 'ada') {
  return { topic: `presence/s/b/${client}/${A}`, says: { v: 1, epoch, seq, data: { n: 1 } } }
}

function sign(state: string, epoch: number, seq?: number) {
  return { topic: `presence/c/${A}`, says: { v: 1, epoch, seq, state, client: 'a', ttl: 20 } }
}

test.each([
  ['its will after a member', [member(1, 1), sign('lost', 1)], 'lost 1'],
  ['the will of an older epoch after a member', [member(2, 7), sign('lost', 1)], 'up 2'],
  ['the same, and a member', [member(2, 7), sign('lost', 1), member(2, 8)], 'up 2'],
  ['the same, and the will of now', [member(2, 7), sign('lost', 1), sign('lost', 2)], 'lost 2'],
  [
    'of two members the newer one first',
    [member(2, 7), member(1, 4, 'bob'), sign('lost', 1)],
    'up 2',
  ],
  ['a farewell of an older epoch', [member(2, 7), sign('down', 1, 4)], 'up 2'],
  [
    'the late will after the will of now',
    [member(2, 7), sign('up', 2, 6), sign('lost', 2), sign('lost', 1)],
    'lost 2',
  ],
  ['its own `up` before the late will', [sign('up', 2, 6), sign('lost', 1)], 'up 2'],
  ['a member before a newer will', [member(1, 1), sign('lost', 2)], 'lost 2'],
])('[H1] [H2] %s', (_, records, expected) => {
  const problems: string[] = []
  const wire = new Wire(
    () => 5,
    (id, what) => problems.push(`${id} ${what}`),
  )
  const process = { told: new Map(), toldOfMembers: new Map(), setup: { memory: 'none' } }
  for (const { topic, says } of records) {
    const packet = { topic, payload: Buffer.from(JSON.stringify(says)), retain: true }
    const record = { packet } as unknown as PacketRecord
    wire.told(process as unknown as MemberProcess, record)
  }
  const { state, epoch, ttl, signAt } = process.told.get(A)
  expect(`${state} ${epoch}`).toBe(expected)
  expect(ttl).toBe(20)
  if (state === 'up') expect(signAt).toBe(5)
  expect(problems).toEqual([])
})

test.each([
  ['read', true, 5],
  ['never read', false, 9],
] as const)('[H2] a repeat of an `up` that was %s', (_, isRead, signAt) => {
  let now = 5
  const wire = new Wire(() => now, expect.fail)
  const process = { told: new Map(), toldOfMembers: new Map(), setup: { memory: 'none' } }
  const { topic, says } = sign('up', 1, 2)
  const tell = (connection: number) => {
    const payload = Buffer.from(JSON.stringify(says))
    const packet = { topic, payload, retain: true, messageId: 6 }
    const record = { connection, packet } as unknown as PacketRecord
    wire.told(process as unknown as MemberProcess, record)
  }
  tell(1)
  const puback = { connection: 1, packet: { cmd: 'puback', messageId: 6 } }
  if (isRead) wire.acknowledged(puback as unknown as PacketRecord)
  now = 9
  tell(2)
  expect(process.told.get(A).signAt).toBe(signAt)
})

const MEMBER: MemberSetup = {
  ...{
    memory: 'none',
    keepAlive: 30,
    ttl: 10,
    grace: 1,
    recordTtl: 86_400,
    janitor: false,
    pauses: false,
  },
  watches: [0],
}

const SUBJECT: PresenceSubject = {
  ...{ encodeSession, decodeSession },
  createClient: (options, { ttl, grace }) => createClient(withPresence(options, { ttl, grace })),
  open: (client, space) => presence(client, space),
}

/** Two processes that watch; one asks who is there, and what it awaits may take 8 s. */
function asking(...events: readonly Event[]): PresenceScenario {
  const get: Happening = { do: 'get', who: 1, space: 0 }
  const last: Happening = { do: 'watch', who: 0, space: 0 }
  return {
    seed: 1,
    setup: { protocolVersion: 5, habits: {}, members: [MEMBER, MEMBER] },
    events: [...events, { after: 4, what: get }, { after: 8000, what: last }],
  }
}

// The faults come while the watch waits for the message that ends its first sync.
test.each<[string, Event]>([
  ['a link gone silent', { after: 9, what: { do: 'swallow', who: 1, direction: 'both' } }],
  ['the loss of an answer', { after: 6, what: { do: 'packets lost', times: 2 } }],
])('[H4] %s excuses a `get()` that ends with TIMEOUT', async (_, fault) => {
  const seen: unknown[] = []
  const open: PresenceSubject['open'] = (...args) => {
    const room = SUBJECT.open(...args)
    const get = room.get.bind(room)
    room.get = (options) =>
      get(options).catch((error) => {
        seen.push(error.code)
        throw error
      })
    return room
  }
  expect(await simulatePresence(asking(fault), { ...SUBJECT, open })).toEqual([])
  expect(seen).toEqual(['TIMEOUT'])
})

test('[H4] without a fault a `get()` that ends with TIMEOUT is a problem', async () => {
  const scenario = asking({ after: 1000, what: { do: 'get', who: 0, space: 0 } })
  expect(await simulatePresence(scenario, SUBJECT)).toEqual([])
  const open: PresenceSubject['open'] = (...args) => {
    const room = SUBJECT.open(...args)
    room.get = () => Promise.reject(new ConnectionError('get: nothing', { code: 'TIMEOUT' }))
    return room
  }
  const [problem = ''] = await simulatePresence(scenario, { ...SUBJECT, open })
  expect(problem).toMatch(/^\[H4\].* get\(\) .* is rejected/)
})
