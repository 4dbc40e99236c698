/**
 * Goal: the witness of the simulated presence holds a watcher only to what H1 says of the records
 * that it was sent. Method: records in the order in which they come, and what a process may then
 * still believe of their connection.
 */
import { expect, test } from 'vitest'
import type { PacketRecord } from '../../src/testing/index.ts'
import type { MemberProcess } from './presence/presence-program.ts'
import { Wire } from './presence/presence-wire.ts'

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
